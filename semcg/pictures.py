"""The one gate for picture files: what a file is, checked before it is decoded, and then its pixels.

Images are 8-bit RGB, gray, or with an alpha channel that is opaque throughout. Labels are gray PNG of 2 to 8 bits and
palette PNG, whose values count, or color pictures. Both are PNG or JPEG, by their contents and not by their names.
Refused, with the name of the file: more than 8 bits a channel, transparent pixels, animations, damaged files, what is
no file, and whatever is too large to be read safely.
"""

import io
import os
import re
import stat
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from semcg import files

LARGEST = 2**26  # pixels of a picture, at most: 8192 x 8192, 32 times those of a Cityscapes frame
LONGEST = 2**14  # pixels of a side, at most
_BYTES = 2**28  # a picture of LARGEST pixels without any compression
_IMAGES, _LABELS = ("RGB", "RGBA", "L", "LA"), ("L", "P", "RGB", "RGBA")  # modes of Pillow
_ENDINGS = re.compile("(_leftImg8bit|(_gtFine)?_labelTrainIds|_gtFine_labelIds)$")
_KINDS = {
    b"GIF8": "a GIF",
    b"RIFF": "a WebP",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"PK\3\4": "a zip file",
    b"<": "a web page or SVG",
    b"version https://git-lfs": "a pointer of Git LFS (`git lfs pull` fetches the picture)",
}


class Damaged(ValueError):
    """A file does not decode."""


class Stored(NamedTuple):
    """What a label picture stores."""

    kind: str  # "gray", "palette" or "color"
    values: np.ndarray  # (H, W) uint8: gray values or indices; of a color picture (H, W, 3) uint8
    palette: np.ndarray | None  # (256, 3) uint8, the color of each index; None unless `kind` is "palette"
    lossless: bool  # whether values and colors are those that were written: PNG yes, JPEG no


def read(path: Path | str) -> bytes:
    """Return the contents of a regular file of at most 256 MB.

    Raises
    ------
    ValueError
        If it is a folder, a device or a pipe, which may never end, or larger.
    OSError
        If the disk does not give it; names the file.
    """
    _check_file(path)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def image(name: Path | str, content: bytes | None = None, *, turn: bool = True) -> np.ndarray:
    """Return the pixels of an image.

    Parameters
    ----------
    name : path
        Of the file; with `content` what messages call it.
    content : bytes, optional
        Of the file, if it was read already.
    turn : bool
        Turn a picture upright if its EXIF data say so. False refuses it: its label may not be turned.

    Returns
    -------
    (H, W, 3) uint8
        RGB.

    Raises
    ------
    ValueError
        If the file is no such image, see above; names the file.
    """
    picture = _decoded(name, content, label=False, turn=turn)
    return np.array(ImageOps.exif_transpose(picture).convert("RGB"))


