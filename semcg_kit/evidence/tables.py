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

import pandas as pd

from semcg import canary, claims, evaluate, files, protocol, report
from semcg.runs.checkpoint import read_csv, sha256
from semcg_kit.evidence import costs

__all__ = ["binned", "gather", "measures_of", "pack", "seal", "verify"]

_BIN = 50  # steps in a point of curves.csv
_TABLES = ("runs.csv", "measures.csv", "curves.csv", "ledger.json")
_DIGESTS = "digests.json"
_DERIVED = ("runs.csv", "measures.csv", "ledger.json", _DIGESTS)


def measures_of(folder: Path) -> pd.DataFrame:
    """Return the measures of all records in an evidence folder, computed from their counts.

    Returns
    -------
    DataFrame
        condition, seed, measure, class, value, run; sorted, so that equal evidence gives an equal table. The seed is
        missing where nothing random was trained.
    """
    rows, counts = [], report.stored(folder, "counts")
    for run, record in report.records(folder).items():
        of, (*_, values) = (record["condition"], record["seed"]), _follows(counts[run])
        rows += [(*of, *measure, value, run) for measure, value in values.items()]
    table = pd.DataFrame(rows, columns=["condition", "seed", "measure", "class", "value", "run"])
    table["seed"] = table["seed"].astype("Int64")
    return table.sort_values(["condition", "seed", "run", "measure", "class"], ignore_index=True)


_known: dict[str, tuple] = {}


def _follows(counts: Path | zipfile.Path) -> tuple[list[str], dict[str, list[int]], dict]:
    """Return contradictions, labeled pixels and measures of a run's counts; of equal ones once, as reading takes seconds."""
    digest = hashlib.sha256(counts.read_bytes()).hexdigest()
    if digest not in _known:
        parts = evaluate.read_parts(counts)
        judged = [part for part in ("judge", "downstream") if part in parts]
        labeled = {part: evaluate.counts_of(parts, part).sum(1).tolist() for part in judged}
        _known[digest] = evaluate.parts.contradictions(parts), labeled, evaluate.values(parts)
    return _known[digest]


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
    _write_table(folder / "runs.csv", pd.DataFrame(report.records(folder).values()))
    _write_table(folder / "curves.csv", _curves(folder, histories))
    rows = _ledger(folder, measures, decided)
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
    known = files.read_json(path) if names is not None and path.is_file() else {}
    found = _held(folder) if names is None else names
    known |= {name: sha256(folder / name) for name in found}
    files.write_json(path, dict(sorted(known.items())))


