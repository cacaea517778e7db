"""What follows from a sweep's counts: measures, curves and the ledger, which anybody can derive again.

evidence/counts/, records/    what `semcg_kit.evidence.measuring` kept of each run; of a finished sweep in runs.zip.xz
evidence/runs.csv             the records, a row each
evidence/measures.csv         condition, seed, measure, class, value, run: a row per run and measure
evidence/curves.csv           the trainings' losses and gradient norms, means of fifty steps
evidence/cost.json            seconds of each round of the benchmark of a step
evidence/ledger.json          a row for everything that is claimed, with interval, p and verdict
evidence/digests.json         the SHA-256 of every file that does not follow from the counts

Runs, measures and ledger can be derived from counts, records and cost.json. What cannot is held by its digest: that
finds damage and whatever changed unnoticed, and no forger, who would write the digests anew.
"""

import hashlib
import io
import json
import lzma
import math
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from semcg import canary, claims, evaluate, files, protocol, report
from semcg.runs.checkpoint import read_csv, sha256
from semcg_kit.evidence import costs

__all__ = ["binned", "gather", "measures_of", "pack", "seal", "verify"]

_BIN = 50  # steps in a point of curves.csv
_TABLES = ("runs.csv", "measures.csv", "curves.csv", "ledger.json")
_DIGESTS = "digests.json"
_known: dict[str, tuple] = {}  # what follows from counts, by their SHA-256: reading takes seconds
_KEYS = ["condition", "seed", "run", "measure", "class"]
_DERIVED = ("runs.csv", "measures.csv", "ledger.json", _DIGESTS)
_AGAIN = "restore both, or remove them and the -measure.json of that run in sweep/; `semcg sweep` measures it again"


def measures_of(folder: Path) -> pd.DataFrame:
    """Return the measures of all records in an evidence folder, computed from their counts.

    Returns
    -------
    DataFrame
        condition, seed, measure, class, value, run; sorted, so that equal evidence gives an equal table. The seed is
        missing where nothing random was trained.

    Raises
    ------
    ValueError
        If counts are missing, not those that their record names, or contradictory; names the file.
    """
    rows, counted = [], report.stored(folder, "counts")
    labeled: dict[tuple[str, str], tuple[str, list[int]]] = {}
    for run, record in report.records(folder).items():
        if record["run"] != run:
            raise ValueError(f"records/{run}.json is of the run {record['run']!r}: {_AGAIN}")
        if run not in counted:
            raise ValueError(f"counts/{run}.csv is missing: {_AGAIN}")
        digest = hashlib.sha256(counted[run].read_bytes()).hexdigest()
        if digest != record.get("counts"):
            raise ValueError(f"{counted[run]} is not what its record says, the digest differs: {_AGAIN}")
        if digest not in _known:
            parts = evaluate.read_parts(counted[run])
            judged = [part for part in ("judge", "downstream") if part in parts]
            pixels = {part: evaluate.counts_of(parts, part).sum(1).tolist() for part in judged}
            _known[digest] = evaluate.parts.contradictions(parts), pixels, evaluate.values(parts)
        wrong, pixels, values = _known[digest]
        if wrong:
            raise ValueError(f"{counted[run]} contradicts itself: {wrong[0]}")
        for part, own in pixels.items():
            first, expected = labeled.setdefault((part, str(record.get("data"))), (run, own))
            if own != expected:
                of = f"than in counts/{first}.csv, of the same frames"
                raise ValueError(f"{counted[run]}: {part} counted other labeled pixels {of}")
        rows += [(record["condition"], record["seed"], *of, value, run) for of, value in values.items()]
    table = pd.DataFrame(rows, columns=["condition", "seed", "measure", "class", "value", "run"])
    table["seed"] = table["seed"].astype("Int64")
    return table.sort_values(_KEYS, ignore_index=True)


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
    made = {"measures.csv": measures, "runs.csv": pd.DataFrame(report.records(folder).values())}
    for name, table in (made | {"curves.csv": _curves(folder, histories)}).items():
        files.write_text(folder / name, table.to_csv(index=False, lineterminator="\n"))
    cost = folder / "cost.json"
    found = report.read_stored(cost, costs.Cost) if cost.is_file() else None
    rows = claims.ledger(measures, decided, found and found.seconds)
    files.write_text(folder / "ledger.json", json.dumps(rows, indent=1, allow_nan=False) + "\n")
    seal(folder)
    return rows


def seal(folder: Path, names: Sequence[str] | None = None) -> None:
    """Write down the digests of the files of an evidence folder that do not follow from its counts.

    Parameters
    ----------
    names : sequence of str, optional
        Of files in the folder: only their digests are renewed. All without it.
    """
    path = folder / _DIGESTS
    known = report.read_stored(path, dict[str, str]) if names is not None and path.is_file() else {}
    found = _held(folder) if names is None else names
    known |= {name: sha256(folder / name) for name in found}
    files.write_json(path, dict(sorted(known.items())))


