"""The paper's sentences, the comparison that tests each, and the verdict that follows from saved measures.

Nothing here knows a result. A verdict follows from a table of measures (condition, seed, measure, class, value) and
the protocol that was decided before; with both, anybody can compute it again.

Points of the curve over lambda_s may be trained with unlike numbers of seeds. Means over unlike seeds are not comparable:
what a seed brings to every weight would look like an effect of the weight. So whatever compares points uses the seeds that
all of them have.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from semcg import statistics
from semcg.protocol import Margin, Protocol, Row
from semcg.statistics import FAILS, HOLDS


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper and how it is read here."""

    id: str
    words: str
    """Quoted from the paper."""
    section: str
    reading: str
    """What is measured, and what the sentence leaves open."""


CLAIMS = (
    Claim(
        "C1",
        "significant improvements in semantic detail preservation compared to traditional CycleGAN",
        "4",
        "Mean IoU of what an independent judge reads in translated frames, against the source's exact labels.",
    ),
    Claim(
        "C2",
        "significantly improved in the recognition of vehicles, buildings, and road signs",
        "3",
        "Judge IoU of the vehicle category, building and traffic sign; holds only if all three do. The paper names no "
        "comparator; we read: better than CycleGAN.",
    ),
    Claim(
        "C3",
        "Compared with the source domain model, the performance of the model has been significantly improved in "
        "multiple categories, especially in key categories such as 'rider' and 'vehicle'",
        "3",
        "A segmenter trained on translated frames with the source's labels, scored on target frames, against one trained "
        "on the source frames as they are: mean IoU, rider and vehicles; holds only if all three do.",
    ),
    Claim(
        "C4",
        "better preserve the details of buildings and roads",
        "3",
        "F-score of the boundaries of building and road, two pixels of tolerance at 128 rows; holds only if both do.",
    ),
    Claim(
        "C5",
        "maintain the clarity of road markings and license plates",
        "3",
        "Markings that keep their contrast, and plates that a reader reads whole; holds only if both do.",
    ),
    Claim(
        "C6",
        "reducing edge blur when processing complex street scenes",
        "3",
        "Width of the edges along true boundaries. We read: nearer to the oracle's than CycleGAN's.",
    ),
    Claim(
        "C7",
        "without significantly increasing computational demands",
        "1",
        "Time of a training step with the semantic loss over one without, below the protocol's ratio. Inference is "
        "unchanged: the same generator.",
    ),
    Claim(
        "C8",
        "maintaining visual fidelity",
        "Abstract, 4",
        "Kernel distance (KID) of translated frames to target frames on the judge's features: no worse than CycleGAN by "
        "more than a margin.",
    ),
    Claim(
        "C8b",
        "significantly improves the quality of generated images",
        "3",
        "A lower kernel distance than CycleGAN's: the stronger sentence, where C8 asks for no loss.",
    ),
    Claim(
        "C9",
        "fine-tuned to 1, maintaining a balance",
        "2.3",
        "lambda_s = 1 against the other weights, on C1's measure and on C8's.",
    ),
    Claim(
        "C10",
        "effectively preserved the source image structure",
        "2.3",
        "Distance of a frame to itself brought back. Reported without a verdict on semantics: a sky made a building and "
        "brought back as sky costs nothing.",
    ),
)
"""Every sentence that claims something measurable, in the order of the ledger."""

UNMEASURED = {
    "human preference": "no panel of people rated the frames",
    "medical imaging and scientific simulations": "the paper shows none, and there are no such data here",
}
"""What the paper also speaks of, and why it has no row."""


def empty_row(claim: str) -> dict:
    """Return a row of the ledger of which nothing was measured: every column, None where there is no number."""
    columns = ("measure", "class", "condition_a", "condition_b", "better", "smallest_effect")
    columns += ("mean_a", "mean_b", "difference", "low", "high", "p", "detectable", "margin", "seeds")
    row = {"id": claim, "claim": claim, "primary": False} | dict.fromkeys(columns)
    return row | {"left_out": [], "p_holm": None, "verdict": "not measured"}


def by_seed(measures: pd.DataFrame, condition: str, measure: str, of_class: str) -> dict[int | None, float]:
    """Return the values of one condition by seed, None where it needs none; empty if it was not measured.

    Parameters
    ----------
    measures : DataFrame
        Columns condition, seed, measure, class, value: one row per run and measure.
    """
    same = (measures["condition"] == condition) & (measures["measure"] == measure)
    chosen = measures[same & (measures["class"] == of_class)]
    seeds = [None if pd.isna(seed) else int(seed) for seed in chosen["seed"]]
    if twice := {seed for seed in seeds if seeds.count(seed) > 1}:
        where = f"{condition}, {measure}, {of_class}"
        raise ValueError(f"{where}: more than one value at seeds {', '.join(map(str, twice))}")
    return dict(zip(seeds, map(float, chosen["value"]), strict=True))


def values_of(
    measures: pd.DataFrame, condition: str, measure: str, of_class: str, seeds: Sequence[int] | None = None
) -> list[float]:
    """Return the values of one condition: at `seeds` where it has seeds, else the one that needs none."""
    found = by_seed(measures, condition, measure, of_class)
    return [value for seed, value in found.items() if seeds is None or seed is None or seed in seeds]


