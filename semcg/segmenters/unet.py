"""A small U-Net that scores every pixel: the judge, and the network of the downstream test.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015. What
differs: three levels instead of four and few channels (16 at the top give 0.44 M parameters), padded convolutions
with batch normalisation, a strided convolution for the max-pooling, nearest up-sampling for the transposed
convolution (which leaves a checkerboard), and one convolution a level on the way up. All of it has a
deterministic backward pass on CUDA.

Another family than DRN on purpose: a judge that resembled the segmenters inside the loss would share their errors.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.segmentation import deeplabv3_resnet50

from semcg.segmenters.base import Segmenter, channels, initialise

__all__ = ["DeepLabV3", "SegNet", "SmallUNet"]


class SegNet(Segmenter):
    """SegNet with five levels, returning class scores at full size. Heights and widths are multiples of 32.

    Parameters
    ----------
    classes : int
        Number of score maps.
    width : float
        Factor on all channel counts, max(8, int(c * width)).

    Raises
    ------
    ValueError
        If the width is not above 0.
    """

    multiple = 32

    def __init__(self, *, classes: int = 19, width: float = 1.0) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = channels(64, 128, 256, 512, 512, width=width)
        down = [(3, c1, c1), (c1, c2, c2), (c2, c3, c3, c3), (c3, c4, c4, c4), (c4, c5, c5, c5)]
        up = [(c5, c5, c5, c4), (c4, c4, c4, c3), (c3, c3, c3, c2), (c2, c2, c1), (c1, c1)]
        self.encoder = nn.ModuleList(level(*c, bias=True) for c in down)
        self.decoder = nn.ModuleList(level(*c, bias=True) for c in up)
        self.score = nn.Conv2d(c1, classes, 3, padding=1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (B, classes, H, W) of images (B, 3, H, W) in [-1, 1]."""
        x, places = self.normalise(images), []  # (B, 3, H, W)
        for convolve in self.encoder:
            # (B, c, H/2, W/2), ..., (B, 512, H/32, W/32)
            x, place = F.max_pool2d(convolve(x), 2, return_indices=True)
            places.append(place)
        for convolve in self.decoder:
            x = convolve(F.max_unpool2d(x, places.pop(), 2))  # (B, 512, H/16, W/16), ..., (B, 64, H, W)
        return self.score(x)  # (B, classes, H, W)


class DeepLabV3(Segmenter):
    """DeepLabV3 on ResNet-50, returning class scores at stride 8. Any size is taken; h and w are rounded up.

    Its image-level branch normalises over the batch alone, so that training needs batches of two or more.

    Parameters
    ----------
    classes : int
        Number of score maps.
    """

    def __init__(self, *, classes: int = 19) -> None:
        super().__init__()
        self.network = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (B, classes, ceil(H / 8), ceil(W / 8)) of images (B, 3, H, W) in [-1, 1]."""
        x = self.normalise(images)  # (B, 3, H, W)
        x = self.network.backbone(x)["out"]  # (B, 2048, h, w)
        return self.network.classifier(x)  # (B, classes, h, w)


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
        self.down1 = level(3, c1, c1)
        self.down2 = level(c1, c2, c2, stride=2)
        self.down3 = level(c2, c3, c3, stride=2)
        self.down4 = level(c3, c4, c4, stride=2)
        self.up3 = level(c4 + c3, c3)
        self.up2 = level(c3 + c2, c2)
        self.up1 = level(c2 + c1, c1)
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


def level(*c: int, stride: int = 1, bias: bool = False) -> nn.Sequential:
    """Return 3 x 3 convolutions c[0] -> c[1] -> ..., the first with `stride`, each with batch normalization and ReLU."""
    layers: list[nn.Module] = []
    for inside, outside in pairwise(c):
        layers += [
            nn.Conv2d(inside, outside, 3, stride=1 if layers else stride, padding=1, bias=bias),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def twice(x: Tensor) -> Tensor:
    """Double height and width by repeating pixels."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
