"""Changes of colour, and the marks of networks: what happens to an image and not to its label."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

__all__ = ["generator", "recolored", "worn"]

GAIN, SHIFT = (0.8, 1.2), (-0.08, 0.08)
"""Range of the colour augmentation: a factor per channel and an offset per channel, for values in 0..1."""


def generator(*key: int) -> torch.Generator:
    """Return a generator of its own for a key of numbers from 0."""
    # torch's own generator keeps 32 bits of its seed; SeedSequence mixes the whole key into them.
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def recolored(x: Tensor, draw: torch.Generator) -> Tensor:
    """Change the colours of an image in [-1, 1] by a gain and a shift per channel."""
    gain = torch.empty(3, 1, 1).uniform_(*GAIN, generator=draw)
    shift = torch.empty(3, 1, 1).uniform_(*SHIFT, generator=draw)
    return (((x + 1) / 2 * gain + shift) * 2 - 1).clamp(-1, 1)


def worn(x: Tensor, draw: torch.Generator) -> Tensor:
    """Add the marks that networks leave in images; each of the three comes in half of the items.

    A transposed convolution leaves a faint checkerboard (Odena et al., "Deconvolution and checkerboard
    artifacts", 2016). A judge that never saw one reads it as texture: a clean sky becomes "building". So the
    judge learns that blur (sigma 0.3..1.2 px), noise (deviation up to 0.04 of [-1, 1]) and patterns that
    repeat every 2..8 px (deviation up to 0.06) mean nothing.
    """
    blurred, noisy, patterned, sigma, noise, strength = torch.rand(6, generator=draw).tolist()
    if blurred < 0.5:
        x = F.gaussian_blur(x, kernel_size=[7, 7], sigma=[0.3 + 0.9 * sigma] * 2)
    if noisy < 0.5:
        x = x + 0.04 * noise * torch.randn(x.shape, generator=draw)
    if patterned < 0.5:
        h, w = torch.randint(2, 9, (2,), generator=draw).tolist()
        tile = torch.randn(3, h, w, generator=draw)
        tile = (tile - tile.mean()) / tile.std()
        repeats = (1, -(-x.shape[1] // h), -(-x.shape[2] // w))
        x = x + 0.06 * strength * tile.repeat(repeats)[:, : x.shape[1], : x.shape[2]]
    return x.clamp(-1, 1)
