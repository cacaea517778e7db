"""The 19 classes: ids, names, colors, categories, and the way between the two codings.

Two codings of a pixel's class are in use. *Label ids* (0..33, and -1) are what Cityscapes and GTA5 store;
*train ids* (0..18, and 255 for pixels that are not scored) are what a network is trained on. Everything in this
package below `semcg_kit.prepare` speaks train ids. The table is that of Cordts et al., "The Cityscapes Dataset for
Semantic Urban Scene Understanding", CVPR 2016, as coded in cityscapesScripts.
"""

from typing import NamedTuple

import numpy as np

IGNORE = 255  # train id of a pixel that is neither trained on nor scored


class LabelClass(NamedTuple):
    """One of the 19 classes that are scored."""

    name: str
    label_id: int
    train_id: int
    color: tuple[int, int, int]
    category: str


# The 19 classes in the order of their train ids.
CLASSES: tuple[LabelClass, ...] = (
    LabelClass("road", 7, 0, (128, 64, 128), "flat"),
    LabelClass("sidewalk", 8, 1, (244, 35, 232), "flat"),
    LabelClass("building", 11, 2, (70, 70, 70), "construction"),
    LabelClass("wall", 12, 3, (102, 102, 156), "construction"),
    LabelClass("fence", 13, 4, (190, 153, 153), "construction"),
    LabelClass("pole", 17, 5, (153, 153, 153), "object"),
    LabelClass("traffic light", 19, 6, (250, 170, 30), "object"),
    LabelClass("traffic sign", 20, 7, (220, 220, 0), "object"),
    LabelClass("vegetation", 21, 8, (107, 142, 35), "nature"),
    LabelClass("terrain", 22, 9, (152, 251, 152), "nature"),
    LabelClass("sky", 23, 10, (70, 130, 180), "sky"),
    LabelClass("person", 24, 11, (220, 20, 60), "human"),
    LabelClass("rider", 25, 12, (255, 0, 0), "human"),
    LabelClass("car", 26, 13, (0, 0, 142), "vehicle"),
    LabelClass("truck", 27, 14, (0, 0, 70), "vehicle"),
    LabelClass("bus", 28, 15, (0, 60, 100), "vehicle"),
    LabelClass("train", 31, 16, (0, 80, 100), "vehicle"),
    LabelClass("motorcycle", 32, 17, (0, 0, 230), "vehicle"),
    LabelClass("bicycle", 33, 18, (119, 11, 32), "vehicle"),
)

# Category name -> train ids of its classes. "vehicle" of the paper (section 3) is a category, not a class.
CATEGORIES: dict[str, tuple[int, ...]] = {
    category: tuple(c.train_id for c in CLASSES if c.category == category)
    for category in dict.fromkeys(c.category for c in CLASSES)
}

_TRAIN_OF_LABEL = np.full(256, IGNORE, np.uint8)
_LABEL_OF_TRAIN = np.zeros(256, np.uint8)
_COLOR_OF_TRAIN = np.zeros((256, 3), np.uint8)
for _class in CLASSES:
    _TRAIN_OF_LABEL[_class.label_id] = _class.train_id
    _LABEL_OF_TRAIN[_class.train_id] = _class.label_id
    _COLOR_OF_TRAIN[_class.train_id] = _class.color


def names() -> list[str]:
    """Return the 19 class names in the order of their train ids."""
    return [c.name for c in CLASSES]


def to_train_ids(ids: np.ndarray) -> np.ndarray:
    """Turn label ids into train ids.

    Parameters
    ----------
    ids : uint8, any shape
        Label ids. All 256 values are accepted; -1 is stored as 255 in the archives.

    Returns
    -------
    uint8, same shape
        0..18, and 255 where the label id has no train id.

    Raises
    ------
    TypeError
        If `ids` is not uint8: a silent cast would wrap other numbers into valid classes.
    """
    return _TRAIN_OF_LABEL[_uint8(ids, "label ids")]


def to_label_ids(train_ids: np.ndarray) -> np.ndarray:
    """Turn train ids into label ids, as cityscapesScripts wants predictions; 255 becomes 0 ("unlabeled").

    Parameters
    ----------
    train_ids : uint8, any shape
        0..18 or 255.

    Returns
    -------
    uint8, same shape

    Raises
    ------
    TypeError
        If `train_ids` is not uint8.
    ValueError
        If a value lies in 19..254.
    """
    return _LABEL_OF_TRAIN[_checked(train_ids)]


def to_colors(train_ids: np.ndarray) -> np.ndarray:
    """Turn train ids into the colors of Cityscapes; 255 becomes black.

    Parameters
    ----------
    train_ids : uint8, any shape
        0..18 or 255.

    Returns
    -------
    uint8, same shape + (3,)
        RGB.

    Raises
    ------
    TypeError
        If `train_ids` is not uint8.
    ValueError
        If a value lies in 19..254.
    """
    return _COLOR_OF_TRAIN[_checked(train_ids)]


def _uint8(values: np.ndarray, what: str) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype != np.uint8:
        raise TypeError(f"{what} must be uint8, not {values.dtype}; once checked: .astype(np.uint8)")
    return values


def _checked(train_ids: np.ndarray) -> np.ndarray:
    train_ids = _uint8(train_ids, "train ids")
    wrong = (train_ids >= len(CLASSES)) & (train_ids != IGNORE)
    if wrong.any():
        values = np.unique(train_ids[wrong])[:8].tolist()
        raise ValueError(f"train ids are 0..18 or {IGNORE}, not {values}; are they label ids (to_train_ids)?")
    return train_ids
