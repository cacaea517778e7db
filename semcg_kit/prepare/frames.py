"""What there is to prepare, and one frame of it: decoded, checked, resized and written, with a record."""

import io
import math
import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from semcg import files, mappings, pictures
from semcg.labels import IGNORE

__all__ = ["Plan", "Recipe", "distortion", "size_of", "write"]

ARCHIVES = "prepare archives"  # `made_by` of GTA5 and Cityscapes, by which `semcg.runs.shipped` knows them
FOLDERS = "prepare folder"  # `made_by` of your own folders
PLATE = 34  # label id of a license plate in GTA5; none of the 19 classes, and drawn in no Cityscapes label
Progress = Callable[[str, int, int], None]  # called with what is done, how many are, and how many there are


class Entry(NamedTuple):
    """A file, perhaps in a zip file.

    Attributes
    ----------
    name : str
        What messages call it: of an archive the name below the root, with "/", unpacked or not.
    path : str
        Of the file, or of the zip file that holds it.
    inner : str
        Name within the zip file; "" for a plain file.
    size : int
        Bytes, unpacked.
    """

    name: str
    path: str
    inner: str = ""
    size: int = 0

    def __str__(self) -> str:
        return f"{self.path}: {self.inner}" if self.inner else self.path

    def read(self) -> bytes:
        """Return the contents.

        Raises
        ------
        ValueError
            If the zip file is damaged there, or the entry is encrypted; names both.
        OSError
            If the disk does not give the file.
        """
        if not self.inner:
            return pictures.read(self.path)
        try:
            return opened(self.path).read(self.inner)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            zipped = Path(self.path).name
            raise pictures.Damaged(f"{self.name} in {zipped} cannot be unpacked: {error}") from error


def opened(path: str) -> zipfile.ZipFile:
    """Return a zip file whose table of contents is read once per process, not once per frame."""
    return _opened(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=64)
def _opened(path: str, changed: int) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path} is not a zip file, or its download is incomplete: {error}") from error


class Frame(NamedTuple):
    """Where a frame is stored, and where it goes.

    Attributes
    ----------
    split : str
        Folder below the root: "source/train", "judge/val" and so on.
    name : str
        Stem of the written files.
    image, label : Entry
        The label is None if the frame has none; where the recipe writes labels, it then gets one of 255 throughout, ignored.
    made_of : tuple of int
        What a changed file is noticed by: of an archive the size of each file in bytes, of your own folders the CRC-32 of
        each file and of the mapping.
    """

    split: str
    name: str
    image: Entry
    label: Entry | None
    made_of: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """What is done with each frame of a domain.

    Attributes
    ----------
    size : (H, W), optional
        None keeps frames as they are.
    keep_aspect : bool
        Scale by one factor until the frame covers `size`, instead of to exactly that size.
    labeled : bool
        Write labels.
    plates : bool
        Write a mask of the license plates, 0 and 255, beside the labels.
    mapping, max_color_distance
        As `to_train_ids` and `max_color_distance` of `mappings.decode`.
    strict : bool
        A frame that does not decode, or whose image and label differ in size, is an error, and is not left out.
    """

    size: tuple[int, int] | None = None
    keep_aspect: bool = False
    labeled: bool = False
    plates: bool = False
    mapping: mappings.Mapping | None = None
    max_color_distance: float = 30.0
    strict: bool = False

    def __post_init__(self) -> None:
        if self.keep_aspect and self.size is None:
            raise ValueError("keep_aspect needs a size; without one frames stay unchanged anyway")
        if self.size:
            _check_size(self.size)


