"""How far a sweep is, from the records of its tasks in `results/`."""

import pandas as pd

from semcg import config as configs
from semcg import files, locks
from semcg import protocol as protocols
from semcg.runs import recipes

__all__ = ["overview", "table"]


def table(
    profile: str = "",
    *,
    protocol: protocols.Protocol | None = None,
    few: bool = True,
    measured: bool = True,
    data: str = "",
) -> pd.DataFrame:
    """Return how far a sweep is; it may be running.

    Parameters
    ----------
    profile, data : str
        "" means the protocol's.
    protocol : Protocol, optional
        Default: that of this repository.
    few : bool
        Include the further conditions.
    measured : bool
        A task has two notebooks, one that trains and one that measures.

    Returns
    -------
    DataFrame
        A row per task, by condition and seed: "status" (waiting, running, ok, failed, stopped, killed), "minutes"
        of its last execution, "trained" (the minutes of it that were training), and "reason", if it did not end well.
    """
    protocol = protocol or protocols.read()
    profile = configs.make(profile or protocol.profile).profile
    folder = files.results_folder(data or protocol.data, profile) / "sweep"
    rows = []
    for condition in sorted(protocol.conditions, key=lambda c: c.few):
        for seed in () if condition.few and not few else condition.seeds:
            task = f"{recipes.slug(condition.name)}-s{seed}"
            paths = [folder / f"{task}.json"] + ([folder / f"{task}-measure.json"] if measured else [])
            records = [files.read_record(path) for path in paths]
            bad = next((record for record in records if record.get("status", "ok") != "ok"), {})
            status = bad.get("status") or ("ok" if all(records) else "waiting")
            rows.append(
                {
                    "condition": condition.name,
                    "seed": seed,
                    "status": "running" if locks.taken(folder / f".{task}.task") else status,
                    "minutes": sum(record.get("seconds", 0) for record in records) / 60,
                    "trained": sum(sum(record.get("trained", {}).values()) for record in records) / 60,
                    "reason": bad.get("reason", ""),
                }
            )
    return pd.DataFrame(rows).set_index(["condition", "seed"]).round(1)


def overview(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a `table` with a row per condition and a column per seed: the minutes of what ended well, else the status.

    "-" waits. Where the protocol gives a condition no such seed, there is nothing.
    """
    cells = [
        f"{row.minutes:.1f}" if row.status == "ok" else "-" if row.status == "waiting" else row.status
        for row in runs.itertuples()
    ]
    wide = pd.Series(cells, index=runs.index).unstack("seed")
    return wide.loc[runs.index.unique("condition")].fillna("").rename_axis(index=None)
