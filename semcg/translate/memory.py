"""What a translation needs in memory, before it is begun."""

import copy
import os
import re
import weakref
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["LivingBytes", "check", "free_bytes", "needed_bytes", "peak_bytes"]

WORKSPACE = 1.5
"""Memory of a pass over that of its tensors: convolutions rearrange what they read and write."""


def peak_bytes(G: nn.Module, shape: tuple[int, int, int, int]) -> int:
    """Return how many bytes of tensors live at the worst moment of one pass without gradients, weights left out.

    The pass runs on the "meta" device, which knows shapes and computes nothing, so any size costs milliseconds.

    Parameters
    ----------
    G : Module
        A network; it is copied without its values.
    shape : (B, 3, H, W)
        What it is given; the input counts.
    """
    bare = _without_values(G)
    dtype = next((p.dtype for p in G.parameters()), torch.float32)
    with torch.inference_mode(False), torch.no_grad(), LivingBytes() as living:
        x = torch.empty(shape, device="meta", dtype=dtype)
        bare(x)
    return living.peak


def needed_bytes(G: nn.Module, *, height: int, width: int, batch: int = 1, tile: int = 0) -> int:
    """Return about how many bytes one pass over frames (batch, 3, height, width) needs, whole or in tiles.

    `WORKSPACE` times the living tensors, and the weights once more, which convolutions re-pack; the frames themselves,
    padded, come on top where tiles are blended.
    """
    sides = [-(-max(side, 8) // G.multiple) * G.multiple for side in (height, width)]
    frames = batch * 3 * sides[0] * sides[1] * 4
    if tile:
        sides = [min(side, tile) for side in sides]
    weights = max((p.numel() * p.element_size() for p in G.parameters()), default=0)
    return int(WORKSPACE * peak_bytes(G, (batch, 3, *sides))) + weights + (3 * frames if tile else 0)


def free_bytes(device: torch.device) -> int:
    """Return how many bytes are free on a device: of the CPU's, what the system and the container still give."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo, limit = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
    if meminfo.is_file():
        free = 1024 * int(re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)[1])
    else:  # without a word on what is in use
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
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
    if batch > 1:
        advice = f"translate one frame at a time, with --batch 1, or {advice}"
    what = f"tiles of {tile}" if tile else f"a whole frame of {width}x{height}"
    raise ValueError(
        f"{what}{f', {batch} at a time,' if batch > 1 else ''} would need about {needed / 1e9:.1f} GB, and "
        f"{free / 1e9:.1f} GB are free on {device}: {advice}"
    )


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
                self._meet(tensor.untyped_storage())
        return out

    def _meet(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if (
            key not in self.known
        ):  # views share one; a tensor that autograd saved may be another with the same
            self.known.add(key)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._leave, key, storage.nbytes())

    def _leave(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def _without_values(G: nn.Module) -> nn.Module:
    """Return a copy of a network on the "meta" device; its weights are not copied on the way."""
    known = {id(p): nn.Parameter(p.to("meta"), requires_grad=False) for p in G.parameters()}
    known |= {id(b): b.to("meta") for b in G.buffers()}
    return copy.deepcopy(G, known)
