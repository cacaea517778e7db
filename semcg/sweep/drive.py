"""A sweep from its first task to its exit code: order, deaths, signals."""

import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol as Interface

from semcg.runs.failures import Failed, Stopped
from semcg.sweep import plan
from semcg.sweep.attempts import Outcome
from semcg.sweep.board import Board
from semcg.sweep.task import Task

__all__ = ["Pool", "run"]

_ATTEMPTS = 3  # a task whose process died so often is given up: most likely the memory is too small for it


class Pool(Interface):
    """Where tasks are carried out: `semcg.sweep.processes.Processes` or `semcg.sweep.cluster.Dask`."""

    capacity: int

    def submit(self, task: Task) -> None:
        """Begin a task."""

    def ended(self) -> list[tuple[Task, Outcome]]:
        """Return the tasks that have ended since the last call; waits a moment."""

    def stop(self) -> None:
        """Ask what runs to save and leave."""


def run(todo: list[Task], pool: Pool, *, first: Sequence[Task] = (), say: Callable[[str], None]) -> None:
    """Carry out tasks; those that are finished already are left alone.

    Parameters
    ----------
    todo : list of Task
        From `semcg.sweep.tasks`, in this order.
    pool : Pool
        Where.
    first : sequence of Task
        What all of them need, done one by one before them unless it exists (`semcg.sweep.plan.shared`).
    say : callable
        Takes one line.

    Raises
    ------
    Failed
        When all is done that can be done, if a task failed; names those that did. If one of `first` fails, at once.
    Stopped
        After SIGINT or SIGTERM, when every running task has saved and left.
    """
    with _signals() as arrived:
        for task in first:
            if absent := plan.missing(task):
                say(f"made first: {', '.join(absent)}")
                _loop([task], pool, Board(waiting=1, done=0, say=say), arrived)
        waiting = [task for task in todo if not plan.finished(task)]
        board = Board(waiting=len(waiting), done=len(todo) - len(waiting), say=say)
        say(f"{len(todo)} tasks, {board.done} of them finished already")
        _loop(waiting, pool, board, arrived)


def _loop(tasks: list[Task], pool: Pool, board: Board, arrived: list[int]) -> None:
    try:
        _carry_out(tasks, pool, board, arrived)
    finally:
        board.clear()


def _carry_out(tasks: list[Task], pool: Pool, board: Board, arrived: list[int]) -> None:
    waiting, deaths, failed, passed_on = deque(tasks), Counter(), [], 0
    while waiting or board.running:
        if len(arrived) > passed_on:
            passed_on = len(arrived)
            board.tell("stopping: what runs is saved first")
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
                    output = next(iter(task.outputs.values()))
                    plan.write_failure(output, task.parameters, reason=reason, seconds=outcome.seconds)
                else:
                    waiting.appendleft(task)
            elif status == "stopped" and not arrived:
                waiting.append(task)  # somebody else stopped it: its work is saved, and still to be done
            if status == "failed":
                failed.append(task.name)
            board.ended(task, status, reason, outcome.seconds, capacity=pool.capacity)
        board.show(pool.capacity)
    if arrived:
        name = signal.Signals(arrived[0]).name
        raise Stopped(f"stopped by {name}; the same command goes on", arrived[0])
    if failed:
        raise Failed(f"{len(failed)} of {board.done + board.failed} tasks failed: {', '.join(failed)}")


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list while the block runs."""
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return
    before = {
        number: signal.signal(number, lambda number, frame: arrived.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
