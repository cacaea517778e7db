"""The perfect translation, and the same with one thing spoiled: what a measure says of them shows what it sees.

Blur, a checkerboard, the wrong class, or the wrong street. Only the synthetic world has them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from semcg.data import Scenes
from semcg.evaluate import Pictures
from semcg.labels import names

__all__ = ["ORACLES", "oracles"]

ORACLES = (
    "oracle",
    "oracle, blurred 1 px",
    "oracle, blurred 2 px",
    "oracle, checkered",
    "oracle, sky and buildings swapped",
    "oracle, shuffled",
)
"""What `oracles` makes, from the perfect answer to the worst spoiled."""
_CHECKERS = 0.06  # amplitude, images spanning 2: what an up-convolution may leave, hardly seen
_SKY, _BUILDING = names().index("sky"), names().index("building")

Change = Callable[[Tensor, Tensor], Tensor]
"""From an image (3, H, W) and its labels (H, W) to another image."""


def oracles(folder: Path | str) -> dict[str, Pictures]:
    """Return the translations of `ORACLES` for the source's test frames of drawn data.

    Parameters
    ----------
    folder : path
        Of the data.

    Returns
    -------
    dict
        Name -> what `semcg.evaluate.collect` takes. Blur is Gaussian, its sigma in pixels. Checkered: a checkerboard of
        period 2 px is added. Swapped: sky takes the colors of the frame's buildings and buildings those of its sky.
        Shuffled: each frame becomes the oracle of the next.

    Raises
    ------
    FileNotFoundError
        If the data have no oracle.
    """
    test = Path(folder) / "source" / "test"
    changed = (_Changed(test, change) for change in (_blurred(1.0), _blurred(2.0), _checkered, _swapped))
    return dict(zip(ORACLES, (Pictures(test / "oracle"), *changed, _Shuffled(test / "oracle")), strict=True))


class _Changed(Pictures):
    """The oracle with something done to it, which may look at the labels."""

    def __init__(self, test: Path, change: Change) -> None:
        super().__init__(test / "oracle")
        self.change, self.scenes = change, Scenes(test)

    def __call__(self, x: Tensor, frames: Sequence[str]) -> Tensor:
        oracle = super().__call__(x, frames).cpu()
        labels = (self.scenes.frame(self.scenes.names.index(name))[1] for name in frames)
        return torch.stack([self.change(p, y) for p, y in zip(oracle, labels, strict=True)]).to(x.device)


class _Shuffled(Pictures):
    def __call__(self, x: Tensor, frames: Sequence[str]) -> Tensor:
        order = list(self.paths)
        return super().__call__(x, [order[(order.index(name) + 1) % len(order)] for name in frames])


def _blurred(sigma: float) -> Change:
    return lambda x, _: torch.from_numpy(gaussian_filter(x.numpy(), (0, sigma, sigma)).astype(np.float32))


def _checkered(x: Tensor, _: Tensor) -> Tensor:
    places = torch.arange(x.shape[-2])[:, None] + torch.arange(x.shape[-1])
    return (x + _CHECKERS * (1 - 2 * (places % 2))).clamp(-1, 1)


def _swapped(x: Tensor, y: Tensor) -> Tensor:
    out, sky, building = x.clone(), x[:, y == _SKY], x[:, y == _BUILDING]
    if sky.shape[1] and building.shape[1]:
        out[:, y == _SKY] = building[:, torch.arange(sky.shape[1]) % building.shape[1]]
        out[:, y == _BUILDING] = sky[:, torch.arange(building.shape[1]) % sky.shape[1]]
    return out
