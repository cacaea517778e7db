"""The site: formulas, pictures, headings and links of every page, and no request to another host; the table of runs."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import build_site as site  # of docs/
import pytest
from bs4 import BeautifulSoup, NavigableString
from fontTools.ttLib import TTFont

from semcg_kit.commands import pages

ROOT = Path(__file__).parent.parent
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("pages") / "site"
    assert site.build(out) == [], "Sphinx has no warnings"
    return out


# ---------------------------------------------------------------- what is wrong with a folder of pages


def faults(folder: Path) -> list[str]:
    """Return what is wrong with the pages of a folder, a line each."""
    pages = {path: _read(path) for path in sorted(folder.rglob("*.html"))}
    ids = {path: Counter(tag["id"] for tag in page.find_all(id=True)) for path, page in pages.items()}
    found = [] if pages else [f"{folder} holds no page"]
    for path, page in pages.items():
        name = path.relative_to(folder).as_posix()
        found += [f"{name}: {fault}" for fault in _of_page(page)]
        found += [f"{name}: the anchor {anchor} occurs {n} times" for anchor, n in ids[path].items() if n > 1]
        loads = [(t, t[LOADED[t.name]]) for t in page.find_all(list(LOADED)) if t.get(LOADED[t.name])]
        for tag, target in [*loads, *((tag, tag["href"]) for tag in page.find_all("a", href=True))]:
            parts = urlsplit(target)
            if parts.scheme == "data" or (tag.name == "a" and parts.scheme in ("http", "https", "mailto")):
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme or parts.netloc:
                found.append(f"{name}: <{tag.name}> is loaded from {parts.netloc or target}")
            elif not file.is_file():
                found.append(f"{name}: {target} is not there")
            elif parts.fragment and file in pages and unquote(parts.fragment) not in ids[file]:
                found.append(f"{name}: {target} leads to no place on that page")
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".css", ".js")):
        text = path.read_text(encoding="utf-8")
        for address in re.findall(
            r"""(?:url\(|import |fetch\(|src\s*=)\s*['"]?((?:https?:)?//[^\s'")]+)""", text
        ):
            found.append(f"{path.name}: {address} is loaded from another host")
    return found


def _read(path: Path) -> BeautifulSoup:
    text = path.read_text(encoding="utf-8")
    return BeautifulSoup(re.sub(r'="data:[^"]*"', '="data:"', text), "html.parser")


def _of_page(page: BeautifulSoup) -> list[str]:
    if page.find("meta", attrs={"http-equiv": "refresh"}):
        return []
    found = [] if page.html.get("lang") else ["no language"]
    found += [] if page.title and page.title.text.strip() else ["no title"]
    levels = [int(tag.name[1]) for tag in page.find_all(re.compile("^h[1-6]$"))]
    if levels.count(1) != 1 and not page.find(id="search-results"):
        found.append(f"{levels.count(1)} headings of level 1")
    steps = zip(levels, levels[1:], strict=False)
    found += [f"an h{after} follows an h{before}" for before, after in steps if after > before + 1]
    for image in page.find_all("img"):
        alt = (image.get("alt") or "").strip()
        if not alt or re.fullmatch(r"\S+\.(png|jpe?g|svg|webp)", alt):
            found.append(f"a picture has no description: {str(image)[:80]}")
    labels = {label.get("for") for label in page.find_all("label")}
    for field in page.find_all(["input", "select", "textarea"]):
        if field.get("type") != "hidden" and not field.get("aria-label") and field.get("id") not in labels:
            found.append(f"a field has no label: {field}")
    return found


def test_the_site_has_no_fault(built):
    assert faults(built) == []


PAGE = """<html lang="en"><head><title>T</title><script src="a.js"></script></head><body><h1>One</h1>
<h2 id="two">Two</h2><a href="#two">up</a><a href="other.html#far">far</a>
<img alt="a dot" src="data:image/png;base64,x"><label for="q">Search</label><input id="q"></body></html>"""
PLANTED = {
    "no language": (' lang="en"', ""),
    "no title": ("<title>T</title>", ""),
    "0 headings of level 1": ("<h1>One</h1>", ""),
    "an h4 follows an h1": ('<h2 id="two">Two</h2>', '<h4 id="two">Two</h4>'),
    "occurs 2 times": ('<a href="#two">', '<a id="two" href="#two">'),
    "gone.html is not there": ("other.html#far", "gone.html"),
    "leads to no place": ("#far", "#near"),
    "loaded from example.org": ('src="a.js"', 'src="https://example.org/a.js"'),
    "loaded from cdn.example.org": ('src="a.js"', 'src="//cdn.example.org/a.js"'),
    "a.css is not there": ("</head>", '<link rel="stylesheet" href="a.css"></head>'),
    "no description: <img": ('alt="a dot"', 'alt=" "'),
    "no description: <img alt": ('alt="a dot"', 'alt="../_images/dot.png"'),
    "no label": ('for="q"', 'for="p"'),
}


@pytest.mark.parametrize("words", [None, *PLANTED])
def test_a_planted_fault_is_found(words, tmp_path):
    (tmp_path / "page.html").write_text(PAGE.replace(*PLANTED[words]) if words else PAGE)
    (tmp_path / "other.html").write_text(
        PAGE.replace('id="two"', 'id="far"').replace('"#two"', '"page.html"')
    )
    (tmp_path / "a.js").write_text("")
    found = faults(tmp_path)
    assert len(found) == bool(words)
    assert not words or words in found[0]


def test_a_style_may_load_nothing_from_elsewhere(tmp_path):
    (tmp_path / "page.html").write_text(PAGE.replace("other.html#far", "#two"))
    (tmp_path / "a.js").write_text("")
    (tmp_path / "a.css").write_text("body { background: url(https://example.org/x.png) }")
    assert faults(tmp_path) == ["a.css: https://example.org/x.png is loaded from another host"]


# ---------------------------------------------------------------- contents


def test_every_notebook_and_document_is_a_page(built):
    wanted = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    for path in wanted:
        assert (built / path.relative_to(ROOT)).with_suffix(".html").is_file()
    assert f"url={site.FIRST_PAGE}" in (built / "index.html").read_text()
    first = _read(built / site.FIRST_PAGE)
    assert first.find("article").find("img"), "the first page has a picture"
    assert len(first.select("nav a, .sidebar-tree a")) >= len(wanted) - 1


def test_next_leads_through_the_course_in_its_order(built):
    """Then to the pages that a reader wants first."""
    path, order = built / site.FIRST_PAGE, []
    while (link := _read(path).select_one("a.next-page")) and len(order) < 100:
        path = (path.parent / link["href"].partition("#")[0]).resolve()
        order.append(path.stem)
    course = [f.stem for f in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert order[: len(course) + 3] == [*course, "install", "expect", "results"]
    assert len(order) == len(set(built.rglob("*.html"))) - 3, "all but the first, its redirect and the search"


def test_formulas_are_mathml_in_characters_of_the_shipped_font(built):
    pages = [_read(path) for path in (built / "notebooks").glob("*.html")]
    formulas = [formula for page in pages for formula in page.find_all("math")]
    assert len(formulas) > 50
    assert all(formula["alttext"] for formula in formulas)
    drawn = {ord(c) for f in formulas for piece in f.find_all(["mi", "mn", "mo"]) for c in piece.text}
    assert drawn <= TTFont(ROOT / "docs" / "_static" / "formulas.woff").getBestCmap().keys()
    for page in pages:
        prose = " ".join(p.text for p in page.select("article p, article li") if not p.find("code"))
        assert not re.search(r"\$[^$]+\$|\\lambda", prose)
        assert not page.select("p .math-block"), "browsers end a paragraph there"
        bare = [
            t for part in page.select("article section") for t in part.children if type(t) is NavigableString
        ]
        assert not "".join(bare).strip(), "prose stands in paragraphs"


def test_words_lead_to_the_glossary(built):
    text = "".join(path.read_text() for path in (built / "notebooks").glob("*.html"))
    assert len(set(re.findall(r'href="glossary\.html#([^"]+)"', text))) > 30


@pytest.mark.parametrize("formula", [r"\lVert x \rVert_1", r"\|x\|_1"])
def test_the_bars_of_a_norm_keep_their_height(formula):
    assert site.mathml(formula).count('<mo fence="false" stretchy="false">&#x02016;</mo>') == 2


def test_a_formula_keeps_its_source_for_readers():
    made = site.mathml(r"a < \frac{b}{c}", block=True)
    assert r'alttext="a &lt; \frac{b}{c}"' in made
    assert 'display="block"' in made
    assert "<mfrac>" in made


def test_an_unknown_command_is_named():
    with pytest.raises(ValueError, match=r"\\nonsense"):
        site.mathml(r"a + \nonsense b")


SHEET = """
[[question]]
text = "What is $1 + 1$?"
right = "two < three"
[question.choices]
"one" = "One too few."
"two < three" = "Two ones."

[[question]]
text = "How much is it here?"
choices = ["much", "little"]
"""


def test_a_quiz_is_answered_on_the_page(tmp_path, monkeypatch):
    """A question whose answer depends on the run stays in the notebook."""
    monkeypatch.setattr(site, "ROOT", tmp_path)
    cell = {"cell_type": "code", "id": "quiz", "metadata": {}, "source": "exercises.quiz(...)"}
    source = [json.dumps({"cells": [cell]})]
    site.add_quiz(None, "notebooks/03_c", source)
    assert json.loads(source[0])["cells"] == [cell], "no sheet"
    sheet = tmp_path / "notebooks" / "exercises" / "03_c.toml"
    sheet.parent.mkdir(parents=True)
    sheet.write_text(SHEET)
    site.add_quiz(None, "notebooks/03_c", source)
    made, kept = json.loads(source[0])["cells"]
    assert kept == cell
    assert "**1.** What is $1 + 1$?" in made["source"]
    assert "<summary>two &lt; three</summary>\n\nRight. Two ones.\n" in made["source"]
    assert "<summary>one</summary>\n\nNo. One too few.\n" in made["source"]
    assert "much" not in made["source"]


# ---------------------------------------------------------------- the folder (finding A1)


def test_a_site_is_replaced_by_the_same_site(built, tmp_path):
    out = shutil.copytree(built, tmp_path / "site")
    before = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    site.build(out)
    assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"], "nothing else is left"


@pytest.mark.parametrize("name", ["thesis.tex", ".notes", "figures/mine.png", "README.html"])
def test_a1_a_folder_with_a_file_of_somebody_else_is_refused(name, built, tmp_path):
    """Also where a site was built before, and where one of its pages was changed by hand."""
    for out in (shutil.copytree(built, tmp_path / "site"), tmp_path / "home"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")
        (out / "index.html").write_text((built / "index.html").read_text())
        with pytest.raises(ValueError, match=re.escape(name)):
            site.build(out)
        assert (out / name).read_text() == "mine"


def test_a_file_and_a_damaged_marker_are_refused(built, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="file"):
        site.build(tmp_path / "file")
    out = shutil.copytree(built, tmp_path / "site")
    for text in ("[", "[1]", "null", ""):
        (out / site.MARKER).write_text(text)
        with pytest.raises(ValueError, match=r"\d+ more"):
            site.build(out)


def test_a_link_is_refused_and_what_the_system_leaves_is_not(built, tmp_path):
    out = shutil.copytree(built, tmp_path / "site")
    (out / ".DS_Store").write_text("x")
    (tmp_path / "thesis").mkdir()
    assert site._foreign(out) == []
    (out / "thesis").symlink_to(tmp_path / "thesis")
    assert site._foreign(out) == ["thesis"]


def test_a_failure_keeps_the_old_site(built, tmp_path, monkeypatch):
    out = shutil.copytree(built, tmp_path / "site")
    monkeypatch.setattr(site.sys, "executable", shutil.which("false"))
    with pytest.raises(ValueError, match="Sphinx could not build the site"):
        site.build(out)
    assert (out / site.FIRST_PAGE).read_bytes() == (built / site.FIRST_PAGE).read_bytes()


def test_a_missing_extra_is_named_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "find_spec", lambda name: None if name == "furo" else name)
    with pytest.raises(ValueError, match=r"needs furo; .* pip install -c requirements.lock -e '\.\[site\]'"):
        site.build(tmp_path / "site")


# ---------------------------------------------------------------- status


def recorded(results: Path, name: str, record: object) -> None:
    folder = results / "mini" / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record))


def test_the_table_of_runs(tmp_path, capsys):
    machine = {"device": "CPU (AVX2)", "peak_memory_bytes": 3 * 2**30}
    recorded(tmp_path, "03_c-s0", {"status": "ok", "seconds": 100.4, "machine": machine})
    recorded(tmp_path, "04_d", {"status": "killed", "seconds": 5.0, "reason": "the kernel died"})
    (tmp_path / "mini" / "notebooks" / "05_e.partial.ipynb").write_text("")
    pages.status(tmp_path)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["profile", "notebook", "state"]
    assert re.fullmatch(r"mini +03_c-s0 +ok +\d{4}-\d\d-\d\d \d\d:\d\d +1:40 +3\.0 +CPU \(AVX2\)", rows[0])
    assert re.match(r"mini +04_d +killed .* 0:05 +- +-$", rows[1])
    assert re.match(r"mini +05_e +unfinished ", rows[2])
    assert rows[3:] == ["04_d, mini: the kernel died"]


@pytest.mark.parametrize(
    "record",
    [[], None, {}, {"status": "ok"}, {"status": "ok", "seconds": "long"}, {"status": "ok", "seconds": 1e400}]
    + [{"status": "ok", "seconds": 1, "machine": m} for m in ("fast", {"peak_memory_bytes": "much"})],
)
def test_a_damaged_record_is_named(record, tmp_path, capsys):
    recorded(tmp_path, "03_c", record)
    pages.status(tmp_path)
    said = capsys.readouterr().out
    assert re.search(r"mini +03_c +damaged ", said)
    assert f"{tmp_path / 'mini' / 'notebooks' / '03_c.json'} cannot be read" in said


def test_a_record_that_is_no_json_is_named(tmp_path, capsys):
    recorded(tmp_path, "03_c", {})
    (tmp_path / "mini" / "notebooks" / "03_c.json").write_bytes(b"\xff{")
    pages.status(tmp_path)
    assert "damaged" in capsys.readouterr().out


def test_nothing_was_run(tmp_path, capsys):
    pages.status(tmp_path)
    assert "make course" in capsys.readouterr().out
