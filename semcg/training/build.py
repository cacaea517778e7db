"""From a config to a network, and to a training that is ready for its first step: one place for everything that trains."""

from lightning_fabric import Fabric
from torch import Tensor, nn

from semcg import segmenters
from semcg.config import Config
from semcg.training.loop import Step
from semcg.training.segmentation import Segmentation, segmentation_step
from semcg.training.translation import Translation, translation_step

__all__ = ["KINDS", "build_segmentation", "build_translation", "network_for"]

KINDS = ("segmenter", "judge", "second judge", "downstream")
"""Kinds of segmenters: those in the loss (Sem_s, Sem_t), both judges, and those trained on translations."""

_TRANSLATION = ("lambda_c", "lambda_s", "semantic_loss", "gan_loss", "identity", "leaf_split")


def network_for(config: Config, kind: str) -> nn.Module:
    """Return the untrained network of one of `KINDS`."""
    if kind == "judge":
        return segmenters.build("unet", width=config.judge_width)
    if kind == "second judge":
        return segmenters.build("segnet", width=config.second_judge_width)
    if kind == "downstream":
        return segmenters.build("unet", width=config.downstream_width)
    if config.segmenter == "drn26":
        return segmenters.build("drn26", width=config.segmenter_width, stride=config.segmenter_stride)
    return segmenters.build(config.segmenter)


def build_segmentation(
    config: Config, kind: str, fabric: Fabric, *, weights: Tensor | None = None
) -> tuple[Segmentation, Step]:
    """Return a segmenter's training and its step.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    weights : (19,) float, optional
        Weight per class. Ignored for "segmenter" where `config.segmenter_weights` is false.
    """
    if kind == "segmenter":
        weights = weights if config.segmenter_weights else None
        settings = {
            "optimizer": config.segmenter_optimizer,
            "lr": config.segmenter_lr,
            "decay": config.segmenter_decay,
            "schedule": config.segmenter_schedule,
            "steps": config.segmenter_steps,
        }
    else:
        steps = config.downstream_steps if kind == "downstream" else config.judge_steps
        settings = {"optimizer": "adamw", "lr": config.judge_lr, "decay": config.judge_decay}
        settings |= {"schedule": "poly", "steps": steps}
    seed = config.seed if kind == "downstream" else config.segmenter_seed
    training = Segmentation.begin(network_for(config, kind), seed=seed, fabric=fabric, **settings)
    return training, segmentation_step(training, fabric=fabric, weights=weights)


def build_translation(
    config: Config,
    fabric: Fabric,
    *,
    steps: int,
    Sem_s: nn.Module | None = None,
    Sem_t: nn.Module | None = None,
) -> tuple[Translation, Step]:
    """Return a CycleGAN's training and its step; with `config.one_segmenter`, Sem_s is on both sides of Eq. (4)."""
    Sem_t = Sem_s if config.one_segmenter else Sem_t
    training = Translation.begin(config, steps=steps, fabric=fabric, Sem_s=Sem_s, Sem_t=Sem_t)
    settings = {name: getattr(config, name) for name in _TRANSLATION}
    return training, translation_step(training, fabric=fabric, **settings)
