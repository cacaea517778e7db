"""The pages: formulas, figures, links and search without another host; the status of runs."""

import base64
import html
import io
import json
import os
import re
from itertools import product
from pathlib import Path

import nbformat
import pytest
import typer
from fontTools.ttLib import TTFont
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pygments.styles import get_style_by_name

from semcg import pages
from semcg.pages import cells, check, font, frame, markup, status
from semcg_kit.commands import pages as commands
from semcg_kit.commands import teaching as minutes

ROOT = Path(__file__).parent.parent
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def link(target: str) -> str | None:
    return {"01_data.ipynb": "01_data.html"}.get(target)


# ---------------------------------------------------------------- Markdown


def test_formulas_become_mathml():
    page, _ = markup.markdown("Let $x_s < 1$.\n\n$$\\frac{a}{b} \\quad (1)$$\n", link=link)
    assert page.count("<math ") == 2
    assert 'alttext="x_s &lt; 1"' in page
    assert 'display="block"' in page
    assert "<mfrac>" in page
    assert "$" not in re.sub(r"<[^>]*>", "", page)


def test_the_bars_of_a_norm_keep_their_height():
    for formula in (r"\lVert x \rVert_1", r"\|x\|_1"):
        assert markup.mathml(formula).count('<mo fence="false" stretchy="false">&#x02016;</mo>') == 2


def test_the_font_of_formulas_lowers_subscripts_and_is_the_same_each_time():
    """Chromium puts a subscript on the line where no font has a MATH table; the style names ours as the last one."""
    made = font.face()
    font.face.cache_clear()
    assert font.face() == made
    data = base64.b64decode(re.search(r"base64,([^)]+)\)", made)[1])
    read = TTFont(io.BytesIO(data))
    constants = read["MATH"].table.MathConstants
    assert 0.1 < constants.SubscriptShiftDown.Value / read["head"].unitsPerEm < 0.4
    assert constants.ScriptPercentScaleDown == 71
    assert read.getBestCmap().keys() >= {ord(c) for c in "𝑥𝜆ℒ𝔼ℎ∑‖′(+"}
    assert not any("stix" in r.toUnicode().lower() for r in read["name"].names if r.nameID in (1, 4, 6))
    assert len(made) < 80_000
    style = frame.assets([])["style.css"]
    assert re.search(rf'math \{{ font: [^;]*"{font.NAME}", math;', style)
    assert made in style


def test_an_unknown_command_is_named():
    with pytest.raises(ValueError, match=r"\\nonsense"):
        markup.mathml(r"a + \nonsense b")


def test_headings_are_anchored_as_in_jupyterlab():
    _, sections = markup.markdown("# 01  The *data*\n\n## Read\n\n## Read\n", link=link)
    assert sections == [(1, "01-The-data", "01 The data"), (2, "Read", "Read"), (2, "Read-2", "Read")]
    _, sections = markup.markdown("## Turning $\\lambda_s$", link=link)
    assert sections == [(2, "Turning-\\lambda_s", "Turning λs")], "LaTeX is for the anchor alone"


def test_plain_text_has_no_gap_before_a_comma():
    assert (
        markup.plain("<p>A <em>look</em>, a <a href='x'>link</a>.</p><p>More</p>") == "A look, a link. More"
    )


def test_links_that_the_pages_lack_become_text():
    page, _ = markup.markdown("[a](01_data.ipynb) and [b](../README.md)", link=link)
    assert '<a href="01_data.html">a</a> and b' in page


def test_tables_and_code():
    page, _ = markup.markdown(
        "| a | b |\n|---|---|\n| $x$ | `y` |\n\n```python\nx = 1  # one\n```\n", link=link
    )
    assert '<div class="scroll"><table>' in page
    assert '<div class="code">' in page
    assert "<code>y</code>" in page


# ---------------------------------------------------------------- cells


def shown(*outputs, source: str = "1") -> nbformat.NotebookNode:
    cell = new_code_cell(source, outputs=list(outputs), execution_count=1, id="c01")
    return new_notebook(cells=[new_markdown_cell("# Title", id="c00"), cell])


