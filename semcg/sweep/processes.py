"""The default: a few processes beside this one."""

import time

from semcg.sweep.attempts import Attempt, Outcome
from semcg.sweep.task import Task

__all__ = ["Processes"]


class Processes:
    """Carries out up to `workers` tasks at a time on this machine."""

    def __init__(self, workers: int):
        self.capacity = workers
        self._running: list[Attempt] = []

    def submit(self, task: Task) -> None:
        """Begin a task."""
        self._running.append(Attempt(task))

    def ended(self) -> list[tuple[Task, Outcome]]:
        """Return the tasks that have ended since the last call; waits a moment."""
        time.sleep(0.1)
        ended = [(attempt, outcome) for attempt in self._running if (outcome := attempt.poll())]
        for attempt, _ in ended:
            self._running.remove(attempt)
        return [(attempt.task, outcome) for attempt, outcome in ended]

    def stop(self) -> None:
        """Ask what runs to save and leave; `ended` will tell of it."""
        for attempt in self._running:
            attempt.stop()

    def close(self) -> None:
        """Stop what still runs, and wait for it."""
        self.stop()
        for attempt in self._running:
            attempt.wait()
        self._running.clear()
