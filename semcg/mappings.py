"""From what label pictures store to train ids: mapping files, the one gate for labels, and what their shares tell."""

import csv
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semcg import labels, pictures
from semcg.labels import CLASSES, IGNORE

__all__ = ["CODINGS", "LABEL_IDS", "Decoded", "Mapping", "decode", "mapping", "shares", "unlikely"]

CODINGS = ("auto", "palette", "gray", "color")
_CLASS_COLORS = np.array([c.color for c in CLASSES], np.int32)
_NEAR = 5  # RGB units by which an editor's palette may miss a class color; no two class colors are within 20
_LARGE = {"road", "building", "vegetation", "terrain", "sky", "car"}
_SMALL = {"pole", "traffic light", "traffic sign", "rider", "train", "motorcycle", "bicycle"}


class Mapping(NamedTuple):
    """From what a label file stores to train ids."""

    name: str
    """Name of the mapping file, for messages."""
    keys: np.ndarray
    """(n,) uint8 values, or (n, 3) uint8 colors."""
    train_ids: np.ndarray
    """(n,) uint8, 0..18 or 255."""

    @property
    def colors(self) -> bool:
        """Whether the keys are colors."""
        return self.keys.ndim == 2


_TRAIN_IDS = Mapping("train ids", *[np.array([*range(len(CLASSES)), IGNORE], np.uint8)] * 2)
_IDS = np.array([*range(35), 255], np.uint8)
LABEL_IDS = Mapping("label ids", _IDS, labels.to_train_ids(_IDS))
"""The label ids of Cityscapes and GTA5: 0..34, and 255 for -1."""


class Decoded(NamedTuple):
    """A label picture as train ids."""

    train_ids: np.ndarray
    """(H, W) uint8, 0..18 or 255."""
    ignored: int
    """Pixels whose color is none of the mapping's; they are 255."""
    example: tuple[int, ...]
    """The most frequent such color; () if there is none."""


def decode(
    kept: pictures.Stored,
    to_train_ids: Mapping | None = None,
    *,
    coding: str = "auto",
    max_color_distance: float = 30.0,
    name: Path | str = "the label",
) -> Decoded:
    """Turn what a label picture stores into train ids.

    Parameters
    ----------
    kept : Stored
        From `pictures.stored`.
    to_train_ids : Mapping, optional
        Without one the picture holds train ids.
    coding : str
        What the picture should store: "palette", "gray", "color"; "auto": color if the mapping has colors, else either
        of the others. A palette picture is also taken for one of its colors.
    max_color_distance : float
        In a JPEG: Euclidean distance in RGB up to which a pixel gets the nearest color of the mapping. In a PNG, whose
        colors are exact, none but the mapping's own are taken. Other pixels are ignored, and counted; with 0 any of
        them is an error.
    name : path
        What messages call the picture.

    Raises
    ------
    ValueError
        If the picture is of another coding, holds a value that is not in the mapping (named with its share of the
        pixels), has more than half of its pixels in colors that are not, or a palette whose colors contradict the
        classes of its indices.
    """
    if coding not in CODINGS:
        raise ValueError(f"coding is one of {', '.join(CODINGS)}, not {coding!r}")
    if not 0 <= max_color_distance < float("inf"):
        raise ValueError(f"max_color_distance = {max_color_distance}: a distance is 0 or more, and finite")
    by_color = to_train_ids is not None and to_train_ids.colors
    if coding != "auto" and by_color != (coding == "color"):
        has = "no mapping" if to_train_ids is None else f"{to_train_ids.name} with {_unit(by_color)}"
        raise ValueError(f"coding {coding!r} needs a mapping with {_unit(not by_color)}, but there is {has}")
    if (by_color and kept.kind == "gray") or (not by_color and kept.kind == "color"):
        needed = f"{_unit(by_color)} of {to_train_ids.name}" if to_train_ids else "train ids"
        raise ValueError(f"{name} is a {kept.kind} picture, and should hold {needed}")
    if coding in ("palette", "gray") and coding != kept.kind:
        raise ValueError(f"{name} is a {kept.kind} picture, and should be a {coding} one")
    if by_color:
        colors = kept.values if kept.palette is None else kept.palette[kept.values]
        return _by_color(colors, to_train_ids, max_color_distance, exact=kept.lossless, name=name)
    chosen = to_train_ids or _TRAIN_IDS
    table = np.full(256, -1, np.int16)
    table[chosen.keys] = chosen.train_ids
    train_ids = table[kept.values]
    if kept.palette is not None:
        _check_palette(kept, table, name)
    if (train_ids < 0).any():
        unknown = [
            f"{v} ({(kept.values == v).mean():.2%} of its pixels)"
            for v in np.unique(kept.values[train_ids < 0])
        ]
        where = f"not in {chosen.name}" if to_train_ids else "no train id, and there is no mapping"
        raise ValueError(f"{name} holds values that are {where}: {', '.join(unknown[:5])}")
    return Decoded(train_ids.astype(np.uint8), 0, ())


