"""A sweep: nothing is done twice, nothing is lost when a worker is killed, and one failure does not stop the others."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path

import nbformat
import psutil
import pytest
from chaos import promises

from semcg import config, files, protocol, runs
from semcg.runs.recipes import Recipe
from semcg_kit.execution import Failed, Stopped
from semcg_kit.sweep import attempt, plan, worker
from semcg_kit.sweep import pool as pools
from semcg_kit.sweep.attempt import Outcome, Task

PROTOCOL = """
profile = "smoke"
development_seeds = [0]
seeds = [3, 4]
least_seeds = 2
alpha = 0.05
correction = []
rows = []
[conditions."CycleGAN"]
lambda_s = 0.0
[conditions."semantic"]
lambda_s = 1.0
[few]
seeds = [3, 4]
[few.conditions."lambda_s 3"]
lambda_s = 3.0
[few.conditions."lambda_s 10"]
lambda_s = 10.0
"""
FOUR = ["CycleGAN-s3", "semantic-s3", "CycleGAN-s4", "semantic-s4"]


@pytest.fixture
def decided(home) -> Path:
    path = home / "protocol.toml"
    path.write_text(PROTOCOL)
    return path


# ---------------------------------------------------------------- a training of seconds, in a notebook of its own

STEPS = 12


def toy(name: str, seed: int, pause: Path | None = None) -> None:
    """Train a toy: what its notebook does, and what a test compares with.

    The file `pause` has the seconds to wait before each step, or "hold" to stay at the middle until it changes.
    """
    import test_runs
    import torch

    from semcg.loop import fit

    t = test_runs.Toy()
    torch.manual_seed(seed)  # for the noise in its step
    parts = {"stage": "toy", "config": {"name": name, "seed": seed}}
    recipe = Recipe(f"toy-{name}-s{seed}", "train", config.make("smoke"), parts)
    run = runs.open_run(recipe, steps=STEPS, state=t.state, batch=t.batch)

    def batch(n: int):
        while pause and n == STEPS // 2 and pause.read_text() == "hold":
            time.sleep(0.05)
        time.sleep(float(pause.read_text().replace("hold", "0") or 0) if pause else 0)
        return t.batch(n)

    for _ in runs.keep(run, fit(t.step, batch, STEPS, start=run.step)):
        pass


TRAIN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_sweep
from pathlib import Path
assert not Path({{bad!r}}).exists(), "the moon is not made of cheese"
test_sweep.toy(condition.split()[0], seed, Path({{pause!r}}))
"""
PARAMETERS = """
profile: str = ""  # of the config
data: str = "world"  # not read
device: str = "auto"  # not used
seed: int = 3  # of the noise
condition: str = ""  # part of the name
lambda_s: float = 0.0  # not used
"""


@pytest.fixture
def books(home) -> Path:
    """A folder with a train.ipynb that trains a toy."""
    folder = home / "books"
    folder.mkdir()
    (folder / "pause").write_text("0")
    code = TRAIN.format(bad=str(folder / "bad"), pause=str(folder / "pause"))
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(PARAMETERS.strip()), nbformat.v4.new_code_cell(code)]
    made.cells[0].metadata["tags"] = ["parameters"]
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, folder / "train.ipynb")
    return folder


_begun: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test():
    yield
    while _begun:
        if (left := _begun.pop()).poll() is None:
            left.terminate()
            left.communicate(timeout=120)


def begin(protocol: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "semcg_kit", "sweep", "--protocol", str(protocol), "--device", "cpu"]
    going = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    _begun.append(going)
    return going


