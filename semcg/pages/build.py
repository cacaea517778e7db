"""The course site: every notebook, the report where there is one, the teacher's pages, status and search."""

import html
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import nbformat

from semcg import files
from semcg.pages.cells import Body, body
from semcg.pages.check import faults
from semcg.pages.frame import Entry, assets, page
from semcg.pages.markup import markdown, plain
from semcg.pages.status import Row, clock, sentence

__all__ = ["build"]

_NOTEBOOK = re.compile(r"\]\(([\w.-]+\.ipynb)[)#]")

COURSE, EVIDENCE, TEACHING, KIT = "The course", "The evidence", "For teachers", "This kit"


def build(
    out: Path,
    *,
    notebooks: Sequence[Path],
    report: Path | None = None,
    documents: Sequence[Path] = (),
    status: Sequence[Row] = (),
    linked: bool = True,
) -> list[Path]:
    """Build the pages into a folder, in the place of what was there, and return their paths.

    Parameters
    ----------
    out : Path
        Is replaced as a whole, once the new pages are whole and without a fault.
    notebooks : list of Path
        Executed, in the order of the course.
    report : Path, optional
        An executed notebook.
    documents : list of Path
        Markdown files, such as the instructor's page.
    status : list of Row
        From `semcg.pages.rows`.
    linked : bool
        Whether notebooks that lie beside these and that these lead to, the glossary say, become pages too.

    Raises
    ------
    ValueError
        If `out` holds something else than pages, a picture has no description, a formula is not understood, or the
        pages have a fault; names each.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "index.html").is_file())):
        raise ValueError(f"{out} is no folder of pages; name another one, or remove it")
    books = [*notebooks, *([report] if report else [])]
    books += _linked(books) if linked else []
    known = {path.name: f"{path.stem}.html" for path in [*books, *documents]}
    link = _links(known)
    bodies: dict[str, tuple[Body, str]] = {}
    for path in books:
        group = EVIDENCE if path == report else COURSE
        bodies[known[path.name]] = body(nbformat.read(path, as_version=4), name=path.stem, link=link), group
    for path in documents:
        made, sections = markdown(path.read_text(encoding="utf-8"), link=link)
        bodies[known[path.name]] = Body(f'<div class="text">\n{made}</div>', sections), TEACHING
    bodies["status.html"] = Body(_status(status), [(1, "", "Status")]), KIT
    entries = [Entry("index.html", "Overview", COURSE)]
    entries += [Entry(file, made.title, group) for file, (made, group) in bodies.items()]
    bodies["index.html"] = Body(_overview(bodies, known, notebooks), [(1, "", "Overview")]), COURSE
    search = Entry("search.html", "Search", KIT)

    new = out.with_name(f".{out.name}.partial")
    shutil.rmtree(new, ignore_errors=True)
    index = []
    for entry in entries:
        made, _ = bodies[entry.file]
        files.write_text(
            new / entry.file, page(made.html, entry=entry, entries=entries, sections=made.sections)
        )
        index += _sections(entry, made)
        for name, content in made.pictures.items():
            with files.atomic(new / "pictures" / name) as partial:
                partial.write_bytes(content)
    scripts = ["assets/index.js", "assets/search.js"]
    files.write_text(new / search.file, page(_SEARCH, entry=search, entries=entries, scripts=scripts))
    for name, text in assets(index).items():
        files.write_text(new / "assets" / name, text)
    if wrong := faults(new):
        raise ValueError(f"the pages in {new} have {len(wrong)} faults:\n  " + "\n  ".join(wrong))
    files.swap(new, out)
    return [out / e.file for e in [*entries, search]]


_SEARCH = """<h1>Search</h1>
<form id="search"><label for="words">Words, or how they begin</label>
<input id="words" type="search" autocomplete="off"></form>
<p id="said" role="status"></p>
<noscript><p>The search is a script of this page; nothing is asked of another host.</p></noscript>
<ol id="found" class="found"></ol>"""


def _linked(notebooks: Sequence[Path]) -> list[Path]:
    """Return the notebooks beside these that these link to, and the ones that those link to, in that order."""
    found: dict[Path, None] = {}
    names = {path.name for path in notebooks}
    waiting = list(notebooks)
    while waiting:
        path = waiting.pop(0)
        for cell in nbformat.read(path, as_version=4).cells:
            for target in _NOTEBOOK.findall(cell.source if cell.cell_type == "markdown" else ""):
                other = path.with_name(target)
                if target not in names and other not in found and other.is_file():
                    found[other] = None
                    waiting.append(other)
    return list(found)


def _links(known: dict[str, str]) -> Callable[[str], str | None]:
    """Return target as written -> target on the pages: notebooks and documents by their file name."""

    def link(target: str) -> str | None:
        parts = urlsplit(target)
        if parts.scheme in ("http", "https", "mailto") or (target.startswith("#") and len(target) > 1):
            return target
        page = known.get(Path(parts.path).name)
        return page and (f"{page}#{parts.fragment}" if parts.fragment else page)

    return link


def _overview(bodies: dict[str, tuple[Body, str]], known: dict[str, str], notebooks: Sequence[Path]) -> str:
    lines = []
    for path in notebooks:
        file = known[path.name]
        made, _ = bodies[file]
        first = made.html.partition("<p>")[2].partition("</p>")[0]
        lines.append(
            f'<li><p><a href="{file}">{html.escape(made.title)}</a>. {html.escape(plain(first))}</p></li>'
        )
    more = "".join(
        f'<li><a href="{file}">{html.escape(made.title)}</a></li>'
        for file, (made, _) in bodies.items()
        if file not in {known[path.name] for path in notebooks}
    )
    return f"""<h1>Does a semantic loss keep cars cars?</h1>
