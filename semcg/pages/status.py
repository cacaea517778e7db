"""What the last executions of the notebooks say: how they ended, how long they took, with how much memory, on what."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nbformat

from semcg import files

__all__ = ["FACTOR", "Row", "rows", "stated_seconds", "table"]

FACTOR = 2.0
"""A stated time may differ from the measured one by this factor, either way."""
LEAST = 60.0
"""Seconds below which times are not told apart: the notebooks say "less than a minute"."""


@dataclass(frozen=True)
class Row:
    """The last execution of a notebook under a profile.

    Parameters
    ----------
    state : str
        "ok", "failed", "killed", "stopped", "timeout", "running" or "not run".
    ended : str
        Date of its end, as YYYY-MM-DD HH:MM in UTC; "" if it has none.
    seconds : float, optional
        Of that execution, in which stored trainings were reused.
    whole : float, optional
        Seconds that it takes when nothing is stored, with the time of every training that it makes, by its last
        execution that ended well: that may be an older one.
    memory : int, optional
        Peak of the kernel or of its trainings, in bytes.
    device : str
        "" where neither the execution nor a training says.
    stated : float, optional
        Seconds that the notebook's first cell states for this profile.
    """

    notebook: str
    profile: str
    state: str
    ended: str = ""
    seconds: float | None = None
    whole: float | None = None
    memory: int | None = None
    device: str = ""
    stated: float | None = None
    reason: str = ""

    @property
    def off(self) -> bool:
        """Whether the stated time is wrong by more than `FACTOR`."""
        if self.stated is None or self.whole is None:
            return False
        stated, whole = max(self.stated, LEAST), max(self.whole, LEAST)
        return not 1 / FACTOR <= stated / whole <= FACTOR


def rows(results: Path, notebooks: Path, names: Sequence[str]) -> list[Row]:
    """Read the records of executions.

    Parameters
    ----------
    results : Path
        Folder with one folder per profile; those with a folder `notebooks` are read.
    notebooks : Path
        Where the notebooks lie that state their times.
    names : list of str
        Of the notebooks, without ending; each gets a row per profile that any of them was run under.
    """
    found = []
    for folder in sorted(p.parent for p in Path(results).glob("*/notebooks") if p.is_dir()):
        ours = {name: _newest(folder, name) for name in names}
        if any(record is not None for record, _ in ours.values()):
            for name, (record, path) in ours.items():
                stated = stated_seconds(notebooks / f"{name}.ipynb", folder.name)
                found.append(_row(name, folder, record, path, stated))
    return found


def stated_seconds(notebook: Path, profile: str) -> float | None:
    """Return the seconds that a notebook says it takes to run under a profile, None if it says nothing of that."""
    try:
        first = nbformat.read(notebook, as_version=4).cells[0].source
    except FileNotFoundError:
        return None
    found = re.search(r"<!-- time (\{.*?\}) -->", first)
    kept = json.loads(found[1]) if found else {}
    return kept.get("seconds") if kept.get("profile") == profile else None


def table(found: Sequence[Row]) -> str:
    """Return rows as text, one line each, with a sentence for each that needs one."""
    if not found:
        return "No notebook has been run here; `make course` runs them all."
    lines = [
        f"{'notebook':<22}{'profile':<10}{'state':<10}{'ended (UTC)':<18}{'run':>7}{'whole':>8}{'memory':>9}  device"
    ]
    for row in found:
        memory = "-" if row.memory is None else f"{row.memory / 2**30:.1f} GiB"
        lines.append(
            f"{row.notebook:<22}{row.profile:<10}{row.state:<10}{row.ended or '-':<18}{clock(row.seconds):>7}"
            f"{clock(row.whole):>8}{memory:>9}  {row.device or '-'}"
        )
    lines += [
        "",
        "run: of the last execution, which reuses stored trainings; whole: when nothing is stored, by the last that",
        "ended well. min:s",
    ]
    lines += [f"{r.notebook}, {r.profile}: {r.reason}" for r in found if r.reason]
    lines += [sentence(row) for row in found if row.off]
    return "\n".join(lines)


def sentence(row: Row) -> str:
    """Say what is wrong with a stated time, and what to do."""
    return (
        f"{row.notebook} states {clock(row.stated)} under profile {row.profile}, but takes {clock(row.whole)} (min:s), "
        f"more than {FACTOR:g} times off; `semcg times --profile {row.profile}` writes the measured time"
    )


def clock(seconds: float | None) -> str:
    """Return seconds as min:s, "-" for none."""
    return "-" if seconds is None else f"{round(seconds) // 60}:{round(seconds) % 60:02d}"


def _newest(folder: Path, name: str) -> tuple[dict | None, Path | None]:
    """Return the newest record of a notebook in a profile's folder, however that ended and whatever its seed."""
    for path in _records(folder, name):
        try:
            return files.read_json(path), path
        except ValueError as error:
            return {"status": "failed", "reason": str(error)}, path
    partial = [
        *(folder / "notebooks").glob(f"{name}.partial.ipynb"),
        *(folder / "notebooks").glob(f"{name}-s*.partial.ipynb"),
    ]
    return ({"status": "running"}, None) if partial else (None, None)


def _row(name: str, folder: Path, record: dict | None, path: Path | None, stated: float | None) -> Row:
    if record is None:
        return Row(name, folder.name, "not run", stated=stated)
    ended = "" if path is None else f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d %H:%M}"
    machine = record.get("machine") or _trainings(folder, record)
    return Row(
        name,
        folder.name,
        record["status"],
        ended,
        record.get("seconds"),
        _measured(folder, name),
        machine.get("peak_memory_bytes"),
        machine.get("device", ""),
        stated,
        record.get("reason", ""),
    )


def _trainings(folder: Path, record: dict) -> dict:
    """Return device and peak memory of the trainings that an execution made or reused: the largest, the last device."""
    made: dict = {}
    for run in record.get("why", {}):
        path = folder / run / "provenance.json"
        try:
            one = files.read_json(path)
            made["peak_memory_bytes"] = max(made.get("peak_memory_bytes", 0), one["peak_memory_bytes"])
            made["device"] = one["device"]
        except (OSError, ValueError, KeyError, json.JSONDecodeError):
            continue  # replaced by another since, or still training
    return made


def _records(results: Path, name: str) -> list[Path]:
    folder = results / "notebooks"
    paths = [*folder.glob(f"{name}.json"), *folder.glob(f"{name}-s*.json")]
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def _measured(results: Path, name: str) -> float | None:
    """Return the seconds that a notebook takes when nothing is trained yet, as `semcg times` does."""
    for path in _records(results, name):
        try:
            record = files.read_json(path)
        except ValueError:  # damaged
            continue
        if record.get("status") != "ok":
            continue
        runs = record["why"].keys() | record["trained"].keys()
        provenance = [results / run / "provenance.json" for run in runs]
        if not all(p.is_file() for p in provenance):
            return None
        trained = sum(files.read_json(p)["seconds"] for p in provenance)
        return record["seconds"] - sum(record["trained"].values()) + trained
    return None
