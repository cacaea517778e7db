"""A generator in bfloat16, compiled for one size of frames after the other: fast, and not to the last grey level."""

import copy

import torch
from torch import Tensor, nn

__all__ = ["Compiled"]


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