def mapping(path: Path | str) -> Mapping:
    """Read the file that maps what labels store to train ids.

    CSV with the heading `value,train_id` or `r,g,b,train_id`, or TOML with `[[class]]` tables that hold
    `value = 7` or `color = [128, 64, 128]`, and `train_id = 0`. A `name` may be added. Semicolons and tabs are read
    like commas, headings in any case, with or without a byte order mark.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not as described, a number is out of range, or a value is given twice; with file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no mapping file {path}")
    if path.suffix.lower() not in {".csv", ".toml"}:
        raise ValueError(f"{path}: a mapping file is .csv or .toml")
    entries = (_toml_entries if path.suffix.lower() == ".toml" else _csv_entries)(path, _text(path))
    seen: dict[tuple[int, ...], int] = {}
    for where, key, train_id in entries:
        shown = key if len(key) > 1 else key[0]
        if any(not 0 <= part <= 255 for part in key):
            raise ValueError(f"{path}, {where}: values and colors are 0..255, not {shown}")
        if not (0 <= train_id < len(CLASSES) or train_id == IGNORE):
            raise ValueError(
                f"{path}, {where}: train ids are 0..{len(CLASSES) - 1}, or {IGNORE} for ignored, not {train_id}"
            )
        if key in seen:
            raise ValueError(f"{path}, {where}: {shown} is given twice")
        seen[key] = train_id
    if not seen:
        raise ValueError(f"{path} maps nothing")
    keys = np.array(list(seen), np.uint8)
    return Mapping(
        path.name, keys[:, 0] if keys.shape[1] == 1 else keys, np.array([*seen.values()], np.uint8)
    )


def shares(counts: np.ndarray) -> dict[str, float]:
    """Return the share of each class that occurs, largest first, and "ignored" at the end.

    Parameters
    ----------
    counts : (256,) int
        Pixels by train id.
    """
    total = max(int(counts.sum()), 1)
    order = sorted(range(len(CLASSES)), key=lambda i: -counts[i])
    present = {CLASSES[i].name: counts[i] / total for i in order if counts[i]}
    present |= {"ignored": counts[IGNORE] / total} if counts[IGNORE] else {}
    return {name: round(float(share), 4) for name, share in present.items()}


def unlikely(counts: np.ndarray) -> str:
    """Return what is implausible for streets in the shares of the classes, "" for nothing; parameters as `shares`."""
    classes = shares(np.where(np.arange(256) == IGNORE, 0, counts))
    largest = next(iter(classes), "")
    told = [f"{largest} is the largest class"] if classes and largest not in _LARGE else []
    told += [f"{name} has {classes[name]:.0%}" for name in classes if name in _SMALL and classes[name] > 0.15]
    return ", ".join(told)


def _unit(by_color: bool) -> str:
    return "colors" if by_color else "values"


def _check_palette(kept: pictures.Stored, table: np.ndarray, name: Path | str) -> None:
    """Refuse a palette in which an index has the color of another class than the one that it is taken for.

    Editors that save with few colors number them anew, and the index, which counts here, then means nothing.
    """
    wrong, ignored = [], []
    for index in np.unique(kept.values):
        color = kept.palette[index].astype(np.int32)
        distances = np.abs(_CLASS_COLORS - color).max(1)
        other, gray_ramp = int(distances.argmin()), (color == index).all()  # a ramp says nothing
        if distances[other] <= _NEAR and not gray_ramp and table[index] != other:
            (ignored if table[index] == IGNORE else wrong).append((index, other, tuple(color.tolist())))
    # Pole groups and license plates, which are ignored, have the colors of poles and cars by their publishers.
    for index, other, color in wrong or (ignored if len(ignored) > 2 else []):
        taken = (
            "ignored"
            if table[index] == IGNORE
            else CLASSES[table[index]].name
            if table[index] >= 0
            else "no class"
        )
        raise ValueError(
            f"{name} has a palette with the color of {CLASSES[other].name} {color} at index {index}, which is taken for "
            f"{taken}: an editor numbered the colors anew, or a mapping is missing. Save it as RGB and map its colors, or "
            "give a mapping of its indices"
        )


def _by_color(colors: np.ndarray, to: Mapping, limit: float, *, exact: bool, name: Path | str) -> Decoded:
    # A JPEG has some ten thousand colors: distances are taken once per color, and colors listed without sorting.
    packed = colors.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    index = np.full(1 << 24, -1, np.int32)
    index[packed] = 0
    unique = np.flatnonzero(index == 0)
    index[unique] = np.arange(len(unique))
    back = index[packed]
    counts = np.bincount(back.ravel(), minlength=len(unique))
    seen = np.stack([unique >> 16, unique >> 8 & 255, unique & 255], 1).astype(np.int32)
    nearest, squares = np.empty(len(seen), int), np.empty(len(seen), int)
    for start in range(0, len(seen), 2**16):
        apart = ((seen[start : start + 2**16, None] - to.keys.astype(np.int32)) ** 2).sum(2)
        nearest[start : start + 2**16], squares[start : start + 2**16] = apart.argmin(1), apart.min(1)
    far = squares > (0 if exact else limit**2)
    train_ids = np.where(far, IGNORE, to.train_ids[nearest]).astype(np.uint8)[back]
    if not far.any():
        return Decoded(train_ids, 0, ())
    ignored, worst = int(counts[far].sum()), int((counts * far).argmax())
    share, example = ignored / back.size, tuple(seen[worst].tolist())
    if share > (0.5 if limit > 0 else 0.0):
        apart = "are not exactly" if exact else f"are further than {limit:g} from"
        raise ValueError(
            f"{name}: {share:.2%} of its pixels {apart} a color of {to.name}, the most frequent being {example} "
            f"({counts[worst] / back.size:.2%})"
        )
    return Decoded(train_ids, ignored, example)


def _text(path: Path) -> str:
    """Return the text of a file that people write, whatever their editor puts around it."""
    content = pictures.read(path)
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{path} is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: cannot be read, it is not UTF-8") from None


def _csv_entries(path: Path, text: str) -> list[tuple[str, tuple[int, ...], int]]:
    heading = next((line for line in text.splitlines() if line.strip()), "")
    rows = csv.reader(text.splitlines(), delimiter=max(",;\t", key=heading.count), strict=True)
    columns, wanted, entries = [], [], []
    try:
        for row in rows:
            row, where = [entry.strip() for entry in row], f"line {rows.line_num}"
            if not any(row):
                continue
            if not columns:
                columns = [entry.lower() for entry in row]
                wanted = [*(["r", "g", "b"] if "r" in columns else ["value"]), "train_id"]
                if sorted(set(columns) - {"name"}) != sorted(wanted) or len(set(columns)) != len(columns):
                    break
                continue
            if len(row) > len(columns):  # a decimal comma, perhaps
                raise ValueError(f"{path}, {where}: more entries than the heading has")
            entry = dict(zip(columns, row, strict=False))
            try:
                *key, train_id = (int(entry[name]) for name in wanted)
            except (KeyError, ValueError):
                raise ValueError(f"{path}, {where}: an integer is missing in {row}") from None
            entries.append((where, tuple(key), train_id))
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: cannot be read: {error}") from None
    if sorted(set(columns) - {"name"}) != sorted(wanted) or not columns or len(set(columns)) != len(columns):
        raise ValueError(
            f"{path}: the heading is {heading!r}; it must be value,train_id or r,g,b,train_id, and perhaps a name"
        )
    return entries


def _toml_entries(path: Path, text: str) -> list[tuple[str, tuple[int, ...], int]]:
    try:
        tables = {key.lower(): value for key, value in tomllib.loads(text).items()}.get("class")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not (isinstance(tables, list) and tables and all(isinstance(table, dict) for table in tables)):
        raise ValueError(f"{path} has no [[class]] tables")
    tables = [{key.lower(): value for key, value in table.items()} for table in tables]
    starts = [re.findall(r"(?i)\[\[\s*class\s*\]\]|\{", line.split("#")[0]) for line in text.splitlines()]
    lines = [number for number, tables in enumerate(starts, 1) for _ in tables]
    kind, entries = ("color" if "color" in tables[0] else "value"), []
    for number, table in enumerate(tables, 1):
        where = f"class {number}" + (f" (line {lines[number - 1]})" if len(lines) == len(tables) else "")
        key = table.get(kind) if kind == "color" else [table.get(kind)]
        numbers = [*key, table.get("train_id")] if isinstance(key, list) else []
        if len(numbers) != (4 if kind == "color" else 2) or any(type(n) is not int for n in numbers):
            raise ValueError(f"{path}, {where}: {kind} and train_id are needed as integers, not {table}")
        if extra := set(table) - {kind, "train_id", "name"}:
            raise ValueError(f"{path}, {where}: unknown {', '.join(sorted(extra))}")
        entries.append((where, tuple(numbers[:-1]), numbers[-1]))
    return entries
