"""What follows from a sweep's counts: measures, curves and the ledger, which anybody can derive again.

evidence/counts/, records/    what `semcg.runs.measuring` kept of each run
evidence/runs.csv             the records, a row each
evidence/measures.csv         condition, seed, measure, class, value, run: a row per run and measure
evidence/curves.csv           the trainings' losses and gradient norms, means of fifty steps
evidence/cost.json            seconds of each round of the benchmark of a step
evidence/ledger.json          a row per comparison of the protocol, with interval, p and verdict
"""

import hashlib
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from semcg import claims, evaluate, files, protocol
from semcg.runs.history import read_csv

__all__ = ["gather", "measures_of", "sha256", "ship", "verify"]

_BIN = 50  # steps in a point of curves.csv
_TABLES = ("runs.csv", "measures.csv", "curves.csv", "ledger.json")


def measures_of(folder: Path) -> pd.DataFrame:
    """Return the measures of all records in an evidence folder, computed from their counts.

    Returns
    -------
    DataFrame
        condition, seed, measure, class, value, run; sorted, so that equal evidence gives an equal table. The seed is
        missing where nothing random was trained.
    """
    rows = []
    for record in _records(folder):
        values = evaluate.values(evaluate.read_parts(folder / "counts" / f"{record['run']}.csv"))
        rows += [
            (record["condition"], record["seed"], measure, of_class, value, record["run"])
            for (measure, of_class), value in values.items()
        ]
    table = pd.DataFrame(rows, columns=["condition", "seed", "measure", "class", "value", "run"])
    table["seed"] = table["seed"].astype("Int64")
    return table.sort_values(["condition", "seed", "run", "measure", "class"], ignore_index=True)


def gather(folder: Path, decided: protocol.Protocol, *, histories: Path | None = None) -> list[dict]:
    """Write the tables of an evidence folder from its counts and records, and return the ledger.

    Parameters
    ----------
    folder : path
    decided : Protocol
    histories : path, optional
        Folder of the runs, for the curves of their trainings; what is in curves.csv stays without it.
    """
    measures = measures_of(folder)
    _write_table(folder / "measures.csv", measures)
    _write_table(folder / "runs.csv", pd.DataFrame(_records(folder)))
    if histories is not None:
        _write_table(folder / "curves.csv", _curves(folder, histories))
    rows = _ledger(folder, measures, decided)
    files.write_text(folder / "ledger.json", json.dumps(rows, indent=1, allow_nan=False) + "\n")
    return rows


def _ledger(folder: Path, measures: pd.DataFrame, decided: protocol.Protocol) -> list[dict]:
    rows = claims.ledger(measures, decided)
    cost = folder / "cost.json"
    if decided.cost and cost.is_file():
        rows.append(claims.cost_row(files.read_json(cost)["seconds"], decided))
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in r.items()} for r in rows
    ]


def verify(folder: Path, decided: protocol.Protocol, *, tolerance: float = 1e-9) -> Iterator[str]:
    """Derive every number of an evidence folder from its counts, and yield what was checked or is broken.

    Counts are compared by digest, measures within `tolerance` relative, ledger rows likewise: another version of
    scipy or pandas may round otherwise. Nothing is written.

    Yields
    ------
    str
        A line for each link that holds, in the order of the chain.

    Raises
    ------
    ValueError
        At the first link that does not hold; names it.
    """
    if missing := [name for name in _TABLES if not (folder / name).is_file()]:
        raise ValueError(f"{folder} lacks {', '.join(missing)}")
    records = {record["run"]: record for record in _records(folder)}
    listed = pd.read_csv(folder / "runs.csv").set_index("run")
    if set(listed.index) != set(records):
        raise ValueError(f"runs.csv and records/ differ in {sorted(set(listed.index) ^ set(records))[:5]}")
    for run, record in records.items():
        counts = folder / "counts" / f"{run}.csv"
        if not counts.is_file():
            raise ValueError(f"{counts} is missing")
        if not (sha256(counts) == record["counts"] == listed.loc[run, "counts"]):
            raise ValueError(f"{counts} is not what its record and runs.csv say: the digest differs")
    yield f"counts of {len(records)} runs: their digests are those of their records and of runs.csv"
    stored, derived = pd.read_csv(folder / "measures.csv", dtype={"seed": "Int64"}), measures_of(folder)
    names = ["condition", "seed", "measure", "class", "run"]
    if not stored[names].equals(derived[names].astype(stored[names].dtypes)):
        raise ValueError("measures.csv has other rows than the counts give")
    for row, value in zip(stored.itertuples(), derived["value"], strict=True):
        if not _close(row.value, value, tolerance):
            raise ValueError(
                f"measures.csv, {row.run}, {row.measure}: {row.value}, but its counts give {value}"
            )
    yield f"measures: {len(stored)} numbers follow from the counts"
    for old, new in zip(
        files.read_json(folder / "ledger.json"), _ledger(folder, derived, decided), strict=True
    ):
        for key in old.keys() | new.keys():
            a, b = old.get(key), new.get(key)
            same = _close(a, b, 1e-6) if isinstance(a, float) and isinstance(b, float) else a == b
            if not same:
                raise ValueError(
                    f"ledger.json, {old['id']}, {key}: {a}, but the measures and the protocol give {b}"
                )
    yield "ledger: every row follows from the measures and the protocol"


def _close(a: float, b: float, tolerance: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-12)


def _records(folder: Path) -> list[dict]:
    return [files.read_json(path) for path in sorted((folder / "records").glob("*.json"))]


def _curves(folder: Path, histories: Path) -> pd.DataFrame:
    rows = []
    for record in _records(folder):
        path = histories / record["run"] / "history.csv"
        if not path.is_file() or record["run"].startswith("downstream"):
            continue
        history = pd.DataFrame(read_csv(path))
        bins = (history["step"] - 1) // _BIN
        means = history.drop(columns="step").groupby(bins).mean()
        for index, values in means.iterrows():
            last = min(int((index + 1) * _BIN), int(history["step"].iloc[-1]))
            rows += [
                (record["condition"], record["seed"], last, term, float(f"{value:.6g}"))
                for term, value in values.items()
            ]
    return pd.DataFrame(rows, columns=["condition", "seed", "step", "term", "value"])


def _write_table(path: Path, table: pd.DataFrame) -> None:
    files.write_text(path, table.to_csv(index=False, lineterminator="\n"))


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ship(folder: Path, out: Path) -> None:
    """Copy the evidence of a sweep to where it is committed: tables, records and counts, no weights."""
    for part in ("counts", "records"):
        shutil.rmtree(out / part, ignore_errors=True)
        shutil.copytree(folder / part, out / part)
    for name in (*_TABLES, "cost.json"):
        if (folder / name).is_file():
            with files.atomic(out / name) as partial:
                shutil.copyfile(folder / name, partial)
