"""What can be done to an image: nothing, other colours, or a generator's work, at any size."""

import math
from collections.abc import Callable

import numpy as np
import torch
from skimage.exposure import match_histograms
from torch import Tensor, nn
from torch.nn import functional as F

from semcg.data import Scenes
from semcg.gan import recolored

__all__ = [
    "Guided",
    "HistogramMatching",
    "Padded",
    "Translation",
    "any_size",
    "color_map",
    "identity",
    "pad",
    "to_bytes",
]

Translation = Callable[[Tensor], Tensor]
"""Images (B, 3, H, W) in [-1, 1] to images of the same shape and range."""

SMALLEST = 8
"""Pixels a side that every generator and segmenter takes, if the side is a multiple of its `multiple`."""
QUANTILES = 10_000
"""Points that stand for the distribution of a channel over a set of frames."""


def identity(x: Tensor) -> Tensor:
    """Return the images as they are: the floor that a translation has to rise above."""
    return x


class HistogramMatching(nn.Module):
    """Colours of the target without a network: each channel of a frame gets the target's distribution of values.

    The target is a set of frames, whose pixels are pooled; a single reference frame would lend its own
    content's colours. Histogram specification of Gonzalez and Woods, "Digital Image Processing", as
    `skimage.exposure.match_histograms`. It knows colours and nothing of places: a sky may well turn green.

    Parameters
    ----------
    counts : (3, 256) integer
        Pixels of the target by channel and value, from `of` say.
    """

    def __init__(self, counts: Tensor | np.ndarray) -> None:
        super().__init__()
        counts = np.asarray(counts, np.int64)
        if counts.shape != (3, 256) or counts.min() < 0 or counts.sum(1).min() == 0:
            raise ValueError(f"counts are pixels by channel and value, (3, 256), not {counts.shape} or empty")
        # Some thousand quantiles instead of millions of pixels: as good to 1 / 20,000, and as fast for any set.
        at = (np.arange(QUANTILES) + 0.5) / QUANTILES
        values = [np.searchsorted(np.cumsum(c) / c.sum(), at) for c in counts]
        self.register_buffer("reference", torch.from_numpy(np.stack(values, 1)))  # (QUANTILES, 3), 0..255

    @classmethod
    def of(cls, scenes: Scenes, *, frames: int = 0) -> "HistogramMatching":
        """Return the matching to the pooled pixels of `scenes`: of all, or of the first `frames` by name."""
        counts = torch.zeros(3, 256, dtype=torch.int64)
        for i in range(min(frames, len(scenes)) if frames else len(scenes)):
            values = to_bytes(scenes.frame(i)[0]).flatten(1)  # (3, H W)
            counts += torch.stack([torch.bincount(v.int(), minlength=256) for v in values])
        return cls(counts)

    def forward(self, x: Tensor) -> Tensor:
        """Return images (B, 3, H, W), each matched on its own, on the device of `x`; its values count as bytes."""
        # In 16 bits: whole numbers are counted instead of sorted, and the function cuts its result down to whole
        # numbers, which on bytes would darken a frame by half a level.
        reference = (self.reference.cpu().numpy()[:, None] * 257).astype(np.uint16)
        frames = to_bytes(x).permute(0, 2, 3, 1).cpu().numpy().astype(np.uint16)
        matched = [match_histograms(frame, reference, channel_axis=-1) for frame in frames]
        return torch.from_numpy(np.stack(matched) / 32767.5 - 1).permute(0, 3, 1, 2).to(x)


