"""From an executed notebook to the middle of a page: its cells in order, its pictures as files."""

import base64
import hashlib
import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import nbformat

from semcg.pages.markup import Section, coloured, markdown

__all__ = ["Body", "body"]

_WIDGET = "application/vnd.jupyter.widget-view+json"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_SUFFIX = {"image/png": ".png", "image/jpeg": ".jpg", "image/svg+xml": ".svg"}


@dataclass
class Body:
    """The middle of a page, what is in it, and the files that it needs."""

    html: str
    sections: list[Section]
    pictures: dict[str, bytes] = field(default_factory=dict)
    """File name -> content."""

    @property
    def title(self) -> str:
        """Text of the first heading."""
        return self.sections[0][2] if self.sections else "Untitled"


def body(notebook: nbformat.NotebookNode, *, name: str, link: Callable[[str], str | None]) -> Body:
    """Turn a notebook into HTML.

    Parameters
    ----------
    notebook : NotebookNode
        Executed; a cell that was not run shows no output.
    name : str
        Of the notebook, for messages.
    link : callable
        As `semcg.pages.markup.markdown` takes it.

    Raises
    ------
    ValueError
        If a picture has no description; names the notebook and the cell.
    """
    made, parts, taken = Body("", []), [], set()
    for cell in notebook.cells:
        anchor = f"cell-{cell.id}"
        taken.add(anchor)
        where = f"{name}, cell {cell.id}"
        if cell.cell_type == "markdown":
            try:
                page, sections = markdown(cell.source, link=link, taken=taken)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
            made.sections += sections
            parts.append(f'<div class="text" id="{anchor}">\n{page}</div>')
        elif cell.cell_type == "code" and cell.source.strip():
            outputs = "".join(_output(o, made.pictures, where) for o in _joined(cell.outputs))
            code = f'<div class="input">{coloured(cell.source)}</div>'
            if "solution" in " ".join(cell.metadata.get("tags", [])):
                code = f"<details><summary>The solution</summary>{code}</details>"
            parts.append(f'<div class="cell" id="{anchor}">{code}{outputs}</div>')
    made.html = "\n".join(parts)
    return made


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Return outputs with the pieces of one printed text put together; a kernel sends them as they come."""
    whole: list[nbformat.NotebookNode] = []
    for output in outputs:
        before = whole[-1] if whole else None
        if before and output.output_type == before.output_type == "stream" and output.name == before.name:
            whole[-1] = nbformat.from_dict(before | {"text": before.text + output.text})
        else:
            whole.append(output)
    return whole


def _output(output: nbformat.NotebookNode, pictures: dict[str, bytes], where: str) -> str:
    if output.output_type == "stream":
        return _text(output.text)
    if output.output_type == "error":
        return _text("\n".join(output.traceback))
    data = output.data
    if _WIDGET in data:
        return '<p class="note">Here a notebook with a kernel shows something to turn; the picture beside it says the same.</p>'
    if "text/html" in data:
        page = _extracted(data["text/html"], pictures, where)
        return f'<div class="output scroll">{page}</div>'
    for kind in _SUFFIX:
        if kind in data:
            raise ValueError(f"{where}: a picture without a description; show it by semcg.notebook.show")
    return _text(data.get("text/plain", ""))


def _text(text: str) -> str:
    return f'<pre class="output">{html.escape(_ANSI.sub("", text).rstrip())}</pre>' if text.strip() else ""


def _extracted(page: str, pictures: dict[str, bytes], where: str) -> str:
    """Put the pictures of a piece of HTML into files of their own, named by their content, and check their alts."""

    def take(match: re.Match) -> str:
        content = base64.b64decode(match["code"])
        file = hashlib.sha256(content).hexdigest()[:16] + _SUFFIX[match["kind"]]
        pictures[file] = content
        return f'src="pictures/{file}"'

    for image in re.findall(r"<img\b[^>]*>", page):
        if not re.search(r'\balt="\s*[^"\s]', image):
            raise ValueError(f"{where}: a picture without a description; show it by semcg.notebook.show")
    kinds = "|".join(re.escape(kind) for kind in _SUFFIX)
    page = re.sub(rf'src="data:(?P<kind>{kinds});base64,(?P<code>[^"]+)"', take, page)
    page = re.sub(
        r"<style\b.*?</style>", "", page, flags=re.DOTALL
    )  # tables are drawn by the pages' own style
    return page.replace("<img ", '<img loading="lazy" ')
