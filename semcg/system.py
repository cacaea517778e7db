"""What the machine allows this process, and what it asks of it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["cores", "stop_signals"]

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
