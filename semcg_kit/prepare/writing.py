"""Plans brought into the common layout: by several processes, with a record of each frame, resumed after a kill."""

import csv
import io
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semcg import files, locks, mappings
from semcg.system import each
from semcg_kit.prepare import frames as one
from semcg_kit.prepare.frames import ARCHIVES, FOLDERS, Frame, Plan, Progress, shown

__all__ = ["Estimate", "check_place", "estimate", "write"]

_COMMANDS = {ARCHIVES: "semcg prepare gta5` or `semcg prepare cityscapes", FOLDERS: "semcg prepare folder"}
Records = dict[tuple[str, str], dict]  # split and name of a frame -> what `frames.write` returned


class Estimate(NamedTuple):
    """What `write` would do.

    Attributes
    ----------
    done, missing : int
        Frames that are there already, and those to be written.
    measured : int
        Frames that were tried.
    seconds_each : float
        Of one process, for a frame.
    bytes, free : int
        To be written, and free on the disk.
    """

    done: int
    missing: int
    measured: int
    seconds_each: float
    bytes: int
    free: int


def write(
    plans: list[Plan], out: Path | str, *, processes: int = 1, progress: Progress | None = None
) -> list[str]:
    """Write domains into `out`; what is there already, complete, is kept.

    Both domains at once, of your own folders, appear in one piece at the end, and what they replace stays until then.
    One domain, of an archive, is written in place; without `manifest.csv`, which comes last, nothing trains.

    Each frame is decoded, checked, resized (images bilinear with antialiasing, labels nearest) and written. A frame that
    is blank, and of an archive also one that does not decode or whose image and label differ in size, is left out;
    `<domain>/left_out.csv` says which and why. Written frames are noted in `<domain>/frames.jsonl`, so that a call that
    was killed, or stopped by a full disk, resumes there.

    Parameters
    ----------
    plans : list of Plan
        One, or both domains.
    out : path
        Folder of both domains; either may come first.
    processes : int
        How many work side by side. The files are the same for any number.
    progress : callable, optional

    Returns
    -------
    list of str
        The domains that `out` still lacks.

    Raises
    ------
    FileExistsError
        If `out` is something else than data written here.
    BlockingIOError
        If another process prepares the same folder.
    ValueError
        If `out` holds files that were not written here, which would be lost; if a domain of an archive is there with
        other settings; if a file of your own folders is not as it should be, or a picture is in both domains or in two
        splits; if more than a tenth of the frames (and more than five) would be left out.
    OSError
        If a file cannot be read or written. What was written before stays for the next call.
    """
    out, real = Path(out), Path(out).resolve()
    with locks.held(real.with_name(f".{real.name}.lock"), f"the preparation of {out}"):
        place = _place(plans, out)
        if all(_is_complete(plan, out) for plan in plans):
            with suppress(FileNotFoundError, ValueError):  # damaged since, or without its other domain
                files.check_manifest(out)
                return []
        if place != out and any(_differs(plan, place) for plan in plans):
            shutil.rmtree(place)
        for plan in plans:
            _write_domain(plan, place, processes, progress)
        if place != out:
            _check_twins(plans, place)
        missing = _combine(place, real.name, plans[0].made_by)
        if place != out:
            files.swap(place, out)
        return missing


