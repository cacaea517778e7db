"""A small U-Net that scores every pixel: the judge, and the network of the downstream test.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015. What
differs: three levels instead of four and few channels (16 at the top give 0.44 M parameters), padded convolutions
with batch normalisation, a strided convolution for the max-pooling, nearest up-sampling for the transposed
convolution (which leaves a checkerboard), and one convolution a level on the way up. All of it has a
deterministic backward pass on CUDA.

Another family than DRN on purpose: a judge that resembled the segmenters inside the loss would share their errors.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semcg.segmenters.base import Segmenter, initialise

__all__ = ["SmallUNet"]


class SmallUNet(Segmenter):
    """U-Net of three levels, returning class scores at full size. Heights and widths are multiples of 8.

    Parameters
    ----------
    classes : int
        Number of score maps.
    width : int
        Channels of the first level (16 for the judge, 12 downstream); 2, 4 and 8 times as many below.

    Raises
    ------
    ValueError
        If `width` is not a whole number above 0: it counts channels here, and is no factor.
    """

    multiple = 8

    def __init__(self, *, classes: int = 19, width: int = 16) -> None:
        super().__init__()
        if width != int(width) or width < 1:
            raise ValueError(f"the width of SmallUNet counts channels (16, say), so it cannot be {width}")
        c1, c2, c3, c4 = (int(width) * k for k in (1, 2, 4, 8))
        self.down1 = nn.Sequential(*convolution(3, c1), *convolution(c1, c1))
        self.down2 = nn.Sequential(*convolution(c1, c2, stride=2), *convolution(c2, c2))
        self.down3 = nn.Sequential(*convolution(c2, c3, stride=2), *convolution(c3, c3))
        self.down4 = nn.Sequential(*convolution(c3, c4, stride=2), *convolution(c4, c4))
        self.up3 = nn.Sequential(*convolution(c4 + c3, c3))
        self.up2 = nn.Sequential(*convolution(c3 + c2, c2))
        self.up1 = nn.Sequential(*convolution(c2 + c1, c1))
        self.score = nn.Conv2d(c1, classes, 1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (B, classes, H, W) of images (B, 3, H, W) in [-1, 1]."""
        x1 = self.down1(self.normalise(images))  # (B, c, H, W)
        x2 = self.down2(x1)  # (B, 2c, H/2, W/2)
        x3 = self.down3(x2)  # (B, 4c, H/4, W/4)
        x = self.down4(x3)  # (B, 8c, H/8, W/8)
        x = self.up3(torch.cat([twice(x), x3], dim=1))  # (B, 4c, H/4, W/4)
        x = self.up2(torch.cat([twice(x), x2], dim=1))  # (B, 2c, H/2, W/2)
        x = self.up1(torch.cat([twice(x), x1], dim=1))  # (B, c, H, W)
        return self.score(x)  # (B, classes, H, W)


def convolution(inside: int, outside: int, *, stride: int = 1) -> tuple[nn.Module, ...]:
    """Return a 3 x 3 convolution, its batch normalisation and ReLU."""
    return (
        nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


def twice(x: Tensor) -> Tensor:
    """Double height and width by repeating pixels."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
