"""The claim about the weight of the semantic loss: measures over lambda_s, and the chosen weight against the best other.

Points of a curve may be trained with unlike numbers of seeds. Means over unlike seeds are not comparable: what a seed
brings to every weight would look like an effect of the weight. So whatever compares points uses the seeds that all of
them have.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from semcg import statistics
from semcg.claims.rows import (
    UNMEASURED,
    blank,
    claimed,
    compared,
    cost_row,
    finite,
    ledger,
    margin_of,
    series,
)
from semcg.protocol import Protocol

__all__ = ["curve_rows", "weight_rows", "whole"]


def whole(
    measures: pd.DataFrame, protocol: Protocol, rounds: Mapping[str, Sequence[float]] | None = None
) -> list[dict]:
    """Compute the ledger: the protocol's rows, then time, then the weight, then what nothing here can measure.

    Parameters
    ----------
    measures : DataFrame
        As in `series`.
    rounds : dict, optional
        As in `cost_row`; without it the claim about time is "not measured".

    Returns
    -------
    list of dict
        Each with every column of `blank`. Those of `UNMEASURED` have a "reason" beside their "not measured".
    """
    rows = ledger(measures, protocol)
    if protocol.cost:
        rows.append(cost_row(rounds, protocol))
    if protocol.curve:
        rows += weight_rows(measures, protocol)
    return rows + [blank(what, reason=reason) for what, reason in UNMEASURED.items()]


def curve_rows(measures: pd.DataFrame, protocol: Protocol) -> list[dict]:
    """Return the curve over lambda_s: a row for each measure and weight.

    A verdict on the chosen weight needs `protocol.least_seeds` common to all points: `weight_rows`.

    Returns
    -------
    list of dict
        "measure", "weight", "condition"; "mean" and "sd" over the "seeds" (how many) that all measured points have in
        common; "mean_all", "sd_all" and "seeds_all" over whatever seeds this point has, which are not to be compared
        with another point's. A mean without a seed and a deviation of one are None.
    """
    rows = []
    for measure in protocol.curve.measures:
        points, common = _points(measures, protocol, measure)
        for name, weight in zip(protocol.curve.points, protocol.curve.weights, strict=True):
            values = points[name]
            alike = _spread([values[seed] for seed in common] if values else [])
            every = {f"{key}_all": value for key, value in _spread(values.values()).items()}
            rows.append({"measure": measure, "weight": weight, "condition": name, **alike, **every})
    return rows


def weight_rows(measures: pd.DataFrame, protocol: Protocol) -> list[dict]:
    """Return whether the chosen weight is no worse than the best other one, a row for each measure of the curve.

    Direction and margin are those of the protocol's first row of the same measure: its margin, or, where that row asks
    for an improvement, its smallest effect of interest. The best other weight is the one with the best mean on the same
    seeds; as it was chosen for that, the comparison is if anything too strict on the chosen weight.

    Returns
    -------
    list of dict
        As rows of `ledger`, never primary, outside Holm's correction, and marked "exploratory": the protocol lists the
        curve among what is measured and no row about it. Below `protocol.least_seeds` seeds common to all points the
        verdict is "undecided (n seeds)". The claim holds only if both rows do, which needs no correction.
    """
    curve, rows = protocol.curve, []
    for measure in curve.measures:
        points, seeds = _points(measures, protocol, measure)
        asked = next((row for row in protocol.rows if (row.measure, row.of_class) == (measure, "all")), None)
        chosen = points.pop(curve.chosen)
        found = blank(
            curve.claim,
            id=f"{curve.claim} {measure}",
            measure=measure,
            **{"class": "all", "condition_b": curve.chosen, "better": asked and asked.better},
            smallest_effect=0.0,
            seeds=len(seeds) if chosen else 0,
            left_out=sorted(set(chosen).union(*points.values()) - set(seeds)),
            exploratory=True,
        )
        rows.append(found)
        others = {name: float(np.mean([v[s] for s in seeds])) for name, v in points.items() if v and seeds}
        if asked is None or not (chosen and others):
            continue
        best = (max if asked.better == "higher" else min)(others, key=others.__getitem__)
        margin = margin_of(measures, asked) if asked.margin else asked.smallest_effect
        found |= {"condition_a": best, "verdict": f"undecided ({len(seeds)} seeds)"}
        if len(seeds) < 2 or margin is None:
            continue
        a, b = ({seed: values[seed] for seed in seeds} for values in (points[best], chosen))
        found |= compared(a, b, better=asked.better, margin=margin)
        if len(seeds) >= protocol.least_seeds:
            low, high = claimed(found)
            found["verdict"] = statistics.verdict(
                low, high, found["p"], smallest_effect=0.0, seeds=len(seeds), alpha=protocol.alpha
            )
    return rows


def _points(
    measures: pd.DataFrame, protocol: Protocol, measure: str
) -> tuple[dict[str, dict[int, float]], list[int]]:
    """Return the values of each point by reported seed, and the seeds that all measured points have."""
    reported = measures[measures["seed"].isin(protocol.seeds)]
    points = {name: finite(series(reported, name, measure, "all")) for name in protocol.curve.points}
    there: list[Mapping[int, float]] = [values for values in points.values() if values]
    common = [seed for seed in protocol.seeds if there and all(seed in values for values in there)]
    return points, common


def _spread(values: Iterable[float]) -> dict[str, float | int | None]:
    values = list(values)
    return {
        "mean": float(np.mean(values)) if values else None,
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "seeds": len(values),
    }