def figure(alt: str) -> nbformat.NotebookNode:
    page = f'<figure><img {alt} src="data:image/png;base64,{PIXEL}"><figcaption>One.</figcaption></figure>'
    return new_output("display_data", {"text/html": page, "text/plain": "Figure"})


def test_a_figure_becomes_a_file_with_its_description():
    made = cells.body(shown(figure('alt="a dot"')), name="n", link=link)
    (name,) = made.pictures
    assert made.pictures[name].startswith(b"\x89PNG")
    assert f'<img loading="lazy" alt="a dot" src="pictures/{name}">' in made.html
    assert "base64" not in made.html


@pytest.mark.parametrize(
    "output", [figure(""), figure('alt=" "'), new_output("display_data", {"image/png": PIXEL})]
)
def test_a_figure_without_description_stops_the_build(output):
    with pytest.raises(ValueError, match="n, cell c01: a picture without a description"):
        cells.body(shown(output), name="n", link=link)


def test_what_is_printed_in_pieces_is_one_text():
    pieces = [
        new_output("stream", name=n, text=t)
        for n, t in (("stdout", "a\n"), ("stdout", "b\n"), ("stderr", "c\n"))
    ]
    page = cells.body(shown(*pieces), name="n", link=link).html
    assert page.count('<pre class="output">') == 2
    assert '<pre class="output">a\nb</pre>' in page


def test_outputs_are_text_and_nothing_else():
    made = cells.body(
        shown(
            new_output("stream", text="\x1b[31mred\x1b[0m <b>\n"),
            new_output("error", ename="E", evalue="x", traceback=["\x1b[1mE\x1b[0m: x"]),
            new_output(
                "display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "VBox"}
            ),
        ),
        name="n",
        link=link,
    )
    assert '<pre class="output">red &lt;b&gt;</pre>' in made.html
    assert "E: x" in made.html
    assert "VBox" not in made.html
    assert "the picture beside it says the same" in made.html
    assert cells.body(shown(), name="n", link=link).html.count("output") == 0


# ---------------------------------------------------------------- the whole


def course(folder: Path) -> list[Path]:
    first = shown(figure('alt="a dot"'))
    first.cells[0].source = "# 00  Start\n\nA *first* look.\n\n## Losses\n\nSee [data](01_data.ipynb#Where)."
    second = shown(new_output("stream", text="sky 3\n"))
    second.cells[0].source = "# 01  Data\n\nBytes & labels.\n\n## Where\n\nThe zenith $x_s$."
    paths = [folder / "00_start.ipynb", folder / "01_data.ipynb"]
    for path, notebook in zip(paths, (first, second), strict=True):
        nbformat.write(notebook, path)
    (folder / "instructor.md").write_text("# For instructors\n\n## Ninety minutes\n\nPlan.\n")
    return paths


def built(folder: Path, **options) -> Path:
    out = folder / "site"
    pages.build(out, notebooks=course(folder), documents=[folder / "instructor.md"], **options)
    return out


def test_a_course_becomes_pages_without_a_fault(tmp_path):
    out = built(tmp_path)
    assert pages.faults(out) == []
    names = {p.name for p in out.glob("*.html")}
    assert names == {
        "index.html",
        "00_start.html",
        "01_data.html",
        "instructor.html",
        "status.html",
        "search.html",
    }
    assert 'href="01_data.html#Where"' in (out / "00_start.html").read_text()
    overview = (out / "index.html").read_text()
    assert "A first look." in overview
    assert "Bytes &amp; labels." in overview
    index = json.loads(
        (out / "assets" / "index.js").read_text().removeprefix("const PAGES = ").removesuffix(";\n")
    )
    (where,) = [s for s in index if s["anchor"] == "Where"]
    assert where["file"] == "01_data.html"
    assert where["text"].startswith("The zenith x_s.")
    assert "sky 3" in where["text"]
    assert not any("zenith" in s["text"] for s in index if s["anchor"] != "Where")