class Guided(nn.Module):
    """Any generator's colors without its strokes: what it does to a frame becomes a smooth color map of the frame.

    Frame and translation are reduced by averaging, `color_map` fits a color matrix in each neighborhood, and
    `semcg.gan.recolored` applies the raised map to the full frame. Nothing is trained. Li et al., "A Closed-form Solution
    to Photorealistic Image Stylization", ECCV 2018, smooth a translation so; Domain Stylization (Dundar et al.,
    arXiv 1807.09384) does it from GTA5 to Cityscapes.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`.
    shrink : int
        By how much frame and translation are reduced.
    cells : int
        Side of the neighborhoods in reduced pixels, odd.
    ridge : float
        As in `color_map`.
    """

    def __init__(self, G: nn.Module, *, shrink: int = 4, cells: int = 5, ridge: float = 1e-3) -> None:
        super().__init__()
        self.G, self.multiple = G, math.lcm(G.multiple, shrink)
        self.shrink, self.cells, self.ridge = shrink, cells, ridge

    @property
    def differs(self) -> dict[str, object]:
        """What tells the result from that of the generator alone; part of `fingerprint`."""
        own = {"guided": [self.shrink, self.cells, self.ridge]}
        return getattr(self.G, "differs", {}) | own

    def forward(self, x: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) of images (B, 3, H, W), both in [-1, 1]."""
        small, made = (F.avg_pool2d(v, self.shrink) for v in (x, self.G(x)))  # (B, 3, H / shrink, W / shrink)
        return recolored(x, color_map(small, made, cells=self.cells, ridge=self.ridge)).clamp(-1, 1)


def color_map(x: Tensor, y: Tensor, *, cells: int = 5, ridge: float = 1e-3) -> Tensor:
    """Fit y = x + A x + b by least squares in the neighborhood of every pixel.

    A = cov(y - x, x) (cov(x, x) + ridge I)^-1 and b = mean(y - x) - A mean(x), over `cells` x `cells` pixels: the guided
    filter (He, Sun and Tang, ECCV 2010) of the change y - x. Where a neighborhood has no contrast the ridge
    pulls A to 0, so that detail which only the full frame has keeps the contrast that it has there; a filter of y itself
    would wipe it out.

    Parameters
    ----------
    x, y : (B, 3, h, w) float
    cells : int
        Odd; at the rim only pixels inside count.
    ridge : float
        Variance that counts as none, in the unit of the images squared.

    Returns
    -------
    (B, 12, h, w) float
        As `semcg.gan.recolored` takes it.
    """

    def mean(v: Tensor) -> Tensor:
        return F.avg_pool2d(v, cells, stride=1, padding=cells // 2, count_include_pad=False)

    def cov(u: Tensor, v: Tensor) -> Tensor:  # (B, 3, 3, h, w)
        products = (u[:, :, None] * v[:, None]).flatten(1, 2)
        return mean(products).unflatten(1, (3, 3)) - mean(u)[:, :, None] * mean(v)[:, None]

    change = y - x
    spread = cov(x, x) + ridge * torch.eye(3, dtype=x.dtype, device=x.device)[..., None, None]
    A = (cov(change, x)[:, :, :, None] * _inverse(spread)[:, None]).sum(2)  # (B, 3, 3, h, w)
    b = mean(change) - (A * mean(x)[:, None]).sum(2)
    return torch.cat([A.flatten(1, 2), b], dim=1)


def _inverse(matrix: Tensor) -> Tensor:
    """Return the inverses of (B, 3, 3, h, w), by cofactors: ONNX has no solver, and each is 3 x 3."""

    def cross(u: Tensor, v: Tensor) -> Tensor:
        return u.roll(-1, 1) * v.roll(-2, 1) - u.roll(-2, 1) * v.roll(-1, 1)

    p, q, r = matrix.double().unbind(1)  # rows (B, 3, h, w)
    columns = torch.stack([cross(q, r), cross(r, p), cross(p, q)], dim=2)
    return (columns / (p * cross(q, r)).sum(1)[:, None, None]).to(matrix)


class Padded(nn.Module):
    """A generator for frames of any size: they are padded to sizes that it takes, and cropped back afterwards.

    Parameters
    ----------
    G : Module
        From images to images of the same size.
    multiple : int, optional
        Heights and widths that `G` takes are multiples of this; by default `G.multiple`.
    """

    def __init__(self, G: nn.Module, multiple: int | None = None) -> None:
        super().__init__()
        self.G = G
        self.multiple = G.multiple if multiple is None else multiple

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
    (height, top, bottom), (width, left, right) = (_missing(side, multiple) for side in x.shape[-2:])
    if top or bottom:
        x = F.pad(x, (0, 0, top, bottom), mode="reflect" if bottom < height else "replicate")
    if left or right:
        x = F.pad(x, (left, right, 0, 0), mode="reflect" if right < width else "replicate")
    return x, top, left


def any_size(translate: Translation) -> Translation:
    """Return a translation for frames of any size: a network that has a `multiple` in `Padded`, others as they are."""
    if (
        isinstance(translate, nn.Module)
        and hasattr(translate, "multiple")
        and not isinstance(translate, Padded)
    ):
        return Padded(translate)
    return translate


def to_bytes(x: Tensor) -> Tensor:
    """Turn values in [-1, 1] into uint8, to the nearest level."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _missing(side: int, multiple: int) -> tuple[int, int, int]:
    """Return a side and how many pixels it lacks before and after; after is never the smaller."""
    lacks = -(-max(side, SMALLEST) // multiple) * multiple - side
    return side, lacks // 2, lacks - lacks // 2
