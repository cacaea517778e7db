"""Several processes that train one run: they end where one process ends, one of them writes, and none is left waiting."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import torch
from papermill.exceptions import PapermillExecutionError
from safetensors.torch import load_file

from semcg import devices, files
from semcg.devices import Place, place
from semcg.runs.keeping import _mean_of_shares
from semcg_kit.execution.execute import _loss_of_another, execute

STEPS = 8

TRAINING = """
import os, signal, sys, time
import torch
from semcg import config, devices, loop, runs, training
from semcg.data import Batches
from semcg.runs.recipes import Recipe


class Items:
    def item(self, k):
        g = torch.Generator().manual_seed(k)
        x_s, x_t = (torch.rand(3, 32, 32, generator=g) * 2 - 1 for _ in range(2))
        y = torch.zeros(32, 32).long()
        return x_s, y, x_t, y

    def check_one_size(self):
        pass


def train(fabric, batch, slow=0.0, stop=0):
    widths = {"generator_width": 4, "generator_depth": 2, "discriminator_width": 4}
    c = config.make("smoke", seed=1, pool=0, batch=batch, lambda_s=0.0, save_every=4, **widths)
    batches = Batches(Items(), **devices.share(c.batch, fabric))
    t = training.CycleGANTraining.create(c, steps=STEPS, fabric=fabric)
    step = training.translation_step(t, fabric=fabric, lambda_s=0.0)

    def numbered(n):
        if n == stop - 1 and fabric.global_rank == fabric.world_size - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(slow if n else 0)
        return batches(n)

    made = Recipe("toy-s0", "03_cyclegan", c, {"config": c.part("translation")})
    run = runs.open_run(made, steps=STEPS, state=t.state(), batch=numbered)
    print(f"rank {fabric.global_rank}: {run.why}", flush=True)
    for record in runs.keep(run, loop.fit(step, numbered, STEPS, start=run.step)):
        print(f"rank {fabric.global_rank}: step {record['step']}", flush=True)
""".replace("STEPS", str(STEPS))

SCRIPT = f"""{TRAINING}
torch.set_num_threads(1)
try:
    train(devices.fabric_for("cpu", shared=True), 2, stop=int(sys.argv[1]))
except KeyboardInterrupt as stopped:
    print(stopped)
"""


def places(ranks: int, port: int, by: str = "torchrun") -> list[dict[str, str]]:
    """The environments that torchrun or Slurm's srun would give to processes on one machine."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if by == "torchrun":
        return [
            common | {"RANK": str(r), "LOCAL_RANK": str(r), "WORLD_SIZE": str(ranks)} for r in range(ranks)
        ]
    names = ("SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS_PER_NODE")
    common |= dict.fromkeys(names, str(ranks)) | {"SLURM_JOB_ID": "7", "SLURM_NODEID": "0"}
    return [common | {"SLURM_PROCID": str(r), "SLURM_LOCALID": str(r)} for r in range(ranks)]