def test_what_the_notebooks_lead_to_becomes_a_page_too(tmp_path):
    """A glossary beside them, and what that leads to; nothing that is not there, and nothing if that is not wanted."""
    paths = course(tmp_path)
    for name, text in (
        ("00_start", "# 00\n\nA word: [sky](glossary.ipynb#Sky). [Gone](gone.ipynb), [up](../README.md)."),
        ("glossary", "# Words\n\n## Sky\n\nMore in [more](more.ipynb), less in [01](01_data.ipynb)."),
        ("more", "# More\n\nBack to [00](00_start.ipynb)."),
        ("other", "# Other"),
    ):
        nbformat.write(new_notebook(cells=[new_markdown_cell(text)]), tmp_path / f"{name}.ipynb")
    for out, linked in ((tmp_path / "site", True), (tmp_path / "alone", False)):
        pages.build(out, notebooks=paths, linked=linked)
        assert {p.stem for p in out.glob("*.html")} == {
            *("index", "status", "search", "00_start", "01_data"),
            *(("glossary", "more") if linked else ()),
        }
        assert pages.faults(out) == []
    page = (tmp_path / "site" / "00_start.html").read_text()
    assert '<a href="glossary.html#Sky">sky</a>. Gone, up.' in page
    overview = (tmp_path / "site" / "index.html").read_text()
    assert '<li><a href="glossary.html">Words</a></li>' in overview


def test_pages_are_the_same_each_time_and_replace_the_old(tmp_path):
    out = built(tmp_path)
    before = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    (out / "left over.html").write_text("x")
    built(tmp_path)
    assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_a_foreign_folder_is_not_replaced(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="no folder of pages"):
        built(tmp_path)
    assert (tmp_path / "site" / "thesis.tex").read_text() == "x"


def test_a_fault_keeps_the_old_pages(tmp_path):
    out = built(tmp_path)
    before = (out / "index.html").read_bytes()
    deep = tmp_path / "deep.md"
    deep.write_text("# A\n\n### Too deep\n")
    with pytest.raises(ValueError, match="deep.html: an h3 follows an h1"):
        pages.build(out, notebooks=course(tmp_path), documents=[deep])
    assert (out / "index.html").read_bytes() == before


def test_the_committed_course_has_no_fault(tmp_path):
    notebooks = sorted((ROOT / "notebooks").glob("0*.ipynb"))
    documents = sorted((ROOT / "docs").glob("*.md"))
    pages.build(tmp_path / "site", notebooks=notebooks, documents=documents)
    text = "".join(p.read_text() for p in (tmp_path / "site").glob("*.html"))
    assert text.count("<math ") > 50
    drawn = {
        ord(c)
        for formula in re.findall(r"<math.*?</math>", text, re.DOTALL)
        for piece in re.findall(r"<m[ino][^>]*>([^<]*)<", formula)
        for c in html.unescape(piece)
    }
    assert drawn <= font.GLYPHS, [chr(c) for c in drawn - font.GLYPHS]
    words = {anchor for _, anchor, _ in markdown_sections(ROOT / "notebooks" / "glossary.ipynb")}
    led = re.findall(r'href="glossary\.html#([^"]+)"', text)
    assert len(set(led)) > 30
    assert set(map(html.unescape, led)) <= words
    assert len(list((tmp_path / "site" / "pictures").iterdir())) >= 10
    assert not re.search(r'<(?:img|script|link)[^>]*(?:src|href)="(?:https?:)?//', text)


def markdown_sections(notebook: Path) -> list[markup.Section]:
    return cells.body(nbformat.read(notebook, as_version=4), name="n", link=link).sections


PLANTED = {
    "no language": ('<html lang="en">', "<html>"),
    "no title": ("<title>01 Data · semcg</title>", ""),
    "one h1": ("<h1 ", "<h2 "),
    "an h4 follows": ('<h2 id="Where">', '<h4 id="Where">'),
    "occurs 2 times": ('id="cell-c01"', 'id="cell-c00"'),
    "leads nowhere": ('href="index.html"', 'href="gone.html"'),
    "leads to no place": ('id="main"', 'id="other"'),
    "loaded from example.org": ('src="assets/site.js"', 'src="https://example.org/site.js"'),
    "is not there": ("assets/style.css", "assets/other.css"),
    "has no label": ('<label for="q">', '<label for="p">'),
    "has no description": ("<footer>", ""),
}


