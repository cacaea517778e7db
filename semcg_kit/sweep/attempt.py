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

__all__ = ["DIED", "Attempt", "Outcome", "Task", "carry_out", "gpus", "stop_all", "take_gpu"]

DIED = 75
"""Exit code of a worker whose kernel died: another attempt may succeed."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_running: set["Attempt"] = set()


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
        return {first: self.folder / f"{self.name}.ipynb"} | {
            other: self.folder / f"{self.name}-{other.stem}.ipynb" for other in others
        }

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


class Attempt:
    """A process that executes a task."""

    def __init__(self, task: Task):
        self.task = task
        self.begun = time.monotonic()
        self._asked = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  read when the process has ended
        self._process = subprocess.Popen(
            [sys.executable, "-m", "semcg_kit.sweep.worker", json.dumps(asdict(task))],
            env={"OMP_WAIT_POLICY": "passive"}  # spinning threads take the cores from the other tasks
            | os.environ
            | dict.fromkeys(_THREADS, str(task.threads))
            | {"SEMCG_HOME": task.home},
            stdin=subprocess.PIPE,  # when it closes, the worker knows that its parent is gone
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C in a terminal reaches a whole session; the sweep passes it on
        )

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.begun

    def stop(self) -> None:
        """Ask the process, once, to save its work and to end, which takes a minute at most."""
        if not self._asked:
            self._asked = True
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    def poll(self) -> Outcome | None:
        """Return how it ended, None if it has not."""
        if (code := self._process.poll()) is None:
            return None
        self._process.stdin.close()
        outcome = self._outcome(code)
        self._errors.close()
        return outcome

    def wait(self) -> Outcome:
        """Return how it ended, when it has."""
        self._process.wait()
        return self.poll()

    def _outcome(self, code: int) -> Outcome:
        if code == 0:
            return Outcome("ok", "", self.seconds)
        if code == 1 and (reason := self._recorded()):
            return Outcome("failed", reason, self.seconds)
        if self._asked or code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            return Outcome("stopped", "", self.seconds)
        if code == DIED:
            return Outcome("died", self._recorded(), self.seconds)
        if code < 0:
            return Outcome("died", f"its process was ended by {signal.Signals(-code).name}", self.seconds)
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        return Outcome("died", f"its process ended with code {code}: {last}", self.seconds)

    def _recorded(self) -> str:
        for output in reversed(self.task.outputs.values()):
            if reason := files.read_record(output.with_suffix(".json")).get("reason"):
                return str(reason).partition("\n")[0]
        return ""


def carry_out(task: Task) -> Outcome:
    """Execute a task and return how it ended; this is what a Dask worker calls."""
    attempt = Attempt(task)
    _running.add(attempt)
    try:
        return attempt.wait()
    finally:
        _running.discard(attempt)


def stop_all() -> None:
    """Stop what `carry_out` runs in other threads of this process."""
    for attempt in list(_running):
        attempt.stop()


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
