"""Segmenters: networks from images (B, 3, H, W) in [-1, 1] to class scores (B, classes, h, w).

The paper takes DRN26 and names DeepLabV3 and SegNet as alternatives (section 2.2.2). The small U-Net is no part of
the method: it judges translations from outside. Each network returns scores at its own stride, and
`upsample` brings them to the size of the labels. Each converts inside, differentiably, to the image
statistics that published weights expect.
"""

from collections.abc import Callable

from torch import nn

from semcg.segmenters.networks import DRN26, DeepLabV3, SegNet, SmallUNet, frozen, initialise, upsample
from semcg.segmenters.published import fetch_imagenet, load_published

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
