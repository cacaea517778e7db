"""The history of a training as CSV: one row per step, floats that read back to the same bits."""

import csv
import io
from pathlib import Path

__all__ = ["as_csv", "read_csv"]


def as_csv(records: list[dict], *, header: bool = True) -> str:
    """Return records as CSV text, "" if there are none."""
    text = io.StringIO()
    if records:
        writer = csv.DictWriter(text, records[0].keys(), lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(records)  # floats by repr, which reads back to the same bits
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, float]]:
    """Return the rows of a history up to the first that a kill cut short, or a full disk, or that is no row at all."""
    rows: list[dict[str, float]] = []
    with open(path, newline="") as handle:
        for row in csv.DictReader(handle):
            try:
                rows.append({k: int(v) if k == "step" else float(v) for k, v in row.items()})
            except (TypeError, ValueError):  # too few entries, or those of the next row right behind
                break
    return rows
