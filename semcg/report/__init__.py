"""The report: what an evidence folder says of each claim, and beside it; nothing in it is typed by hand."""

from semcg.report.numbers import (
    axis,
    bands,
    closing,
    folder_of,
    forest_rows,
    gain,
    lines,
    pooled,
    pull,
    seeds_counted,
    tables,
    trainings,
)

__all__ = [
    "axis",
    "bands",
    "closing",
    "folder_of",
    "forest_rows",
    "gain",
    "lines",
    "pooled",
    "pull",
    "seeds_counted",
    "tables",
    "trainings",
]
