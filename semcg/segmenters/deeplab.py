"""DeepLabV3 with ResNet-50, as torchvision has it.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017; one of the two alternatives
that the paper names in section 2.2.2. What differs from torchvision's: images come in [-1, 1], scores stay at
stride 8 instead of being up-sampled, there is no auxiliary head, and nothing is ever downloaded.
"""

from torch import Tensor
from torchvision.models.segmentation import deeplabv3_resnet50

from semcg.segmenters.base import Segmenter, initialise

__all__ = ["DeepLabV3"]


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
        self.network = deeplabv3_resnet50(
            weights=None, weights_backbone=None, num_classes=classes, aux_loss=False
        )
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (B, classes, ceil(H / 8), ceil(W / 8)) of images (B, 3, H, W) in [-1, 1]."""
        x = self.normalise(images)  # (B, 3, H, W)
        x = self.network.backbone(x)["out"]  # (B, 2048, h, w)
        return self.network.classifier(x)  # (B, classes, h, w)