<p>A course and reproducibility kit for CycleGAN with a semantic consistency loss (Runze Fan, <cite>Enhancing Semantic
Consistency in Image-to-Image Translation with an Improved CycleGAN Framework</cite>). These pages are its executed
notebooks; <code>make lab</code> opens them where they can be changed and run.</p>
<h2 id="notebooks">The notebooks</h2>
<ol class="found">{"".join(lines)}</ol>
<h2 id="more">Beside them</h2>
<ul>{more}</ul>
<p>The pages work offline, from this folder. The page <a href="search.html">Search</a> finds words in all of them.</p>"""


def _status(rows: Sequence[Row]) -> str:
    head = (
        "<h1>Status</h1>\n<p>The last execution of each notebook on the machine that built these pages.</p>"
    )
    if not rows:
        return f"{head}\n<p>No notebook had been run there; <code>make course</code> runs them all.</p>"
    names = (
        "Notebook",
        "Profile",
        "State",
        "Ended (UTC)",
        "Run, min:s",
        "Whole, min:s",
        "Peak memory",
        "Device",
        "Stated",
    )
    lines = []
    for r in rows:
        cells = (r.notebook, r.profile, r.state, r.ended or "-", clock(r.seconds), clock(r.whole))
        cells += ("-" if r.memory is None else f"{r.memory / 2**30:.1f} GiB", r.device or "-")
        cells += ("-" if r.stated is None else clock(r.stated) + (" (off)" if r.off else ""),)
        lines.append("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>")
    wrong = "".join(f"<li>{_coded(sentence(r))}</li>" for r in rows if r.off)
    return f"""{head}
<p>A run reuses stored trainings; <em>whole</em> is the time when nothing is stored, by the last run that
ended well. <em>Stated</em> is what the
notebook's first cell says for that profile; it may be wrong by a factor of two, no more.</p>
<div class="scroll status"><table><thead><tr>{"".join(f'<th scope="col">{n}</th>' for n in names)}</tr></thead>
<tbody>{"".join(lines)}</tbody></table></div>
{f"<h2>Off by more than a factor of two</h2><ul>{wrong}</ul>" if wrong else ""}"""


def _coded(text: str) -> str:
    """Return text as HTML, what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _sections(entry: Entry, made: Body) -> list[dict[str, str]]:
    """Cut a page at its headings, for the search: file, page, anchor, heading, text."""
    found, rest = [], made.html
    for n, (level, anchor, heading) in enumerate(made.sections):
        start = rest.find(f'<h{level} id="{html.escape(anchor, quote=True)}">') if anchor else 0
        rest = rest[max(0, start) :]
        end = len(rest)
        if n + 1 < len(made.sections):
            next_level, next_anchor, _ = made.sections[n + 1]
            at = rest.find(f'<h{next_level} id="{html.escape(next_anchor, quote=True)}">')
            end = at if at >= 0 else end
        text = plain(re.sub(r"^<h\d.*?</h\d>", "", rest[:end], flags=re.DOTALL))
        found.append(
            {"file": entry.file, "page": entry.title, "anchor": anchor, "heading": heading, "text": text}
        )
    return found
