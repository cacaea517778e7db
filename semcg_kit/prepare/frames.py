"""One frame: inspected, decoded, checked, resized and written, with a record of what was written."""

import io
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from semcg import files, mappings, pictures
from semcg.contents import content_digest
from semcg.labels import IGNORE
from semcg_kit.prepare.archive import Entry

__all__ = [
    "PLATE",
    "Frame",
    "Inspection",
    "Recipe",
    "checked_size",
    "inspect",
    "reshaped",
    "size_of",
    "write",
]

PLATE = 34
"""Label id of a license plate in GTA5; none of the 19 classes, and drawn in no Cityscapes label."""


class Frame(NamedTuple):
    """Where a frame is stored, and where it goes."""

    name: str
    """Stem of the written files."""
    split: str
    """Folder below the root: "source/train", "judge/val" and so on."""
    image: Entry
    label: Entry | None
    """None: it has none. In labeled data all of its pixels are then 255, ignored."""
    made_of: tuple[int, ...]
    """What a changed file is noticed by: the bytes of each file; of your own folders also their CRC-32."""


class Recipe(NamedTuple):
    """What is done with each frame of a domain."""

    size: tuple[int, int] | None = None
    """(H, W); None keeps frames as they are."""
    keep_aspect: bool = False
    """Scale by one factor until the frame covers `size`, instead of to exactly that size."""
    labeled: bool = False
    plates: bool = False
    """Write a mask of the license plates, 0 and 255, beside the labels."""
    mapping: mappings.Mapping | None = None
    coding: str = "auto"
    max_color_distance: float = 30.0
    strict: bool = False
    """A frame that does not decode, or whose image and label differ in size, is an error, and is not left out."""

    def sized(self, size: tuple[int, int] | None, keep_aspect: bool = False) -> "Recipe":
        """Return the recipe for frames of another size, once that was checked."""
        if keep_aspect and size is None:
            raise ValueError("keep_aspect needs a size; without one frames stay unchanged anyway")
        return self._replace(size=checked_size(size) if size else None, keep_aspect=keep_aspect)


class Inspection(NamedTuple):
    """What is known of a frame before anything is written."""

    name: str
    """Of the frame."""
    made_of: tuple[int, ...]
    fault: str
    """Why it is to be left out, "" for a good one."""
    size: tuple[int, int]
    pixels: str
    """A digest of the image's pixels, where it was decoded."""
    counts: np.ndarray
    """(256,) int64, pixels of the label by train id."""
    stored: frozenset[int]
    """Values in the label file."""
    colors: dict[int, tuple[int, ...]]
    """Of a palette with colors, those of the values that occur."""
    ignored: int
    example: tuple[int, ...]
    """As in `mappings.Decoded`."""


def inspect(recipe: Recipe, frame: Frame) -> Inspection:
    """Inspect at the label of a frame, and with a strict recipe also at its image, at full size.

    Raises
    ------
    ValueError
        If a label is of a kind that no single bad file explains; with a strict recipe for anything that does not
        decode or fit. Names the file.
    """
    contents = [entry.read() for entry in (frame.image, frame.label) if entry] if recipe.strict else []
    made_of = tuple(n for c in contents for n in (len(c), zlib.crc32(c))) or frame.made_of
    image, label, fault = None, None, ""
    try:
        if recipe.strict:
            image = _image(frame, contents[0])
        if frame.label:
            content = contents[1] if recipe.strict else frame.label.read()
            label = _label(recipe, str(frame.label), content)
            fault = _blank_label(label)
    except pictures.Damaged:  # `write` leaves it out
        if recipe.strict:
            raise
    except ValueError as error:
        if recipe.strict:
            raise
        raise ValueError(
            f"{error}. Take the label ids as published, not gtFine_color, instanceIds or a converted copy"
        ) from error
    if recipe.strict:
        _check_sizes(frame, image, label)
        fault = fault or _blank_image(image)
    size = image.shape[:2] if image is not None else (0, 0)
    digest = content_digest(image) if image is not None else ""
    if label is None:
        return Inspection(
            frame.name, made_of, fault, size, digest, np.zeros(256, np.int64), frozenset(), {}, 0, ()
        )
    kept, made = label
    stored = frozenset(np.unique(kept.values).tolist()) if kept.kind != "color" else frozenset()
    colors = {} if kept.palette is None else {v: tuple(kept.palette[v].tolist()) for v in stored}
    colors = {value: color for value, color in colors.items() if color != (value,) * 3}
    counts = np.bincount(made.train_ids.ravel(), minlength=256)
    return Inspection(
        frame.name, made_of, fault, size, digest, counts, stored, colors, made.ignored, made.example
    )


def write(root: Path, recipe: Recipe, frame: Frame) -> dict:
    """Write the files of a frame below `root` and return their record; leave a bad frame out and say why.

    Returns
    -------
    dict
        "name", "split", "of" (`Frame.made_of`), and either "left_out" (the reason) or "size" (H, W) and "files": name
        below `root` -> bytes, CRC-32, of a label the number of pixels of each value, and `content_digest` of the pixels.

    Raises
    ------
    OSError
        If a file cannot be read or written; names it.
    ValueError
        With a strict recipe, if a file is not as it should be.
    """
    record = {"name": frame.name, "split": frame.split, "of": list(frame.made_of)}
    try:
        made = _made(recipe, frame)
    except ValueError as error:
        if recipe.strict:
            raise
        return record | {"left_out": str(error)}
    written = {}
    for kind, array in made.items():
        content = io.BytesIO()
        # Level 1: level 6, Pillow's own, takes five times as long for a tenth of the bytes.
        Image.fromarray(array).save(content, "PNG", compress_level=1)
        name = f"{frame.split}/{kind}/{frame.name}.png"
        with files.atomic(root / name) as partial:
            partial.write_bytes(content.getbuffer())
        counts = np.bincount(array.ravel(), minlength=256) if kind != "images" else np.zeros(0, int)
        pixels = {str(value): int(counts[value]) for value in np.flatnonzero(counts)} or None
        crc = f"{zlib.crc32(content.getbuffer()):08x}"
        written[name] = [content.tell(), crc, pixels, content_digest(array)]
    return record | {"size": list(made["images"].shape[:2]), "files": written}