def _held(folder: Path) -> list[str]:
    """Return the names of the files whose digests are kept: all but counts, derived tables and what a sweep keeps."""
    paths = (p for p in folder.rglob("*") if p.is_file() and p.name not in files.STRAY)
    names = (p.relative_to(folder).as_posix() for p in paths)
    beside = ("counts/", "curves/", ".", "judging-")
    return sorted(n for n in names if not n.startswith(beside) and "/." not in n and n not in _DERIVED)


def verify(folder: Path, decided: protocol.Protocol, *, path: Path = protocol.DEFAULT) -> Iterator[str]:
    """Derive every number of an evidence folder from its counts, and yield what was checked or is broken.

    Numbers are compared within 1e-9 relative, those of the ledger within 1e-6: another version of scipy or
    pandas may round otherwise. Nothing is written.

    Parameters
    ----------
    path : path
        The file of `decided`, which the records name by its SHA-256.

    Yields
    ------
    str
        A line for each link that holds, in the order of the chain.

    Raises
    ------
    ValueError
        At the first link that does not hold; names the file.
    """
    known = folder / _DIGESTS
    digests = report.read_stored(known, dict[str, str]) if known.is_file() else {_DIGESTS: ""}
    if missing := [name for name in (*_TABLES, *digests) if not (folder / name).is_file()]:
        raise ValueError(f"{folder} lacks {', '.join(missing[:5])}")
    derived = measures_of(folder)
    yield _verified_runs(folder)
    if decided.test_frames:
        yield _verified_protocol(folder, decided, path)
    _same_table(folder / "measures.csv", derived, _KEYS, "the counts")
    yield f"measures: {len(derived)} numbers follow from the counts"
    cost = folder / "cost.json"
    found = report.read_stored(cost, costs.Cost) if cost.is_file() else None
    rows = claims.ledger(derived, decided, found and found.seconds)
    stored = report.read_stored(folder / "ledger.json", list[dict[str, Any]])
    source = "the measures, the protocol and cost.json"
    _same("ledger.json", stored, rows, ["id"], source, 1e-6)
    yield f"ledger: {len(stored)} rows follow from {source}"
    for name in sorted({*_held(folder), *digests}):  # also what is behind a link to a folder
        if name not in digests:
            raise ValueError(f"{folder / name} is not listed in {_DIGESTS}: its origin is unknown")
        if sha256(folder / name) != digests[name]:
            raise ValueError(f"{folder / name} is not what {_DIGESTS} says: the digest differs")
    yield f"files: {len(digests)} that are not derived from counts match {_DIGESTS}"
    if decided.cost and found:
        for name, counted in costs.recount(found, decided).items():
            if (said := found.operations.get(name)) != counted:
                raise ValueError(f"cost.json, operations, {name}: {said}, but a recount gives {counted}")
        yield "cost: recounted operations of a step match cost.json"
    yield _verified_code(decided)


def _verified_code(decided: protocol.Protocol) -> str:
    """Compare what this code computes with the versions that the protocol names: those of the code of the runs."""
    versions = {stage: canary.version(stage) for stage in ("segmenter", "translation", "measures")}
    for stage, name in versions.items():
        if "unreleased" in name:
            moved = canary.difference(canary.compute(stage), list(canary.released(stage).values())[-1])
            raise ValueError(f"this code computes {name}, not a released version of {stage}: {moved}")
    asked = decided.stages or {stage: f"{stage}-1" for stage in versions}
    later = [f"{asked[stage]} is {name} here" for stage, name in versions.items() if name != asked[stage]]
    more = f"; {', '.join(later)}" if later else ""
    return f"code: trains and measures like the code of the runs ({', '.join(asked.values())}){more}"


def _verified_runs(folder: Path) -> str:
    """Hold the names of the counts and runs.csv against the records."""
    records, alike = report.records(folder), {}
    for run, record in records.items():
        if (twin := alike.setdefault(record["counts"], run)) != run:
            raise ValueError(f"counts/{run}.csv is a copy of counts/{twin}.csv: two runs never agree")
    if left := sorted(report.stored(folder, "counts").keys() - records.keys()):
        raise ValueError(f"counts/{left[0]}.csv has no record: records/{left[0]}.json is missing")
    _same_table(folder / "runs.csv", pd.DataFrame(records.values()), ["run"], "the records")
    return f"counts of {len(records)} runs: they match their records, and runs.csv matches these"


