"""What can be done to an image: nothing, other colours, or a generator's work, at any size."""

from collections.abc import Callable

import numpy as np
import torch
from skimage.exposure import match_histograms
from torch import Tensor, nn
from torch.nn import functional as F

from semcg.data import Scenes

__all__ = ["HistogramMatching", "Padded", "Translation", "any_size", "identity", "pad", "to_bytes"]

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