def estimate(plans: list[Plan], out: Path | str, *, tries: int = 6) -> Estimate:
    """Return what `write` would do, from the measured time and bytes of a few frames; `out` is left unchanged.

    Raises as `write` does.
    """
    place = _place(plans, Path(out))
    missing = [(plan, frame) for plan in plans for frame in _missing(plan, _kept(plan, place))]
    done, count = sum(len(plan.frames) for plan in plans) - len(missing), min(tries, len(missing))
    with tempfile.TemporaryDirectory() as scratch:
        begun, size = time.perf_counter(), 0
        for plan, frame in (missing[k * len(missing) // count] for k in range(count)):
            record = one.write(Path(scratch), plan.recipe, frame)
            size += sum(row[0] for row in record.get("files", {}).values())
        seconds = (time.perf_counter() - begun) / max(count, 1)
    size = round(size / max(count, 1) * len(missing))
    disk = next(path for path in (place.resolve(), *place.resolve().parents) if path.exists())
    return Estimate(done, len(missing), count, seconds, size, shutil.disk_usage(disk).free)


def check_place(out: Path, made_by: str, inputs: Iterable[Path]) -> None:
    """Refuse a folder that holds an input or is in one, or that holds something else than data of this command."""
    here = out.resolve()
    for given in map(Path.resolve, inputs):
        if here.is_relative_to(given) or given.is_relative_to(here):
            raise ValueError(f"one of {out} and {given} contains the other; write elsewhere")
    # A call killed at its very first write leaves nothing but that file's temporary.
    empty = not any(path.is_file() and not path.name.startswith(".") for path in out.rglob("*"))
    if out.exists() and not (out.is_dir() and (empty or _about(out).get("made_by") == made_by)):
        raise FileExistsError(
            f"{out} exists and is not data that `{_COMMANDS[made_by]}` wrote; remove it or write elsewhere"
        )


def _about(folder: Path) -> dict:
    return files.read_record(folder / "about.json")


def _place(plans: list[Plan], out: Path) -> Path:
    """Return the folder in which frames are written, once it was checked."""
    place = files.unfinished(out) if len(plans) > 1 else out
    for folder in (out, place):
        check_place(folder, plans[0].made_by, [plan.root for plan in plans])
    if place == out and (was := _differs(plans[0], out)):
        raise ValueError(
            f"{out / plans[0].domain}: prepared with {was}, not {_settings(plans[0])}; remove that, or write elsewhere"
        )
    if out.is_dir():
        known = {"about.json", *_rows(out)}
        for domain, parts in {"source": ["source"], "target": ["target", "judge"]}.items():
            known |= {f"{domain}/{name}" for name in ("about.json", "frames.jsonl", "left_out.csv")}
            if _about(out / domain).get("complete") is False:  # a kill leaves frames without a record
                known |= {
                    path.relative_to(out).as_posix() for part in parts for path in (out / part).rglob("*.png")
                }
        files.refuse_added(out, known.__contains__)
    return place


def _settings(plan: Plan) -> dict:
    recipe = plan.recipe
    size = list(recipe.size) if recipe.size else None
    return {"size": size, "keep_aspect": recipe.keep_aspect, "labeled": recipe.labeled} | plan.settings


def _differs(plan: Plan, out: Path) -> dict:
    """Return the settings of what is in `out`, if they are others than those of a plan."""
    was = _about(out / plan.domain).get("settings", {})
    return was if was != _settings(plan) else {}


def _is_complete(plan: Plan, out: Path) -> bool:
    """Whether all of a plan is in `out`, made of the same files in the same way."""
    about = _about(out / plan.domain)
    made = (about.get("complete"), about.get("inputs"), about.get("settings"))
    return made == (True, plan.inputs, _settings(plan))


def _journal(folder: Path) -> Records:
    """Return the records of the frames of a domain; a line that a kill tore is none."""
    records = {}
    with suppress(FileNotFoundError):
        for line in (folder / "frames.jsonl").read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                record = json.loads(line)
                records[record["split"], record["name"]] = record
    return records


def _rows(out: Path, domains: Iterable[str] = files.DOMAINS) -> dict[str, list]:
    """Return what is known of each written file: bytes, CRC-32, pixels of each value, digest of the pixels."""
    records = [record for domain in domains for record in _journal(out / domain).values()]
    return {name: row for record in records for name, row in record.get("files", {}).items()}


def _intact(out: Path, rows: dict[str, list]) -> bool:
    """Whether files are there with the sizes that they were written with."""
    return all((out / n).is_file() and (out / n).stat().st_size == size for n, (size, *_) in rows.items())


def _kept(plan: Plan, out: Path) -> Records:
    """Return the records of the frames that need not be written again."""
    noted, kept = {} if _differs(plan, out) else _journal(out / plan.domain), {}
    for frame in plan.frames:
        record = noted.get((frame.split, frame.name), {})
        # One that was left out is tried again: mended, its file may have as many bytes as before.
        if "files" in record and record["of"] == list(frame.made_of) and _intact(out, record["files"]):
            kept[frame.split, frame.name] = record
    return kept


def _missing(plan: Plan, kept: Records) -> list[Frame]:
    return [frame for frame in plan.frames if (frame.split, frame.name) not in kept]


def _write_domain(plan: Plan, out: Path, processes: int, progress: Progress | None) -> None:
    """Write what is missing of a domain."""
    folder, kept = out / plan.domain, _kept(plan, out)
    missing = _missing(plan, kept)
    if not missing and _is_complete(plan, out):
        return
    _check_left_out(plan, kept)
    # First, so that half of the data is never taken for all.
    (out / "manifest.csv").unlink(missing_ok=True)
    if not (out / "about.json").is_file():
        files.write_json(out / "about.json", {"made_by": plan.made_by})
    about = {"settings": _settings(plan), "labels": plan.recipe.labeled, "inputs": plan.inputs}
    files.write_json(folder / "about.json", about | {"complete": False})
    # What a kill left, and frames whose files have changed or are no longer there.
    keep = {out / name for record in kept.values() for name in record["files"]}
    for path in [path for split in plan.splits for path in (out / split).rglob("*.png") if path not in keep]:
        path.unlink()
    _write_journal(folder, kept)
    show = partial(progress or (lambda *_: None), f"{plan.domain} frames")
    show(len(kept), len(plan.frames))
    path = folder / "frames.jsonl"
    with files.naming(path), open(path, "a", encoding="utf-8", newline="\n") as lines:
        for record in each(partial(one.write, out, plan.recipe), missing, processes):
            lines.write(json.dumps(record) + "\n")
            lines.flush()
            kept[record["split"], record["name"]] = record
            if "left_out" in record:
                _check_left_out(plan, kept)
            show(len(kept), len(plan.frames))
    _finish(plan, folder, about, kept)


def _write_journal(folder: Path, kept: Records) -> None:
    files.write_text(folder / "frames.jsonl", "".join(json.dumps(kept[key]) + "\n" for key in sorted(kept)))


def _check_palettes(plan: Plan, written: list[dict]) -> None:
    """Refuse palettes that give one value two colors."""
    first: dict[str, tuple] = {}
    for record, value, color in ((r, *item) for r in written for item in r.get("colors", {}).items()):
        other, name = first.setdefault(value, (color, record["name"]))
        if other != color:
            raise ValueError(
                f"{plan.domain}: value {value} has the color {tuple(other)} in {name} and {tuple(color)} in "
                f"{record['name']}: an editor numbered the colors of each file anew, so that values mean nothing. Save "
                "them as RGB, and map colors"
            )


def _check_twins(plans: list[Plan], out: Path) -> None:
    """Refuse a picture that is in both domains or in two splits."""
    rows, first = _rows(out), {}
    # By image, since a source that is not divided has each of its frames in every split.
    for frame in {frame.image: frame for plan in plans for frame in plan.frames}.values():
        row = rows.get(f"{frame.split}/images/{frame.name}.png")
        other = first.setdefault(row[3], frame) if row else frame
        if other.split != frame.split:
            raise ValueError(
                f"{other.image} ({other.split}) and {frame.image} ({frame.split}) are the same picture; remove one, or "
                "name sequences (--source-sequence, --target-sequence) that keep them together"
            )


def _left_out(plan: Plan, kept: Records) -> list[tuple[str, str, str]]:
    left_out = [(r["split"], r["name"], r["left_out"]) for r in kept.values() if "left_out" in r]
    return sorted(left_out + plan.left_out)


def _check_left_out(plan: Plan, kept: Records) -> None:
    left_out, of = _left_out(plan, kept), len(plan.frames) + len(plan.left_out)
    if len(left_out) > max(5, of // 10):
        raise ValueError(
            f"of {of} frames of {plan.root} more than a tenth would be left out; {shown(left_out)}. Are all files "
            "complete, and images and labels of one kind?"
        )


def _finish(plan: Plan, folder: Path, about: dict, kept: Records) -> None:
    """Describe a domain all of whose frames are written."""
    written, left_out = [r for r in kept.values() if "files" in r], _left_out(plan, kept)
    splits, sizes = Counter(r["split"] for r in written), {tuple(r["size"]) for r in written}
    plan.check_splits(splits, left_out)
    _check_palettes(plan, written)
    _write_journal(folder, kept)
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("split", "name", "reason"), *left_out])
    files.write_text(folder / "left_out.csv", table.getvalue())
    about |= {
        "complete": True,
        "counts": dict(sorted(splits.items())),
        "size": list(sizes.pop()) if len(sizes) == 1 else None,
        "left_out": len(left_out),
        "notes": plan.notes + [f"{plan.domain}: {note}" for note in _notes(plan, written, left_out)],
    }
    files.write_json(folder / "about.json", about)


def _notes(plan: Plan, written: list[dict], left_out: list) -> list[str]:
    notes, counts = [], np.zeros(256, np.int64)
    if left_out:
        notes.append(f"{len(left_out)} frame(s) left out, see {plan.domain}/left_out.csv")
    if not plan.recipe.labeled:
        return [*notes, "no labels, so nothing that is trained or scored on them"]
    for record in written:
        _, _, pixels, _ = record["files"][f"{record['split']}/labels/{record['name']}.png"]
        counts[[int(value) for value in pixels]] += list(pixels.values())
    shares = ", ".join(f"{name} {share:.1%}" for name, share in mappings.shares(counts).items())
    notes.append(f"shares of the classes: {shares}")
    if odd := mappings.unlikely(counts):
        notes.append(f"warning: implausible for streets: {odd}; is another mapping needed?")
    worst = max(written, key=lambda record: record.get("ignored", 0))
    if worst.get("ignored"):
        share = np.mean([record["ignored"] for record in written])
        notes.append(
            f"{share:.2%} of the label pixels have no color of {plan.recipe.mapping.name} (exactly in PNG, within "
            f"{plan.recipe.max_color_distance:g} in JPEG) and are ignored, for example {tuple(worst['example'])}"
        )
    return notes


def _combine(out: Path, name: str, made_by: str) -> list[str]:
    """Describe what is in `out`, and once both domains are, list every file of it; return what is missing.

    A domain that lacks a file is missing too. Without `manifest.csv` nothing is trained on the data, so half of them
    cannot be taken for all.
    """
    parts = {domain: _about(out / domain) for domain in files.DOMAINS}
    parts = {d: part for d, part in parts.items() if part.get("complete") and _intact(out, _rows(out, [d]))}
    missing = [domain for domain in files.DOMAINS if domain not in parts]
    sizes = {tuple(part["size"] or ()) for part in parts.values()}
    undivided = [domain for domain, part in parts.items() if part["settings"].get("divided") is False]
    about = {
        "data": name,
        "made_by": made_by,
        "oracle": False,
        "labels": {domain: part["labels"] for domain, part in parts.items()},
        "seen_in_training": [f"{domain}/{split}" for domain in undivided for split in ("val", "test")],
        "counts": {split: count for part in parts.values() for split, count in part["counts"].items()},
        "size": list(sizes.pop()) or None if len(sizes) == 1 else None,
        "missing": missing,
        "settings": {domain: part["settings"] for domain, part in parts.items()},
        "notes": [note for part in parts.values() for note in part["notes"]],
    }
    if about != _about(out):
        files.write_json(out / "about.json", about)
    if missing:
        (out / "manifest.csv").unlink(missing_ok=True)
        return missing
    rows = _rows(out)
    if not (out / "manifest.csv").is_file():
        files.write_manifest(out, {name: [*row[:2], _counted(row[2])] for name, row in rows.items()})
    files.remember(out, [out / name for name in rows], {name: row[3] for name, row in rows.items()})
    files.check_manifest(out)
    return missing


def _counted(pixels: dict[str, int] | None) -> str:
    return " ".join(f"{value}:{count}" for value, count in (pixels or {}).items())
