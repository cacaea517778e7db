"""From Markdown, as notebooks write it, to HTML: formulas as MathML, headings that can be linked to, local links."""

import html
import re
from collections.abc import Callable

from latex2mathml.converter import convert
from mistune import HTMLRenderer
from nbconvert.filters.markdown_mistune import MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

__all__ = ["Section", "coloured", "markdown", "mathml", "plain"]

Section = tuple[int, str, str]
"""Level, anchor and text of a heading."""


def mathml(formula: str, *, block: bool = False) -> str:
    r"""Return a formula of LaTeX as MathML, which browsers draw and screen readers read without a script.

    Raises
    ------
    ValueError
        If a command is not known, which would be drawn as its name; `\undefined`, say.
    """
    formula = formula.strip()
    made = convert(formula, display="block" if block else "inline")
    if unknown := re.findall(r">\s*(\\[A-Za-z]+)", made):
        raise ValueError(f"${formula}$: {', '.join(unknown)} cannot be turned into MathML")
    spoken = html.escape(formula, quote=True)
    made = made.replace(
        "<mi>&#x02032;</mi>", '<mi class="prime">&#x02032;</mi>'
    )  # fonts draw it small and high
    # Of itself a norm's bar would grow with what stands beside it, and a lone one be set about the middle of the line.
    made = made.replace("<mo>&#x02016;</mo>", '<mo fence="false" stretchy="false">&#x02016;</mo>')
    return made.replace("<math ", f'<math alttext="{spoken}" ', 1)


def coloured(code: str, language: str = "python") -> str:
    """Return code as HTML in classes of Pygments; an unknown language stays plain."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return f"<pre>{html.escape(code)}</pre>"
    return highlight(code, lexer, HtmlFormatter(cssclass="code"))


def plain(page: str, *, latex: bool = True) -> str:
    """Return the text of a piece of HTML, one space between words; formulas as LaTeX, or as their signs in a row."""
    formula = r'<math alttext="([^"]*)"[^>]*>(.*?)</math>'
    signs = lambda m: m[1] if latex else re.sub(r"<[^>]+>", "", m[2])  # noqa: E731
    page = re.sub(formula, signs, page, flags=re.DOTALL)
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    page = re.sub(
        r"</?(?:a|b|cite|code|em|i|span|strong)\b[^>]*>", "", page
    )  # within a word or before a comma
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def markdown(
    source: str, *, link: Callable[[str], str | None], taken: set[str] | None = None
) -> tuple[str, list[Section]]:
    """Turn Markdown into HTML.

    Parameters
    ----------
    source : str
        With `$...$` and `$$...$$` for formulas, and tables. HTML in it is kept: it is our own.
    link : callable
        Target as written -> target on the page, None for one that the pages do not have: its text stays.
    taken : set of str, optional
        Anchors that the page has already; those made here are added.

    Returns
    -------
    str
    list of Section
        Its headings in order.
    """
    renderer = _Renderer(link, set() if taken is None else taken)
    return MarkdownWithMath(renderer=renderer).render(source), renderer.sections


class _Renderer(HTMLRenderer):
    def __init__(self, link: Callable[[str], str | None], taken: set[str]) -> None:
        super().__init__(escape=False)
        self._link, self._taken = link, taken
        self.sections: list[Section] = []

    def heading(self, text: str, level: int, **attrs: object) -> str:
        # As JupyterLab names them, so that a link works in both.
        anchor = named = re.sub(r"\s", "-", plain(text))
        n = 1
        while anchor in self._taken:
            n += 1
            anchor = f"{named}-{n}"
        self._taken.add(anchor)
        self.sections.append((level, anchor, plain(text, latex=False)))
        return f'<h{level} id="{html.escape(anchor, quote=True)}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        target = self._link(url)
        return text if target is None else f'<a href="{html.escape(target, quote=True)}">{text}</a>'

    def block_code(self, code: str, info: str | None = None) -> str:
        return coloured(code.rstrip("\n"), (info or "text").split()[0])

    def table(self, text: str) -> str:
        return f'<div class="scroll"><table>\n{text}</table></div>\n'

    def block_math(self, body: str) -> str:
        return f'<span class="formula">{mathml(body, block=True)}</span>'

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")
