"""The check of the machine: what is missing or slow, in sentences, also where packages are missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from semcg_kit import doctor

GIB = 2**30


def test_every_problem_has_advice_and_every_advice_a_problem():
    source = Path(doctor.__file__).read_text()
    _, table, rest = source.partition("ADVICE = {")
    returned = [problem for problem in doctor.ADVICE if rest.partition("\n}\n")[2].count(f'"{problem}"')]
    assert returned == list(doctor.ADVICE)
    assert all(advice for _, advice in doctor.ADVICE.values())


def test_this_machine_is_examined(home):
    found = doctor.examine()
    assert [f.what for f in found] == [probe.__name__ for probe in doctor.PROBES]
    assert all(bool(f.advice) is (f.state != "ok") for f in found)
    assert found[0].state != "MISSING"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("head", ["#!{}", "#!/bin/sh\n'''exec' \"{}\" \"$0\" \"$@\"\n' '''\n"])
def test_scripts_of_an_environment_whose_path_has_a_space(tmp_path, monkeypatch, head):
    """pip writes the second kind there."""
    python, script = tmp_path / "a b" / "bin" / "python", tmp_path / "a b" / "bin" / "semcg"
    python.parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "a b"))
    monkeypatch.setenv("PYTHONPATH", str(doctor.ROOT))
    monkeypatch.chdir(tmp_path)
    script.write_text(head.format(python))
    assert doctor.course()[1] == ""
    script.write_text(head.format("/elsewhere/bin/python"))
    assert doctor.course() == (
        f"{script} starts /elsewhere/bin/python, the Python of another folder",
        "moved",
    )


def test_the_last_line_is_a_verdict():
    ok, slow, missing = (doctor.Finding(s, s, "w", "b") for s in ("ok", "slow", "MISSING"))
    assert doctor.report([ok]).endswith("Ready: run `make course`.")
    assert doctor.report([ok, slow]).endswith("see slow above.")
    assert "Ready: run" in doctor.report([ok, slow])
    assert doctor.report([slow, missing]).endswith("Not ready: see MISSING above.")


def test_versions_are_compared_with_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setattr(doctor, "not_installed", lambda names: [])
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["one>=1,<2", "two-three ; x"]\n')
    assert doctor.required_packages() == ["one", "two-three"]
    assert doctor.packages() == ("no requirements.lock: pip chose the versions", "")
    (tmp_path / "requirements.lock").write_text("# comment\nnumpy==0.1\nonly-elsewhere==1.0\n")
    words, problem = doctor.packages()
    assert problem == "other versions"
    assert words.startswith("numpy ")
    assert words.endswith(" instead of 0.1")


def test_what_is_absent(tmp_path, monkeypatch):
    assert doctor.not_installed(doctor.required_packages()) == []
    (tmp_path / "left_behind").mkdir()  # a folder that an uninstaller left
    monkeypatch.syspath_prepend(str(tmp_path))
    assert doctor.not_installed(["left-behind", "no-such-package", "numpy"]) == [
        "left-behind",
        "no-such-package",
    ]


@pytest.mark.parametrize(
    ("number", "cores", "load", "problem"),
    [(2, 2, 0.3, ""), (16, 2, 0.3, "many threads"), (2, 2, 9.0, "load"), (1, 8, 0.0, "few threads")],
)
def test_threads_and_the_load_of_the_machine(monkeypatch, number, cores, load, problem):
    monkeypatch.setattr("torch.get_num_threads", lambda: number)
    monkeypatch.setattr(doctor, "cores", lambda: cores)
    monkeypatch.setattr(doctor.os, "getloadavg", lambda: (load, 0, 0))
    words, found = doctor.threads()
    assert found == problem
    assert f"load of the last minute {load}" in words


def test_space_and_writing(tmp_path, monkeypatch, home):
    assert doctor.room(16 * GIB, 3 * GIB, "memory") == ("16.0 GiB free; the course needs about 3 GiB", "")
    assert doctor.room(1 * GIB, 3 * GIB, "memory")[1] == "memory"
    assert doctor.writing() == ("allowed", "")
    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", lambda dir: (tmp_path / "no" / "where").open("w"))
    words, problem = doctor.writing()
    assert problem == "not writable"
    assert "No such file" in words


def test_two_environments_of_one_python_are_two(tmp_path, monkeypatch):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "python").symlink_to("/usr/bin/env")

    class Spec:
        argv = [str(tmp_path / "one" / "python")]

    monkeypatch.setattr(
        "jupyter_client.kernelspec.KernelSpecManager.get_kernel_spec", lambda self, name: Spec
    )
    monkeypatch.setattr(sys, "executable", str(tmp_path / "one" / "python"))
    assert doctor.kernel()[1] == ""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "other" / "python"))
    assert doctor.kernel()[1] == "other kernel"


def test_the_seconds_of_the_installation(tmp_path):
    assert doctor.setup_seconds(tmp_path) == 0
    for text, seconds in (("118\n", 118), ("118 /some where\n", 118), ("", 0)):
        (tmp_path / ".ready").write_text(text)
        assert doctor.setup_seconds(tmp_path) == seconds


# ---------------------------------------------------------------- an incomplete installation


def examined(setting: str) -> subprocess.CompletedProcess:
    """Run `semcg doctor` in a process of its own, after these lines."""
    lines = f"import sys\n{setting}\nsys.argv = ['semcg', 'doctor']\nfrom semcg_kit.__main__ import main\nmain()\n"
    return subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("names", "also"),
    [
        ("torch", ""),
        ("safetensors, psutil", ""),
        ("numpy, pandas, pillow, matplotlib", "torch"),
        ("jupyterlab, papermill", "torch"),
        ("typer", "torch"),
    ],
)
def test_what_is_missing_is_listed_without_a_traceback(home, names, also):
    """`also` is missing too, where that only saves the seconds of its import."""
    blocked = [{"pillow": "PIL"}.get(name, name) for name in [*names.split(", "), *filter(None, [also])]]
    done = examined(f"sys.modules.update(dict.fromkeys({blocked}))")
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    assert done.returncode == 1
    (line,) = (line for line in output.splitlines() if "not installed or incomplete: " in line)
    assert line.startswith("MISSING packages")
    assert line.endswith(": " + (f"{also}, {names}" if also else names))
    assert "make setup" in output
    assert "disk" in output, "the other probes run"
    assert "Not ready: see packages above." in output


@pytest.mark.parametrize(
    ("name", "raised"),
    [
        ("torchvision", "RuntimeError('operator torchvision::nms does not exist')"),
        ("torch", "OSError('libcudart.so.13: cannot open shared object file')"),
    ],
)
def test_a_damaged_package_is_named_without_a_traceback(home, tmp_path, name, raised):
    (tmp_path / f"{name}.py").write_text(f"raise {raised}\n")
    done = examined(f"sys.path.insert(0, {str(tmp_path)!r})")
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if raised.split("'")[1] in line]
    assert len(lines) == 1, "once"
    assert lines[0].startswith("MISSING ")
    assert doctor.ADVICE["damaged"][1] in done.stdout
