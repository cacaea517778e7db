"""The miniature street world: what is in a street, how it is drawn, and the two styles of its pictures.

    scene = Scene.sample(7, "source")
    game, label = render(scene, "game", (128, 256))
    camera, same_label = render(scene, "camera", (128, 256))    # the oracle translation of `game`

In reading order: `canvas` projects and fills, `street` and `things` know what they look like, `scene` samples a
street, `styles` paints it. `write`, below, goes from seeds to folders in the layout that everything shares
(`semcg.files`): a draw goes into `<root>.partial` and takes the place of `root` when it is complete. Started again
after a kill, it draws only what is missing.
"""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from semcg import files
from semcg.system import each
from semcg.world.canvas import checked_size
from semcg.world.scene import LAYOUTS, Scene, annotations, check_scene
from semcg.world.styles import STYLES, check_style, paint_scene, render

VERSION = 1
"""Of the world: raised whenever a seed draws another picture."""
STREAMS = {"train": 0, "val": 1, "test": 2, "judge/train": 3, "judge/val": 4, "report": 6}
"""Splits draw from seeds of their own: split k of world seed s has the seeds (8 s + k) * 10^6 + n."""
# 5 and 7 are taken: streets that are in no data, for first looks (`runs.shipped.UNSEEN`) and for a paired color table.


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
    for name, value in (counts | {"processes": processes}).items():
        least = int(name == "processes")
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name} is {value!r}; it must be an integer of at least {least}")
    if not any(counts.values()):
        raise ValueError(f"counts are {counts}: there is nothing to draw")
    if max(counts.values()) > 10**6:
        raise ValueError(f"counts are {counts}; each must be at most 10^6, the number of seeds of a split")
    check_scene(seed, "source", layout)
    check_style("camera", strength)
    folders = {f"{domain}/{split}": split for domain in files.DOMAINS for split in files.SPLITS}
    folders |= {"judge/train": "judge_train", "judge/val": "judge_val"}
    about = {
        "data": "world",
        "made_by": "draw",
        "oracle": test > 0,
        "labels": dict.fromkeys(files.DOMAINS, True),
        "seen_in_training": [],
        "size": list(checked_size(size)),
        "counts": {folder: int(counts[name]) for folder, name in folders.items()},
        "settings": {"version": VERSION, "seed": int(seed), "strength": float(strength)}
        | {"layout": layout, "streets": streets},
        "recipe": recipe or {},
    }
    unfinished = files.unfinished(root)
    if files.read_record(unfinished / "about.json") != about:
        shutil.rmtree(unfinished, ignore_errors=True)
        files.write_json(unfinished / "about.json", about)
    for left_by_a_kill in unfinished.rglob(".*.partial*"):
        left_by_a_kill.unlink()
    jobs = sorted((folder, n) for folder, count in about["counts"].items() for n in range(count))
    missing = [job for job in jobs if not _note(unfinished, *job).exists()]
    done = len(jobs) - len(missing)
    for _ in each(partial(_draw, unfinished, about), missing, min(processes, max(len(missing), 1))):
        done += 1
        if progress:
            progress(done, len(jobs))
    lines = [_note(unfinished, *job).read_text(encoding="utf-8") for job in jobs]
    files.write_text(unfinished / "scenes.jsonl", "".join(lines))
    shutil.rmtree(unfinished / "notes")
    files.write_manifest(unfinished)
    files.swap(unfinished, root)
    return root


def _note(root: Path, folder: str, number: int) -> Path:
    return root / "notes" / folder / f"{number:05d}.json"


def _draw(root: Path, about: dict, job: tuple[str, int]) -> None:
    """Draw one scene: the n-th of a folder such as "source/train"."""
    folder, number = job
    kind, split = folder.split("/")
    settings = about["settings"]
    if kind == "judge":
        domain, layout, stream = files.DOMAINS[number % 2], "own", folder
    else:
        domain, layout, stream = kind, settings["layout"], settings["streets"] if split == "test" else split
    seed = (8 * settings["seed"] + STREAMS[stream]) * 10**6 + number
    scene = Scene.sample(seed, domain, layout=layout)
    drawing = scene.draw(about["size"])
    style, strength = "game" if kind == "source" else "camera", settings["strength"]
    pictures = {"images": paint_scene(scene, drawing, style, strength), "labels": drawing.labels()}
    if folder == "source/test":
        pictures["oracle"] = paint_scene(scene, drawing, "camera", strength)
    for name, pixels in pictures.items():
        with files.atomic(root / folder / name / f"{number:05d}.png") as unfinished:
            Image.fromarray(pixels).save(unfinished, format="PNG", compress_level=1)
    note = {"domain": kind, "split": split, "name": f"{number:05d}", "seed": scene.seed}
    note |= {"openness": scene.openness, "plates": [], "signs": []}
    for text in drawing.annotations():
        note[f"{text.pop('kind')}s"].append(text)
    # Last: a scene counts as drawn when its note exists.
    files.write_text(_note(root, folder, number), json.dumps(note) + "\n")
