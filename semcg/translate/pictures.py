"""The pictures that a translation reads and writes."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from semcg import files
from semcg.codings import opaque, readable
from semcg.data import FORMATS

__all__ = ["image", "made_of", "pixels", "save", "sizes", "stems", "values"]


def image(path: Path) -> Tensor:
    """Return a PNG or JPEG file, upright, as (3, H, W) float32 in [-1, 1].

    Raises
    ------
    ValueError
        If it does not decode, is no 8-bit RGB, grey or opaque RGBA picture; names the file.
    """
    return values(pixels(path, Path(path).read_bytes())[None])[0]


def stems(in_folder: Path | str, *, frames: int = 0) -> dict[str, Path]:
    """Return the images of a folder by stem, sorted: all, or the first `frames`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no image in it.
    ValueError
        If two images have the same stem.
    """
    found: dict[str, Path] = {}
    for path in files.images_in(Path(in_folder)):
        if path.stem in found:
            raise ValueError(f"{found[path.stem]} and {path} have the same stem; rename or remove one")
        found[path.stem] = path
    return dict(sorted(found.items())[: frames or None])


def sizes(in_folder: Path | str, *, frames: int = 0) -> list[tuple[int, int]]:
    """Return the heights and widths that occur in a folder, from the files' heads, by number of pixels.

    A file that tells none is left out: it is named when its turn comes. Raises as `stems`.
    """
    found = set()
    for path in stems(in_folder, frames=frames).values():
        try:
            with Image.open(path, formats=FORMATS) as picture:
                width, height = picture.size
                lying = picture.getexif().get(0x0112, 1) >= 5  # EXIF orientations that exchange the sides
                found.add((width, height) if lying else (height, width))
        except (OSError, SyntaxError, ValueError):
            continue
    return sorted(found, key=lambda size: (size[0] * size[1], size))


def pixels(path: Path, content: bytes) -> Tensor:
    """Return the picture in a file's content, upright, as (H, W, 3) uint8; raises as `image`."""
    with readable(path):
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    if picture.mode not in ("RGB", "RGBA", "L"):
        raise ValueError(
            f"{path} is a picture of mode {picture.mode}; images are 8-bit RGB, grey, or opaque RGBA"
        )
    return torch.from_numpy(np.array(ImageOps.exif_transpose(opaque(picture, path))))


def values(pixels: Tensor) -> Tensor:
    """Turn pixels (B, H, W, 3) uint8 into images (B, 3, H, W) float32 in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def made_of(path: Path, source: str) -> bool:
    """Whether `path` is a whole PNG file that was made of the file with this CRC-32."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            of = picture.text.get("source")
            picture.load()
            return of == source
    except (OSError, SyntaxError, ValueError):
        return False


def save(pixels: Tensor, path: Path, source: str) -> None:
    """Write pixels (H, W, 3) uint8 as PNG, atomically, with the CRC-32 of the file that they were made of."""
    note = PngInfo()
    note.add_text("source", source)
    with files.atomic(path) as partial:
        Image.fromarray(pixels.contiguous().numpy()).save(partial, compress_level=1, pnginfo=note)