def ours(home: Path, what: str) -> list[psutil.Process]:
    """Processes of this home with a word in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if what in " ".join(process.cmdline()) and process.environ().get("SEMCG_HOME") == str(home):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def wait_for(condition, seconds: float = 600):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


def worker_in(home: Path, run: str, task: str) -> psutil.Process:
    """Wait until a run has saved a state and goes on; return the worker that trains it."""
    wait_for((home / "results" / "smoke" / f".{run}.partial" / "state.pt").exists)
    (worker,) = (
        p for p in ours(home, "semcg_kit.sweep.worker") if json.loads(p.cmdline()[-1])["name"] == task
    )
    assert not (home / "results" / "smoke" / run).exists(), "the run was over before it was disturbed"
    return worker


def trained(home: Path) -> dict[str, bytes]:
    """Weights and histories, the bits that must not depend on what happened meanwhile."""
    results = home / "results" / "smoke"
    paths = [*results.glob("*/*.safetensors"), *results.glob("*/history.csv")]
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in paths}


def calm(home: Path, monkeypatch, wanted: list[tuple[str, int]]) -> dict[str, bytes]:
    """Train the same in this process, undisturbed, in another home."""
    monkeypatch.setenv("SEMCG_HOME", str(home / "calm"))
    for name, seed in wanted:
        toy(name, seed)
    monkeypatch.setenv("SEMCG_HOME", str(home))
    return trained(home / "calm")


def nothing_is_left(home: Path) -> None:
    assert ours(home, "ipykernel") == ours(home, "semcg_kit.sweep.worker") == []
    assert not [
        p for p in (home / "results").rglob("*") if "partial" in p.name or p.suffix in (".lock", ".task")
    ]
    for task in plan.tasks(protocol.read(home / "protocol.toml"), exploratory=True, notebooks=home / "books"):
        assert not task.scratch.exists()


# ---------------------------------------------------------------- what is to be done


def names(tasks: list[Task]) -> list[str]:
    return [task.name for task in tasks]


def test_seeds_come_first_for_the_main_conditions_and_conditions_for_the_others(decided, books):
    p = protocol.read(decided)
    assert names(plan.tasks(p, notebooks=books)) == FOUR
    few = ["lambda_s_3-s3", "lambda_s_3-s4", "lambda_s_10-s3", "lambda_s_10-s4"]
    assert names(plan.tasks(p, notebooks=books, exploratory=True)) == FOUR + few
    only = plan.tasks(p, notebooks=books, only=["lambda_s 10", "CycleGAN"], seeds=[4])
    assert names(only) == ["CycleGAN-s4", "lambda_s_10-s4"]
    assert only[1].parameters == {
        "profile": "smoke",
        "data": "world",
        "device": "auto",
        "seed": 4,
        "condition": "lambda_s 10",
        "lambda_s": 10.0,
    }


def test_a_task_is_checked_before_anything_runs(decided, books, home):
    p = protocol.read(decided)
    with pytest.raises(ValueError, match=r"condition 'none': not in the protocol; there are CycleGAN"):
        plan.tasks(p, notebooks=books, only=["none"])
    with pytest.raises(ValueError, match=r"seeds = 9: not in the protocol; it has 3,4"):
        plan.tasks(p, notebooks=books, seeds=[3, 9])
    with pytest.raises(FileNotFoundError, match=r"no .*train.ipynb"):
        plan.tasks(p, notebooks=home)
    decided.write_text(PROTOCOL.replace("lambda_s = 3.0", "lambda = 3.0"))
    with pytest.raises(
        ValueError, match=r"condition 'lambda_s 3': train.ipynb has no parameter lambda; it has"
    ):
        plan.tasks(protocol.read(decided), notebooks=books, exploratory=True)
    decided.write_text(PROTOCOL.replace("lambda_s = 3.0", "lambda_s = -3.0"))
    with pytest.raises(ValueError, match=r"lambda_s = -3.0: input should be greater"):
        plan.tasks(protocol.read(decided), notebooks=books, exploratory=True)


def test_the_notebooks_of_this_repository_take_what_its_protocol_gives():
    p = protocol.read()
    made = plan.tasks(p, exploratory=True)
    assert len(made) == sum(len(c.seeds) for c in p.conditions)
    assert made[0].parameters["profile"] == "mini"
    first = plan.shared(made)[0]
    assert first.layouts == ("own", "source")
    assert first.parameters["second_judge"] is True


# ---------------------------------------------------------------- GPUs


def forked(work) -> int:
    """Run `work` in a child process without starting Python anew, and return its process id."""
    if pid := os.fork():
        return pid
    try:
        work()
    finally:
        os._exit(0)


def test_each_process_takes_one_gpu_and_waits_if_all_are_taken(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr(attempt.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7,9")
    assert attempt.gpus("auto") == ["4", "7"], "as many as CUDA counts"
    assert attempt.gpus("cuda:1") == ["7"]
    assert attempt.gpus("cpu") == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert attempt.gpus("cuda") == ["0", "1"]

    def take() -> None:
        attempt.take_gpu("auto")
        (tmp_path / f"{os.getpid()}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        time.sleep(600)

    def taken() -> dict[int, str]:
        return {int(p.name): gpu for p in tmp_path.glob("[0-9]*") if (gpu := p.read_text())}

    children = [forked(take) for _ in range(3)]
    try:
        wait_for(lambda: len(taken()) == 2)
        time.sleep(0.6)
        took = taken()
        assert sorted(took.values()) == ["0", "1"], "a third run began on a GPU that is taken"
        ended = next(iter(took))
        os.kill(ended, signal.SIGKILL)
        wait_for(lambda: len(taken()) == 3)
        (late,) = {*children} - took.keys()
        assert taken()[late] == took[ended]
    finally:
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_evidence_that_cannot_be_kept_fails_the_task_with_the_reason(home, tmp_path, monkeypatch):
    def refuse(*_):
        raise ValueError("protocol.toml is not committed as it is")

    reasons: list[str] = []
    monkeypatch.setattr(worker, "reusable", lambda *_: {"runs": {}})
    monkeypatch.setattr(worker, "collect", refuse)
    monkeypatch.setattr(worker, "write_failure", lambda task, output, reason: reasons.append(reason))
    monkeypatch.setattr(worker.plan, "key_of", lambda *_: {})
    parameters = {"profile": "smoke", "data": "world", "device": "cpu", "seed": 3}
    task = Task("a-s3", parameters, ("train.ipynb",), str(home), protocol="protocol.toml")
    assert worker._execute(task) == 1
    assert reasons == ["train: ValueError: protocol.toml is not committed as it is"]


# ---------------------------------------------------------------- the order of things, without processes


class Pretended:
    """A pool whose tasks end as a test says, one at a time."""

    def __init__(self, ends: dict[str, list[str]], capacity: int = 1):
        self.ends, self.capacity = {name: list(e) for name, e in ends.items()}, capacity
        self.began: list[str] = []
        self.running: list[tuple[Task, Future]] = []
        self.stopped = False

    def submit(self, task: Task) -> Future:
        self.began.append(task.name)
        self.running.append((task, Future()))
        assert len(self.running) <= self.capacity
        return self.running[-1][1]

    def ended(self, futures: list[Future]) -> list[Future]:
        task, future = self.running.pop(0)
        end = "stopped" if self.stopped else self.ends.get(task.name, ["ok"]).pop(0)
        if end == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
            self.running.insert(0, (task, future))
            return []
        future.set_result(Outcome(end, f"why {end}", 61.0))
        assert future in futures
        return [future]

    def stop(self) -> None:
        self.stopped = True


def test_a_task_whose_worker_died_is_taken_up_at_once_and_given_up_after_three(decided, books):
    said: list[str] = []
    tasks = plan.tasks(protocol.read(decided), notebooks=books)
    pool = Pretended({FOUR[0]: ["died", "ok"], FOUR[2]: ["died"] * 3})
    with pytest.raises(Failed, match=r"1 of 4 tasks failed: CycleGAN-s4"):
        pools.run(tasks, pool, say=said.append)
    assert pool.began == [FOUR[0], *FOUR[:2], *[FOUR[2]] * 3, FOUR[3]]
    assert "CycleGAN-s3: died after 1:01 (why died); trying again" in said
    assert "2 done, 0 running, 0 failed, 2 waiting; about 2:02 left" in said
    record = files.read_json(tasks[2].folder / "CycleGAN-s4.json")
    assert record["status"] == "failed"
    assert record["reason"] == "its process died 3 times; why died"


def test_a_failure_does_not_stop_the_others(decided, books):
    pool = Pretended({FOUR[0]: ["failed"], FOUR[3]: ["failed"]}, capacity=2)
    with pytest.raises(Failed, match=r"2 of 4 tasks failed: CycleGAN-s3, semantic-s4") as raised:
        pools.run(plan.tasks(protocol.read(decided), notebooks=books), pool, say=lambda line: None)
    assert raised.value.exit_code == 1
    assert pool.began == FOUR


def test_a_signal_stops_what_runs_and_starts_nothing_more(decided, books):
    pool = Pretended({FOUR[1]: ["signal"]})
    with pytest.raises(Stopped, match="stopped by SIGTERM; the same command resumes") as raised:
        pools.run(plan.tasks(protocol.read(decided), notebooks=books), pool, say=lambda line: None)
    assert raised.value.exit_code == 143
    assert pool.began == FOUR[:2]
    assert pool.stopped


class Deserted:
    """A client of Dask whose workers have all gone."""

    status = "running"

    def __init__(self):
        self.canceled: list = []

    def scheduler_info(self, n_workers: int) -> dict:
        return {"workers": {}}

    def cancel(self, futures: list) -> None:
        self.canceled += futures


def test_a_cluster_without_workers_is_not_waited_for_for_ever():
    from semcg_kit.sweep import cluster

    future, pool = Future(), cluster.Dask.__new__(cluster.Dask)
    vars(pool).update(_client=Deserted(), _submitted=[future], _seen=time.monotonic())
    assert pool.ended([future]) == []
    pool._seen -= 601
    with pytest.raises(OSError, match="no Dask worker for 10 minutes"):
        pool.ended([future])
    pool.stop()
    assert pool._client.canceled == [future]


# ---------------------------------------------------------------- the real thing


def test_a_killed_worker_loses_nothing_a_failure_is_said_and_nothing_is_done_twice(
    decided, books, home, monkeypatch, semcg
):
    (books / "pause").write_text("hold")
    going = begin(
        decided, "--notebooks", str(books), "--only", "CycleGAN", "--workers", "2", "--threads", "3"
    )
    worker = worker_in(home, "toy-CycleGAN-s3", "CycleGAN-s3")
    assert worker.environ()["OMP_NUM_THREADS"] == "3"
    (kernel,) = worker.children()
    worker.kill()
    kernel.wait(timeout=60)  # it sees within a second that it is an orphan
    (books / "pause").write_text("0")
    said = going.communicate(timeout=900)[0]
    assert going.returncode == 0, said
    assert "CycleGAN-s3: died after" in said
    assert "(its process was ended by SIGKILL); trying again" in said
    record = files.read_json(home / "results" / "smoke" / "sweep" / "CycleGAN-s3.json")
    assert record["why"]["toy-CycleGAN-s3"].startswith("resumed after step")
    assert trained(home) == calm(home, monkeypatch, [("CycleGAN", 3), ("CycleGAN", 4)])
    nothing_is_left(home)

    table = plan.states(protocol.read(decided), exploratory=False, measured=False)
    assert list(table["status"]) == ["ok", "ok", "waiting", "waiting"]
    (books / "bad").touch()  # what has to run from here on, fails
    again = semcg("sweep", "--protocol", decided, "--device", "cpu", "--notebooks", books, "--seeds", 3)
    said = again.stdout + again.stderr
    assert again.returncode == 1, said
    assert "2 tasks, 1 of them finished already" in said
    assert "AssertionError: the moon is not made of cheese" in said
    assert "Traceback" not in said
    assert "1 of 2 tasks failed: semantic-s3" in said
    table = plan.states(protocol.read(decided), exploratory=False, measured=False)
    assert list(table["status"]) == ["ok", "ok", "failed", "waiting"]
    assert "the moon" in table.loc[("semantic", 3), "reason"]


def test_a_record_without_its_time_takes_none(decided, home):
    for seed, record in ((3, {"status": "ok", "seconds": "long"}), (4, {"status": "ok", "seconds": 90})):
        files.write_json(home / "results" / "smoke" / "sweep" / f"CycleGAN-s{seed}.json", record)
    table = plan.states(protocol.read(decided), exploratory=False, measured=False)
    assert table.loc["CycleGAN", "minutes"].tolist() == [0.0, 1.5]


def test_a_dry_run_writes_nothing(decided, books, home, semcg):
    before = sorted(home.rglob("*"))
    done = semcg("sweep", "--protocol", decided, "--notebooks", books, "--dry-run", "--seeds", 4)
    assert (done.stdout + done.stderr).split("\n") == [
        "to do             CycleGAN-s4",
        "to do             semantic-s4",
        "",
    ]
    assert sorted(home.rglob("*")) == before


# ---------------------------------------------------------------- slow: Dask, the real notebooks, a long night


@pytest.mark.slow
def test_dask_listens_to_this_machine_alone():
    """Scheduler, nannies and workers, by the addresses that they tell and by the sockets that they have open."""
    from semcg_kit.sweep import cluster

    with closing(cluster.Dask(local=2)) as pool:
        told = pool._client.scheduler_info(n_workers=-1)
        workers = told["workers"].values()
        assert len(workers) >= 1
        addresses = [told["address"], *told["workers"], *(worker["nanny"] for worker in workers)]
        here = psutil.Process()
        sockets = [s for p in [here, *here.children(recursive=True)] for s in p.net_connections("inet")]
        listening = {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN}
    assert [address for address in addresses if not address.startswith("tcp://127.0.0.1:")] == []
    assert listening == {"127.0.0.1"}


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["the worker of Dask", "its process"])
def test_dask_gives_the_task_of_a_killed_worker_to_another(decided, books, home, monkeypatch, victim):
    (books / "pause").write_text("hold")
    going = begin(decided, "--notebooks", str(books), "--only", "CycleGAN", "--local", "2")
    worker = worker_in(home, "toy-CycleGAN-s3", "CycleGAN-s3")
    (kernel,) = worker.children()
    (worker.parent() if victim == "the worker of Dask" else worker).kill()
    if victim == "its process":
        kernel.wait(timeout=60)
    time.sleep(5)  # for the signal to arrive; it saves after the step
    (books / "pause").write_text("0")
    kernel.wait(timeout=120)
    said = going.communicate(timeout=900)[0]
    assert going.returncode == 0, said
    record = files.read_json(home / "results" / "smoke" / "sweep" / "CycleGAN-s3.json")
    assert record["why"]["toy-CycleGAN-s3"].startswith("resumed after step")
    assert trained(home) == calm(home, monkeypatch, [("CycleGAN", 3), ("CycleGAN", 4)])
    nothing_is_left(home)


@pytest.mark.slow
def test_a_cluster_that_is_there_already_takes_the_tasks_and_outlives_them(decided, books, home, monkeypatch):
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with LocalCluster(n_workers=1, processes=True, **options) as cluster:
        address = cluster.scheduler_address
        going = begin(decided, "--notebooks", str(books), "--only", "CycleGAN", "--scheduler", address)
        said = going.communicate(timeout=900)[0]
        assert going.returncode == 0, said
        assert len(cluster.workers) == 1
    assert trained(home) == calm(home, monkeypatch, [("CycleGAN", 3), ("CycleGAN", 4)])
    nothing_is_left(home)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["--workers", "--local"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sweep_saves_and_goes_on(decided, books, home, monkeypatch, where, number, code):
    (books / "pause").write_text("0.5")
    going = begin(decided, "--notebooks", str(books), "--only", "CycleGAN", where, "1")
    worker_in(home, "toy-CycleGAN-s3", "CycleGAN-s3")
    going.send_signal(number)
    said = going.communicate(timeout=600)[0]
    assert going.returncode == code, said
    assert "the same command resumes" in said
    assert ours(home, "ipykernel") == ours(home, "semcg_kit.sweep.worker") == []
    (books / "pause").write_text("0")
    again = begin(decided, "--notebooks", str(books), "--only", "CycleGAN")
    said = again.communicate(timeout=900)[0]
    assert again.returncode == 0, said
    assert trained(home) == calm(home, monkeypatch, [("CycleGAN", 3), ("CycleGAN", 4)])
    nothing_is_left(home)


@pytest.mark.slow
def test_a_sweep_that_is_killed_itself_leaves_no_process(decided, books, home):
    (books / "pause").write_text("0.5")
    going = begin(decided, "--notebooks", str(books), "--only", "CycleGAN")
    worker = worker_in(home, "toy-CycleGAN-s3", "CycleGAN-s3")
    going.kill()
    going.communicate()
    worker.wait(timeout=30)
    assert ours(home, "ipykernel") == []
    state = home / "results" / "smoke" / ".toy-CycleGAN-s3.partial" / "history.csv"
    assert len(state.read_text().splitlines()) > 1


@pytest.mark.slow
def test_the_real_notebooks_with_a_killed_worker_end_in_the_bits_of_a_calm_sweep(decided, home, monkeypatch):
    def whole(folder: Path, kill: bool) -> dict[str, bytes]:
        monkeypatch.setenv("SEMCG_HOME", str(folder))
        going = begin(decided, "--workers", "2", "--seeds", "3")
        if kill:
            wait_for((folder / "results" / "smoke" / ".cyclegan-s3.partial").exists, 1200)
            ours(folder, '"name": "CycleGAN-s3"')[0].kill()
        said = going.communicate(timeout=2400)[0]
        assert going.returncode == 0, said
        assert ("SIGKILL" in said) == kill
        return trained(folder)

    expected = whole(home / "calm", kill=False)
    assert {name.split("/")[0] for name in expected} > {"cyclegan-s3", "semantic-scores_l2-1-s3"}
    assert whole(home / "troubled", kill=True) == expected


RUNS = int(os.environ.get("SEMCG_SOAK_RUNS", "100"))
KILLS = RUNS // 5


def held_by(home: Path) -> list[int]:
    """Bytes of the sweep itself and of Dask's workers, the processes that live on from task to task."""
    found = [0]
    for process in ours(home, "semcg sweep") + ours(home, "multiprocessing.spawn"):
        with suppress(psutil.Error):
            found.append(process.memory_info().rss)
    return found


