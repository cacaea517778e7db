"""What the report says of the claims, as tables and sentences, from an evidence folder."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from torch import Tensor

from semcg import claims, evaluate, files, statistics
from semcg import config as configs
from semcg.protocol import CEILING, REFERENCE, UNTRAINED, Protocol

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


def folder_of(evidence: str, profile: str = "") -> Path:
    """Return the evidence folder: "reference" is the shipped one, "own" this machine's sweep, else a path.

    Raises
    ------
    FileNotFoundError
        If there are no measurements; says which command makes them.
    """
    if evidence == "own":
        folder = files.results_folder("world", configs.make(profile).profile) / "evidence"
    else:
        folder = REFERENCE if evidence == "reference" else Path(evidence)
    if not (folder / "measures.csv").is_file():
        raise FileNotFoundError(f"no measures.csv in {folder}. It is made by: semcg sweep, then semcg ledger")
    return folder


def tables(folder: Path) -> tuple[pd.DataFrame, list[dict], pd.DataFrame]:
    """Return measures, ledger and curves of an evidence folder."""
    measures = pd.read_csv(folder / "measures.csv", dtype={"seed": "Int64"})
    return measures, files.read_json(folder / "ledger.json"), pd.read_csv(folder / "curves.csv")


def seeds_counted(measures: pd.DataFrame, decided: Protocol) -> dict[str, list[int]]:
    """Return the reported seeds of each condition that were measured so far."""
    found = measures[measures["seed"].isin(decided.seeds)].groupby("condition")["seed"].unique()
    return {c.name: sorted(map(int, found.get(c.name, []))) for c in decided.conditions}


def trainings(folder: Path, decided: Protocol) -> pd.DataFrame:
    """Return the trainings of an evidence folder in the form of `semcg.report.sweep.table`, for `semcg.report.sweep.overview`."""
    runs = pd.read_csv(folder / "runs.csv")
    runs = runs[runs["seed"].notna() & runs["seconds"].notna()]
    minutes = runs.assign(seed=runs["seed"].astype(int)).groupby(["condition", "seed"])["seconds"].sum() / 60
    order = [(c.name, s) for c in decided.conditions for s in c.seeds if (c.name, s) in minutes.index]
    found = minutes.reindex(pd.MultiIndex.from_tuples(order, names=["condition", "seed"]))
    return pd.DataFrame({"status": "ok", "minutes": found})


def lines(ledger: Sequence[Mapping], claim: str) -> list[str]:
    """Return a line for each row of a claim."""
    said = []
    for row in ledger:
        if row["claim"] != claim:
            continue
        what = row["measure"] + ("" if row["class"] == "all" else f", {row['class']}")
        kind = "primary" if row["primary"] else "explore" if row.get("exploratory") else "beside"
        head = f"{kind:<7}  {what}: {row['condition_b']} - {row['condition_a']}"
        if row["difference"] is None:
            said.append(f"{head}: {row['verdict']}")
        elif row.get("rounds"):
            said.append(
                f"{what}: {row['condition_b']} / {row['condition_a']} = {row['difference']:.2f} "
                f"[{row['low']:.2f}, {row['high']:.2f}] in {row['rounds']} rounds; limit {row['limit']}: {row['verdict']}"
            )
        else:
            p = "" if row["p_holm"] is None else f", p {row['p_holm']:.4f}"
            margin = f", margin {row['margin']:.4g}" if row["margin"] else ""
            said.append(
                f"{head} = {row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]{p}, detectable "
                f"{row['detectable']:.4f}{margin}, {row['seeds']} seeds: {row['verdict']}"
            )
    return said or ["no row of its own: see section 6"]


def closing(folder: Path, measures: pd.DataFrame) -> str:
    """Return where these verdicts hold."""
    size = "x".join(map(str, configs.make("mini").size)) if folder == REFERENCE else "the profile's size"
    frames = sum(evaluate.counts_of(evaluate.read_parts(folder / "counts" / "identity.csv")).sum(1)).item()
    return f"All this holds at {size}, in the drawn world, on {frames} labelled pixels of its source/test frames."


def forest_rows(rows: Sequence[Mapping]) -> list[dict]:
    """Return ledger rows for `plots.evidence.forest`: in the claim's direction, in percent of condition a."""
    made = []
    for row in rows:
        sign = 1 if row["better"] == "higher" else -1
        scale = 100 * sign / abs(row["mean_a"]) if row["mean_a"] else 100 * sign
        ends = sorted(scale * row[end] for end in ("low", "high"))
        made.append(
            {
                "name": f"{row['claim']} {row['measure']}"
                + ("" if row["class"] == "all" else f", {row['class']}"),
                "difference": scale * row["difference"],
                "low": ends[0],
                "high": ends[1],
                "verdict": row["verdict"],
                "smallest": abs(scale) * (row["smallest_effect"] if not row["margin"] else -row["margin"]),
            }
        )
    return made


