"""What label files store, and the way from there to train ids."""

import csv
import struct
import tomllib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from semcg.labels import CLASSES, IGNORE

__all__ = ["CODINGS", "Mapping", "decode_labels", "mapping", "opaque", "readable", "stored"]

CODINGS = ("auto", "palette", "grey", "color")


class Mapping(NamedTuple):
    """From what a label file stores to train ids."""

    name: str
    """Name of the mapping file, for messages."""
    keys: np.ndarray
    """(n,) uint8 values, or (n, 3) uint8 colours."""
    train_ids: np.ndarray
    """(n,) uint8, 0..18 or 255."""

    @property
    def colors(self) -> bool:
        """Whether the keys are colours."""
        return self.keys.ndim == 2


def mapping(path: Path | str) -> Mapping:
    """Read the file that maps what labels store to train ids.

    CSV with the heading `value,train_id` or `r,g,b,train_id`, or TOML with `[[class]]` tables that hold
    `value = 7` or `color = [128, 64, 128]`, and `train_id = 0`. A `name` may stand beside them.

    Returns
    -------
    Mapping

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not as described, a number is out of range, or a value is given twice; with file and entry.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no mapping file {path}")
    if path.suffix.lower() not in {".csv", ".toml"}:
        raise ValueError(f"{path}: a mapping file is .csv or .toml")
    try:
        entries = _toml_entries(path) if path.suffix.lower() == ".toml" else _csv_entries(path)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    seen: dict[tuple[int, ...], int] = {}
    for where, key, train_id in entries:
        if any(not 0 <= part <= 255 for part in key):
            raise ValueError(
                f"{path}, {where}: values and colours are 0..255, not {key if len(key) > 1 else key[0]}"
            )
        if not (0 <= train_id < len(CLASSES) or train_id == IGNORE):
            raise ValueError(
                f"{path}, {where}: train ids are 0..{len(CLASSES) - 1} or {IGNORE}, not {train_id}"
            )
        if key in seen:
            raise ValueError(f"{path}, {where}: {key if len(key) > 1 else key[0]} is given twice")
        seen[key] = train_id
    if not seen:
        raise ValueError(f"{path} maps nothing")
    keys = np.array(list(seen), np.uint8)
    return Mapping(
        path.name, keys[:, 0] if keys.shape[1] == 1 else keys, np.array(list(seen.values()), np.uint8)
    )


def decode_labels(
    image: Image.Image,
    to_train_ids: Mapping | None = None,
    *,
    coding: str = "auto",
    max_color_distance: float = 30.0,
    name: str = "the label",
) -> tuple[np.ndarray, float]:
    """Turn a label picture into train ids.

    Parameters
    ----------
    image : PIL image
        As opened, not converted: converting a palette picture would destroy the index.
    to_train_ids : Mapping, optional
        Without one the picture holds train ids.
    coding, max_color_distance
        As in `Domain`.
    name : str
        What messages call the picture.

    Returns
    -------
    train_ids : (H, W) uint8
        0..18 or 255.
    too_far : float
        Share of the pixels whose colour is further than `max_color_distance` from all of the mapping, 0..1.

    Raises
    ------
    ValueError
        If the picture is of another coding, has 16 or fewer than 8 bits, does not decode, holds a value that
        is not in the mapping (named with its share of the pixels), or has colours too far from all of the
        mapping: most of them, or with `max_color_distance` 0 any.
    """
    if coding not in CODINGS:
        raise ValueError(f"coding is one of {', '.join(CODINGS)}, not {coding!r}")
    if max_color_distance < 0:
        raise ValueError(f"max_color_distance must not be negative, but is {max_color_distance}")
    by_color = to_train_ids is not None and to_train_ids.colors
    if coding != "auto" and by_color != (coding == "color"):
        has = "no mapping" if to_train_ids is None else f"{to_train_ids.name} with {_kind(by_color)}"
        raise ValueError(f"coding {coding!r} needs a mapping with {_kind(not by_color)}, but there is {has}")
    kind = stored(image, name)
    if (kind == "color") != by_color or coding not in ("auto", kind):
        needed = (
            coding
            if coding != "auto"
            else f"{_kind(by_color)} of {to_train_ids.name}"
            if to_train_ids
            else "train ids"
        )
        raise ValueError(f"{name} is a {kind} picture, and should hold {needed}")
    if by_color:
        return _nearest(np.asarray(opaque(image, name)), to_train_ids, max_color_distance, name)
    with readable(name):
        values = np.asarray(image)
    table = np.full(256, -1, np.int16)
    known = [*range(len(CLASSES)), IGNORE] if to_train_ids is None else to_train_ids.keys
    table[known] = known if to_train_ids is None else to_train_ids.train_ids
    train_ids = table[values]
    if (train_ids < 0).any():
        unknown = [
            f"{v} ({(values == v).mean():.2%} of its pixels)" for v in np.unique(values[train_ids < 0])
        ]
        where = (
            "no train id, and there is no mapping" if to_train_ids is None else f"not in {to_train_ids.name}"
        )
        raise ValueError(f"{name} holds values that are {where}: {', '.join(unknown[:5])}")
    return train_ids.astype(np.uint8), 0.0


@contextmanager
def readable(name: Path | str) -> Iterator[None]:
    """Turn whatever Pillow raises on a damaged file into a ValueError that names it."""
    try:
        yield
    except (
        *(OSError, SyntaxError, ValueError, EOFError),
        *(struct.error, zlib.error, Image.DecompressionBombError),
    ) as error:
        why = "it is no PNG or JPEG" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"{name} does not decode: {why}; get it again, or remove it") from error


def opaque(image: Image.Image, name: Path | str) -> Image.Image:
    """Return an RGB, grey or RGBA picture in RGB, refusing one that is transparent anywhere."""
    with readable(name):
        image.load()
    if image.mode == "RGBA" and image.getchannel("A").getextrema()[0] < 255:
        raise ValueError(f"{name} is transparent in places; put it on a ground, or drop its alpha channel")
    return image.convert("RGB")


def stored(image: Image.Image, name: Path | str) -> str:
    """Return what a label picture stores, from its header: "palette", "grey" or "color".

    Raises
    ------
    ValueError
        If it has not 8 bits a channel, is of another mode, or is a grey JPEG.
    """
    raw = str(image.tile[0].args) if getattr(image, "tile", None) else ""
    if "16" in image.mode or "16" in raw or image.mode in ("I", "F"):
        raise ValueError(f"{name} has 16 or more bits a channel; labels have 8")
    kind = {"P": "palette", "L": "grey", "RGB": "color", "RGBA": "color"}.get(image.mode)
    if kind is None or raw in ("L;2", "L;4"):  # these Pillow stretches to 0..255
        raise ValueError(f"{name} is of mode {image.mode} ({raw}); labels are 8-bit grey, palette, or RGB")
    if kind == "grey" and image.format == "JPEG":
        raise ValueError(f"{name} is a grey JPEG, which does not keep values; labels by value are PNG")
    return kind


def _kind(by_color: bool) -> str:
    return "colours" if by_color else "values"


def _nearest(colors: np.ndarray, to_train_ids: Mapping, limit: float, name: str) -> tuple[np.ndarray, float]:
    # A JPEG has some ten thousand colours: distances are taken once per colour, and colours found without
    # sorting.
    packed = colors.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    index = np.full(1 << 24, -1, np.int32)
    index[packed] = 0
    unique = np.flatnonzero(index == 0)
    index[unique] = np.arange(len(unique))
    back = index[packed]
    seen = np.stack([unique >> 16, unique >> 8 & 255, unique & 255], 1).astype(np.int32)
    squares = ((seen[:, None] - to_train_ids.keys.astype(np.int32)) ** 2).sum(2)
    far = squares.min(1) > limit**2
    train_ids = np.where(far, IGNORE, to_train_ids.train_ids[squares.argmin(1)]).astype(np.uint8)
    too_far = float(far[back].mean())
    if too_far > (0.5 if limit > 0 else 0.0):
        counts = np.bincount(back.ravel(), minlength=len(unique)) * far
        worst = counts.argmax()
        shown = f"{tuple(seen[worst].tolist())} ({counts[worst] / back.size:.2%})"
        raise ValueError(
            f"{name}: {too_far:.2%} of its pixels are further than {limit:g} from every colour of "
            f"{to_train_ids.name}, the most frequent being {shown}"
        )
    return train_ids[back], too_far


def _csv_entries(path: Path) -> list[tuple[str, tuple[int, ...], int]]:
    with open(path, newline="", encoding="utf-8-sig") as handle:
        rows = csv.DictReader(handle, skipinitialspace=True)
        heading = [column.strip() for column in rows.fieldnames or []]
        rows.fieldnames = heading
        columns = ["r", "g", "b"] if "r" in heading else ["value"]
        if sorted(column for column in heading if column != "name") != sorted([*columns, "train_id"]):
            raise ValueError(
                f"{path}: the heading is {','.join(heading)!r}; it must be value,train_id or r,g,b,train_id, "
                "and perhaps a name"
            )
        entries = []
        for row in rows:
            if None in row:  # a decimal comma, perhaps
                raise ValueError(f"{path}, line {rows.line_num}: more entries than the heading has")
            try:
                entries.append(
                    (f"line {rows.line_num}", tuple(int(row[c]) for c in columns), int(row["train_id"]))
                )
            except (TypeError, ValueError):
                raise ValueError(
                    f"{path}, line {rows.line_num}: a whole number is missing in {row}"
                ) from None
    return entries


def _toml_entries(path: Path) -> list[tuple[str, tuple[int, ...], int]]:
    tables = tomllib.loads(path.read_text(encoding="utf-8")).get("class")
    if not (isinstance(tables, list) and tables and all(isinstance(table, dict) for table in tables)):
        raise ValueError(f"{path} has no [[class]] tables")
    kind, entries = ("color" if "color" in tables[0] else "value"), []
    for number, table in enumerate(tables, 1):
        key = table.get(kind) if kind == "color" else [table.get(kind)]
        numbers = [*key, table.get("train_id")] if isinstance(key, list) else []
        if len(numbers) != (4 if kind == "color" else 2) or any(type(n) is not int for n in numbers):
            raise ValueError(
                f"{path}, class {number}: {kind} and train_id are needed as whole numbers, not {table}"
            )
        if extra := set(table) - {kind, "train_id", "name"}:
            raise ValueError(f"{path}, class {number}: unknown {', '.join(sorted(extra))}")
        entries.append((f"class {number}", tuple(numbers[:-1]), numbers[-1]))
    return entries
