"""What is known of prepared data: a journal per domain, and the one description and manifest made of both."""

import json
import zlib
from pathlib import Path

from semcg import contents, files

__all__ = [
    "ARCHIVES",
    "about_of",
    "check_made_by",
    "combine",
    "intact",
    "journal",
    "settle",
    "verify",
    "write_journal",
]

ARCHIVES = "prepare archives"
"""`made_by` of the archives, by which `semcg.runs.reference` knows them; imported from there, it would bring torch along."""
_COMMANDS = {ARCHIVES: "semcg prepare gta5` or `semcg prepare cityscapes"}


def check_made_by(out: Path, made_by: str) -> None:
    """Refuse a folder that holds something else than data that this command wrote."""
    # A call killed at its very first write leaves nothing but that file's temporary.
    if not out.exists() or (
        out.is_dir() and all(p.name.startswith(".") for p in out.rglob("*") if p.is_file())
    ):
        return
    if not out.is_dir() or about_of(out).get("made_by") != made_by:
        raise FileExistsError(
            f"{out} exists and is not data that `{_COMMANDS.get(made_by, f'semcg {made_by}')}` wrote; remove it or write "
            "elsewhere"
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
    """Whether the files of a record are there with the sizes that they were written with."""
    try:
        return all(
            (out / name).stat().st_size == size for name, (size, *_) in record.get("files", {}).items()
        )
    except FileNotFoundError:
        return False


def combine(out: Path, name: str, made_by: str, seen_in_training: list[str] = ()) -> list[str]:
    """Describe what is in `out`, and once both domains are, list every file of it; return what is missing.

    A domain that lacks a file is missing too. Without `manifest.csv` nothing is trained on the data, so half of them
    cannot be taken for all.
    """
    records = {domain: list(journal(out / domain).values()) for domain in files.DOMAINS}
    parts = {domain: about_of(out / domain) for domain in files.DOMAINS}
    parts = {d: p for d, p in parts.items() if p.get("complete") and all(intact(out, r) for r in records[d])}
    missing = [domain for domain in files.DOMAINS if domain not in parts]
    sizes = {tuple(part["size"] or ()) for part in parts.values()}
    about = {
        "data": name,
        "made_by": made_by,
        "oracle": False,
        "labels": {domain: part["labels"] for domain, part in parts.items()},
        "seen_in_training": list(seen_in_training),
        "counts": {split: count for part in parts.values() for split, count in part["counts"].items()},
        "classes": {domain: part["classes"] for domain, part in parts.items()},
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
        written = {
            n: row for domain in records for r in records[domain] for n, row in r.get("files", {}).items()
        }
        known = {n: [size, crc, _counted(pixels)] for n, (size, crc, pixels, _) in written.items()}
        if not (out / "manifest.csv").is_file():
            files.write_manifest(out, known)
        contents.remember(out, [out / n for n in written], {n: row[3] for n, row in written.items()})
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
    if about_of(out).get("made_by") != ARCHIVES:
        files.check_manifest(out, contents=True)
        return len((out / "manifest.csv").read_text(encoding="utf-8").splitlines()) - 1
    wrong, read = [], 0
    for record in (record for domain in files.DOMAINS for record in journal(out / domain).values()):
        for name, (_, crc, *_) in record.get("files", {}).items():
            read += 1
            if not (out / name).is_file():
                wrong.append(f"{name} is missing")
            elif f"{zlib.crc32((out / name).read_bytes()):08x}" != crc:
                wrong.append(f"{name} has other contents")
    if wrong:
        first = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if wrong[5:] else "")
        raise ValueError(
            f"the data in {out} are not what was written: {first}. Remove these files and prepare again: what is "
            "missing is written, and nothing else"
        )
    if (out / "manifest.csv").is_file():
        files.check_manifest(out)
    elif not read:
        raise FileNotFoundError(f"no frame in {out}")
    return read


def settle(path: Path, text: str) -> None:
    """Write a text unless it is there already."""
    if not path.is_file() or path.read_bytes() != text.encode():
        files.write_text(path, text)


def write_journal(folder: Path, kept: dict) -> None:
    settle(folder / "frames.jsonl", "".join(json.dumps(kept[key]) + "\n" for key in sorted(kept)))


def _counted(pixels: dict[str, int] | None) -> str:
    return " ".join(f"{value}:{count}" for value, count in (pixels or {}).items())
