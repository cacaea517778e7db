"""The numbers that follow from counts of pixels, and the tables that the course prints."""

from collections.abc import Iterable, Mapping

import pandas as pd
from torch import Tensor

from semcg import metrics
from semcg.labels import names

__all__ = [
    "COLUMNS",
    "class_table",
    "comparison_table",
    "comparison_text",
    "flip_share",
    "flip_table",
    "judged",
    "sky_kept",
]


def class_table(counts: Mapping[str, Tensor]) -> pd.DataFrame:
    """Return the scores of several conditions class by class.

    Parameters
    ----------
    counts : dict
        Condition -> (19, 20), from `segmentation_counts`.

    Returns
    -------
    DataFrame
        A column per condition. Rows: the IoU of the 19 classes, then "mIoU", "fwIoU" (weighted by frequency), "pixel
        accuracy", "vehicle (category)", all 0..1, and "classes present", the number of classes that labels show. NaN:
        neither labelled nor read.
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


def flip_table(counts: Tensor) -> pd.DataFrame:
    """Return the share of each source class (row) that is read as each class (column), 0..1; NaN rows are absent."""
    shares = pd.DataFrame(metrics.flips(counts).numpy(), index=names(), columns=names())
    return shares.rename_axis(index="source", columns="read as")


def flip_share(counts: Tensor, source: str = "", to: str = "") -> float:
    """Return the share of pixels that changed their class, 0..1.

    Parameters
    ----------
    counts : (19, 20) int64
    source : str
        Of the pixels that the source labels as this class; "" means of all, and the share is 1 - pixel accuracy.
    to : str
        That are now read as this class; "" means as any other.

    Raises
    ------
    ValueError
        For a name that is no class, or a `to` without, or equal to, a `source`.
    """
    if unknown := {source, to} - {"", *names()}:
        raise ValueError(f"no class {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if not source:
        if to:
            raise ValueError(f'name the source class whose pixels became "{to}"')
        return 1 - metrics.pixel_accuracy(counts)
    if source == to:
        raise ValueError(f'"{source}" read as itself is no flip')
    row = metrics.flips(counts)[names().index(source)]
    return float(row[names().index(to)] if to else 1 - row[names().index(source)])


def sky_kept(counts: Tensor) -> float:
    """Return the share of the source's sky that is still read as sky, 0..1: what the layout shift attacks first."""
    return 1 - flip_share(counts, "sky")


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
    by_class = dict(zip(names(), metrics.iou(counts).tolist(), strict=True))
    return {
        "judge mIoU": metrics.mean_iou(counts),
        "pixel accuracy": metrics.pixel_accuracy(counts),
        "sky kept": sky_kept(counts),
        "sky to building": flip_share(counts, "sky", "building"),
        "vehicle IoU": metrics.category_iou(counts)["vehicle"],
        "sign IoU": by_class["traffic sign"],
        "person IoU": by_class["person"],
        "rider IoU": by_class["rider"],
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
    size : (H, W)
        At which the frames were scored.
    frames : int
        How many were scored.
    notes : iterable of str
        Further lines.
    """
    cells = [["", *(heading.rpartition(" ")[i] for heading, _ in COLUMNS.values())] for i in (0, 2)]
    for name, row in table.iterrows():
        written = (format(row[c], how) if row[c] == row[c] else "-" for c, (_, how) in COLUMNS.items())
        cells.append([str(name), *written])
    first, *others = ([len(row[k]) for row in cells] for k in range(len(COLUMNS) + 1))
    lines = [
        row[0].ljust(max(first)) + "".join(c.rjust(max(w) + 1) for c, w in zip(row[1:], others, strict=True))
        for row in cells
    ]
    lines.insert(2, "-" * len(lines[0]))
    below = [
        f"{frames} frames, scored whole at {size[0]}x{size[1]} (height x width); shares and IoU 0..1; L1 of images in "
        "[-1, 1]; PSNR in dB.",
        "(Sem_t mIoU) is circular: Sem_t is inside the semantic loss. - : not measured, or without meaning.",
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", *below, *notes]) + "\n"
