"""What an evidence folder holds, as tables, and its verdicts as the pages of the repository print them.

A run is two files there, records/<run>.json and counts/<run>.csv; `semcg ship` packs those of a finished sweep into runs.zip.xz.

No condition is named here: which ones are compared, and in what they differ, follows from the protocol.
"""

import io
import json
import logging
import lzma
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, TypeAdapter, ValidationError

from semcg import claims, evaluate, files
from semcg import config as configs
from semcg.labels import names
from semcg.protocol import REFERENCE, Protocol

FLOOR = "floor.json"
"""What each reading of Eq. (4) charges the perfect translation, in an evidence folder."""
PACKED = "runs.zip.xz"
"""Records and counts of a finished sweep, in an evidence folder: compressed as a whole, since runs are alike."""
_ENDINGS = {"records": ".json", "counts": ".csv"}


class Record(BaseModel, extra="allow"):
    """What every record of a measured run says, among other things."""

    run: str
    condition: str
    seed: int | None


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
    """Return where the "records" or the "counts" of each run are, by its name, sorted; packed or not.

    Other files there, hidden ones and those of an interrupted copy among them, are passed over.
    """
    packed, roots = folder / PACKED, [folder]
    if packed.is_file():
        try:
            archive = zipfile.ZipFile(io.BytesIO(lzma.decompress(packed.read_bytes())))
        except (lzma.LZMAError, zipfile.BadZipFile) as error:
            raise ValueError(f"{packed} is damaged ({error}): get it again") from None
        archive.filename = str(packed)
        roots = [zipfile.Path(archive), folder]
    places = [place for root in roots if (root / part).is_dir() for place in (root / part).iterdir()]
    found = {p.stem: p for p in places if p.suffix == _ENDINGS[part] and not p.name.startswith(".")}
    return dict(sorted(found.items()))


def records(folder: Path) -> dict[str, dict]:
    """Return the records of an evidence folder by their names; a damaged one counts as not stored, and is named."""
    found = {}
    for name, place in stored(folder, "records").items():
        try:
            found[name] = read_stored(place, Record).model_dump()
        except ValueError as error:
            logging.getLogger("semcg").warning("%s; it counts as not stored", error)
    return found


def read_stored(path: Path | zipfile.Path, kind: Any, **options: Any) -> Any:
    """Return what a file of an evidence folder holds, once it is of this kind.

    Parameters
    ----------
    kind : type or list of str
        Of JSON and TOML a type, as pydantic reads it. Of a table (CSV) the columns that it must have.
    **options
        For `pandas.read_csv`.

    Raises
    ------
    ValueError
        If it is not; names the file and the first thing that is wrong.
    """
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path, **options)
            table[kind]  # raises where one is missing
            return table
        loads = tomllib.loads if path.suffix == ".toml" else json.loads
        return TypeAdapter(kind).validate_python(loads(path.read_text(encoding="utf-8-sig")))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        what = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            what = ".".join(map(str, [*first["loc"], first["msg"]]))
        raise ValueError(f"{path} is damaged ({what}): restore it, or let semcg write it again") from None


def tables(folder: Path, protocol: Protocol) -> tuple[pd.DataFrame, list[dict], pd.DataFrame]:
    """Return measures, ledger and curves of an evidence folder, without seeds that the protocol does not report."""
    measures = read_stored(folder / "measures.csv", ["condition", "seed"], dtype={"seed": "Int64"})
    curves = read_stored(folder / "curves.csv", ["condition", "seed"])
    measures = measures[measures["seed"].isna() | measures["seed"].isin(protocol.seeds)]
    ledger = read_stored(folder / "ledger.json", list[dict[str, Any]])
    return measures, ledger, curves[curves["seed"].isin(protocol.seeds)]


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
    settings, common = {}, configs.make(protocol.profile, **protocol.settings)
    for condition in protocol.conditions:
        if condition.parameters.get("translates", True):
            settings[condition.name] = common.changed(condition.parameters).model_dump()
    first, second = (settings[name] for name in pair(protocol))
    apart = {}
    for name, mine in settings.items():
        other = second if mine["lambda_s"] else first
        apart[name] = {k: v for k, v in mine.items() if v != other[k]}
    return apart


def labeled_pixels(folder: Path) -> pd.DataFrame:
    """Return the labeled pixels of the test frames: a row per class, a column per domain that was scored."""
    runs, pixels = read_stored(folder / "runs.csv", ["run"], dtype={"run": str})["run"], {}
    for where, part, run in (
        ("source/test", "judge", runs[runs == "identity"]),
        ("target/test", "downstream", runs[runs.str.startswith("downstream")]),
    ):
        if len(run):
            parts = evaluate.read_parts(stored(folder, "counts")[run.iloc[0]])
            pixels[where] = evaluate.counts_of(parts, part).sum(1)
    return pd.DataFrame(pixels, index=names())


# ---------------------------------------------------------------- verdicts as Markdown


def limits(ledger: Sequence[Mapping], protocol: Protocol) -> str:
    """Return where the verdicts hold: data, size, seeds, and what none of it says."""
    counted = sorted({row["seeds"] for row in ledger if row["primary"] and row["seeds"]}) or [0]
    seeds = " to ".join(map(str, sorted({counted[0], counted[-1]})))
    size = "x".join(map(str, configs.make(protocol.profile, **protocol.settings).size))
    return (
        f"Here: synthetic streets at {size} (profile {protocol.profile}), {seeds} of {len(protocol.seeds)} paired seeds, one "
        "pair of segmenters, one world. Nothing below is measured on GTA5 or Cityscapes."
    )


