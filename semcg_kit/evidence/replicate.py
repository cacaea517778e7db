"""One seed trained anew on any machine: do its differences lie where the shipped seeds say that another seed's would?"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field
from scipy import stats

from semcg import claims, report
from semcg.config import Config
from semcg.devices import fabric_for
from semcg.protocol import Protocol, Row
from semcg_kit.evidence import measuring, trainings

__all__ = ["Region", "measured", "region", "rows_of"]


class Asked(BaseModel):
    """What a replicate.toml says: ids of rows of the protocol, and the probability that the region has."""

    rows: list[str] = Field(min_length=1)
    confidence: float = Field(gt=0, lt=1)


class Region(NamedTuple):
    """Where the differences of another seed lie with a given probability, if seeds are normal draws (Hotelling's T2)."""

    mean: np.ndarray
    covariance: np.ndarray
    seeds: int
    limit: float

    def distance(self, differences: np.ndarray) -> float:
        """Return the squared distance of one seed's differences from the mean, which `limit` bounds inside the region."""
        off = differences - self.mean
        return float(self.seeds / (self.seeds + 1) * off @ np.linalg.solve(self.covariance, off))


def rows_of(decided: Protocol, path: Path) -> tuple[list[Row], float]:
    """Return the rows named in a replicate.toml, and the probability that its region has."""
    named = report.read_stored(path, Asked)
    rows = {row.id: row for row in decided.rows}
    if unknown := [name for name in named.rows if name not in rows]:
        raise ValueError(f"{path}: the protocol has no row {unknown[0]}; it has {', '.join(rows)}")
    return [rows[name] for name in named.rows], named.confidence


def region(
    measures: pd.DataFrame, decided: Protocol, rows: list[Row], confidence: float, *, without: int
) -> Region:
    """Return the joint prediction region of the rows' differences b - a over the protocol's seeds but one.

    Parameters
    ----------
    measures : DataFrame
        As in `semcg.claims.by_seed`.
    without : int
        The seed that is trained anew, which does not count.

    Raises
    ------
    ValueError
        If too few seeds were measured for so many rows.
    """
    table = {}
    for row in rows:
        a, b = (claims.by_seed(measures, name, row.measure, row.of_class) for name in (row.a, row.b))
        table[row.id] = {s: b[s] - a[s] for s in decided.seeds if s in a and s in b and s != without}
    differences = pd.DataFrame(table).dropna()
    n, k = differences.shape
    if n < k + 2:
        raise ValueError(f"{n} seeds with all of {', '.join(table)}: at least {k + 2} are needed")
    limit = k * (n - 1) / (n - k) * stats.f.ppf(confidence, k, n - k)
    return Region(differences.mean().to_numpy(), differences.cov().to_numpy(), n, float(limit))


def measured(configs: dict[str, Config], rows: list[Row], *, device: str = "auto") -> np.ndarray:
    """Train and measure conditions (name -> config), unless that is done, and return the rows' differences b - a."""
    values = {}
    for name, config in configs.items():
        fabric = fabric_for(device, config.precision)
        trainings.translation(config, fabric)
        values[name] = measuring.measure(config, fabric, condition=name, learns=False)
    keys = [(row.a, row.b, (row.measure, row.of_class)) for row in rows]
    return np.array([values[b][key] - values[a][key] for a, b, key in keys])
