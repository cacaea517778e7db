"""The loop that yields, the descent along the gradients, and how the learning rate falls."""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

Step = Callable[..., dict[str, Tensor]]
"""A function of one batch that takes one optimizer step and returns its loss terms."""
Record = dict[str, float | Tensor]
"""The number of a step, and its loss terms."""

_READ_EVERY = 10  # steps between two looks at the losses on a GPU, which has to wait for each look


def fit(step: Step, batch: Callable[[int], Iterable[Tensor]], steps: int, start: int = 0) -> Iterator[Record]:
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
        "step" (1 for the first) and what `step` returned.

    Raises
    ------
    FloatingPointError
        If a term is not finite; names the term and the step. On a GPU that is seen up to ten steps late; the package's
        own steps leave the weights as they are wherever a loss or a gradient is not finite (`descend`).
    """
    unread: list[Record] = []
    for n in range(start, steps):
        record = {"step": n + 1, **step(*batch(n))}
        unread.append(record)
        waits = any(isinstance(value, Tensor) and value.is_cuda for value in record.values())
        if not waits or len(unread) == _READ_EVERY or n + 1 == steps:
            for one in unread:
                check_finite(one)
            unread.clear()
        yield record


def check_finite(record: Record, where: str = "") -> None:
    """Raise FloatingPointError if a term of a record is not finite; names the term and the step, after `where`."""
    bad = [name for name, value in record.items() if not math.isfinite(value)]
    if bad:
        # A gradient is never finite where a loss is not, so the losses come first and say enough.
        losses = [name for name in bad if not name.startswith("gradient")] or bad
        what = "the gradient of" if losses[0].startswith("gradient") else "the loss term"
        names = ", ".join(name.removeprefix("gradient ") for name in losses)
        raise FloatingPointError(
            f"{where}step {record['step']}: {what} {names} is not finite. The last saved state is good; a smaller learning rate "
            "or precision fp32 may help."
        )


def descend(optimizer: Optimizer, terms: Iterable[Tensor], *, fabric: Fabric) -> Tensor:
    """Take one step along the gradients that lie in the parameters, unless a term or a gradient is not finite.

    In several processes the gradients are averaged first. Whether everything is finite is decided on the device and
    handed to the fused optimizer, which then leaves weights and moments alone, so that no wait for the answer is needed.

    Parameters
    ----------
    optimizer : Optimizer
        A fused one.
    terms : iterable of () Tensor
        The loss terms that the gradients belong to.

    Returns
    -------
    () Tensor
        L2 norm of the gradients; not finite if the step was not taken.
    """
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if fabric.world_size > 1:  # as one flat tensor
        flat = fabric.all_reduce(torch.cat([g.flatten() for g in gradients]), reduce_op="mean")
        for gradient, averaged in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(averaged.view_as(gradient))
    norm = torch.nn.utils.get_total_norm(gradients)
    # Not finite if any of them is; a copy of it is what the other processes must see as well.
    whole = fabric.all_reduce(norm + sum(term.detach() for term in terms), reduce_op="mean")
    finite = torch.isfinite(whole)
    optimizer.found_inf = (~finite).float()  # read by fused optimizers, as from a gradient scaler
    optimizer.step()
    return torch.where(finite, norm, torch.nan)


def linear_decay(steps: int) -> Callable[[int], float]:
    """Return n -> factor of the learning rate at step n: 1 in the first half, then linearly to 0 (Zhu et al., 2017)."""
    return lambda n: min(1.0, 2 * (steps - n) / steps)


def warm_poly(steps: int, *, warm: int = 50, power: float = 0.9) -> Callable[[int], float]:
    """Return n -> factor of the learning rate at step n: `warm` steps of linear warm-up, times (1 - n/steps)^power."""
    return lambda n: min(1.0, (n + 1) / min(warm, max(1, steps // 4))) * (1 - n / steps) ** power
