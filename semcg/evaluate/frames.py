"""Frames and predictions against labels: what a segmenter reads, or any program predicted, as counts of pixels.

Predictions are counted and averaged as Cityscapes' own evaluation does.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from semcg import mappings, metrics, pictures
from semcg.data import Scenes
from semcg.labels import CLASSES
from semcg.segmenters import upsample
from semcg.translate import Translator, any_size, identity, image, pad

_PUBLISHED = {"_gtFine_labelIds": "label", "_gtFine_labelTrainIds": "train", "_labelTrainIds": "train"}
"""Endings of Cityscapes' label files -> what these hold."""
_FRAME = re.compile(r"[A-Za-z-]+_\d{6}_\d{6}(?=_|$)")  # city, sequence and frame in the names of Cityscapes


@contextmanager
def evaluating(*what: object) -> Iterator[None]:
    """Put the networks among the arguments into evaluation mode, and back into the mode they were in."""
    with ExitStack() as after, torch.inference_mode():
        for net in what:
            if isinstance(net, nn.Module):
                after.callback(net.train, net.training)
                net.eval()
        yield


def batches(items: Iterable[tuple], batch: int, device: torch.device) -> Iterator[list]:
    """Join up to `batch` neighbors of equal shapes, column by column: tensors stacked on the device, others in a list."""

    def shapes(item: tuple) -> list[torch.Size]:
        return [value.shape for value in item if isinstance(value, Tensor)]

    for _, alike in groupby(items, shapes):
        while joined := list(islice(alike, batch)):
            columns = zip(*joined, strict=True)
            yield [torch.stack(c).to(device) if isinstance(c[0], Tensor) else list(c) for c in columns]


