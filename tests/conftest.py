"""What all tests share: a home of their own, and no way out to the network."""

import os
import socket
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small networks; several processes share the cores


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Only loopback: a test that reaches for another host fails with its name."""
    connect = socket.socket.connect

    def guarded(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"a test must not leave this machine, but it reached for {address[0]}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty folder that holds data/ and results/ for one test."""
    monkeypatch.setenv("SEMCG_HOME", str(tmp_path))
    return tmp_path


def pytest_terminal_summary(terminalreporter):
    import torch

    if not torch.cuda.is_available():
        terminalreporter.write_line("No CUDA device was found: the tests marked gpu did not run.")
