"""The command line: what a user can mend is one line, and help answers without torch."""

import subprocess
import sys

import pytest

from semcg_kit.__main__ import app


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["course", "--profile", "huge"], "profile = 'huge': unknown; allowed: paper, gpu, mini, smoke"),
        (["course", "--device", "abacus"], "device = 'abacus'"),
        (["course", "--data", "nowhere"], "no data in"),
        (["run", "09_none"], "no notebook 09_none; the course has 00_start_here"),
        (
            ["run", "04_semantic_cyclegan", "-p", "lambda=3"],
            "04_semantic_cyclegan has no parameter lambda; it has",
        ),
        (
            ["run", "04_semantic_cyclegan", "-p", "lambda_s=big"],
            "lambda_s = 'big': input should be a valid number",
        ),
        (["run", "04_semantic_cyclegan", "-p", "lambda_s"], "'lambda_s': write name=value"),
        (["run", "04_semantic_cyclegan", "--profile", "smoke"], "no data in"),
        (
            ["prepare", "folder", "--out", "o", "--source", "nowhere", "--target", "elsewhere"],
            "no folder nowhere",
        ),
        (["translate", "--weights", "nowhere", "in", "out"], "no weights nowhere/G_st.safetensors"),
        (["compare", "nowhere", "here"], "nowhere"),
        (["figures", "--profile", "smoke"], "no data in"),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_what_a_user_can_mend_is_said_without_a_traceback(home, monkeypatch, semcg, arguments, words):
    monkeypatch.chdir(home)
    done = semcg(*arguments)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("semcg: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    left = [p.name for p in sorted(home.rglob("*")) if p.is_file()]
    assert left in ([], ["04_semantic_cyclegan-s0.failed.ipynb", "04_semantic_cyclegan-s0.json"])


def test_a_process_of_its_own_says_the_same(home, semcg):
    """So that the tests may call the command line in theirs."""
    command = ["run", "09_none"]
    done = subprocess.run([sys.executable, "-m", "semcg_kit", *command], capture_output=True, text=True)
    here = semcg(*command)
    assert (done.returncode, done.stdout, done.stderr) == (here.returncode, here.stdout, here.stderr)
    assert (done.returncode, done.stdout) == (2, "")


def test_help_needs_no_torch():
    code = "import sys, semcg_kit.__main__; print('torch' in sys.modules, 'papermill' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert {"course", "draw", "run", "translate", "evaluate", "compare", "figures"} <= names
