"""A sweep from its first task to its exit code: order, attempts, signals, and the live table."""

import signal
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from semcg.system import duration, live, stop_signals
from semcg_kit.execution import Failed, Stopped
from semcg_kit.sweep import plan
from semcg_kit.sweep.attempt import Outcome, Task, carry_out, stop_all, write_failure

__all__ = ["Board", "Processes", "run"]

_ATTEMPTS = 3  # a task whose process died so often is given up: most likely the memory is too small for it


class Processes:
    """Executes up to `capacity` tasks at a time on this machine; `semcg_kit.sweep.cluster.Dask` does it on others."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._threads = ThreadPoolExecutor(capacity)
        self._submitted: list[Future] = []

    def submit(self, task: Task) -> Future:
        """Begin a task."""
        self._submitted.append(self._threads.submit(carry_out, task))
        return self._submitted[-1]

    def ended(self, futures: Iterable[Future]) -> Iterable[Future]:
        """Wait a moment, and return those that are done."""
        return wait(futures, timeout=0.1, return_when="FIRST_COMPLETED").done

    def stop(self) -> None:
        """Ask what runs to save and to end."""
        stop_all()

    def close(self) -> None:
        """Stop what still runs, and wait for it."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        while wait(self._submitted, timeout=0.1).not_done:
            stop_all()


class Board:
    """Counts tasks, and reports what happens to them: a line for each that ended, and the text of a live table."""

    def __init__(self, workplace, *, waiting: int, done: int, say: Callable[[str], None]):
        self.workplace, self.waiting, self.done, self.failed = workplace, waiting, done, 0
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
        if status == "ok":
            self.done += 1
            self._took.append(seconds)
        elif status == "failed":
            self.failed += 1
        else:
            self.waiting += 1
        after = duration(seconds)
        words = {
            "ok": f"done in {after}",
            "failed": f"failed after {after}: {reason}",
            "died": f"died after {after} ({reason}); trying again",
            "stopped": f"stopped after {after}",
        }
        self._say(f"{task.name}: {words[status]}")

    def summary(self) -> str:
        """Return "3 done, 2 running, 0 failed, 31 waiting; about 0:41 left", the time from the median so far."""
        line = f"{self.done} done, {len(self.running)} running, {self.failed} failed, {self.waiting} waiting"
        if not self._took or not (self.waiting or self.running):
            return line
        each, now = statistics.median(self._took), time.monotonic()
        left = self.waiting * each + sum(max(each - now + begun, 0) for begun in list(self.running.values()))
        return f"{line}; about {duration(left / max(self.workplace.capacity, 1))} left"

    def text(self) -> str:
        """Return the live table: the counts, and a line for each running task, the longest first."""
        now = time.monotonic()
        usual = f" of about {duration(statistics.median(self._took))}" if self._took else ""
        running = list(self.running.items())  # in the order in which they began
        wide = max((len(name) for name, _ in running), default=0)
        rows = [f"  {name:<{wide}}  {duration(now - begun):>7}{usual}" for name, begun in running]
        return "\n".join([self.summary(), *rows])


def run(todo: list[Task], workplace, *, first: Sequence[Task] = (), say: Callable[[str], None]) -> None:
    """Execute tasks, except those that are finished already.

    Parameters
    ----------
    todo : list of Task
        From `semcg_kit.sweep.plan.tasks`, in this order.
    workplace : Processes or Dask
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
                _execute([task], workplace, Board(workplace, waiting=1, done=0, say=say), arrived, say)
        waiting = [task for task in todo if not plan.finished(task)]
        board = Board(workplace, waiting=len(waiting), done=len(todo) - len(waiting), say=say)
        say(f"{len(todo)} tasks, {board.done} of them finished already")
        _execute(waiting, workplace, board, arrived, say)


def _execute(tasks: list[Task], workplace, board: Board, arrived: list[int], say) -> None:
    waiting, deaths, failed, stopping = deque(tasks), Counter(), [], False
    running: dict[Future, Task] = {}
    with live(board.text) as in_terminal:
        while running or (waiting and not arrived):
            if arrived:
                if not stopping:
                    say("stopping: running tasks are saved first")
                stopping = True
                workplace.stop()  # each time, for a task that has just begun, or was given to another worker
            while waiting and not arrived and len(running) < workplace.capacity:
                task = waiting.popleft()
                running[workplace.submit(task)] = task
                board.began(task)
            for future in workplace.ended(list(running)):
                task = running.pop(future)
                outcome = _outcome(future, "stopped" if arrived else "died", board.running[task.name])
                status, reason = outcome.status, outcome.reason
                if status == "died":
                    deaths[task.name] += 1
                    if deaths[task.name] == _ATTEMPTS:
                        status, reason = "failed", f"its process died {_ATTEMPTS} times; {reason}"
                        write_failure(task, next(iter(task.outputs.values())), reason, outcome.seconds)
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


def _outcome(future: Future, otherwise: str, begun: float) -> Outcome:
    """Return how a task ended; where its worker was lost with it, `otherwise`."""
    try:
        return future.result()
    except Exception as error:  # also that the future was canceled
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return Outcome(otherwise, reason, time.monotonic() - begun)
