"""Locks between processes: who trains a run, draws a world or executes a notebook alone.

A lock is a file that the system frees when its process ends, however it ends.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_held: dict[Path, object] = {}  # the locks of this process


def hold(path: Path, what: str, *, patience: float = 5.0) -> None:
    """Lock `path` for this process until `release`, or until the process ends, for whatever reason.

    Locking a path twice in one process changes nothing.

    Parameters
    ----------
    path : Path
        A file that serves as a lock only. It contains the number of the process and the name of its machine.
    what : str
        What is locked, for the message: "the training of cyclegan-s0".
    patience : float
        Seconds to wait for another process; -1 waits until it ends. The default outlasts a kernel whose parent was
        killed, which notices after one second.

    Raises
    ------
    BlockingIOError
        If another process still holds the lock; names that process.
    """
    path = Path(path).resolve()
    if path in _held:
        return
    from filelock import FileLock, SoftFileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=patience, poll_interval=0.1, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        holder = ""
        with suppress(OSError):  # it has just been released
            holder = " ".join(path.read_text(errors="replace").split())
        raise BlockingIOError(
            f"{what} is locked by {holder or 'another process'}. Wait until it ends, or end it, then run the same command "
            "again."
        ) from None
    if not isinstance(lock, SoftFileLock):  # on a disk without locks, the file's own content is the lock
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
    _held[path] = lock


@contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Hold a lock while the block runs; parameters and errors as in `hold`. Where nothing can be written, none is held."""
    try:
        hold(path, what)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS):
            raise
    try:
        yield
    finally:
        release(path)


def release(path: Path) -> None:
    """Free a lock that this process holds, and remove its file."""
    path = Path(path).resolve()
    if (lock := _held.pop(path, None)) is not None:
        path.unlink(missing_ok=True)  # before it is free: another process might lock it in between
        lock.release()


def taken(path: Path) -> bool:
    """Return whether any process holds the lock `path`."""
    path = Path(path).resolve()
    if path in _held or not path.exists():
        return path in _held
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, timeout=0):
            return False
    except (Timeout, PermissionError):  # the second: it is another user's, and who holds it is not known
        return True
