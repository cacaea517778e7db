"""Files to tensors, and what is wrong with a file said with its name."""

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from semcg.files import images_in
from semcg.labels import CLASSES, IGNORE

__all__ = ["FORMATS", "by_stem", "header", "image", "label"]

FORMATS = ("PNG", "JPEG")
"""What Pillow may take a file for; its other decoders stay shut."""


def by_stem(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by stem, refusing two of one stem."""
    found: dict[str, Path] = {}
    for path in images_in(folder):
        if path.stem in found:
            raise ValueError(f"{found[path.stem]} and {path} have the same stem; rename or remove one")
        found[path.stem] = path
    return found


def header(path: Path, mode: str) -> tuple[int, int]:
    """Return (H, W) from the header of a file that must be of this Pillow mode."""
    try:
        with Image.open(path, formats=FORMATS) as opened:
            size, found = (opened.height, opened.width), opened.mode
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise ValueError(f"{path} is no readable PNG or JPEG: {error}") from error
    if found != mode or (mode == "L" and opened.format != "PNG"):
        wanted = "RGB images" if mode == "RGB" else "8-bit grey PNG of train ids"
        raise ValueError(
            f"{path} is {opened.format} of mode {found}, not one of the {wanted}; "
            "`semcg prepare folder` converts"
        )
    return size


def image(path: Path) -> Tensor:
    """Return the pixels of an RGB file, (3, H, W) uint8."""
    return _decoded(path).permute(2, 0, 1)


def label(path: Path) -> Tensor:
    """Return the train ids of a label file, (H, W) uint8, refusing values that are none."""
    y = _decoded(path)
    wrong = (y >= len(CLASSES)) & (y != IGNORE)
    if wrong.any():
        value = int(y[wrong][0])
        share = float((y == value).double().mean())
        raise ValueError(
            f"{path} holds {value} in {share:.2%} of its pixels, which is no train id "
            f"(0..{len(CLASSES) - 1} or {IGNORE}); `semcg prepare folder` converts labels"
        )
    return y


def _decoded(path: Path) -> Tensor:
    try:
        with Image.open(path, formats=FORMATS) as opened:
            return torch.from_numpy(np.array(opened))
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise ValueError(f"{path} does not decode: {error}") from error
