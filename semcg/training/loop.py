"""The loop that yields, one optimiser step, and the learning rates."""

from collections.abc import Callable, Iterable, Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["Step", "descend", "fit", "linear_decay", "warm_poly"]

Step = Callable[..., dict[str, Tensor]]
"""A function of one batch that takes one optimiser step and returns its loss terms."""


def fit(
    step: Step, batch: Callable[[int], Iterable[Tensor]], steps: int, start: int = 0
) -> Iterator[dict[str, float | Tensor]]:
    """Call `step` on one batch after the other and yield a record of each.

    Parameters
    ----------
    step : callable
        Takes the tensors of one batch, returns its loss terms by name. It may be your own.
    batch : callable
        n -> the tensors of batch n, a function of n alone; that is what lets a run resume exactly.
    steps, start : int
        Batches `start`..`steps - 1` are trained on.

    Yields
    ------
    dict
        "step" (1 for the first) and the loss terms.

    Raises
    ------
    FloatingPointError
        If a loss or gradient is not finite, before the optimiser has used it; names the term and the step.
    """
    for n in range(start, steps):
        try:
            terms = step(*batch(n))
        except FloatingPointError as error:
            raise FloatingPointError(
                f"step {n + 1}: {error}. The last saved state is good; a smaller learning rate or precision fp32 may help."
            ) from None
        yield {"step": n + 1, **terms}


def descend(optimizer: Optimizer, total: Tensor, terms: dict[str, Tensor], *, fabric: Fabric) -> None:
    """Take one step down `total`, or raise before the step if a term or a gradient is not finite."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if not torch.isfinite(total):
        bad = [name for name, value in terms.items() if not torch.isfinite(value)] or ["their weighted sum"]
        raise FloatingPointError(f"the loss term {', '.join(bad)} is not finite ({total.item()})")
    optimizer.zero_grad(set_to_none=True)
    # Only these parameters get a gradient: none is owed to the discriminators or segmenters that `total` goes through.
    fabric.backward(total, inputs=parameters)
    _average_gradients(parameters, fabric)
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if not torch.isfinite(norm):
        raise FloatingPointError(f"the gradient of {' + '.join(terms)} is not finite (norm {norm.item()})")
    optimizer.step()


def _average_gradients(parameters: list[Tensor], fabric: Fabric) -> None:
    """Average the gradients over all processes, as one flat tensor."""
    if fabric.world_size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = fabric.all_reduce(torch.cat([g.flatten() for g in gradients]), reduce_op="mean")
    for gradient, averaged in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(averaged.view_as(gradient))


def linear_decay(steps: int) -> Callable[[int], float]:
    """Return n -> factor of the learning rate at step n: 1 in the first half, then linearly to 0 (Zhu et al., 2017)."""
    return lambda n: min(1.0, 2 * (steps - n) / steps)


def warm_poly(steps: int, *, warm: int = 50, power: float = 0.9) -> Callable[[int], float]:
    """Return n -> factor of the learning rate at step n: `warm` steps of linear warm-up, times (1 - n/steps)^power."""
    return lambda n: min(1.0, (n + 1) / min(warm, max(1, steps // 4))) * (1 - n / steps) ** power