def scores_of(net: nn.Module, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Return the class scores (B, 19, *size) of images (B, 3, H, W), which are padded where the network needs it."""
    around, top, left = pad(x, getattr(net, "multiple", 1))
    scores = net(around)  # (B, 19, h, w)
    if around.shape != x.shape:  # what was padded is cut off before anything is stretched
        scores = upsample(scores, around.shape[-2:])
        scores = scores[..., top : top + x.shape[-2], left : left + x.shape[-1]]
    return upsample(scores, size or tuple(x.shape[-2:]))


def segmentation_counts(
    net: nn.Module,
    scenes: Scenes,
    *,
    translate: Translator | None = None,
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
        Frames at once; neighbors of different size are not put together. The counts are the same for any number.

    Returns
    -------
    (19, 20) int64
        Row = label, column = class read, as in `metrics.confusion`; on the CPU.

    Raises
    ------
    ValueError
        If the scenes have no labels, or `score_size` is none.
    """
    if not scenes.labeled:
        raise ValueError(f"{scenes.folder} has no labels: there is nothing to score against")
    frames = (scenes.frame(i) for i in range(len(scenes)))
    return _counts(net, frames, translate or identity, score_size, batch, fabric)


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
        for stem in sorted(found):
            path, truth, holds = found[stem]
            x, y = image(path, turn=False), torch.from_numpy(_train_ids(truth, holds)).long()
            if score_size is None:
                _check_sizes(path, x.shape[1:], truth, y.shape, "name a size to score at (--size)")
            yield x, y

    return _counts(net, frames(), identity, score_size, batch, fabric)


def _counts(
    net: nn.Module,
    frames: Iterable[tuple[Tensor, Tensor]],
    translate: Translator,
    score_size: tuple[int, int] | None,
    batch: int,
    fabric: Fabric,
) -> Tensor:
    if score_size is not None and min(score_size) < 1:
        raise ValueError(f"score_size = {score_size}: height and width are 1 or more")
    total, run = torch.zeros(len(CLASSES), len(CLASSES) + 1, dtype=torch.int64), any_size(translate)
    with evaluating(net):
        for x, y in batches(frames, batch, fabric.device):
            size = score_size or tuple(x.shape[-2:])
            read = scores_of(net, run(x), size).argmax(1)
            if y.shape[-2:] != size:
                y = F.interpolate(y[:, None].byte(), size, mode="nearest-exact")[:, 0].long()
            total += metrics.confusion(read, y).cpu()
    return total


def scored(predictions: Path | str, labels: Path | str, ids: str = "") -> tuple[Tensor, int, str]:
    """Count the pixels of predictions by label and prediction.

    Parameters
    ----------
    ids : "label", "train" or ""
        What the predictions hold; "" means what the labels hold.

    Returns
    -------
    (19, 20) int64
        As in `semcg.metrics.confusion`.
    int
        Number of frames.
    str
        What the predictions were read as: "label" or "train".

    Raises
    ------
    FileNotFoundError, ValueError
        As `counts_of_folders`.
    """
    counts = torch.zeros(len(CLASSES), len(CLASSES) + 1, dtype=torch.int64)
    pairs = label_pairs(predictions, labels, ids)
    holds = ids or next(iter(pairs.values()))[2]
    for path, truth, label_holds in pairs.values():
        pred, label = _train_ids(path, holds), _train_ids(truth, label_holds)
        _check_sizes(path, pred.shape, truth, label.shape, "scores are taken at the size of the labels")
        counts += metrics.confusion(pred, label)
    return counts, len(pairs), holds


def score_table(counts: Tensor) -> dict[str, float]:
    """Return the scores of a table of counts, 0..1, by name: IoU of the classes, both means, and those of pixels."""
    scores = metrics.iou(counts)
    return {c.name: float(scores[c.train_id]) for c in CLASSES} | {
        "mean IoU, labeled classes": float(scores[metrics.present(counts)].mean()),
        "mean IoU, labeled or predicted": metrics.mean_iou(counts),
        "pixel accuracy": metrics.pixel_accuracy(counts),
        "frequency-weighted IoU": metrics.frequency_weighted_iou(counts),
    }


def label_pairs(
    predictions: Path | str, labels: Path | str, ids: str = ""
) -> dict[str, tuple[Path, Path, str]]:
    """Pair pictures with labels by name, in folders as Cityscapes publishes them or in plain ones.

    Names of Cityscapes pair by city, sequence and frame, others by their stem. Folders may have sub-folders, one per
    city. Beside label files with an ending of Cityscapes, `_color.png` and the like are left out.

    Parameters
    ----------
    ids : "label", "train" or ""
        What labels hold whose names do not say it; "" means train ids. Where a folder has files of both, these.

    Returns
    -------
    dict
        Name of the pair -> picture, label, and what the label holds: "label" or "train".

    Raises
    ------
    FileNotFoundError
        If a folder does not exist or has no PNG file.
    ValueError
        If files have no partner or two share a name; names one file of each folder.
    """
    if ids not in ("", "label", "train"):
        raise ValueError(f"ids = {ids!r}: allowed: label, train")
    truth, holds = pictures.images_in(labels, below=True).images, ids or "train"
    published = {path: kind for path in truth for end, kind in _PUBLISHED.items() if path.stem.endswith(end)}
    if published:
        if ids not in published.values():
            holds = "label" if "label" in published.values() else "train"
        truth = [path for path, kind in published.items() if kind == holds]
    predicted = pictures.images_in(predictions, below=True).images
    pictures_of, labels_of = pictures.by_stem(predicted, _frame_name), pictures.by_stem(truth, _frame_name)
    pictures.check_paired(("label", labels, labels_of), ("picture", predictions, pictures_of))
    return {key: (path, labels_of[key], holds) for key, path in pictures_of.items()}


def _frame_name(stem: str) -> str:
    """Return what the name of a picture shares with that of its partner."""
    frame = _FRAME.match(pictures.bare(stem))
    return frame[0] if frame else pictures.bare(stem)


def _train_ids(path: Path, holds: str) -> np.ndarray:
    """Read a label picture that holds label ids or train ids as (H, W) uint8 train ids, 255 for what is not scored."""
    coding = mappings.LABEL_IDS if holds == "label" else None
    try:
        return mappings.decode(pictures.stored(path), coding, name=path).train_ids
    except ValueError as error:
        hint = ". Label ids are known by names as Cityscapes has them (_gtFine_labelIds.png), or in `semcg score` by --ids"
        hint = hint if "no train id" in str(error) else ""
        raise ValueError(f"{error}{hint}") from None


def _check_sizes(path: Path, size: tuple, truth: Path, label_size: tuple, hint: str) -> None:
    if tuple(size) != tuple(label_size):
        sizes = f"{path} is {size[0]}x{size[1]}, {truth} is {label_size[0]}x{label_size[1]}"
        raise ValueError(f"sizes differ (height x width): {sizes}; {hint}")
