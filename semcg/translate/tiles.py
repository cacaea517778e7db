"""Frames of any size: padded to sizes that a generator takes, or in overlapping tiles, and what they need in memory.

Instance normalization takes its mean and variance from what it is given: a tile that is all sky is normalized as if
the world were sky, so that tiles differ from the whole frame in color and contrast, and from each other. Blending
hides the seams and not the difference. `difference` measures it, and `Tiled(..., norm_from_whole=True)` makes it
smaller: the statistics of every normalization are taken once, from the whole frame at reduced size, and apply to all
tiles. A U-Net differs even then, since its innermost levels see the whole of what they are given.
"""

import copy
import itertools
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Compiled", "Padded", "Tiled", "any_size", "check", "difference", "identity", "pad", "to_bytes"]

# Images (B, 3, H, W) in [-1, 1] to images of the same shape and range.
Translation = Callable[[Tensor], Tensor]
# Pixels a side that every generator and segmenter takes, if the side is a multiple of its `multiple`.
SMALLEST = 8
WORKSPACE = 1.5  # memory of a pass over that of its tensors: convolutions rearrange what they read and write


def identity(x: Tensor) -> Tensor:
    """Return the images as they are: the floor that a translation has to rise above."""
    return x


class Padded(nn.Module):
    """A generator for frames of any size: they are padded to sizes that it takes, and cropped back afterwards.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`.
    """

    def __init__(self, G: nn.Module) -> None:
        super().__init__()
        self.G, self.multiple = G, G.multiple

    def forward(self, x: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) of images (B, 3, H, W), both in [-1, 1]."""
        around, top, left = pad(x, self.multiple)
        return self.G(around)[..., top : top + x.shape[-2], left : left + x.shape[-1]]


def pad(x: Tensor, multiple: int) -> tuple[Tensor, int, int]:
    """Pad images on all sides to the next multiple, and to 8 pixels at least.

    The frame is mirrored at its edge, so that a network sees a street go on instead of a black rim; a side too short
    to be mirrored that far repeats its outermost pixels.

    Parameters
    ----------
    x : (B, C, H, W) float
    multiple : int

    Returns
    -------
    (B, C, H', W') float
        `x` itself where nothing is missing.
    top, left : int
        Where the frame begins in it.
    """
    height, width = x.shape[-2:]
    rows, columns = (-(-max(side, SMALLEST) // multiple) * multiple - side for side in (height, width))
    top, left = rows // 2, columns // 2  # after the frame is never less
    if rows:
        x = F.pad(x, (0, 0, top, rows - top), mode="reflect" if rows - top < height else "replicate")
    if columns:
        x = F.pad(x, (left, columns - left, 0, 0), mode="reflect" if columns - left < width else "replicate")
    return x, top, left


def any_size(translate: Translation) -> Translation:
    """Return a translation for frames of any size: a network that has a `multiple` in `Padded`, others unchanged."""
    fits = isinstance(translate, Padded) or not hasattr(translate, "multiple")
    return translate if fits else Padded(translate)


def to_bytes(x: Tensor) -> Tensor:
    """Turn values in [-1, 1] into uint8, to the nearest level."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


