"""The runner of notebooks: refuses early, says why a run ended, and leaves nothing half-written or running."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import test_runs as t

from semcg import devices, files
from semcg_kit.execution import Failed, with_remedy
from semcg_kit.execution import kernels as scratch
from semcg_kit.execution.execute import execute, typed

PARAMETERS = "n: int = 1  # how many\nrate: float = 0.5  # how fast\nloud: bool = False  # or not\nname: str = 'a'  # whose"


def notebook(path: Path, *cells: str, parameters: str = PARAMETERS) -> Path:
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(parameters), *map(nbformat.v4.new_code_cell, cells)]
    made.cells[0].metadata["tags"] = ["parameters"]
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, path)
    return path


@pytest.fixture
def place(home):
    (home / "books").mkdir()
    return home / "books"


def outputs(path: Path) -> str:
    return json.dumps(nbformat.read(path, as_version=4).cells[-1].outputs)


def test_parameters_are_typed_before_a_kernel_starts(place):
    book = notebook(place / "00_book.ipynb", "print(n)")
    assert typed(book, {"n": "3", "rate": "1e-3", "loud": "false", "name": "007"}) == {
        "n": 3,
        "rate": 1e-3,
        "loud": False,
        "name": "007",
    }
    for wrong, words in (({"n": "x"}, "n = 'x': 00_book expects int"), ({"loud": "maybe"}, "loud = 'maybe'")):
        with pytest.raises(ValueError, match=words):
            typed(book, wrong)
    with pytest.raises(ValueError, match="00_book has no parameter m; it has n, rate, loud, name"):
        typed(book, {"m": "1"})


def test_a_record_says_on_what_and_with_how_much_memory(place):
    """After the last cell: what a later one took counts too. A notebook that settles nothing says nothing.

    Also of a kernel that is killed, as one is whose pool of processes has left a tracker that outlives it.
    """
    settled = (
        "from semcg import notebook\nfor _ in range(2):\n    notebook.settle(profile='smoke', device='cpu')"
    )
    pool = "import multiprocessing, concurrent.futures as c\n"
    pool += "with c.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as p:\n    p.submit(abs, 1).result()"
    small, large = (
        execute(notebook(place / f"0{k}_book.ipynb", settled, taken), place / f"{k}.ipynb", {})["machine"]
        for k, taken in enumerate((pool, "taken = b'x' * 2**29"))
    )
    assert small.keys() == large.keys() == {"device", "threads", "peak_memory_bytes"}
    assert small["threads"] == large["threads"] >= 1
    assert small["device"] == large["device"] != ""
    if small["device"].startswith("CPU"):
        assert large["peak_memory_bytes"] - small["peak_memory_bytes"] > 2**28
    assert files.read_json(place / "0.json")["machine"] == small
    assert execute(notebook(place / "02_book.ipynb", "1"), place / "2.ipynb", {})["machine"] == {}


def test_an_unknown_parameter_is_refused_before_the_kernel_starts(place):
    book = notebook(place / "00_book.ipynb", "print(n)")
    with pytest.raises(ValueError, match="has no parameter m"):
        execute(book, place / "out.ipynb", {"m": 1})
    assert [p.name for p in place.iterdir()] == ["00_book.ipynb"]


def test_an_unknown_kernel_is_refused_with_those_that_there_are(place):
    book = notebook(place / "00_book.ipynb", "print(n)")
    with pytest.raises(ValueError, match="kernel = 'nope': not installed; there are .*python3"):
        execute(book, place / "out.ipynb", {}, kernel="nope")


def test_it_runs_in_this_interpreter_whatever_kernels_are_installed(place, monkeypatch, tmp_path):
    hostile = tmp_path / "share" / "kernels" / "python3"
    hostile.mkdir(parents=True)
    (hostile / "kernel.json").write_text(
        json.dumps({"argv": ["false"], "display_name": "x", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    book = notebook(place / "00_book.ipynb", "import sys; print(sys.executable, n)")
    record = execute(book, place / "out.ipynb", {"n": 5})
    assert record["status"] == "ok"
    assert f"{sys.executable} 5" in outputs(place / "out.ipynb")
    assert files.read_json(place / "out.json") == record


def test_a_kernel_reaches_no_other_machine(place):
    book = notebook(
        place / "00_book.ipynb", "import socket; socket.create_connection(('192.0.2.1', 80), timeout=3)"
    )
    with pytest.raises(Failed, match="nothing may leave this machine"):
        execute(book, place / "out.ipynb", {})


@pytest.mark.parametrize(
    ("cell", "status", "words"),
    [
        ("raise KeyError('moon')", "failed", "00_book, cell .*: KeyError: 'moon'"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "killed",
            "kernel of 00_book died; most often it ran out of memory",
        ),
        (
            "raise OSError(28, 'No space left on device', 'state.pt')",
            "failed",
            "OSError: No space left on device: 'state.pt'. Make room on that disk; the same command resumes\n",
        ),
        ("while True: print('a' * 1000)", "timeout", "took longer than allowed"),
    ],
)
def test_a_bad_end_is_said_in_a_sentence_and_kept(place, cell, status, words, capfd):
    """Also of a kernel that is shut down while it answers: what it says of its closed sockets is shown to nobody."""
    book = notebook(place / "00_book.ipynb", "print('so far')", cell)
    with pytest.raises(Failed, match=words):
        execute(book, place / "out.ipynb", {}, cell_timeout=3 if status == "timeout" else None)
    assert files.read_json(place / "out.json")["status"] == status
    assert "so far" in (place / "out.failed.ipynb").read_text()
    assert not (place / "out.ipynb").exists()
    assert not list(place.glob("*partial*"))
    assert "Traceback" not in capfd.readouterr().err


def test_an_error_of_the_system_comes_with_what_to_do():
    said = "x: OSError: [Errno 30] Read-only file system: 'a/b'"
    assert with_remedy(said).startswith(
        "x: OSError: Read-only file system: 'a/b'. That disk is read-only: mount it"
    )
    for other in ("x: ValueError: no", "[Errno 2] No such file or directory: 'a'"):
        assert with_remedy(other) == other


def test_what_killed_executions_left_is_removed(place, monkeypatch, tmp_path_factory):
    """A torn record, the scratch folder with all temporary files, a lock of a run by torchrun. Others' files stay."""
    temporaries = tmp_path_factory.mktemp("tmp")
    monkeypatch.setenv("TMPDIR", str(temporaries))
    monkeypatch.setattr("tempfile.tempdir", None)
    with scratch.scratch(place / "out.ipynb", devices.Place(), "00_book") as left:
        pass
    assert left.parent == temporaries
    left.mkdir()
    (left / "events.1.jsonl").write_text('{"event": "run"')
    for name in (".out.123.partial.json", ".out.123-abcdef.partial.json", ".out.1.lock"):
        (place / name).write_text("half")
    others = [place / ".out-s1.123.partial.json", place / ".out-s1.lock"]
    for path in others:
        path.write_text("another notebook's")
    execute(notebook(place / "00_book.ipynb", "import tempfile; tempfile.mkdtemp()"), place / "out.ipynb", {})
    assert sorted(p for p in place.iterdir() if p.name.startswith(".")) == sorted(others)
    assert list(temporaries.iterdir()) == []