def begin(home: Path, *command: str, ranks: int = 2, by: str = "torchrun") -> list[subprocess.Popen]:
    """Start a command once per rank, with nobody who would end the others when one dies."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | {"SEMCG_HOME": str(home)} | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for own in (places(ranks, port, by) if ranks > 1 else [{}])
    ]


def end(processes: list[subprocess.Popen], timeout: int = 400) -> list[str]:
    """Return what each said, when all have ended; none outlives the test."""
    try:
        return [p.communicate(timeout=timeout)[0] for p in processes]
    finally:
        for p in processes:
            p.kill()


def torchrun(home: Path, *command: str) -> subprocess.CompletedProcess:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]
    return subprocess.run(
        start, env=os.environ | {"SEMCG_HOME": str(home)}, capture_output=True, text=True, timeout=400
    )


def toy(home: Path) -> Path:
    return home / "results" / "smoke" / "toy-s0"


def history(home: Path) -> list[dict[str, float]]:
    with open(toy(home) / "history.csv", newline="") as handle:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(handle)]


def assert_equal_runs(home: Path, other: Path) -> None:
    """Hold two runs equal to float tolerance."""
    assert len(history(home)) == STEPS
    for row, expected in zip(history(home), history(other), strict=True):
        assert row == pytest.approx(expected, rel=2e-5), f"step {row['step']}"
    for net in ("G_st", "G_ts", "D_s", "D_t"):
        got, expected = (load_file(toy(h) / f"{net}.safetensors") for h in (home, other))
        for name in got:
            if not name.endswith("bias"):  # one before a norm has no gradient but noise, which Adam scales up
                torch.testing.assert_close(got[name], expected[name], rtol=1e-4, atol=1e-6)
    made, expected = (files.read_json(toy(h) / "provenance.json") for h in (home, other))
    assert made["begins"] == expected["begins"], "the first batch is one in any number of processes"


def test_a_place_is_read_off_the_environment(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert place() == Place(0, 1, 0)
    monkeypatch.setenv("SLURM_NTASKS", "4")  # the batch script itself, and a worker of a sweep: alone
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert place() == Place(0, 1, 0)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("SLURM_LOCALID", "1")
    assert place() == Place(3, 4, 1, slurm=True)
    monkeypatch.setenv("WORLD_SIZE", "2")  # torchrun inside Slurm
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert place() == Place(1, 2, 1)


def test_a_single_process_has_no_group_and_talks_to_itself():
    fabric = devices.fabric_for("cpu", shared=True)
    assert fabric.world_size == 1
    assert not torch.distributed.is_initialized()
    assert devices.gather("a") == ["a"]
    assert devices.rank() == 0


def test_processes_take_one_device_each(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="'cuda:1': 2 processes take one device each; use auto, cpu or cuda"):
        devices.fabric_for("cuda:1", shared=True)
    assert [devices.device_of(Place(r, 4, r % 2)) for r in range(4)] == [0, 1, 0, 1]
    with pytest.raises(ValueError, match="process 3 on this machine finds 2 CUDA devices"):
        devices.device_of(Place(2, 4, 2))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices.device_of(Place(1, 2, 1, slurm=True)) == 0


def test_the_record_of_a_batch_from_those_of_its_shares():
    """The pull is |d loss / d x| over all images: of the mean over two shares, sqrt(3^2 + 4^2) / 2."""
    shares = {"step": 5, "gan": 1.0, "pull gan": 3.0}, {"step": 5, "gan": 2.0, "pull gan": 4.0}
    assert _mean_of_shares(shares) == {"step": 5, "gan": 1.5, "pull gan": 2.5}


def test_a_notebook_that_cannot_be_shared_is_refused(tmp_path, monkeypatch):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("n: int = 1")])
    made.cells[0].metadata["tags"] = ["parameters"]
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, tmp_path / "book.ipynb")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ValueError, match="book has no parameter batch that 2 processes could share"):
        execute(tmp_path / "book.ipynb", tmp_path / "out.ipynb", {})


@pytest.mark.parametrize(
    ("name", "said", "lost"),
    [
        (
            "RuntimeError",
            "[/a/gloo/transport/tcp/pair.cc:545] Read error [127.0.0.1]:1: Connection reset by peer. Check the logs.",
            "Read error [127.0.0.1]:1: Connection reset by peer",
        ),
        ("DistStoreError", "Timed out after 6 seconds waiting for clients. 1/2", "Timed out after 6 seconds"),
        (
            "DistNetworkError",
            "port: 29500, EADDRINUSE: address already in use",
            "",
        ),  # another torchrun has it
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied", ""),
        ("KeyError", "gloo/transport", ""),
    ],
)
def test_the_loss_of_another_process_is_told_from_other_errors(name, said, lost):
    error = PapermillExecutionError(0, 1, "", name, said, [])
    assert _loss_of_another(error).startswith(lost)
    assert bool(_loss_of_another(error)) == bool(lost)


@pytest.mark.slow
def test_two_processes_end_where_one_does_and_each_resumes_the_other(tmp_path):
    """Batch 2 in one process, and 1 + 1 in two; then stopped after step 3 by a signal to one process, and gone on."""
    script, one = tmp_path / "train.py", tmp_path / "one"
    script.write_text(SCRIPT)
    end(begin(one, str(script), "0", ranks=1))

    both = torchrun(tmp_path / "two", str(script), "0")
    assert both.returncode == 0, both.stderr
    assert_equal_runs(tmp_path / "two", one)

    for name, first, then in (("shrunk", 2, 1), ("grown", 1, 2)):
        home = tmp_path / name
        cut = end(begin(home, str(script), "3", ranks=first))
        assert all("saved at step 3" in said for said in cut), cut
        assert not toy(home).exists()
        gone_on = end(begin(home, str(script), "0", ranks=then, by="slurm"))
        assert all("resumed after step 3" in said for said in gone_on), gone_on
        assert_equal_runs(home, one)
        assert files.read_json(toy(home) / "provenance.json")["processes"] == then


@pytest.fixture
def book(tmp_path) -> Path:
    cells = [
        'profile: str = ""  # smoke\nbatch: int = 0  # in all\nslow: float = 0.0  # seconds a step',
        "from semcg import notebook\ncfg, fabric = notebook.settle(profile=profile, batch=batch, device='cpu')",
        TRAINING,
        "train(fabric, cfg.batch, slow=slow)",
    ]
    made = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    made.cells[0].metadata["tags"] = ["parameters"]
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, tmp_path / "03_book.ipynb")
    return tmp_path / "03_book.ipynb"


def command(book: Path, slow: float = 0) -> list[str]:
    return ["-m", "semcg_kit", "run", str(book), "--profile", "smoke", "-p", "batch=2", "-p", f"slow={slow}"]


def process_of(home: Path, rank: int, what: str) -> int:
    """The process id of one rank's kernel ("ipykernel_launcher") or of what runs it ("semcg_kit")."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words, seen = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            ours = {f"SEMCG_HOME={home}".encode(), f"RANK={rank}".encode()} <= set(seen)
            if ours and f"-m\0{what}\0".encode() in words:
                return int(entry.name)
    return 0


