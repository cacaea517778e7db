"""SegNet: an encoder that remembers where its maxima lay, and a decoder that puts them back there.

Badrinarayanan, Kendall and Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation", PAMI 2017; one of the two alternatives that the paper names in section 2.2.2. The encoder is the 13
convolutions of VGG-16, each with batch normalisation; the decoder mirrors it.

What differs: images are normalised by ImageNet's statistics instead of local contrast; the weights start by He's
rule instead of from VGG-16; `width` scales the channels. Un-pooling has no deterministic form on CUDA.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from semcg.segmenters.base import Segmenter, channels, initialise

__all__ = ["SegNet"]


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
        self.encoder = nn.ModuleList(
            level(*c)
            for c in [(3, c1, c1), (c1, c2, c2), (c2, c3, c3, c3), (c3, c4, c4, c4), (c4, c5, c5, c5)]
        )
        self.decoder = nn.ModuleList(
            level(*c) for c in [(c5, c5, c5, c4), (c4, c4, c4, c3), (c3, c3, c3, c2), (c2, c2, c1), (c1, c1)]
        )
        self.score = nn.Conv2d(c1, classes, 3, padding=1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (B, classes, H, W) of images (B, 3, H, W) in [-1, 1]."""
        x, places = self.normalise(images), []  # (B, 3, H, W)
        for convolve in self.encoder:
            x, place = F.max_pool2d(
                convolve(x), 2, return_indices=True
            )  # (B, c, H/2, W/2), ..., (B, 512, H/32, W/32)
            places.append(place)
        for convolve in self.decoder:
            x = convolve(F.max_unpool2d(x, places.pop(), 2))  # (B, 512, H/16, W/16), ..., (B, 64, H, W)
        return self.score(x)  # (B, classes, H, W)


def level(*c: int) -> nn.Sequential:
    """Return 3 x 3 convolutions c[0] -> c[1] -> ..., each with batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for inside, outside in zip(c[:-1], c[1:], strict=True):
        layers += [
            nn.Conv2d(inside, outside, 3, padding=1),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