def _held(folder: Path) -> list[str]:
    """Return the names of the files whose digests are kept: all but counts, derived tables and what a sweep keeps."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    beside = ("counts/", "curves/", ".", "judging-")
    return sorted(n for n in names if not n.startswith(beside) and "/." not in n and n not in _DERIVED)


def _ledger(folder: Path, measures: pd.DataFrame, decided: protocol.Protocol) -> list[dict]:
    cost = folder / "cost.json"
    rounds = files.read_json(cost)["seconds"] if cost.is_file() else None
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in claims.ledger(measures, decided, rounds)
    ]


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
    missing = [name for name in (*_TABLES, _DIGESTS) if not (folder / name).is_file()]
    digests = {} if missing else files.read_json(folder / _DIGESTS)
    if missing := missing or [name for name in digests if not (folder / name).is_file()]:
        raise ValueError(f"{folder} lacks {', '.join(missing[:5])}")
    yield _verified_runs(folder)
    if decided.test_frames:
        yield _verified_protocol(folder, decided, path)
    derived = measures_of(folder)
    yield _verified_measures(folder, derived)
    yield _verified_ledger(folder, _ledger(folder, derived, decided), decided)
    for name in _held(folder):
        if name not in digests:
            raise ValueError(f"{folder / name} is not listed in {_DIGESTS}: its origin is unknown")
        if sha256(folder / name) != digests[name]:
            raise ValueError(f"{folder / name} is not what {_DIGESTS} says: the digest differs")
    yield f"files: {len(digests)} that are not derived from counts match {_DIGESTS}"
    if decided.cost and (folder / "cost.json").is_file():
        found = files.read_json(folder / "cost.json")
        for name, counted in costs.recount(found, decided).items():
            if (said := found["operations"].get(name)) != counted:
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
    """Hold counts, records and runs.csv against each other."""
    records, counted = report.records(folder), report.stored(folder, "counts")
    alike: dict[str, str] = {}
    labeled: dict[tuple[str, str | None], tuple[str, list[int]]] = {}
    for run, record in records.items():
        if record.get("run") != run:
            raise ValueError(f"records/{run}.json is of the run {record.get('run')!r}")
        if run not in counted:
            raise ValueError(f"counts/{run}.csv is missing")
        counts = counted[run]
        if hashlib.sha256(counts.read_bytes()).hexdigest() != record["counts"]:
            raise ValueError(f"{counts} is not what its record says: the digest differs")
        if (twin := alike.setdefault(record["counts"], run)) != run:
            raise ValueError(f"counts/{run}.csv is a copy of counts/{twin}.csv: two runs never agree")
        wrong, own, _ = _follows(counts)
        if wrong:
            raise ValueError(f"{counts} contradicts itself: {wrong[0]}")
        for part, pixels in own.items():
            first, expected = labeled.setdefault((part, record.get("data")), (run, pixels))
            if pixels != expected:
                of = f"than in counts/{first}.csv, of the same frames"
                raise ValueError(f"{counts}: {part} counted other labeled pixels {of}")
    if left := sorted(counted.keys() - records.keys()):
        raise ValueError(f"counts/{left[0]}.csv has no record: records/{left[0]}.json is missing")
    made = pd.DataFrame(list(records.values())).to_csv(index=False)
    as_text = {"dtype": str, "keep_default_na": False}
    listed, derived = pd.read_csv(folder / "runs.csv", **as_text), pd.read_csv(io.StringIO(made), **as_text)
    if list(listed) != list(derived):
        raise ValueError(f"runs.csv has the columns {', '.join(listed)}, the records {', '.join(derived)}")
    _same_rows("runs.csv", list(listed["run"]), list(derived["run"]), "records/")
    for old, new in zip(listed.to_dict("records"), derived.to_dict("records"), strict=True):
        for column, value in new.items():
            if not _same_text(old[column], value):
                where = f"runs.csv and records/{new['run']}.json"
                raise ValueError(f"{where} differ in {column}: {old[column]} and {value}")
    return f"counts of {len(records)} runs: they match their records, and runs.csv matches these"


def _verified_protocol(folder: Path, decided: protocol.Protocol, path: Path) -> str:
    """Hold the records against the protocol: this very file, committed before this state, and its test frames."""
    git, records = ["git", "-C", str(path.resolve().parent)], report.records(folder)
    for name, record in records.items():
        if record.get("protocol", {}).get("sha256") != sha256(path):
            raise ValueError(f"records/{name}.json names another protocol than {path}")
        if record.get("data") != decided.test_frames:
            raise ValueError(f"records/{name}.json was measured on other frames than the protocol's")
        if "date" not in record:
            raise ValueError(f"records/{name}.json has no date")
    for commit in {record["protocol"]["commit"] for record in records.values()}:
        later = subprocess.run([*git, "merge-base", "--is-ancestor", commit, "HEAD"], capture_output=True)
        if later.returncode:
            raise ValueError(f"the protocol's commit {commit[:12]} is not in the history of this folder")
    return f"protocol: every record names the committed {path.name} by its SHA-256, and its test frames"


def _verified_measures(folder: Path, derived: pd.DataFrame) -> str:
    stored = pd.read_csv(folder / "measures.csv", dtype={"seed": "Int64"})
    if list(stored) != list(derived):
        raise ValueError(f"measures.csv has the columns {', '.join(stored)}, not {', '.join(derived)}")
    names = ["condition", "seed", "run", "measure", "class"]
    rows = ([", ".join(map(str, row)) for row in t[names].itertuples(index=False)] for t in (stored, derived))
    _same_rows("measures.csv", *rows, "the counts")
    for row, value in zip(stored.itertuples(), derived["value"], strict=True):
        if not _close(row.value, value, 1e-9):
            where = f"measures.csv, {row.run}, {row.measure}"
            raise ValueError(f"{where}: {row.value}, but its counts give {value}")
    return f"measures: {len(stored)} numbers follow from the counts"


def _verified_ledger(folder: Path, derived: list[dict], decided: protocol.Protocol) -> str:
    stored = files.read_json(folder / "ledger.json")
    ids = ([row.get("id") for row in rows] for rows in (stored, derived))
    _same_rows("ledger.json", *ids, "the protocol")
    for old, new in zip(stored, derived, strict=True):
        of_time = decided.cost is not None and new["id"] == decided.cost.claim
        given = "cost.json gives" if of_time else "the measures and the protocol give"
        for key in [*new, *(key for key in old if key not in new)]:
            a, b = old.get(key, "nothing"), new.get(key, "nothing")
            same = _close(a, b, 1e-6) if isinstance(a, float) and isinstance(b, float) else a == b
            if not same:
                raise ValueError(f"ledger.json, {new['id']}, {key}: {a}, but {given} {b}")
    return f"ledger: {len(stored)} rows follow from the measures, the protocol and cost.json"


def _same_rows(name: str, stored: list[str], derived: list[str], source: str) -> None:
    """Compare the names of rows, and say of the first that is missing, too many or elsewhere which it is."""
    there, wanted = set(stored), set(derived)
    if lacking := [row for row in derived if row not in there]:
        raise ValueError(f"{name} lacks the row {lacking[0]}, which follows from {source}")
    if more := [row for row in stored if row not in wanted]:
        raise ValueError(f"{name} has the row {more[0]}, which does not follow from {source}")
    if stored != derived:
        first = next(a for a, b in zip([*stored, ""], [*derived, ""], strict=False) if a != b)
        raise ValueError(f"{name}: the row {first} occurs twice, or not in the order of {source}")


def _same_text(a: str, b: str) -> bool:
    try:
        return a == b or _close(float(a), float(b), 1e-12)
    except ValueError:
        return False


def _close(a: float, b: float, tolerance: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-12)


def binned(history: Path) -> pd.DataFrame:
    """Return a training's losses and gradient norms as means of fifty steps: step (the last of them), term, value."""
    table = pd.DataFrame(read_csv(history))
    steps = ((table["step"] - 1) // _BIN + 1).mul(_BIN).clip(upper=table["step"].iloc[-1])
    means = table.drop(columns="step").groupby(steps).mean()
    means = means.rename_axis(columns="term").stack().rename("value").reset_index()
    return means.assign(value=means["value"].map(lambda value: float(f"{value:.6g}")))


def _curves(folder: Path, histories: Path | None) -> pd.DataFrame:
    """Return the curves of all runs: those in curves.csv, those collected since, and those of this machine's histories."""
    names = ["condition", "seed", "step", "term", "value"]
    table = folder / "curves.csv"
    parts = [pd.read_csv(table) if table.is_file() else pd.DataFrame(columns=names)]
    for run, record in report.records(folder).items():
        kept, history = folder / "curves" / f"{run}.csv", histories and histories / run / "history.csv"
        if kept.is_file() or (history and history.is_file() and not run.startswith("downstream")):
            curve = pd.read_csv(kept) if kept.is_file() else binned(history)
            parts.append(curve.assign(condition=record["condition"], seed=record["seed"]))
    parts = [part[names] for part in parts if len(part)] or parts
    return pd.concat(parts).drop_duplicates(names[:4], keep="last")


def _write_table(path: Path, table: pd.DataFrame) -> None:
    files.write_text(path, table.to_csv(index=False, lineterminator="\n"))


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
