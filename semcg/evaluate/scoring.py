"""Predictions from any program against labels, counted and averaged as Cityscapes' own evaluation does."""

import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from semcg import mappings, metrics, pictures
from semcg.labels import CLASSES, IGNORE, to_train_ids

__all__ = ["label_pairs", "score_table", "scored", "train_ids"]

IDS = ("label", "train")
_PUBLISHED = {"_gtFine_labelIds": "label", "_gtFine_labelTrainIds": "train", "_labelTrainIds": "train"}
_ENDINGS = (*_PUBLISHED, "_leftImg8bit")
_FRAME = re.compile(r"[A-Za-z-]+_\d{6}_\d{6}(?=_|$)")  # city, sequence and frame in the names of Cityscapes
_VALUES = np.array([*range(35), IGNORE], np.uint8)  # 34 is the license plate of GTA5, 255 stands for -1
_LABEL_IDS = mappings.Mapping("the label ids of Cityscapes", _VALUES, to_train_ids(_VALUES))


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
    if ids not in ("", *IDS):
        raise ValueError(f"ids = {ids!r}: allowed: label, train")
    pictures_of, truth = _by_key(_files(predictions)), _files(labels)
    published = [(path, holds) for path in truth if (holds := _published(path))]
    if published:
        kinds = {holds for _, holds in published}
        wanted = ids if ids in kinds else "label" if "label" in kinds else "train"
        labels_of, holds = _by_key([path for path, kind in published if kind == wanted]), wanted
    else:
        labels_of, holds = _by_key(truth), ids or "train"
    for lacking, kind, there, other in (
        (predictions, "picture", labels_of, pictures_of),
        (labels, "label", pictures_of, labels_of),
    ):
        if missing := [there[key].name for key in there if key not in other]:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise ValueError(
                f"no {kind} in {lacking} for {len(missing)} of {len(there)} file(s): {shown}. It holds "
                f"{next(iter(other.values())).name}, for example; pairs have the same name"
            )
    return {key: (path, labels_of[key], holds) for key, path in pictures_of.items()}


def train_ids(path: Path, holds: str) -> np.ndarray:
    """Read a label picture that holds label ids or train ids as (H, W) uint8 train ids, 255 for what is not scored.

    Raises
    ------
    ValueError
        As `semcg.mappings.decode`; names the file and the values.
    """
    try:
        return mappings.decode(
            pictures.stored(path), _LABEL_IDS if holds == "label" else None, name=path
        ).train_ids
    except ValueError as error:
        hint = ". If these are label ids, give --ids label" if "no train id" in str(error) else ""
        raise ValueError(f"{error}{hint}") from None


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
        As `label_pairs` and `train_ids`, and if a prediction has another size than its label.
    """
    counts = torch.zeros(len(CLASSES), len(CLASSES) + 1, dtype=torch.int64)
    pairs = label_pairs(predictions, labels, ids)
    holds = ids or next(iter(pairs.values()))[2]
    for path, truth, label_holds in pairs.values():
        pred, label = train_ids(path, holds), train_ids(truth, label_holds)
        if pred.shape != label.shape:
            raise ValueError(
                f"sizes differ (height x width): {path} is {pred.shape[0]}x{pred.shape[1]}, "
                f"{truth} is {label.shape[0]}x{label.shape[1]}; scores are taken at the size of the labels"
            )
        counts += metrics.confusion(pred, label)
    return counts, len(pairs), holds


def score_table(counts: Tensor) -> dict[str, float]:
    """Return the scores of a table of counts, 0..1, by name: IoU of the classes, both means, and those of pixels."""
    scores = metrics.iou(counts)
    return {c.name: float(scores[c.train_id]) for c in CLASSES} | {
        "mean IoU, labelled classes": float(scores[metrics.present(counts)].mean()),
        "mean IoU, labelled or predicted": metrics.mean_iou(counts),
        "pixel accuracy": metrics.pixel_accuracy(counts),
        "frequency-weighted IoU": metrics.frequency_weighted_iou(counts),
    }


def _files(folder: Path | str) -> list[Path]:
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    found = [
        path for path in sorted(folder.rglob("[!.]*")) if path.suffix.lower() in (".png", ".jpg", ".jpeg")
    ]
    if not found:
        raise FileNotFoundError(f"no PNG or JPEG file in {folder}")
    return found


def _published(path: Path) -> str:
    return next((holds for ending, holds in _PUBLISHED.items() if path.stem.endswith(ending)), "")


def _by_key(paths: list[Path]) -> dict[str, Path]:
    found = {_key(path): path for path in paths}
    if len(found) < len(paths):
        twice = next(key for key, n in Counter(map(_key, paths)).items() if n > 1)
        first, second, *_ = (path for path in paths if _key(path) == twice)
        raise ValueError(f"{first} and {second} have the same name; leave one of them out")
    return found


def _key(path: Path) -> str:
    stem = unicodedata.normalize("NFC", path.stem)
    if frame := _FRAME.match(stem):
        return frame[0]
    return next((stem.removesuffix(ending) for ending in _ENDINGS if stem.endswith(ending)), stem)