def pooled(folder: Path, decided: Protocol) -> dict[str, Tensor]:
    """Return the judge's counts (19, 20) of each condition, added over reported seeds."""
    runs = pd.read_csv(folder / "runs.csv")
    total: dict[str, Tensor] = {}
    for row in runs[runs["seed"].isin(decided.seeds)].itertuples():
        parts = evaluate.read_parts(folder / "counts" / f"{row.run}.csv")
        if "judge" in parts:
            counts = evaluate.counts_of(parts)
            total[row.condition] = total[row.condition] + counts if row.condition in total else counts
    return total


def axis(
    measures: pd.DataFrame, decided: Protocol, shown: Sequence[str]
) -> dict[str, dict[str, list[float]]]:
    """Return measure -> condition -> values, for translations of which the answer is known and for the trained ones.

    A measure may name its class: "judge IoU, person". A condition of which nothing was measured is left out.
    """
    trained = (c.name for c in decided.conditions if not c.few and c.name not in (*UNTRAINED, CEILING))
    those = (*UNTRAINED, *trained, *evaluate.AXIS)
    asked = {m: m.split(", ", 1) if ", " in m else (m, "all") for m in shown}
    found = {m: {n: claims.series_of(measures, n, *asked[m], decided.seeds) for n in those} for m in shown}
    there = [n for n in those if any(len(found[m][n]) for m in shown)]
    return {m: {n: [v for v in found[m][n] if math.isfinite(v)] for n in there} for m in shown}


def _binned(curves: pd.DataFrame, decided: Protocol, condition: str, term: str) -> pd.DataFrame:
    chosen = curves[(curves["condition"] == condition) & (curves["term"] == term)]
    return chosen[chosen["seed"].isin(decided.seeds)].pivot(index="step", columns="seed", values="value")


def pull(curves: pd.DataFrame, decided: Protocol, condition: str, term: str) -> str:
    """Return a line with a term at the beginning, the middle and the end of training, mean over seeds."""
    table = _binned(curves, decided, condition, term).mean(axis=1)
    if table.empty:
        return f"{condition:<20} {term:<14} -"
    at = [table.iloc[k] for k in (0, len(table) // 2, -1)]
    return f"{condition:<20} {term:<14} first {at[0]:.4f}   middle {at[1]:.4f}   last {at[2]:.4f}"


def bands(
    curves: pd.DataFrame, decided: Protocol, conditions: Sequence[str], terms: Sequence[str]
) -> dict[str, dict[str, tuple]]:
    """Return what `plots.evidence.bands` draws: per term and condition, steps, mean, lowest and highest seed."""
    made: dict[str, dict[str, tuple]] = {}
    for term in terms:
        for name in conditions:
            table = _binned(curves, decided, name, term)
            if not table.empty:
                ends = (table.mean(axis=1), table.min(axis=1), table.max(axis=1))
                made.setdefault(term, {})[name] = (table.index.to_numpy(), *(e.to_numpy() for e in ends))
    return made


def gain(measures: pd.DataFrame, decided: Protocol, measure: str, a: str, b: str) -> str:
    """Return a line with the paired difference of two conditions over reported seeds, without a verdict."""
    left, right = (claims.series(measures, name, measure, "all") for name in (a, b))
    seeds = [s for s in decided.seeds if s in left and s in right]
    if len(seeds) < 2:
        return f"{measure:<18} {b} - {a}: fewer than two seeds"
    of = statistics.summary(statistics.paired({s: left[s] for s in seeds}, {s: right[s] for s in seeds}))
    return f"{measure:<18} {b} - {a}: {of['difference']:+.3f} [{of['low']:+.3f}, {of['high']:+.3f}]"