def size_of(height: int, width: int, size: tuple[int, int] | None, *, keep_aspect: bool) -> tuple[int, int]:
    """Return the (H, W) that a frame is written with.

    Raises
    ------
    ValueError
        If that is too large, as where a very long frame is scaled until its short side is covered.
    """
    if size is None or not keep_aspect:
        return size or (height, width)
    scale = max(size[0] / height, size[1] / width)
    scaled = [math.floor(side * scale + 0.5) for side in (height, width)]
    return checked_size(tuple(map(max, size, scaled)))


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) if frames can be written with it, so that everything here reads them again.

    Raises
    ------
    ValueError
        If a side is below 1, or sides or pixels are too many; says what to give instead.
    """
    height, width = size
    if min(size) < 1:
        raise ValueError(f"size is (height, width), at least 1 each, not {tuple(size)}")
    if height * width > pictures.LARGEST or max(size) > pictures.LONGEST:
        raise ValueError(
            f"size = {height}x{width} (height x width) is larger than can be read again, {pictures.LARGEST:,} pixels a "
            f"frame and {pictures.LONGEST:,} a side; give a smaller size, for example 1024x2048"
        )
    return height, width


def reshaped(own: tuple[int, int], recipe: Recipe) -> str:
    """Return a warning if frames of (H, W) = `own` will be badly distorted, else ""."""
    if recipe.size is None or recipe.keep_aspect:
        return ""
    (h, w), (high, wide) = own, recipe.size
    factor = (wide / high) / (w / h)
    turned = (h < w and high > wide) or (h > w and high < wide)
    if max(factor, 1 / factor) <= 2.5 and not turned:
        return ""
    how = "exchanges landscape and portrait" if turned else "changes their shape"
    return (
        f"warning: frames are {h}x{w} (height x width), and --size {high}x{wide} {how} by a factor of "
        f"{max(factor, 1 / factor):.1f}; the option takes HEIGHTxWIDTH"
    )


Label = tuple[pictures.Stored, mappings.Decoded]


def _made(recipe: Recipe, frame: Frame) -> dict[str, np.ndarray]:
    """Return what is written of a frame, kind -> pixels; raises ValueError for one that is to be left out."""
    image = _image(frame, frame.image.read())
    height, width = size_of(*image.shape[:2], recipe.size, keep_aspect=recipe.keep_aspect)
    # Before the resize, so that a frame that is left out costs no more than its decoding.
    label = _label(recipe, frame.label.name, frame.label.read()) if frame.label else None
    _check_sizes(frame, image, label)
    if fault := (label and _blank_label(label)) or _blank_image(image):
        raise ValueError(fault)
    made = {"images": _resized(image, height, width, Image.Resampling.BILINEAR)}
    if recipe.labeled:
        ids = label[1].train_ids if label else np.full((height, width), IGNORE, np.uint8)
        made["labels"] = _resized(ids, height, width, Image.Resampling.NEAREST)
    if recipe.plates:
        plates = (label[0].values == PLATE) * np.uint8(255) if label else np.zeros((height, width), np.uint8)
        made["plates"] = _resized(plates, height, width, Image.Resampling.NEAREST)
    return made


def _image(frame: Frame, content: bytes) -> np.ndarray:
    # A picture that is turned upright may not match its label.
    return pictures.image(frame.image.name, content, turn=frame.label is None)


def _label(recipe: Recipe, name: str, content: bytes) -> Label:
    kept = pictures.stored(name, content)
    made = mappings.decode(
        kept, recipe.mapping, coding=recipe.coding, max_color_distance=recipe.max_color_distance, name=name
    )
    return kept, made


def _check_sizes(frame: Frame, image: np.ndarray, label: Label | None) -> None:
    if label and label[1].train_ids.shape != image.shape[:2]:
        (h, w), (y, x) = image.shape[:2], label[1].train_ids.shape
        raise ValueError(
            f"sizes differ (height x width): {frame.image.name} is {h}x{w}, {frame.label.name} is {y}x{x}"
        )


def _blank_label(label: Label) -> str:
    values = label[0].values
    if (values == values[0, 0]).all():
        return f"the label is blank: {values[0, 0]} throughout"
    return "the label holds none of the 19 classes" if (label[1].train_ids == IGNORE).all() else ""


def _blank_image(image: np.ndarray) -> str:
    first = tuple(image[0, 0].tolist())
    return f"the image is blank: one color, {first}" if (image == image[0, 0]).all() else ""


def _resized(array: np.ndarray, height: int, width: int, how: Image.Resampling) -> np.ndarray:
    if array.shape[:2] == (height, width):
        return array
    return np.asarray(Image.fromarray(array).resize((width, height), how))
