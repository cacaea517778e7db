"""A generator at any size, and in a faster form; and the translation that does nothing."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Compiled", "Padded", "Translation", "any_size", "identity", "pad", "to_bytes"]

Translation = Callable[[Tensor], Tensor]
"""Images (B, 3, H, W) in [-1, 1] to images of the same shape and range."""

SMALLEST = 8
"""Pixels a side that every generator and segmenter takes, if the side is a multiple of its `multiple`."""


def identity(x: Tensor) -> Tensor:
    """Return the images as they are: the floor that a translation has to rise above."""
    return x


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

    differs = {"precision": "bf16"}
    """What tells the result from that of the generator alone; part of `fingerprint`."""

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
