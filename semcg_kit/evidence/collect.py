"""Evidence, run by run, in the folder of the protocol that asked for it, so that a sweep can go on elsewhere.

A finished run is two small files there, its record and its counts. A task whose files are there is not done again.
"""

import datetime
import shutil
import subprocess
from pathlib import Path

from semcg import canary, files, instruments, report
from semcg.protocol import CEILING, UNTRAINED, Protocol, read
from semcg.runs.checkpoint import sha256
from semcg_kit.evidence.oracles import ORACLES
from semcg_kit.evidence.tables import binned
from semcg_kit.sweep.attempt import Task

__all__ = ["collect", "committed", "is_collected"]


def committed(path: Path) -> dict[str, str]:
    """Return the SHA-256 of a protocol, and the commit that it last changed in.

    Raises
    ------
    ValueError
        If it is in no commit as it is: a protocol that can still change decides nothing.
    """

    def git(*question: str) -> str:
        command = ["git", "-C", str(path.resolve().parent), *question, "--", path.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    commit = git("log", "-1", "--format=%H")
    if git("status", "--porcelain") or not commit:
        raise ValueError(f"{path} is not committed as it is: commit it before the first seed is trained")
    return {"sha256": sha256(path), "commit": commit}


def is_collected(task: Task, folder: Path) -> bool:
    """Tell whether every record of a task is in the folder of its protocol; one without records of its own never is."""
    wanted = bool(task.parameters.get("translates", True)) + bool(task.parameters.get("learns", True))
    condition, seed = task.parameters["condition"], task.parameters["seed"]
    records = [record for name, record in report.records(folder).items() if f"-s{seed}" in name]
    found = sum((r["condition"], r["seed"]) == (condition, seed) for r in records)
    return 0 < wanted <= found


def collect(protocol: Path, evidence: Path) -> list[str]:
    """Copy what a sweep measured to where its protocol lies: what belongs to it and is not there yet.

    Parameters
    ----------
    protocol : path
        A committed one; its folder is where the records and counts are put.
    evidence : path
        The evidence folder of the sweep (`semcg_kit.evidence.measuring.evidence_folder`).

    Returns
    -------
    list of str
        Names of the runs that are new there.
    """
    decided, stamp, new = read(protocol), committed(protocol), []
    _check_definitions(decided)
    there = report.records(protocol.parent)
    for run, record in report.records(evidence).items():
        if run in there or not _asked_for(record, decided):
            continue
        if decided.test_frames and record.get("data") != decided.test_frames:
            wanted = f"not on the protocol's {decided.test_frames}"
            raise ValueError(f"{run} in {evidence} was measured on the frames {record.get('data')}, {wanted}")
        counts = protocol.parent / "counts" / f"{run}.csv"
        with files.atomic(counts) as partial:
            shutil.copyfile(evidence / "counts" / counts.name, partial)
        history = evidence.parent / run / "history.csv"
        if history.is_file() and not run.startswith("downstream"):
            curve = binned(history).to_csv(index=False, lineterminator="\n")
            files.write_text(protocol.parent / "curves" / counts.name, curve)
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        path = protocol.parent / "records" / f"{run}.json"
        files.write_json(path, record | {"protocol": stamp, "date": date})
        new.append(run)
    return new


def _check_definitions(decided: Protocol) -> None:
    """Raise ValueError where this code or its instruments are not those that the protocol names."""
    listed = instruments.recorded()
    here = {stage: canary.version(stage) for stage in decided.stages}
    here |= {name: listed.get(name, {}).get("sha256") for name in decided.instruments}
    for name, wanted in (decided.stages | decided.instruments).items():
        if here[name] != wanted:
            raise ValueError(f"{name}: the protocol names {wanted}, here it is {here[name]}")


def _asked_for(record: dict, decided: Protocol) -> bool:
    """Tell whether a record is one of the protocol's, or of what needs no training."""
    if record["seed"] is None:
        return record["condition"] in (*UNTRAINED, CEILING, *ORACLES)
    return any(c.name == record["condition"] and record["seed"] in c.seeds for c in decided.conditions)
