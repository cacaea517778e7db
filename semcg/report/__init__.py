"""What an evidence folder holds, as tables; notebook 06 shows them, and `semcg.report.front` prints the verdicts.

A run is two files there, records/<run>.json and counts/<run>.csv; `semcg ship` packs those of a finished sweep into runs.zip.

No condition is named here: which ones are compared, and in what they differ, follows from the protocol.
"""

import itertools
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from lightning_fabric import Fabric

from semcg import config as configs
from semcg import evaluate, files, losses
from semcg.data import Scenes
from semcg.labels import names
from semcg.protocol import REFERENCE, Protocol
from semcg.runs import datasets, recipes, trained
from semcg.translate import image

__all__ = [
    "FLOOR",
    "PACKED",
    "common",
    "comparable",
    "folder_of",
    "labeled_pixels",
    "overview",
    "pair",
    "progress",
    "records",
    "seed_range",
    "settings_apart",
    "stored",
    "tables",
    "write_floor",
]

FLOOR = "floor.json"
"""What each reading of Eq. (4) charges the perfect translation, in an evidence folder."""
PACKED = "runs.zip"
"""Records and counts of a finished sweep, in an evidence folder."""


def folder_of(evidence: str, profile: str = "") -> Path:
    """Return the evidence folder: "reference" is the shipped one, "own" this machine's sweep, else a path.

    Raises
    ------
    FileNotFoundError
        If there are no measurements; says which command makes them.
    """
    folder = REFERENCE if evidence == "reference" else Path(evidence)
    if evidence == "own":
        folder = files.results_folder("world", configs.make(profile).profile) / "evidence"
    if not (folder / "measures.csv").is_file():
        raise FileNotFoundError(f"no measures.csv in {folder}. It is made by: semcg sweep, then semcg ledger")
    return folder


def stored(folder: Path, part: str) -> dict[str, Path | zipfile.Path]:
    """Return where the "records" or the "counts" of each run are, by its name, sorted; packed or not."""
    packed, found = folder / PACKED, {}
    for root in [zipfile.Path(packed), folder] if packed.is_file() else [folder]:
        if (root / part).is_dir():
            found |= {place.name.rpartition(".")[0]: place for place in (root / part).iterdir()}
    return dict(sorted(found.items()))


def records(folder: Path) -> dict[str, dict]:
    """Return the records of an evidence folder by their names."""
    places = stored(folder, "records")
    return {name: json.loads(place.read_text(encoding="utf-8")) for name, place in places.items()}


def tables(folder: Path, protocol: Protocol) -> tuple[pd.DataFrame, list[dict], pd.DataFrame]:
    """Return measures, ledger and curves of an evidence folder, without seeds that the protocol does not report."""
    measures = pd.read_csv(folder / "measures.csv", dtype={"seed": "Int64"})
    curves = pd.read_csv(folder / "curves.csv")
    measures = measures[measures["seed"].isna() | measures["seed"].isin(protocol.seeds)]
    return measures, files.read_json(folder / "ledger.json"), curves[curves["seed"].isin(protocol.seeds)]


def common(measures: pd.DataFrame, conditions: Sequence[str]) -> list[int]:
    """Return the seeds at which every one of these conditions was measured.

    A condition that needs no seed, or of which nothing was measured, excludes none.
    """
    seeded = measures[measures["condition"].isin(conditions) & measures["seed"].notna()]
    of_each = [set(map(int, seeds)) for _, seeds in seeded.groupby("condition")["seed"]]
    return sorted(set.intersection(*of_each)) if of_each else []


