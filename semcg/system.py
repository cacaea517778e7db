"""What the machine allows this process, and what it asks of it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

__all__ = ["cores", "each", "stop_signals"]

Item = TypeVar("Item")
Result = TypeVar("Result")
_GROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Return how many cores this process may use, at least 1: its affinity and the quota of its control groups."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([allowed, *_quotas()])))


@contextmanager
def stop_signals(*, interrupt: bool = False) -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list while the block runs, so that it ends where it wants to.

    Parameters
    ----------
    interrupt : bool
        Also raise `KeyboardInterrupt` at once.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return

    def collect(number: int, frame: object) -> None:
        arrived.append(number)
        if interrupt:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, collect) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def each(work: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Iterator[Result]:
    """Yield work(item) of every item, in the order in which they are done.

    An error in one item ends the work, once what other processes had begun is yielded, so that nothing done is lost.
    Processes are spawned: a script that uses them needs `if __name__ == "__main__":`. They end with their parent,
    however it ends.

    Raises
    ------
    OSError
        If a process was ended from outside.
    """
    if processes == 1:
        yield from map(work, items)
        return
    context, items = multiprocessing.get_context("spawn"), iter(items)
    waiting, failed = set(), None
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            while True:
                if failed is None:
                    waiting |= {
                        pool.submit(work, item) for item in islice(items, 2 * processes - len(waiting))
                    }
                if not waiting:
                    break
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    if future.cancelled():
                        continue
                    if error := future.exception():
                        failed = failed or error
                        for other in waiting:
                            other.cancel()
                    else:
                        yield future.result()
        except BrokenProcessPool as error:
            failed = error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if isinstance(failed, BrokenProcessPool):
        raise OSError(
            "a process was ended from outside, perhaps since memory ran out. Run the command again, with fewer "
            "--processes; it resumes where it stopped"
        ) from failed
    if failed is not None:
        raise failed


def _quotas() -> list[float]:
    """Return the quotas, in cores, of the control group of this process and of those around it."""
    try:
        # Version 2 has one line, "0::/path"; in a container the path is often "/".
        own = Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].strip()
    except OSError:
        own = ""
    limits = [folder / "cpu.max" for folder in ((_GROUPS / own), *(_GROUPS / own).parents)]
    texts = [_text(limit) for limit in limits if limit.is_relative_to(_GROUPS)]
    texts.append(f"{_text(_GROUPS / 'cpu/cpu.cfs_quota_us')} {_text(_GROUPS / 'cpu/cpu.cfs_period_us')}")
    pairs = [text.split() for text in texts]
    return [int(p[0]) / int(p[1]) for p in pairs if len(p) == 2 and all(map(str.isdigit, p)) and int(p[1])]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _end_with_parent() -> None:
    """Let a process end when its parent is killed, so that none still writes during the next call."""
    # An interrupt from the keyboard reaches all; the parent alone says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