def stored(name: Path | str, content: bytes | None = None) -> Stored:
    """Return what a label picture stores; parameters and errors as in `image`."""
    picture = _decoded(name, content, label=True, turn=False)
    lossless = picture.format == "PNG"
    if picture.mode == "L":
        return Stored("gray", np.array(picture) // _stretch(picture), None, lossless)
    if picture.mode == "P":
        palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        colors = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
        palette[: len(colors)] = colors
        return Stored("palette", np.array(picture), palette, lossless)
    return Stored("color", np.array(picture.convert("RGB")), None, lossless)


def size(path: Path | str, *, label: bool = False, turn: bool = False) -> tuple[int, int]:
    """Return (H, W) from the header of a file, after the checks that a header allows.

    Parameters
    ----------
    label : bool
        Whether it is a label that stores values.
    turn : bool
        As in `image`: then the size is that of the upright picture.
    """
    _check_file(path)
    with open(path, "rb") as handle:
        picture = _opened(path, handle)
        _check_mode(picture, path, label=label)
        if label and picture.mode.startswith("RGB"):
            raise ValueError(f"{path} is a color picture; `semcg prepare folder` converts it to train ids")
        # Asking a PNG for EXIF data that its header lacks would decode it.
        has_exif = picture.format != "PNG" or "exif" in picture.info
        on_its_side = has_exif and _orientation(picture, path, turn) >= 5
        return picture.size if on_its_side else picture.size[::-1]


def by_stem(folder: Path | str) -> dict[str, Path]:
    """Return the pictures of a folder by stem, in natural order, refusing two of one stem."""
    paths: dict[str, Path] = {}
    for path in files.images_in(Path(folder)).images:
        if path.stem in paths:
            raise ValueError(f"{paths[path.stem]} and {path} have the same stem; rename or remove one")
        paths[path.stem] = path
    return paths


def pairs(images: Path | str, labels: Path | str) -> dict[str, tuple[Path, Path]]:
    """Pair the pictures of two folders by stem.

    Stems are compared in Unicode normal form C, and without the endings of Cityscapes if they do not pair otherwise.

    Returns
    -------
    dict
        Stem of the image -> image and label, in natural order.

    Raises
    ------
    FileNotFoundError
        If a folder does not exist or holds no picture.
    ValueError
        If a file has no partner; names the first few, and one of the other folder.
    """
    first, second = by_stem(images), by_stem(labels)
    for key in (bare, _normal):
        images_of, labels_of = ({key(stem): path for stem, path in of.items()} for of in (first, second))
        if images_of.keys() == labels_of.keys() and len(images_of) == len(first) == len(second):
            return {path.stem: (path, labels_of[stem]) for stem, path in images_of.items()}
    check_paired(("image", images, images_of), ("label", labels, labels_of))
    raise ValueError(f"two files of {images} have names that differ in Unicode normal form only; rename one")


def check_paired(*sides: tuple[str, Path | str, dict[str, Path]]) -> None:
    """Raise ValueError if a file of two sides (kind, folder, key -> file) has no partner of the same key in the other."""
    for (_, _, ours), (kind, folder, theirs) in (sides, sides[::-1]):
        if missing := [path.stem for key, path in ours.items() if key not in theirs]:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            unpaired = [path.name for key, path in theirs.items() if key not in ours]
            example = (unpaired or [path.name for path in theirs.values()])[0]
            raise ValueError(
                f"no {kind} in {folder} for {len(missing)} of {len(ours)} file(s): {shown}. It holds {example}, "
                "for example; pairs have the same name, whatever the ending"
            )


@contextmanager
def _readable(name: Path | str) -> Iterator[None]:
    """Turn whatever Pillow raises on a damaged file into a `Damaged` that names it."""
    try:
        yield
    except (
        *(OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error),
        *(Image.DecompressionBombError, Image.DecompressionBombWarning),
    ) as error:
        raise Damaged(f"{name} does not decode: {error}; get it again, or remove it") from error


def _opened(name: Path | str, handle: BinaryIO) -> Image.Image:
    """Open a picture without decoding it, once its header was checked; adds the attribute `bits`."""
    head = handle.read(32)
    handle.seek(0)
    with _readable(name):
        try:
            picture = Image.open(handle, formats=("PNG", "JPEG"))  # Pillow's other decoders stay shut
        except UnidentifiedImageError:
            raise ValueError(f"it is {_kind(head)}") from None
        if picture.format == "PNG" and head[12:16] != b"IHDR":
            raise ValueError("it does not begin with a PNG header")
    if picture.width * picture.height > LARGEST or max(picture.size) > LONGEST:
        most = f"pictures have sides of at most {LONGEST:,} and {LARGEST:,} pixels in all"
        raise ValueError(f"{name} is {picture.height}x{picture.width} (height x width); {most}")
    picture.bits = head[24] if picture.format == "PNG" else 8
    if picture.bits > 8:
        raise ValueError(f"{name} has {picture.bits} bits a channel; convert it to 8 by its range of values")
    if picture.format == "PNG" and getattr(picture, "n_frames", 1) > 1:
        raise ValueError(f"{name} is an animation of {picture.n_frames} frames; save the frame that you need")
    return picture


def _kind(head: bytes) -> str:
    """Return what a file that is no PNG and no JPEG seems to be, by its first bytes."""
    if not head:
        return "empty"
    kinds = [kind for start, kind in _KINDS.items() if head.startswith(start)]
    kinds += ["a HEIC or AVIF"] if head[4:8] == b"ftyp" else []
    return f"{kinds[0]}, not a PNG or JPEG" if kinds else "no PNG or JPEG"


def _check_file(path: Path | str) -> None:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is no file, but a folder, a device or a pipe; name a PNG or JPEG file")
    if status.st_size > _BYTES:
        raise ValueError(f"{path} has {status.st_size:,} bytes; pictures have at most {_BYTES:,}")


def _check_mode(picture: Image.Image, name: Path | str, *, label: bool) -> None:
    if label:
        modes, needed = _LABELS, "labels are gray PNG of 2 to 8 bits, palette PNG, or RGB"
    else:
        modes, needed = _IMAGES, "images are 8-bit RGB, gray, or opaque RGBA: convert it to RGB"
    if picture.mode not in modes or (picture.bits < 8 and not label):
        raise ValueError(f"{name} is a picture of mode {picture.mode} with {picture.bits} bits; {needed}")
    if label and picture.mode == "L" and picture.format != "PNG":
        raise ValueError(f"{name} is a gray JPEG, which does not keep values; labels by value are PNG")


def _decoded(name: Path | str, content: bytes | None, *, label: bool, turn: bool) -> Image.Image:
    """Decode a picture, once checked; transparent ones are refused, and turned ones unless `turn`."""
    content = read(name) if content is None else content
    picture = _opened(name, io.BytesIO(content))
    _check_mode(picture, name, label=label)
    with _readable(name):
        if picture.format == "PNG":  # its checksums, which `load` passes over
            Image.open(io.BytesIO(content), formats=("PNG",)).verify()
        picture.load()
    if picture.mode == "L" and isinstance(picture.info.get("transparency"), int):
        picture.info["transparency"] *= _stretch(picture)  # which Pillow leaves out here
    # Whether an alpha channel, a palette or a color key says so.
    if picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        raise ValueError(f"{name} is partly transparent; add a background, or drop its alpha channel")
    _orientation(picture, name, turn)
    return picture


def _stretch(picture: Image.Image) -> int:
    """Return by how much Pillow stretches gray of fewer bits to 0..255: it gives class 1 of four bits as 17."""
    return 255 // (2**picture.bits - 1)


def _orientation(picture: Image.Image, name: Path | str, turn: bool) -> int:
    """Return how EXIF data turn a picture, 1 to 8; other than 1 is refused without `turn`."""
    with _readable(name):
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1)
    if turned not in range(2, 9):
        return 1
    if not turn:
        why = f"is turned by its EXIF data (orientation {turned}), so that image and label may not match"
        raise ValueError(f"{name} {why}; store it upright, without that entry")
    return turned


def bare(stem: str) -> str:
    """Return a stem without the endings of Cityscapes, in Unicode normal form C."""
    return _ENDINGS.sub("", _normal(stem))


def _normal(stem: str) -> str:
    return unicodedata.normalize("NFC", stem)