def wait_for_training(home: Path, processes: list[subprocess.Popen]) -> None:
    saved = toy(home).with_name(".toy-s0.partial") / "state.pt"
    deadline = time.monotonic() + 400
    while not saved.exists() and time.monotonic() < deadline and all(p.poll() is None for p in processes):
        time.sleep(0.1)
    if not saved.exists():
        raise AssertionError(f"the training did not begin: {end(processes, timeout=5)}")


@pytest.mark.slow
def test_two_kernels_train_one_run_and_the_first_alone_writes_and_reports(tmp_path, book):
    home = tmp_path / "home"
    done = torchrun(home, *command(book))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no saved run found") == done.stdout.count("done in") == 1
    found = sorted(
        p.relative_to(home / "results" / "smoke").as_posix() for p in home.rglob("*") if p.is_file()
    )
    names = ("D_s", "D_t", "G_st", "G_st_ema", "G_ts", "G_ts_ema")
    nets = [f"toy-s0/{net}.safetensors" for net in names]
    rest = ["history.csv", "provenance.json", "state.pt"]
    (executed,) = home.rglob("notebooks/03_book-??????-batch=2.ipynb")
    books = [f"notebooks/{path.name}" for path in (executed, executed.with_suffix(".json"))]
    assert found == books + nets + [f"toy-s0/{name}" for name in rest]
    text = executed.read_text()
    assert "2 processes" in text
    assert "rank 0: step 8" in text
    assert "rank 1" not in text


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_after_the_same_step(tmp_path, book):
    home = tmp_path / "home"
    processes = begin(home, *command(book, slow=3))
    wait_for_training(home, processes)
    processes[1].send_signal(signal.SIGTERM)
    said = end(processes)
    assert [p.returncode for p in processes] == [143, 143], said
    steps = {text.partition("saved at step ")[2].partition(";")[0] for text in said}
    assert len(steps) == 1, said
    partial = toy(home).with_name(".toy-s0.partial")
    assert torch.load(partial / "state.pt", weights_only=True)["step"] == int(steps.pop())
    (record,) = home.rglob("notebooks/03_book-??????-batch=2-slow=3.0.json")
    assert files.read_json(record)["status"] == "stopped"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "what"), [(1, "ipykernel_launcher"), (1, "semcg_kit"), (0, "ipykernel_launcher")]
)
def test_a_killed_process_ends_the_others_with_a_sentence(tmp_path, book, rank, what):
    home = tmp_path / "home"
    processes = begin(home, *command(book, slow=3))
    wait_for_training(home, processes)
    assert (found := process_of(home, rank, what)), "0 would end the tests"
    os.kill(found, signal.SIGKILL)
    killed = time.monotonic()
    other = 1 - rank
    said = end([processes[other]], timeout=90)[0]
    assert time.monotonic() - killed < 60
    assert processes[other].returncode == 1, said
    assert f"process {other} of 2 stopped 03_book: it lost another process" in said
    end(processes)
    deadline = time.monotonic() + 30
    while any(process_of(home, r, "ipykernel_launcher") for r in range(2)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(process_of(home, r, "ipykernel_launcher") for r in range(2))
    assert not list(home.rglob("*.partial.ipynb"))


@pytest.mark.slow
def test_a_batch_that_does_not_divide_is_refused_with_the_reason(tmp_path, book):
    refused = torchrun(tmp_path / "home", *command(book), "-p", "batch=3")
    assert refused.returncode == 1
    assert "batch = 3: 2 processes share it; allowed: 2, 4, 6, ..." in refused.stderr
