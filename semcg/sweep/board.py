"""What a sweep says of itself: a line per task, a live table in a terminal, and the table of all tasks."""

import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from semcg import files
from semcg import protocol as protocols
from semcg.sweep import locks
from semcg.sweep.plan import tasks
from semcg.sweep.task import Task

__all__ = ["Board", "clock", "overview", "table"]


class Board:
    """Counts tasks, and says what happens to them.

    In a terminal a table below the last line stays up to date: a row for each running task, and the counts of all.
    Where the output goes into a file, the counts are a line after each task that ended.

    Parameters
    ----------
    waiting : int
        Tasks to be done.
    done : int
        Tasks that are finished already.
    say : callable
        Takes one line.
    """

    def __init__(self, *, waiting: int, done: int, say: Callable[[str], None]):
        self.waiting, self.done, self.failed = waiting, done, 0
        self.running: dict[str, float] = {}
        self._took: list[float] = []
        self._say = say
        self._live = sys.stderr.isatty() and sys.stdout.isatty()
        self._shown = 0.0
        self._drawn = 0  # lines of the table in the terminal

    def began(self, task: Task) -> None:
        """A task was given to a worker."""
        self.waiting -= 1
        self.running[task.name] = time.monotonic()

    def ended(self, task: Task, status: str, reason: str, seconds: float, *, capacity: int) -> None:
        """A task ended; one that died waits again."""
        del self.running[task.name]
        if status == "ok":
            self.done += 1
            self._took.append(seconds)
            self.tell(f"{task.name}: done in {clock(seconds)}")
        elif status == "failed":
            self.failed += 1
            self.tell(f"{task.name}: failed after {clock(seconds)}: {reason}")
        elif status == "died":
            self.waiting += 1
            self.tell(f"{task.name}: died after {clock(seconds)} ({reason}); it is taken up again")
        else:
            self.waiting += 1
            self.tell(f"{task.name}: stopped after {clock(seconds)}")
        if not self._live:
            self._say(self.summary(capacity))

    def tell(self, line: str) -> None:
        """Say a line above the table."""
        self.clear()
        self._say(line)
        self._shown = 0.0

    def summary(self, capacity: int) -> str:
        """Return "3 done, 2 running, 0 failed, 31 waiting; about 0:41 left", the time from the median so far."""
        line = f"{self.done} done, {len(self.running)} running, {self.failed} failed, {self.waiting} waiting"
        if not self._took or not (self.waiting or self.running):
            return line
        each, now = statistics.median(self._took), time.monotonic()
        left = self.waiting * each + sum(max(each - now + begun, 0) for begun in self.running.values())
        return f"{line}; about {clock(left / max(capacity, 1))} left"

    def rows(self, capacity: int) -> list[str]:
        """Return the live table: a line for each running task, the longest first, and the summary."""
        now = time.monotonic()
        usual = f" of about {clock(statistics.median(self._took))}" if self._took else ""
        wide = max(map(len, self.running), default=0)
        running = sorted(self.running.items(), key=lambda pair: pair[1])
        return [f"  {name:<{wide}}  {clock(now - begun):>7}{usual}" for name, begun in running] + [
            self.summary(capacity)
        ]

    def show(self, capacity: int) -> None:
        """Bring the table in a terminal up to date."""
        if not self._live or time.monotonic() - self._shown <= 1:
            return
        self.clear()
        self._shown = time.monotonic()
        columns, lines = shutil.get_terminal_size()
        rows = self.rows(capacity)
        if len(rows) > lines - 2:  # it must not scroll, or what scrolled off could not be cleared
            kept = max(lines - 4, 0)
            rows = [*rows[:kept], f"  and {len(rows) - 1 - kept} more", rows[-1]]
        sys.stderr.write("\n".join(row[: columns - 1] for row in rows))
        sys.stderr.flush()
        self._drawn = len(rows)

    def clear(self) -> None:
        """Take the table off the terminal."""
        if self._drawn:
            sys.stderr.write("\r\033[K" + "\033[A\033[K" * (self._drawn - 1))
            sys.stderr.flush()
            self._drawn = 0


def clock(seconds: float) -> str:
    """Return seconds as minutes:seconds, or hours:minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def table(
    profile: str = "",
    *,
    protocol: Path | str | None = None,
    few: bool = True,
    notebooks: Path | None = None,
) -> pd.DataFrame:
    """Return how far a sweep is, from what lies in `results/`; works while it runs, and after.

    Parameters
    ----------
    profile : str
        "" means the protocol's.
    protocol : path, optional
        Default: that of this repository.
    few : bool
        The further conditions as well.
    notebooks : Path, optional
        As in `semcg.sweep.tasks`.

    Returns
    -------
    DataFrame
        A row per task, by condition and seed: "status" (waiting, running, ok, failed, stopped, killed), "minutes"
        of its last execution, "trained" (the minutes of it that were training), and "reason", if it did not end well.
    """
    rows = []
    for task in tasks(protocols.read(protocol), profile=profile, few=few, notebooks=notebooks):
        records = [
            files.read_json(path)
            for output in task.outputs.values()
            if (path := output.with_suffix(".json")).is_file()
        ]
        bad = [record for record in records if record["status"] != "ok"]
        status = bad[0]["status"] if bad else "ok" if len(records) == len(task.outputs) else "waiting"
        rows.append(
            {
                "condition": task.parameters["condition"],
                "seed": task.parameters["seed"],
                "status": "running" if locks.taken(task.lock) else status,
                "minutes": sum(record["seconds"] for record in records) / 60,
                "trained": sum(sum(record.get("trained", {}).values()) for record in records) / 60,
                "reason": bad[0].get("reason", "") if bad else "",
            }
        )
    return pd.DataFrame(rows).set_index(["condition", "seed"]).round(1)


def overview(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a `table` with a row per condition and a column per seed: the minutes of what ended well, else the status.

    "-" waits. Where the protocol gives a condition no such seed, there is nothing.
    """
    cells = [
        f"{row.minutes:.1f}" if row.status == "ok" else "-" if row.status == "waiting" else row.status
        for row in runs.itertuples()
    ]
    wide = pd.Series(cells, index=runs.index).unstack("seed")
    return wide.loc[runs.index.unique("condition")].fillna("").rename_axis(index=None)
