"""Segmenters: networks from images (B, 3, H, W) in [-1, 1] to class scores (B, classes, h, w).

The paper takes DRN26 and names DeepLabV3 and SegNet as alternatives (section 2.2.2). The small U-Net is no part of
the method: it judges translations from outside. Each network returns scores at its own stride, and
`upsample` brings them to the size of the labels. Each converts inside, differentiably, to the image
statistics that published weights expect.

DRN-C-26: Yu, Koltun and Funkhouser, "Dilated Residual Networks", CVPR 2017. DeepLabV3: Chen et al., "Rethinking Atrous
Convolution", 2017. SegNet: Badrinarayanan, Kendall and Cipolla, TPAMI 2017. U-Net: Ronneberger, Fischer and Brox,
"U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.
"""

import copy
import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.segmentation import deeplabv3_resnet50

from semcg.published import fetch_imagenet, load_published  # noqa: F401  (offered here too)


class Segmenter(nn.Module):
    """A network from images in [-1, 1] to class scores; a subclass begins its `forward` with `normalize`.

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

    def normalize(self, images: Tensor) -> Tensor:
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
            raise TypeError(f"{name} takes float images in [-1, 1], not {images.dtype}: images / 127.5 - 1")
        height, width = images.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(f"{name} takes sides in multiples of {self.multiple}, not {height} x {width}")
        return (images - self.image_mean) / self.image_std


def channels(*full: int, width: float) -> list[int]:
    """Return channel counts scaled by `width`: max(8, int(c * width))."""
    if width <= 0:
        raise ValueError(f"width is a factor above 0, not {width}")
    return [max(8, int(c * width)) for c in full]


def initialize(network: nn.Module, *, generator: torch.Generator | None = None) -> None:
    """Draw every convolution from N(0, 2 / (k k out)) and set biases to 0, in place.

    He et al., "Delving Deep into Rectifiers", ICCV 2015, with the outputs counted, as DRN's and ResNet's public
    code does. Batch normalization keeps its weight of 1 and bias of 0.

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
    """Return a copy that only looks: in evaluation mode, without gradients, batch normalization folded away.

    In evaluation mode batch normalization is a fixed scale and shift, which the convolution before it can carry. The
    scores are the same up to rounding, the pass is shorter, and the gradient still reaches the image. The network
    itself stays as it is.

    Parameters
    ----------
    network : Module
        Where a `BatchNorm2d` is registered right after a `Conv2d`, it must also be applied right after it; in the
        networks of this module, and in torchvision's, that is so.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(copied.modules()):
        for (name, first), (next_name, second) in pairwise(list(module.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, next_name, nn.Identity())
    return copied


def upsample(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring scores to the size of the labels: bilinear, with half-pixel centers (align_corners=False).

    The choice matters, because weights are trained through one and read through it. CyCADA's code aligns
    the corners (align_corners=True). Yu's DRN code up-samples by a fixed transposed convolution of bilinear
    weights, which equals half-pixel centers but for a border of 4 pixels, where it mixes in zeros. With corners
    aligned instead, the same scores give another class along many edges. We take half-pixel centers: they hold
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


class DRN26(Segmenter):
    """DRN-C-26, a residual network that trades two of its five strides for dilation; it returns scores at its own stride.

    CyCADA (Hoffman et al., ICML 2018) calls it drn26. The block table and the names in the state dict match the
    published weights (github.com/fyu/drn, drn_c_26); with 19 classes the state dict has 182 entries and the network
    20,623,331 parameters. What differs: images come in [-1, 1] and are normalized inside; `width` scales the channels;
    `stride=4` keeps layer 4 at the finer grid for small images (the published weights were trained at stride 8); and
    layers 2-6 have a shortcut convolution at every width, so that the names depend on neither option.

    Score (i, j) is centered on pixel (stride i, stride j) and sees 581 pixels each way at stride 8, 317 at stride 4.
    Any size is taken; h and w are rounded up (65 x 70 gives 9 x 9).

    Parameters
    ----------
    classes : int
        Number of score maps.
    width : float
        Factor on all channel counts, max(8, int(c * width)).
    stride : int
        8, or 4 (layer 4 then keeps the grid of layer 3; dilations as they are).

    Raises
    ------
    ValueError
        For another stride, or a width that is not above 0.
    """

    def __init__(self, *, classes: int = 19, width: float = 1.0, stride: int = 8) -> None:
        super().__init__()
        if stride not in (4, 8):
            raise ValueError(f"DRN26 has stride 4 or 8, not {stride}")
        c1, c2, c3, c4, c5, c6, c7, c8 = channels(16, 32, 64, 128, 256, 512, 512, 512, width=width)
        self.conv1 = nn.Conv2d(3, c1, 7, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(c1)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(Block(c1, c1))
        self.layer2 = nn.Sequential(Block(c1, c2, stride=2, add="shortcut"))
        self.layer3 = nn.Sequential(Block(c2, c3, stride=2, add="shortcut"), Block(c3, c3))
        self.layer4 = nn.Sequential(Block(c3, c4, stride=stride // 4, add="shortcut"), Block(c4, c4))
        self.layer5 = nn.Sequential(Block(c4, c5, dilation=2, add="shortcut"), Block(c5, c5, dilation=2))
        self.layer6 = nn.Sequential(Block(c5, c6, dilation=4, add="shortcut"), Block(c6, c6, dilation=4))
        # The last two smooth the grid that dilation leaves in the maps; an addition would carry it past them.
        self.layer7 = nn.Sequential(Block(c6, c7, dilation=2, add="nothing"))
        self.layer8 = nn.Sequential(Block(c7, c8, add="nothing"))
        self.fc = nn.Conv2d(c8, classes, 1)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (B, classes, ceil(H / stride), ceil(W / stride)) of images (B, 3, H, W) in [-1, 1]."""
        x = self.normalize(images)  # (B, 3, H, W)
        x = self.relu(self.bn1(self.conv1(x)))  # (B, 16, H, W)
        # (B, 16, H, W), (B, 32, H/2, W/2), (B, 64, H/4, W/4), (B, 128, h, w), (B, 256, h, w), 3 x (B, 512, h, w)
        for k in range(1, 9):
            x = getattr(self, f"layer{k}")(x)
        return self.fc(x)  # (B, classes, h, w)