def claims_table(ledger: Sequence[Mapping], protocol: Protocol) -> str:
    """Return a line per claim of the paper: its words, the numbers that test it, and the verdict, also with the half skip."""
    families = ["", *(f", {name}" for name in protocol.families if name.endswith("skip"))]
    columns = {"claim": "", "words": "the paper says", "changes": " → ".join(pair(protocol))}
    columns |= {end: f"verdict{end}" for end in families}
    rows = []
    for claim in claims.CLAIMS:
        ours = [row for row in ledger if row["claim"] == claim.id]
        deciding = [row for row in ours if row["primary"]] or ours[:1]
        verdicts = {end: claims.claim_verdict(ledger, claim.id + end) for end in families}
        if ours:
            changes = _changes(deciding, pair(protocol)[0])
            rows.append({"claim": claim.id, "words": f"“{claim.words}”", "changes": changes} | verdicts)
    return _table(columns, rows)


def _changes(rows: Sequence[Mapping], plain: str) -> str:
    """Return "measure a → b", or "measure class a → b, class a → b"; a comparator other than `plain` is named."""
    text = ""
    for measure in dict.fromkeys(row["measure"] for row in rows):
        ours = [row for row in rows if row["measure"] == measure]
        changes = [
            f"{'' if row['class'] == 'all' else row['class'].removesuffix(' (category)') + ' '}"
            + ("not measured" if row["mean_a"] is None else f"{row['mean_a']:.3f} → {row['mean_b']:.3f}")
            for row in ours
        ]
        text += f"{'; ' if text else ''}{measure} {', '.join(changes)}"
    others = dict.fromkeys(row["condition_a"] for row in rows if row["condition_a"] != plain)
    return text + "".join(f" (left: {name})" for name in others)


def rows_table(ledger: Sequence[Mapping], protocol: Protocol) -> str:
    """Return every primary row with its own p: the claims of the paper, the same with the half skip, and what goes beyond."""
    plain, semantic = pair(protocol)
    shown = [row for row in ledger if row["primary"] or row["id"] == row["claim"]]
    of_paper = [row for claim in claims.CLAIMS for row in shown if row["claim"] == claim.id]
    common = {"row": "row", "measure": "measure"}
    numbers = {"interval": "difference, 95 % interval", "p": "p", "holm": "p (Holm)", "verdict": "verdict"}
    columns = common | {"a": plain, "b": semantic} | numbers
    skipped = {_asked(row): row for row in ledger if row["claim"].endswith(", half skip")}
    rows = [_cells(row, plain) for row in of_paper]
    if skipped:
        beside = {"difference": "half skip: difference", "holm": "p (Holm)", "verdict": "verdict"}
        columns |= {f"half {key}": head for key, head in beside.items()}
        for cells, row in zip(rows, of_paper, strict=True):
            twin = _cells(skipped[_asked(row)], plain) if _asked(row) in skipped else {}
            cells |= {f"half {key}": twin.get(key, "") for key in beside}
    text = [limits(ledger, protocol), "", _table(columns, rows)]
    others = [row for row in ledger if row not in of_paper and row not in skipped.values()]
    further = [row for row in others if row["primary"] and row["claim"] in protocol.hypotheses]
    if further:
        columns = common | {"a named": "compared with", "b named": "has"} | numbers
        text += ["", _table(columns, [_cells(row, plain) for row in further])]
    return "\n".join(text)


def _asked(row: Mapping) -> tuple:
    """Return the claim without its family, and what is measured: what a row with the half skip has in common with its twin."""
    return row["claim"].partition(",")[0], row["measure"], row["class"]


def _named(row: Mapping, side: str) -> str:
    name, mean = row[f"condition_{side}"], row[f"mean_{side}"]
    return name if mean is None or name == f"{mean:g}" else f"{name}: {mean:.3f}"


def _cells(row: Mapping, plain: str) -> dict[str, str]:
    """Return what tables show of a row of the ledger; "a" names the comparator where it is not the plain condition."""
    cells = {
        "row": row["id"],
        "measure": row["measure"] + ("" if row["class"] == "all" else f", {row['class']}"),
        "a": _number(row["mean_a"], ".3f"),
        "b": _number(row["mean_b"], ".3f"),
        "a named": _named(row, "a"),
        "b named": _named(row, "b"),
        "difference": "-",
        "interval": "-",
        "p": _number(row["p"], ".4f"),
        "holm": _number(row["p_holm"], ".4f"),
        "verdict": row["verdict"],
    }
    if row["condition_a"] != plain:
        cells["a"] += f" ({row['condition_a']})"
    if row["difference"] is not None:
        sign, form = ("x ", ".2f") if row.get("rounds") else ("", "+.3f")
        cells["difference"] = f"{sign}{row['difference']:{form}}"
        cells["interval"] = f"{cells['difference']} [{row['low']:{form}}, {row['high']:{form}}]"
    return cells


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _table(columns: Mapping[str, str], rows: Iterable[Mapping[str, str]]) -> str:
    """Return rows as a table in Markdown; `columns` is the key of a cell -> the head above it."""
    lines = [columns.values(), ["---"] * len(columns), *([cells[key] for key in columns] for cells in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
