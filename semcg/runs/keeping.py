"""How a training is kept: its records pass through, and nothing of them is lost."""

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from semcg.runs.history import as_csv
from semcg.runs.store import Run

__all__ = ["keep"]

_READ_EVERY = 10  # steps between two readings of the losses: reading makes a GPU wait


def keep(run: Run, records: Iterable[dict]) -> Iterator[dict[str, float]]:
    """Pass on the records of a training and see to it that nothing of them is lost.

    What the run has in its history is replayed first, so that a reused or resumed run reads like a new one. Then
    each record of `records` is appended; the whole training state is saved every `config.save_every` steps and at
    SIGTERM or SIGINT, which then raise `KeyboardInterrupt` between two steps. When `records` end, the run is
    complete and takes its place.

    Parameters
    ----------
    run : Run
        From `start`.
    records : iterable of dict
        From `semcg.training.fit`, begun at `run.step`.

    Yields
    ------
    dict
        "step" and the losses, as floats.
    """
    yield from list(run.history)
    if run.why == "reused":
        return
    waiting: list[dict] = []
    begun = time.perf_counter() - run.seconds

    def read() -> list[dict[str, float]]:
        new = [{k: v if k == "step" else float(v) for k, v in record.items()} for record in waiting]
        waiting.clear()
        run.history.extend(new)
        run.seconds = time.perf_counter() - begun
        if new:
            with open(run.partial / "history.csv", "a", newline="") as handle:
                handle.write(as_csv(new, header=handle.tell() == 0))
        return new

    with _stop_signals() as stopped:
        try:
            for record in records:
                waiting.append(record)
                save = record["step"] % run.recipe.config.save_every == 0
                if save or stopped or len(waiting) == _READ_EVERY:
                    new = read()
                    if save or stopped:
                        run.save()
                    if stopped:
                        raise KeyboardInterrupt(
                            f"{run.name} is saved at step {run.step}; the same command goes on from there"
                        )
                    yield from new
        except GeneratorExit:  # the caller's loop was left early
            read()
            run.save()
            raise
        yield from read()
    run.save()
    if run.step == run.steps:
        run.finish()


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list while the block runs, so that a step is never cut in half."""
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return
    before = {
        s: signal.signal(s, lambda number, frame: arrived.append(number))
        for s in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