@dataclass(frozen=True)
class Plan:
    """What is to be prepared of one domain.

    Attributes
    ----------
    root : Path
        Of the archive, or the folder of images.
    domain : "source" or "target"
        Which it becomes; the target brings the judge's frames.
    frames : list of Frame
        By split and name.
    splits : tuple of str
        That must not stay empty.
    recipe : Recipe
        What is done with each frame.
    made_by : str
        The command, as about.json names it.
    settings : dict
        Whatever else makes a difference, JSON-able.
    left_out : list of (split, name, reason)
        Frames that cannot be used.
    notes : list of str
        What a reader of the data must know.
    """

    root: Path
    domain: str
    frames: list[Frame]
    splits: tuple[str, ...]
    recipe: Recipe
    made_by: str = ARCHIVES
    settings: dict = field(default_factory=dict)
    left_out: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.check_splits(self.counts, self.left_out)

    @property
    def counts(self) -> Counter:
        """Frames per split."""
        return Counter(frame.split for frame in self.frames)

    @property
    def inputs(self) -> str:
        """What stands for all files: of an archive by name and size, since reading them takes as long as the work."""
        return files.digest([[f.split, f.name, f.made_of] for f in self.frames] + self.left_out)

    def check_splits(self, counts: Counter, left_out: list[tuple[str, str, str]]) -> None:
        """Refuse a split without frames."""
        if empty := [split for split in self.splits if not counts[split]]:
            why = shown(left_out) if left_out else "no file belongs to it"
            raise ValueError(f"{self.root} has no frame for {', '.join(empty)}; {why}")

    def sized(self, size: tuple[int, int] | None, *, keep_aspect: bool = False) -> "Plan":
        """Return the plan with frames of another size, as in `Recipe`, and a note if that distorts them badly."""
        recipe, notes = replace(self.recipe, size=size, keep_aspect=keep_aspect), list(self.notes)
        with suppress(ValueError):  # `write` names it
            first = self.frames[0].image
            if warning := distortion(pictures.image(first.name, first.read()).shape[:2], recipe):
                notes.append(f"{self.domain}: {warning}")
        return replace(self, recipe=recipe, notes=notes)


def shown(left_out: list[tuple[str, str, str]]) -> str:
    """Return the first few frames that were left out, with their reasons, for a message."""
    first = "; ".join(f"{name}: {reason}" for _, name, reason in left_out[:3])
    return f"left out: {first}{f'; and {len(left_out) - 3} more' if left_out[3:] else ''}"


class Label(NamedTuple):
    """A label picture, as stored and as train ids."""

    stored: pictures.Stored
    decoded: mappings.Decoded


def read_label(recipe: Recipe, frame: Frame) -> Label:
    """Return the label of a frame at full size; raises ValueError as `pictures.stored` and `mappings.decode` do."""
    name, limit = frame.label.name, recipe.max_color_distance
    stored = pictures.stored(name, frame.label.read())
    return Label(stored, mappings.decode(stored, recipe.mapping, max_color_distance=limit, name=name))


def write(root: Path, recipe: Recipe, frame: Frame) -> dict:
    """Write the files of a frame below `root` and return their record; leave a bad frame out and say why.

    Returns
    -------
    dict
        "name", "split", "of" (`Frame.made_of`), and either "left_out" (the reason) or "size" (H, W) and "files": name
        below `root` -> bytes, CRC-32, of a label the number of pixels of each value, and `files.content_digest` of the pixels.
        With a strict recipe also what `_noticed` returns.

    Raises
    ------
    OSError
        If a file cannot be read or written; names it.
    ValueError
        With a strict recipe, if a file is not as it should be.
    """
    record = {"name": frame.name, "split": frame.split, "of": list(frame.made_of)}
    try:
        image, label = _decoded(recipe, frame)
        height, width = size_of(*image.shape[:2], recipe.size, keep_aspect=recipe.keep_aspect)
    except ValueError as error:
        if recipe.strict:
            raise
        return record | {"left_out": str(error)}
    if blank := _blank(image, label):
        return record | {"left_out": blank}
    if recipe.strict and label:
        record |= _noticed(label)
    layers = {"images": image}
    if recipe.labeled:
        layers["labels"] = label.decoded.train_ids if label else np.full(image.shape[:2], IGNORE, np.uint8)
    if recipe.plates:
        plates = label.stored.values == PLATE if label else np.zeros(image.shape[:2], bool)
        layers["plates"] = plates * np.uint8(255)
    written = {}
    for kind, layer in layers.items():
        how = Image.Resampling.BILINEAR if kind == "images" else Image.Resampling.NEAREST
        resized, content = Image.fromarray(layer).resize((width, height), how), io.BytesIO()
        # Level 1: level 6, Pillow's own, takes five times as long for a tenth of the bytes.
        resized.save(content, "PNG", compress_level=1)
        name = f"{frame.split}/{kind}/{frame.name}.png"
        with files.atomic(root / name) as partial:
            partial.write_bytes(content.getbuffer())
        counts = resized.histogram() if kind != "images" else []
        pixels = {str(value): count for value, count in enumerate(counts) if count}
        crc = f"{zlib.crc32(content.getbuffer()):08x}"
        written[name] = [content.tell(), crc, pixels, files.content_digest(np.asarray(resized))]
    return record | {"size": [height, width], "files": written}


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
    scaled = max(size[0], math.floor(height * scale + 0.5)), max(size[1], math.floor(width * scale + 0.5))
    _check_size(scaled)
    return scaled


