"""The full form of the chaos test: every notebook as it is, by the command line, struck again and again. `make chaos`.

A calm home runs the sequence once and writes down every change of a file. A troubled home runs it with a kill -9 at
moments drawn from that list, each later than the one before, and then with one fault of every other kind. Its end
must have the bits of the calm one. What was counted goes into `last.json`, and from there into docs/promises.md.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import faults

from semcg import files
from semcg.runs.course import SEQUENCE

KILLS = int(os.environ.get("SEMCG_CHAOS_KILLS", "5"))
"""In each notebook."""
NOTEBOOKS = tuple(os.environ.get("SEMCG_CHAOS_NOTEBOOKS", ",".join(SEQUENCE)).split(","))
"""A part of the sequence, for who has no hour: 01_data,03_cyclegan say."""
LAST = Path(__file__).parent / "last.json"
SMOKE = ("--profile", "smoke", "--device", "cpu")


@pytest.fixture(scope="module")
def counted() -> Iterator[dict[str, object]]:
    """What this run of the tests counts; written where everything ended well or not, so that the page shows what was run."""
    found: dict[str, object] = {"notebooks": list(NOTEBOOKS), "kills": 0, "moments": [], "faults": {}}
    yield found
    files.write_json(LAST, found)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("night")


@pytest.fixture(scope="module")
def calm(root) -> tuple[Path, dict[str, list[str]]]:
    """A home that nothing happened to, and the changes of files that each notebook made in it."""
    home, events = root / "calm", {}
    for name in NOTEBOOKS:
        end = faults.semcg(home, "run", name, *SMOKE)
        assert end.code == 0, end.said
        events[name] = end.events
    return home, events


def moments(events: list[str], count: int, name: str) -> list[tuple[str, str, float]]:
    """Draw (role, event, delay) from the changes that a notebook made, in the order of their first occurrence.

    Every other kill comes some hundredths of a second after its event: within a training step, an evaluation, or
    a file that torch or safetensors write without asking Python.
    """
    draw = random.Random(name)
    once = [e for e in dict.fromkeys(events) if e.split()[0] in ("kernel", "runner") and ".json" not in e]
    places = sorted(draw.sample(range(len(once)), min(count, len(once))))
    return [
        (*once[place].split(" ", 1), draw.uniform(0.01, 0.3) if n % 2 else 0.0)
        for n, place in enumerate(places)
    ]


@pytest.fixture(scope="module")
def troubled(root, calm, counted) -> Path:
    """A home whose every notebook was killed again and again, each time begun anew by the same command."""
    home, problems = root / "troubled", []
    for name in NOTEBOOKS:
        for role, at, delay in moments(calm[1][name], KILLS, name):
            end = faults.semcg(home, "run", name, *SMOKE, do="kill", role=role, at=at, delay=delay)
            if not end.struck:
                continue  # the notebook had it behind it
            counted["kills"] += 1
            counted["moments"].append(f"{name}: {role} {at} + {delay:.2f} s")
            if role == "kernel" and end.code != 0:
                faults.sentence(end)
            problems += faults.damaged(home)
            problems += faults.processes(home)
        end = faults.semcg(home, "run", name, *SMOKE)
        assert end.code == 0, end.said
    assert problems == []
    return home


def test_killed_again_and_again_the_sequence_ends_in_the_bits_of_a_calm_one(calm, troubled, counted):
    assert counted["kills"] >= min(30, KILLS * len(NOTEBOOKS)) * 0.8
    assert faults.differing(calm[0], troubled) == []
    assert faults.left_behind(troubled) == []
    counted["compared"] = len(faults.contents(troubled))


# ---------------------------------------------------------------- every other fault, one at a time


def copy_of(calm: Path, root: Path, name: str, *, without: tuple[str, ...]) -> Path:
    """Return a home like the calm one, in which some runs and notebooks are still to be made."""
    home = root / name
    shutil.copytree(calm, home)
    for pattern in without:
        for path in home.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return home


THREE = ("results/smoke/cyclegan-s0", "results/smoke/notebooks/03*", "results/smoke/notebooks/05*")
FIVE = ("results/smoke/downstream*", "results/smoke/evaluation*", "results/smoke/notebooks/05*")
PARTIAL = "results/smoke/.cyclegan-s0.partial"
DOWNSTREAM = "results/smoke/.downstream-identity-s0.partial"
AT = {  # what happens, in which notebook, in whom, at which change of a file, and words of the sentence
    "SIGTERM in a training": ("SIGTERM", "03_cyclegan", "kernel", f"open {PARTIAL}/history.csv", "SIGTERM"),
    "Ctrl-C in a training": ("SIGINT", "03_cyclegan", "kernel", f"open {PARTIAL}/history.csv", "SIGINT"),
    "SIGTERM while a run is saved": ("SIGTERM", "03_cyclegan", "kernel", f"rename {PARTIAL}/state.pt", "SIGTERM"),
    "SIGTERM in an evaluation": ("SIGTERM", "05_evaluation", "kernel", f"open {DOWNSTREAM}/history.csv", "SIGTERM"),
    "SIGTERM as the notebook begins": (
        "SIGTERM", "03_cyclegan", "runner", "open results/smoke/notebooks/03_cyclegan-s0.partial.ipynb", "SIGTERM"
    ),
    "disk full for the kernel": ("full", "03_cyclegan", "kernel", f"rename {PARTIAL}/history.csv", "No space left"),
    "disk full for papermill": (
        "full", "03_cyclegan", "runner", "open results/smoke/notebooks/03_cyclegan-s0.partial.ipynb", "No space left"
    ),
    "a file cut off in the middle": ("small files", "03_cyclegan", "kernel", f"rename {PARTIAL}/history.csv", "could not be written"),
    "read-only folder": ("read-only", "03_cyclegan", "kernel", f"rename {PARTIAL}/provenance.json", "Read-only"),
    "NaN in a loss": ("nan", "03_cyclegan", "kernel", f"open {PARTIAL}/history.csv", "not finite"),
    "out of memory in a step": ("memory", "03_cyclegan", "kernel", f"open {PARTIAL}/history.csv", "memory was used up"),
    "a kernel that dies": ("kill", "05_evaluation", "kernel", f"rename {DOWNSTREAM}/state.pt", "died"),
    "a cell that hangs": ("hang", "03_cyclegan", "kernel", f"rename {PARTIAL}/provenance.json", "longer than allowed"),
}  # fmt: skip


@pytest.mark.parametrize("what", AT)
def test_a_fault_ends_in_a_sentence_and_the_same_command_in_the_calm_bits(calm, root, counted, what):
    do, name, role, at, words = AT[what]
    if name not in NOTEBOOKS:
        pytest.skip(f"{name} is not in this part of the sequence")
    home = copy_of(calm[0], root, what.replace(" ", "_"), without=THREE if name == "03_cyclegan" else FIVE)
    limit = ("--cell-timeout", "120") if do == "hang" else ()
    end = faults.semcg(home, "run", name, *SMOKE, *limit, do=do, at=at, role=role)
    assert end.struck, end.events
    said = faults.sentence(end)
    assert words in said
    assert faults.number(end.code) == faults.SIGNALS.get(do, end.code)
    assert end.code != 0
    assert faults.damaged(home) == []
    assert faults.processes(home) == []
    again = faults.semcg(home, "run", name, *SMOKE)
    assert again.code == 0, again.said
    if name == "03_cyclegan" and "05_evaluation" in NOTEBOOKS:
        again = faults.semcg(home, "run", "05_evaluation", *SMOKE)
        assert again.code == 0, again.said
    assert faults.differing(calm[0], home) == []
    assert faults.left_behind(home) == []
    counted["faults"][what] = {"said": said.replace(str(home), "..."), "seconds": round(end.seconds, 1)}


def namespaces() -> bool:
    """Whether this user may mount file systems of his own."""
    if sys.platform != "linux" or not shutil.which("unshare"):
        return False
    return (
        subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True
        ).returncode
        == 0
    )


@pytest.mark.skipif(not namespaces(), reason="this system lets nobody but root mount a small disk")
@pytest.mark.parametrize("what", ["a disk that is really full", "a disk that is really read-only"])
def test_a_small_or_read_only_disk(calm, root, counted, what):
    """A tmpfs, in a namespace of its own: the command, a mended disk, and the same command, in one shell."""
    home = copy_of(calm[0], root, what.replace(" ", "_"), without=THREE)
    full = "full" in what
    size = 100_000 + sum(p.stat().st_size for p in (home / "results").rglob("*") if p.is_file())
    run = f"{sys.executable} -m semcg run 03_cyclegan --profile smoke --device cpu"
    script = f"""
        set -e
        cp -a "$SEMCG_HOME/results" "$SEMCG_HOME/kept"
        mount -t tmpfs -o size={size if full else "1g"} disk "$SEMCG_HOME/results"
        cp -a "$SEMCG_HOME/kept/." "$SEMCG_HOME/results"
        {"" if full else 'mount -o remount,ro "$SEMCG_HOME/results"'}
        set +e; {run} 2>"$SEMCG_HOME/said"; echo $? >"$SEMCG_HOME/code"; set -e
        mount -o remount,{"size=1g" if full else "rw"} "$SEMCG_HOME/results"
        {run}
        cp -a "$SEMCG_HOME/results/." "$SEMCG_HOME/kept"
    """
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        env=os.environ | {"SEMCG_HOME": str(home), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=faults.LIMIT,
    )
    assert done.returncode == 0, done.stderr
    said = (home / "said").read_text()
    assert (home / "code").read_text().strip() in ("1", "2")
    assert "Traceback" not in said
    assert (
        ("No space left" in said or "could not be written" in said)
        if full
        else "Read-only file system" in said
    )
    shutil.rmtree(home / "results")
    os.rename(home / "kept", home / "results")
    mine = {name: value for name, value in faults.contents(home).items() if "cyclegan-s0" in name}
    assert mine
    assert faults.equal(mine, {name: faults.contents(calm[0])[name] for name in mine})
    counted["faults"][what] = {"said": said.strip().replace(str(home), "..."), "seconds": 0.0}


def test_two_at_once_in_one_folder_the_second_is_refused(calm, root, counted):
    home = copy_of(calm[0], root, "two", without=THREE)
    told = {"log": str(root / "two.log"), "struck": str(root / "two.hangs"), "do": "hang", "role": "kernel"}
    environment = os.environ | {
        "SEMCG_HOME": str(home),
        "SEMCG_FAULT": json.dumps(told | {"at": f"rename {PARTIAL}/state.pt"}),
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parent / "inject"), os.environ.get("PYTHONPATH", "")]
        ),
    }
    command = [sys.executable, "-m", "semcg", "run", "03_cyclegan", *SMOKE]
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (root / "two.hangs").exists():
            assert first.poll() is None, "the first ended before it trained"
            time.sleep(0.2)
        second = faults.semcg(home, "run", "03_cyclegan", *SMOKE)
        said = faults.sentence(second)
        assert f"process {first.pid} on" in said
        assert second.code == 2
    finally:
        first.kill()
        first.wait()
    assert faults.processes(home) == []
    again = faults.semcg(home, "run", "03_cyclegan", *SMOKE)
    assert again.code == 0, again.said
    assert faults.left_behind(home) == []
    counted["faults"]["two runs in one folder"] = {"said": said.replace(str(home), "..."), "seconds": 0.0}
