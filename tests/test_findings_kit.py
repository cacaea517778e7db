"""Faults that real use found in what runs the course, by their numbers in the list of findings."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from semcg_kit import doctor

ROOT = Path(__file__).parent.parent


def python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=300
    )


# ---------------------------------------------------------------- doctor


def test_b11_doctor_names_a_copied_checkout(tmp_path, monkeypatch):
    for package in ("semcg", "semcg_kit"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "notebooks").mkdir()
    done = python("from semcg_kit import doctor; print(*doctor.course(), sep='|')", tmp_path)
    assert done.stdout == f"this command runs the code in {tmp_path}, notebooks import it from {ROOT}|moved\n"
    monkeypatch.chdir(tmp_path)
    words, problem = doctor.course()
    assert problem == "other checkout"
    assert words == f"this command runs the code in {ROOT}, but you work in {tmp_path}"


def test_b11_doctor_names_a_script_that_starts_the_python_of_another_folder(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "jupyter").write_text("#!/elsewhere/.venv/bin/python\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    words, problem = doctor.course()
    assert problem == "moved"
    assert "bin/jupyter starts /elsewhere/.venv/bin/python" in words


def test_d3_a_package_without_its_repository_says_so_in_one_sentence(tmp_path):
    """As `pip install` of a wheel leaves it: packages without notebooks."""
    for package in ("semcg", "semcg_kit"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    run = [sys.executable, "-m", "semcg_kit", "run", "00_start_here"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "installed without the course. Clone the repository" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = python("from semcg_kit import doctor; print(doctor.course()[1])", tmp_path)
    assert done.stdout == "no repository\n"


def test_d7_the_load_of_the_machine_is_named(monkeypatch):
    monkeypatch.setattr(doctor.os, "getloadavg", lambda: (17.0, 0, 0))
    words, problem = doctor.threads()
    assert "load of the last minute 17.0" in words
    assert problem in ("load", "many threads")
