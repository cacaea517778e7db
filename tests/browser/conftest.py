"""A headless Chromium for the tests of this folder; without one they skip with a printed reason.

Needed are the extra `browser` (playwright and axe) and a Chromium: $SEMCG_CHROMIUM, or one on the path. Nothing is
installed from here. With SEMCG_BROWSER=required (`make browser-test`) a missing browser is a failure.
"""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # tests may run as root, where the sandbox refuses to start
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SHOTS = os.environ.get("SEMCG_SCREENSHOTS")


def missing() -> str:
    """Return what keeps the tests from running, "" if nothing does."""
    for package in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed: pip install -c requirements.lock -e '.[dev,browser]'"
    if not binary():
        return "no Chromium on the path: apt-get install chromium, or let SEMCG_CHROMIUM name one"
    return ""


def binary() -> str | None:
    named = os.environ.get("SEMCG_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


def pytest_collection_modifyitems(items):
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.browser)
    if here and (why := missing()):
        if os.environ.get("SEMCG_BROWSER") == "required":
            raise pytest.UsageError(f"browser tests were asked for: {why}")
        print(f"\nBrowser tests skip: {why}")
        for item in here:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as played:
        started = played.chromium.launch(executable_path=binary(), args=list(FLAGS), timeout=120_000)
        yield started
        started.close()


@pytest.fixture
def opened(browser):
    """Return (width, dark) -> a page, and a list of what went wrong on it: console errors, exceptions, requests."""
    contexts = []

    def make(width: int = 1280, *, dark: bool = False):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page, wrong = context.new_page(), []
        page.set_default_timeout(120_000)
        page.on("console", lambda m: wrong.append(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(f"exception: {error}"))
        page.on("requestfailed", lambda r: wrong.append(f"failed: {r.url}"))
        page.on("request", lambda r: None if at_home(r.url) else wrong.append(f"asked another host: {r.url}"))
        return page, wrong

    yield make
    for context in contexts:
        context.close()


def at_home(url: str) -> bool:
    return url.startswith(
        ("file:", "data:", "blob:", "http://127.0.0.1", "http://localhost", "ws://127.0.0.1")
    )


@pytest.fixture
def shot(request):
    """Return (page, name) -> a screenshot in $SEMCG_SCREENSHOTS, for whoever wants to look."""

    def take(page, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))

    return take
