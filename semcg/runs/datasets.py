"""The data of a config: drawn when it is the world, checked whatever it is."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from semcg import files, locks
from semcg import world as drawn
from semcg.config import Config
from semcg.data import Scenes
from semcg.labels import IGNORE
from semcg.runs import recipes
from semcg.runs.store import log_event
from semcg.system import cores

_DRAWN = re.compile(r"about\.json|scenes\.jsonl|(source|target|judge)/\w+/\w+/\d{5}\.png")  # files of a world


def draw(config: Config, *, processes: int = 0, progress: Callable[[int, int], None] | None = None) -> Path:
    """Draw the world of `config`, unless it lies there already, and return its folder.

    Parameters
    ----------
    processes : int
        How many draw side by side; 0 means one per core. The pictures are the same for any number.
    progress : callable, optional
        Is called with (frames done, frames in all).
    """
    counts = {"train": config.train_scenes, "val": config.val_scenes, "test": config.test_scenes}
    counts |= {"judge_train": config.judge_scenes, "judge_val": config.val_scenes}
    folder = files.data_folder("world", config.profile)
    _draw(folder, config, counts, recipes.world(config), processes=processes or cores(), progress=progress)
    return data(config)


def target_train(config: Config) -> Path:
    """Return the folder of the target's training frames, as `config.target_layout` wants them.

    "own" is that of the data. "source" is the control of the synthetic world, which is drawn here unless it lies there: as
    many frames in the target's style, of streets that are built like the source's. If a translation makes buildings
    of the sky because the target has less sky, it has no reason to do so there.

    Raises
    ------
    ValueError
        If the data are not drawn: real streets cannot be rebuilt.
    """
    if config.target_layout == "own":
        return data(config) / "target" / "train"
    if config.data != "world":
        raise ValueError(
            f"target_layout = {config.target_layout!r}: only the synthetic world has it, not {config.data}"
        )
    folder, layout = recipes.control_folder(config), config.target_layout
    wanted = recipes.world(config) | {"layout": layout}
    return _draw(folder, config, {"train": config.train_scenes}, wanted, layout=layout) / "target" / "train"


def scored(config: Config) -> Path:
    """Return the folder whose test frames are scored: that of the data, or the drawn streets that only the report uses.

    These are drawn here unless they lie there.
    """
    if config.test_streets == "course" or config.data != "world":
        return data(config)
    folder = files.data_folder(f"world-report-{config.profile}", config.profile)
    wanted = recipes.world(config) | {"streets": "report"}
    return _draw(folder, config, {"test": config.test_scenes}, wanted, streets="report")


def _draw(folder: Path, config: Config, counts: dict[str, int], wanted: dict, **options) -> Path:
    """Draw streets into a folder, one process at a time, unless they are there: `counts` of each split, else none."""
    if differs(folder, wanted):
        begun, lock = time.perf_counter(), folder.with_name(f".{folder.name}.lock")
        with locks.held(lock, f"the drawing of {folder}"):
            splits = dict.fromkeys(("train", "val", "test", "judge_train", "judge_val"), 0) | counts
            same = {"size": config.size, "seed": config.world_seed, "strength": config.style_strength}
            if differs(folder, wanted):  # else another process drew it while we waited
                if folder.is_dir():
                    known = _DRAWN.fullmatch
                    with suppress(FileNotFoundError, ValueError):  # it tells better than the form of a name
                        known = files.manifest(folder).get
                    files.refuse_added(folder, known)
                drawn.write(folder, **splits, **same, recipe=wanted, **{"processes": cores()} | options)
        log_event("clock", what="draw", seconds=time.perf_counter() - begun)
    files.check_manifest(folder)
    return folder


def data(config: Config) -> Path:
    """Return the folder of the data that `config` names, after a look at every file's name and size.

    Raises
    ------
    FileNotFoundError
        If there are no such data; says which command makes them.
    ValueError
        If files are missing, added or changed, or the synthetic world is another config's.
    """
    folder = files.data_folder(config.data, config.profile)
    command = f"semcg prepare gta5, cityscapes or folder, with --out {folder} (data/README.md)"
    if config.data == "world":
        command = f"semcg draw --profile {config.profile}"
    try:
        files.check_manifest(folder)
    except FileNotFoundError:
        seen = f"no data in {folder}"
        if missing := files.read_record(folder / "about.json").get("missing"):
            seen = f"the data in {folder} are incomplete: {', '.join(missing)} is missing"
        raise FileNotFoundError(f"{seen}. They are made by: {command}") from None
    if config.data == "world" and (changed := differs(folder, recipes.world(config))):
        raise ValueError(
            f"the world in {folder} differs in {', '.join(changed)} from what is requested. Draw it again: {command}"
        )
    log_event("data", data=config.data, digest=files.data_digest(folder))
    return folder


def about(config: Config) -> dict:
    """Return what the data say of themselves: `about.json` in their folder."""
    return files.read_json(files.data_folder(config.data, config.profile) / "about.json")


def with_labels(crops: Scenes) -> Scenes:
    """Return those frames of `crops` that teach a segmenter: all but those whose every pixel is ignored.

    Cityscapes' `train_extra` comes without labels. A translator may see its frames; a segmenter would spend its steps on
    them and learn nothing. The manifest, which knows the classes of every prepared label, tells them apart.

    Parameters
    ----------
    crops : Scenes
        Of a split, `<data>/<domain>/<split>`. Data whose manifest counts no pixels are returned as they are.
    """
    root = crops.folder.parents[1]
    rows = files.manifest(root)
    ignored = {name for name in rows if re.fullmatch(rf"{IGNORE}:\d+", rows[name].get("pixels") or "")}
    labels = (crops.folder / "labels").relative_to(root).as_posix()
    taught = [i for i, name in enumerate(crops.names) if f"{labels}/{name}.png" not in ignored]
    if len(taught) == len(crops):
        return crops
    if not taught:
        raise ValueError(f"no labeled pixel in {crops.folder}: a segmenter learns from labels")
    return crops.only(taught)


def differs(folder: Path, wanted: dict) -> list[str]:
    """Return in which parts a synthetic world is another than `wanted` (`recipes.world`); ["data"] where none was drawn."""
    about = files.read_record(folder / "about.json")
    if not (folder / "manifest.csv").is_file() or not isinstance(about.get("recipe"), dict):
        return ["data"]
    return recipes.difference(about["recipe"], wanted)
