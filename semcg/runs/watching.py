"""Something to look at while days pass: weights, a sheet of frames and the judge's score, every `keep_every` steps.

In a run's folder:

    kept/<step>/G_st.safetensors, G_ts.safetensors   what would translate if the training ended here
    sheets/<step>.png                                four source frames above their translations
    validation.csv                                   step, judge mIoU, frames: on source/val, where it has labels

Nothing here draws a random number or chooses what the evidence uses: the weights at the end are what is measured.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn

from semcg import files, metrics, segmenters, translate
from semcg.config import Config
from semcg.data import Scenes
from semcg.runs import checkpoint, trained
from semcg.runs.datasets import data
from semcg.runs.store import Run
from semcg.training import Translation
from semcg.training.devices import rank

__all__ = ["folder_of", "is_running", "summary", "watched"]

_FRAMES, _SCORED = 4, 20  # on a sheet; and at most scored


def watched(run: Run, training: Translation, fabric: Fabric, records: Iterable[dict]) -> Iterator[dict]:
    """Pass on the records of a CycleGAN's training, and after every `keep_every` steps leave something to look at.

    Parameters
    ----------
    run : Run
        From `semcg.runs.start`; its config's `keep_every` counts, and 0 leaves nothing.
    records : iterable of dict
        From `semcg.training.fit`.
    """
    config = run.recipe.config
    for record in records:
        if config.keep_every and record["step"] % config.keep_every == 0 and rank() == 0:
            _look(run.partial, record["step"], config, training.translators(config.generator_weights), fabric)
        yield record


def folder_of(run: Path | str) -> Path:
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
    """Tell whether a run is not complete yet."""
    return not (folder_of(run) / "provenance.json").is_file() or folder_of(run).name.endswith(".partial")


def summary(run: Path | str) -> str:
    """Return how far a run is: the means of the last fifty steps, the last scores, and its last sheet of frames."""
    folder = folder_of(run)
    history = pd.DataFrame(checkpoint.read_csv(folder / "history.csv"))
    lines = [f"{Path(run).name}: {len(history)} steps" + ", still training" * is_running(run)]
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
    G_st = translate.any_size(pair[0])
    scenes = Scenes(data(config) / "source" / "val")
    shown = [scenes.frame(k * len(scenes) // _FRAMES)[0] for k in range(min(_FRAMES, len(scenes)))]
    columns = [torch.cat([x, G_st(x[None].to(fabric.device))[0].float().cpu()], dim=1) for x in shown]
    _write_sheet(folder / "sheets" / f"{step:07d}.png", columns)
    judge = None
    with suppress(FileNotFoundError, ValueError):  # not trained yet
        judge = trained.judge(config, fabric)
    if judge is not None and scenes.labelled:
        some = range(min(_SCORED, len(scenes)))
        table = sum(_counts(judge, G_st, *scenes.frame(i), fabric) for i in some)
        _append(folder / "validation.csv", step, metrics.mean_iou(table), len(some))


def _counts(judge: nn.Module, G_st: translate.Translation, x: Tensor, y: Tensor, fabric: Fabric) -> Tensor:
    around, top, left = translate.pad(G_st(x[None].to(fabric.device)), judge.multiple)
    read = segmenters.upsample(judge(around), around.shape[-2:]).argmax(1)[0].cpu()
    return metrics.confusion(read[top : top + y.shape[0], left : left + y.shape[1]], y)


def _write_sheet(path: Path, columns: list[Tensor]) -> None:
    height = min(column.shape[1] for column in columns)
    pixels = np.concatenate(
        [translate.to_bytes(c[:, :height]).permute(1, 2, 0).numpy() for c in columns], axis=1
    )
    with files.atomic(path) as partial:
        Image.fromarray(pixels).save(partial, format="PNG")


def _append(path: Path, step: int, score: float, frames: int) -> None:
    """Add a row; rows of steps that are trained again after a stop are replaced."""
    row = pd.DataFrame({"step": [step], "judge mIoU": [score], "frames": [frames]})
    if path.is_file():
        before = pd.read_csv(path)
        row = pd.concat([before[before["step"] < step], row])
    files.write_text(path, row.to_csv(index=False, lineterminator="\n"))