def _verified_protocol(folder: Path, decided: protocol.Protocol, path: Path) -> str:
    """Hold the records against the protocol: this very file, committed before this state, and its test frames."""
    git, records = ["git", "-C", str(path.resolve().parent)], report.records(folder)
    for name, record in records.items():
        stamp = record.get("protocol")
        if not isinstance(stamp, dict) or stamp.get("sha256") != sha256(path):
            raise ValueError(f"records/{name}.json names another protocol than {path}")
        if record.get("data") != decided.test_frames:
            raise ValueError(f"records/{name}.json was measured on other frames than the protocol's")
        if "date" not in record:
            raise ValueError(f"records/{name}.json has no date")
    for commit in {str(record["protocol"].get("commit")) for record in records.values()}:
        later = subprocess.run([*git, "merge-base", "--is-ancestor", commit, "HEAD"], capture_output=True)
        if later.returncode:
            raise ValueError(f"the protocol's commit {commit[:12]} is not in the history of this folder")
    return f"protocol: every record names the committed {path.name} by its SHA-256, and its test frames"


def _same_table(path: Path, derived: pd.DataFrame, keys: list[str], source: str) -> None:
    """Hold a stored table against what follows from its source, as text."""
    as_text = {"dtype": str, "keep_default_na": False}
    derived = pd.read_csv(io.StringIO(derived.to_csv(index=False)), **as_text)
    rows = (table.to_dict("records") for table in (report.read_stored(path, [], **as_text), derived))
    _same(path.name, *rows, keys, source, 1e-9)


def _same(name: str, stored: list, derived: list, keys: list[str], source: str, tolerance: float) -> None:
    """Compare rows, which some keys name, and say of the first that differs where it does."""
    there, wanted = ([", ".join(str(row.get(key)) for key in keys) for row in t] for t in (stored, derived))
    seen, known = set(there), set(wanted)
    if lacking := [row for row in wanted if row not in seen]:
        raise ValueError(f"{name} lacks the row {lacking[0]}, which follows from {source}")
    if more := [row for row in there if row not in known]:
        raise ValueError(f"{name} has the row {more[0]}, which does not follow from {source}")
    if there != wanted:
        first = next(a for a, b in zip([*there, ""], [*wanted, ""], strict=False) if a != b)
        raise ValueError(f"{name}: the row {first} occurs twice, or not in the order of {source}")
    for row, old, new in zip(there, stored, derived, strict=True):
        for key in [*new, *(key for key in old if key not in new)]:
            a, b = old.get(key, "nothing"), new.get(key, "nothing")
            if not _agree(a, b, tolerance):
                raise ValueError(f"{name}, {row}, {key}: {a}, but {source} give {b}")


def _agree(a: object, b: object, tolerance: float) -> bool:
    """Tell whether two values, or numbers as text, are the same within a relative tolerance."""
    try:
        x, y = float(a), float(b)
    except (TypeError, ValueError):
        return a == b
    near = math.isclose(x, y, rel_tol=tolerance, abs_tol=1e-12) or (math.isnan(x) and math.isnan(y))
    return near and type(a) is type(b)


def binned(history: Path) -> pd.DataFrame:
    """Return a training's losses and gradient norms as means of fifty steps: step (the last of them), term, value."""
    table = pd.DataFrame(read_csv(history))
    if "step" not in table:  # an empty file
        return pd.DataFrame(columns=["step", "term", "value"])
    steps = ((table["step"] - 1) // _BIN + 1).mul(_BIN).clip(upper=table["step"].iloc[-1])
    means = table.drop(columns="step").groupby(steps).mean()
    means = means.rename_axis(columns="term").stack().rename("value").reset_index()
    return means.assign(value=means["value"].map(lambda value: float(f"{value:.6g}")))


def _curves(folder: Path, histories: Path | None) -> pd.DataFrame:
    """Return the curves of all runs: those in curves.csv, those collected since, and those of this machine's histories."""
    names = ["condition", "seed", "step", "term", "value"]
    table = folder / "curves.csv"
    parts = [report.read_stored(table, names) if table.is_file() else pd.DataFrame(columns=names)]
    for run, record in report.records(folder).items():
        kept, history = folder / "curves" / f"{run}.csv", histories and histories / run / "history.csv"
        if kept.is_file() or (history and history.is_file() and not run.startswith("downstream")):
            curve = report.read_stored(kept, names[2:]) if kept.is_file() else binned(history)
            parts.append(curve.assign(condition=record["condition"], seed=record["seed"]))
    parts = [part[names] for part in parts if len(part)] or parts
    return pd.concat(parts).drop_duplicates(names[:4], keep="last")


def pack(folder: Path) -> Path:
    """Put the records and counts of an evidence folder into one file, and return its path.

    Curves of single runs, which `gather` has put into curves.csv, go too.
    """
    packed = folder / report.PACKED
    with (
        files.atomic(packed) as partial,
        lzma.open(partial, "wb") as file,
        zipfile.ZipFile(file, "w") as archive,
    ):
        for part in ("records", "counts"):
            for place in report.stored(folder, part).values():
                # The date of the format's beginning, so that equal runs give equal bytes.
                archive.writestr(zipfile.ZipInfo(f"{part}/{place.name}"), place.read_bytes())
    for part in ("records", "counts", "curves"):
        shutil.rmtree(folder / part, ignore_errors=True)
    return packed