def protocol_rows(measures: pd.DataFrame, protocol: Protocol) -> list[dict]:
    """Compute the rows of the ledger that the protocol asks for.

    Parameters
    ----------
    measures : DataFrame
        As in `by_seed`. Development seeds are left out, whatever it holds.

    Returns
    -------
    list of dict
        One per row of the protocol: id, claim, primary, measure, class, condition_a, condition_b, the means of both,
        difference = b - a with its interval low..high, p (uncorrected), p_holm (None unless primary), detectable,
        margin, seeds, verdict. Numbers are None where nothing, or only one seed, was measured.
    """
    compared = [_row(measures, row, protocol.seeds, protocol) for row in protocol.rows]
    rows, corrected = [row for row, _ in compared], {}
    for family in (protocol.correction, *protocol.families.values()):
        primary = {row["id"]: row for row in rows if row["primary"] and row["claim"] in family}
        # A row that was not measured enters with 1: leaving it out would make the correction milder for the others.
        p = {name: 1.0 if row["p"] is None else row["p"] for name, row in primary.items()}
        corrected |= statistics.holm(p, {name: row["claim"] for name, row in primary.items()}) if p else {}
    for (row, signed), asked in zip(compared, protocol.rows, strict=True):
        row["p_holm"] = corrected.get(row["id"]) if row["seeds"] >= 2 else None
        if row["seeds"] == 0:
            continue
        if signed is None or row["seeds"] < protocol.least_seeds:
            row["verdict"] = statistics.undecided(row["seeds"])
        elif asked.primary:
            of = {"smallest_effect": 0.0 if asked.margin else asked.smallest_effect, "alpha": protocol.alpha}
            row["verdict"] = statistics.verdict(*signed, row["p_holm"], seeds=row["seeds"], **of)
        else:
            row["verdict"] = "no verdict: secondary"
    return rows


def _row(
    measures: pd.DataFrame, row: Row, seeds: Sequence[int], protocol: Protocol
) -> tuple[dict, tuple[float, float] | None]:
    """Return a row without its verdict, and the interval for it; None where there is nothing to compare.

    The numbers of the row are of b - a itself. In the interval a better b is positive, and the margin is added: what b
    may be worse by.
    """
    b = by_seed(measures, row.b, row.measure, row.of_class)
    a = by_seed(measures, row.a, row.measure, row.of_class) if row.bar is None else dict.fromkeys(b, row.bar)
    both = [s for s in seeds if s in a and s in b and math.isfinite(a[s]) and math.isfinite(b[s])]
    asked = {"id", "primary", "measure", "of_class", "better", "smallest_effect"}
    found = empty_row(row.claim) | row.model_dump(include=asked, by_alias=True)
    found |= {"condition_a": row.a or f"{row.bar:g}", "condition_b": row.b, "seeds": len(both)}
    found["left_out"] = sorted({*a, *b} & {*protocol.seeds} - {*both})
    margin = row.margin.value if row.margin else 0.0
    if row.margin and row.margin.of:
        of = by_seed(measures, row.margin.of, row.measure, row.of_class)
        values = [value for seed, value in of.items() if seed in (None, *protocol.seeds)]
        margin = abs(row.margin.share * float(pd.Series(values).mean())) if values else None
    if len(both) < 2 or margin is None:
        return found, None
    a, b = ({seed: values[seed] for seed in both} for values in (a, b))
    found |= statistics.summary(statistics.paired(a, b, better=row.better, margin=margin))
    signed, sign = (found["low"], found["high"]), 1.0 if row.better == "higher" else -1.0
    found["difference"] = sign * (found["difference"] - margin)
    found["low"], found["high"] = sorted(sign * (end - margin) for end in signed)
    found |= {"mean_a": float(np.mean(list(a.values()))), "mean_b": float(np.mean(list(b.values())))}
    return found | {"margin": margin}, signed


def cost_row(rounds: Mapping[str, Sequence[float]] | None, protocol: Protocol) -> dict:
    """Compute the row of the claim about time.

    Parameters
    ----------
    rounds : dict
        Condition -> seconds of one step in each round of one interleaved benchmark, `protocol.cost.a` and `.b` among
        them. None: it was not measured.

    Returns
    -------
    dict
        A row of the ledger: "difference" is the mean ratio b / a of a round, "rounds" their number, "limit" the
        protocol's ratio. `HOLDS` if the interval lies below it, `FAILS` if above. What follows from seeds is None.
    """
    cost = protocol.cost
    found = empty_row(cost.claim) | {"primary": True, "measure": "seconds per step, ratio", "class": "all"}
    found |= {"condition_a": cost.a, "condition_b": cost.b, "better": "lower", "limit": cost.ratio}
    if rounds is None:
        return found
    a, b = (np.asarray(rounds.get(name, ()), float) for name in (cost.a, cost.b))
    if a.shape != b.shape or len(a) < cost.rounds:
        seen = f"rounds of each, not {len(a)} and {len(b)}"
        raise ValueError(f"the protocol asks for {cost.rounds} {seen}: measure them with `semcg cost`")
    ratios = b / a
    low, high = (float(end) for end in statistics.interval(ratios))
    verdict = HOLDS if high < cost.ratio else FAILS if low > cost.ratio else "undecided"
    found |= {"mean_a": float(a.mean()), "mean_b": float(b.mean()), "difference": float(ratios.mean())}
    return found | {"low": low, "high": high, "rounds": len(ratios), "verdict": verdict}