class Compiled(nn.Module):
    """A generator whose copy in bfloat16 is compiled by torch.compile, with its weights frozen into the code.

    A bfloat16 has 8 bits of precision: values differ from the generator's by about 0.0015 of the range -1..1, and by
    0.01 at most where this was measured, that is by up to one and a half grey levels. Compiling takes a minute or more
    on a quiet core, once per size of the frames and per batch, and needs a C++ compiler; it pays for folders of some
    hundred frames. Without bfloat16 instructions (AMX or AVX-512 on a CPU) it is slower than the generator itself.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`; it is left as it is.
    """

    # What tells the result from that of the generator alone; part of `fingerprint`.
    differs = {"precision": "bf16"}

    def __init__(self, G: nn.Module) -> None:
        super().__init__()
        self.G, self.multiple = G, G.multiple
        low = copy.deepcopy(G).eval().requires_grad_(False)
        low = low.to(dtype=torch.bfloat16, memory_format=torch.channels_last)
        frozen = None if next(G.parameters()).is_cuda else {"freezing": True}
        # In a tuple, since a module would enter the state dict and so the fingerprint.
        self._compiled = (torch.compile(low, dynamic=False, options=frozen),)

    def forward(self, x: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) float32 of images (B, 3, H, W), both in [-1, 1]."""
        with torch.inference_mode():  # freezing is for passes without gradients
            return self._compiled[0](x.bfloat16()).float()


class Tiled(nn.Module):
    """A generator for frames of any size, applied to overlapping tiles that are blended.

    The frame is padded as in `Padded`. Neighboring tiles are mixed with weights that rise as sin^2 over the overlap. A
    frame no larger than a tile is translated whole.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`.
    tile : int
        Height and width of a tile, a multiple of `G.multiple`.
    overlap : int
        Pixels that neighbors share at least, 0..tile / 2. Where it leaves room, tiles begin at multiples of
        `G.multiple`, which makes it larger; the last tile of a row or column ends with the frame.
    norm_from_whole : bool
        Take the statistics of all `InstanceNorm2d` from the whole frame, reduced to the area of a tile. Reducing blurs,
        so they are close to those of the frame at full size and not the same.

    Raises
    ------
    ValueError
        For a tile or an overlap that does not fit.
    """

    def __init__(self, G: nn.Module, *, tile: int, overlap: int = 0, norm_from_whole: bool = False) -> None:
        super().__init__()
        self.G, self.multiple = G, G.multiple
        self.tile, self.overlap, self.norm_from_whole = tile, overlap, norm_from_whole
        if tile < 1 or tile % self.multiple:
            fits = max(1, round(tile / self.multiple)) * self.multiple
            raise ValueError(
                f"tile = {tile}: {type(G).__name__} takes multiples of {self.multiple}, as {fits}"
            )
        if not 0 <= overlap <= tile // 2:
            raise ValueError(f"overlap = {overlap}: tiles of {tile} overlap by 0..{tile // 2} pixels")
        compiled = any(isinstance(part, Compiled) for part in G.modules())
        if norm_from_whole and (compiled or not _norms(G)):
            what = "compiled code" if compiled else type(G).__name__
            raise ValueError(f"{what} has no InstanceNorm2d whose statistics could be set")

    @property
    def differs(self) -> dict[str, object]:
        """What tells the result from that of the generator alone; part of `fingerprint`."""
        own = {"tile": self.tile, "overlap": self.overlap, "norm_from_whole": self.norm_from_whole}
        return getattr(self.G, "differs", {}) | own

    def forward(self, x: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) of images (B, 3, H, W), both in [-1, 1]."""
        around, top, left = pad(x, self.multiple)
        inside = (..., slice(top, top + x.shape[-2]), slice(left, left + x.shape[-1]))
        height, width = around.shape[-2:]
        if max(height, width) <= self.tile:
            return self.G(around)[inside]
        rows, columns = (starts(side, self.tile, self.overlap, self.multiple) for side in (height, width))
        total, weight = torch.zeros_like(around), around.new_zeros(height, width)
        with norms_of(self.G, self._reduced(x)) if self.norm_from_whole else nullcontext():
            for r, c in itertools.product(rows, columns):
                here = (..., slice(r, r + self.tile), slice(c, c + self.tile))
                piece = around[here]
                h, w = piece.shape[-2:]
                down = _ramp(x, h, self.overlap, first=r == 0, last=r == rows[-1])
                right = _ramp(x, w, self.overlap, first=c == 0, last=c == columns[-1])
                share = down[:, None] * right  # (h, w)
                total[here] += share * self.G(piece)
                weight[here] += share
        return (total / weight)[inside]

    def _reduced(self, x: Tensor) -> Tensor:
        """Return the frame at about the area of a tile, padded: what it costs in memory is what a tile costs."""
        height, width = x.shape[-2:]
        shrink = min(1.0, self.tile / (height * width) ** 0.5)
        size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        small = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        return pad(small, self.multiple)[0]


def starts(side: int, tile: int, overlap: int, multiple: int = 1) -> list[int]:
    """Return where tiles begin along a side: neighbors share `overlap` pixels at least, the last ends with the side."""
    if side <= tile:
        return [0]
    step = max(1, tile - overlap)
    if step >= multiple:
        step -= step % multiple  # on the generator's own grid, as the whole frame
    return [*range(0, side - tile, step), side - tile]


@contextmanager
def norms_of(G: nn.Module, x: Tensor) -> Iterator[None]:
    """Give every instance normalization of `G` the statistics that it meets on `x`, whatever it is given in the block."""
    statistics: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keep(norm: nn.InstanceNorm2d, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(2, 3), correction=0, keepdim=True)
        statistics[norm] = mean, (variance + norm.eps).rsqrt()  # (B, C, 1, 1)

    def normalize(norm: nn.InstanceNorm2d, inputs: tuple[Tensor], _: Tensor) -> Tensor:
        mean, scale = statistics[norm]
        y = (inputs[0] - mean) * scale
        return y * norm.weight[:, None, None] + norm.bias[:, None, None] if norm.affine else y

    with ExitStack() as hooks:
        for norm in _norms(G):
            hooks.enter_context(norm.register_forward_pre_hook(keep))
        G(x)
    with ExitStack() as hooks:
        for norm in statistics:
            hooks.enter_context(norm.register_forward_hook(normalize))
        yield


def difference(one: Tensor, other: Tensor) -> dict[str, float]:
    """Return by how many grey levels of 255 two translations of a frame differ.

    Parameters
    ----------
    one, other : (B, 3, H, W) float
        In [-1, 1].

    Returns
    -------
    dict
        "mean", "p99" (99 of 100 values differ by less) and "largest", over all values.
    """
    off = ((one - other).float().abs() * 127.5).cpu().numpy()
    return {"mean": float(off.mean()), "p99": float(np.quantile(off, 0.99)), "largest": float(off.max())}


def _ramp(like: Tensor, length: int, overlap: int, *, first: bool, last: bool) -> Tensor:
    """Return the weights (length,) of a tile's rows or columns: 1 inside, less where a neighbor takes over."""
    weights = like.new_ones(length)
    part = (torch.arange(overlap, device=like.device) + 0.5) / max(1, overlap)
    rise = torch.sin(part * (torch.pi / 2)) ** 2
    if not first:
        weights[:overlap] = rise
    if not last:
        weights[length - overlap :] *= rise.flip(0)
    return weights


def _norms(G: nn.Module) -> list[nn.InstanceNorm2d]:
    return [module for module in G.modules() if isinstance(module, nn.InstanceNorm2d)]


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

    `WORKSPACE` times the living tensors, and the weights once more, which convolutions re-pack; the frames themselves,
    padded, come on top where tiles are blended.
    """
    sides = [-(-max(side, SMALLEST) // G.multiple) * G.multiple for side in (height, width)]
    frames = batch * 3 * sides[0] * sides[1] * 4
    if tile:
        sides = [min(side, tile) for side in sides]
    weights = max((p.numel() * p.element_size() for p in G.parameters()), default=0)
    return int(WORKSPACE * peak_bytes(G, (batch, 3, *sides))) + weights + (3 * frames if tile else 0)


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
