"""What a training step costs: seconds in interleaved rounds, operations, memory. Claim C7 is about ratios of these."""

import time
from collections.abc import Callable, Mapping, Sequence
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from semcg.translate.tiles import LivingBytes

__all__ = ["count", "operations", "seconds"]

Step = Callable[..., object]


def seconds(
    steps: Mapping[str, Step], batch: Sequence[Tensor], *, rounds: int, warm: int = 3
) -> dict[str, list[float]]:
    """Time steps in turn, round after round, so that whatever else the machine does meets all of them alike.

    Parameters
    ----------
    steps : name -> callable
        Each takes the tensors of a batch.
    batch : sequence of Tensor
        The same for all, on their device.
    rounds, warm : int
        Rounds that count, and rounds before them that do not.

    Returns
    -------
    dict
        Name -> seconds in each round. On a CPU the process's own time, which other processes do not lengthen; on a
        GPU the wall's, after the device is done.
    """
    cuda = any(t.is_cuda for t in batch)
    clock = time.perf_counter if cuda else time.process_time
    found: dict[str, list[float]] = {name: [] for name in steps}
    for n in range(warm + rounds):
        for name, step in steps.items():
            begun = clock()
            step(*batch)
            if cuda:
                torch.cuda.synchronize()
            if n >= warm:
                found[name].append(clock() - begun)
    return found


def operations(step: Step, batch: Sequence[Tensor]) -> int:
    """Count the floating point operations of one step: two for each multiply-add of convolutions and products."""
    with FlopCounterMode(display=False) as counter:
        step(*batch)
    return counter.get_total_flops()


def count(begin: Callable[[], tuple[Step, Sequence[Tensor]]]) -> dict[str, int]:
    """Count what a step of any size costs, in seconds on any machine: its tensors know their shapes and hold nothing.

    Parameters
    ----------
    begin : callable
        () -> (step, batch); builds networks, optimisers and batch anew, on the CPU. The step may not look at a value.

    Returns
    -------
    dict
        "operations" of one step; "kept", the bytes of what lies there between two steps (weights, moments, the last
        gradients, what an image pool holds after one step); and "passing", those of what comes on top at the worst
        moment of a step (activations above all). The batch is in neither. Of tensors alone: what a library needs besides
        is not known.
    """
    with FakeTensorMode(), LivingBytes() as living:
        # A tensor without values lies nowhere: torch neither moves nor copies a network of such.
        with (
            patch.object(nn.Module, "to", lambda net, *args, **options: net),
            patch("copy.deepcopy", lambda value, memo=None: value),
        ):
            step, batch = begin()
        given = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in batch}
        # The moments are made in this step. Memory is looked at in the next, since the counter holds on to graphs.
        done = operations(step, batch)
        kept = living.now
        living.peak = kept
        step(*batch)
    return {"operations": done, "kept": kept - sum(given.values()), "passing": living.peak - kept}
