"""What each reading of Eq. (4) charges for leaving a frame as it is, and for the perfect translation: its floor.

Notebook 04 shows it on a few frames; a sweep keeps it for all test frames, so that the report needs no networks.
"""

from pathlib import Path

import torch
from lightning_fabric import Fabric

from semcg import canary, files, losses
from semcg.config import Config
from semcg.contents import data_digest
from semcg.data import Scenes
from semcg.runs import recipes, trained
from semcg.runs.datasets import data
from semcg.translate import image

__all__ = ["FILE", "lines", "write"]

FILE = "floor.json"
"""In an evidence folder."""


def write(config: Config, fabric: Fabric, folder: Path) -> bool:
    """Write what every reading charges on source/test into an evidence folder, unless it stands there.

    Returns
    -------
    bool
        False where there is nothing to measure: data without an oracle, or segmenters that are not trained.
    """
    try:
        test = Scenes(data(config) / "source" / "test")
        nets = [trained.segmenter(config, domain, fabric) for domain in files.DOMAINS]
    except (FileNotFoundError, ValueError):
        return False
    oracle, path = test.folder / "oracle", folder / FILE
    if not oracle.is_dir():
        return False
    key = files.digest(
        {
            "data": data_digest(data(config)),
            "segmenters": [recipes.segmenter(config, domain).fingerprint for domain in files.DOMAINS],
            "stage": canary.version("translation"),
        }
    )
    if path.is_file() and files.read_record(path).get("key") == key:
        return True
    charged = {of: dict.fromkeys(losses.SEMANTIC_KINDS, 0.0) for of in ("identity", "oracle")}
    Sem_s, Sem_t = nets
    with torch.inference_mode():
        for i, name in enumerate(test.names):
            x, y = (v[None].to(fabric.device) for v in test.frame(i))
            before = Sem_s(x)
            for of, picture in (("identity", x), ("oracle", image(oracle / f"{name}.png")[None])):
                after = Sem_t(picture.to(fabric.device))
                for kind in losses.SEMANTIC_KINDS:
                    charge = float(losses.semantic(before, after, kind=kind, labels=y))
                    charged[of][kind] += charge / len(test.names)
    files.write_json(path, {"key": key, "frames": len(test.names), "charged": charged})
    return True


def lines(folder: Path) -> list[str]:
    """Return a line per reading, from what is stored; where nothing is, one that says where it is measured."""
    if not (folder / FILE).is_file():
        return [
            "the floor is not stored with this evidence; notebook 04, section 4, measures it on a few frames"
        ]
    stored = files.read_json(folder / FILE)
    none, best = (stored["charged"][of] for of in ("identity", "oracle"))
    said = [
        f"{'reading':<14}{'identity':>9}{'oracle':>9}{'share':>7}   from source to target, {stored['frames']} frames"
    ]
    said += [f"{kind:<14}{none[kind]:9.3f}{best[kind]:9.3f}{best[kind] / none[kind]:7.0%}" for kind in none]
    return said