def comparable(measures: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """Return the rows of these conditions at their common seeds: a seed moves whatever is trained with it."""
    at = measures["seed"].isna() | measures["seed"].isin(common(measures, conditions))
    return measures[measures["condition"].isin(conditions) & at]


def seed_range(seeds: Sequence[int]) -> str:
    """Return "seeds 3, 4, 5", "seeds 3 to 14", or "no seed in common"."""
    if len(seeds) > 3 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    plural = "s" if len(seeds) > 1 else ""
    return f"seed{plural} {', '.join(map(str, seeds))}" if seeds else "no seed in common"


def pair(protocol: Protocol) -> tuple[str, str]:
    """Return the conditions that the first primary row compares: the plain one, and the one that the claims are about."""
    return next((row.a, row.b) for row in protocol.rows if row.primary)


def settings_apart(protocol: Protocol) -> dict[str, dict[str, object]]:
    """Return by condition the settings in which it differs from the one of `pair` with which it shares most.

    That is the second of them for conditions with a semantic loss, and the first for those without.
    """
    settings = {}
    for condition in protocol.conditions:
        if condition.parameters.get("translates", True):
            given = {k: v for k, v in condition.parameters.items() if k in configs.Config.model_fields}
            made = configs.make(protocol.profile, **protocol.settings | given)
            settings[condition.name] = made.model_dump()
    first, second = (settings[name] for name in pair(protocol))
    apart = {}
    for name, mine in settings.items():
        other = second if mine["lambda_s"] else first
        apart[name] = {k: v for k, v in mine.items() if v != other[k]}
    return apart


def labeled_pixels(folder: Path) -> pd.DataFrame:
    """Return the labeled pixels of the test frames: a row per class, a column per domain that was scored."""
    runs, pixels = pd.read_csv(folder / "runs.csv")["run"], {}
    for where, part, run in (
        ("source/test", "judge", runs[runs == "identity"]),
        ("target/test", "downstream", runs[runs.str.startswith("downstream")]),
    ):
        if len(run):
            parts = evaluate.read_parts(stored(folder, "counts")[run.iloc[0]])
            pixels[where] = evaluate.counts_of(parts, part).sum(1)
    return pd.DataFrame(pixels, index=names())


def write_floor(config: configs.Config, fabric: Fabric, folder: Path) -> bool:
    """Write what each reading of Eq. (4) charges for no translation and for the perfect one, on source/test.

    Returns
    -------
    bool
        False where there is nothing to measure: data without an oracle, or segmenters that are not trained.
    """
    try:
        test = Scenes(datasets.data(config) / "source" / "test")
        Sem_s, Sem_t = (trained.segmenter(config, domain, fabric) for domain in files.DOMAINS)
    except (FileNotFoundError, ValueError):
        return False
    oracle = test.folder / "oracle"
    if not oracle.is_dir():
        return False
    charged = {of: dict.fromkeys(losses.SEMANTIC_KINDS, 0.0) for of in ("identity", "oracle")}
    with torch.inference_mode():
        for i, name in enumerate(test.names):
            x, y = (v[None].to(fabric.device) for v in test.frame(i))
            perfect = image(oracle / f"{name}.png")[None].to(fabric.device)
            before, after = Sem_s(x), {"identity": Sem_t(x), "oracle": Sem_t(perfect)}
            for of, kind in itertools.product(charged, losses.SEMANTIC_KINDS):
                charge = float(losses.semantic(before, after[of], kind=kind, labels=y))
                charged[of][kind] += charge / len(test.names)
    files.write_json(folder / FLOOR, {"frames": len(test.names), "charged": charged})
    return True


def progress(
    protocol: Protocol, profile: str = "", *, data: str = "", few: bool = True, measured: bool = True
) -> pd.DataFrame:
    """Return how far a sweep is; it may be running.

    Parameters
    ----------
    profile, data : str
        "" means the protocol's.
    few : bool
        Include the further conditions.
    measured : bool
        A task has two notebooks, one that trains and one that measures.

    Returns
    -------
    DataFrame
        A row per task, by condition and seed: "status" (waiting, running, ok, failed, stopped, killed), "minutes"
        of its last execution, and "reason", if it did not end well.
    """
    profile = configs.make(profile or protocol.profile).profile
    folder = files.results_folder(data or protocol.data, profile) / "sweep"
    tasks, rows = [(c.name, seed) for c in protocol.conditions if few or not c.few for seed in c.seeds], {}
    for condition, seed in tasks:
        task = f"{recipes.slug(condition)}-s{seed}"
        parts = ("", "-measure") if measured else ("",)
        records = [files.read_record(folder / f"{task}{part}.json") for part in parts]
        bad = next((record for record in records if record.get("status", "ok") != "ok"), {})
        status = bad.get("status") or ("ok" if all(records) else "waiting")
        rows[condition, seed] = {
            "status": "running" if files.taken(folder / f".{task}.task") else status,
            "minutes": round(sum(record.get("seconds", 0) for record in records) / 60, 1),
            "reason": bad.get("reason", ""),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["condition", "seed"])


def overview(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a `progress` with a row per condition and a column per seed: the minutes of what ended well, else the status.

    "-" waits. Where the protocol gives a condition no such seed, there is nothing.
    """
    cells = runs["minutes"].map("{:.1f}".format).where(runs["status"] == "ok", runs["status"])
    wide = cells.replace("waiting", "-").unstack("seed")
    return wide.loc[runs.index.unique("condition")].fillna("").rename_axis(index=None)
