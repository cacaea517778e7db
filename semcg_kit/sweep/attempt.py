"""One task, and one attempt at it: a process that is started, watched and stopped here.

A process of its own costs seconds where a task takes minutes. In return memory does not grow from task to task,
threads are set before anything is imported, and a Dask worker that is closed or killed takes its notebook with it.
Nothing heavy is imported here: this is all that a Dask worker needs.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from semcg import files, locks

__all__ = ["DIED", "Outcome", "Task", "carry_out", "gpus", "stop_all", "take_gpu", "write_failure"]

DIED = 75
"""Exit code of a worker whose kernel died: another attempt may succeed."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """One condition at one seed, in plain values, so that it can be sent to another process or machine.

    The machines must share a file system: a task carries paths, not files.

    Attributes
    ----------
    name : str
        Condition and seed as part of a file name.
    parameters : dict
        Of all its notebooks.
    notebooks : tuple of str
        Paths, executed in this order.
    home : str
        The value of $SEMCG_HOME.
    threads : int
        Threads of its kernel.
    layouts : tuple of str
        Only for what all tasks share: the target layouts whose data must exist.
    settings : dict
        Fields of Config that differ from the profile, beside the parameters.
    protocol : str
        Path of the protocol whose folder takes the evidence; "" leaves it with the results.
    """

    name: str
    parameters: dict[str, object]
    notebooks: tuple[str, ...]
    home: str
    threads: int = 1
    layouts: tuple[str, ...] = ()
    settings: dict[str, object] = field(default_factory=dict)
    protocol: str = ""

    @property
    def folder(self) -> Path:
        """Where the executed notebooks of the sweep and their records are."""
        return files.results_folder(str(self.parameters["data"]), str(self.parameters["profile"])) / "sweep"

    @property
    def outputs(self) -> dict[Path, Path]:
        """Notebook -> its executed copy: named like the task, further ones with their own name appended."""
        first, *others = map(Path, self.notebooks)
        named = {first: self.name} | {other: f"{self.name}-{other.stem}" for other in others}
        return {notebook: self.folder / f"{name}.ipynb" for notebook, name in named.items()}

    @property
    def lock(self) -> Path:
        """Locked by the worker; `.lock` is the name that the execution of a notebook uses."""
        return self.folder / f".{self.name}.task"

    @property
    def scratch(self) -> Path:
        """Folder for the worker's temporary files; a short name, since paths of sockets have 100 characters at most."""
        return Path(tempfile.gettempdir()) / f"semcg-sweep-{os.getuid()}-{files.digest(str(self.lock))[:8]}"


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended, why if not well, and how many seconds it took."""

    status: Literal["ok", "failed", "stopped", "died"]
    reason: str
    seconds: float


class _Worker(subprocess.Popen):
    """A process that executes a task."""

    asked_to_stop = False

    def stop(self) -> None:
        """Ask the process, once, to save its work and to end, which takes a minute at most."""
        if not self.asked_to_stop:
            self.asked_to_stop = True
            self.send_signal(signal.SIGTERM)


_running: set[_Worker] = set()


def carry_out(task: Task) -> Outcome:
    """Execute a task in a process of its own and return how it ended."""
    begun = time.monotonic()
    # Threads that spin while they wait take the cores from other tasks.
    environment = {"OMP_WAIT_POLICY": "passive"} | os.environ
    environment |= dict.fromkeys(_THREADS, str(task.threads)) | {"SEMCG_HOME": task.home}
    with tempfile.TemporaryFile() as stderr:
        worker = _Worker(
            [sys.executable, "-m", "semcg_kit.sweep.worker", json.dumps(asdict(task))],
            env=environment,
            stdin=subprocess.PIPE,  # when it closes, the worker knows that its parent is gone
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C in a terminal reaches a whole session; the sweep passes it on
        )
        _running.add(worker)
        code = worker.wait()
        _running.discard(worker)
        worker.stdin.close()
        stderr.seek(0)
        last = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
    status, reason = _ending(task, code, worker.asked_to_stop, last)
    return Outcome(status, reason, time.monotonic() - begun)


def stop_all() -> None:
    """Ask what `carry_out` runs in other threads of this process to save and to end."""
    for worker in list(_running):
        worker.stop()


def _ending(task: Task, code: int, asked_to_stop: bool, last: str) -> tuple[str, str]:
    """Return status and reason of a worker that ended with this exit code, and this last line on its standard error."""
    records = [files.read_record(output.with_suffix(".json")) for output in reversed(task.outputs.values())]
    reason = next((str(record["reason"]).partition("\n")[0] for record in records if "reason" in record), "")
    if code == 0:
        return "ok", ""
    if code == 1 and reason:
        return "failed", reason
    if asked_to_stop or code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        return "stopped", ""
    if code == DIED:
        return "died", reason
    if code < 0:
        return "died", f"its process was ended by {signal.Signals(-code).name}"
    return "died", f"its process ended with code {code}: {last}"


def write_failure(task: Task, output: Path, reason: str, seconds: float = 0.0) -> None:
    """Write the record of a task that failed outside of its notebooks, in the form of `semcg_kit.execution.execute`."""
    record = {"status": "failed", "reason": reason, "seconds": round(seconds, 1)}
    files.write_json(output.with_suffix(".json"), record | {"parameters": task.parameters})


def gpus(device: str) -> list[str]:
    """Return the names by which CUDA knows the GPUs that `device` allows; none for "cpu"."""
    import torch

    count = 0 if device == "cpu" else torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    visible = (named or [str(n) for n in range(count)])[:count]
    number = device.partition(":")[2]
    return [visible[int(number)]] if number else visible


def take_gpu(device: str) -> None:
    """Reserve a GPU of this machine until this process ends, waiting for one, and hide the others from its kernels."""
    names = gpus(device)
    while names:
        for name in names:
            lock = Path(tempfile.gettempdir()) / f"semcg-gpu-{os.getuid()}-{files.digest(name)[:8]}.lock"
            with suppress(BlockingIOError):
                locks.hold(lock, f"GPU {name}", patience=0)
                if ":" not in device:  # "cuda:1" counts among all GPUs
                    os.environ["CUDA_VISIBLE_DEVICES"] = name
                return
        time.sleep(0.2)
