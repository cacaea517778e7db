"""Means over seeds that may stand beside each other, and which conditions differ in one thing alone."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from semcg import claims
from semcg import config as configs
from semcg.protocol import Protocol

__all__ = ["common", "readings", "seeds_said", "spread", "summary", "variants"]


def common(measures: pd.DataFrame, decided: Protocol, conditions: Sequence[str]) -> list[int]:
    """Return the reported seeds at which every one of these conditions was measured.

    A condition that needs no seed, or of which nothing was measured, takes none away. Seeds lift and lower what is
    trained with them, so that means over other seeds are no fair company.
    """
    chosen = measures[measures["condition"].isin(conditions) & measures["seed"].isin(decided.seeds)]
    of_each = [set(map(int, seeds)) for _, seeds in chosen.groupby("condition")["seed"]]
    return sorted(set.intersection(*of_each)) if of_each else []


def seeds_said(seeds: Sequence[int]) -> str:
    """Return "seeds 3, 4, 5", "seeds 3 to 14", or "no seed in common"."""
    if not seeds:
        return "no seed in common"
    if len(seeds) > 3 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def summary(
    measures: pd.DataFrame,
    decided: Protocol,
    shown: Mapping[tuple[str, str], str],
    conditions: Sequence[str] = (),
) -> pd.DataFrame:
    """Return a table of conditions (rows) and measures (columns): mean over seeds, and their standard deviation.

    Parameters
    ----------
    shown : (measure, class) -> heading
    conditions : sequence of str
        Beside the references, which need no training; default: all. Every row is over the seeds that are common to
        these.
    """
    chosen = [*conditions] or [c.name for c in decided.conditions]
    order = ["identity", "histogram matching", *(n for n in chosen if n != "identity"), "oracle"]
    seeds, rows = common(measures, decided, chosen), {}
    for name in order:
        values = {}
        for (measure, of_class), heading in shown.items():
            found = claims.series_of(measures, name, measure, of_class, seeds)
            if len(found):
                deviation = f" ±{np.std(found, ddof=1):.3f}" if len(found) > 1 else ""
                values[heading] = f"{np.mean(found):.3f}{deviation}"
        if values:
            rows[name] = values
    return pd.DataFrame(rows).T.reindex(columns=list(shown.values())).fillna("")


def spread(
    measures: pd.DataFrame, decided: Protocol, conditions: Sequence[str], wanted: Sequence[str]
) -> list[str]:
    """Return a table in lines: some measures of some conditions, over the seeds that all of these have.

    Behind each mean the lowest and the highest seed. Below it, labelled, the means of those that were trained at more
    seeds over all of theirs: they are not to be compared with the others.
    """
    measures = measures[measures["measure"].isin(wanted)]
    seeds = common(measures, decided, conditions)
    said = [f"{'mean (lowest to highest)':<32} over the {seeds_said(seeds)} that all of these have"]
    more = []
    for name in conditions:
        said.append(_spread(measures, name, wanted, seeds))
        own = common(measures, decided, [name])
        if len(own) > len(seeds):
            more.append(_spread(measures, name, wanted, own) + f"   {seeds_said(own)}")
    if more:
        said.append("not to be compared with these: means of those with more seeds, over all of theirs")
    return said + more


def _spread(measures: pd.DataFrame, condition: str, wanted: Sequence[str], seeds: Sequence[int]) -> str:
    said = []
    for measure in wanted:
        found = claims.series_of(measures, condition, measure, "all", seeds)
        if len(found):
            ends = f" ({min(found):.3f} to {max(found):.3f})" if len(found) > 1 else ""
            said.append(f"{measure} {np.mean(found):.3f}{ends}")
    return f"{condition:<32} " + ("   ".join(said) or "not measured")


def _apart(decided: Protocol, name: str, other: str) -> dict[str, object]:
    """Return the settings of a condition that another one has not, by name; what is done after training is none."""
    mine, others = (
        {k: v for k, v in decided.condition(n).parameters.items() if k in configs.Config.model_fields}
        for n in (name, other)
    )
    if not mine.get("lambda_s"):  # an unweighted loss decides nothing
        others = {k: v for k, v in others.items() if k != "semantic_loss"}
    return {k: mine.get(k) for k in mine.keys() | others.keys() if mine.get(k) != others.get(k)}


def readings(decided: Protocol, chosen: str = "semantic (paper)") -> list[str]:
    """Return the conditions that differ from the chosen one in `semantic_loss` alone, and that one first."""
    alone = [c.name for c in decided.conditions if set(_apart(decided, c.name, chosen)) == {"semantic_loss"}]
    return [chosen, *alone]


def variants(decided: Protocol, plain: str = "CycleGAN", chosen: str = "semantic (paper)") -> dict[str, str]:
    """Return condition -> in which settings it differs from the main one of its kind, for all other conditions.

    The kinds are plain CycleGANs and those with a semantic loss. Neither the readings nor the points of the curve are
    among them.
    """
    seen = {*readings(decided, chosen), plain, *(decided.curve.points if decided.curve else ())}
    found = {}
    for c in decided.conditions:
        if c.name not in seen and c.parameters.get("translates", True):
            apart = _apart(decided, c.name, chosen if c.parameters.get("lambda_s") else plain)
            found[c.name] = ", ".join(f"{k} = {v}" for k, v in sorted(apart.items()))
    return found
