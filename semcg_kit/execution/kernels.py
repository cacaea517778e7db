"""The kernel of a notebook that is executed: its process, its temporary files, signals to it, and what it reports."""

import csv
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets import Dict

from semcg import files, locks
from semcg.devices import Place
from semcg.system import duration, live, stop_signals

__all__ = ["Installed", "Own", "Watch", "last_words", "passing_signals", "scratch"]

_STDERR = "kernel.txt"
_PATIENCE = 60  # seconds that a stopped kernel gets to end its step and save


class Installed(AsyncKernelManager):
    """Starts an installed kernel and remembers its process, so that a signal can be passed on.

    What the process writes on its standard error goes into a file beside its connection file (`last_words`): a kernel
    that is shut down while it answers tells of a closed socket there, which helps no user, and one that cannot start
    tells why.
    """

    environment = Dict(help="Variables for the kernel, on top of those of this process.").tag(config=True)
    process: subprocess.Popen | None = None  # of the class, since papermill keeps the manager to itself

    async def _async_start_kernel(self, **keywords):
        environment = os.environ | self.environment
        with Path(self.connection_file).with_name(_STDERR).open("ab") as file:
            await super()._async_start_kernel(stderr=file, env=environment, **keywords)
        Installed.process = self.provisioner.process

    start_kernel = _async_start_kernel


class Own(Installed):
    """Starts this very interpreter, whatever kernels are installed."""

    kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name="semcg",
        language="python",
        metadata={"debugger": False, "supported_encryption": ["curve"]},
    )


def last_words(folder: Path) -> str:
    """Return the last line that the kernel with its connection file in `folder` wrote on its standard error, or ""."""
    file = folder / _STDERR
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@contextmanager
def passing_signals() -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on to the kernel, as SIGINT, and give it time to save before it is killed."""
    Installed.process = None
    deadline = threading.Timer(_PATIENCE, lambda: Installed.process.kill())
    deadline.daemon = True

    def pass_on(arrived: list[int]) -> None:
        if not (kernel := Installed.process):  # nothing to save
            raise KeyboardInterrupt
        if (
            kernel.poll() is not None
        ):  # it died before, which is why torchrun ends us now; that is about to be said
            arrived.pop()
            return
        kernel.send_signal(signal.SIGINT if len(arrived) < 3 else signal.SIGKILL)
        if len(arrived) == 1:
            deadline.start()

    with stop_signals(then=pass_on) as arrived:
        try:
            yield arrived
        finally:
            deadline.cancel()


# ---------------------------------------------------------------- files of one execution


@contextmanager
def scratch(output: Path, here: Place, what: str) -> Iterator[Path]:
    """Lock an execution and make a folder for its temporary files; remove it at the end, and first what a kill has left."""
    held = [output.with_name(f".{output.stem}{f'.{k}' if k else ''}.lock") for k in range(here.ranks)]
    # A short name, since sockets are made in there, whose paths may have about 100 characters.
    own = f"semcg-{os.getuid()}-{files.digest([str(output.resolve()), here.rank])[:8]}"
    folder, name = Path(gettempdir()) / own, glob.escape(output.stem)
    locks.hold(held[here.rank], f"the execution of {what}")
    try:
        if folder.exists():  # the runner was killed, perhaps while it or its kernel wrote
            files.remove_torn(files.home() / "results")
            shutil.rmtree(folder, ignore_errors=True)
        if here.rank == 0:
            left = set(output.parent.glob(f".{name}.[0-9]*.lock")) - set(held)
            for path in [*output.parent.glob(f".{name}.[0-9]*.partial.*"), *left]:
                path.unlink(missing_ok=True)
        folder.mkdir(mode=0o700)  # it holds the key of a kernel
        yield folder
    except BaseException:
        files.remove_torn(files.home() / "results")  # of a kernel that died
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        locks.release(held[here.rank])


# ---------------------------------------------------------------- progress


class Watch(threading.Thread):
    """Reads the events of a kernel and the history of its current run, and reports them.

    Parameters
    ----------
    events : Path
        File that the kernel appends its events to.
    say : callable
        Takes one line of text.
    """

    def __init__(self, events: Path, say: Callable[[str], None]):
        super().__init__(daemon=True)
        self._events, self._say = events, say
        self._over = threading.Event()
        self._seen = 0
        self._run: dict | None = None
        self._first: tuple[float, int] | None = None  # when and at which step this run was first seen moving

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        printed = time.monotonic()
        with live(self._line) as in_terminal:
            while not self._over.wait(0.5):
                self._take_events()
                if not in_terminal and time.monotonic() - printed > 15 and (line := self._line()):
                    self._say(line)
                    printed = time.monotonic()
            self._take_events()

    def _take_events(self) -> None:
        lines = self._events.read_text().splitlines() if self._events.exists() else []
        for event in map(json.loads, lines[self._seen :]):
            if event["event"] == "run":
                self._run = event if event["start"] != "reused" else None
                self._first = None
                self._say(f"  {event['run']}: {event['why']}")
            elif event["event"] == "done":
                self._run = None
        self._seen = len(lines)

    def _line(self) -> str:
        """Return "name  step 120/1000  gan 1.23 ...  8.1 steps/s  1:48 left", or "" if no run is training."""
        if not (run := self._run) or not (record := _last_row(Path(run["folder"]) / "history.csv")):
            return ""
        step, steps, now = int(record.pop("step")), run["steps"], time.monotonic()
        first = self._first = self._first or (now, step)
        shown = {k: v for k, v in record.items() if not k.startswith(("gradient", "pull"))}
        losses = "  ".join(f"{name} {float(value):.3f}" for name, value in shown.items())
        line = f"  {run['run']}  step {step}/{steps}  {losses}"
        if (gone := now - first[0]) > 1 and (done := step - first[1]):
            line += f"  {done / gone:.1f} steps/s  {duration((steps - step) * gone / done)} left"
        return line


def _last_row(history: Path) -> dict[str, str]:
    """Return the last complete row of a history, {} if there is none yet."""
    try:
        lines = history.read_text().splitlines(keepends=True)
    except OSError:
        return {}
    complete = [line for line in lines if line.endswith("\n")]
    return next(csv.DictReader([complete[0], complete[-1]])) if len(complete) > 1 else {}
