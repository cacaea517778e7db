"""One frame of an archive: decoded, checked, resized and written, with a record of what was written."""

import io
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from semcg import files, labels, mappings, pictures
from semcg_kit.prepare.archive import Entry

__all__ = [
    "LARGEST",
    "PLATE",
    "Frame",
    "Recipe",
    "WrongLabels",
    "checked_size",
    "label_values",
    "made_of",
    "size_of",
    "write",
]

PLATE = 34
"""Label id of a licence plate in GTA5; none of the 19 classes, and drawn in no Cityscapes label."""

LARGEST = 2**26
"""Pixels of a frame that is written, at most: 8192x8192, 32 times those of Cityscapes. With a third more, Pillow takes
a picture for a decompression bomb, so that nothing here would read it again."""


class Frame(NamedTuple):
    """Where a frame lies in its archive, and where it goes."""

    name: str
    """Stem of the written files."""
    split: str
    """Folder below the root: "source/train", "judge/val" and so on."""
    image: Entry
    label: Entry | None
    """None: it has none. In labelled data all of its pixels are then 255, ignored."""


class Recipe(NamedTuple):
    """What is done with each frame of a domain."""

    size: tuple[int, int] | None
    """(H, W); None keeps frames as they are."""
    keep_aspect: bool
    """Scale by one factor until the frame covers `size`, instead of to exactly that size."""
    labelled: bool
    plates: bool
    """Write a mask of the licence plates, 0 and 255, beside the labels."""


class WrongLabels(ValueError):
    """A label file is of a kind that no single bad file explains: the archive is not what it should be."""


def label_values(frame: Frame) -> list[int]:
    """Return the values in the label of a frame, sorted; none if it does not decode.

    Raises
    ------
    WrongLabels
        If it holds something else than 8-bit values, or values that are no label ids; names the file.
    """
    try:
        ids = _label_ids(frame.label)
    except WrongLabels:
        raise
    except ValueError:
        return []  # `write` leaves it out
    return np.flatnonzero(np.bincount(ids.ravel(), minlength=256)).tolist()


def size_of(height: int, width: int, recipe: Recipe) -> tuple[int, int]:
    """Return the (H, W) that a frame is written with.

    Raises
    ------
    ValueError
        If that is more than `LARGEST`, as where a very long frame is scaled until its short side is covered.
    """
    if recipe.size is None:
        return height, width
    if not recipe.keep_aspect:
        return recipe.size
    scale = max(recipe.size[0] / height, recipe.size[1] / width)
    return checked_size(
        tuple(
            max(least, math.floor(side * scale + 0.5))
            for least, side in zip(recipe.size, (height, width), strict=True)
        )
    )


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) if frames can be written with it.

    Raises
    ------
    ValueError
        If a side is below 1, or the pixels are more than `LARGEST`; says what to give instead.
    """
    height, width = size
    if min(size) < 1:
        raise ValueError(f"size is (height, width), at least 1 each, not {tuple(size)}")
    if height * width > LARGEST:
        raise ValueError(
            f"size = {height}x{width} has {height * width:,} pixels a frame, more than the {LARGEST:,} that can be read "
            "again; give a smaller size, 1024x2048 say"
        )
    return height, width


def write(root: Path, recipe: Recipe, frame: Frame) -> dict:
    """Write the files of a frame below `root` and return their record; leave a bad frame out and say why.

    Returns
    -------
    dict
        "name", "split", "of" (bytes of what it was made of), and either "left_out" (the reason) or "size" (H, W) and
        "files": name below `root` -> bytes, CRC-32, and for labels the number of pixels of each value.

    Raises
    ------
    OSError
        If a file cannot be read or written; names it.
    """
    record = {"name": frame.name, "split": frame.split, "of": made_of(frame)}
    try:
        pictures, size = _pictures(frame, recipe)
    except WrongLabels:
        raise
    except ValueError as error:
        return record | {"left_out": str(error)}
    written = {}
    for kind, picture in pictures.items():
        content = io.BytesIO()
        # Level 1: level 6, Pillow's own, takes five times as long for a tenth of the bytes.
        picture.save(content, "PNG", compress_level=1)
        name = f"{frame.split}/{kind}/{frame.name}.png"
        with files.atomic(root / name) as partial:
            partial.write_bytes(content.getbuffer())
        written[name] = [content.tell(), f"{zlib.crc32(content.getbuffer()):08x}", _pixels(kind, picture)]
    return record | {"size": list(size), "files": written}


def made_of(frame: Frame) -> list[int]:
    """Return the bytes of the files of a frame, by which a changed archive is noticed."""
    return [entry.size for entry in (frame.image, frame.label) if entry]


def _pictures(frame: Frame, recipe: Recipe) -> tuple[dict[str, Image.Image], tuple[int, int]]:
    image = _image(frame.image, turn=frame.label is None)
    height, width = size_of(image.height, image.width, recipe)
    ids = None
    if frame.label:
        # Before the resize, so that a frame that is left out costs no more than its decoding.
        ids = _label_ids(frame.label)
        if ids.shape != (image.height, image.width):
            raise ValueError(
                f"sizes differ (height x width): the image is {image.height}x{image.width}, the label "
                f"{ids.shape[0]}x{ids.shape[1]}"
            )
        if (ids == ids[0, 0]).all():
            raise ValueError(f"the label is blank: {ids[0, 0]} throughout")
        if (labels.to_train_ids(ids) == labels.IGNORE).all():
            raise ValueError("the label holds none of the 19 classes")
    if (image.width, image.height) != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if all(low == high for low, high in image.getextrema()):
        raise ValueError(f"the image is blank: one colour, {tuple(low for low, _ in image.getextrema())}")
    pictures = {"images": image}
    if recipe.labelled:
        if ids is None:
            pictures["labels"] = Image.new("L", (width, height), labels.IGNORE)
        else:
            resized = Image.fromarray(ids)
            if ids.shape != (height, width):
                resized = resized.resize((width, height), Image.Resampling.NEAREST)
            ids = np.asarray(resized)
            pictures["labels"] = Image.fromarray(labels.to_train_ids(ids))
    if recipe.plates:
        plates = np.zeros((height, width), bool) if ids is None else ids == PLATE
        pictures["plates"] = Image.fromarray(plates.astype(np.uint8) * 255)
    return pictures, (height, width)


def _image(entry: Entry, *, turn: bool) -> Image.Image:
    return Image.fromarray(pictures.image(entry.name, entry.read(), turn=turn))


def _label_ids(entry: Entry) -> np.ndarray:
    """Return what a label stores, (H, W) uint8: the index of a palette picture, the value of a gray one."""
    content = entry.read()
    try:
        kept = pictures.stored(entry.name, content)
    except ValueError as error:
        if "does not decode" in str(error):
            raise
        raise WrongLabels(
            f"{error}; 16 bits are instanceIds, perhaps" if "16" in str(error) else str(error)
        ) from error
    if kept.kind == "color":
        raise WrongLabels(
            f"{entry} is a color picture (gtFine_color, or a palette picture that was converted); label ids are "
            "8-bit palette or gray PNG. Take the files as published"
        )
    try:
        mappings.decode(kept, mappings.LABEL_IDS, name=entry)
    except ValueError as error:
        raise WrongLabels(f"{error}. Take the files as published") from error
    return kept.values


def _pixels(kind: str, picture: Image.Image) -> dict[str, int] | None:
    if kind == "images":
        return None
    counts = np.bincount(np.asarray(picture).ravel(), minlength=256)
    return {str(value): int(counts[value]) for value in np.flatnonzero(counts)}