class Block(nn.Module):
    """Two 3 x 3 convolutions, and what is added to them: their "input", its "shortcut" convolution, or "nothing"."""

    def __init__(
        self, inside: int, outside: int, *, stride: int = 1, dilation: int = 1, add: str = "input"
    ) -> None:
        super().__init__()
        dilated = {"padding": dilation, "dilation": dilation, "bias": False}
        self.conv1 = nn.Conv2d(inside, outside, 3, stride=stride, **dilated)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, **dilated)
        self.bn2 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.add = add
        if add == "shortcut":
            shortcut = nn.Conv2d(inside, outside, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inside, H, W) to (B, outside, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.add != "nothing":
            y = y + (self.downsample(x) if self.add == "shortcut" else x)
        return self.relu(y)


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
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (B, classes, H, W) of images (B, 3, H, W) in [-1, 1]."""
        x, places = self.normalize(images), []  # (B, 3, H, W)
        for convolve in self.encoder:
            # (B, c, H/2, W/2), ..., (B, 512, H/32, W/32)
            x, place = F.max_pool2d(convolve(x), 2, return_indices=True)
            places.append(place)
        for convolve in self.decoder:
            x = convolve(F.max_unpool2d(x, places.pop(), 2))  # (B, 512, H/16, W/16), ..., (B, 64, H, W)
        return self.score(x)  # (B, classes, H, W)


class DeepLabV3(Segmenter):
    """DeepLabV3 on ResNet-50, returning class scores at stride 8. Any size is taken; h and w are rounded up.

    Its image-level branch normalizes over the batch alone, so that training needs batches of two or more.

    Parameters
    ----------
    classes : int
        Number of score maps.
    """

    def __init__(self, *, classes: int = 19) -> None:
        super().__init__()
        self.network = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=classes)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (B, classes, ceil(H / 8), ceil(W / 8)) of images (B, 3, H, W) in [-1, 1]."""
        x = self.normalize(images)  # (B, 3, H, W)
        x = self.network.backbone(x)["out"]  # (B, 2048, h, w)
        return self.network.classifier(x)  # (B, classes, h, w)


class SmallUNet(Segmenter):
    """A small U-Net that scores every pixel: the judge, and the network of the downstream test.

    Heights and widths are multiples of 8. What differs from the paper: three levels instead of four and few channels (16
    at the top give 0.44 M parameters), padded convolutions with batch normalization, a strided convolution for the
    max-pooling, nearest up-sampling for the transposed convolution (which leaves a checkerboard), and one convolution a
    level on the way up. All of it has a deterministic backward pass on CUDA. Another family than DRN on purpose: a judge
    that resembled the segmenters inside the loss would share their errors.

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
            raise ValueError(f"the width of SmallUNet counts channels, such as 16, so it cannot be {width}")
        c1, c2, c3, c4 = (int(width) * k for k in (1, 2, 4, 8))
        self.down1 = level(3, c1, c1)
        self.down2 = level(c1, c2, c2, stride=2)
        self.down3 = level(c2, c3, c3, stride=2)
        self.down4 = level(c3, c4, c4, stride=2)
        self.up3 = level(c4 + c3, c3)
        self.up2 = level(c3 + c2, c2)
        self.up1 = level(c2 + c1, c1)
        self.score = nn.Conv2d(c1, classes, 1)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (B, classes, H, W) of images (B, 3, H, W) in [-1, 1]."""
        x1 = self.down1(self.normalize(images))  # (B, c, H, W)
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
        layers.append(nn.Conv2d(inside, outside, 3, stride=1 if layers else stride, padding=1, bias=bias))
        layers += [nn.BatchNorm2d(outside), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def twice(x: Tensor) -> Tensor:
    """Double height and width by repeating pixels."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


# Name -> network. Whatever is listed here is also tested.
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "drn26": DRN26,  # classes, width (a factor), stride
    "deeplabv3": DeepLabV3,  # classes
    "segnet": SegNet,  # classes, width (a factor)
    "unet": SmallUNet,  # classes, width (channels of the first level)
}


def build(name: str, **options) -> nn.Module:
    """Return a new segmenter by name.

    Parameters
    ----------
    name : str
        A key of `NETWORKS`.
    **options
        What the network's class takes: `classes` everywhere; `width`, a factor on the channels of
        "drn26" and "segnet" but the channels of the first level of "unet"; `stride` of "drn26".

    Returns
    -------
    Module
        (B, 3, H, W) in [-1, 1] -> scores (B, classes, h, w).

    Raises
    ------
    ValueError
        For a name that is not listed.
    TypeError
        For an option that the network does not have.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown segmenter {name!r}; known: {', '.join(NETWORKS)}")
    return NETWORKS[name](**options)
