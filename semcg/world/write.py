"""From seeds to folders: the drawn world on disk, in the layout that everything shares (`semcg.files`).

A draw goes into `<root>.partial` and takes the place of `root` when it is complete. Started again after a
kill, it draws only what is missing.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from semcg import files
from semcg.system import each
from semcg.world.draw import checked_size, draw, found_texts
from semcg.world.scene import LAYOUTS, Scene
from semcg.world.styles import check_style, paint_scene

__all__ = ["VERSION", "write"]

VERSION = 1
"""Of the world: raised whenever a seed draws another picture."""
STREAMS = {"train": 0, "val": 1, "test": 2, "judge train": 3, "judge val": 4, "report": 6}
"""Splits draw from seeds of their own: split k of world seed s has the seeds (8 s + k) * 10^6 + n."""
CHUNK = 10
"""Scenes between two reports."""


class Job(NamedTuple):
    """One scene to write."""

    folder: str
    """Of the split, below the root."""
    number: int
    seed: int
    domain: str
    layout: str
    style: str
    oracle: bool

    @property
    def name(self) -> str:
        return f"{self.number:05d}"


def write(
    root: Path,
    *,
    size: tuple[int, int],
    train: int,
    val: int,
    test: int,
    judge_train: int,
    judge_val: int,
    seed: int = 0,
    strength: float = 1.0,
    layout: str = "own",
    streets: str = "test",
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
    recipe: dict | None = None,
) -> Path:
    """Draw both domains and the judge's images into a folder.

    Parameters
    ----------
    root : Path
        Becomes the folder; an older one is replaced when the new one is complete.
    size : (int, int)
        Height and width in pixels.
    train, val, test : int
        Scenes per domain. The source is drawn in style "game", the target in "camera"; the source's test
        scenes are drawn in both, for the oracle.
    judge_train, judge_val : int
        Scenes of which only the judge learns: in style "camera", every other one with the layout of the
        source.
    seed : int
        Of the world.
    strength : float in [0, 1]
        Of the camera style.
    layout : "own", "source" or "target"
        Whose layout both domains have; "own" lets each have its own. The judge always sees half of each.
    streets : "test" or "report"
        Which streets the test scenes show.
    processes : int
        How many draw at once. The files do not depend on it.
    progress : callable, optional
        Called with the number of scenes written and the number of all.
    recipe : dict, optional
        Whatever the caller wants to find again in `about.json`, JSON-able.

    Returns
    -------
    Path
        `root`, complete with `scenes.jsonl` (a line per scene), `about.json` (what it is) and
        `manifest.csv`.

    Raises
    ------
    ValueError
        If an argument is outside its set.
    """
    root = Path(root)
    counts = {"train": train, "val": val, "test": test, "judge_train": judge_train, "judge_val": judge_val}
    _check(counts, seed, strength, layout, processes)
    counts = {name: int(count) for name, count in counts.items()}
    size = checked_size(size)
    about = {
        "data": "world",
        "made_by": "draw",
        "oracle": test > 0,
        "labels": dict.fromkeys(files.DOMAINS, True),
        "seen_in_training": [],
        "size": list(size),
        "counts": {f"{domain}/{split}": counts[split] for domain in files.DOMAINS for split in files.SPLITS}
        | {f"judge/{split}": counts[f"judge_{split}"] for split in ("train", "val")},
        "settings": {"version": VERSION, "seed": int(seed), "strength": float(strength), "layout": layout},
        "recipe": recipe or {},
    }
    jobs = list(_jobs(counts, int(seed), layout, streets))
    unfinished = _open(files.unfinished(root), about)
    _draw_all(unfinished, jobs, size, float(strength), processes, progress)
    _gather(unfinished, jobs)
    files.write_manifest(unfinished)
    files.swap(unfinished, root)
    return root


def _check(counts: dict[str, int], seed: int, strength: float, layout: str, processes: int) -> None:
    for name, value in {**counts, "seed": seed, "processes": processes}.items():
        least = 1 if name == "processes" else 0
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name} is {value!r}; it must be an integer of at least {least}")
    if not any(counts.values()):
        raise ValueError(f"counts are {counts}: there is nothing to draw")
    if max(counts.values()) > 10**6:
        raise ValueError(f"counts are {counts}; each must be at most 10^6, the number of seeds of a split")
    check_style("camera", strength)
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; it must be one of {LAYOUTS}")


def _jobs(counts: dict[str, int], seed: int, layout: str, streets: str) -> Iterator[Job]:
    def number(split: str, n: int) -> int:
        return (8 * seed + STREAMS[split]) * 10**6 + n

    for split in ("train", "val"):
        for n in range(counts[f"judge_{split}"]):
            domain = files.DOMAINS[n % 2]
            yield Job(f"judge/{split}", n, number(f"judge {split}", n), domain, "own", "camera", False)
    for domain, style in zip(files.DOMAINS, ("game", "camera"), strict=True):
        for split in files.SPLITS:
            for n in range(counts[split]):
                oracle = (domain, split) == ("source", "test")
                seeds = streets if split == "test" else split
                yield Job(f"{domain}/{split}", n, number(seeds, n), domain, layout, style, oracle)


def _open(folder: Path, about: dict) -> Path:
    """Return the folder of an unfinished draw: the old one if it was to be the same, or a new one."""
    noted = folder / "about.json"
    try:
        same = files.read_json(noted) == about
    except (FileNotFoundError, ValueError):
        same = False
    for left_by_a_kill in folder.rglob(".*.partial*"):
        left_by_a_kill.unlink()
    if not same:
        shutil.rmtree(folder, ignore_errors=True)
        files.write_json(noted, about)
    return folder


def _draw_all(root: Path, jobs: list[Job], size, strength: float, processes: int, progress) -> None:
    missing = [job for job in jobs if not _note(root, job).exists()]
    done = len(jobs) - len(missing)
    draw_some = partial(_draw_some, root, size, strength)
    chunks = [missing[k : k + CHUNK] for k in range(0, len(missing), CHUNK)]
    for count in each(draw_some, chunks, min(processes, max(len(chunks), 1))):
        done += count
        if progress:
            progress(done, len(jobs))


def _draw_some(root: Path, size: tuple[int, int], strength: float, jobs: list[Job]) -> int:
    for job in jobs:
        _draw_one(root, size, strength, job)
    return len(jobs)


def _draw_one(root: Path, size: tuple[int, int], strength: float, job: Job) -> None:
    scene = Scene.sample(job.seed, job.domain, layout=job.layout)
    drawing = draw(scene, size)
    folder = root / job.folder
    _save(folder / "images" / f"{job.name}.png", paint_scene(scene, drawing, job.style, strength))
    _save(folder / "labels" / f"{job.name}.png", drawing.labels())
    if job.oracle:
        _save(folder / "oracle" / f"{job.name}.png", paint_scene(scene, drawing, "camera", strength))
    texts = found_texts(drawing)
    note = {
        "domain": job.folder.split("/")[0],
        "split": job.folder.split("/")[1],
        "name": job.name,
        "seed": job.seed,
        "openness": scene.openness,
        "plates": [_without_kind(text) for text in texts if text["kind"] == "plate"],
        "signs": [_without_kind(text) for text in texts if text["kind"] == "sign"],
    }
    # Last: a scene counts as drawn when its note exists.
    files.write_text(_note(root, job), json.dumps(note) + "\n")


def _without_kind(text: dict) -> dict:
    return {key: value for key, value in text.items() if key != "kind"}


def _save(path: Path, pixels: np.ndarray) -> None:
    with files.atomic(path) as unfinished:
        Image.fromarray(pixels).save(unfinished, format="PNG", compress_level=1)


def _note(root: Path, job: Job) -> Path:
    return root / "notes" / job.folder / f"{job.name}.json"


def _gather(root: Path, jobs: list[Job]) -> None:
    """Put the notes of all scenes into one file, in the order of their folders and names."""
    ordered = sorted(jobs, key=lambda job: (job.folder, job.number))
    lines = [_note(root, job).read_text(encoding="utf-8") for job in ordered]
    files.write_text(root / "scenes.jsonl", "".join(lines))
    shutil.rmtree(root / "notes")