def test_a_kernel_that_dies_before_its_first_answer_is_told_in_a_sentence(place, monkeypatch):
    """One that is killed while it starts: a memory that is full is met as soon as that."""
    (place / "ipykernel_launcher.py").write_text("import os; os.kill(os.getpid(), 9)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place), os.environ["PYTHONPATH"]]))
    with pytest.raises(Failed, match="kernel of 00_book died; most often it ran out of memory"):
        execute(notebook(place / "00_book.ipynb", "1"), place / "out.ipynb", {})
    assert files.read_json(place / "out.json")["status"] == "killed"


def test_a_kernel_that_cannot_start_says_why(place, monkeypatch):
    (place / "ipykernel_launcher.py").write_text("raise SystemExit('no libzmq here')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place), os.environ["PYTHONPATH"]]))
    with pytest.raises(Failed, match="(?s)kernel of 00_book died.*Its last output: no libzmq here"):
        execute(notebook(place / "00_book.ipynb", "1"), place / "out.ipynb", {})


TRAINING = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_runs as t
from semcg import runs
from semcg.loop import fit
toy = t.Toy()
run = runs.open_run(t.recipe(), steps=t.STEPS, state=toy.state, batch=toy.batch)
def batch(k):
    time.sleep(0.9 * n if k > 4 else 0)
    return toy.batch(k)
for record in runs.keep(run, fit(toy.step, batch, t.STEPS, start=run.step)):
    pass
"""

RUNNER = """
import sys
from pathlib import Path
from semcg_kit.execution.execute import execute
from semcg_kit.execution import Failed
try:
    execute(Path(sys.argv[1]), Path(sys.argv[2]), {"n": 1}, say=lambda line: print(line, flush=True))
except Failed as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


def begin_slowly(book: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", RUNNER, str(book), str(book.parent / "out.ipynb")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kernels_of(home: Path) -> list[int]:
    """Processes of ours that are kernels."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"ipykernel_launcher" in command and str(home).encode() in environment:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_stopped_runner_saves_leaves_no_kernel_and_goes_on_to_the_same_bits(home, place, number, code):
    book = notebook(place / "03_book.ipynb", TRAINING)
    runner = begin_slowly(book)
    history = home / "results" / "smoke" / ".toy-s0.partial" / "state.pt"
    deadline = time.monotonic() + 400
    while not history.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert history.exists(), "the training did not begin"
    runner.send_signal(number)
    said = runner.communicate(timeout=400)[0]
    assert runner.returncode == code, said
    if number != signal.SIGKILL:
        assert "is saved at step" in said, said
        assert files.read_json(place / "out.json")["status"] == "stopped"
    deadline = time.monotonic() + 60
    while kernels_of(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert kernels_of(home) == []

    lines: list[str] = []
    execute(book, place / "out.ipynb", {"n": 0}, say=lines.append)
    assert "resumed after step" in "\n".join(lines)

    cut = t.state_of(home / "results" / "smoke" / "toy-s0")
    os.rename(home / "results" / "smoke" / "toy-s0", home / "cut")
    t.train()
    assert t.equal(cut, t.state_of(home / "results" / "smoke" / "toy-s0"))
    assert (home / "cut" / "history.csv").read_bytes() == (
        home / "results" / "smoke" / "toy-s0" / "history.csv"
    ).read_bytes()