@pytest.mark.slow
def test_a_hundred_runs_on_two_dask_workers_with_random_kills(home, books, monkeypatch):
    (books / "pause").write_text("0.05")
    lines = PROTOCOL.replace("seeds = [3, 4]", f"seeds = {list(range(1, RUNS + 1))}", 1)
    (home / "protocol.toml").write_text(lines.partition("[few]")[0])
    going = begin(home / "protocol.toml", "--notebooks", str(books), "--only", "CycleGAN", "--local", "2")
    moments, killed, memory, begun = random.Random(0), 0, [], time.monotonic()
    while going.poll() is None:
        time.sleep(moments.uniform(1, 20))
        memory.append(max(held_by(home)))
        workers = ours(home, "semcg_kit.sweep.worker")
        if workers and killed < KILLS:
            victim = moments.choice(workers)
            with suppress(psutil.NoSuchProcess):
                (victim if moments.random() < 0.5 else victim.parent()).kill()
                killed += 1
    said = going.communicate()[0]
    assert going.returncode == 0, said
    assert killed == KILLS
    records = [files.read_json(path) for path in (home / "results" / "smoke" / "sweep").glob("*.json")]
    assert [record["status"] for record in records] == ["ok"] * RUNS
    half = len(memory) // 2
    first, second = max(memory[min(5, half - 1) : half]), max(memory[half:-1])
    if os.environ.get("SEMCG_CHAOS") == "count":
        found = {"runs": RUNS, "kills": killed, "seconds": round(time.monotonic() - begun)}
        promises.count({"soak": found | {"first_half_bytes": first, "second_half_bytes": second}})
    assert second < 1.2 * first, "the sweep grows"
    assert trained(home) == calm(home, monkeypatch, [("CycleGAN", seed) for seed in range(1, RUNS + 1)])
    nothing_is_left(home)
