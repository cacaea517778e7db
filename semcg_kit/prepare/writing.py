"""Plans brought into the common layout: by several processes, with a record of each frame, resumed after a kill."""

import csv
import io
import json
import shutil
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semcg import files, mappings
from semcg.system import each
from semcg_kit.prepare import frames as one
from semcg_kit.prepare.plans import Plan, Progress, shown
from semcg_kit.prepare.records import about_of, check_made_by, combine, intact, journal, settle, write_journal

__all__ = ["Estimate", "estimate", "folder", "write"]


class Estimate(NamedTuple):
    """What `write` would do."""

    done: int
    """Frames that are there already."""
    missing: int
    measured: int
    """Frames that were tried."""
    seconds_each: float
    """Of one process, for a frame."""
    bytes: int
    """To be written."""
    free: int
    """Bytes that are free on the disk."""


def write(
    plan: Plan,
    out: Path | str,
    *,
    processes: int = 1,
    progress: Progress | None = None,
) -> list[str]:
    """Write the domain of an archive into `out`; what is there already, complete, is kept.

    All labels are inspected before anything is written. Then each frame is decoded, checked, resized (images
    bilinear with antialiasing, labels nearest) and written. A frame that does not decode, whose image and label differ
    in size, or that is blank, is left out; `<domain>/left_out.csv` says which and why. Written frames are noted in
    `<domain>/frames.jsonl`, so that a call that was killed, or stopped by a full disk, resumes there.

    Parameters
    ----------
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
    ValueError
        If the labels are no label ids; if the domain is there with other settings; if more than a tenth of the
        frames (and more than five) would be left out.
    OSError
        If a file cannot be read or written. What was written before stays for the next call.
    """
    out = Path(out)
    _check_place(plan, out)
    _write_domain(plan, out, processes, progress)
    return combine(out, out.resolve().name, plan.made_by)


def folder(
    out: Path | str, plans: list[Plan], *, processes: int = 1, progress: Progress | None = None
) -> Path:
    """Write both domains of your own folders; what they replace stays until they are complete.

    Data that are there already with the same inputs and settings are kept.

    Parameters
    ----------
    out : path
        Folder to write, commonly `data/<name>`.
    plans : list of Plan
        From `plans`, for the source and the target.
    processes, progress
        As in `write`.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    FileExistsError
        If `out` is something else than data written by this function.
    OSError
        If a file cannot be written. What was written before stays in `<out>.partial` for the next call.
    """
    out = Path(out)
    partial_, name = files.unfinished(out), out.resolve().name
    for folder in (out, partial_):
        check_made_by(folder, plans[0].made_by)
    if all(_is_done(plan, out) for plan in plans):
        try:
            files.check_manifest(out)
            return out
        except (FileNotFoundError, ValueError):
            pass  # damaged since; to be written again
    begun = [(plan, about_of(partial_ / plan.domain)) for plan in plans]
    if any(
        about and (about["inputs"] != p.inputs or about["settings"] != _settings(p)) for p, about in begun
    ):
        shutil.rmtree(partial_)
    for plan in plans:
        _write_domain(plan, partial_, processes, progress)
    undivided = [plan.domain for plan in plans if plan.settings.get("divided") is False]
    seen = [f"{domain}/{split}" for domain in undivided for split in ("val", "test")]
    combine(partial_, name, plans[0].made_by, seen)
    files.swap(partial_, out)
    return out


