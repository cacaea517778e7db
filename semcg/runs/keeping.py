"""How a training is kept: its records pass through, and nothing of them is lost."""

import math
import time
from collections.abc import Iterable, Iterator

from semcg import files
from semcg.runs.checkpoint import as_csv
from semcg.runs.store import Run, Start
from semcg.system import stop_signals
from semcg.training.devices import any_rank, gather, rank, world_size
from semcg.training.loop import check_finite

__all__ = ["keep"]

_READ_EVERY = 10  # steps between two readings of the losses: reading makes a GPU wait


def keep(run: Run, records: Iterable[dict]) -> Iterator[dict[str, float]]:
    """Pass on the records of a training and see to it that nothing of them is lost.

    What the run has in its history is replayed first, so that a reused or resumed run reads like a new one. Then
    each record of `records` is appended; the whole training state is saved every `config.save_every` steps and at
    SIGTERM or SIGINT, which then raise `KeyboardInterrupt` between two steps. When `records` end, the run is
    complete and takes its place.

    In several processes every one of them keeps; a signal to any of them stops all after the same step. The losses
    are those of the whole batch. A loop that is left early saves only in a single process: the others may not be where
    this one is.

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

    Raises
    ------
    MemoryError
        If the memory of the machine or of its GPU was used up; says what to lower.
    FloatingPointError
        If a loss is not finite, before anything of it is saved.
    """
    yield from list(run.history)
    if run.start is Start.REUSED:
        return
    try:
        yield from _kept(run, records)
    finally:
        files.release(run.lock)


def _kept(run: Run, records: Iterable[dict]) -> Iterator[dict[str, float]]:
    waiting: list[dict] = []
    begun = time.perf_counter() - run.seconds

    def read() -> list[dict[str, float]]:
        new = [{k: v if k == "step" else float(v) for k, v in record.items()} for record in waiting]
        waiting.clear()
        new = [_joined(records) for records in zip(*gather(new), strict=True)]
        for record in new:
            check_finite(record, f"{run.name}, ")
        run.history.extend(new)
        run.seconds = time.perf_counter() - begun
        if new and rank() == 0:
            with open(run.partial / "history.csv", "a", newline="") as handle:
                handle.write(as_csv(new, header=handle.tell() == 0))
        return new

    with stop_signals() as stopped:
        try:
            for record in records:
                waiting.append(record)
                save = record["step"] % run.recipe.config.save_every == 0
                stop = any_rank(bool(stopped))
                if save or stop or len(waiting) == _READ_EVERY:
                    new = read()
                    if save or stop:
                        run.save()
                    if stop:
                        raise KeyboardInterrupt(
                            f"{run.name} is saved at step {run.step}; the same command goes on from there"
                        )
                    yield from new
        except (MemoryError, RuntimeError) as error:
            if not _is_memory(error):
                raise
            raise MemoryError(
                f"{run.name}: the memory was used up after step {run.step + len(waiting)}. Close other programs; or lower "
                "crop, batch or the networks' widths, which makes it another run; what is saved stays, and the same "
                "command goes on from there"
            ) from None
        except GeneratorExit:  # the caller's loop was left early
            if world_size() == 1:
                read()
                run.save()
            raise
        yield from read()
    run.save()
    if run.step == run.steps:
        run.finish()


def _joined(records: tuple[dict[str, float], ...]) -> dict[str, float]:
    """Return the record of the whole batch from those of its equal shares."""
    if len(records) == 1:
        return records[0]
    joined = {}
    for name in records[0]:
        values = [record[name] for record in records]
        # A pull is a norm over the images: of a mean over the share, not over the batch.
        total = math.hypot(*values) if name.startswith("pull") else math.fsum(values)
        joined[name] = values[0] if name == "step" else total / len(values)
    return joined


def _is_memory(error: Exception) -> bool:
    """Whether an error says that memory was used up: torch has a class for a GPU's, and only words for the CPU's."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)
