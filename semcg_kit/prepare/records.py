"""What is known of prepared data: a journal per domain, and the one description and manifest made of both."""

import csv
import io
import json
import zlib
from pathlib import Path

from semcg import files
from semcg.runs.reference import MADE_BY

__all__ = [
    "MADE_BY",
    "about_of",
    "check_place",
    "combine",
    "intact",
    "journal",
    "left_out",
    "settle",
    "verify",
]

COMMANDS = {"source": "semcg prepare gta5", "target": "semcg prepare cityscapes"}
"""The command that writes a domain."""


def check_place(out: Path, archive: Path) -> None:
    """Refuse a folder that holds something else, and one that lies in the archive or around it.

    Raises
    ------
    FileExistsError, ValueError
    """
    inside, around = out.resolve(), archive.resolve()
    if inside.is_relative_to(around) or around.is_relative_to(inside):
        raise ValueError(f"{out} and the archive {archive} lie in one another; write elsewhere")
    if not out.exists() or (out.is_dir() and all(p.name.startswith(".") for p in out.iterdir())):
        return
    if out.is_dir() and about_of(out).get("made_by") == MADE_BY:
        return
    raise FileExistsError(
        f"{out} exists and is not data that `{COMMANDS['source']}` or `{COMMANDS['target']}` wrote; remove it or "
        "write elsewhere"
    )


def about_of(folder: Path) -> dict:
    """Return the `about.json` of a folder; {} if there is none that can be read."""
    try:
        about = files.read_json(folder / "about.json")
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def journal(folder: Path) -> dict[tuple[str, str], dict]:
    """Return the records of the frames of a domain by split and name; a line that a kill tore is none."""
    try:
        lines = (folder / "frames.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    records = {}
    for line in lines:
        try:
            record = json.loads(line)
            records[record["split"], record["name"]] = record
        except (ValueError, KeyError, TypeError):
            continue
    return records


def intact(out: Path, record: dict) -> bool:
    """Whether the files of a record lie there with the sizes that they were written with."""
    for name, (size, *_) in record.get("files", {}).items():
        try:
            if (out / name).stat().st_size != size:
                return False
        except FileNotFoundError:
            return False
    return True


def left_out(records: list[dict]) -> str:
    """Return the table of the frames that were left out, as CSV."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["split", "name", "reason"])
    rows.writerows([r["split"], r["name"], r["left_out"]] for r in records if "left_out" in r)
    return table.getvalue()


def settle(path: Path, text: str) -> None:
    """Write a text unless it lies there already."""
    if not path.is_file() or path.read_bytes() != text.encode():
        files.write_text(path, text)


def combine(out: Path) -> list[str]:
    """Describe what lies in `out`, and once both domains do, list every file of it; return what is missing.

    A domain that lacks a file is missing too. Without `manifest.csv` nothing is trained on the data, so half of them cannot be taken for all.
    """
    parts = {domain: about_of(out / domain) for domain in files.DOMAINS}
    parts = {domain: part for domain, part in parts.items() if part.get("complete") and _whole(out, domain)}
    missing = [domain for domain in files.DOMAINS if domain not in parts]
    sizes = {tuple(part["size"] or ()) for part in parts.values()}
    about = {
        "data": out.resolve().name,
        "made_by": MADE_BY,
        "oracle": False,
        "labels": {domain: part["labels"] for domain, part in parts.items()},
        "seen_in_training": [],
        "counts": {split: count for part in parts.values() for split, count in part["counts"].items()},
        "size": list(sizes.pop()) or None if len(sizes) == 1 else None,
        "missing": missing,
        "settings": {domain: part["settings"] for domain, part in parts.items()},
        "inputs": {domain: part["inputs"] for domain, part in parts.items()},
        "notes": [note for part in parts.values() for note in part["notes"]],
    }
    if missing:
        (out / "manifest.csv").unlink(missing_ok=True)
    settle(out / "about.json", json.dumps(about, indent=2) + "\n")
    if not missing:
        settle(out / "manifest.csv", _manifest(out))
        files.check_manifest(out)
    return missing


def verify(out: Path) -> int:
    """Read every file of the data in `out` and compare it with what was written; return the number of files.

    Data of any kind will do; of the archives also one domain alone.

    Raises
    ------
    FileNotFoundError
        If there are no data.
    ValueError
        If files are missing, added, or have other contents; names the first few.
    """
    wrong, read = [], 0
    if about_of(out).get("made_by") != MADE_BY:
        files.check_manifest(out, contents=True)
        return len((out / "manifest.csv").read_text(encoding="utf-8").splitlines()) - 1
    for domain in files.DOMAINS:
        for record in journal(out / domain).values():
            for name, (_, crc, *_) in record.get("files", {}).items():
                read += 1
                if not (out / name).is_file():
                    wrong.append(f"{name} is missing")
                elif f"{zlib.crc32((out / name).read_bytes()):08x}" != crc:
                    wrong.append(f"{name} has other contents")
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if wrong[5:] else "")
        raise ValueError(
            f"the data in {out} are not what was written: {shown}. Remove these files and prepare again: what is "
            "missing is written, and nothing else"
        )
    if (out / "manifest.csv").is_file():
        files.check_manifest(out)
    elif not read:
        raise FileNotFoundError(f"no frame in {out}")
    return read


def _whole(out: Path, domain: str) -> bool:
    return all(intact(out, record) for record in journal(out / domain).values())


def _manifest(out: Path) -> str:
    rows = {}
    for domain in files.DOMAINS:
        for record in journal(out / domain).values():
            for name, (size, crc, pixels) in record.get("files", {}).items():
                rows[name] = [size, crc, " ".join(f"{k}:{v}" for k, v in (pixels or {}).items())]
    own = [
        f"{domain}/{name}"
        for domain in files.DOMAINS
        for name in ("about.json", "frames.jsonl", "left_out.csv")
    ]
    for name in ("about.json", *own):
        content = (out / name).read_bytes()
        rows[name] = [len(content), f"{zlib.crc32(content):08x}", ""]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["name", "bytes", "crc32", "pixels"])
    writer.writerows([name, *rows[name]] for name in sorted(rows))
    return table.getvalue()
