"""The verdicts as the front page of the repository prints them, what they hide, and what explains them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from semcg import claims
from semcg import config as configs
from semcg.protocol import Protocol
from semcg.report import common, labeled_pixels, pair, seed_range, settings_apart

__all__ = ["front", "hidden", "why"]

_ROW = "{:<4}{:<30}{:>9}{:>9}{:>9}{:>8}{:>12}  {:<18}{:>8}  {}"
_LOST = ("they are kept", "some are lost", "most of them are lost")
_ENDS = "{difference:{form}} [{low:{form}}, {high:{form}}]"
_NOTES = """: our reading of Eq. (4), the mean squared difference of the score maps (the paper says L2-norm, and
not what is compared, nor whether squared), weight 1. Identity: frames as they are. Oracle: the same street drawn in
the target's style. C7: a ratio of seconds per training step.
A claim with several rows holds only if each row does; p is then the largest of theirs, in all of them."""


def front(
    ledger: Sequence[Mapping], measures: pd.DataFrame, protocol: Protocol, folder: Path | None = None
) -> str:
    """Return the verdicts as a table for the front page: every claim, where the verdicts hold, and what they hide.

    Parameters
    ----------
    ledger, measures
        As `semcg.report.tables` returns them.
    folder : path, optional
        Of the evidence, for what `why` counts.
    """
    compared = pair(protocol)
    heads = ("row", "measure", "identity", *map(_short, compared), "oracle", "difference", "95 % interval")
    order = [claim.id for claim in claims.CLAIMS]
    rows = [r for r in ledger if r["primary"] or (r["id"] == r["claim"] and r["claim"] in order)]
    table = [(r["claim"], _line(r, measures, ("identity", *compared, "oracle"))) for r in rows]
    if protocol.curve:
        table.append((protocol.curve.claim, _curve_line(ledger, measures, protocol)))
    table.sort(key=lambda line: order.index(line[0]) if line[0] in order else len(order))
    seeds = [row["seeds"] for row in rows if row["primary"] and row["seeds"]] or [0]
    counted = " to ".join(map(str, sorted({min(seeds), max(seeds)})))
    size = "x".join(map(str, configs.make(protocol.profile, **protocol.settings).size))
    lines = [
        _ROW.format(*heads, "p (Holm)", "verdict"),
        *(line for _, line in table),
        "",
        f"{counted} of the protocol's {len(protocol.seeds)} paired seeds, profile {protocol.profile}: {size}, drawn world.",
        _short(compared[1]).capitalize() + _NOTES,
        *hidden(ledger, measures, protocol),
        *(f"Not measurable here: {what} ({reason})." for what, reason in claims.UNMEASURED.items()),
    ]
    if explained := why(measures, protocol, folder):
        lines += ["", *explained]
    return "\n".join(lines)


def _short(condition: str) -> str:
    """Return the name of a condition as it heads a column: "semantic (paper)" -> "semantic"."""
    return condition.partition(" (")[0]


def _line(row: Mapping, measures: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return a row of the ledger with the means of these conditions: of the paired seeds, or of all if it is not compared."""
    what = row["measure"] + ("" if row["class"] == "all" else f", {row['class']}")
    means = {n: claims.series_of(measures, n, row["measure"], row["class"]) for n in columns}
    means |= {
        row[f"condition_{side}"]: [row[f"mean_{side}"]] for side in "ab" if row[f"mean_{side}"] is not None
    }
    cells = [f"{np.mean(means[name]):.3f}" if means[name] else "-" for name in columns]
    difference, interval, verdict = "-", "-", row["verdict"]
    if row["difference"] is not None:
        ratio = row.get("rounds")
        difference = f"x {row['difference']:.2f}" if ratio else f"{row['difference']:+.3f}"
        interval = "[{low:{form}}, {high:{form}}]".format(**row, form=".2f" if ratio else "+.3f")
        verdict = row["verdict"] if row["primary"] else "reported, no verdict"
    p = "-" if row["p_holm"] is None else f"{row['p_holm']:.4f}"
    return _ROW.format(row["claim"], what, *cells, difference, interval, p, verdict)


