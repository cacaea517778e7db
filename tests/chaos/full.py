"""The full form of the chaos test: every notebook as it is, by the command line, struck again and again. `make chaos`.

A calm home runs the sequence once and writes down every change of a file. A troubled home runs it with a kill -9 at
moments drawn from that list, each later than the one before, and then with one fault of every other kind. Its end
must have the bits of the calm one. What was counted goes into `last.json`, and from there into docs/promises.md.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from chaos import faults, promises
from safetensors.torch import load_file

from semcg import files
from semcg_kit.execution.course import SEQUENCE

KILLS = int(os.environ.get("SEMCG_CHAOS_KILLS", "5"))
"""In each notebook."""
NOTEBOOKS = tuple(os.environ.get("SEMCG_CHAOS_NOTEBOOKS", ",".join(SEQUENCE)).split(","))
"""A part of the sequence, for who has no hour: 01_data,03_cyclegan say."""
WANTED = min(30, KILLS * len(NOTEBOOKS))
"""Kills that must have struck."""
SMOKE = ("--profile", "smoke", "--device", "cpu")


@pytest.fixture(scope="module")
def counted() -> Iterator[dict[str, object]]:
    """What this run of the tests counts, written whether everything ended well or not; what it did not try stays."""
    found: dict[str, object] = {"notebooks": list(NOTEBOOKS)}
    yield found
    promises.count(found)


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


def killed(home: Path, name: str, drawn: list[tuple[str, str, float]], counted: dict[str, object]) -> None:
    """Kill a notebook at each of these moments that it reaches, begin it anew each time, and let it end at last."""
    for role, at, delay in drawn:
        end = faults.semcg(home, "run", name, *SMOKE, do="kill", role=role, at=at, delay=delay)
        if not end.struck or end.code == 0:
            continue  # the notebook had that moment behind it, or its end before the delay was over
        counted["kills"] += 1
        counted["moments"].append(f"{name}: {role} {at} + {delay:.2f} s")
        if role == "kernel":
            faults.sentence(end)
        assert faults.damaged(home) == []
        assert faults.processes(home) == []
    end = faults.semcg(home, "run", name, *SMOKE)
    assert end.code == 0, end.said


@pytest.fixture(scope="module")
def troubled(root, calm, counted) -> list[Path]:
    """A home whose every notebook was killed again and again, and others for the kills that are still wanted."""
    homes = [root / "troubled"]
    counted |= {"kills": 0, "compared": 0, "moments": []}
    for name in NOTEBOOKS:
        killed(homes[0], name, faults.moments(calm[1][name], KILLS, name), counted)
    while "03_cyclegan" in NOTEBOOKS and counted["kills"] < WANTED and len(homes) < 8:
        homes.append(faults.copy_of(calm[0], root, f"troubled-{len(homes)}", without=THREE))
        drawn = faults.moments(calm[1]["03_cyclegan"], WANTED - counted["kills"], homes[-1].name)
        killed(homes[-1], "03_cyclegan", drawn, counted)
        if "05_evaluation" in NOTEBOOKS:
            killed(homes[-1], "05_evaluation", [], counted)
    return homes


def test_killed_again_and_again_the_sequence_ends_in_the_bits_of_a_calm_one(calm, troubled, counted):
    if "03_cyclegan" in NOTEBOOKS:
        assert counted["kills"] >= WANTED
    for home in troubled:
        assert faults.differing(calm[0], home) == []
        assert faults.left_behind(home) == []
    counted["compared"] = len(faults.contents(troubled[0]))


# ---------------------------------------------------------------- every other fault, one at a time


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
    "disk full for the kernel": ("full", "03_cyclegan", "kernel", f"rename {PARTIAL}/history.csv", "Make room on that disk"),
    "disk full for papermill": (
        "full", "03_cyclegan", "runner", "open results/smoke/notebooks/03_cyclegan-s0.partial.ipynb", "Make room on that disk"
    ),
    "a file cut off in the middle": ("small files", "03_cyclegan", "kernel", f"rename {PARTIAL}/history.csv", "could not be written"),
    "read-only folder": ("read-only", "03_cyclegan", "kernel", f"rename {PARTIAL}/provenance.json", "mount it for writing"),
    "missing permission": ("no permission", "03_cyclegan", "kernel", f"rename {PARTIAL}/history.csv", "change the permissions"),
    "an infinity in a weight": ("inf", "03_cyclegan", "kernel", f"open {PARTIAL}/history.csv", "G_st."),
    "NaN in a loss": ("nan", "03_cyclegan", "kernel", f"open {PARTIAL}/history.csv", "not finite"),
    "out of memory in a step": ("memory", "03_cyclegan", "kernel", f"open {PARTIAL}/history.csv", "out of memory after step"),
    "a kernel that dies": ("kill", "05_evaluation", "kernel", f"rename {DOWNSTREAM}/state.pt", "died"),
    "a cell that hangs": ("hang", "03_cyclegan", "kernel", f"rename {PARTIAL}/provenance.json", "longer than allowed"),
}  # fmt: skip


SECONDS = {"SIGTERM": 30, "SIGINT": 30, "kill": 15}
"""From the strike to the end of the command, where it is promised: saved and left, or told."""


@pytest.mark.parametrize("what", AT)
def test_a_fault_ends_in_a_sentence_and_the_same_command_in_the_calm_bits(calm, root, counted, what):
    do, name, role, at, words = AT[what]
    if name not in NOTEBOOKS:
        pytest.skip(f"{name} is not in this part of the sequence")
    home = faults.copy_of(
        calm[0], root, what.replace(" ", "_"), without=THREE if name == "03_cyclegan" else FIVE
    )
    limit = ("--cell-timeout", "120") if do == "hang" else ()
    end = faults.semcg(home, "run", name, *SMOKE, *limit, do=do, at=at, role=role)
    assert end.struck, end.events
    said = faults.sentence(end)
    assert words in said
    assert faults.number(end.code) == faults.SIGNALS.get(do, end.code)
    assert end.code != 0
    assert end.seconds < SECONDS.get(do, faults.LIMIT)
    assert faults.damaged(home) == []
    assert faults.processes(home) == []
    again = faults.semcg(home, "run", name, *SMOKE)
    assert again.code == 0, again.said
    if name == "03_cyclegan" and "05_evaluation" in NOTEBOOKS:
        again = faults.semcg(home, "run", "05_evaluation", *SMOKE)
        assert again.code == 0, again.said
    assert faults.differing(calm[0], home) == []
    assert faults.left_behind(home) == []
    counted.setdefault("faults", {})[what] = faults.told(said, home, end.seconds)


@pytest.mark.skipif("01_data" not in NOTEBOOKS, reason="01_data is not in this part of the sequence")
def test_sigterm_while_the_world_is_drawn(calm, root, counted):
    """In a home in which nothing is drawn yet; `data/` alone is compared, since 00 was left out."""
    home, data = root / "drawing", "data/world-smoke"
    end = faults.semcg(
        home, "run", "01_data", *SMOKE, do="SIGTERM", role="kernel", at=f"rename {data}.partial/about.json"
    )
    assert end.struck, end.events
    said = faults.sentence(end)
    assert "SIGTERM" in said
    assert end.code == faults.SIGNALS["SIGTERM"]
    assert end.seconds < SECONDS["SIGTERM"]
    assert faults.processes(home) == []
    killed(home, "01_data", [], counted)
    assert (home / data / "manifest.csv").read_bytes() == (calm[0] / data / "manifest.csv").read_bytes()
    assert faults.left_behind(home) == []
    counted.setdefault("faults", {})["SIGTERM in drawing"] = faults.told(said, home, end.seconds)


def test_a_torn_state_gives_way_to_the_one_before(calm, root, counted):
    """Killed when both are written; then the newest is cut in the middle, as a disk that lies can leave it."""
    home = faults.copy_of(calm[0], root, "torn", without=THREE)
    at = f"rename {PARTIAL}/G_st.safetensors"
    end = faults.semcg(home, "run", "03_cyclegan", *SMOKE, do="kill", role="kernel", at=at)
    assert end.struck, end.events
    newest = home / PARTIAL / "state.pt"
    assert newest.with_name("state.previous.pt").is_file()
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    killed(home, "03_cyclegan", [], counted)
    record = files.read_json(home / "results/smoke/notebooks/03_cyclegan-s0.json")
    assert record["why"]["cyclegan-s0"].startswith("resumed after step")
    if "05_evaluation" in NOTEBOOKS:
        killed(home, "05_evaluation", [], counted)
    assert faults.differing(calm[0], home) == []
    assert faults.left_behind(home) == []
    counted.setdefault("faults", {})["a torn state"] = faults.told(record["why"]["cyclegan-s0"], home, 0.0)


def test_a_truncated_picture_of_the_drawn_data_is_named(calm, root, counted):
    """And a wrong parameter. Neither changes a file; the picture put back, the same command ends as ever."""
    home = faults.copy_of(calm[0], root, "cut", without=THREE)
    before = faults.contents(home)
    end = faults.semcg(home, "run", "03_cyclegan", *SMOKE, "-p", "steps=-1")
    said = faults.sentence(end)
    assert "steps = -1" in said
    assert end.code != 0
    counted.setdefault("faults", {})["a wrong parameter"] = faults.told(said, home, 0.0)
    picture = next((home / "data/world-smoke/target/train/images").iterdir())
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    end = faults.semcg(home, "run", "03_cyclegan", *SMOKE)
    said = faults.sentence(end)
    assert picture.name in said
    assert "write them again" in said
    assert end.code != 0
    assert faults.equal(faults.contents(home), before)
    picture.write_bytes(whole)
    killed(home, "03_cyclegan", [], counted)
    assert faults.left_behind(home) == []
    counted.setdefault("faults", {})["a truncated picture"] = faults.told(said, home, 0.0)


def test_two_threads_agree_with_one_within_a_tolerance(calm, root, counted):
    """The same training with another order of sums, as another machine has: losses and weights, relative."""
    home = faults.copy_of(calm[0], root, "threads", without=THREE)
    end = faults.semcg(home, "run", "03_cyclegan", *SMOKE, threads=2)
    assert end.code == 0, end.said
    one, two = (h / "results/smoke/cyclegan-s0" for h in (calm[0], home))
    assert [files.read_json(run / "provenance.json")["threads"] for run in (one, two)] == [1, 2]
    losses = [pd.read_csv(run / "history.csv").drop(columns="step").to_numpy() for run in (one, two)]
    weights = [
        torch.cat(
            [t.flatten() for n in ("G_st", "G_ts") for t in load_file(run / f"{n}.safetensors").values()]
        )
        for run in (one, two)
    ]
    apart = {
        "steps": len(losses[0]),
        "losses": float(np.max(np.abs(losses[1] - losses[0]) / np.abs(losses[0]).clip(1e-6))),
        "weights": float(
            torch.linalg.vector_norm(weights[1] - weights[0]) / torch.linalg.vector_norm(weights[0])
        ),
    }
    counted["threads"] = apart
    assert apart["losses"] < 0.05
    assert 0 < apart["weights"] < 0.01, "equal to the bit: was it really another order of sums?"


DISKS = ("a disk that is really full", "a disk that is really read-only")


@pytest.mark.skipif(not faults.namespaces(), reason="this system lets nobody but root mount a small disk")
@pytest.mark.parametrize("what", DISKS)
def test_a_small_or_read_only_disk(calm, root, counted, what):
    """A tmpfs, in a namespace of its own: the command, a mended disk, and the same command, in one shell."""
    home = faults.copy_of(calm[0], root, what.replace(" ", "_"), without=THREE)
    full = "full" in what
    pages = [-(-p.stat().st_size // 4096) for p in (home / "results").rglob("*")]  # which a tmpfs gives out
    size = 100_000 + 4096 * sum(pages)
    run = f"{sys.executable} -m semcg_kit run 03_cyclegan --profile smoke --device cpu"
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
        else "mount it for writing" in said
    )
    shutil.rmtree(home / "results")
    os.rename(home / "kept", home / "results")
    mine = {name: value for name, value in faults.contents(home).items() if "cyclegan-s0" in name}
    assert mine
    assert faults.equal(mine, {name: faults.contents(calm[0])[name] for name in mine})
    counted.setdefault("faults", {})[what] = faults.told(said, home, 0.0)


def test_two_at_once_in_one_folder_the_second_is_refused(calm, root, counted):
    home = faults.copy_of(calm[0], root, "two", without=THREE)
    told = {"log": str(root / "two.log"), "struck": str(root / "two.hangs"), "do": "hang", "role": "kernel"}
    environment = os.environ | {
        "SEMCG_HOME": str(home),
        "SEMCG_FAULT": json.dumps(told | {"at": f"rename {PARTIAL}/state.pt"}),
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parent / "inject"), os.environ.get("PYTHONPATH", "")]
        ),
    }
    command = [sys.executable, "-m", "semcg_kit", "run", "03_cyclegan", *SMOKE]
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
    counted.setdefault("faults", {})["two runs in one folder"] = faults.told(said, home, 0.0)
