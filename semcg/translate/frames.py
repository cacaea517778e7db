"""Translations of whole frames of any size: padded, in tiles, or compiled.

Instance normalization takes its mean and variance from what it is given: a tile that is all sky is normalized as if
the world were sky, so that tiles differ from the whole frame in color and contrast, and from each other. Blending
hides the seams and not the difference. `difference` measures it, and `Tiled(..., norm_from_whole=True)` makes it
smaller: the statistics of every normalization are taken once, from the whole frame at reduced size, and apply to all
tiles. A U-Net differs even then, since its innermost levels see the whole of what they are given.
"""

import copy
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Images (B, 3, H, W) in [-1, 1] to images of the same shape and range.
Translator = Callable[[Tensor], Tensor]
# Pixels a side that every generator and segmenter takes, if the side is a multiple of its `multiple`.
SMALLEST = 8


def identity(x: Tensor) -> Tensor:
    """Return the images as they are: the floor that a translation has to rise above."""
    return x


class Padded(nn.Module):
    """A generator for frames of any size: they are padded to sizes that it takes, and cropped back afterwards.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`.

    Attributes
    ----------
    differs : dict
        What tells the result from that of the generator alone, as in all translations that contain one; part of
        `fingerprint`.
    """

    differs: ClassVar[dict[str, object]] = {}

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
    rows, columns = (padded(side, multiple) - side for side in (height, width))
    top, left = rows // 2, columns // 2  # after the frame is never less
    if rows:
        x = F.pad(x, (0, 0, top, rows - top), mode="reflect" if rows - top < height else "replicate")
    if columns:
        x = F.pad(x, (left, columns - left, 0, 0), mode="reflect" if columns - left < width else "replicate")
    return x, top, left


def padded(side: int, multiple: int) -> int:
    """Return the length of a side after `pad`."""
    return -(-max(side, SMALLEST) // multiple) * multiple


def any_size(translate: Translator) -> Translator:
    """Return a translation for frames of any size: a network that has a `multiple` in `Padded`, others unchanged."""
    fits = isinstance(translate, Padded) or not hasattr(translate, "multiple")
    return translate if fits else Padded(translate)


class Compiled(nn.Module):
    """A generator whose copy in bfloat16 is compiled by torch.compile, with its weights frozen into the code.

    A bfloat16 has 8 bits of precision: values differ from the generator's by about 0.0015 of the range -1..1, and by
    0.01 at most where this was measured, that is by up to one and a half gray levels. Compiling takes a minute or more
    on a quiet core, once per size of the frames and per batch, and needs a C++ compiler; it pays for folders of some
    hundred frames. Without bfloat16 instructions (AMX or AVX-512 on a CPU) it is slower than the generator itself.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`; it is left as it is.
    """

    differs: ClassVar[dict[str, object]] = {"precision": "bf16"}

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
        self.differs = {"tile": tile, "overlap": overlap, "norm_from_whole": norm_from_whole}
        if tile < 1 or tile % self.multiple:
            fits = max(1, round(tile / self.multiple)) * self.multiple
            raise ValueError(f"tile = {tile}: {type(G).__name__} takes multiples of {G.multiple}, as {fits}")
        if not 0 <= overlap <= tile // 2:
            raise ValueError(f"overlap = {overlap}: tiles of {tile} overlap by 0..{tile // 2} pixels")
        compiled = any(isinstance(part, Compiled) for part in G.modules())
        if norm_from_whole and (compiled or not _norms(G)):
            what = "compiled code" if compiled else type(G).__name__
            raise ValueError(f"{what} has no InstanceNorm2d whose statistics could be set")

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
    """Return by how many gray levels of 255 two translations of a frame differ.

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
