"""The site as a reader opens it: from a folder, without a server, wide and narrow, light and dark, by keyboard."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = runpy.run_path(str(ROOT / "docs" / "conf.py"))["include_patterns"]
FILES = ["search.html"] + [
    path.relative_to(ROOT).with_suffix(".html").as_posix()
    for pattern in SOURCES
    for path in sorted(ROOT.glob(pattern))
]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """What `make site` builds."""
    from semcg_kit.commands import pages

    out = tmp_path_factory.mktemp("pages") / "site"
    pages.site(out=out)
    return out


@pytest.fixture
def go(site, opened):
    """Return (file, width, dark) -> an open page, which must not complain until the test ends."""
    watched = []

    def visit(file: str, width: int = 1280, *, dark: bool = False):
        page, wrong = opened(width, dark=dark)
        watched.append((file, wrong))
        name, question, query = file.partition("?")
        page.goto((site / name).as_uri() + question + query)
        page.wait_for_load_state("load")
        return page

    yield visit
    for file, wrong in watched:
        assert wrong == [], file


def test_no_page_is_forgotten(site):
    assert sorted(p.relative_to(site).as_posix() for p in site.rglob("*.html")) == sorted(
        [*FILES, "index.html"]
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("file", FILES)
def test_a_page_is_whole_and_can_be_read_by_everybody(file, width, dark, go, shot):
    """No console error, no broken picture, nothing wider than the screen, no serious finding of axe."""
    from axe_playwright_python.sync_playwright import Axe

    page = go(file, width, dark=dark)
    page.wait_for_function("[...document.images].every((i) => i.complete)")
    broken = page.evaluate("[...document.images].filter((i) => !i.naturalWidth).map((i) => i.src)")
    assert broken == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page, options={"preload": False}).response["violations"]  # preloading asks for files
    serious = [
        f"{v['id']}: {v['help']}: {node['html'][:200]}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]
    assert serious == []
    shot(page, f"page_{file.removesuffix('.html').replace('/', '_')}_{'dark' if dark else 'light'}{width}")


def test_the_folder_opens_at_the_first_page(go):
    page = go("index.html")
    page.wait_for_url("**/README.html")
    assert page.locator("article img").first.is_visible()


def test_search_finds_words_and_leads_there(go, shot):
    page = go("README.html")
    page.get_by_role("textbox", name="Search").fill("dilation")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=dilation*")
    page.get_by_text("Search finished").wait_for()
    links = page.locator("#search-results li a")
    assert links.count() >= 2
    shot(page, "search")
    page.locator("#search-results").get_by_role("link", name="02 Segmenters").first.click()
    page.wait_for_url("**/notebooks/02_segmenters.html*")
    assert "dilation" in page.locator("article").inner_text()


def test_search_finds_nothing_without_a_match_and_reads_no_html(go):
    page = go("search.html?q=qqqq%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    page.get_by_text("did not match any documents").wait_for()
    assert page.locator("#search-results img").count() == 0


def test_a_quiz_is_answered_on_its_page_by_keyboard(go):
    page = go("notebooks/04_semantic_cyclegan.html", 400)
    question = page.get_by_text("Answer on this page").locator("xpath=..")
    choice = question.locator("xpath=following-sibling::details").first
    choice.locator("summary").press("Enter")
    assert choice.get_by_text(re.compile(r"^(Right|No)\. ")).is_visible()


def test_the_theme_is_chosen_by_a_button_and_kept(go):
    page = go("README.html")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    button = page.get_by_role("button", name="Toggle Light").locator("visible=true")
    while page.evaluate("document.body.dataset.theme") != "dark":
        button.press("Enter")
    assert page.evaluate(paper) != light
    page.get_by_role("link", name="01 The data").first.click()
    page.wait_for_load_state("load")
    assert page.evaluate("document.body.dataset.theme") == "dark"


def test_the_keyboard_reaches_the_text_first(go):
    page = go("notebooks/03_cyclegan.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to content"
    page.keyboard.press("Enter")
    page.wait_for_url("**#furo-main-content")
    page.keyboard.press("Tab")
    assert page.evaluate("!!document.activeElement.closest('article')")


def test_what_scrolls_sideways_is_scrolled_by_keyboard(go):
    page = go("notebooks/03_cyclegan.html", 400)
    box = page.locator("pre[tabindex='0']").first
    box.focus()
    box.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")


def test_formulas_are_drawn_without_a_script(go, shot):
    page = go("notebooks/04_semantic_cyclegan.html")
    formula = page.locator(".math-block math").first
    formula.scroll_into_view_if_needed()
    box = formula.bounding_box()
    assert box["height"] > 15
    assert box["width"] > 100
    shot(page, "formula")
    low = "m => m.lastElementChild.getBoundingClientRect().bottom - m.firstElementChild.getBoundingClientRect().bottom"
    page.add_style_tag(
        content="math { font-family: 'semcg formulas' }"
    )  # as where no other font is installed
    assert page.evaluate("document.fonts.load('16px \"semcg formulas\"').then((found) => found.length)") == 1
    assert page.locator("math msub").first.evaluate(low) > 1, "a subscript stands lower than its letter"


def test_a_narrow_screen_folds_the_list_of_pages_and_the_keyboard_unfolds_it(go):
    page = go("notebooks/00_start_here.html", 400)
    there = page.locator(".sidebar-drawer").get_by_role("link", name="05 Evaluation")
    assert not there.is_visible()
    page.get_by_role("button", name="Toggle site navigation sidebar").press("Enter")
    there.press("Enter")
    page.wait_for_url("**/05_evaluation.html")
