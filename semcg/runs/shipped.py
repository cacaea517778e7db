"""What comes with the repository: small generators, streets to try them on, and the numbers that others published.

Figures draw the published numbers beside a run on the same data. `results/reference/published.csv` holds them in percent,
with the decimals that were published. Each row has its source, and a mark: "read" for numbers read in the source or in a
summary of it, "recalled" for numbers from memory, which are to be compared with the source before anybody quotes them.
The class scores of a row can have another mark than its means.
"""

from pathlib import Path

import pandas as pd
import torch
from lightning_fabric import Fabric

from semcg import files, translate
from semcg.labels import names
from semcg.protocol import REFERENCE
from semcg.runs import trained
from semcg.world import Scene, render

GENERATORS = REFERENCE / "generators"
"""Where they lie in this repository: a folder for each condition."""
UNSEEN = 5 * 10**6
"""Where the seeds begin of which no split of the synthetic world makes use (`semcg.world.STREAMS`)."""

PUBLISHED = REFERENCE / "published.csv"
ARCHIVES = "prepare archives"  # `semcg_kit.prepare.frames.ARCHIVES`
FRAMES, SIZE = 500, (1024, 2048)
"""What the published numbers were counted on: the validation frames of Cityscapes, at their own size."""


def generators(fabric: Fabric, *, folder: Path = GENERATORS) -> dict[str, translate.Translator]:
    """Return the shipped generators by condition, ready for frames of any size.

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    found = {}
    for path in sorted(folder.glob("*/provenance.json")):
        name = str(files.read_json(path).get("condition", path.parent.name))
        found[name] = translate.Padded(trained.generator_from(path.parent, "st", fabric))
    if not found:
        raise FileNotFoundError(f"no generators in {folder}: they come with the repository, in git")
    return found


def street(seed: int, *, size: tuple[int, int] = (128, 256)) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a street that is in no training or test data, as the game shows it and as the camera would.

    Parameters
    ----------
    seed : int
        0 .. 999,999.
    size : (int, int)
        Height and width.

    Returns
    -------
    game, camera : (3, H, W) float
        In [-1, 1].
    """
    scene = Scene.sample(UNSEEN + seed, "source")
    game, camera = (torch.from_numpy(render(scene, style, size)[0]) for style in ("game", "camera"))
    return tuple(picture.permute(2, 0, 1) / 127.5 - 1 for picture in (game, camera))


def translations(
    frame: torch.Tensor, fabric: Fabric, *, folder: Path = GENERATORS
) -> dict[str, torch.Tensor]:
    """Return a frame (3, H, W) in [-1, 1] as each shipped generator translates it, by condition."""
    found = generators(fabric, folder=folder)
    return {name: trained.translate_image(G, frame, fabric) for name, G in found.items()}


def published(path: Path | str | None = None) -> pd.DataFrame:
    """Return the published rows, GTA5 to the 500 validation frames of Cityscapes.

    Parameters
    ----------
    path : path, optional
        Another file of the same columns; by default `PUBLISHED`, or `results/reference/published.csv` in
        `semcg.files.home()` where the package does not lie in its repository.

    Returns
    -------
    DataFrame
        "method", "network", "data"; the IoU of the 19 classes by name, "mIoU", "fwIoU", "pixel accuracy", 0..1, NaN
        where nothing was published; "source", an address; "mark" and "classes_mark", "read" or "recalled".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a column is missing, or a mark is neither; names the file.
    """
    if path is None:
        path = PUBLISHED if PUBLISHED.is_file() else files.home() / "results" / "reference" / "published.csv"
    if not Path(path).is_file():
        raise FileNotFoundError(f"no {path}: the published numbers come with the repository")
    table = pd.read_csv(path, encoding="utf-8")
    scores = [*names(), "mIoU", "fwIoU", "pixel accuracy"]
    columns = ["method", "network", "data", *scores, "source", "mark", "classes_mark"]
    if missing := [column for column in columns if column not in table.columns]:
        raise ValueError(f"{path} has no column {', '.join(missing)}")
    if wrong := set(table["mark"]) - {"read", "recalled"}:
        raise ValueError(f"{path}: a mark is read or recalled, not {', '.join(map(str, wrong))}")
    table[scores] = table[scores] / 100
    return table


def published_for(about: dict, *, frames: int, size: tuple[int, int]) -> tuple[pd.DataFrame, str]:
    """Return the published rows that scores on some data can be looked at beside, and how far they are comparable.

    Parameters
    ----------
    about : dict
        What the data say of themselves (`semcg.runs.about`).
    frames, size : int, (H, W)
        On how many target frames was scored, and at which size.

    Returns
    -------
    DataFrame
        The rows of `published` if the data were prepared from GTA5 and Cityscapes, none if they are other data.
    str
        A sentence that says so.
    """
    if about["made_by"] != ARCHIVES:
        other = "Published numbers are of GTA5 and Cityscapes; these are other data, so none is drawn beside the run."
        return pd.DataFrame(), other
    here, there = (f"{n} frames at {h} x {w}" for n, (h, w) in ((frames, size), (FRAMES, SIZE)))
    equal = (frames, tuple(size)) == (FRAMES, SIZE)
    verdict = "the same frames at the same size" if equal else "to look at, not to compare digit by digit"
    return published(), f"Published: {there}; this run: {here}: {verdict}."
