"""What a measurement consists of, on disk and in memory, every number that follows from it, and the tables of the course.

The parts of a measurement are plain: part -> item -> key -> number or text. They are counts and per-frame sums, not
scores, so that whoever has the file can compute each number anew, or another one.

| part | item | keys |
|---|---|---|
| judge, second judge, Sem_t, downstream | class labeled | class read ("none": outside the classes): pixels |
| judge frames | frame | hits, unions: pixels of each class, 19 numbers in the order of the classes |
| boundary | class | `semcg.edges.COUNTS`: boundary pixels |
| edges | frame | points, measured; source, translated: median sigma in px at the points measured in both; compared, \
oracle, beside oracle: points measured in the translation and in the oracle, median sigma of the oracle and of the \
translation there |
| plates, signs | frame/number | text, read, confidence, digit_px |
| markings | frame | pixels and sums of `marking_sums` |
| grid | frame | peak, around: powers of `semcg.distances.grid_powers` |
| oracle | frame | values, absolute, squared, ssim: sums of differences to the oracle; ssim is the frame's |
| cycle | frame | values, absolute, squared: sums of differences of the frame to itself brought back |
| KID, KID plain | frames, half | all: of all frames; 0, 1, ...: of each random half |

A part that the data do not have is missing, never zero.
"""

import csv
import math
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from semcg import files, metrics
from semcg.distances import psnr
from semcg.edges import COUNTS, boundary_f
from semcg.evaluate.reading import marking_contrast
from semcg.labels import names

Parts = dict[str, dict[str, dict[str, int | float | str]]]
"""Part -> item -> key -> value."""

_PIXELS = {f"{low}-{low + 1}": (low, low + 1) for low in (2.5, 3.5, 4.5, 5.5)}
BINS = {"all": (4.5, math.inf), **_PIXELS, ">= 6.5": (6.5, math.inf)}
"""Class of a reading -> heights of its digits in pixels, from .. below. "all" is what is counted first of all."""
CONFIDENT = 0.9
"""Probability from which a reading counts as confident."""
FEWEST = 10
"""Boundary points that a frame needs for a median of its own."""
HEAD = ("part", "item", "key", "value")
TEXTS = ("text", "read", "hits", "unions")
"""Keys whose values are text: the plate "007" is no number, nor are nineteen numbers."""
OUTSIDE = "none"


def table_part(counts: Tensor) -> dict[str, dict[str, int]]:
    """Return a table of `metrics.confusion` (19, 20) as a part: rows and columns by name, zeros left out."""
    columns = [*names(), OUTSIDE]
    rows = {
        name: {column: n for column, n in zip(columns, row, strict=True) if n}
        for name, row in zip(names(), counts.tolist(), strict=True)
    }
    return {name: row for name, row in rows.items() if row}


def counts_of(parts: Parts, part: str = "judge") -> Tensor:
    """Return the counts (19, 20) int64 of a segmenter's part, as `metrics.confusion` has them."""
    columns = [*names(), OUTSIDE]
    table = torch.zeros(len(names()), len(columns), dtype=torch.int64)
    for name, row in parts[part].items():
        for column, n in row.items():
            table[names().index(name), columns.index(column)] = n
    return table


def frame_part(read: Tensor, label: Tensor) -> dict[str, str]:
    """Return one frame's entry of the part "judge frames" from the classes read and labeled, (H, W)."""
    texts = (" ".join(map(str, n.tolist())) for n in metrics.hits_and_unions(metrics.confusion(read, label)))
    return dict(zip(("hits", "unions"), texts, strict=True))


def frame_counts(parts: Parts) -> tuple[np.ndarray, np.ndarray]:
    """Return the judge's hits and unions of each frame, (frames, 19) int64 each, the frames in their order.

    Summed over any set of frames they give its IoU, and so intervals over frames.
    """
    rows = parts["judge frames"].values()
    hits, unions = (np.array([str(row[key]).split() for row in rows], np.int64) for key in ("hits", "unions"))
    return hits, unions