def distortion(own: tuple[int, int], recipe: Recipe) -> str:
    """Return a warning if frames of (H, W) = `own` will be badly distorted, else ""."""
    if recipe.size is None or recipe.keep_aspect:
        return ""
    (h, w), (high, wide) = own, recipe.size
    turned = (h - w) * (high - wide) < 0
    factor = max(wide * h / (high * w), high * w / (wide * h))
    if factor <= 2.5 and not turned:
        return ""
    how = "exchanges landscape and portrait" if turned else "changes their shape"
    return (
        f"warning: frames are {h}x{w} (height x width), and --size {high}x{wide} {how} by a factor of {factor:.1f}; "
        "the option takes HEIGHTxWIDTH"
    )


def _check_size(size: tuple[int, int]) -> None:
    """Refuse a (H, W) that could not be read again."""
    height, width = size
    if min(size) < 1:
        raise ValueError(f"size is (height, width), at least 1 each, not {tuple(size)}")
    if height * width > pictures.LARGEST or max(size) > pictures.LONGEST:
        raise ValueError(
            f"size = {height}x{width} (height x width) is larger than can be read again, {pictures.LARGEST:,} pixels a "
            f"frame and {pictures.LONGEST:,} a side; give a smaller size, for example 1024x2048"
        )


def _decoded(recipe: Recipe, frame: Frame) -> tuple[np.ndarray, Label | None]:
    # A picture that is turned upright may not match its label.
    image = pictures.image(frame.image.name, frame.image.read(), turn=frame.label is None)
    label = read_label(recipe, frame) if frame.label else None
    if label and label.decoded.train_ids.shape != image.shape[:2]:
        (h, w), (y, x) = image.shape[:2], label.decoded.train_ids.shape
        sizes = f"{frame.image.name} is {h}x{w}, {frame.label.name} is {y}x{x}"
        raise ValueError(f"sizes differ (height x width): {sizes}")
    return image, label


def _noticed(label: Label) -> dict:
    """Return the share of ignored pixels and an example, as in `mappings.Decoded`, and the colors of a palette."""
    train_ids, ignored, example = label.decoded
    _, values, palette, _ = label.stored
    colors = {} if palette is None else {v: palette[v].tolist() for v in np.unique(values).tolist()}
    # A ramp of grays says nothing.
    colors = {str(value): color for value, color in colors.items() if color != [value] * 3}
    return {"ignored": ignored / train_ids.size, "example": example, "colors": colors}


def _blank(image: np.ndarray, label: Label | None) -> str:
    """Return why a frame teaches nothing, "" if it does."""
    if label:
        values = label.stored.values
        if (values == values[0, 0]).all():
            return f"the label is blank: {values[0, 0]} throughout"
        if (label.decoded.train_ids == IGNORE).all():
            return "the label holds none of the 19 classes"
    color = tuple(image[0, 0].tolist())
    return f"the image is blank: one color, {color}" if (image == image[0, 0]).all() else ""
