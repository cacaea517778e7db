"""What all tests share: a home of their own, and no way out to the network, in child processes and kernels too."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

OFFLINE = str(Path(__file__).parent / "offline")
sys.path.insert(0, OFFLINE)
sys.modules.pop("sitecustomize", None)
import sitecustomize  # noqa: E402, F401  guards this process

os.environ["PYTHONPATH"] = os.pathsep.join([OFFLINE, *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small networks, and several processes that share the cores
os.environ.pop("SEMCG_PROFILE", None)


LONGEST = ("test_notebooks", "test_chaos", "test_sweep", "test_execute", "test_verify")
"""Files that take longest. They start first, else one process is busy with the last of them while the other waits."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty folder that holds data/ and results/ for one test."""
    monkeypatch.setenv("SEMCG_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def semcg(capsys) -> Callable[..., subprocess.CompletedProcess]:
    """The command line, run in this process: a new one would first import for seconds."""

    def run(*arguments: object) -> subprocess.CompletedProcess:
        from semcg_kit.__main__ import main

        command = ["semcg", *map(str, arguments)]
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", command)
            patch.setenv("OMP_WAIT_POLICY", "passive")  # it would set this, for all tests to come
            with pytest.raises(SystemExit) as ended:
                main()
        return subprocess.CompletedProcess(command, ended.value.code or 0, *capsys.readouterr())

    return run


def pytest_terminal_summary(terminalreporter):
    import torch

    if not torch.cuda.is_available():
        terminalreporter.write_line("No CUDA device was found: the tests marked gpu did not run.")
