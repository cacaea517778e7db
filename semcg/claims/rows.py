"""The comparisons of the protocol, computed from a table of measures: differences, intervals, p and verdicts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from semcg import statistics
from semcg.protocol import Protocol, Row

__all__ = [
    "CLAIMS",
    "Claim",
    "UNMEASURED",
    "blank",
    "claimed",
    "compared",
    "cost_row",
    "finite",
    "ledger",
    "margin_of",
    "overall",
    "series",
    "series_of",
]


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
        "A segmenter trained on translated frames with the source's labels, scored on target frames, against one "
        "trained on the source frames as they are.",
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
        "Licence plates that a reader trained on target plates reads whole, digits of 4.5 pixels or more.",
    ),
    Claim(
        "C6",
        "reducing edge blur when processing complex street scenes",
        "3",
        "Width of the edges along true boundaries, relative to the source's. We read: sharper than CycleGAN.",
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
    "human preference": "nobody was asked",
    "medical imaging and scientific simulations": "the paper shows none, and there are no such data here",
}
"""What the paper also speaks of, and why it has no row."""


def blank(claim: str, *, id: str = "", primary: bool = False, **known: object) -> dict:
    """Return a row of the ledger of which nothing was measured: every column, None where there is no number.

    Parameters
    ----------
    claim, id : str
        The id is the claim's where it is left out.
    known
        Columns that are known, and further ones.
    """
    empty = dict.fromkeys(
        ("measure", "class", "condition_a", "condition_b", "better", "smallest_effect", "mean_a", "mean_b")
        + ("difference", "low", "high", "p", "detectable", "margin", "seeds")
    )
    first = {"id": id or claim, "claim": claim, "primary": primary}
    return first | empty | {"left_out": [], "p_holm": None, "verdict": "not measured"} | known


def series(measures: pd.DataFrame, condition: str, measure: str, of_class: str) -> dict[int, float]:
    """Return the values of one condition by seed; empty if it was not measured.

    Parameters
    ----------
    measures : DataFrame
        Columns condition, seed, measure, class, value: one row per run and measure.
    """
    chosen = _chosen(measures, condition, measure, of_class)
    chosen = chosen[chosen["seed"].notna()]
    if chosen["seed"].duplicated().any():
        twice = sorted(set(chosen["seed"][chosen["seed"].duplicated()]))
        raise ValueError(f"{condition}, {measure}, {of_class}: more than one value at seeds {twice}")
    return dict(zip(chosen["seed"].astype(int), chosen["value"].astype(float), strict=True))


def series_of(
    measures: pd.DataFrame, condition: str, measure: str, of_class: str, seeds: Sequence[int] | None = None
) -> list[float]:
    """Return the values of one condition: at `seeds` where it has seeds, else the one that needs none."""
    chosen = _chosen(measures, condition, measure, of_class)
    if chosen["seed"].notna().any() and seeds is not None:
        chosen = chosen[chosen["seed"].isin(seeds)]
    return [float(value) for value in chosen["value"]]


def finite(values: Mapping[int, float]) -> dict[int, float]:
    """Return those of some values by seed that are numbers."""
    return {seed: value for seed, value in values.items() if math.isfinite(value)}


def _chosen(measures: pd.DataFrame, condition: str, measure: str, of_class: str) -> pd.DataFrame:
    same = measures["condition"] == condition
    return measures[same & (measures["measure"] == measure) & (measures["class"] == of_class)]


def ledger(measures: pd.DataFrame, protocol: Protocol) -> list[dict]:
    """Compute every row of the ledger.

    Parameters
    ----------
    measures : DataFrame
        As in `series`. Development seeds are left out, whatever it holds.

    Returns
    -------
    list of dict
        One per row of the protocol: id, claim, primary, measure, class, condition_a, condition_b, the means of both,
        difference = b - a with its interval low..high, p (uncorrected), p_holm (None unless primary), detectable,
        margin, seeds, verdict. Numbers are None where nothing, or only one seed, was measured.
    """
    margins = [margin_of(measures, row) for row in protocol.rows]
    measures = measures[measures["seed"].isin(protocol.seeds)]
    rows = [_row(measures, row, margin, protocol) for row, margin in zip(protocol.rows, margins, strict=True)]
    primary = [row for row in rows if row["primary"] and row["claim"] in protocol.correction]
    # A row that was not measured enters with 1: leaving it out would make the correction milder for the others.
    p = {row["id"]: 1.0 if row["p"] is None else row["p"] for row in primary}
    corrected = statistics.holm(p, {row["id"]: row["claim"] for row in primary}) if p else {}
    for row, asked in zip(rows, protocol.rows, strict=True):
        row["p_holm"] = corrected.get(row["id"]) if row["seeds"] >= 2 else None
        row["verdict"] = _verdict(row, asked, protocol)
    return rows


def _row(measures: pd.DataFrame, row: Row, margin: float | None, protocol: Protocol) -> dict:
    a, b = (series(measures, name, row.measure, row.of_class) for name in (row.a, row.b))
    both = [seed for seed in protocol.seeds if seed in finite(a) and seed in finite(b)]
    found = blank(
        row.claim,
        id=row.id,
        primary=row.primary,
        **{"measure": row.measure, "class": row.of_class, "condition_a": row.a, "condition_b": row.b},
        better=row.better,
        smallest_effect=row.smallest_effect,
        seeds=len(both),
        left_out=sorted((set(a) | set(b)) - set(both)),
    )
    if len(both) < 2 or margin is None:
        return found
    a, b = ({seed: values[seed] for seed in both} for values in (a, b))
    return found | compared(a, b, better=row.better, margin=margin)


def compared(a: Mapping[int, float], b: Mapping[int, float], *, better: str, margin: float) -> dict:
    """Return the numbers of a row, b against a at the same two seeds or more; "low" and "high" are of b - a itself."""
    of = statistics.summary(statistics.paired(a, b, better=better, margin=margin))
    sign = 1.0 if better == "higher" else -1.0
    ends = sorted(sign * (of[end] - margin) for end in ("low", "high"))
    return {
        "mean_a": float(np.mean(list(a.values()))),
        "mean_b": float(np.mean(list(b.values()))),
        "difference": sign * (of["difference"] - margin),
        "low": ends[0],
        "high": ends[1],
        "p": of["p"],
        "detectable": of["detectable"],
        "margin": margin,
    }


def claimed(row: Mapping) -> tuple[float, float]:
    """Return the interval of a row as the claim sees it: its direction positive, its margin added."""
    sign = 1.0 if row["better"] == "higher" else -1.0
    low, high = sorted(sign * row[end] + row["margin"] for end in ("low", "high"))
    return low, high


def margin_of(measures: pd.DataFrame, row: Row) -> float | None:
    """Return what `b` may be worse by; None where what it is a share of was not measured."""
    if row.margin is None:
        return 0.0
    values = _chosen(measures, row.margin.of, row.measure, row.of_class)["value"]
    return abs(row.margin.share * float(values.mean())) if len(values) else None


def _verdict(found: dict, row: Row, protocol: Protocol) -> str:
    if found["difference"] is None:
        return "not measured" if found["seeds"] == 0 else f"undecided ({found['seeds']} seeds)"
    if found["seeds"] < protocol.least_seeds:
        return f"undecided ({found['seeds']} seeds)"
    if not row.primary:
        return "no verdict: secondary"
    low, high = claimed(found)
    effect = 0.0 if row.margin else row.smallest_effect
    return statistics.verdict(
        low, high, found["p_holm"], smallest_effect=effect, seeds=found["seeds"], alpha=protocol.alpha
    )


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
        As a row of `ledger`, with "difference" the mean ratio b / a of a round and its interval, "rounds" their number
        and "limit" the protocol's ratio. "confirmed" if the interval lies below it, "refuted" if it lies above, else
        "undecided". Its replicates are rounds, so that seeds, p and what else follows from seeds are None.
    """
    cost = protocol.cost
    found = blank(
        cost.claim,
        primary=True,
        measure="seconds per step, ratio",
        **{"class": "all", "condition_a": cost.a, "condition_b": cost.b, "better": "lower"},
        limit=cost.ratio,
    )
    if rounds is None:
        return found
    a, b = (np.asarray(rounds[name], float) for name in (cost.a, cost.b))
    if a.shape != b.shape or len(a) < cost.rounds:
        raise ValueError(f"the protocol asks for {cost.rounds} rounds of each, not {len(a)} and {len(b)}")
    ratios = b / a
    low, high = (float(end) for end in statistics.interval(ratios))
    return found | {
        "mean_a": float(a.mean()),
        "mean_b": float(b.mean()),
        "difference": float(ratios.mean()),
        "low": low,
        "high": high,
        "rounds": len(ratios),
        "verdict": "confirmed" if high < cost.ratio else "refuted" if low > cost.ratio else "undecided",
    }


def overall(rows: Sequence[dict], claim: str) -> str:
    """Return the verdict of a claim from its primary rows: confirmed if all are, refuted if one is, else undecided.

    A claim without primary rows has that of its exploratory ones, as C9, and else "no verdict".
    """
    ours = [row for row in rows if row["claim"] == claim]
    deciding = [row for row in ours if row["primary"]] or [row for row in ours if row.get("exploratory")]
    verdicts = [row["verdict"] for row in deciding]
    if not verdicts:
        return "no verdict"
    if "refuted" in verdicts:
        return "refuted"
    if all(verdict == "confirmed" for verdict in verdicts):
        return "confirmed"
    return next((v for v in verdicts if v not in ("confirmed", "undecided")), "undecided")
