"""Whole frames against their labels and against the oracle."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from semcg import metrics
from semcg.data import Scenes
from semcg.evaluate.scoring import label_pairs, train_ids
from semcg.labels import CLASSES
from semcg.segmenters import upsample
from semcg.translate import Translation, any_size, identity, image, pad, stems

__all__ = ["counts_of_folders", "oracle_distance", "segmentation_counts"]


def segmentation_counts(
    net: nn.Module,
    scenes: Scenes,
    *,
    translate: Translation | None = None,
    score_size: tuple[int, int] | None = None,
    batch: int = 8,
    fabric: Fabric,
) -> Tensor:
    """Count what a segmenter reads in whole frames, translated or not, against their labels.

    Parameters
    ----------
    net : Module
        From images to scores at any stride, on the device of `fabric`. Run in evaluation mode; left in the mode it was
        in. Scores are up-sampled (`semcg.segmenters.upsample`) before the best class is taken, as in training.
    scenes : Scenes
        With labels.
    translate : callable, optional
        What is done to the images first. A generator with a `multiple` is padded.
    score_size : (int, int), optional
        Height and width at which is scored: the scores of a frame are up-sampled to it before the best class is taken,
        and compared with labels of that size, so that frames of 512 x 1024 are scored against the labels of
        1024 x 2048 that a benchmark publishes. Labels of another size are brought to it by taking the nearest pixel,
        which gives other numbers than the published labels do. Left out: the size of each frame.
    batch : int
        Frames at once; neighbours of different size are not put together. The counts are the same for any number.

    Returns
    -------
    (19, 20) int64
        Row = label, column = class read, as in `metrics.confusion`; on the CPU.

    Raises
    ------
    ValueError
        If the scenes have no labels, or `score_size` is none.
    """
    if not scenes.labelled:
        raise ValueError(f"{scenes.folder} has no labels: there is nothing to score against")
    frames = (scenes.frame(i) for i in range(len(scenes)))
    return _counts(net, frames, translate or identity, score_size=score_size, batch=batch, fabric=fabric)


def counts_of_folders(
    net: nn.Module,
    images: Path | str,
    labels: Path | str,
    *,
    score_size: tuple[int, int] | None = None,
    batch: int = 8,
    fabric: Fabric,
) -> Tensor:
    """Count as `segmentation_counts` does, on two folders of files with the same stems.

    Parameters
    ----------
    images, labels : path
        Paired by name (`label_pairs`) and of the same sizes; labels hold train ids, or are as Cityscapes publishes them.
    score_size : (int, int), optional
        As in `segmentation_counts`. The labels may then have another size than the images.

    Returns
    -------
    (19, 20) int64

    Raises
    ------
    FileNotFoundError
        If a folder is missing or empty.
    ValueError
        If files do not pair by name or size, do not decode, or a label holds what is no train id; names the file.
    """
    found = label_pairs(images, labels)

    def frames() -> Iterator[tuple[Tensor, Tensor]]:
        for path, truth, holds in (found[stem] for stem in sorted(found)):
            x = image(path, turn=False)
            y = torch.from_numpy(train_ids(truth, holds)).long()
            if score_size is None and x.shape[-2:] != y.shape:
                raise ValueError(
                    f"sizes differ (height x width): {path} is {x.shape[1]}x{x.shape[2]}, "
                    f"{truth} is {y.shape[0]}x{y.shape[1]}; "
                    "a stated size to score at allows that"
                )
            yield x, y

    return _counts(net, frames(), identity, score_size=score_size, batch=batch, fabric=fabric)


def oracle_distance(
    translate: Translation, scenes: Scenes, oracle_folder: Path | str, *, batch: int = 8, fabric: Fabric
) -> dict[str, float]:
    """Distance of translated frames to the oracle: the same scenes, drawn in the target's style.

    Parameters
    ----------
    translate : callable
        From source images to target images.
    scenes : Scenes
        Source frames.
    oracle_folder : path
        One PNG file of the same stem and size for each.

    Returns
    -------
    dict
        "l1": mean absolute difference, images in [-1, 1], so 0..2. "psnr": 10 log10(2^2 / mean squared difference) in
        dB, infinite for equal frames. Both means are over all channels and pixels of all frames. "frames": how many.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no oracle of a frame in it. Only the drawn world has one.
    ValueError
        If a frame and its oracle differ in size.
    """
    drawn = stems(oracle_folder)
    if missing := [name for name in scenes.names if name not in drawn]:
        raise FileNotFoundError(
            f"no oracle in {oracle_folder} for {len(missing)} of {len(scenes)} frames, {missing[0]} first"
        )

    def frames() -> Iterator[tuple[Tensor, Tensor]]:
        for i, name in enumerate(scenes.names):
            x, oracle = scenes.frame(i)[0], image(drawn[name])
            if x.shape != oracle.shape:
                raise ValueError(
                    f"{drawn[name]} is {tuple(oracle.shape[1:])} (H, W), its frame {tuple(x.shape[1:])}"
                )
            yield x, oracle

    run, absolute, squared, values = any_size(translate), 0.0, 0.0, 0
    with torch.inference_mode():
        for x, oracle in _batches(frames(), batch, fabric):
            off = (run(x) - oracle).double()
            absolute, squared = absolute + off.abs().sum().item(), squared + off.square().sum().item()
            values += off.numel()
    psnr = float(10 * np.log10(4 * values / squared)) if squared else float("inf")
    return {"l1": absolute / values, "psnr": psnr, "frames": len(scenes)}


def _counts(
    net: nn.Module,
    frames: Iterable[tuple[Tensor, Tensor]],
    translate: Translation,
    *,
    score_size: tuple[int, int] | None,
    batch: int,
    fabric: Fabric,
) -> Tensor:
    if score_size is not None and min(score_size) < 1:
        raise ValueError(f"score_size = {score_size}: height and width are 1 or more")
    total = torch.zeros(len(CLASSES), len(CLASSES) + 1, dtype=torch.int64)
    run, training, multiple = any_size(translate), net.training, getattr(net, "multiple", 1)
    net.eval()
    try:
        with torch.inference_mode():
            for x, y in _batches(frames, batch, fabric):
                size = score_size or tuple(x.shape[-2:])
                around, top, left = pad(run(x), multiple)
                scores = net(around)  # (B, 19, h, w)
                if around.shape != x.shape:  # what was padded is cut off before anything is stretched
                    scores = upsample(scores, around.shape[-2:])
                    scores = scores[..., top : top + x.shape[-2], left : left + x.shape[-1]]
                scores = upsample(scores, size)  # (B, 19, *size)
                if y.shape[-2:] != size:
                    y = F.interpolate(y[:, None].byte(), size, mode="nearest-exact")[:, 0].long()
                total += metrics.confusion(scores.argmax(1), y).cpu()
    finally:
        net.train(training)
    return total


def _batches(
    frames: Iterable[tuple[Tensor, Tensor]], batch: int, fabric: Fabric
) -> Iterator[tuple[Tensor, Tensor]]:
    """Stack up to `batch` neighbours of equal size, on the device."""
    held: list[tuple[Tensor, Tensor]] = []

    def stacked() -> tuple[Tensor, Tensor]:
        x, y = zip(*held, strict=True)
        held.clear()
        return torch.stack(x).to(fabric.device), torch.stack(y).to(fabric.device)

    for pair in frames:
        if held and (len(held) == batch or [p.shape for p in pair] != [h.shape for h in held[0]]):
            yield stacked()
        held.append(pair)
    if held:
        yield stacked()
