"""One executed notebook by itself: as a page, and as Markdown with its figures beside it."""

import os
import re
import shutil
from base64 import b64decode
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

from semcg import files
from semcg.pages.build import build

__all__ = ["markdown", "single"]

_PICTURE = re.compile(r'<img alt="([^"]*)" src="data:image/png;base64,([^"]+)">')


def single(notebook: Path, out: Path) -> list[Path]:
    """Write a notebook as pages under `out/page/` and as `out/<name>.md` with its figures, and return the paths.

    Parameters
    ----------
    notebook : Path
        Executed.
    out : Path
        Folder; what an earlier call left there is replaced.
    """
    return [build(out / "page", notebooks=[notebook], linked=False)[0], markdown(notebook, out)]


def markdown(notebook: Path, out: Path) -> Path:
    """Write a notebook as `out/<name>.md` with its figures in `out/figures/`, and return the path of the text.

    Parameters
    ----------
    notebook : Path
        Executed.
    out : Path
        Folder; the figures that an earlier call left there are replaced.
    """
    text, _ = MarkdownExporter().from_notebook_node(nbformat.read(notebook, as_version=4))
    shutil.rmtree(out / "figures", ignore_errors=True)
    figures: list[Path] = []

    def beside(found: re.Match) -> str:
        path = out / "figures" / f"{notebook.stem}_{len(figures) + 1}.png"
        with files.atomic(path) as partial:
            partial.write_bytes(b64decode(found[2]))
        figures.append(path)
        return f'<img alt="{found[1]}" src="figures/{path.name}">'

    def led(found: re.Match) -> str:  # to the notebooks beside it, from where the text lies
        there = notebook.parent / found[1]
        return f"]({Path(os.path.relpath(there, out)).as_posix()}" if there.is_file() else found[0]

    text = re.sub(r"\]\((\w+\.ipynb)", led, text)
    written = out / f"{notebook.stem}.md"
    files.write_text(written, _PICTURE.sub(beside, text))
    return written
