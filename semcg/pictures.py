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
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from semcg import files

LARGEST = 2**26  # pixels of a picture, at most: 8192 x 8192, 32 times those of a Cityscapes frame
LONGEST = 2**14  # pixels of a side, at most
_BYTES = 2**28  # a picture of LARGEST pixels without any compression
# Whether it is a label -> modes of Pillow, and what they mean.
_MODES = {
    False: (("RGB", "RGBA", "L", "LA"), "images are 8-bit RGB, gray, or opaque RGBA: convert it to RGB"),
    True: (("L", "P", "RGB", "RGBA"), "labels are gray PNG of 2 to 8 bits, palette PNG, or RGB"),
}
# What Pillow raises on a damaged file.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
_NFC = partial(unicodedata.normalize, "NFC")
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


class _Refused(ValueError):
    """A file decodes, but is of a kind that is not taken."""


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
    with files.naming(path):
        return Path(path).read_bytes()


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
    picture = _opened(name, content, label=False, turn=turn)
    return np.array(ImageOps.exif_transpose(picture).convert("RGB"))


def stored(name: Path | str, content: bytes | None = None) -> Stored:
    """Return what a label picture stores; parameters and errors as in `image`."""
    picture = _opened(name, content, label=True, turn=False)
    lossless = picture.format == "PNG"
    if picture.mode == "L":
        return Stored("gray", np.array(picture) // picture.stretch, None, lossless)
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
    picture = _opened(path, label=label, turn=turn, header=True)
    if label and picture.mode.startswith("RGB"):
        raise ValueError(f"{path} is a color picture; `semcg prepare folder` converts it to train ids")
    return picture.size if picture.turned else picture.size[::-1]


class Listing(NamedTuple):
    """The files of a folder, in natural order."""

    images: list[Path]
    """PNG and JPEG files, by their endings."""
    others: list[Path]
    """What was passed over."""

    def passed_over(self) -> str:
        """Return one line about what was passed over, "" for nothing."""
        if not self.others:
            return ""
        return f"skipped in {self.others[0].parent.name}: {len(self.others)} not PNG or JPEG, for example {self.others[0].name}"


def images_in(folder: Path, *, below: bool = False) -> Listing:
    """Return the PNG and JPEG files of a folder, and what else is there but for what operating systems leave behind.

    With `below`, of its sub-folders as well.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or holds no image.
    ValueError
        If one of these names is that of no file (a folder, a pipe, a link that leads nowhere), or not UTF-8.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    found = Listing([], [])
    paths = files.walk(folder) if below else folder.iterdir()
    for path in sorted(paths, key=lambda path: natural(path.relative_to(folder).as_posix())):
        if path.suffix.lower() in files.IMAGES and not path.name.startswith("."):
            found.images.append(path)
        elif files.is_data(path.name) and path.name != "about.json":
            found.others.append(path)
    if not found.images:
        others = f", but {found.others[0].name}" if found.others else ""
        raise FileNotFoundError(f"no PNG or JPEG file in {folder}{others}")
    for path in found.images:
        if not path.is_file():  # reading a pipe would wait for ever
            raise ValueError(
                f"{path} has the name of a picture, but is a folder, a pipe or a link that leads nowhere; "
                "remove or rename it"
            )
        if not path.name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in path.name):
            raise ValueError(f"{path!r} has a name that is not UTF-8, which no list can store; rename it")
    return found


def natural(name: str) -> list:
    """Return a key that sorts 2 before 10, whatever surrounds the digits."""
    parts = re.split(r"([0-9]+)", name)
    return [[int(part) if i % 2 else part for i, part in enumerate(parts)], name]


def by_stem(paths: Iterable[Path], key: Callable[[str], str] = str) -> dict[str, Path]:
    """Return pictures by what `key` makes of their stems, in the same order; refuse two with the same."""
    named: dict[str, Path] = {}
    for path in paths:
        if (other := named.setdefault(key(path.stem), path)) is not path:
            what = "stem" if key is str else "name, but for its ending or Unicode form"
            raise ValueError(f"{other} and {path} have the same {what}; rename or remove one")
    return named


def pairs(images: Path | str, labels: Path | str | None) -> dict[str, tuple[Path, Path | None]]:
    """Pair the pictures of two folders by stem; without labels each has None.

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
        If a file has no partner, or two of a folder have one; names the first few, and one of the other folder.
    """
    first, second = (by_stem(images_in(Path(folder)).images) if folder else {} for folder in (images, labels))
    if labels is None:
        return {stem: (path, None) for stem, path in first.items()}
    images_of, labels_of = ({_NFC(stem): path for stem, path in of.items()} for of in (first, second))
    if not (images_of.keys() == labels_of.keys() and len(images_of) == len(first) == len(second)):
        images_of, labels_of = by_stem(first.values(), bare), by_stem(second.values(), bare)
        check_paired(("image", images, images_of), ("label", labels, labels_of))
    return {path.stem: (path, labels_of[stem]) for stem, path in images_of.items()}


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


def _opened(
    name: Path | str, content: bytes | None = None, *, label: bool, turn: bool, header: bool = False
) -> Image.Image:
    """Return a picture after all checks, decoded; with `header`, after those that its header allows.

    Two attributes are added: `stretch`, by which Pillow multiplies gray of fewer than 8 bits (it gives class 1 of four
    bits as 17), and `turned`, whether EXIF data exchange height and width.
    """
    if content is None:
        _check_file(name)
    try:
        content = Path(name).read_bytes() if content is None and not header else content
        with open(name, "rb") if content is None else io.BytesIO(content) as handle:
            head = handle.read(32)
            handle.seek(0)
            try:
                picture = Image.open(handle, formats=("PNG", "JPEG"))  # Pillow's other decoders stay shut
            except UnidentifiedImageError:
                raise ValueError(f"it is {_kind(head)}") from None
            png = picture.format == "PNG"
            if png and head[12:16] != b"IHDR":
                raise ValueError("it does not begin with a PNG header")
            if picture.width * picture.height > LARGEST or max(picture.size) > LONGEST:
                most = f"pictures have sides of at most {LONGEST:,} and {LARGEST:,} pixels in all"
                raise _Refused(f"is {picture.height}x{picture.width} (height x width); {most}")
            bits, (modes, needed) = head[24] if png else 8, _MODES[label]
            if bits > 8:
                raise _Refused(f"has {bits} bits a channel; convert it to 8 by its range of values")
            if png and getattr(picture, "n_frames", 1) > 1:
                raise _Refused(f"is an animation of {picture.n_frames} frames; save the frame that you need")
            if picture.mode not in modes or (bits < 8 and not label):
                raise _Refused(f"is a picture of mode {picture.mode} with {bits} bits; {needed}")
            if label and picture.mode == "L" and not png:
                raise _Refused("is a gray JPEG, which does not keep values; labels by value are PNG")
            if png and not header:  # `load` passes over checksums and missing rows
                Image.open(io.BytesIO(content), formats=("PNG",)).verify()
            if not header:
                picture.load()
            if png and not header:
                _check_rows(content, picture)
            # Asking a PNG for EXIF data that its header lacks would decode it.
            known = not (png and header) or "exif" in picture.info
            turned = picture.getexif().get(ExifTags.Base.Orientation, 1) if known else 1
    except _Refused as refusal:
        raise ValueError(f"{name} {refusal}") from None
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's error, not Pillow's
            raise OSError(error.errno, error.strerror, str(name)) from error
        raise Damaged(f"{name} does not decode: {error}; get it again, or remove it") from error
    if not turn and turned in range(2, 9):
        why = f"is turned by its EXIF data (orientation {turned}), so that image and label may not match"
        raise ValueError(f"{name} {why}; store it upright, without that entry")
    picture.stretch, picture.turned = 255 // (2**bits - 1), turned in range(5, 9)
    if header:
        return picture
    if picture.mode == "L" and isinstance(picture.info.get("transparency"), int):
        picture.info["transparency"] *= picture.stretch  # which Pillow leaves out here
    # Whether an alpha channel, a palette or a color key says so.
    if picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        raise ValueError(f"{name} is partly transparent; add a background, or drop its alpha channel")
    return picture


def _check_rows(content: bytes, picture: Image.Image) -> None:
    """Raise ValueError if the data of a PNG end before its last row: Pillow leaves the rest 0, which is a class."""
    w, h = picture.size
    # In an interlaced picture the last row may be whole and the one before it not.
    last = np.array(picture.crop((0, max(0, h - 2), w, h))).reshape(min(h, 2), -1)
    if last.any(1).all() and (h > 1 or not content[28]):
        return
    at, data, kind = 8, [], b""
    while kind != b"IEND":  # more bytes may follow
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        data += [content[at + 8 : at + 8 + length]] if kind == b"IDAT" else []
        at += length + 12
    channels, interlaced = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[content[25]], content[28]
    passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ]
    sizes = [
        (-((x - w) // dx), -((y - h) // dy)) for x, y, dx, dy in (passes if interlaced else [(0, 0, 1, 1)])
    ]
    # A row begins with a byte for its filter.
    needed = sum(
        rows * (1 - (-columns * channels * content[24] // 8)) for columns, rows in sizes if columns > 0
    )
    if len(zlib.decompressobj().decompress(b"".join(data), needed)) < needed:
        raise ValueError("it ends before its last row")


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


def bare(stem: str) -> str:
    """Return a stem without the endings of Cityscapes, in Unicode normal form C."""
    return _ENDINGS.sub("", _NFC(stem))
