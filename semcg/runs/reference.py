"""Published numbers, which figures draw beside a run on the same data: `results/reference/published.csv`.

The file holds percent with the decimals that were published. Each row has its source, and a mark: "read" for numbers
read in the source or in a summary of it, "recalled" for numbers from memory, which are to be compared with the source
before anybody quotes them. The class scores of a row can have another mark than its means.
"""

from pathlib import Path

import pandas as pd

from semcg import files
from semcg.labels import names

__all__ = ["PUBLISHED", "published"]

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "reference" / "published.csv"

ABOUT = ("method", "network", "data")
MEANS = ("mIoU", "fwIoU", "pixel accuracy")
MARKS = ("source", "mark", "classes_mark")


def published(path: Path | str | None = None) -> pd.DataFrame:
    """Return the published rows, GTA5 to the 500 validation frames of Cityscapes.

    Parameters
    ----------
    path : path, optional
        Another file of the same columns; by default `PUBLISHED`, or `results/reference/published.csv` in
        `semcg.files.home()` where the package does not lie in its repository.

    Returns
    -------
    DataFrame
        "method", "network", "data"; the IoU of the 19 classes by name, "mIoU", "fwIoU", "pixel accuracy", 0..1, NaN
        where nothing was published; "source", an address; "mark" and "classes_mark", "read" or "recalled".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a column is missing, or a mark is neither; names the file.
    """
    if path is None:
        path = PUBLISHED if PUBLISHED.is_file() else files.home() / "results" / "reference" / "published.csv"
    if not Path(path).is_file():
        raise FileNotFoundError(f"no {path}: the published numbers come with the repository")
    table = pd.read_csv(path, encoding="utf-8")
    scores = [*names(), *MEANS]
    if missing := [c for c in (*ABOUT, *scores, *MARKS) if c not in table.columns]:
        raise ValueError(f"{path} has no column {', '.join(missing)}")
    if wrong := set(table["mark"]) - {"read", "recalled"}:
        raise ValueError(f"{path}: a mark is read or recalled, not {', '.join(map(str, wrong))}")
    table[scores] = table[scores] / 100
    return table
