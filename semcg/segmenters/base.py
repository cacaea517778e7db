"""What all segmenters share: what goes in, how the weights begin, how scores come to full size."""

import copy
import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["Segmenter", "channels", "frozen", "initialise", "upsample"]


class Segmenter(nn.Module):
    """A network from images in [-1, 1] to class scores; a subclass begins its `forward` with `normalise`.

    Published weights expect images with the channel statistics of ImageNet (Deng et al., 2009), so each segmenter
    converts inside. Its caller, a loss in particular, passes on whatever a generator made, and the gradient
    comes back through the conversion.
    """

    multiple = 1  # height and width must be multiples of this

    def __init__(self) -> None:
        super().__init__()
        # [0, 1] -> [-1, 1] is 2x - 1. Not persistent: a published state dict knows nothing of these two.
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("image_mean", (2 * mean - 1).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("image_std", (2 * std).view(1, 3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Turn images in [-1, 1] into images with the channel statistics of ImageNet, differentiably.

        Parameters
        ----------
        images : (B, 3, H, W) float
            In [-1, 1].

        Returns
        -------
        (B, 3, H, W) float

        Raises
        ------
        ValueError
            If the shape is not (B, 3, H, W), or H or W is no multiple of `multiple`.
        TypeError
            If the images are not floating point.
        """
        name = type(self).__name__
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"{name} takes images (B, 3, H, W), not {tuple(images.shape)}")
        if not images.is_floating_point():
            raise TypeError(
                f"{name} takes float images in [-1, 1], not {images.dtype}; uint8: images / 127.5 - 1"
            )
        height, width = images.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"{name} takes heights and widths that are multiples of {self.multiple}, "
                f"but the images are {height} x {width}; pad or crop them"
            )
        return (images - self.image_mean) / self.image_std


def channels(*full: int, width: float) -> list[int]:
    """Return channel counts scaled by `width`: max(8, int(c * width))."""
    if width <= 0:
        raise ValueError(f"width is a factor above 0, not {width}")
    return [max(8, int(c * width)) for c in full]


def initialise(network: nn.Module, *, generator: torch.Generator | None = None) -> None:
    """Draw every convolution from N(0, 2 / (k k out)) and set biases to 0, in place.

    He et al., "Delving Deep into Rectifiers", ICCV 2015, with the outputs counted, as DRN's and ResNet's public
    code does. Batch normalisation keeps its weight of 1 and bias of 0.

    Parameters
    ----------
    network : Module
        On the CPU: a CPU generator then gives the same weights on every machine, up to rounding (about 1e-7).
    generator : torch.Generator, optional
        Where the numbers come from; torch's global one if left out.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            k_h, k_w = module.kernel_size
            std = math.sqrt(2 / (k_h * k_w * module.out_channels))
            nn.init.normal_(module.weight, std=std, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def frozen(network: nn.Module) -> nn.Module:
    """Return a copy that only looks: in evaluation mode, without gradients, batch normalisation folded away.

    In evaluation mode batch normalisation is a fixed scale and shift, which the convolution before it can carry. The
    scores are the same up to rounding, the pass is shorter, and the gradient still reaches the image. The network
    itself stays as it is.

    Parameters
    ----------
    network : Module
        Where a `BatchNorm2d` is registered right after a `Conv2d`, it must also be applied right after it; in the
        networks of this room, and in torchvision's, that is so.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(copied.modules()):
        for (name, first), (next_name, second) in pairwise(list(module.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, next_name, nn.Identity())
    return copied


def upsample(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring scores to the size of the labels: bilinear, with half-pixel centres (align_corners=False).

    The choice matters, because weights are trained through one and read through it. CyCADA's code aligns
    the corners (align_corners=True). Yu's DRN code up-samples by a fixed transposed convolution of bilinear
    weights, which equals half-pixel centres but for a border of 4 pixels, where it mixes in zeros. With corners
    aligned instead, the same scores give another class along many edges. We take half-pixel centres: they hold
    for any size, and they agree with the weights that DRN's authors published for segmentation.

    The backward pass of bilinear up-sampling has no deterministic form on CUDA. A loss that compares scores at
    their own stride does not need this function.

    Parameters
    ----------
    scores : (B, C, h, w) float
    size : (H, W)

    Returns
    -------
    (B, C, H, W) float
        `scores` itself where the size is the same already.
    """
    if scores.shape[-2:] == torch.Size(size):
        return scores
    return F.interpolate(scores, size=tuple(size), mode="bilinear", align_corners=False)
