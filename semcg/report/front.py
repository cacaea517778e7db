"""The verdicts as the front page of the repository prints them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from semcg import claims
from semcg import config as configs
from semcg.protocol import Protocol
from semcg.report.beside import why
from semcg.report.means import common, seeds_said

__all__ = ["front", "hidden"]


def front(
    ledger: Sequence[Mapping], measures: pd.DataFrame, decided: Protocol, folder: Path | None = None
) -> str:
    """Return the verdicts as a table for the front page: every claim, where the verdicts hold, and what they hide.

    Parameters
    ----------
    ledger, measures, decided
        As `semcg.report.tables` returns them, and the protocol.
    folder : path, optional
        Of the evidence, for what `semcg.report.beside.why` counts.
    """
    said = [
        f"{'row':<4}{'measure':<30}{'identity':>9}{'CycleGAN':>9}{'semantic':>9}{'oracle':>8}{'difference':>12}  "
        f"{'95 % interval':<18}{'p (Holm)':>8}  verdict"
    ]
    lines = [
        (r["claim"], _line(r, measures, decided.seeds)) for r in ledger if r["primary"] or r["id"] == "C10"
    ]
    if decided.curve:
        of_curve = _of_curve(ledger, measures, decided)
        lines.append((decided.curve.claim, f"{decided.curve.claim:<4}{of_curve}"))
    said += [line for _, line in sorted(lines, key=lambda pair: int(pair[0][1:]))]
    seeds = sorted({row["seeds"] for row in ledger if row["primary"] and row.get("seeds")})
    counted = " to ".join(dict.fromkeys(str(n) for n in (seeds[0], seeds[-1]))) if seeds else "0"
    size = "x".join(map(str, configs.make(decided.profile).size))
    said += [
        "",
        f"{counted} of the protocol's {len(decided.seeds)} paired seeds, profile {decided.profile}: {size}, drawn world.",
        "Semantic: our reading of Eq. (4), the mean squared difference of the score maps (the paper says L2-norm, and",
        "neither of what nor squared or not), weight 1. Identity: frames as they are. Oracle: the same street drawn in",
        "the target's style. C7: a ratio of seconds per training step.",
        "A claim with several rows holds only if each row does; p is then the largest of theirs, in all of them.",
        *hidden(ledger, measures),
        *(f"Not measurable here: {what} ({reason})." for what, reason in claims.UNMEASURED.items()),
    ]
    if explained := why(measures, decided, folder):
        said += ["", *explained]
    return "\n".join(said)


def _line(row: Mapping, measures: pd.DataFrame, seeds: Sequence[int]) -> str:
    what = f"{row['measure']}" + ("" if row["class"] == "all" else f", {row['class']}")
    line = f"{row['claim']:<4}{what:<30}"
    identity, oracle = (_end(measures, row, name) for name in ("identity", "oracle"))
    if row["difference"] is None:
        return f"{line}{identity:>9}{'-':>9}{'-':>9}{oracle:>8}{'-':>12}  {'-':<18}{'-':>8}  {row['verdict']}"
    ratio = row.get("rounds")
    difference = f"x {row['difference']:.2f}" if ratio else f"{row['difference']:+.3f}"
    form = ".2f" if ratio else "+.3f"
    ends = f"[{row['low']:{form}}, {row['high']:{form}}]"
    p = "-" if row.get("p_holm") is None else f"{row['p_holm']:.4f}"
    verdict = row["verdict"] if row["primary"] else "reported, no verdict"
    a = row["mean_a"]
    if row["condition_a"] == "identity":  # C3, whose comparator stands in its own column
        plain = claims.series_of(measures, "CycleGAN", row["measure"], row["class"], seeds)
        a = float(np.mean(plain)) if plain else float("nan")
    return f"{line}{identity:>9}{a:>9.3f}{row['mean_b']:>9.3f}{oracle:>8}{difference:>12}  {ends:<18}{p:>8}  {verdict}"


def _end(measures: pd.DataFrame, row: Mapping, name: str) -> str:
    if row.get("rounds"):
        return "-"
    found = claims.series_of(measures, name, row["measure"], row["class"])
    return f"{np.mean(found):.3f}" if found else "-"


def _of_curve(ledger: Sequence[Mapping], measures: pd.DataFrame, decided: Protocol) -> str:
    """Return where the best weights lie, at the seeds that all have, and the verdict on the chosen one."""
    curve = decided.curve
    seeds = common(measures, decided, curve.points)
    few = min(len(common(measures, decided, [name])) for name in curve.points)
    best = []
    for measure in curve.measures:
        better = next((r["better"] for r in ledger if r["measure"] == measure), "higher")
        means = {
            weight: float(np.mean(found))
            for name, weight in zip(curve.points, curve.weights, strict=True)
            if (found := claims.series_of(measures, name, measure, "all", seeds)) and seeds
        }
        if means:
            at = (max if better == "higher" else min)(means, key=means.get)
            best.append(f"{measure} best at {at:g} ({means[at]:.3f})")
    verdicts = [
        row["verdict"]
        for row in ledger
        if row["claim"] == curve.claim and row["verdict"].startswith(("confirmed", "refuted", "undecided"))
    ]
    verdict = "refuted" if "refuted" in verdicts else next((v for v in verdicts if v != "confirmed"), "")
    verdict = verdict or ("confirmed" if verdicts else "")
    if few < decided.least_seeds or not verdict:
        verdict = f"undecided ({few} seeds)"
    weights = ", ".join(f"{w:g}" for w in curve.weights)
    if not best:
        return f"lambda_s of {weights}: not measured"
    return f"lambda_s of {weights}: {', '.join(best)}, {seeds_said(seeds)}:  {verdict}"


def hidden(ledger: Sequence[Mapping], measures: pd.DataFrame) -> list[str]:
    """Return what a reader of the verdicts alone would not see, from the numbers."""
    said = []
    for row in ledger:
        if row["difference"] is None:
            continue
        ends = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        if row["id"] == "C3 against CycleGAN":
            said += [
                "C3 compares with a segmenter that learned from frames as they are (identity); against one that learned",
                f"from CycleGAN's translations the difference is {ends}.",
            ]
        if row["id"] == "C3 rider":
            at = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
            small = "all of it below" if row["high"] < row["smallest_effect"] else "which reaches"
            said.append(
                f"C3 also names the rider: {at}, {small} the smallest effect of interest, {row['smallest_effect']:g}."
            )
        as_is = claims.series_of(measures, "identity", row["measure"], row["class"])
        if row["claim"] == "C5" and row["primary"] and as_is and row["mean_b"] < as_is[0]:
            a, b = (1 - row[f"mean_{side}"] / as_is[0] for side in "ab")
            still = "most of them are lost" if b > 0.5 else "some are lost" if b > 0.1 else "they are kept"
            said += [
                f"C5 compares with CycleGAN. Of the plates that are read in frames as they are, CycleGAN loses {a:.0%} and the",
                f"semantic CycleGAN {b:.0%}: {still}.",
            ]
    return said
