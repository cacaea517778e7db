"""One fault after the other strikes the training cells of notebook 03, and the end has the bits of a calm run.

The short form of `chaos/full.py`, which `make chaos` runs: there every notebook runs as it is, by the command line.
Here the cells of 03 that settle, train and look are executed in one kernel a fault. Faults are injected into the kernel
by `chaos/inject/sitecustomize.py`; what the injected process does is otherwise its own.
"""

import json
import os
import shutil
import signal
from pathlib import Path

import nbformat
import pytest
from chaos import faults

from semcg import config, files, locks
from semcg.runs import datasets
from semcg_kit.execution import Failed, Stopped
from semcg_kit.execution.execute import execute

BOOK = Path(__file__).parent.parent / "notebooks" / "03_cyclegan.ipynb"
STEPS = 12  # the faults that end in a sentence come two or three steps apart
RUN = f"cyclegan-steps={STEPS}-s0"
PARTIAL = f"results/smoke/.{RUN}.partial"
GIVEN = {"profile": "smoke", "device": "cpu", "steps": STEPS}

MADE_THERE = """
judged = Scenes(folder / "source" / "test")
there, back = (any_size(G.eval()) for G in (t.m.G_st, t.m.G_ts))
"""


def shortened(path: Path) -> Path:
    """Write the cells of notebook 03 that settle the parameters, train, and evaluate, and no other."""
    book = nbformat.read(BOOK, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    wanted = ("notebook.settle(", "runs.keep(", "cycle distance")
    kept = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    kept += [cell for cell in code if any(word in cell.source for word in wanted)]
    assert len(kept) == 4, "notebook 03 no longer has these cells"
    for cell in kept:
        cell.outputs, cell.execution_count = [], None
        if "cycle distance" in cell.source:  # the cell before it, which is a sheet of pictures, is left out
            cell.source = f"{MADE_THERE}\n{cell.source}"
    book.cells = kept
    nbformat.write(book, path)
    return path


class Place:
    """A home in which the shortened notebook runs, calmly or with a fault."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch):
        self.home, self.patch = home, patch
        self.output = home / "results" / "smoke" / "notebooks" / "03_short.ipynb"
        self.struck = home.parent / f"{home.name}.struck"
        self.log = home.parent / f"{home.name}.events"
        self.code = 0

    def run(self, book: Path, *, given: dict[str, object] | None = None, **fault: object) -> str:
        """Execute the notebook; return what was said at its end, "" if it ended well."""
        inject = str(Path(faults.__file__).parent / "inject")
        told = {"log": str(self.log), "struck": str(self.struck), **fault}
        self.struck.unlink(missing_ok=True)
        with self.patch.context() as patch:
            patch.setenv("SEMCG_HOME", str(self.home))
            patch.setenv("SEMCG_FAULT", json.dumps(told))
            patch.setenv("TMPDIR", str(faults.temporaries(self.home)))
            patch.setattr("tempfile.tempdir", None)
            patch.setenv("PYTHONPATH", os.pathsep.join([inject, os.environ.get("PYTHONPATH", "")]))
            said, self.code = "", 0
            try:
                execute(book, self.output, GIVEN | (given or {}))
            except (Failed, OSError) as error:
                said, self.code = str(error), getattr(error, "exit_code", 2)
        assert bool(said) == self.struck.exists(), f"with {fault} it said: {said!r}"
        return said


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patched:
        yield patched


@pytest.fixture(scope="module")
def places(tmp_path_factory, patch) -> tuple[Place, Place, Path]:
    """A calm home, a troubled one with the same synthetic world, and the notebook."""
    root = tmp_path_factory.mktemp("chaos")
    book = shortened(root / "03_short.ipynb")
    calm, troubled = Place(root / "calm", patch), Place(root / "troubled", patch)
    with patch.context() as drawing:
        drawing.setenv("SEMCG_HOME", str(calm.home))
        datasets.draw(config.make("smoke"), processes=1)
    (troubled.home / "data").mkdir(parents=True)
    (troubled.home / "data" / "world-smoke").symlink_to(calm.home / "data" / "world-smoke")
    assert calm.run(book) == ""
    return calm, troubled, book


STRIKES = [  # what happens, at which change of a file, and what must be in the sentence
    ("kill", f"rename {PARTIAL}/state.pt", "kernel of 03_short died"),
    ("SIGTERM", f"open {PARTIAL}/history.csv", "stopped by SIGTERM"),
    ("small files", f"rename {PARTIAL}/history.csv", "could not be written"),
    ("nan", f"open {PARTIAL}/history.csv", "cycle is not finite"),
    ("memory", f"open {PARTIAL}/history.csv", "memory"),
    ("SIGINT", f"open {PARTIAL}/history.csv", "stopped by SIGINT"),
    ("inf", f"open {PARTIAL}/history.csv", "G_st."),
    ("read-only", f"rename {PARTIAL}/provenance.json", "Read-only file system"),
    ("no permission", f"rename {PARTIAL}/history.csv", "Permission denied"),
]


@pytest.fixture(scope="module")
def told(places) -> dict[str, tuple[str, int, list[str], list[str]]]:
    """What each fault, one after the other in one home, ended in: sentence, exit code, damage, processes left."""
    _, troubled, book = places
    found = {}
    for do, at, _ in STRIKES:
        said = troubled.run(book, do=do, at=at, role="kernel")
        found[do] = (said, troubled.code, faults.damaged(troubled.home), faults.processes(troubled.home))
        if do == "SIGINT":  # all later ones find the newest state torn, and go on from the one before
            newest = troubled.home / PARTIAL / "state.pt"
            newest.write_bytes(newest.read_bytes()[:1000])
    return found


@pytest.mark.parametrize(("do", "at", "words"), STRIKES, ids=[do for do, _, _ in STRIKES])
def test_a_fault_ends_in_a_sentence_and_damages_nothing(told, do, at, words):
    said, code, damaged, left = told[do]
    assert words in said
    assert len(said.splitlines()) <= 2
    assert "Traceback" not in said
    assert code == faults.SIGNALS.get(do, 1)
    assert damaged == []
    assert left == [], "a kernel outlived its run"


def test_after_all_of_them_the_same_command_ends_in_the_bits_of_a_calm_run(places, told):
    calm, troubled, book = places
    assert troubled.run(book) == ""
    why = files.read_json(troubled.output.with_suffix(".json"))["why"][RUN]
    assert why.startswith("resumed after step"), "it began anew, though a good state lay there"
    assert faults.differing(calm.home, troubled.home) == []
    assert {
        f"results/smoke/{RUN}/{name}" for name in ("state.pt", "history.csv", "G_st.safetensors")
    } <= faults.contents(calm.home).keys()
    assert faults.damaged(troubled.home) == []
    assert faults.left_behind(troubled.home) == []
    assert not list(troubled.output.parent.glob("*.failed.*"))


def test_a_wrong_parameter_and_a_truncated_picture_end_in_a_sentence_and_change_nothing(places, tmp_path):
    calm, _, book = places
    before = faults.contents(calm.home)
    here = Place(tmp_path / "home", calm.patch)
    shutil.copytree(calm.home, here.home)
    with pytest.raises(AssertionError, match="steps = -1"):  # said, though nothing struck
        here.run(book, given={"steps": -1})
    picture = next((here.home / "data" / "world-smoke" / "target" / "train" / "images").iterdir())
    picture.write_bytes(picture.read_bytes()[:100])
    with pytest.raises(AssertionError, match=rf"{picture.name} has another size. Remove that folder"):
        here.run(book)
    assert faults.equal(faults.contents(here.home), before)


def test_a_difference_of_one_bit_would_be_found(places, tmp_path):
    calm, _, _ = places
    other = tmp_path / "other"
    (other / "results" / "smoke").mkdir(parents=True)
    (other / "data").symlink_to(calm.home / "data")
    for folder in (calm.home / "results" / "smoke").iterdir():
        if folder.name == RUN:
            copied = other / "results" / "smoke" / RUN
            copied.mkdir()
            for path in folder.iterdir():
                (copied / path.name).write_bytes(path.read_bytes())
    assert faults.differing(calm.home, other) == []
    for name in ("G_ts.safetensors", "history.csv"):
        path = copied / name
        content = bytearray(path.read_bytes())
        content[-2] ^= 1
        path.write_bytes(content)
        assert f"results/smoke/{RUN}/{name}" in faults.differing(calm.home, other)
    (copied / "G_ts.safetensors").write_bytes(content[:100])
    assert any("G_ts" in told for told in faults.damaged(other))


# ---------------------------------------------------------------- two at once


def test_a_lock_refuses_another_process_names_it_and_does_not_survive_a_crash(tmp_path):
    """The other process is killed while it holds the lock; nobody has to remove anything by hand."""
    import subprocess
    import sys

    lock = tmp_path / ".run.lock"
    code = f"from semcg import locks; from pathlib import Path; import time\nlocks.hold(Path({str(lock)!r}), 'it'); print(1, flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"1\n"
    with pytest.raises(
        BlockingIOError,
        match=f"the training of x is locked by process {other.pid} on .* Wait until it ends",
    ):
        locks.hold(lock, "the training of x")
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdout.close()
    assert lock.exists(), "the crash left the file"
    locks.hold(lock, "the training of x")
    locks.hold(lock, "the training of x")  # a cell that is run again
    locks.release(lock)
    assert list(tmp_path.iterdir()) == []
    locks.release(lock)


def test_a_second_execution_of_a_notebook_is_refused(places):
    """By a lock of another process, here one that this process plays."""
    import fcntl

    calm, _, book = places
    kept = faults.contents(calm.home)
    with open(calm.output.with_name(f".{calm.output.stem}.lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.write("process 1 on somewhere\n")
        handle.flush()
        with calm.patch.context() as patch:
            patch.setenv("SEMCG_HOME", str(calm.home))
            with pytest.raises(BlockingIOError, match="03_short is locked by process 1 on somewhere"):
                execute(book, calm.output, GIVEN)
    assert faults.differing(calm.home, calm.home) == []
    assert faults.equal(faults.contents(calm.home), kept)
    Path(calm.output.with_name(f".{calm.output.stem}.lock")).unlink()


def test_a_second_training_of_a_run_is_refused(home):
    import fcntl

    import test_runs as t

    t.train(until=3)
    with open(home / "results" / "smoke" / ".toy-s0.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        before = (home / "results" / "smoke" / ".toy-s0.partial" / "state.pt").read_bytes()
        with pytest.raises(BlockingIOError, match="the training of toy-s0 is locked by"):
            t.train()
        assert (home / "results" / "smoke" / ".toy-s0.partial" / "state.pt").read_bytes() == before
    _, records, _ = t.train()
    assert len(records) == t.STEPS
    assert not list((home / "results" / "smoke").glob(".*"))


# ---------------------------------------------------------------- damage to what a run has saved

DAMAGE = {
    "state cut": ("state.pt", lambda b: b[: len(b) // 2]),
    "state empty": ("state.pt", lambda b: b""),
    "state of zeros": ("state.pt", lambda b: bytes(len(b))),  # what a power cut can leave
    "state of noise": ("state.pt", lambda b: os.urandom(len(b))),
    "state a page": ("state.pt", lambda b: b"<html>"),
    "history empty": ("history.csv", lambda b: b""),
    "history of zeros": ("history.csv", lambda b: bytes(len(b))),
    "history without its last rows": ("history.csv", lambda b: b"".join(b.splitlines(keepends=True)[:3])),
    "history cut in a row, and gone on": ("history.csv", lambda b: b[:-9] + b"6,0.25\n7,0.1\n"),
    "history gone": ("history.csv", None),
    "state gone": ("state.pt", None),
    "both states gone": ("state*.pt", None),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_whatever_is_damaged_a_run_goes_on_from_the_last_good_state_to_the_same_bits(home, monkeypatch, what):
    import test_runs as t

    _, calm, run = t.train()
    expected = t.state_of(run.folder)
    files.swap(run.folder, home / "calm")
    _, _, run = t.train(until=7)
    pattern, spoil = DAMAGE[what]
    for path in run.partial.glob(pattern):
        content = path.read_bytes()
        path.unlink()
        if spoil:
            path.write_bytes(spoil(content))
    _, records, run = t.train()
    assert records == calm
    assert t.equal(t.state_of(run.folder), expected)
    assert (run.folder / "history.csv").read_bytes() == (home / "calm" / "history.csv").read_bytes()


def test_a_torn_state_never_takes_the_place_of_the_good_one(home):
    """The newest is torn, the one before it good; the next save is cut short. The good one is still there."""
    import test_runs as t

    from semcg import runs
    from semcg.loop import fit

    _, _, run = t.train(until=7)
    newest = run.partial / "state.pt"
    good = (run.partial / "state.previous.pt").read_bytes()
    newest.write_bytes(newest.read_bytes()[:1000])
    toy = t.Toy()
    resumed = runs.open_run(t.recipe(), steps=t.STEPS, state=toy.state, batch=toy.batch)
    assert resumed.why.startswith("resumed after step")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        with pytest.raises(OSError, match="No space left"):
            for _ in runs.keep(resumed, fit(toy.step, toy.batch, t.STEPS, start=resumed.step)):
                pass
    assert good in [p.read_bytes() for p in run.partial.glob("state*.pt")]


def test_stopped_is_told_from_failed():
    assert Stopped("x", signal.SIGTERM).exit_code == 143
    assert Stopped("x", signal.SIGINT).exit_code == 130
    assert Failed("x").exit_code == 1
