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
    """Return the whole rows of a history; one that a kill cut short is left out."""
    with open(path, newline="") as handle:
        rows = csv.DictReader(handle)
        return [
            {k: int(v) if k == "step" else float(v) for k, v in row.items()}
            for row in rows
            if None not in row.values()
        ]
