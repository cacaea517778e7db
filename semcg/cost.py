"""What a training step or a translation costs: seconds in interleaved rounds, operations, memory.

Claim C7 is about ratios of the first two.
"""

import copy
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import psutil
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from semcg.translate.frames import padded

PASS_WORKSPACE = 1.5  # memory of a pass over that of its tensors: convolutions rearrange what they read

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
                torch.cuda.synchronize(batch[0].device)
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
        () -> (step, batch); builds networks, optimizers and batch anew, on the CPU. The step may not look at a value.

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


def peak_bytes(G: nn.Module, shape: tuple[int, int, int, int]) -> int:
    """Return how many bytes of tensors live at the worst moment of one pass without gradients, weights left out.

    The pass runs on the "meta" device, which knows shapes and computes nothing, so any size costs milliseconds. The
    input (B, 3, H, W) counts.
    """
    bare = copy.deepcopy(G).to("meta")
    dtype = next((p.dtype for p in G.parameters()), torch.float32)
    with torch.inference_mode(False), torch.no_grad(), LivingBytes() as living:
        bare(torch.empty(shape, device="meta", dtype=dtype))
    return living.peak


def needed_bytes(G: nn.Module, *, height: int, width: int, batch: int = 1, tile: int = 0) -> int:
    """Return about how many bytes one pass over frames (batch, 3, height, width) needs, whole or in tiles.

    `PASS_WORKSPACE` times the living tensors, and the weights once more, which convolutions re-pack; the frames themselves,
    padded, come on top where tiles are blended.
    """
    sides = [padded(side, G.multiple) for side in (height, width)]
    frames = batch * 3 * sides[0] * sides[1] * 4
    if tile:
        sides = [min(side, tile) for side in sides]
    weights = max((p.numel() * p.element_size() for p in G.parameters()), default=0)
    return int(PASS_WORKSPACE * peak_bytes(G, (batch, 3, *sides))) + weights + (3 * frames if tile else 0)


def free_bytes(device: torch.device) -> int:
    """Return how many bytes are free on a device: of the CPU's, what the system and the container still give."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free, limit = psutil.virtual_memory().available, Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (most := limit.read_text().strip()) != "max":
        free = min(free, int(most) - int(limit.with_name("memory.current").read_text()))
    return max(0, free)


def check(
    G: nn.Module, *, height: int, width: int, batch: int = 1, tile: int = 0, free: int | None = None
) -> None:
    """Raise if frames of this size will not fit into memory.

    Parameters
    ----------
    G : Module
        A generator, on its device.
    height, width, batch : int
        Frames that are translated at once.
    tile : int
        Side of the tiles; 0 for whole frames.
    free : int, optional
        Bytes; by default what `free_bytes` finds.

    Raises
    ------
    ValueError
        If it does not; says how much is needed and what makes it less.
    """
    device = next(G.parameters(), torch.empty(0)).device
    needed = needed_bytes(G, height=height, width=width, batch=batch, tile=tile)
    free = free_bytes(device) if free is None else free
    if needed <= free:
        return
    smaller = [n for n in (1024, 512, 256) if n % G.multiple == 0 and n < (tile or max(height, width))]
    advice = f"translate in tiles, with --tile {smaller[0]}" if smaller else "translate smaller frames"
    what = f"tiles of {tile}" if tile else f"a whole frame of {width}x{height}"
    if batch > 1:
        what += f", {batch} at a time,"
        advice = f"translate one frame at a time, with --batch 1, or {advice}"
    memory = f"about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on {device}"
    raise ValueError(f"{what} would need {memory}: {advice}")


class LivingBytes(TorchDispatchMode):
    """Counts the bytes of the storages that are alive, and remembers the most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                # Views share one; a tensor that autograd saved may be another with the same key.
                key, size = storage._cdata, storage.nbytes()
                if key not in self.known:
                    self.known.add(key)
                    self.now += size
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self._leave, key, size)
        return out

    def _leave(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size
