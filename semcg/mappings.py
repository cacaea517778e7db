"""From what label pictures store to train ids: mapping files, the one gate for labels, and what their shares tell."""

import csv
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semcg import labels, pictures
from semcg.labels import CLASSES, IGNORE

_CLASS_COLORS = np.array([c.color for c in CLASSES], np.int32)
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,9})\s*")  # int() takes 1_0 and the digits of any script too
_NEAR = 5  # RGB units by which an editor's palette may miss a class color; no two class colors are within 20
_LARGE = {"road", "building", "vegetation", "terrain", "sky", "car"}
_SMALL = {"pole", "traffic light", "traffic sign", "rider", "train", "motorcycle", "bicycle"}


class Mapping(NamedTuple):
    """From what a label file stores to train ids."""

    name: str  # name of the mapping file, for messages
    keys: np.ndarray  # (n,) uint8 values, or (n, 3) uint8 colors
    train_ids: np.ndarray  # (n,) uint8, 0..18 or 255

    @property
    def colors(self) -> bool:
        """Whether the keys are colors."""
        return self.keys.ndim == 2


_TRAIN_IDS = Mapping("train ids", *[np.array([*range(len(CLASSES)), IGNORE], np.uint8)] * 2)
_IDS = np.array([*range(35), 255], np.uint8)
# The label ids of Cityscapes and GTA5: 0..34, and 255 for -1.
LABEL_IDS = Mapping("label ids", _IDS, labels.to_train_ids(_IDS))


class Decoded(NamedTuple):
    """A label picture as train ids."""

    train_ids: np.ndarray  # (H, W) uint8, 0..18 or 255
    ignored: int  # pixels whose color is none of the mapping's; they are 255
    example: tuple[int, ...]  # the most frequent such color; () if there is none


def decode(
    stored: pictures.Stored,
    to_train_ids: Mapping | None = None,
    *,
    max_color_distance: float = 30.0,
    name: Path | str = "the label",
) -> Decoded:
    """Turn what a label picture stores into train ids.

    Parameters
    ----------
    stored : Stored
        From `pictures.stored`.
    to_train_ids : Mapping, optional
        Without one the picture holds train ids. A palette picture is taken for one of colors where the mapping has colors.
    max_color_distance : float
        In a JPEG: Euclidean distance in RGB up to which a pixel gets the nearest color of the mapping. In a PNG, whose
        colors are exact, none but the mapping's own are taken. Other pixels are ignored, and counted; with 0 any of
        them is an error.
    name : path
        What messages call the picture.

    Raises
    ------
    ValueError
        If the picture stores colors where the mapping has values, or grays where it has colors; if it holds a value that
        is not in the mapping (named with its share of the pixels), has more than half of its pixels in colors that are
        not, or a palette whose colors contradict the classes of its indices.
    """
    by_color = to_train_ids is not None and to_train_ids.colors
    if stored.kind == ("gray" if by_color else "color"):
        unit = "colors" if by_color else "values"
        needed = f"{unit} of {to_train_ids.name}" if to_train_ids else "train ids"
        raise ValueError(f"{name} is a {stored.kind} picture, and should hold {needed}")
    if by_color:
        colors = stored.values if stored.palette is None else stored.palette[stored.values]
        return _by_color(colors, to_train_ids, max_color_distance, exact=stored.lossless, name=name)
    chosen = to_train_ids or _TRAIN_IDS
    table = np.full(256, -1, np.int16)
    table[chosen.keys] = chosen.train_ids
    train_ids = table[stored.values]
    if stored.palette is not None:
        _check_palette(stored, table, name)
    if len(unknown := np.unique(stored.values[train_ids < 0])):
        values = ", ".join(f"{v} ({(stored.values == v).mean():.2%} of its pixels)" for v in unknown[:5])
        where = f"not in {chosen.name}" if to_train_ids else "no train id, and there is no mapping"
        raise ValueError(f"{name} holds values that are {where}: {values}")
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
    readers = {".csv": _csv_entries, ".toml": _toml_entries}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: a mapping file is .csv or .toml")
    entries = readers[path.suffix.lower()](path, _text(path))
    seen: dict[tuple[int, ...], int] = {}
    for where, key, train_id in entries:
        shown = key if len(key) > 1 else key[0]
        if any(not 0 <= part <= 255 for part in key):
            raise ValueError(f"{path}, {where}: values and colors are 0..255, not {shown}")
        if not (0 <= train_id < len(CLASSES) or train_id == IGNORE):
            raise ValueError(f"{path}, {where}: train ids are 0..18, or {IGNORE} for ignored, not {train_id}")
        if key in seen:
            raise ValueError(f"{path}, {where}: {shown} is given twice")
        seen[key] = train_id
    if not seen:
        raise ValueError(f"{path} maps nothing")
    keys = np.array(list(seen), np.uint8)
    keys = keys[:, 0] if keys.shape[1] == 1 else keys
    return Mapping(path.name, keys, np.array([*seen.values()], np.uint8))


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


