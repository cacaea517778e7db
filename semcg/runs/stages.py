"""The trainings of the course as stages: what each trains, how long, and one true step of it on noise, to be measured."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from semcg import files
from semcg.config import Config
from semcg.data import Scenes
from semcg.runs import recipes
from semcg.training.build import build_segmentation, build_translation, network_for

__all__ = ["Stage", "batch_field", "begin", "frames", "stages"]


@dataclass(frozen=True)
class Stage:
    """One kind of training of the course, and what it costs; zero is what is not known yet.

    Parameters
    ----------
    notebook, name, kind : str
        Where it happens, what it trains, and "segmenter", "judge", "translation" or "downstream".
    config : Config
        Its own; the conditions differ in a few numbers.
    trainings, steps : int
        How often, and steps of each.
    operations, memory : int
        Of one step; bytes at its worst moment, the process included.
    seconds : float
        Of one step.
    measured : int
        Steps that were timed; 0 where the seconds follow from the operations, at the rate of a stage that was timed.
    """

    notebook: str
    name: str
    kind: str
    config: Config
    trainings: int
    steps: int
    operations: int = 0
    memory: int = 0
    seconds: float = 0.0
    measured: int = 0

    @property
    def total(self) -> float:
        """Seconds of all its trainings, without reading the frames."""
        return self.trainings * self.steps * self.seconds


def frames(config: Config) -> tuple[int, int]:
    """Return the number of training frames of source and target.

    Raises
    ------
    FileNotFoundError, ValueError
        If there are none, or one is smaller than the crop; names it. Only headers are read.
    """
    if config.data == "world":
        return config.train_scenes, config.train_scenes
    folder = files.data_folder(config.data, config.profile)
    try:
        found = (
            Scenes(folder / domain / "train", crop=config.crop, labels=False) for domain in files.DOMAINS
        )
        return tuple(map(len, found))
    except ValueError as error:
        raise ValueError(
            f"{error}; prepare larger frames (--size), or take a profile with a smaller crop"
        ) from None


def stages(config: Config, *, epoch: int, notebook: str = "") -> list[Stage]:
    """Return what a notebook trains, or without one the whole course, nothing measured yet.

    Parameters
    ----------
    epoch : int
        Training frames of the larger domain.
    notebook : str
        Such as "03_cyclegan".
    """
    steps = config.translation_steps(epoch)
    rows = [
        Stage("02_segmenters", "Sem_s, Sem_t", "segmenter", config, 2, config.segmenter_steps),
        Stage("02_segmenters", "judge", "judge", config, 1, config.judge_steps),
    ]
    conditions = recipes.conditions(config)
    for name, own in conditions.items():
        where = "04_semantic_cyclegan" if own.lambda_s else "03_cyclegan"
        rows.append(Stage(where, name, "translation", own, 1, steps))
    learners = 1 + len(conditions)  # from the frames as they are, and from each translation
    rows.append(Stage("05_evaluation", "downstream", "downstream", config, learners, config.downstream_steps))
    return [row for row in rows if notebook in ("", row.notebook)]


def begin(kind: str, config: Config, fabric: Fabric) -> tuple[Callable, tuple[Tensor, ...]]:
    """Return the true step of a kind of stage with untrained networks, which cost what trained ones do, and a batch of noise."""
    draw = torch.Generator().manual_seed(0)

    def half(batch: int) -> tuple[Tensor, Tensor]:
        x = torch.rand((batch, 3, config.crop, config.crop), generator=draw) * 2 - 1
        return x, torch.randint(0, 19, (batch, config.crop, config.crop), generator=draw)

    if kind == "translation":
        sems = {name: network_for(config, "segmenter") for name in ("Sem_s", "Sem_t") if config.lambda_s}
        _, step = build_translation(config, fabric, steps=1000, **sems)
        return step, fabric.to_device((*half(config.batch), *half(config.batch)))
    _, step = build_segmentation(config, kind, fabric)
    return step, fabric.to_device(half(getattr(config, batch_field(kind))))


def batch_field(kind: str) -> str:
    """Return the field that holds the batch of a kind of stage."""
    return {"translation": "batch", "segmenter": "segmenter_batch"}.get(kind, "judge_batch")
