"""The whole course, killed again and again, ends in the bits of a calm one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch


def course(home: Path, *, kill_after: float | None = None) -> int:
    """Run the smoke course; with `kill_after`, kill it after so many seconds."""
    command = [sys.executable, "-m", "semcg_kit", "course", "--profile", "smoke", "--device", "cpu"]
    child = subprocess.Popen(
        command,
        env=os.environ | {"SEMCG_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if kill_after is not None:
        time.sleep(kill_after)
        child.send_signal(signal.SIGKILL)
    return child.wait(timeout=600)


def contents(home: Path) -> dict[str, object]:
    """Everything a course leaves that must not depend on when it was killed."""
    found: dict[str, object] = {}
    for path in sorted((home / "results" / "smoke").rglob("*")):
        name = path.relative_to(home).as_posix()
        if path.suffix == ".safetensors" or path.name == "history.csv" or path.parent.name == "images":
            found[name] = path.read_bytes()
        elif path.name == "state.pt":
            found[name] = torch.load(path, weights_only=True)["state"]
    found["data"] = (home / "data" / "world-smoke" / "manifest.csv").read_bytes()
    return found


@pytest.mark.slow
def test_a_course_killed_again_and_again_ends_in_the_bits_of_a_calm_one(tmp_path):
    from test_runs import equal

    calm, troubled = tmp_path / "calm", tmp_path / "troubled"
    assert course(calm) == 0
    moments = random.Random(0)
    for _ in range(8):
        course(troubled, kill_after=moments.uniform(5, 30))
    assert course(troubled) == 0
    expected, found = contents(calm), contents(troubled)
    assert found.keys() == expected.keys()
    assert [name for name in expected if not equal(found[name], expected[name])] == []
    assert not [p for p in troubled.rglob("*") if "partial" in p.name], "something half-written was left"
