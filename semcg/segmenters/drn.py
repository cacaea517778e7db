"""DRN-C-26: a residual network that trades two of its five strides for dilation.

Yu, Koltun and Funkhouser, "Dilated Residual Networks", CVPR 2017; the network that CyCADA (Hoffman et al., ICML
2018) calls drn26. The block table and the names in the state dict are those of the published weights
(github.com/fyu/drn, drn_c_26); with 19 classes the state dict has 182 entries and the network 20,623,331 parameters.

What differs: images come in [-1, 1] and are normalised inside; `width` scales the channels; `stride=4` keeps
layer 4 at the finer grid for small images (the published weights were trained at stride 8); and layers 2-6 have a
shortcut convolution at every width, so that the names depend on neither option.
"""

from torch import Tensor, nn

from semcg.segmenters.base import Segmenter, channels, initialise

__all__ = ["DRN26"]


class DRN26(Segmenter):
    """DRN-C-26, returning class scores at its own stride.

    Score (i, j) is centred on pixel (stride i, stride j) and sees 581 pixels each way at stride 8, 317 at stride 4.
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
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (B, classes, ceil(H / stride), ceil(W / stride)) of images (B, 3, H, W) in [-1, 1]."""
        x = self.normalise(images)  # (B, 3, H, W)
        x = self.relu(self.bn1(self.conv1(x)))  # (B, 16, H, W)
        x = self.layer1(x)  # (B, 16, H, W)
        x = self.layer2(x)  # (B, 32, H/2, W/2)
        x = self.layer3(x)  # (B, 64, H/4, W/4)
        x = self.layer4(x)  # (B, 128, h, w)
        x = self.layer5(x)  # (B, 256, h, w)
        x = self.layer6(x)  # (B, 512, h, w)
        x = self.layer7(x)  # (B, 512, h, w)
        x = self.layer8(x)  # (B, 512, h, w)
        return self.fc(x)  # (B, classes, h, w)


class Block(nn.Module):
    """Two 3 x 3 convolutions, and what is added to them: their "input", its "shortcut" convolution, or "nothing"."""

    def __init__(
        self, inside: int, outside: int, *, stride: int = 1, dilation: int = 1, add: str = "input"
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            inside, outside, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.add = add
        if add == "shortcut":
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inside, H, W) to (B, outside, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.add != "nothing":
            y = y + (self.downsample(x) if self.add == "shortcut" else x)
        return self.relu(y)