def _curve_line(ledger: Sequence[Mapping], measures: pd.DataFrame, protocol: Protocol) -> str:
    """Return where the best weights of the curve are, at the seeds that all have, and the verdict on the chosen one."""
    curve, best = protocol.curve, []
    for measure, points in pd.DataFrame(claims.curve_rows(measures, protocol)).groupby("measure", sort=False):
        means = points.set_index("weight")["mean"].astype(float)
        better = next((row["better"] for row in ledger if row["measure"] == measure), "higher")
        if means.notna().any():
            at = means.idxmax() if better == "higher" else means.idxmin()
            best.append(f"{measure} best at {at:g} ({means[at]:.3f})")
    where = f"{', '.join(best)}, {seed_range(common(measures, curve.points))}: " if best else ""
    weights = ", ".join(f"{w:g}" for w in curve.weights)
    return f"{curve.claim:<4}lambda_s of {weights}: {where} {claims.overall(ledger, curve.claim)}"


def hidden(ledger: Sequence[Mapping], measures: pd.DataFrame, protocol: Protocol) -> list[str]:
    """Return what a reader of the verdicts alone would not see, from the numbers."""
    plain, lines = pair(protocol)[0], []
    for row in ledger:
        if row["difference"] is None:
            continue
        a, b, secondary = row["condition_a"], _short(row["condition_b"]), not row["primary"]
        if secondary and (row["claim"], row["class"], a) == ("C3", "all", plain):
            lines += [
                "C3 compares with a segmenter that learned from frames as they are (identity); against one that learned",
                f"from {a}'s translations the difference is {_ENDS.format(**row, form='+.3f')}.",
            ]
        if secondary and row["id"] == "C3 rider":
            ends, least = _ENDS.format(**row, form="+.4f"), row["smallest_effect"]
            small = "all of it below" if row["high"] < least else "which reaches"
            lines.append(
                f"C3 also names the rider: {ends}, {small} the smallest effect of interest, {least:g}."
            )
        readable = claims.series_of(measures, "identity", row["measure"], row["class"])
        plates = (row["claim"], row["measure"]) == ("C5", "plates read")
        if plates and readable and row["mean_b"] < readable[0]:
            lost_a, lost_b = (1 - row[f"mean_{side}"] / readable[0] for side in "ab")
            still = _LOST[(lost_b > 0.1) + (lost_b > 0.5)]
            lines += [
                f"C5 compares with {a}. Of the plates that are read in frames as they are, {a} loses {lost_a:.0%} and the",
                f"{b} {a} {lost_b:.0%}: {still}.",
            ]
    return lines


def why(measures: pd.DataFrame, protocol: Protocol, folder: Path | None = None) -> list[str]:
    """Return whether the control supports that the shift of the layouts costs the sky, in a few lines.

    The control is the condition that differs from the plain one in its target's layout alone. It supports the
    explanation if it keeps more of the sky at every seed that both have, and brings back at least half of what the
    plain one lost. Empty until all three conditions are measured at a common seed.

    Parameters
    ----------
    folder : path, optional
        Of the evidence, for the share of sky in the labels of both domains.
    """
    plain, semantic = pair(protocol)
    control = next((n for n, s in settings_apart(protocol).items() if s.keys() == {"target_layout"}), "")
    sky = measures[measures["measure"] == "sky kept"].pivot(index="seed", columns="condition", values="value")
    sky = sky.reindex(columns=[plain, control, semantic]).dropna()
    if sky.empty:
        return []
    mean, lines = sky.mean(), []
    every = (sky[control] > sky[plain]).all()
    back = (mean[control] - mean[plain]) / (1 - mean[plain]) if mean[plain] < 1 else 0.0
    if folder and len((pixels := labeled_pixels(folder)).columns) == 2:
        source, target = (pixels / pixels.sum()).loc["sky"]
        less = "less" if target < source else "no less"
        lines.append(
            f"The target's test frames have {less} sky ({target:.0%} of their labels, the source's {source:.0%})."
        )
    lines += [
        f"Share of the sky kept, {seed_range(list(sky.index))}: {mean[plain]:.2f} by {plain}, {mean[semantic]:.2f} with the semantic",
        f"loss, {mean[control]:.2f} by {plain} where the target's streets are built like the source's (the control).",
    ]
    if every and back >= 0.5:
        return [
            *lines,
            "Why: the control keeps more at each of these seeds, without any semantic loss. So most of the lost sky goes",
            f"with the shift between the layouts: without the shift {back:.0%} of it is back.",
        ]
    at = "at each of these seeds" if every else "not at each of these seeds"
    return [
        *lines,
        f"The control does not explain it: it keeps more {at}, and {back:.0%} of the lost sky is back without the shift",
        f"between the layouts. So most of what {plain} loses must have another cause.",
    ]
