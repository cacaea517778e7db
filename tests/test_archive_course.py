"""The whole course on data in the archives' layouts, and its CycleGANs trained by two processes: `make course GPUS=2`."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from test_archives import write_cityscapes, write_gta5

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A home with prepared archives in data/paper and a course at smoke size on them, by two processes where it trains GANs."""
    root = tmp_path_factory.mktemp("archives")
    home, environment = root / "home", os.environ | {"SEMCG_HOME": str(root / "home"), "OMP_NUM_THREADS": "1"}
    for domain, write in {"gta5": write_gta5, "cityscapes": write_cityscapes}.items():
        write(root / domain)
        command = [
            "prepare",
            domain,
            str(root / domain),
            "--out",
            str(home / "data" / "paper"),
            "--size",
            "64x64",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "semcg_kit", *command], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    # The target's own commands, by the make of this repository, whose .venv runs these tests or stands for what does.
    command_environment = environment | {"MAKEFLAGS": "--assume-old=.venv/.ready"}
    given = ["PROFILE=smoke", f"DATA={home / 'data' / 'paper'}", "GPUS=2"]
    ours = [f"PY={sys.executable}", f"SEMCG={sys.executable} -m semcg_kit"]
    said = subprocess.run(
        ["make", "course", *given, *ours],
        cwd=ROOT,
        env=command_environment,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    scored = ["make", "full-size", *given, *ours, f"CITYSCAPES={root / 'cityscapes'}", "FULL=128x256"]
    said = subprocess.run(scored, cwd=ROOT, env=command_environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "sem_t" in said.stdout
    assert "scored at 128x256" in said.stdout
    return home


def results_of(home: Path) -> Path:
    (found,) = (home / "results").glob("paper-*-smoke")
    return found


def printed(home: Path, name: str) -> str:
    (executed,) = (results_of(home) / "notebooks").glob(f"{name}*.ipynb")
    cells = nbformat.read(executed, 4).cells
    return "".join(o.get("text", "") for c in cells for o in c.get("outputs", []))


def test_two_processes_share_what_trains_and_the_rest_reads_it(made):
    results = results_of(made)
    for name in ("cyclegan", "semantic-scores_l2-1"):
        assert (results / f"{name}-batch=2-s0" / "provenance.json").is_file()
    assert "2 processes" in printed(made, "03_cyclegan")
    assert list(results.glob("evaluation*-s0/table.txt"))


def test_published_rows_stand_beside_a_course_on_real_data(made):
    said = printed(made, "05_evaluation")
    assert "published" in said.lower()
