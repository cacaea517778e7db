"""Training a segmenter: Sem_s, Sem_t, the judge, and those that are trained on translations."""

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from semcg import segmenters
from semcg.config import Config
from semcg.labels import IGNORE
from semcg.training.loop import Step, descend, warm_poly

__all__ = ["Segmentation", "build_segmentation", "class_weights", "network_for", "segmentation_step"]


def network_for(config: Config, kind: str) -> nn.Module:
    """Return an untrained segmenter.

    Parameters
    ----------
    kind : str
        "segmenter" (Sem_s and Sem_t, which the loss sees), "judge", "second judge", or "downstream" (trained on
        translations).
    """
    if kind == "judge":
        return segmenters.build("unet", width=config.judge_width)
    if kind == "second judge":
        return segmenters.build("segnet", width=config.second_judge_width)
    if kind == "downstream":
        return segmenters.build("unet", width=config.downstream_width)
    if config.segmenter == "drn26":
        return segmenters.build("drn26", width=config.segmenter_width, stride=config.segmenter_stride)
    return segmenters.build(config.segmenter)


@dataclass(frozen=True)
class Segmentation:
    """A segmenter and what training it needs."""

    net: nn.Module
    optimizer: Optimizer
    schedule: LambdaLR

    @classmethod
    def begin(
        cls,
        net: nn.Module,
        *,
        optimizer: str,
        lr: float,
        decay: float,
        steps: int,
        schedule: str,
        seed: int,
        fabric: Fabric,
    ) -> "Segmentation":
        """Initialise a segmenter from `seed`, move it to the device and give it an optimiser.

        Parameters
        ----------
        optimizer : str
            "sgd" (momentum 0.9) or "adamw".
        schedule : str
            "constant" or "poly" (`warm_poly`).
        """
        segmenters.initialise(net, generator=torch.Generator().manual_seed(seed))
        net = net.to(fabric.device)
        if optimizer == "sgd":
            chosen = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=decay, fused=True)
        else:
            chosen = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=decay, fused=True)
        factor = warm_poly(steps) if schedule == "poly" else lambda n: 1.0
        return cls(net, chosen, LambdaLR(chosen, factor))

    def state(self) -> dict[str, object]:
        """Return what a saved training state holds, by name."""
        return {"net": self.net, "optimizer": self.optimizer, "schedule": self.schedule}


def class_weights(frequencies: Tensor) -> Tensor:
    """Return a weight per class, 1 / sqrt(frequency + 0.001), with mean 1 over pixels: rare classes count for more.

    Parameters
    ----------
    frequencies : (19,) float
        Share of the labelled pixels, 0..1.
    """
    weights = (frequencies + 1e-3).rsqrt()
    return weights / (weights * frequencies).sum()


def segmentation_step(training: Segmentation, *, fabric: Fabric, weights: Tensor | None = None) -> Step:
    """Return a function of one batch (x, y) that takes one step on the cross-entropy of the up-sampled scores.

    Parameters
    ----------
    weights : (19,) float, optional
        Weight per class (`class_weights`).

    Returns
    -------
    callable
        (x (B, 3, H, W) in [-1, 1], y (B, H, W)) -> {"cross_entropy": (), "gradient": ()}. The second is the norm of the gradient. Pixels labelled 255 count for nothing,
        and a batch of only such pixels for zero.
    """
    weights = None if weights is None else weights.to(fabric.device, torch.get_default_dtype())

    def step(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        training.net.train()
        with fabric.autocast():
            scores = training.net(x)  # (B, 19, h, w)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        scores = segmenters.upsample(scores, y.shape[-2:])  # (B, 19, H, W)
        total = F.cross_entropy(scores, y, weights, ignore_index=IGNORE, reduction="sum")
        counted = y != IGNORE
        share = counted.sum() if weights is None else weights[y[counted]].sum()
        # Of all processes: their mean is then one mean.
        share = fabric.all_reduce(share.to(scores.dtype), reduce_op="mean")
        loss = total / share.clamp(min=1e-6)
        training.optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        norm = descend(training.optimizer, [loss], fabric=fabric)
        training.schedule.step()
        return {"cross_entropy": loss.detach(), "gradient": norm}

    return step


def build_segmentation(
    config: Config, kind: str, fabric: Fabric, *, weights: Tensor | None = None
) -> tuple[Segmentation, Step]:
    """Return a segmenter's training and its step.

    Parameters
    ----------
    kind : str
        As in `network_for`.
    weights : (19,) float, optional
        Weight per class. Ignored for "segmenter" where `config.segmenter_weights` is false.
    """
    if kind == "segmenter":
        weights = weights if config.segmenter_weights else None
        names = ("optimizer", "lr", "decay", "schedule", "steps")
        settings = {name: getattr(config, f"segmenter_{name}") for name in names}
    else:
        steps = config.downstream_steps if kind == "downstream" else config.judge_steps
        settings = {"optimizer": "adamw", "lr": config.judge_lr, "decay": config.judge_decay}
        settings |= {"schedule": "poly", "steps": steps}
    seed = config.seed if kind == "downstream" else config.segmenter_seed
    training = Segmentation.begin(network_for(config, kind), seed=seed, fabric=fabric, **settings)
    return training, segmentation_step(training, fabric=fabric, weights=weights)
