"""A sweep from its first task to its exit code: order, attempts, signals, and the live table."""

import signal
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Protocol as Interface

from semcg.system import duration, live, stop_signals
from semcg_kit.execution.failures import Failed, Stopped
from semcg_kit.sweep import plan
from semcg_kit.sweep.attempt import Attempt, Outcome, Task

__all__ = ["Board", "Pool", "Processes", "run"]

_ATTEMPTS = 3  # a task whose process died so often is given up: most likely the memory is too small for it


class Pool(Interface):
    """Where tasks are executed: `Processes`, or `semcg_kit.sweep.cluster.Dask`."""

    capacity: int

    def submit(self, task: Task) -> None:
        """Begin a task."""

    def ended(self) -> list[tuple[Task, Outcome]]:
        """Return the tasks that have ended since the last call; waits a moment."""

    def stop(self) -> None:
        """Ask what runs to save and to end."""


class Processes:
    """Executes up to `workers` tasks at a time on this machine."""

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
        """Ask what runs to save and to end; `ended` returns it then."""
        for attempt in self._running:
            attempt.stop()

    def close(self) -> None:
        """Stop what still runs, and wait for it."""
        self.stop()
        for attempt in self._running:
            attempt.wait()
        self._running.clear()


class Board:
    """Counts tasks, and reports what happens to them: a line for each that ended, and the text of a live table."""

    def __init__(self, pool: Pool, *, waiting: int, done: int, say: Callable[[str], None]):
        self.pool, self.waiting, self.done, self.failed = pool, waiting, done, 0
        self.running: dict[str, float] = {}
        self._took: list[float] = []
        self._say = say

    def began(self, task: Task) -> None:
        """Count a task that was given to a worker."""
        self.waiting -= 1
        self.running[task.name] = time.monotonic()

    def ended(self, task: Task, status: str, reason: str, seconds: float) -> None:
        """Count a task that ended; one that died or was stopped waits again."""
        del self.running[task.name]
        after = duration(seconds)
        if status == "ok":
            self.done += 1
            self._took.append(seconds)
            self._say(f"{task.name}: done in {after}")
        elif status == "failed":
            self.failed += 1
            self._say(f"{task.name}: failed after {after}: {reason}")
        else:
            self.waiting += 1
            more = (
                f"died after {after} ({reason}); trying again"
                if status == "died"
                else f"stopped after {after}"
            )
            self._say(f"{task.name}: {more}")

    def summary(self) -> str:
        """Return "3 done, 2 running, 0 failed, 31 waiting; about 0:41 left", the time from the median so far."""
        line = f"{self.done} done, {len(self.running)} running, {self.failed} failed, {self.waiting} waiting"
        if not self._took or not (self.waiting or self.running):
            return line
        each, now = statistics.median(self._took), time.monotonic()
        left = self.waiting * each + sum(max(each - now + begun, 0) for begun in list(self.running.values()))
        return f"{line}; about {duration(left / max(self.pool.capacity, 1))} left"

    def text(self) -> str:
        """Return the live table: the counts, and a line for each running task, the longest first."""
        now = time.monotonic()
        usual = f" of about {duration(statistics.median(self._took))}" if self._took else ""
        running = sorted(self.running.items(), key=lambda pair: pair[1])
        wide = max((len(name) for name, _ in running), default=0)
        rows = [f"  {name:<{wide}}  {duration(now - begun):>7}{usual}" for name, begun in running]
        return "\n".join([self.summary(), *rows])


def run(todo: list[Task], pool: Pool, *, first: Sequence[Task] = (), say: Callable[[str], None]) -> None:
    """Execute tasks, except those that are finished already.

    Parameters
    ----------
    todo : list of Task
        From `semcg_kit.sweep.plan.tasks`, in this order.
    pool : Pool
        Where.
    first : sequence of Task
        What all of them need, done one by one before them unless it exists (`semcg_kit.sweep.plan.shared`).
    say : callable
        Takes one line.

    Raises
    ------
    Failed
        When all that can be done is done, if a task failed; names those that did. If one of `first` fails, at once.
    Stopped
        After SIGINT or SIGTERM, when every running task has saved and ended.
    """
    with stop_signals() as arrived:
        for task in first:
            if absent := plan.missing(task):
                say(f"first: {', '.join(absent)}")
                _execute([task], pool, Board(pool, waiting=1, done=0, say=say), arrived, say)
        waiting = [task for task in todo if not plan.finished(task)]
        board = Board(pool, waiting=len(waiting), done=len(todo) - len(waiting), say=say)
        say(f"{len(todo)} tasks, {board.done} of them finished already")
        _execute(waiting, pool, board, arrived, say)


def _execute(tasks: list[Task], pool: Pool, board: Board, arrived: list[int], say) -> None:
    waiting, deaths, failed, passed_on = deque(tasks), Counter(), [], 0
    with live(board.text) as in_terminal:
        while waiting or board.running:
            if len(arrived) > passed_on:
                passed_on = len(arrived)
                say("stopping: running tasks are saved first")
                pool.stop()
            if arrived and not board.running:
                break
            while waiting and not arrived and len(board.running) < pool.capacity:
                task = waiting.popleft()
                pool.submit(task)
                board.began(task)
            for task, outcome in pool.ended():
                status, reason = outcome.status, outcome.reason
                if status == "died":
                    deaths[task.name] += 1
                    if deaths[task.name] == _ATTEMPTS:
                        status, reason = "failed", f"its process died {_ATTEMPTS} times; {reason}"
                        plan.write_failure(task, next(iter(task.outputs.values())), reason, outcome.seconds)
                    else:
                        waiting.appendleft(task)
                elif status == "stopped" and not arrived:
                    waiting.append(task)  # something else stopped it: its work is saved, and not finished
                if status == "failed":
                    failed.append(task.name)
                board.ended(task, status, reason, outcome.seconds)
                if not in_terminal:
                    say(board.summary())
    if arrived:
        name = signal.Signals(arrived[0]).name
        raise Stopped(f"stopped by {name}; the same command resumes the sweep", arrived[0])
    if failed:
        raise Failed(f"{len(failed)} of {board.done + board.failed} tasks failed: {', '.join(failed)}")
