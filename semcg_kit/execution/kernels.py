"""The kernels that notebooks are executed in: this very Python, or an installed one, and the process of the last one."""

import glob
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError

from semcg import files
from semcg.training.devices import Place

__all__ = ["Named", "Own", "dying", "last_words", "lock_of", "passing_signals", "scratch"]

_SAID = "kernel.txt"
_PATIENCE = 60  # seconds that a stopped kernel gets to end its step and save


def last_words(folder: Path) -> str:
    """Return the last line that the kernel with its connection file in `folder` wrote on its standard error, or ""."""
    file = folder / _SAID
    lines = file.read_text(errors="replace").split("\n") if file.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


class _Specs(KernelSpecManager):
    """Knows one kernel: this interpreter. A user's own kernels of the same name are never found by accident."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="semcg",
            language="python",
            metadata={"debugger": False, "supported_encryption": ["curve"]},
        )


class Named(AsyncKernelManager):
    """A kernel manager that remembers the process it started, so that a signal can be passed on.

    What the process writes past its notebook, on its standard error, goes into a file beside its connection file
    (`last_words`): a kernel that is shut down while it answers tells of a closed socket there, which helps nobody, and
    one that cannot start tells why.
    """

    started: list[subprocess.Popen] = []

    async def _async_start_kernel(self, **keywords):
        with Path(self.connection_file).with_name(_SAID).open("ab") as file:
            await super()._async_start_kernel(stderr=file, **keywords)
        self.started.append(self.provisioner.process)

    start_kernel = _async_start_kernel


class Own(Named):
    """The same, of this very interpreter, whatever kernels are installed."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return _Specs()


@contextmanager
def dying() -> Iterator[None]:
    """Raise `DeadKernelError` also for a kernel that dies before its first answer, for which nbclient has no class."""
    try:
        yield
    except RuntimeError as error:
        if "Kernel died" not in str(error):
            raise
        raise DeadKernelError(str(error)) from None


@contextmanager
def passing_signals() -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on to the kernel, as SIGINT, and give it time to save before it is killed."""
    arrived: list[int] = []
    timers: list[threading.Timer] = []
    Named.started.clear()
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return

    def pass_on(number: int, frame: object) -> None:
        if Named.started and Named.started[-1].poll() is not None:
            return  # it died before, which is why torchrun ends us now; that is about to be said
        arrived.append(number)
        if not Named.started:  # no kernel yet: nothing to save
            raise KeyboardInterrupt
        pid = Named.started[-1].pid
        _send(pid, signal.SIGINT if len(arrived) < 3 else signal.SIGKILL)
        timers.append(threading.Timer(_PATIENCE, _send, (pid, signal.SIGKILL)))
        timers[-1].daemon = True
        timers[-1].start()

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield arrived
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def lock_of(output: Path, rank: int) -> Path:
    return output.with_name(f".{output.stem}.{rank}.lock" if rank else f".{output.stem}.lock")


def folder_of(output: Path, rank: int) -> Path:
    # A short name, since sockets are made in there, whose paths may have about 100 characters.
    return Path(gettempdir()) / f"semcg-{os.getuid()}-{files.digest([str(output.resolve()), rank])[:8]}"


@contextmanager
def scratch(output: Path, here: Place) -> Iterator[Path]:
    """Make a folder for what nobody keeps; remove it at the end, and first of all what a kill has left."""
    folder, name = folder_of(output, here.rank), glob.escape(output.stem)
    if folder.exists():  # the runner was killed, perhaps while it or its kernel wrote
        files.remove_torn(files.home() / "results")
        shutil.rmtree(folder, ignore_errors=True)
    if here.rank == 0:
        begun = {lock_of(output, rank) for rank in range(1, here.ranks)}
        locks = set(output.parent.glob(f".{name}.[0-9]*.lock")) - begun
        for left in [*output.parent.glob(f".{name}.[0-9]*.partial.*"), *locks]:
            left.unlink(missing_ok=True)
    folder.mkdir(mode=0o700)  # the key of a kernel lies in it
    try:
        yield folder
    except BaseException:
        files.remove_torn(files.home() / "results")  # of a kernel that died
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
