"""Translations of which the answer is known: the oracle, the oracle with one thing spoiled, and colors of another street.

They are the axis on which a measure shows what it sees: blur, a checkerboard, the wrong class, or the wrong street.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from semcg.data import Scenes
from semcg.evaluate.measures import Pictures
from semcg.gan import recolored
from semcg.labels import names
from semcg.translate import Guided, Translation, pad

__all__ = ["AXIS", "BorrowedColors", "known"]

AXIS = (
    "oracle",
    "oracle, blurred 1 px",
    "oracle, blurred 2 px",
    "oracle, checkered",
    "oracle, sky and buildings swapped",
    "oracle, shuffled",
)
"""What `known` makes, from the perfect answer to the worst spoiled."""
CHECKERS = 0.06
"""Amplitude of the checkerboard, images spanning 2: what an up-convolution may leave, hardly seen."""
SKY, BUILDING = names().index("sky"), names().index("building")


def known(folder: Path | str) -> dict[str, Translation]:
    """Return the translations of `AXIS` for the source's test frames of drawn data.

    Parameters
    ----------
    folder : path
        Of the data.

    Returns
    -------
    dict
        Name -> what `semcg.evaluate.collect` takes. Blur is Gaussian, its sigma in pixels. Checkered: a checkerboard of
        period 2 px and amplitude `CHECKERS` is added. Swapped: sky takes the colours
        of the frame's buildings and buildings those of its sky. Shuffled: each frame becomes the oracle of the next.

    Raises
    ------
    FileNotFoundError
        If the data have no oracle: only the drawn world has.
    """
    test = Path(folder) / "source" / "test"
    made = (
        Pictures(test / "oracle"),
        _Changed(test, _blurred(1.0)),
        _Changed(test, _blurred(2.0)),
        _Changed(test, _checkered),
        _Changed(test, _swapped),
        _Shuffled(test / "oracle"),
    )
    return dict(zip(AXIS, made, strict=True))


class BorrowedColors:
    """The control of `Guided`, which must fail: each frame gets the color maps of the test street after it.

    Strokes stay as they are, as with a street's own maps; sky, trees and cars get the colors of whatever is in their place
    in the other street. A measure on which both score alike does not see where the colors belong.

    Parameters
    ----------
    guided : Guided
    test : path
        Of the source's test split; its frames have one size.
    """

    takes_names = True

    def __init__(self, guided: Guided, test: Path | str) -> None:
        self.guided, self.scenes = guided, Scenes(Path(test), labels=False)
        self.place = {name: i for i, name in enumerate(self.scenes.names)}

    def __call__(self, x: Tensor, frames: Sequence[str]) -> Tensor:
        """Return translations (B, 3, H, W) of the frames of these names, images (B, 3, H, W) in [-1, 1]."""
        after = ((self.place[name] + 1) % len(self.scenes) for name in frames)
        others = torch.stack([self.scenes.frame(i)[0] for i in after]).to(x)
        (around, top, left), (elsewhere, *_) = (pad(v, self.guided.multiple) for v in (x, others))
        y = recolored(around, self.guided.maps(elsewhere)).clamp(-1, 1)
        return y[..., top : top + x.shape[-2], left : left + x.shape[-1]]


class _Changed(Pictures):
    """The oracle with something done to it, which may look at the labels."""

    def __init__(self, test: Path, change: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(test / "oracle")
        self.change, self.scenes = change, Scenes(test)
        self.place = {name: i for i, name in enumerate(self.scenes.names)}

    def __call__(self, x: Tensor, frames: Sequence[str]) -> Tensor:
        labels = (self.scenes.frame(self.place[name])[1] for name in frames)
        seen = super().__call__(x, frames).cpu()
        return torch.stack([self.change(p, y) for p, y in zip(seen, labels, strict=True)]).to(x.device)


class _Shuffled(Pictures):
    def __call__(self, x: Tensor, frames: Sequence[str]) -> Tensor:
        order = list(self.paths)
        return super().__call__(x, [order[(order.index(name) + 1) % len(order)] for name in frames])


def _blurred(sigma: float) -> Callable[[Tensor, Tensor], Tensor]:
    def change(x: Tensor, _: Tensor) -> Tensor:
        return torch.from_numpy(gaussian_filter(x.numpy(), (0, sigma, sigma)).astype(np.float32))

    return change


def _checkered(x: Tensor, _: Tensor) -> Tensor:
    places = torch.arange(x.shape[-2])[:, None] + torch.arange(x.shape[-1])
    return (x + CHECKERS * (1 - 2 * (places % 2))).clamp(-1, 1)


def _swapped(x: Tensor, y: Tensor) -> Tensor:
    out, sky, building = x.clone(), x[:, y == SKY], x[:, y == BUILDING]
    if sky.shape[1] and building.shape[1]:
        out[:, y == SKY] = building[:, torch.arange(sky.shape[1]) % building.shape[1]]
        out[:, y == BUILDING] = sky[:, torch.arange(building.shape[1]) % sky.shape[1]]
    return out
