"""What the machine allows a process (cores, worker processes), what it asks of it (signals), and what its terminal shows.

Only Python's own library is imported at the top, since the doctor must start where packages are missing.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_GROUPS = Path("/sys/fs/cgroup")
_EVERY = 30.0  # seconds between two lines of progress where the output is no terminal


def cores() -> int:
    """Return how many cores this process may use, at least 1: its affinity and the quota of its control groups."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([allowed, *_quotas()])))


@contextmanager
def stop_signals(*, interrupt: bool = False, then: Callable | None = None) -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list while the block runs, so that its code decides when to stop.

    Outside of the main thread nothing is collected.

    Parameters
    ----------
    interrupt : bool
        Also raise `KeyboardInterrupt` at once.
    then : callable, optional
        Is called after each with the list.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return

    def collect(number: int, frame: object) -> None:
        arrived.append(number)
        if then:
            then(arrived)
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

    An error in one item ends the work, once the few items that are handed out already are yielded, so that nothing done
    is lost. Processes are spawned: a script that uses them needs `if __name__ == "__main__":`. They end with their parent,
    however it ends.

    Raises
    ------
    OSError
        If a process was ended from outside.
    """
    if processes == 1:
        yield from map(work, items)
        return
    context, items, failed = multiprocessing.get_context("spawn"), iter(items), None
    try:
        with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
            try:
                pending = {pool.submit(work, item) for item in islice(items, 2 * processes)}
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        if error := future.exception():
                            failed = failed or error
                        else:
                            yield future.result()
                    if failed is None:
                        pending |= {pool.submit(work, item) for item in islice(items, len(done))}
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        if failed is not None:
            raise failed
    except BrokenProcessPool as error:
        raise OSError(
            "a process was killed, perhaps because memory ran out. Run the command again, with fewer "
            "--processes; it resumes where it stopped"
        ) from error


def duration(seconds: float) -> str:
    """Return seconds as minutes:seconds, or hours:minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


@contextmanager
def live(text: Callable[[], str]) -> Iterator[bool]:
    """Show what `text` returns below the other output of a terminal, renewed twice a second, while the block runs.

    Yields whether there is a terminal. Where there is none, nothing is shown.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    if not (console.is_terminal and sys.stdout.isatty()):
        yield False
        return
    shown = Live(
        get_renderable=lambda: Text(text(), no_wrap=True, overflow="ellipsis"),
        console=console,
        refresh_per_second=2,
        transient=True,
    )
    with shown:
        yield True


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function (what, done, of) that shows how far work is, with its rate and the time left."""
    now: dict[str, str] = {}
    begun: dict[str, tuple[float, int]] = {}
    written: dict[str, float] = {}

    def show(what: str, done: int, of: int) -> None:
        clock = time.monotonic()
        since, first = begun.setdefault(what, (clock, done))
        rate = (done - first) / max(clock - since, 1e-9)
        left = f", {rate:.1f} a second, {duration((of - done) / rate)} left" if rate and done < of else ""
        now[what] = f"{what} {done}/{of}{left}"
        if not in_terminal and (done == of or clock - written.setdefault(what, clock) > _EVERY):
            written[what] = clock
            print(now[what], file=sys.stderr, flush=True)

    with live(lambda: "\n".join(now.values())) as in_terminal:
        yield show


def _quotas() -> list[float]:
    """Return the quotas, in cores, of the control group of this process and of those around it."""
    # Version 2 has one line, "0::/path".
    own = _GROUPS / _text(Path("/proc/self/cgroup")).rpartition("0::/")[2]
    folders = [folder for folder in (own, *own.parents) if folder.is_relative_to(_GROUPS)]
    texts = [_text(folder / "cpu.max") for folder in folders]
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
    # Ctrl-C reaches every process; the workers leave it to the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
