"""Frames in overlapping tiles, where a whole frame does not fit into memory.

Instance normalisation takes its mean and variance from what it is given: a tile that is all sky is normalised as if
the world were sky, so that tiles differ from the whole frame in colour and contrast, and from each other. Blending
hides the seams and not the difference. `difference` measures it, and `Tiled(..., norm_from_whole=True)` makes it
smaller: the statistics of every normalisation are taken once, from the whole frame at reduced size, and hold for all
tiles. A U-Net differs even then, since its innermost levels see the whole of what they are given.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semcg.translate.translations import Compiled, pad

__all__ = ["Tiled", "difference", "fixed_norms", "starts", "whole_norms"]

Statistics = dict[nn.InstanceNorm2d, tuple[Tensor, Tensor]]
"""Mean and 1 / standard deviation (B, C, 1, 1) of what a normalisation is given."""


class Tiled(nn.Module):
    """A generator for frames of any size, applied to overlapping tiles that are blended.

    The frame is padded as in `Padded`. Neighbouring tiles are mixed with weights that rise as sin^2 over the overlap. A
    frame no larger than a tile is translated whole.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`.
    tile : int
        Height and width of a tile, a multiple of `G.multiple`.
    overlap : int
        Pixels that neighbours share at least, 0..tile / 2. Where it leaves room, tiles begin at multiples of
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
                f"tile = {tile}: {type(G).__name__} takes multiples of {self.multiple}, {fits} say"
            )
        if not 0 <= overlap <= tile // 2:
            raise ValueError(f"overlap = {overlap}: tiles of {tile} overlap by 0..{tile // 2} pixels")
        if norm_from_whole and any(isinstance(part, Compiled) for part in G.modules()):
            raise ValueError("compiled code has no normalisations left whose statistics could be set")
        if norm_from_whole and not _norms(G):
            raise ValueError(f"{type(G).__name__} has no InstanceNorm2d whose statistics could be taken")

    @property
    def differs(self) -> dict[str, object]:
        """What tells the result from that of the generator alone; part of `fingerprint`."""
        return getattr(self.G, "differs", {}) | {
            "tile": self.tile,
            "overlap": self.overlap,
            "norm_from_whole": self.norm_from_whole,
        }

    def forward(self, x: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) of images (B, 3, H, W), both in [-1, 1]."""
        around, top, left = pad(x, self.multiple)
        inside = (..., slice(top, top + x.shape[-2]), slice(left, left + x.shape[-1]))
        height, width = around.shape[-2:]
        if max(height, width) <= self.tile:
            return self.G(around)[inside]
        rows, columns = (starts(side, self.tile, self.overlap, self.multiple) for side in (height, width))
        total, weight = torch.zeros_like(around), around.new_zeros(height, width)
        with fixed_norms(whole_norms(self.G, self._reduced(x)) if self.norm_from_whole else {}):
            for r in rows:
                for c in columns:
                    here = (..., slice(r, r + self.tile), slice(c, c + self.tile))
                    piece = around[here]
                    rise = [
                        _weights(piece.shape[d], self.overlap, first=at == 0, last=at == end, like=x)
                        for d, at, end in ((-2, r, rows[-1]), (-1, c, columns[-1]))
                    ]
                    share = rise[0][:, None] * rise[1]  # (h, w)
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
    """Return where tiles begin along a side: neighbours share `overlap` pixels at least, the last ends with the side."""
    if side <= tile:
        return [0]
    step = max(1, tile - overlap)
    if step >= multiple:
        step -= step % multiple  # on the generator's own grid, as the whole frame
    return [*range(0, side - tile, step), side - tile]


def whole_norms(G: nn.Module, x: Tensor) -> Statistics:
    """Run `G` on `x` and return the statistics that its instance normalisations meet."""
    met: Statistics = {}

    def keep(norm: nn.InstanceNorm2d, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(2, 3), correction=0, keepdim=True)
        met[norm] = mean, (variance + norm.eps).rsqrt()

    hooks = [norm.register_forward_pre_hook(keep) for norm in _norms(G)]
    try:
        G(x)
    finally:
        for hook in hooks:
            hook.remove()
    return met


@contextmanager
def fixed_norms(statistics: Statistics) -> Iterator[None]:
    """Normalise with given statistics inside the block, whatever the normalisations are given; {} changes nothing."""

    def normalise(norm: nn.InstanceNorm2d, inputs: tuple[Tensor], _: Tensor) -> Tensor:
        mean, scale = statistics[norm]
        y = (inputs[0] - mean) * scale
        return y * norm.weight[:, None, None] + norm.bias[:, None, None] if norm.affine else y

    hooks = [norm.register_forward_hook(normalise) for norm in statistics]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


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


def _norms(G: nn.Module) -> list[nn.InstanceNorm2d]:
    return [module for module in G.modules() if isinstance(module, nn.InstanceNorm2d)]


def _weights(length: int, overlap: int, *, first: bool, last: bool, like: Tensor) -> Tensor:
    """Return the weights (length,) of a tile's rows or columns: 1 inside, less where a neighbour takes over."""
    weights = like.new_ones(length)
    rise = (
        torch.sin((torch.arange(overlap, device=like.device) + 0.5) / max(1, overlap) * (torch.pi / 2)) ** 2
    )
    if not first:
        weights[:overlap] = rise
    if not last:
        weights[length - overlap :] *= rise.flip(0)
    return weights
