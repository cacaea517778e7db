"""JupyterLab in a real browser: every notebook and the glossary open and run under profile smoke, and each explorer moves.

The server listens on loopback, with settings and workspaces of its own. A notebook is run by Lab's own command, whose
promise is kept only once the kernel is really there: the status "idle" is shown before that. An explorer is moved by
keyboard where it stands, in its notebook, after everything above it has run. Notebooks 02 to 05 need what the ones
before them left, so that of these a single test cannot be chosen; all others can.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[2]
TOKEN = secrets.token_hex(16)
SETTINGS = {  # no news that cover the page, and all cells of a notebook on it, not only those in sight
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "notebook-extension/tracker": {"windowingMode": "none"},
}
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))

LIVE = """
import time
import numpy as np
from semcg import widgets


def records():
    for n in range(2000):
        time.sleep(0.02)
        yield {"step": n + 1, "gan": 1 / (n + 1)}


watched = widgets.Live(
    records(), steps=2000, names=["gan"], look=lambda: {"x": np.zeros((8, 8, 3), np.uint8)}, seconds=0.5
)
watched
"""
"""A training that is long enough to be stopped, as those of profile smoke are not."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Return the address of a server whose root holds the notebooks and a long training."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "notebooks")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    long = new_notebook(cells=[new_code_cell(LIVE)], metadata={"kernelspec": kernel})
    nbformat.write(long, home / "live.ipynb")
    for name, content in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "SEMCG_HOME": str(home),
        "SEMCG_PROFILE": "smoke",
    }
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
    ]
    command += [
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={home}",
    ]
    command += ["--LabApp.expose_app_in_browser=True"]
    with open(home / "lab.log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=home)
        try:
            _wait(f"http://127.0.0.1:{port}/api?token={TOKEN}", server, home / "lab.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(480):
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")


RUN = """async () => {
    const app = window.jupyterapp;
    await app.restored;
    while (!app.shell.currentWidget?.sessionContext) await new Promise((r) => setTimeout(r, 100));
    const context = app.shell.currentWidget.sessionContext;
    await context.ready;
    await context.session.kernel.info;
    await app.commands.execute('notebook:run-all-cells');
}"""
FAILED = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter((c) => c.model.type === 'code')
    .flatMap((c) => c.model.outputs.toJSON())
    .filter((o) => o.output_type === 'error')
    .map((o) => `${o.ename}: ${o.evalue}`)"""
WITHOUT = """() => [...document.querySelectorAll('.jp-OutputArea img')].filter((i) => !i.alt.trim()).length"""
CUT = """() => [...document.querySelectorAll('.widget-label, .widget-label-basic, .widget-toggle-button')]
    .filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent)"""
"""Descriptions of controls that do not fit."""
ASK = """async (code) => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const asked = kernel.requestExecute({ code });
    let said = '';
    asked.onIOPub = (message) => { said += message.content.text ?? ''; };
    await asked.done;
    return said;
}"""
"""What the kernel prints."""


@pytest.fixture
def run(lab, opened):
    """Return notebook -> Lab's page after all its cells have run, without an error in a cell."""

    def execute(path: str):
        page, wrong = opened()
        page.set_default_timeout(300_000)
        page.goto(f"{lab}/lab/tree/{path}?token={TOKEN}&reset")
        page.wait_for_selector(".jp-Cell")
        page.evaluate(RUN)
        assert page.evaluate(FAILED) == []
        assert [w for w in wrong if w.startswith(("asked", "exception"))] == []
        return page

    return execute


def moved(box, sign: str, act) -> None:
    """Do something to an explorer and wait until its picture is another one and the sign of the new state is there."""
    from playwright.sync_api import expect

    shown = box.locator("img").first
    before = shown.get_attribute("src")
    act()
    expect(shown).not_to_have_attribute("src", before, timeout=120_000)
    box.locator(sign).first.wait_for()


def pressed(page, button: str, sign: str) -> None:
    """Press a button of the page's explorer by keyboard and wait for the sign of the new state."""
    box = page.locator(".widget-vbox").filter(has=page.locator(".noUi-handle")).first
    box.get_by_role("button", name=button, exact=True).press("Enter")
    box.locator(sign).first.wait_for()


def turned(key: str, sign: str):
    """Return what presses a key on the first slider of a page's explorer."""

    def turn(page) -> None:
        box = page.locator(".widget-vbox").filter(has=page.locator(".noUi-handle")).first
        moved(box, sign, lambda: box.locator(".noUi-handle").first.press(key))

    return turn


def walked(page) -> None:
    turned("ArrowRight", "text=Street 8 of the source")(page)
    pressed(page, "target", "text=Street 8 of the target")


def looked_at(page) -> None:
    turned("ArrowRight", "img[alt^='source of frame 1,']")(page)
    pressed(page, "oracle", "img[alt^='translation of frame 1, oracle']")


def trained(page) -> None:
    """Start by keyboard; a training of profile smoke is over before it can be stopped."""
    page.get_by_role("button", name="Start", exact=True).press("Enter")
    page.get_by_text("Done after").wait_for()


EXPLORERS = {
    "00_start_here": walked,
    "02_segmenters": turned("ArrowRight", "text=dilated: rows 6 to 319"),
    "03_cyclegan": trained,
    "04_semantic_cyclegan": turned("ArrowRight", "text=lambda_s = 3 "),
    "05_evaluation": looked_at,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_its_explorer_moves(name, run, shot):
    """In the order of the course: a notebook finds what the one before it has trained."""
    page = run(f"notebooks/{name}.ipynb")
    assert page.evaluate(WITHOUT) == 0
    if name in EXPLORERS:
        EXPLORERS[name](page)
        assert page.evaluate(WITHOUT) == 0
        assert page.evaluate(CUT) == []
    shot(page, f"lab_{name}")


def test_live_training_is_stopped_and_goes_on_by_keyboard(run, shot):
    page = run("live.ipynb")
    done = "print(watched.task.done(), len(watched.history))"
    page.get_by_role("button", name="Start", exact=True).press("Enter")
    page.wait_for_function("parseFloat(document.querySelector('.progress-bar').style.width) > 0")
    page.get_by_role("button", name="Stop", exact=True).press("Enter")
    said = page.get_by_text("Stopped after").inner_text()
    over, steps = page.evaluate(ASK, done).split()
    assert over == "True", "nothing trains any more"
    assert said == f"Stopped after {steps} of 2000 steps."
    assert 0 < int(steps) < 2000
    page.get_by_role("button", name="Continue", exact=True).press("Enter")
    page.get_by_text("Training.").wait_for()
    page.wait_for_function(
        "before => 20 * parseFloat(document.querySelector('.progress-bar').style.width) > before",
        arg=int(steps),
    )
    assert page.evaluate(ASK, done).startswith("False")
    shot(page, "lab_live")
