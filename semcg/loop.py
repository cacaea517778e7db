"""The training loop, the optimizer step that leaves the weights alone where a loss is not finite, and learning rates."""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

Step = Callable[..., dict[str, Tensor]]
"""A function of one batch that updates the weights once (of a CycleGAN: generators, then discriminators) and returns its
loss terms."""
BatchOf = Callable[[int], Iterable[Tensor]]
"""n -> the tensors of batch n, a function of n alone; that is what lets a run resume exactly."""
Record = dict[str, float | Tensor]
"""The number of a step, its loss terms, and norms: "gradient <network>", "pull <term>"."""


def fit(step: Step, batch: BatchOf, steps: int, start: int = 0) -> Iterator[Record]:
    """Call `step` on one batch after the other and yield a record of each.

    No record is looked at here, since a GPU has to wait for each look. Those who read them call `check_finite`, as
    `semcg.runs.keep` and `semcg.notebook.progress` do; until then `step_if_finite` keeps the weights good.

    Parameters
    ----------
    step : callable
        Takes the tensors of one batch, returns its loss terms by name. It may be your own.
    batch : callable
        n -> the tensors of batch n (`BatchOf`).
    steps, start : int
        Batches `start`..`steps - 1` are trained on.

    Yields
    ------
    dict
        "step" (1 for the first) and what `step` returned.
    """
    for n in range(start, steps):
        yield {"step": n + 1, **step(*batch(n))}


def check_finite(record: Record) -> None:
    """Raise FloatingPointError if a term of a record is not finite; names the term and the step."""
    bad = [name for name, value in record.items() if not math.isfinite(value)]
    if bad:
        # A gradient is never finite where a loss is not, so the losses come first and say enough.
        losses = [name for name in bad if not name.startswith(("gradient", "pull"))] or bad
        what = "the gradient of" if losses[0].startswith("gradient") else "the loss term"
        names = ", ".join(name.removeprefix("gradient ") for name in losses)
        raise FloatingPointError(
            f"step {record['step']}: {what} {names} is not finite. The last saved state is good; a smaller learning rate "
            "or precision fp32 may help."
        )


def step_if_finite(optimizer: Optimizer, terms: Iterable[Tensor], *, fabric: Fabric) -> Tensor:
    """Take an optimizer step, unless a loss term or a gradient is not finite.

    In several processes the gradients are averaged first. The decision stays on the device: fused optimizers read
    `found_inf`, as a gradient scaler sets it, and then leave weights and moments alone, so that the CPU never waits.

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
    # Finite only if every summand is; averaged over the processes, so that all decide alike.
    finite_if_all_are = fabric.all_reduce(norm + sum(term.detach() for term in terms), reduce_op="mean")
    finite = torch.isfinite(finite_if_all_are)
    optimizer.found_inf = (~finite).float()
    optimizer.step()
    return torch.where(finite, norm, torch.nan)


def linear_decay(steps: int) -> Callable[[int], float]:
    """Return n -> factor of the learning rate at step n: 1 in the first half, then linearly to 0 (Zhu et al., 2017)."""
    return lambda n: min(1.0, 2 * (steps - n) / steps)


def warm_poly(steps: int, *, warm: int = 50, power: float = 0.9) -> Callable[[int], float]:
    """Return n -> factor of the learning rate at step n: (1 - n/steps)^power, and a linear warm-up.

    The warm-up takes `warm` steps, at most a quarter of all.
    """
    return lambda n: min(1.0, (n + 1) / min(warm, max(1, steps // 4))) * (1 - n / steps) ** power
