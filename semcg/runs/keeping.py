"""How a training is kept: its records pass through, and nothing of them is lost; and how it is watched meanwhile.

While days pass, a CycleGAN leaves something to look at every `keep_every` steps. In its folder:

    kept/<step>/G_st.safetensors, G_ts.safetensors   what would translate if the training ended here
    sheets/<step>.png                                four source frames above their translations
    validation.csv                                   step, judge mIoU, frames: on source/val, where it has labels

None of this draws a random number or chooses what the evidence uses: the weights at the end are what is measured.
"""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import nn

from semcg import evaluate, files, locks, metrics, translate
from semcg.config import Config
from semcg.data import Scenes
from semcg.devices import gather, rank, world_size
from semcg.loop import check_finite
from semcg.runs import checkpoint, trained
from semcg.runs.datasets import data
from semcg.runs.store import Origin, Run
from semcg.system import stop_signals
from semcg.training import CycleGANTraining

_READ_EVERY = 10  # steps between two readings of the losses: reading makes a GPU wait
_SHOWN, _SCORED = 4, 20  # frames on a sheet; and at most scored


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
        From `open_run`.
    records : iterable of dict
        From `semcg.loop.fit`, begun at `run.step`.

    Yields
    ------
    dict
        "step" and the losses, as floats.

    Raises
    ------
    MemoryError
        If the memory of the machine or of its GPU was used up; says what to lower.
    FloatingPointError
        If a loss or a gradient is not finite, before anything of it is saved; names the term and the step.
    """
    waiting: list[dict] = []

    def read() -> list[dict[str, float]]:
        new = [{k: v if k == "step" else float(v) for k, v in record.items()} for record in waiting]
        waiting.clear()
        new = [_mean_of_shares(records) for records in zip(*gather(new), strict=True)]
        for record in new:
            check_finite(record)
        run.history.extend(new)
        run.seconds = time.perf_counter() - begun
        if new and rank() == 0:
            with open(run.partial / "history.csv", "a", newline="") as handle:
                handle.write(checkpoint.as_csv(new, header=handle.tell() == 0))
        return new

    try:
        yield from list(run.history)
        if run.origin is Origin.REUSED:
            return
        begun = time.perf_counter() - run.seconds
        with stop_signals() as stopped:
            try:
                for record in records:
                    waiting.append(record)
                    save = record["step"] % run.recipe.config.save_every == 0
                    stop = any(gather(bool(stopped)))
                    if save or stop or len(waiting) == _READ_EVERY:
                        new = read()
                        if save or stop:
                            run.save()
                        if stop:
                            raise KeyboardInterrupt(
                                f"{run.name} is saved at step {run.step}; the same command resumes from there"
                            )
                        yield from new
                yield from read()
            except (MemoryError, RuntimeError) as error:
                if not _is_memory(error):
                    raise
                raise MemoryError(
                    f"{run.name}: out of memory after step {run.step + len(waiting)}. Close other programs; or lower "
                    "crop, batch or the networks' widths, which makes it another run; what is saved stays, and the same "
                    "command resumes from there"
                ) from None
            except GeneratorExit:  # the caller's loop was left early
                if world_size() == 1:
                    read()
                    run.save()
                raise
        run.save()
        if run.step == run.steps:
            run.finish()
    finally:
        locks.release(run.lock)


def _mean_of_shares(records: tuple[dict[str, float], ...]) -> dict[str, float]:
    """Return the record of the whole batch from those of its equal shares."""
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


def with_snapshots(run: Run, t: CycleGANTraining, fabric: Fabric, records: Iterable[dict]) -> Iterator[dict]:
    """Pass on the records of a CycleGAN's training, and after every `keep_every` steps leave something to look at.

    Parameters
    ----------
    run : Run
        From `semcg.runs.open_run`; its config's `keep_every` counts, and 0 leaves nothing.
    records : iterable of dict
        From `semcg.loop.fit`.
    """
    config = run.recipe.config
    for record in records:
        if config.keep_every and record["step"] % config.keep_every == 0 and rank() == 0:
            _look(run.partial, record["step"], config, t.generators(config.generator_weights), fabric)
        yield record


def current_folder(run: Path | str) -> Path:
    """Return the folder in which a run lies, or trains at this moment.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    """
    run = Path(run)
    folders = [f for f in (run.with_name(f".{run.name}.partial"), run) if (f / "history.csv").is_file()]
    if not folders:
        raise FileNotFoundError(f"no run {run}: give its folder, results/<data and profile>/<run>")
    return folders[0]


def is_running(run: Path | str) -> bool:
    """Return whether a process trains a run at this moment."""
    return locks.taken(Path(run).with_name(f".{Path(run).name}.lock"))


def describe(run: Path | str) -> str:
    """Return how far a run is: the means of the last fifty steps, the last scores, and its last sheet of frames."""
    running, folder = is_running(run), current_folder(run)
    history = pd.DataFrame(checkpoint.read_csv(folder / "history.csv"))
    state = f"{len(history)} steps" + ", still training" * running
    if folder != Path(run) and not running:
        state = f"stopped at step {len(history)}; the same command resumes it"
    lines = [f"{Path(run).name}: {state}"]
    if len(history):
        lines += [f"  {name:<18} {value:9.4f}" for name, value in history.iloc[-50:, 1:].mean().items()]
    if (folder / "validation.csv").is_file():
        lines.append(pd.read_csv(folder / "validation.csv").tail(8).to_string(index=False))
    if sheets := sorted((folder / "sheets").glob("*.png")):
        lines.append(f"last sheet: {sheets[-1]}")
    return "\n".join(lines)


@torch.inference_mode()
def _look(folder: Path, step: int, config: Config, pair: tuple[nn.Module, nn.Module], fabric: Fabric) -> None:
    for direction, net in zip(("st", "ts"), pair, strict=True):
        checkpoint.save_weights(net, folder / "kept" / str(step) / f"G_{direction}.safetensors")
    G_st, scenes = translate.any_size(pair[0]), Scenes(data(config) / "source" / "val")
    shown = [scenes.frame(k * len(scenes) // _SHOWN)[0] for k in range(min(_SHOWN, len(scenes)))]
    columns = [torch.cat([x, trained.translate_image(G_st, x, fabric)], dim=1) for x in shown]
    height = min(column.shape[1] for column in columns)
    sheet = translate.to_bytes(torch.cat([column[:, :height] for column in columns], dim=2))
    with files.atomic(folder / "sheets" / f"{step:07d}.png") as partial:
        Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(partial, format="PNG")
    judge = None
    with suppress(FileNotFoundError, ValueError):  # not trained yet
        judge = trained.judge(config, fabric)
    if judge is not None and scenes.labeled:
        some = scenes.only(list(range(len(scenes)))[:_SCORED])
        counts = evaluate.segmentation_counts(judge, some, translate=G_st, fabric=fabric)
        path, row = folder / "validation.csv", {"judge mIoU": metrics.mean_iou(counts), "frames": len(some)}
        # Rows of steps that are trained again after a stop are replaced.
        before = pd.read_csv(path).query(f"step < {step}") if path.is_file() else None
        rows = pd.concat([before, pd.DataFrame([{"step": step} | row])])
        files.write_text(path, rows.to_csv(index=False, lineterminator="\n"))