def contradictions(parts: Parts) -> list[str]:
    """Return what cannot be in the parts of one measurement: counts of the same frames that do not add up."""
    wrong = []
    tables = {name: counts_of(parts, name) for name in ("judge", "second judge", "Sem_t") if name in parts}
    labeled = {name: table.sum(1) for name, table in tables.items()}
    for name, row in labeled.items():
        if not torch.equal(row, labeled[first := next(iter(labeled))]):
            wrong.append(f"{name} and {first} counted other numbers of labeled pixels")
    if "judge frames" in parts:
        for added, counted in zip(frame_counts(parts), metrics.hits_and_unions(tables["judge"]), strict=True):
            if not np.array_equal(added.sum(0), counted):
                return [*wrong, "the judge's frames do not add up to its table"]
    return wrong


def values(parts: Parts) -> dict[tuple[str, str], float]:
    """Compute every number of a measurement from its parts, or from some of them, and from nothing else.

    Returns
    -------
    dict
        (measure, class) -> value; the class is "all" where there is no other. Shares are 0..1, oracle and cycle L1
        0..2, PSNR in dB and infinite for equal frames, KID without a factor. What cannot be computed from these parts
        is missing. NaN: a class that is neither labeled nor read.

        "edge width" is relative to the source's; "edge width off oracle" is the mean over frames of the distance
        between the median widths of translation and oracle, in pixels, so that too sharp counts as too blurred does.
        "KID plain" is KID on features that were trained without added marks of networks. "plates read" counts plates
        of which every digit is read, "plates wrong but confident" those read wrong with a confidence of 0.9 or more;
        both among the plates with digits of 4.5 px and more, or of the class's height.
    """
    found: dict[tuple[str, str], float] = {}
    for judge in ("judge", "second judge", "Sem_t", "downstream"):
        if judge in parts:
            found |= _judged(judge, counts_of(parts, judge))
    if "boundary" in parts:
        rows = {name: [row[key] for key in COUNTS] for name, row in parts["boundary"].items()}
        for name in ("building", "road"):
            found["boundary F", name] = boundary_f(np.array(rows.get(name, [0, 0, 0, 0])))
        found["boundary F", "all"] = boundary_f(np.array(list(rows.values())))
    widths = parts.get("edges", {}).values()
    if ratios := [e["translated"] / e["source"] for e in widths if e["measured"] >= FEWEST]:
        found["edge width", "all"] = float(np.median(ratios))
    if off := [abs(e["beside oracle"] - e["oracle"]) for e in widths if e.get("compared", 0) >= FEWEST]:
        found["edge width off oracle", "all"] = math.fsum(off) / len(off)
    found |= _read("plates", parts.get("plates", {})) | _read("signs", parts.get("signs", {}))
    if "markings" in parts:
        sums = _summed(parts["markings"].values())
        found["marking contrast", "all"] = marking_contrast(sums)
        if "kept" in sums:
            found["markings kept", "all"] = sums["kept"] / sums["markings"]
    if "grid" in parts:
        sums = _summed(parts["grid"].values())
        if sums["around"]:  # frames of one color have neither
            found["grid index", "all"] = sums["peak"] / sums["around"]
    for what in ("oracle", "cycle"):
        if what in parts:
            sums = _summed(parts[what].values())
            found[f"{what} L1", "all"] = sums["absolute"] / sums["values"]
            found[f"{what} PSNR", "all"] = psnr(sums["squared"] / sums["values"])
            if "ssim" in sums:
                found[f"{what} SSIM", "all"] = sums["ssim"] / len(parts[what])
    for what in ("KID", "KID plain"):
        if what in parts:
            found[what, "all"] = parts[what]["frames"]["all"]
            found[f"{what} error", "all"] = float(np.std([*parts[what]["half"].values()], ddof=1))
    return found


def _judged(judge: str, counts: Tensor) -> dict[tuple[str, str], float]:
    found = {(f"{judge} mIoU", "all"): metrics.mean_iou(counts)}
    if judge == "Sem_t":  # inside the loss: shown beside, never class by class
        return found
    found |= {(f"{judge} IoU", n): v for n, v in zip(names(), metrics.iou(counts).tolist(), strict=True)}
    found[f"{judge} IoU", "vehicle (category)"] = metrics.category_iou(counts)["vehicle"]
    if judge == "judge":
        found["pixel accuracy", "all"] = metrics.pixel_accuracy(counts)
        found["sky kept", "all"] = 1 - flip_share(counts, "sky")
        found["sky to building", "all"] = flip_share(counts, "sky", "building")
    return found


