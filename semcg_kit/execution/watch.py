"""The line in the terminal while a notebook runs: which run, step, losses, rate and time left."""

import csv
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

from semcg.system import duration, live

__all__ = ["Watch"]


class Watch(threading.Thread):
    """Reads the events of a kernel and the history of its current run, and says what it sees.

    Parameters
    ----------
    events : Path
        File that the kernel appends its events to.
    say : callable, optional
        Takes one line of text. Without it nothing is read at all.
    """

    def __init__(self, events: Path, say: Callable[[str], None] | None):
        super().__init__(daemon=True)
        self._events, self._say = events, say
        self._over = threading.Event()
        self._seen = 0
        self._run: dict | None = None
        self._first: tuple[float, int] | None = None  # when and at which step this run was first seen moving

    def __enter__(self) -> "Watch":
        if self._say:
            self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._say:
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
        if not self._events.exists():
            return
        lines = self._events.read_text().splitlines()
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
        if self._run is None or not (record := _last(Path(self._run["folder"]) / "history.csv")):
            return ""
        step, steps, now = int(record.pop("step")), self._run["steps"], time.monotonic()
        self._first = self._first or (now, step)
        shown = {k: v for k, v in record.items() if not k.startswith(("gradient", "pull"))}
        losses = "  ".join(f"{name} {float(value):.3f}" for name, value in shown.items())
        line = f"  {self._run['run']}  step {step}/{steps}  {losses}"
        if (gone := now - self._first[0]) > 1 and (done := step - self._first[1]):
            line += f"  {done / gone:.1f} steps/s  {duration((steps - step) * gone / done)} left"
        return line


def _last(history: Path) -> dict[str, str]:
    """Return the last whole row of a history, {} if there is none yet."""
    try:
        lines = history.read_text().splitlines(keepends=True)
    except OSError:
        return {}
    whole = [line for line in lines if line.endswith("\n")]
    return next(csv.DictReader([whole[0], whole[-1]])) if len(whole) > 1 else {}
