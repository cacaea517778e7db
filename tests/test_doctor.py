"""The look at the machine: what is missing or slow, said in sentences, also where the installation is what is missing."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from semcg_kit import doctor
from semcg_kit.doctor import findings, packages

ROOT = Path(__file__).parent.parent

GB = 2**30
LOCK = "# comment\ntorch==2.14.1\nnumpy==2.4.6\nonly-elsewhere==1.0\n"
HAVE = {"torch": "2.14.1", "numpy": "2.4.6"}

LOOKS = [
    (findings.python((3, 11, 7), in_environment=True), "good", "3.11.7"),
    (findings.python((3, 10, 2), in_environment=True), "missing", "3.11 or newer"),
    (findings.python((3, 12, 0), in_environment=False), "slow", "make setup"),
    (packages.versions(LOCK, HAVE), "good", "3 in requirements.lock)"),
    (packages.versions(LOCK, HAVE, seconds=118), "good", "installed in 118 s"),
    (packages.versions(LOCK, HAVE | {"torch": "2.14.1+cpu"}), "good", "tested"),
    (packages.versions(LOCK, HAVE | {"numpy": "2.3.0"}), "slow", "numpy 2.3.0 instead of 2.4.6"),
    (packages.versions(LOCK, HAVE, absent=["psutil", "scipy"]), "missing", "psutil, scipy"),
    (packages.versions("", HAVE, absent=["psutil"]), "missing", "rm -f .venv/.ready && make setup"),
    (packages.versions(LOCK, HAVE, unexported=["onnx"]), "slow", "notebook 07"),
    (packages.versions("", HAVE), "good", "no requirements.lock"),
    (packages.broken("torch", OSError("libcudart.so: no such file")), "missing", "libcudart.so"),
    (packages.broken("numpy", AttributeError()), "missing", "AttributeError"),
    (
        packages.broken("torchvision", RuntimeError("x"), versions="torch 1, torchvision 2"),
        "missing",
        "one index",
    ),
    (packages.broken("a.b", ModuleNotFoundError("No module named 'c'")), "missing", "No module named 'c'"),
    (findings.compiler("g++", found=True, headers=True), "good", "translate --fast"),
    (findings.compiler("g++", found=False, headers=True), "slow", "apt install g++"),
    (findings.compiler("g++", found=True, headers=False), "slow", "python3-dev"),
    (findings.torch_build("2.14.1", None, card=True, usable=False), "slow", "CPU index"),
    (findings.torch_build("2.14.1", "13.0", card=True, usable=False), "slow", "driver"),
    (findings.torch_build("2.14.1", "13.0", card=False, usable=False), "good", "CUDA 13.0"),
    (findings.processor("AVX512", bf16=True, gain=1.54), "good", "1.5 times as fast in bf16"),
    (findings.processor("AVX512", bf16=True, gain=0.9), "slow", "does not pay now"),
    (findings.processor("AVX2", bf16=False, gain=0.3), "slow", "1.3 to 1.9"),
    (findings.processor("DEFAULT", bf16=False, gain=0.3), "slow", "hours"),
    (findings.threads(2, cores=2, load=0.3), "good", "load 0.3"),
    (findings.threads(16, cores=2, load=0.3), "slow", "OMP_NUM_THREADS=2"),
    (findings.threads(2, cores=2, load=9.0), "slow", "OMP_NUM_THREADS=1"),
    (findings.threads(1, cores=8, load=0.0), "slow", "OMP_NUM_THREADS=8"),
    (findings.space("memory", 16 * GB, 3 * GB), "good", "16.0 GiB free"),
    (findings.space("memory", 1 * GB, 3 * GB), "missing", "profile smoke"),
    (findings.space("disk", 1 * GB, 2 * GB), "missing", "SEMCG_HOME"),
    (findings.graphics(None, None), "good", "made for the CPU"),
    (findings.graphics("H100", 80 * GB), "good", "80 GiB"),
    (findings.kernel(None, "/x/python"), "missing", "ipykernel"),
    (findings.kernel(["/other/python", "-m"], "/x/python"), "slow", "kernelspec remove"),
    (findings.kernel(["python", "-m"], "/x/python"), "good", "this Python"),
    (findings.fonts(None), "missing", "matplotlib"),
]


@pytest.mark.parametrize(("finding", "state", "words"), LOOKS, ids=range(len(LOOKS)))
def test_what_the_doctor_says(finding, state, words):
    assert finding.state == state
    assert words in f"{finding.words} {finding.advice}"
    assert bool(finding.advice) is (state != "good")


def test_two_environments_of_one_python_are_two(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "python").symlink_to("/usr/bin/env")
    one, other = (str(tmp_path / name / "python") for name in ("one", "other"))
    assert findings.kernel([one], one).state == "good"
    assert findings.kernel([one], other).state == "slow"


def test_writing_is_really_tried(tmp_path, monkeypatch):
    assert findings.writable([tmp_path / "data" / "deeper"]).state == "good"
    assert not (tmp_path / "data").exists()

    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(findings.tempfile, "TemporaryFile", refuse)
    finding = findings.writable([tmp_path])
    assert finding.state == "missing"
    assert "Permission denied" in finding.words


def test_this_machine_is_examined(home):
    seen = doctor.examine(ROOT)
    assert [f.what for f in seen] == [
        "Python", "packages", "torch", "processor", "threads", "GPU", "memory", "disk", "kernel", "fonts", "compiler",
        "writing",
    ]  # fmt: skip
    assert all(f.advice for f in seen if f.state != "good")
    assert seen[0].state != "missing"
    assert list(home.iterdir()) == []


def test_the_last_line_sums_up():
    good, slow, missing = (doctor.Finding("a", s, "w", "b") for s in ("good", "slow", "missing"))
    assert doctor.report([good]).endswith("Ready: `make course`.")
    assert "it will run" in doctor.report([good, slow])
    assert doctor.report([slow, missing]).endswith("Not ready: a.")


# ---------------------------------------------------------------- packages


def test_what_is_needed_stands_in_the_project(tmp_path, monkeypatch):
    """Of the checkout's pyproject.toml; without one, of what the installed package says; without that, unknown."""
    assert {"torch", "psutil", "safetensors", "ipywidgets", "nbconvert", "scipy"} <= set(
        packages.needed(ROOT)
    )
    elsewhere = packages.needed(tmp_path)
    assert "torch" in elsewhere
    assert "pytest" not in elsewhere, "only a test needs it"
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["one>=1,<2", "two-three ; x"]\n')
    assert packages.needed(tmp_path) == ["one", "two-three"]

    def unknown(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.metadata, "requires", unknown)
    assert packages.needed(tmp_path / "nowhere") == []


