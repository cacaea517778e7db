"""Locks: what one process holds and no other gets, and what a crash gives back."""

import fcntl
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["hold", "release"]

_held: dict[Path, int] = {}


def hold(path: Path, what: str, *, patience: float = 5.0) -> None:
    """Take the lock `path` for this process until `release`, or until the process ends, however it ends.

    The lock belongs to the process and not to the file: what a crash leaves of the file holds nobody up. Taking a lock
    that this process holds already changes nothing. On a disk that knows no locks, nobody is refused.

    Parameters
    ----------
    path : Path
        A file that exists for this alone. It holds the number of the process and the name of the machine.
    what : str
        What is locked, for the message: "the training of cyclegan-s0".
    patience : float
        Seconds before another process counts as working: a kernel outlives the process that started it by one.

    Raises
    ------
    BlockingIOError
        If another process holds it; says which, and what to do.
    """
    path = Path(path).resolve()
    if path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            os.close(handle)
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            raise BlockingIOError(
                f"{what} is in the hands of {who} already; wait for its end, or end it, and give the same command again"
            ) from None
        except OSError:
            pass  # no locks on this disk
        # Whoever held it before may have removed the file between our opening and our locking it.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                break
        os.close(handle)
    os.ftruncate(handle, 0)
    os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    _held[path] = handle


def release(path: Path) -> None:
    """Give a lock back, if this process holds it, and remove its file."""
    path = Path(path).resolve()
    if (handle := _held.pop(path, None)) is not None:
        path.unlink(missing_ok=True)  # while it is still locked, so that nobody locks a file that is gone
        os.close(handle)
