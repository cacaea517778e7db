"""Counts of pixels and what follows from them.

Everything starts at one table, `confusion`: its row is the class that the label names, its column the class
that was predicted, and one more column at the end counts predictions outside the classes. Tables of batches,
frames or ranks are added with `+`; a score is computed once, from the sum, so that it does not depend on how
the pixels were dealt out. The conventions are those of cityscapesScripts (Cordts et al., CVPR 2016):

- pixels labeled 255 are left out, whatever was predicted there;
- a prediction outside the classes, on a labeled pixel, is a miss of the labeled class and a false positive of none;
- a class that occurs neither in the labels nor in the predictions has no score: NaN, skipped by the means. Codes that
  count it as 0 (through an epsilon) or as 1 report other numbers from the same pixels.
"""

import numpy as np
import torch
from torch import Tensor

from semcg.labels import CATEGORIES, CLASSES, IGNORE


def confusion(pred: Tensor | np.ndarray, label: Tensor | np.ndarray, classes: int = len(CLASSES)) -> Tensor:
    """Count pixels by label and prediction.

    Parameters
    ----------
    pred : integer, any shape
        Predicted train ids. Whatever lies outside 0..classes - 1 is counted in the last column.
    label : integer, same shape
        Train ids 0..classes - 1, and 255 for pixels to leave out.
    classes : int
        Number of classes, 1..255.

    Returns
    -------
    (classes, classes + 1) int64
        Row = label, column = prediction, last column = a prediction outside the classes; on the device of
        `pred`.

    Raises
    ------
    TypeError
        If `pred` or `label` are not integers.
    ValueError
        If the shapes differ, or a label is neither a class nor 255.
    """
    if not 1 <= classes <= IGNORE:
        raise ValueError(f"classes must lie in 1..{IGNORE}, not {classes}")
    pred, label = _integers(pred, "predictions"), _integers(label, "labels")
    if pred.shape != label.shape:
        raise ValueError(f"shapes differ: predictions {tuple(pred.shape)}, labels {tuple(label.shape)}")
    if not _bytes(label):
        seen = f"{int(label.min())}..{int(label.max())}"
        raise ValueError(f"labels are 0..{classes - 1} or {IGNORE}, not {seen}")
    if not _bytes(pred):
        pred = torch.where((pred < 0) | (pred > IGNORE), IGNORE, pred)
    # Counting every pair of bytes and cutting the table afterwards is faster than masking the pixels before:
    # a boolean mask copies both maps.
    pairs = label.flatten().int() * 256 + pred.flatten().int()
    table = torch.bincount(pairs, minlength=256 * 256).view(256, 256)
    unknown = table[classes:IGNORE].sum(1).nonzero().flatten() + classes
    if len(unknown):
        values = unknown[:8].tolist()
        raise ValueError(f"labels are 0..{classes - 1} or {IGNORE}, not {values}; are they label ids?")
    return torch.cat([table[:classes, :classes], table[:classes, classes:].sum(1, keepdim=True)], 1)


def present(counts: Tensor) -> Tensor:
    """Return (classes,) bool: whether a class labels at least one pixel."""
    return _table(counts).sum(1) > 0


def hits_and_unions(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pixels (classes,) int64 in the intersection of label and prediction of each class, and in their union."""
    hits = _table(counts).diagonal()
    return hits, counts.sum(1) + counts[:, :-1].sum(0) - hits


def iou(counts: Tensor) -> Tensor:
    """Intersection over union of each class, TP / (TP + FP + FN).

    Parameters
    ----------
    counts : (classes, classes + 1) int64
        From `confusion`.

    Returns
    -------
    (classes,) float64
        0..1. NaN where a class occurs neither in the labels nor in the predictions; 0 where it is only
        predicted.
    """
    hits, unions = hits_and_unions(counts)
    return hits.double() / unions


def mean_iou(counts: Tensor) -> float:
    """Mean of `iou` over the classes that have one, 0..1; NaN if none has."""
    return float(iou(counts).nanmean())


def frequency_weighted_iou(counts: Tensor) -> float:
    """Mean of `iou`, each class weighted by its share of the labeled pixels, 0..1; NaN without any."""
    pixels = _table(counts).sum(1).double()
    seen = pixels > 0
    return float((pixels * iou(counts))[seen].sum() / pixels.sum())


def pixel_accuracy(counts: Tensor) -> float:
    """Share of the labeled pixels that are predicted right, 0..1; NaN without labeled pixels."""
    counts = _table(counts).double()
    return float(counts.diagonal().sum() / counts.sum())


def category_iou(counts: Tensor) -> dict[str, float]:
    """Intersection over union of the seven categories of Cityscapes.

    The classes of a category are merged before anything is divided: a car taken for a truck is a hit of
    "vehicle".

    Parameters
    ----------
    counts : (19, 20) int64
        From `confusion`.

    Returns
    -------
    dict
        Category name -> 0..1, NaN as in `iou`.

    Raises
    ------
    ValueError
        If the table is not that of the 19 classes.
    """
    if _table(counts).shape[0] != len(CLASSES):
        raise ValueError(f"categories need the counts of {len(CLASSES)} classes, not of {counts.shape[0]}")
    rows = torch.stack([counts[list(members)].sum(0) for members in CATEGORIES.values()])
    columns = [rows[:, list(members)].sum(1) for members in CATEGORIES.values()]
    merged = torch.stack([*columns, rows[:, -1]], 1)
    return dict(zip(CATEGORIES, iou(merged).tolist(), strict=True))


def flips(counts: Tensor) -> Tensor:
    """Share of each source class that is read as each class after translation: semantics that flipped.

    Parameters
    ----------
    counts : (classes, classes + 1) int64
        From `confusion(judge's prediction on the translated frame, label of the source frame)`.

    Returns
    -------
    (classes, classes) float64
        Row = source class, column = judge's class; 0..1. A row sums to 1 less its share of predictions
        outside the classes. The diagonal is what kept its class. A row without labeled pixels is NaN.
    """
    counts = _table(counts).double()
    return counts[:, :-1] / counts.sum(1, keepdim=True)


def _integers(values: Tensor | np.ndarray, what: str) -> Tensor:
    if not isinstance(values, Tensor):
        values = np.asarray(values)
        if values.dtype.kind not in "iu":
            raise TypeError(f"{what} must be integers, not {values.dtype}")
        # A copy: torch warns about arrays that it may not write to.
        return torch.from_numpy(values.astype(np.int32 if values.itemsize < 4 else np.int64, order="C"))
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise TypeError(f"{what} must be integers, not {values.dtype}")
    return values


def _bytes(values: Tensor) -> bool:
    """Whether all values lie in 0..255."""
    if values.dtype == torch.uint8 or values.numel() == 0:
        return True
    low, high = values.aminmax()
    return bool((low >= 0) & (high <= 255))


def _table(counts: Tensor) -> Tensor:
    if counts.ndim != 2 or counts.shape[1] != counts.shape[0] + 1:
        raise ValueError(f"counts are (classes, classes + 1), not {tuple(counts.shape)}")
    return counts
