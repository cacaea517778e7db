"""JupyterLab in a real browser: every notebook runs under profile smoke, and the explorers move.

The server listens on loopback, with settings and workspaces of its own. A notebook is run by Lab's own command, whose
promise is kept only once the kernel is really there: the status "idle" is shown before that.
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

from semcg.runs.course import SEQUENCE

ROOT = Path(__file__).parents[2]
TOKEN = secrets.token_hex(16)
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}

EXPLORERS = {
    "street": "from semcg import widgets\nwidgets.street(size=(48, 96))",
    "field": (
        "import torch\nfrom semcg import segmenters, widgets\ntorch.manual_seed(0)\n"
        "net = segmenters.DRN26(width=1 / 64).eval()\n"
        "widgets.field_of_view({'DRN-26': net}, torch.zeros(3, 48, 96))"
    ),
    "weight": (
        "import pandas as pd\nfrom semcg import widgets\n"
        "rows = [(c, s, 'sky kept', 'all', w / 20 + s / 100) for w, c in ((0.0, 'a'), (1.0, 'b')) for s in (1, 2)]\n"
        "table = pd.DataFrame(rows, columns=['condition', 'seed', 'measure', 'class', 'value'])\n"
        "widgets.weight(table, {0.0: 'a', 1.0: 'b'})"
    ),
    "live": (
        "import time\nimport numpy as np\nfrom semcg import widgets\n\n\n"
        "def records():\n    for n in range(2000):\n        time.sleep(0.02)\n        yield {'step': n + 1, 'gan': 1 / (n + 1)}\n\n\n"
        "widgets.Live(records(), steps=2000, names=['gan'], look=lambda: {'x': np.zeros((8, 8, 3), np.uint8)}, seconds=0.5)"
    ),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Return the address of a server whose root holds the notebooks and one notebook per explorer."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "notebooks")
    for name, source in EXPLORERS.items():
        notebook = new_notebook(cells=[new_code_cell(source)])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, home / f"{name}.ipynb")
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(QUIET))
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


@pytest.mark.slow
@pytest.mark.parametrize("name", SEQUENCE)
def test_a_notebook_runs_in_order(name, run, shot):
    """In the order of the course: a notebook finds what the one before it has trained."""
    page = run(f"notebooks/{name}.ipynb")
    assert page.evaluate(WITHOUT) == 0
    shot(page, f"lab_{name}")


def picture(page) -> str:
    return page.locator(".jp-OutputArea img").first.get_attribute("src")


def changed(page, before: str) -> None:
    page.wait_for_function("src => document.querySelector('.jp-OutputArea img').src !== src", arg=before)


def test_the_world_explorer_moves_by_keyboard(run, shot):
    page = run("street.ipynb")
    before = picture(page)
    page.locator(".widget-slider .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    changed(page, before)
    page.get_by_text("Street 8 of the source").wait_for()
    before = picture(page)
    page.get_by_label("Built as in the").select_option("target")
    changed(page, before)
    assert page.evaluate(WITHOUT) == 0
    shot(page, "lab_street")


def test_the_field_of_view_moves_by_keyboard(run, shot):
    page = run("field.ipynb")
    before = picture(page)
    page.locator(".widget-slider .noUi-handle").first.focus()
    page.keyboard.press("ArrowLeft")
    changed(page, before)
    assert "rows" in page.locator(".jp-OutputArea img").first.get_attribute("alt")
    shot(page, "lab_field")


def test_lambda_moves_by_keyboard(run, shot):
    page = run("weight.ipynb")
    page.get_by_text("sky kept 0.065").wait_for()
    before = picture(page)
    page.locator(".widget-slider .noUi-handle").first.focus()
    page.keyboard.press("ArrowLeft")
    changed(page, before)
    page.get_by_text("sky kept 0.015").wait_for()
    shot(page, "lab_weight")


def test_live_training_can_be_stopped_and_goes_on(run, shot):
    page = run("live.ipynb")
    steps = (
        "() => Number(document.querySelector('.widget-hprogress .progress-bar').style.width.replace('%', ''))"
    )
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_function(f"({steps})() > 0")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("Stopped after").wait_for(timeout=20_000)
    stopped = page.evaluate(steps)
    assert 0 < stopped < 100
    time.sleep(1)
    assert page.evaluate(steps) == stopped
    page.get_by_role("button", name="Continue", exact=True).click()
    page.wait_for_function(f"({steps})() > {stopped}")
    shot(page, "lab_live")
