"""One process per run and one run per GPU, by locks on files that the operating system releases when a process dies.

`flock` knows nothing of a kernel that outlives the process that started it by a second. So every attempt has a mark in
its environment, which its kernel inherits; the mark is written into the locked file, and whoever takes over a lock that
was not given back first sees to it that no process with the old mark is left on this machine.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from semcg import files

__all__ = ["MARK", "Busy", "end_marked", "gpu", "held", "scratch_of", "taken"]

MARK = "SEMCG_ATTEMPT"
"""Environment variable that the processes of one attempt have in common."""

_POLL = 0.2  # seconds between two looks at a lock that another process has
_GRACE = 5.0  # seconds in which an orphaned kernel sees that it is one; it looks every second


class Busy(RuntimeError):
    """A lock that another process has, for those who do not want to wait."""


@contextmanager
def held(path: Path, mark: str, *, wait: bool = True) -> Iterator[Path]:
    """Hold the lock `path` and yield an empty folder for temporary files, which is removed at the end.

    Parameters
    ----------
    path : Path
        The file is removed when the lock is given back, and stays when its holder dies.
    mark : str
        That of the holder's processes.
    wait : bool
        Wait while another process has it.

    Raises
    ------
    Busy
        If another process has it and `wait` is false.
    """
    while (handle := _taken(path)) is None:
        if not wait:
            raise Busy(f"another process has {path}")
        time.sleep(_POLL)
    scratch = scratch_of(path)
    with os.fdopen(handle, "r+") as content:
        try:
            if left := content.read():
                end_marked(left)
            content.seek(0)
            content.truncate()
            content.write(mark)
            content.flush()
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(mode=0o700)
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            path.unlink(missing_ok=True)  # while it is still locked; who waits for it sees that it is gone


def scratch_of(path: Path) -> Path:
    """Return the folder for temporary files of whoever holds the lock `path`."""
    # A short name, since sockets are made in there, whose paths may have about 100 characters.
    return Path(tempfile.gettempdir()) / f"semcg-sweep-{os.getuid()}-{files.digest(str(path))[:8]}"


def _taken(path: Path) -> int | None:
    """Return the descriptor of `path`, locked, or None if another process has it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        except FileNotFoundError:
            pass  # given back, hence removed, between the two lines
        except BlockingIOError:
            os.close(handle)
            return None
        os.close(handle)


def taken(path: Path) -> bool:
    """Tell whether a process has the lock `path`, without touching the file."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def end_marked(mark: str) -> None:
    """Wait until no process of this machine has a mark, and after a grace period kill those that still do."""
    found = [process for process in psutil.process_iter() if _marked(process, mark)]
    alive = psutil.wait_procs(found, timeout=_GRACE)[1]
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=_GRACE)


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.pid != os.getpid()
    except (psutil.Error, OSError):
        return False  # gone, or another user's


@contextmanager
def gpu(device: str) -> Iterator[None]:
    """Take one GPU of this machine for as long as the block runs, waiting for one if all are taken.

    Every process that it starts meanwhile sees this GPU alone ($CUDA_VISIBLE_DEVICES). On a machine without one, or
    for `device` = "cpu", nothing happens. One that `device` names, "cuda:1" say, is waited for.
    """
    visible = [] if device == "cpu" else _gpus()
    if not visible:
        yield
        return
    number = device.partition(":")[2]
    wanted = [visible[int(number)]] if number else visible
    while (taken := _first_free(wanted)) is None:
        time.sleep(_POLL)
    name, handle = taken
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not number:  # one that is named by its number keeps it
        os.environ["CUDA_VISIBLE_DEVICES"] = name
    try:
        yield
    finally:
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        elif not number:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        _gpu_lock(name).unlink(missing_ok=True)
        os.close(handle)


def _first_free(gpus: list[str]) -> tuple[str, int] | None:
    for name in gpus:
        if (handle := _taken(_gpu_lock(name))) is not None:
            return name, handle
    return None


def _gpu_lock(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"semcg-gpu-{os.getuid()}-{files.digest(name)[:8]}.lock"


def _gpus() -> list[str]:
    """Return the names by which CUDA knows the GPUs that this process may use."""
    import torch

    if named := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return [name for name in named.split(",") if name][: torch.cuda.device_count()]
    return [str(n) for n in range(torch.cuda.device_count())]
