"""The site: README, docs and notebooks as pages that work offline. Sphinx and MyST-NB build it from conf.py beside this.

`semcg site` calls `build`; conf.py names this file as an extension of Sphinx, for the hooks in its second half.
"""

import html
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from semcg import files

__all__ = ["FIRST_PAGE", "MARKER", "add_quiz", "build", "mathml", "setup", "slug"]

ROOT = Path(__file__).resolve().parents[1]
FIRST_PAGE = "README.html"
MARKER = ".semcg-site.json"
"""Lists the files of a site with their digests: only a folder that holds nothing else is replaced."""

_REDIRECT = f'<!doctype html>\n<html lang="en"><title>semcg</title><meta http-equiv="refresh" content="0; url={FIRST_PAGE}">\n'
_CONTENTS = "\n\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {}\n\n{}\n```\n"
_MORE = "docs/install\ndocs/expect\ndocs/results\ndocs/own-images\ndocs/instructor\ndocs/worksheet\ndocs/*\nC*\nLICENSE-TEXT\ndata/*\nresults/**\nbenchmarks/*"


def build(out: Path) -> list[str]:
    """Build the site in place of an earlier one and return Sphinx's warnings.

    Parameters
    ----------
    out : Path
        A new or empty folder, or one that an earlier call wrote.

    Raises
    ------
    ValueError
        If `out` holds anything else, the extra `site` is not installed, or Sphinx fails; `out` is unchanged then.
    """
    if absent := [name for name in ("myst_nb", "furo", "latex2mathml") if find_spec(name) is None]:
        install = "python -m pip install -c requirements.lock -e '.[site]'"
        raise ValueError(f"the site needs {', '.join(absent)}; install the extra first: {install}")
    if foreign := _foreign(out):
        shown = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        raise ValueError(f"{out} holds files that no site build wrote ({shown}); choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".semcg-site-", dir=out.parent) as scratch:
        new = Path(scratch) / "new"
        command = ["-m", "sphinx", "-q", "-c", "docs", "-d", f"{scratch}/doctrees", ".", str(new)]
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"Sphinx could not build the site:\n{done.stderr}")
        files.write_text(new / "index.html", _REDIRECT)
        files.write_json(new / MARKER, _digests(new))
        if out.exists():
            out.rename(Path(scratch) / "old")
        new.rename(out)
    return done.stderr.splitlines()


def _digests(folder: Path) -> dict[str, str]:
    ignored = {MARKER, ".DS_Store", *files.STRAY}
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in ignored)
    return {p.relative_to(folder).as_posix(): sha256(p.read_bytes()).hexdigest()[:16] for p in paths}


def _foreign(out: Path) -> list[str]:
    """Return the files and links in a folder that no build wrote, or that were changed since."""
    if not out.exists():
        return []
    if not out.is_dir():
        return [out.name]
    try:
        written = dict(json.loads((out / MARKER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        written = {}
    links = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_symlink()]
    return links + [name for name, digest in _digests(out).items() if written.get(name) != digest]


# ---------------------------------------------------------------- hooks that docs/conf.py names


def slug(title: str) -> str:
    """Return the anchor of a heading as JupyterLab forms it, so that a link works in both."""
    return re.sub(r"\s", "-", title)


def mathml(formula: str, *, block: bool = False) -> str:
    """Return a LaTeX formula as MathML, which browsers draw and screen readers read without a script.

    Raises
    ------
    ValueError
        If a command is unknown.
    """
    from latex2mathml.converter import convert

    markup = convert(formula, display="block" if block else "inline")
    if unknown := re.findall(r">\s*(\\[A-Za-z]+)", markup):
        raise ValueError(f"{', '.join(unknown)} in ${formula}$ cannot be converted to MathML")
    # By default the bar of a norm stretches to the height of its neighbors.
    markup = markup.replace("<mo>&#x02016;</mo>", '<mo fence="false" stretchy="false">&#x02016;</mo>')
    return markup.replace("<math ", f'<math alttext="{html.escape(formula, quote=True)}" ', 1)


def _visit_math(translator, node) -> None:
    from docutils.nodes import SkipNode

    block = node.tagname == "math_block"
    markup = mathml(node.astext().strip(), block=block)
    translator.body.append(f'<div class="math-block">{markup}</div>' if block else markup)
    raise SkipNode


def _split_paragraphs(app, doctree) -> None:
    """Take formulas of their own line out of the paragraphs around them, which HTML cannot nest."""
    from docutils import nodes

    for block in list(doctree.findall(nodes.math_block)):
        if isinstance(paragraph := block.parent, nodes.paragraph):
            at = paragraph.index(block)
            after = nodes.paragraph("", "", *paragraph.children[at + 1 :])
            paragraph.children = paragraph.children[:at]
            place = paragraph.parent.index(paragraph)
            paragraph.parent[place : place + 1] = [
                p for p in (paragraph, block, after) if p is block or len(p)
            ]


def _keep_punctuation(app, page: str, template: str, context: dict, doctree) -> None:
    """Keep a period or comma on the line of the formula before it."""
    if "body" in context:
        together = r'<span class="nobreak">\1</span>'
        context["body"] = re.sub(r"(<math (?:(?!</math>).)*</math>[.,;:)]+)", together, context["body"])


def _add_contents(app, docname: str, source: list[str]) -> None:
    if docname == app.config.root_doc:
        source[0] += _CONTENTS.format("The course", "notebooks/*") + _CONTENTS.format("More", _MORE)


def add_quiz(app, docname: str, source: list[str]) -> None:
    """Add the quiz to a notebook's page: choices to open, with their reasons; those that depend on the run are left out."""
    sheet = ROOT / "notebooks" / "exercises" / f"{Path(docname).name}.toml"
    if not docname.startswith("notebooks/") or not sheet.is_file():
        return
    notebook, text = json.loads(source[0]), "**Answer on this page:** open a choice. "
    text += "A question that depends on your own run is in the notebook only.\n\n"
    for n, question in enumerate(tomllib.loads(sheet.read_text(encoding="utf-8"))["question"], 1):
        if isinstance(question["choices"], dict):
            text += f"**{n}.** {question['text']}\n\n"
            for choice, reason in question["choices"].items():
                verdict = "Right." if choice == question["right"] else "No."
                text += f"<details><summary>{html.escape(choice)}</summary>\n\n{verdict} {reason}\n\n</details>\n\n"
    at = [cell.get("id") for cell in notebook["cells"]].index("quiz")
    notebook["cells"].insert(at, {"cell_type": "markdown", "id": "quiz-page", "metadata": {}, "source": text})
    source[0] = json.dumps(notebook)


def setup(app) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math, None))
    app.connect("source-read", _add_contents)
    app.connect("source-read", add_quiz)
    app.connect("doctree-read", _split_paragraphs)
    app.connect("html-page-context", _keep_punctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
