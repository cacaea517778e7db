"""The small generators that come with the repository, and streets to try them on."""

from pathlib import Path

import torch
from lightning_fabric import Fabric

from semcg import files, translate
from semcg.protocol import REFERENCE
from semcg.runs import trained
from semcg.world import Scene, render

__all__ = ["GENERATORS", "compared", "generators", "street"]

GENERATORS = REFERENCE.with_name("second") / "generators"
"""Where they lie in this repository: a folder for each condition."""
UNSEEN = 5 * 10**6
"""Where the seeds begin of which no split of the drawn world makes use (`semcg.world.STREAMS`)."""


def generators(fabric: Fabric, *, folder: Path = GENERATORS) -> dict[str, translate.Translation]:
    """Return the shipped generators by condition, ready for frames of any size.

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    found = {}
    for path in sorted(folder.glob("*/provenance.json")):
        name = files.read_json(path)["condition"]
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


def compared(frame: torch.Tensor, fabric: Fabric, *, folder: Path = GENERATORS) -> dict[str, torch.Tensor]:
    """Return a frame (3, H, W) in [-1, 1] as each shipped generator translates it, by condition."""
    x = frame[None].to(fabric.device)
    with torch.inference_mode():
        return {name: way(x)[0].float().cpu() for name, way in generators(fabric, folder=folder).items()}