def claim_verdict(rows: Sequence[dict], claim: str) -> str:
    """Return the verdict of a claim from its primary rows: it holds if all do, fails if one does, else it is undecided.

    A claim without primary rows has that of its exploratory ones, as C9, and else "no verdict".
    """
    ours = [row for row in rows if row["claim"] == claim]
    deciding = [row for row in ours if row["primary"]] or [row for row in ours if row.get("exploratory")]
    verdicts = [row["verdict"] for row in deciding]
    if not verdicts:
        return "no verdict"
    if FAILS in verdicts:
        return FAILS
    if all(verdict == HOLDS for verdict in verdicts):
        return HOLDS
    return next((v for v in verdicts if v not in (HOLDS, "undecided")), "undecided")


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
    for an improvement, its smallest effect of interest. "Best" is by the mean on the same seeds: rather too strict.

    Returns
    -------
    list of dict
        Rows of the ledger, never primary, outside Holm's correction, and marked "exploratory": the protocol has no row
        about the curve. Below `protocol.least_seeds` seeds common to all points the verdict is "undecided (n seeds)". The
        claim holds only if both rows do, which needs no correction.
    """
    curve, rows = protocol.curve, []
    for measure in curve.measures:
        points, seeds = _points(measures, protocol, measure)
        asked = next((row for row in protocol.rows if (row.measure, row.of_class) == (measure, "all")), None)
        chosen = points.pop(curve.chosen)
        found = empty_row(curve.claim) | {"id": f"{curve.claim} {measure}", "class": "all"}
        found |= {"measure": measure, "condition_b": curve.chosen, "better": asked and asked.better}
        found |= {"smallest_effect": 0.0, "seeds": len(seeds) if chosen else 0, "exploratory": True}
        found["left_out"] = sorted(set(chosen).union(*points.values()) - set(seeds))
        rows.append(found)
        others = {name: float(np.mean([v[s] for s in seeds])) for name, v in points.items() if v and seeds}
        if asked is None or not (chosen and others):
            continue
        best = (max if asked.better == "higher" else min)(others, key=others.__getitem__)
        own = {name: found[name] for name in ("id", "claim", "primary", "smallest_effect")}
        own |= {"margin": asked.margin or Margin.model_construct(value=asked.smallest_effect)}
        asked = asked.model_copy(update=own | {"a": best, "b": curve.chosen, "bar": None})
        compared, signed = _row(measures, asked, seeds, protocol)
        found |= compared | {"left_out": found["left_out"], "verdict": statistics.undecided(len(seeds))}
        found |= {"mean_a": others[best], "mean_b": float(np.mean([chosen[seed] for seed in seeds]))}
        if signed and len(seeds) >= protocol.least_seeds:
            of = {"smallest_effect": 0.0, "seeds": len(seeds), "alpha": protocol.alpha}
            found["verdict"] = statistics.verdict(*signed, found["p"], **of)
    return rows


def _points(measures: pd.DataFrame, protocol: Protocol, measure: str) -> tuple[dict[str, dict], list[int]]:
    """Return the finite values of each point by reported seed, and the seeds that all measured points have."""
    reported = measures[measures["seed"].isin(protocol.seeds)]
    points = {name: by_seed(reported, name, measure, "all") for name in protocol.curve.points}
    points = {n: {s: v for s, v in values.items() if math.isfinite(v)} for n, values in points.items()}
    there = [values for values in points.values() if values]
    common = [seed for seed in protocol.seeds if there and all(seed in values for values in there)]
    return points, common


def _spread(values: Iterable[float]) -> dict[str, float | int | None]:
    values = list(values)
    return {
        "mean": float(np.mean(values)) if values else None,
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "seeds": len(values),
    }


def ledger(
    measures: pd.DataFrame, protocol: Protocol, rounds: Mapping[str, Sequence[float]] | None = None
) -> list[dict]:
    """Compute the ledger: the protocol's rows, then time, then the weight, then what nothing here can measure.

    Parameters
    ----------
    measures : DataFrame
        As in `by_seed`.
    rounds : dict, optional
        As in `cost_row`; without it the claim about time is "not measured".

    Returns
    -------
    list of dict
        Each with every column of `empty_row`. Those of `UNMEASURED` have a "reason" beside their "not measured".
    """
    rows = protocol_rows(measures, protocol)
    if protocol.cost:
        rows.append(cost_row(rounds, protocol))
    if protocol.curve:
        rows += weight_rows(measures, protocol)
    return rows + [empty_row(what) | {"reason": reason} for what, reason in UNMEASURED.items()]