def test_what_is_here_is_found_under_the_name_that_it_is_imported_by():
    assert packages.absent(packages.needed(ROOT)) == []
    assert packages.absent(["no-such-package", "numpy"]) == ["no-such-package"]


def test_a_folder_that_was_left_behind_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "left_behind").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert packages.absent(["left-behind"]) == ["left-behind"]


def test_the_seconds_of_the_installation(tmp_path):
    assert packages.install_seconds(tmp_path) == 0
    for text, seconds in (("118\n", 118), ("0\n", 0), ("", 0)):
        (tmp_path / ".ready").write_text(text)
        assert packages.install_seconds(tmp_path) == seconds


# ---------------------------------------------------------------- an installation that is not whole


def examined(setting: str) -> subprocess.CompletedProcess:
    """Run `semcg doctor` in a process of its own, after these lines."""
    lines = f"import sys\n{setting}\nsys.argv = ['semcg', 'doctor']\nfrom semcg_kit.__main__ import main\nmain()\n"
    return subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("names", "also"),
    [
        ("torch", ""),
        ("torchvision", ""),
        ("safetensors, psutil", ""),
        ("scipy, ipywidgets, nbconvert", "torch"),
        ("numpy, pandas, pillow, matplotlib", "torch"),
        ("jupyterlab, papermill", "torch"),
        ("pydantic", "torch"),
        ("typer", "torch"),
    ],
)
def test_what_is_missing_is_said_without_a_traceback(home, names, also):
    """`also` is missing too, where that only saves the seconds of its import."""
    blocked = [{"pillow": "PIL"}.get(name, name) for name in [*names.split(", "), *filter(None, [also])]]
    done = examined(f"sys.modules.update(dict.fromkeys({blocked}))")
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert done.returncode == 1
    (line,) = (line for line in said.splitlines() if "not installed, or not whole: " in line)
    assert line.startswith("MISSING packages")
    assert line.endswith(": " + (f"{also}, {names}" if also else names))
    assert "make setup" in said
    assert "disk" in said, "the other looks go on"
    assert "Not ready: packages" in said
    assert said.count("cannot be imported") == 0, "said once"


@pytest.mark.parametrize(
    ("name", "raised", "words"),
    [
        (
            "torchvision",
            "RuntimeError('operator torchvision::nms does not exist')",
            "a pair, from one index: `rm -rf .venv && make setup`",
        ),
        ("torch", "OSError('libcudart.so.13: cannot open shared object file')", "files are damaged"),
    ],
)
def test_what_is_here_and_broken_is_said_without_a_traceback(home, tmp_path, name, raised, words):
    (tmp_path / f"{name}.py").write_text(f"raise {raised}\n")
    done = examined(f"sys.path.insert(0, {str(tmp_path)!r})")
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if "cannot be imported" in line)
    assert line.startswith("MISSING " + name)
    assert raised.split("'")[1] in line
    assert words in done.stdout
    if name == "torchvision":
        assert f"torch {metadata.version('torch')}, torchvision {metadata.version('torchvision')}" in line
        assert "ok      torch " in done.stdout, "that one is whole"
    assert f"Not ready: {name}." in done.stdout