def estimate(
    plan: Plan,
    out: Path | str,
    *,
    tries: int = 6,
) -> Estimate:
    """Say what `write` would do, from the measured time and bytes of a few frames; `out` is left unchanged.

    Raises as `write` does.
    """
    out = Path(out)
    _check_place(plan, out)
    kept = _kept(plan, out)
    missing = [f for f in plan.frames if (f.split, f.name) not in kept]
    count = min(tries, len(missing))
    tried = [missing[(2 * k + 1) * len(missing) // (2 * count)] for k in range(count)]
    disk = next(p for p in (out.resolve(), *out.resolve().parents) if p.exists())
    with tempfile.TemporaryDirectory() as scratch:
        begun, written = time.perf_counter(), []
        for frame in tried:
            one.inspect(plan.recipe, frame)
            written.append(one.write(Path(scratch), plan.recipe, frame))
        seconds = (time.perf_counter() - begun) / max(count, 1)
    sizes = [sum(size for size, *_ in record["files"].values()) for record in written if "files" in record]
    each_bytes = sum(sizes) / max(len(sizes), 1)
    free = shutil.disk_usage(disk).free
    return Estimate(len(kept), len(missing), count, seconds, round(each_bytes * len(missing)), free)


def _check_place(plan: Plan, out: Path) -> None:
    """Refuse a folder that holds something else or other settings, and one in the archive or around it."""
    inside, around = out.resolve(), plan.root.resolve()
    if inside.is_relative_to(around) or around.is_relative_to(inside):
        raise ValueError(f"one of {out} and the archive {plan.root} contains the other; write elsewhere")
    check_made_by(out, plan.made_by)
    if changed := _changed(plan, about_of(out / plan.domain)):
        place = f"{out / 'target'} and {out / 'judge'}" if plan.domain == "target" else str(out / "source")
        raise ValueError(f"{place}: prepared with {', '.join(changed)}; remove that, or write elsewhere")


def _settings(plan: Plan) -> dict:
    size = list(plan.recipe.size) if plan.recipe.size else None
    return {"size": size, "keep_aspect": plan.recipe.keep_aspect, "labeled": plan.labeled} | plan.settings


def _changed(plan: Plan, about: dict) -> list[str]:
    was, wanted = about.get("settings", {}), _settings(plan)
    return [
        f"{name} = {was[name]}, not {wanted[name]}"
        for name in wanted
        if name in was and was[name] != wanted[name]
    ]


def _is_done(plan: Plan, out: Path) -> bool:
    about = about_of(out / plan.domain)
    return (
        bool(about.get("complete"))
        and about["inputs"] == plan.inputs
        and about["settings"] == _settings(plan)
    )


def _kept(plan: Plan, out: Path) -> dict[tuple[str, str], dict]:
    """Return the records of the frames that need not be written again."""
    noted, kept = journal(out / plan.domain), {}
    for frame in plan.frames:
        record = noted.get((frame.split, frame.name), {})
        # One that was left out is tried again: mended, its file may have as many bytes as before.
        if "files" in record and record["of"] == list(frame.made_of) and intact(out, record):
            kept[frame.split, frame.name] = record
    return kept


def _write_domain(plan: Plan, out: Path, processes: int, progress: Progress | None) -> None:
    """Write what is missing of a domain."""
    folder, kept = out / plan.domain, _kept(plan, out)
    missing = [f for f in plan.frames if (f.split, f.name) not in kept]
    if not missing and _is_done(plan, out):
        return
    if not plan.checked and plan.labeled and about_of(out / plan.domain).get("inputs") != plan.inputs:
        _inspect(plan, processes, progress)
    _check_left_out(plan, kept)
    # First, so that half of the data is never taken for all.
    (out / "manifest.csv").unlink(missing_ok=True)
    about = {"settings": _settings(plan), "labels": plan.labeled, "inputs": plan.inputs, "complete": False}
    if not (out / "about.json").is_file():
        files.write_json(out / "about.json", {"made_by": plan.made_by})
    files.write_json(folder / "about.json", about)
    _tidy(plan, out, kept)
    of = len(plan.frames)
    if progress:
        progress("frames", len(kept), of)
    work = partial(one.write, out, plan.recipe)
    with open(folder / "frames.jsonl", "a", encoding="utf-8", newline="\n") as lines:
        for record in each(work, missing, min(processes, max(len(missing), 1))):
            try:
                lines.write(json.dumps(record) + "\n")
                lines.flush()
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(folder / "frames.jsonl")) from error
            kept[record["split"], record["name"]] = record
            if "left_out" in record:
                _check_left_out(plan, kept)
            if progress:
                progress("frames", len(kept), of)
    _finish(plan, folder, about, kept)


def _inspect(plan: Plan, processes: int, progress: Progress | None) -> None:
    """Refuse labels that are no label ids, by the values of all of them."""
    labeled, seen, values = [f for f in plan.frames if f.label], 0, set()
    for inspection in each(partial(one.inspect, plan.recipe), labeled, processes):
        seen, values = seen + 1, values | inspection.stored
        if progress:
            progress("labels inspected", seen, len(labeled))
    if not values:
        raise ValueError(f"no label in {plan.root} decodes; the first is {labeled[0].label}")
    if not values & set(range(19, 34)):
        raise ValueError(
            f"the labels of {plan.root} hold train ids, not label ids: of {len(labeled)} files none has a value in "
            f"19..33 (they hold {', '.join(map(str, sorted(values)[:20]))}). Take the files as published; if they really "
            "hold train ids, `semcg prepare folder` reads them"
        )


def _tidy(plan: Plan, out: Path, kept: dict) -> None:
    """Remove what a kill left, and frames whose files have changed or are no longer there."""
    for split in (*plan.splits, plan.domain):
        for torn in (out / split).rglob(".*.partial*"):
            torn.unlink()
    for key, record in journal(out / plan.domain).items():
        if key not in kept:
            for name in record.get("files", {}):
                (out / name).unlink(missing_ok=True)
    write_journal(out / plan.domain, kept)


def _check_left_out(plan: Plan, kept: dict) -> None:
    gone, of = _left_out(plan, kept), len(plan.frames) + len(plan.left_out)
    if len(gone) > max(5, of // 10):
        raise ValueError(
            f"of {of} frames of {plan.root} more than a tenth would be left out; {shown(gone)}. Are all files "
            "complete, and images and labels of one kind?"
        )


def _left_out(plan: Plan, kept: dict) -> list[tuple[str, str, str]]:
    return sorted(
        [(r["split"], r["name"], r["left_out"]) for r in kept.values() if "left_out" in r] + plan.left_out
    )


def _finish(plan: Plan, folder: Path, about: dict, kept: dict) -> None:
    """Describe a domain all of whose frames are written."""
    written = [record for record in kept.values() if "files" in record]
    splits, gone = Counter(record["split"] for record in written), _left_out(plan, kept)
    if empty := [split for split in plan.splits if not splits[split]]:
        raise ValueError(f"no frame is left for {', '.join(empty)}; {shown(gone)}")
    counts, notes, sizes = np.zeros(256, np.int64), list(plan.notes), {tuple(r["size"]) for r in written}
    for record in written:
        pixels = record["files"].get(f"{record['split']}/labels/{record['name']}.png", [0, 0, None])[2] or {}
        for value, count in pixels.items():
            counts[int(value)] += count
    if not plan.checked:
        if gone:
            notes.append(f"{plan.domain}: {len(gone)} frame(s) left out, see {plan.domain}/left_out.csv")
        if not plan.labeled:
            notes.append(f"{plan.domain}: no labels, so nothing that is trained or scored on them")
        elif odd := mappings.unlikely(counts):
            notes.append(f"{plan.domain}: warning: implausible for streets: {odd}")
        notes += _twice(plan, written)
    write_journal(folder, kept)
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("split", "name", "reason"), *gone])
    settle(folder / "left_out.csv", table.getvalue())
    about |= {
        "complete": True,
        "counts": dict(sorted(splits.items())),
        "classes": mappings.shares(counts),
        "size": list(sizes.pop()) if len(sizes) == 1 else None,
        "left_out": len(gone),
        "notes": notes,
    }
    files.write_json(folder / "about.json", about)


def _twice(plan: Plan, written: list[dict]) -> list[str]:
    """Return a note about pictures that are in two splits."""
    first, twice = {}, []
    for record in sorted(written, key=lambda record: (record["split"], record["name"])):
        here = f"{record['split']}/images/{record['name']}.png"
        other = first.setdefault(record["files"][here][3], here)
        if Path(other).parent != Path(here).parent:
            twice.append(f"{other} and {here}")
    return (
        [f"{plan.domain}: {len(twice)} picture(s) are in two splits: {'; '.join(twice[:3])}"] if twice else []
    )
