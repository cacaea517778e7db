"""How a task is carried out: in a process of its own, which is started, watched and stopped here.

The loop and Dask use the same one. That process costs seconds where a task takes minutes, and buys that no memory
piles up from task to task, that threads are set before anything is imported (a Dask nanny has set them to 1), that
signals reach the notebook, and that a Dask worker which is closed or killed takes its notebook with it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Literal

from semcg import files
from semcg.sweep import locks
from semcg.sweep.task import Task

__all__ = ["Attempt", "Outcome", "carry_out", "stop_all"]

_DIED = 75  # as in semcg.sweep.worker, which is not imported here: it is run
_running: set["Attempt"] = set()


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended, why if not well, and how many seconds it took."""

    status: Literal["ok", "failed", "stopped", "died"]
    reason: str
    seconds: float


class Attempt:
    """A process that carries out a task."""

    def __init__(self, task: Task):
        self.task = task
        self.begun = time.monotonic()
        self._mark = uuid.uuid4().hex
        self._asked = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  read when the process has ended
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(task.threads)
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "semcg.sweep.worker", json.dumps(asdict(task))],
            env=os.environ | threads | {locks.MARK: self._mark, "SEMCG_HOME": task.home},
            stdin=subprocess.PIPE,  # held open: its end tells the worker that nobody waits for it any more
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C in a terminal goes to all processes of a session; the sweep passes it on
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.begun

    def stop(self) -> None:
        """Ask the process, once, to save what it does and to leave, which takes it seconds, a minute at most."""
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
        if outcome.status in ("died", "stopped"):
            locks.end_marked(self._mark)  # the kernel sees by itself that it is orphaned; seen to here
            with suppress(locks.Busy), locks.held(self.task.lock, self._mark, wait=False):
                pass  # what the process left in its temporary folder
        self._errors.close()
        return outcome

    def wait(self) -> Outcome:
        """Return how it ended."""
        self._process.wait()
        return self.poll()

    def _outcome(self, code: int) -> Outcome:
        if code == 0:
            return Outcome("ok", "", self.seconds)
        if code == 1 and (reason := self._recorded()):
            return Outcome("failed", reason, self.seconds)
        if self._asked or code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            return Outcome("stopped", "", self.seconds)
        if code == _DIED:
            return Outcome("died", self._recorded(), self.seconds)
        if code < 0:
            return Outcome("died", f"its process was ended by {signal.Signals(-code).name}", self.seconds)
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        return Outcome("died", f"its process ended with code {code}: {last}", self.seconds)

    def _recorded(self) -> str:
        for output in reversed(self.task.outputs.values()):
            record = output.with_suffix(".json")
            if record.is_file() and (reason := files.read_json(record).get("reason")):
                return str(reason).partition("\n")[0]
        return ""


def carry_out(task: Task) -> Outcome:
    """Carry out a task and return how it ended: what a Dask worker does."""
    attempt = Attempt(task)
    _running.add(attempt)
    try:
        return attempt.wait()
    finally:
        _running.discard(attempt)


def stop_all() -> None:
    """Stop what `carry_out` does in other threads of this process."""
    for attempt in list(_running):
        attempt.stop()
