"""The pages as a reader opens them: from a folder, without a server, wide and narrow, light and dark, by keyboard."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The pages by name, so that one can be chosen; a test holds the list against what is built.
FILES = (
    "index.html",
    "00_start_here.html",
    "01_data.html",
    "02_segmenters.html",
    "03_cyclegan.html",
    "04_semantic_cyclegan.html",
    "05_evaluation.html",
    "06_report.html",
    "07_real_time.html",
    "glossary.html",
    "instructor.html",
    "promises.html",
    "status.html",
    "search.html",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """What `make site` builds, with a run on its status page."""
    from semcg import pages
    from semcg_kit.commands import pages as commands

    out = tmp_path_factory.mktemp("pages") / "site"
    row = pages.Row("03_cyclegan", "mini", "ok", "2026-01-01 10:00", 30.0, 150.0, 2**30, "CPU (AVX2)", 120.0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(commands, "_rows", lambda results: [row])
        commands.site(out=out)
    return out


@pytest.fixture
def go(site, opened):
    """Return (file, width, dark) -> an open page, which must not complain until the test ends."""
    watched = []

    def visit(file: str, width: int = 1280, *, dark: bool = False):
        page, wrong = opened(width, dark=dark)
        watched.append((file, wrong))
        page.goto((site / file.partition("?")[0]).as_uri() + file[len(file.partition("?")[0]) :])
        page.wait_for_load_state("load")
        return page

    yield visit
    for file, wrong in watched:
        assert wrong == [], file


def test_no_page_is_forgotten(site):
    assert sorted(path.name for path in site.glob("*.html")) == sorted(FILES)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("file", FILES)
def test_a_page_is_whole_and_can_be_read_by_everybody(file, width, dark, go, shot):
    """No console error, no broken picture, nothing wider than the screen, no serious finding of axe."""
    from axe_playwright_python.sync_playwright import Axe

    page = go(file, width, dark=dark)
    page.evaluate("for (const i of document.images) i.loading = 'eager'")
    page.wait_for_function("[...document.images].every((i) => i.complete)")
    broken = page.evaluate("[...document.images].filter((i) => !i.naturalWidth).map((i) => i.src)")
    assert broken == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page, options={"preload": False}).response["violations"]  # preloading asks for files
    serious = [
        f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
    shot(page, f"page_{file.removesuffix('.html')}_{'dark' if dark else 'light'}{width}")


def test_search_finds_words_and_leads_there(go, shot):
    page = go("index.html")
    page.get_by_label("Search").fill("dilation")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=dilation")
    links = page.locator("#found a")
    assert links.count() >= 2
    assert "Segmenters" in links.first.inner_text()
    shot(page, "search")
    links.first.click()
    page.wait_for_url("**/02_segmenters.html#*")
    page.wait_for_function("scrollY > 0")


def test_search_finds_nothing_without_a_match_and_reads_no_html(go):
    page = go("search.html?q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    assert page.locator("#found img").count() == 0
    page.get_by_label("Words, or how they begin").fill("qqqq")
    assert page.locator("#said").inner_text() == "0 places"


def test_the_theme_is_chosen_by_a_button_and_kept(go):
    page = go("index.html")
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "light"
    button = page.get_by_role("button", name="Dark")
    button.press("Enter")
    assert page.evaluate(theme) == "dark"
    assert button.get_attribute("aria-pressed") == "true"
    page.get_by_role("link", name="01 The data").first.click()
    page.wait_for_load_state("load")
    assert page.evaluate(theme) == "dark"


def test_the_keyboard_reaches_the_text_first(go):
    page = go("03_cyclegan.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the text"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_formulas_are_drawn_without_a_script(go, shot):
    page = go("04_semantic_cyclegan.html")
    formula = page.locator(".formula math").first
    formula.scroll_into_view_if_needed()
    box = formula.bounding_box()
    assert box["height"] > 20
    assert box["width"] > 100
    shot(page, "formula")
    low = "m => m.lastElementChild.getBoundingClientRect().bottom - m.firstElementChild.getBoundingClientRect().bottom"
    for family in (
        "",
        "semcg formulas",
    ):  # what this machine has, and what a machine without such a font is given
        if family:
            page.add_style_tag(content=f"math {{ font-family: '{family}' }}")
        page.evaluate("document.fonts.ready")
        assert page.locator("math msub").first.evaluate(low) > 1, "a subscript stands lower than its letter"


def test_the_list_of_pages_is_folded_where_the_screen_is_narrow(go):
    page = go("00_start_here.html", 400)
    assert not page.locator("details.pages").evaluate("d => d.open")
    page.get_by_text("All pages").click()
    page.get_by_role("link", name="05 Evaluation").first.click()
    page.wait_for_url("**/05_evaluation.html")