@pytest.mark.parametrize("words", PLANTED)
def test_a_planted_fault_is_found(words, tmp_path):
    out = built(tmp_path)
    path = out / ("00_start.html" if words == "has no description" else "01_data.html")
    text = path.read_text()
    if words == "has no description":
        path.write_text(text.replace('alt="a dot"', 'alt=""'))
    else:
        assert PLANTED[words][0] in text
        path.write_text(text.replace(*PLANTED[words]))
    assert any(words in fault for fault in pages.faults(out)), pages.faults(out)


def test_a_style_may_load_nothing_from_elsewhere(tmp_path):
    out = built(tmp_path)
    with open(out / "assets" / "style.css", "a") as style:
        style.write("body { background: url(https://example.org/x.png) }")
    assert any("another host" in fault for fault in check.faults(out))


# ---------------------------------------------------------------- contrast


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: (lighter + 0.05) / (darker + 0.05)."""
    low, high = sorted((luminance(one.lstrip("#")), luminance(other.lstrip("#"))))
    return (high + 0.05) / (low + 0.05)


def palettes() -> dict[str, dict[str, str]]:
    style = frame.assets([])["style.css"]
    light, dark = (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root[^{]*\{(.*?)\}", style, re.S)[:2]
    )
    return {"light": light, "dark": light | dark}


def test_contrast_by_hand():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_on_every_plate(theme):
    colors = palettes()[theme]
    for ink, plate in product(("ink", "soft", "link", "accent"), ("paper", "plate")):
        assert contrast(colors[ink], colors[plate]) >= 4.5, (ink, plate)
    assert contrast(colors["soft"], colors["mark"]) >= 4.5
    style = get_style_by_name({"light": frame.LIGHT, "dark": frame.DARK}[theme])
    for token, look in style:
        if look["color"] and not str(token).startswith("Token.Generic"):
            assert contrast(look["color"], colors["plate"]) >= 4.5, token


# ---------------------------------------------------------------- status


def recorded(results: Path, name: str, record: dict) -> None:
    folder = results / "mini" / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record))


def stating(folder: Path, name: str, seconds: float | None) -> None:
    said = minutes.Minutes(20, seconds, "mini")
    kept = json.dumps({"read": 20, "seconds": seconds, "profile": "mini"})
    cell = new_markdown_cell(f"# {name}\n\n<!-- time {kept} -->{said.text}<!-- end of time -->")
    nbformat.write(new_notebook(cells=[cell]), folder / f"{name}.ipynb")


@pytest.fixture
def runs(tmp_path) -> tuple[Path, Path]:
    """Results with an execution of 100 s that reused a training of 500 s, and notebooks that state times."""
    results, notebooks = tmp_path / "results", tmp_path / "notebooks"
    notebooks.mkdir()
    ok = {"status": "ok", "seconds": 100.0, "trained": {}, "why": {"cyclegan-s0": "reused"}}
    recorded(results, "03_c-s0", ok)
    recorded(results, "04_d", {"status": "killed", "seconds": 5.0, "reason": "the kernel died"})
    made = results / "mini" / "cyclegan-s0"
    made.mkdir()
    provenance = {"seconds": 500.0, "peak_memory_bytes": 3 * 2**30, "device": "CPU (AVX2)"}
    (made / "provenance.json").write_text(json.dumps(provenance))
    for name, seconds in (("02_b", None), ("03_c", 590.0), ("04_d", 60.0)):
        stating(notebooks, name, seconds)
    return results, notebooks


NAMES = ("02_b", "03_c", "04_d")


def test_a_run_is_reported_with_the_trainings_it_reused(runs):
    none, ran, killed = pages.rows(*runs, NAMES)
    assert (none.state, none.seconds) == ("not run", None)
    assert (ran.state, ran.seconds, ran.whole) == ("ok", 100.0, 600.0)
    assert (ran.memory, ran.device, ran.stated) == (3 * 2**30, "CPU (AVX2)", 590.0)
    assert (killed.state, killed.whole, killed.off) == ("killed", None, False)
    text = pages.table([none, ran, killed])
    assert re.search(r"03_c +mini +ok .* 1:40 +10:00 +3\.0 GiB  CPU \(AVX2\)", text)
    assert "04_d, mini: the kernel died" in text


@pytest.mark.parametrize(
    ("stated", "off"),
    [(590.0, False), (301.0, False), (299.0, True), (1199.0, False), (1201.0, True), (None, False)],
)
def test_a_time_may_be_wrong_by_a_factor_of_two(runs, stated, off):
    stating(runs[1], "03_c", stated)
    row = pages.rows(*runs, NAMES)[1]
    assert row.off is off
    assert ("semcg times --profile mini" in pages.table([row])) is off


def test_short_times_are_not_told_apart():
    assert not status.Row("a", "mini", "ok", whole=3.0, stated=40.0).off
    assert status.Row("a", "mini", "ok", whole=130.0, stated=10.0).off


def test_a_time_for_another_profile_is_no_statement(runs):
    assert pages.stated_seconds(runs[1] / "03_c.ipynb", "gpu") is None


def test_the_newest_seed_counts(runs):
    results, notebooks = runs
    recorded(
        results, "03_c-s1", {"status": "failed", "seconds": 1.0, "reason": "03_c, cell 4: ValueError: x"}
    )
    old = results / "mini" / "notebooks" / "03_c-s0.json"
    os.utime(old, (1, 1))
    row = pages.rows(results, notebooks, NAMES)[1]
    assert row.state == "failed"
    assert row.seconds == 1.0
    assert row.whole == 600.0, "of the newest that ended well"


def test_the_status_and_the_times_take_the_same_execution(runs):
    """Seed 3 is newer than seed 0: what it took counts, in the table and in what `semcg times` would write."""
    results, notebooks = runs
    recorded(results, "03_c-s3", {"status": "ok", "seconds": 2000.0, "trained": {}, "why": {}})
    os.utime(results / "mini" / "notebooks" / "03_c-s0.json", (1, 1))
    row = pages.rows(results, notebooks, NAMES)[1]
    assert (row.seconds, row.whole, row.off) == (2000.0, 2000.0, True)
    assert minutes.measured(results / "mini", "03_c") == 2000.0


def test_the_command_fails_where_a_time_is_wrong(runs, monkeypatch, capsys):
    results, notebooks = runs
    monkeypatch.setattr(commands, "_notebooks", lambda: [notebooks / f"{n}.ipynb" for n in NAMES])
    commands.status(results=results)
    stating(notebooks, "03_c", 100.0)
    with pytest.raises(typer.Exit) as stopped:
        commands.status(results=results)
    assert stopped.value.exit_code == 1
    assert "03_c states 1:40 under profile mini, but takes 10:00" in capsys.readouterr().out


def test_the_pages_are_written_before_the_command_fails(runs, monkeypatch, tmp_path, capsys):
    results, notebooks = runs
    monkeypatch.setattr(commands, "_notebooks", lambda: [notebooks / f"{n}.ipynb" for n in NAMES])
    monkeypatch.setattr(commands, "_ROOT", tmp_path)
    commands.site(out=tmp_path / "site", results=results)
    assert "off" not in capsys.readouterr().out
    stating(notebooks, "03_c", 100.0)
    with pytest.raises(typer.Exit) as stopped:
        commands.site(out=tmp_path / "site", results=results)
    assert stopped.value.exit_code == 1
    said = capsys.readouterr().out
    assert said.startswith(f"6 pages; open {tmp_path / 'site' / 'index.html'}")
    assert "03_c states 1:40 under profile mini, but takes 10:00" in said
    assert "The pages are whole" in said
    assert "1:40 (off)" in (tmp_path / "site" / "status.html").read_text()
    assert pages.faults(tmp_path / "site") == []


def test_the_status_page_says_what_is_off(runs, tmp_path):
    stating(runs[1], "03_c", 100.0)
    out = built(tmp_path, status=pages.rows(*runs, NAMES))
    text = (out / "status.html").read_text()
    assert "1:40 (off)" in text
    assert "Off by more than a factor of two" in text


def test_nothing_was_run(tmp_path):
    (tmp_path / "results").mkdir()
    assert pages.rows(tmp_path / "results", tmp_path, NAMES) == []
    assert "make course" in pages.table([])