def _check_palette(stored: pictures.Stored, table: np.ndarray, name: Path | str) -> None:
    """Refuse a palette in which an index has the color of another class than the one that it is taken for.

    Editors that save with few colors number them anew, and the index, which counts here, then means nothing.
    """
    wrong, ignored = [], []
    for index in np.unique(stored.values):
        color = stored.palette[index].astype(np.int32)
        distances = np.abs(_CLASS_COLORS - color).max(1)
        other, gray_ramp = int(distances.argmin()), (color == index).all()  # a ramp says nothing
        if distances[other] <= _NEAR and not gray_ramp and table[index] != other:
            (ignored if table[index] == IGNORE else wrong).append((index, other, tuple(color.tolist())))
    # Pole groups and license plates, which are ignored, have the colors of poles and cars by their publishers.
    if wrong or len(ignored) > 2:
        index, other, color = (wrong + ignored)[0]
        taken = {IGNORE: "ignored", -1: "no class"}.get(table[index]) or CLASSES[table[index]].name
        what = f"the color of {CLASSES[other].name} {color} at index {index}, which is taken for {taken}"
        advice = "Save it as RGB and map its colors, or give a mapping of its indices"
        why = "an editor numbered the colors anew, or a mapping is missing"
        raise ValueError(f"{name} has a palette with {what}: {why}. {advice}")


def _by_color(colors: np.ndarray, to: Mapping, limit: float, *, exact: bool, name: Path | str) -> Decoded:
    # A JPEG has some ten thousand colors: distances are taken once per color, and colors listed without sorting.
    packed = colors.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    counts = np.bincount(packed.ravel(), minlength=1 << 24)
    unique = np.flatnonzero(counts)
    counts = counts[unique]
    seen = np.stack([unique >> 16, unique >> 8 & 255, unique & 255], 1)
    nearest, squares = np.zeros(len(seen), int), np.full(len(seen), np.inf)
    for k, key in enumerate(to.keys.astype(int)):
        apart = ((seen - key) ** 2).sum(1)
        closer = apart < squares
        nearest[closer], squares[closer] = k, apart[closer]
    far = squares > (0 if exact else limit**2)
    table = np.full(1 << 24, IGNORE, np.uint8)
    table[unique] = np.where(far, IGNORE, to.train_ids[nearest])
    train_ids = table[packed]
    if not far.any():
        return Decoded(train_ids, 0, ())
    ignored, worst = int(counts[far].sum()), int((counts * far).argmax())
    share, example = ignored / packed.size, tuple(seen[worst].tolist())
    if share > (0.5 if limit > 0 else 0.0):
        apart = "are not exactly" if exact else f"are further than {limit:g} from"
        frequent = f"the most frequent being {example} ({counts[worst] / packed.size:.2%})"
        raise ValueError(f"{name}: {share:.2%} of its pixels {apart} a color of {to.name}, {frequent}")
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


Entry = tuple[str, tuple[int, ...], int]  # where it is in the file, its value or color, and its train id


def _csv_entries(path: Path, text: str) -> Iterator[Entry]:
    lines = text.splitlines()
    heading = next((line for line in lines if line.strip()), "")
    rows = csv.reader(lines, delimiter=max(",;\t", key=heading.count), strict=True)
    try:
        filled = (row for row in rows if any(entry.strip() for entry in row))
        columns = [name.strip().lower() for name in next(filled, [])]
        wanted = [*(["r", "g", "b"] if "r" in columns else ["value"]), "train_id"]
        if sorted(name for name in columns if name != "name") != sorted(wanted):
            must = "it must be value,train_id or r,g,b,train_id, and perhaps a name"
            raise ValueError(f"{path}: the heading is {heading!r}; {must}")
        for row in filled:
            where = f"line {rows.line_num}"
            if len(row) > len(columns):  # a decimal comma, perhaps
                raise ValueError(f"{path}, {where}: more entries than the heading has")
            entry = dict(zip(columns, row, strict=False))
            try:
                *key, train_id = (int(_NUMBER.fullmatch(entry[name])[1]) for name in wanted)
            except (KeyError, TypeError):
                raise ValueError(f"{path}, {where}: an integer is missing in {row}") from None
            yield where, tuple(key), train_id
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: cannot be read: {error}") from None


def _toml_entries(path: Path, text: str) -> Iterator[Entry]:
    try:
        tables = _lower(tomllib.loads(text)).get("class")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not (isinstance(tables, list) and tables and all(isinstance(table, dict) for table in tables)):
        raise ValueError(f"{path} has no [[class]] tables")
    kind = "color" if "color" in _lower(tables[0]) else "value"
    for number, table in enumerate(map(_lower, tables), 1):
        key = table.get(kind) if kind == "color" else [table.get(kind)]
        numbers = [*key, table.get("train_id")] if isinstance(key, list) else []
        if len(numbers) != (4 if kind == "color" else 2) or any(type(n) is not int for n in numbers):
            raise ValueError(f"{path}, class {number}: {kind} and train_id are integers, not {table}")
        if extra := set(table) - {kind, "train_id", "name"}:
            raise ValueError(f"{path}, class {number}: unknown {', '.join(sorted(extra))}")
        yield f"class {number}", tuple(numbers[:-1]), numbers[-1]


def _lower(table: dict[str, object]) -> dict[str, object]:
    return {key.lower(): value for key, value in table.items()}