def _read(kind: str, boards: Mapping[str, Mapping]) -> dict[tuple[str, str], float]:
    found = {}
    for name, (low, high) in BINS.items():
        if not (chosen := [b for b in boards.values() if low <= b["digit_px"] < high]):
            continue
        right = [b["text"] == b["read"] for b in chosen]
        if kind == "signs":
            found["sign numbers read", name] = sum(right) / len(chosen)
            continue
        digits = [a == b for board in chosen for a, b in zip(board["text"], board["read"], strict=True)]
        sure = [b["confidence"] >= CONFIDENT and not r for b, r in zip(chosen, right, strict=True)]
        found["plates read", name] = sum(right) / len(chosen)
        found["plate digits read", name] = sum(digits) / len(digits)
        found["plates wrong but confident", name] = sum(sure) / len(chosen)
    return found


def _summed(items: Iterable[Mapping]) -> dict[str, float]:
    """Add the values of all items by key; exactly, so that no order of the frames shows."""
    items = list(items)
    return {key: math.fsum(item[key] for item in items) for key in items[0]}


def write_parts(path: Path | str, parts: Parts) -> None:
    """Write the parts of a measurement to a CSV file of the columns part, item, key and value, atomically.

    Whole numbers are written as such, others with all their digits: what `read_parts` returns is equal to `parts`.
    """
    with files.atomic(Path(path)) as partial, open(partial, "w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle, lineterminator="\n")
        rows.writerow(HEAD)
        for part, items in parts.items():
            for item, entries in items.items():
                rows.writerows(
                    (part, item, key, v if key in TEXTS else repr(v)) for key, v in entries.items()
                )


def read_parts(path: Path | zipfile.Path) -> Parts:
    """Return the parts of a measurement from the file that `write_parts` wrote.

    Raises
    ------
    ValueError
        If the file has other columns, a value is no number where it must be one, or an entry stands there twice;
        names the file and the line.
    """
    parts: Parts = {}
    with path.open(newline="", encoding="utf-8") as handle:
        rows = csv.reader(handle)
        try:
            if (head := tuple(next(rows, ()))) != HEAD:
                raise ValueError(f"it has the columns {', '.join(head)}, not {', '.join(HEAD)}")
            for row in rows:
                if len(row) != len(HEAD):
                    raise ValueError(f"it has {len(row)} columns, not {len(HEAD)}")
                part, item, key, written = row
                entries = parts.setdefault(part, {}).setdefault(item, {})
                if key in entries:
                    raise ValueError(f"{part}, {item}, {key} occurs twice")
                number = int if written.lstrip("-").isdecimal() else float
                entries[key] = written if key in TEXTS else number(written)
        except (ValueError, csv.Error) as error:  # also of other bytes than UTF-8, and of what is no number
            raise ValueError(f"{path} line {rows.line_num}: {error}") from None
    return parts


def flip_share(counts: Tensor, source: str = "", to: str = "") -> float:
    """Return the share of pixels that changed their class, 0..1; NaN for a class that no label shows.

    Parameters
    ----------
    counts : (19, 20) int64
    source, to : str
        Pixels that the source labels as this class, "" for all; that are now read as this one, "" for any other.

    Raises
    ------
    ValueError
        For a name that is no class, or a `to` without, or equal to, a `source`.
    """
    if unknown := {source, to} - {"", *names()}:
        raise ValueError(f"no class {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if to and source in ("", to):
        raise ValueError(f'name the other source class whose pixels became "{to}"')
    if not source:
        return 1 - metrics.pixel_accuracy(counts)
    row = metrics.flips(counts)[names().index(source)]
    return float(row[names().index(to)] if to else 1 - row[names().index(source)])


def sky_kept(counts: Tensor) -> float:
    """Return the share of the source's sky that is still read as sky, 0..1: what the layout shift attacks first."""
    return 1 - flip_share(counts, "sky")


def class_table(counts: Mapping[str, Tensor]) -> pd.DataFrame:
    """Return the scores of several conditions class by class.

    Parameters
    ----------
    counts : dict
        Condition -> (19, 20), from `segmentation_counts`.

    Returns
    -------
    DataFrame
        A column per condition; the rows are the IoU of the 19 classes, NaN where neither labeled nor read, the means
        "mIoU" and "fwIoU" (weighted by frequency), "pixel accuracy", "vehicle (category)", all 0..1, and "classes
        present", the number of classes that labels show.
    """
    columns = {}
    for name, table in counts.items():
        columns[name] = dict(zip(names(), metrics.iou(table).tolist(), strict=True)) | {
            "mIoU": metrics.mean_iou(table),
            "fwIoU": metrics.frequency_weighted_iou(table),
            "pixel accuracy": metrics.pixel_accuracy(table),
            "vehicle (category)": metrics.category_iou(table)["vehicle"],
            "classes present": int(metrics.present(table).sum()),
        }
    return pd.DataFrame(columns)


COLUMNS: dict[str, tuple[str, str]] = {
    "judge mIoU": ("judge mIoU", ".3f"),
    "pixel accuracy": ("pixel acc.", ".3f"),
    "sky kept": ("sky kept", ".3f"),
    "sky to building": ("sky to bldg", ".3f"),
    "vehicle IoU": ("vehicle IoU", ".3f"),
    "sign IoU": ("sign IoU", ".3f"),
    "person IoU": ("person IoU", ".3f"),
    "rider IoU": ("rider IoU", ".3f"),
    "L1 to oracle": ("oracle L1", ".3f"),
    "PSNR to oracle": ("oracle PSNR", ".1f"),
    "downstream mIoU": ("downst. mIoU", ".3f"),
    "Sem_t mIoU": ("(Sem_t mIoU)", ".3f"),
    "seconds per step": ("s per step", ".3f"),
}
"""Columns of the comparison: name -> heading of two lines, and how the number is written."""


def judged(counts: Tensor) -> dict[str, float]:
    """Return the eight numbers of the comparison that follow from the judge's counts, by the names of `COLUMNS`."""
    found, shares = _judged("judge", counts), ("judge mIoU", "pixel accuracy", "sky kept", "sky to building")
    classes = {"vehicle IoU": "vehicle (category)", "sign IoU": "traffic sign"}
    classes |= {"person IoU": "person", "rider IoU": "rider"}
    return {name: found[name, "all"] for name in shares} | {
        name: found["judge IoU", of_class] for name, of_class in classes.items()
    }


def comparison_table(rows: Mapping[str, Mapping[str, float | None]]) -> pd.DataFrame:
    """Return the table that the course ends with: a row per condition, the columns of `COLUMNS` in their order.

    Parameters
    ----------
    rows : dict
        Condition -> its measures by column. What is missing or None becomes NaN: not measured, or without meaning.

    Raises
    ------
    ValueError
        For a measure that is no column.
    """
    if unknown := {name for row in rows.values() for name in row} - COLUMNS.keys():
        raise ValueError(f"no column {', '.join(sorted(unknown))}; there are {', '.join(COLUMNS)}")
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=list(COLUMNS)).astype(float)


def comparison_text(
    table: pd.DataFrame, *, size: tuple[int, int], frames: int, notes: Iterable[str] = ()
) -> str:
    """Return the comparison as text of 120 columns at most, with what has to be known to read it below.

    Parameters
    ----------
    table : DataFrame
        From `comparison_table`.
    size, frames : (H, W), int
        At which the frames were scored, and how many.
    notes : iterable of str
        Further lines.
    """
    written = {
        tuple(heading.rsplit(" ", 1)): [format(v, how) if v == v else "-" for v in table[name]]
        for name, (heading, how) in COLUMNS.items()
    }
    below = [
        f"{frames} frames, scored whole at {size[0]}x{size[1]} (height x width); shares and IoU 0..1; L1 of images in "
        "[-1, 1]; PSNR in dB.",
        "(Sem_t mIoU) is circular: Sem_t is inside the semantic loss. - : not measured, or without meaning.",
    ]
    return "\n".join([pd.DataFrame(written, table.index).to_string(sparsify=False), "", *below, *notes, ""])
