"""An archive brought into the common layout: looked through, written by several processes, gone on with after a kill."""

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from semcg import files
from semcg_kit.prepare import frames as one
from semcg_kit.prepare import records
from semcg_kit.prepare.frames import Recipe, checked_size
from semcg_kit.prepare.parallel import each
from semcg_kit.prepare.plans import Plan, shown

__all__ = ["Estimate", "estimate", "write"]

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many are done, and how many there are."""


class Estimate(NamedTuple):
    """What `write` would do."""

    done: int
    """Frames that lie there already."""
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
    size: tuple[int, int] | None = (1024, 1024),
    keep_aspect: bool = False,
    processes: int = 1,
    progress: Progress | None = None,
) -> list[str]:
    """Write the domain of `plan` into `out`; what lies there already, complete, is kept.

    All labels are looked through before anything is written. Then each frame is decoded, checked, resized (images
    bilinear with antialiasing, labels nearest) and written. A frame that does not decode, whose image and label differ
    in size, or that is blank, is left out; `<domain>/left_out.csv` says which and why. Written frames are noted in
    `<domain>/frames.jsonl`, so that a call that was killed, or stopped by a full disk, goes on there.

    Parameters
    ----------
    out : path
        Folder of both domains; either may come first.
    size : (H, W), optional
        Of the written frames, 1024 x 1024 in the paper (section 3.1). None keeps them as they are.
    keep_aspect : bool
        Scale a frame by one factor, until it covers `size`, and cut nothing.
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
        If the labels are no label ids; if the domain lies there made with other settings; if more than a tenth of the
        frames (and more than five) would be left out.
    OSError
        If a file cannot be read or written. What was written before stays for the next call.
    """
    recipe, out = _recipe(plan, size, keep_aspect, processes), Path(out)
    about, kept = _lying_there(plan, out, recipe)
    folder, missing = out / plan.domain, [f for f in plan.frames if (f.split, f.name) not in kept]
    inputs = plan.inputs
    if missing or about.get("inputs") != inputs or not about.get("complete"):
        if plan.labelled and about.get("inputs") != inputs:
            _look(plan, processes, progress)
        # First, so that half of the data is never taken for all.
        (out / "manifest.csv").unlink(missing_ok=True)
        settings = _settings(plan, recipe)
        about = {"settings": settings, "labels": plan.labelled, "inputs": inputs, "complete": False}
        files.write_json(folder / "about.json", about)
        if not (out / "about.json").is_file():
            files.write_json(out / "about.json", {"data": out.resolve().name, "made_by": records.MADE_BY})
        _tidy(plan, out, kept)
        _write_missing(plan, out, recipe, missing, kept, processes, progress)
        _finish(plan, out, about, kept)
    return records.combine(out)


def estimate(
    plan: Plan,
    out: Path | str,
    *,
    size: tuple[int, int] | None = (1024, 1024),
    keep_aspect: bool = False,
    tries: int = 6,
) -> Estimate:
    """Say what `write` would do, from the measured time and bytes of a few frames; `out` is left as it is.

    Raises as `write` does.
    """
    recipe, out = _recipe(plan, size, keep_aspect, 1), Path(out)
    kept = _lying_there(plan, out, recipe)[1]
    missing = [f for f in plan.frames if (f.split, f.name) not in kept]
    count = min(tries, len(missing))
    tried = [missing[(2 * k + 1) * len(missing) // (2 * count)] for k in range(count)]
    disk = next(p for p in (out.resolve(), *out.resolve().parents) if p.exists())
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.perf_counter()
        written = []
        for frame in tried:
            if frame.label:
                one.label_values(frame)
            written.append(one.write(Path(scratch), recipe, frame))
        seconds = (time.perf_counter() - begun) / max(count, 1)
    whole = [sum(size for size, *_ in record["files"].values()) for record in written if "files" in record]
    each_bytes = sum(whole) / len(whole) if whole else 0
    return Estimate(
        len(kept),
        len(missing),
        count,
        seconds,
        round(each_bytes * len(missing)),
        shutil.disk_usage(disk).free,
    )


def _recipe(plan: Plan, size: tuple[int, int] | None, keep_aspect: bool, processes: int) -> Recipe:
    if keep_aspect and size is None:
        raise ValueError("keep_aspect needs a size; without one frames stay as they are anyway")
    if processes < 1:
        raise ValueError(f"processes is at least 1, not {processes}")
    return Recipe(checked_size(size) if size else None, keep_aspect, plan.labelled, plan.plates)


def _settings(plan: Plan, recipe: Recipe) -> dict:
    size = list(recipe.size) if recipe.size else None
    return {"size": size, "keep_aspect": recipe.keep_aspect, "labels": plan.labelled}


def _lying_there(plan: Plan, out: Path, recipe: Recipe) -> tuple[dict, dict[tuple[str, str], dict]]:
    """Return what is noted of this domain in `out`, and the records of the frames that need not be done again."""
    records.check_place(out, plan.root)
    about = records.about_of(out / plan.domain)
    wanted = _settings(plan, recipe)
    was = about.get("settings", wanted)
    if changed := [
        f"{name} = {was.get(name)}, not {wanted[name]}" for name in wanted if was.get(name) != wanted[name]
    ]:
        whole = f"{out / 'target'} and {out / 'judge'}" if plan.domain == "target" else str(out / "source")
        raise ValueError(f"{whole}: prepared with {', '.join(changed)}; remove that, or write elsewhere")
    noted = records.journal(out / plan.domain)
    kept = {}
    for frame in plan.frames:
        record = noted.get((frame.split, frame.name))
        # One that was left out is tried again: mended, its file may have as many bytes as before.
        if (
            record
            and "files" in record
            and record["of"] == one.made_of(frame)
            and records.intact(out, record)
        ):
            kept[frame.split, frame.name] = record
    return about, kept


def _look(plan: Plan, processes: int, progress: Progress | None) -> None:
    """Refuse labels that are no label ids, by the values of all of them."""
    labelled, seen, values = [f for f in plan.frames if f.label], 0, set()
    for found in each(one.label_values, labelled, processes):
        seen, values = seen + 1, values.union(found)
        if progress:
            progress("labels looked through", seen, len(labelled))
    if not values:
        raise ValueError(f"no label in {plan.root} decodes; the first is {labelled[0].label}")
    if not values & set(range(19, 34)):
        raise one.WrongLabels(
            f"the labels of {plan.root} hold train ids, not label ids: of {len(labelled)} files none has a value in "
            f"19..33 (they hold {', '.join(map(str, sorted(values)[:20]))}). Take the files as published, or "
            "`semcg prepare folder`, which reads train ids"
        )


def _tidy(plan: Plan, out: Path, kept: dict) -> None:
    """Remove what a kill left, and frames whose archive files have changed or are no longer there."""
    for split in (*plan.splits, plan.domain):
        for torn in (out / split).rglob(".*.partial*"):
            torn.unlink()
    for key, record in records.journal(out / plan.domain).items():
        if key not in kept:
            for name in record.get("files", {}):
                (out / name).unlink(missing_ok=True)
    _write_journal(out / plan.domain, kept)


def _write_missing(plan, out: Path, recipe, missing, kept: dict, processes: int, progress) -> None:
    _check_left_out(plan, kept)
    of = len(plan.frames)
    if progress:
        progress("frames", len(kept), of)
    noted = out / plan.domain / "frames.jsonl"
    with open(noted, "a", encoding="utf-8", newline="\n") as lines:
        for record in each(partial(one.write, out, recipe), missing, min(processes, max(len(missing), 1))):
            try:
                lines.write(json.dumps(record) + "\n")
                lines.flush()
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(noted)) from error
            kept[record["split"], record["name"]] = record
            if "left_out" in record:
                _check_left_out(plan, kept)
            if progress:
                progress("frames", len(kept), of)


def _check_left_out(plan: Plan, kept: dict) -> None:
    out = _left_out(plan, kept)
    of = len(plan.frames) + len(plan.left_out)
    if len(out) > max(5, of // 10):
        raise ValueError(
            f"of {of} frames of {plan.root} more than a tenth would be left out; {shown(out)}. Is the archive "
            "complete, and are images and labels of one kind?"
        )


def _left_out(plan: Plan, kept: dict) -> list[tuple[str, str, str]]:
    found = [(r["split"], r["name"], r["left_out"]) for r in kept.values() if "left_out" in r]
    return sorted(found + plan.left_out)


def _finish(plan: Plan, out: Path, about: dict, kept: dict) -> None:
    written = [record for record in kept.values() if "files" in record]
    counts = Counter(record["split"] for record in written)
    gone = _left_out(plan, kept)
    if empty := [split for split in plan.splits if not counts[split]]:
        raise ValueError(f"no frame is left for {', '.join(empty)}; {shown(gone)}")
    sizes = {tuple(record["size"]) for record in written}
    notes = list(plan.notes)
    if gone:
        notes.append(f"{plan.domain}: {len(gone)} frame(s) left out, see {plan.domain}/left_out.csv")
    if not plan.labelled:
        notes.append(f"{plan.domain}: no labels, so nothing that is trained or scored on them")
    _write_journal(out / plan.domain, kept)
    rows = [dict(zip(("split", "name", "left_out"), row, strict=True)) for row in gone]
    records.settle(out / plan.domain / "left_out.csv", records.left_out(rows))
    about = about | {
        "complete": True,
        "counts": dict(sorted(counts.items())),
        "size": list(sizes.pop()) if len(sizes) == 1 else None,
        "left_out": len(gone),
        "notes": notes,
    }
    files.write_json(out / plan.domain / "about.json", about)


def _write_journal(folder: Path, kept: dict) -> None:
    lines = [json.dumps(kept[key]) + "\n" for key in sorted(kept)]
    records.settle(folder / "frames.jsonl", "".join(lines))
