"""Translations that change colors alone: what to try before a generator is trained, and what to make of one afterwards.

`HistogramMatching` and `ColorTable.transport` need frames of both domains and no pairs. `ColorTable.fit` on pairs is the
ceiling of whatever gives each color one other color. `Guided` takes the colors from a generator, by place, and
`BorrowedColors` from another street, as a control.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import ortho_group
from skimage.exposure import match_histograms
from torch import Tensor, nn
from torch.nn import functional as F

from semcg.data import Scenes, to_bytes
from semcg.gan import recolored
from semcg.translate.frames import pad

QUANTILES = 10_000  # points that stand for the distribution of a channel over a set of frames


class HistogramMatching(nn.Module):
    """Colors of the target without a network: each channel of a frame gets the target's distribution of values.

    The target is a set of frames, whose pixels are pooled; a single reference frame would lend its own
    content's colors. Histogram specification of Gonzalez and Woods, "Digital Image Processing", as
    `skimage.exposure.match_histograms`. It knows colors and nothing of places: a sky may well turn green.

    Parameters
    ----------
    counts : (3, 256) integer
        Pixels of the target by channel and value; `of` counts them.
    """

    def __init__(self, counts: Tensor | np.ndarray) -> None:
        super().__init__()
        counts = np.asarray(counts, np.int64)
        if counts.shape != (3, 256) or counts.min() < 0 or counts.sum(1).min() == 0:
            raise ValueError(f"counts are pixels by channel and value, (3, 256), not {counts.shape} or empty")
        # Some thousand quantiles instead of millions of pixels: as good to 1 / 20,000, and as fast for any set.
        at = (np.arange(QUANTILES) + 0.5) / QUANTILES
        values = [np.searchsorted(np.cumsum(c) / c.sum(), at) for c in counts]
        self.register_buffer("reference", torch.from_numpy(np.stack(values, 1)))  # (QUANTILES, 3), 0..255

    @classmethod
    def of(cls, scenes: Scenes, *, frames: int = 0) -> "HistogramMatching":
        """Return the matching to the pooled pixels of `scenes`: of all, or of the first `frames` by name."""
        counts = torch.zeros(3, 256, dtype=torch.int64)
        for i in range(len(scenes))[: frames or None]:
            values = to_bytes(scenes.frame(i)[0]).flatten(1)  # (3, H W)
            counts += torch.stack([torch.bincount(v.int(), minlength=256) for v in values])
        return cls(counts)

    def forward(self, x: Tensor) -> Tensor:
        """Return images (B, 3, H, W), each rounded to 256 levels and matched on its own, on the device of `x`."""
        # In 16 bits: whole numbers are counted instead of sorted, and the function cuts its result down to whole
        # numbers, which on bytes would darken a frame by half a level.
        reference = (self.reference.cpu().numpy()[:, None] * 257).astype(np.uint16)
        frames = to_bytes(x).permute(0, 2, 3, 1).cpu().numpy().astype(np.uint16)
        matched = [match_histograms(frame, reference, channel_axis=-1) for frame in frames]
        return torch.from_numpy(np.stack(matched) / 32767.5 - 1).permute(0, 3, 1, 2).to(x)


class ColorTable(nn.Module):
    """One color for each color, the same everywhere: a table over the cube of colors, read trilinearly.

    Parameters
    ----------
    table : (3, n, n, n) float
        Colors in [-1, 1] by blue, green and red of the input, each from -1 to 1.
    """

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", torch.as_tensor(table, dtype=torch.float32))

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, *, entries: int = 33) -> "ColorTable":
        """Return the table that comes nearest to given pairs of colors.

        Each pair is spread over the eight entries around x; an entry gets the mean change y - x of what reached it, and
        where little did, that of its surroundings.

        Parameters
        ----------
        x, y : (n, 3) float
            Colors in [-1, 1], before and after.
        entries : int
            Entries along an axis.
        """
        place = (np.clip(x, -1, 1) + 1) / 2 * (entries - 1)
        low = np.minimum(place.astype(int), entries - 2)
        part = place - low
        sums = np.zeros(
            (4, entries, entries, entries)
        )  # of the three changes and the weights; by red, green, blue
        for corner in np.ndindex(2, 2, 2):
            weight = np.where(corner, part, 1 - part).prod(1)
            at = tuple((low + corner).T)
            for total, value in zip(sums, (*(y - x).T, np.ones(len(x))), strict=True):
                np.add.at(total, at, weight * value)
        change = np.zeros((3, entries, entries, entries))
        for sigma in (8.0, 4.0, 2.0, 1.0, 0.5, 0.0):  # from far around to the entry itself
            *changed, reached = (gaussian_filter(total, sigma) if sigma else total for total in sums)
            some = 1e-3 * len(x) / entries**3
            change = (np.stack(changed) + some * change) / (reached + some)
        red, green, blue = np.meshgrid(*[np.linspace(-1, 1, entries)] * 3, indexing="ij")
        table = np.clip(np.stack([red, green, blue]) + change, -1, 1)
        return cls(torch.from_numpy(table.transpose(0, 3, 2, 1).copy()))

    @classmethod
    def transport(cls, x: np.ndarray, y: np.ndarray, *, rounds: int = 40, seed: int = 0) -> "ColorTable":
        """Return the table that gives one set of colors the distribution of another, without pairs.

        Sliced optimal transport: in each round three orthogonal directions are drawn, and along each the sorted values of
        `x` become those of `y` (Pitie, Kokaram and Dahyot, CVIU 2007; Bonneel et al., Journal of Mathematical Imaging and
        Vision 2015).

        Parameters
        ----------
        x, y : (n, 3) float
            Colors of the source and of the target, equally many, from `pixels_of`.
        rounds, seed : int
            Rounds of three directions each, and the seed that they are drawn with.
        """
        rng, moved = np.random.default_rng(seed), np.asarray(x, float).copy()
        for _ in range(rounds):
            axes = ortho_group.rvs(3, random_state=rng)  # rows are directions
            along, target = moved @ axes.T, np.sort(y @ axes.T, axis=0)
            order = along.argsort(axis=0, kind="stable")
            matched = np.empty_like(along)
            np.put_along_axis(matched, order, target, axis=0)
            moved += (matched - along) @ axes
        return cls.fit(np.asarray(x, float), moved)

    def forward(self, x: Tensor) -> Tensor:
        """Return images (B, 3, H, W) of images (B, 3, H, W), both in [-1, 1]."""
        places = x.permute(0, 2, 3, 1)[:, None].clamp(-1, 1)  # (B, 1, H, W, 3), as red, green, blue
        table = self.table.expand(len(x), -1, -1, -1, -1).to(x)
        return F.grid_sample(table, places, mode="bilinear", align_corners=True)[:, :, 0]


def pixels_of(scenes: Scenes, *, count: int, frames: int = 0, seed: int = 0) -> np.ndarray:
    """Return pixels (count, 3) in [-1, 1] drawn from scenes: from all, or from the first `frames` by name."""
    chosen, rng, pixels = range(len(scenes))[: frames or None], np.random.default_rng(seed), []
    for i, share in zip(chosen, np.array_split(np.arange(count), len(chosen)), strict=True):
        frame = scenes.frame(i)[0].flatten(1).T.numpy()
        pixels.append(frame[rng.integers(len(frame), size=len(share))])
    return np.concatenate(pixels).astype(float)


class Guided(nn.Module):
    """Any generator's colors without its strokes: what it does to a frame becomes a smooth color map of the frame.

    Frame and translation are reduced by averaging, `color_map` fits a color matrix in each neighborhood, and
    `semcg.gan.recolored` applies the raised map to the full frame. Nothing is trained. Li et al., "A Closed-form Solution
    to Photorealistic Image Stylization", ECCV 2018, smooth a translation so; Domain Stylization (Dundar et al.,
    arXiv 1807.09384) does it from GTA5 to Cityscapes.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`.
    shrink : int
        By how much frame and translation are reduced.
    cells : int
        Side of the neighborhoods in reduced pixels, odd.
    ridge : float
        As in `color_map`.
    """

    def __init__(self, G: nn.Module, *, shrink: int = 4, cells: int = 5, ridge: float = 1e-3) -> None:
        super().__init__()
        self.G, self.multiple = G, math.lcm(G.multiple, shrink)
        self.shrink, self.cells, self.ridge = shrink, cells, ridge
        self.differs = {"guided": [shrink, cells, ridge]}  # part of `semcg.translate.fingerprint`

    def forward(self, x: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) of images (B, 3, H, W), both in [-1, 1]."""
        return recolored(x, self.maps(x)).clamp(-1, 1)

    def maps(self, x: Tensor) -> Tensor:
        """Return the color maps (B, 12, H / shrink, W / shrink) of images (B, 3, H, W), as `recolored` takes them."""
        before, after = (F.avg_pool2d(v, self.shrink) for v in (x, self.G(x)))
        return color_map(before, after, cells=self.cells, ridge=self.ridge)


class BorrowedColors:
    """A control that must score worse than `Guided`: each frame gets the color maps of the test street after it.

    Strokes stay as they are, as with a street's own maps; sky, trees and cars get the colors of whatever is in their place
    in the other street. A measure on which both score alike does not see where the colors belong.

    Parameters
    ----------
    guided : Guided
    test : path
        Of the source's test split; its frames have one size.
    """

    takes_names = True
    """`semcg.evaluate.collect` calls it with the images and the stems of their frames."""

    def __init__(self, guided: Guided, test: Path | str) -> None:
        self.guided, self.scenes = guided, Scenes(Path(test), labels=False)

    def __call__(self, x: Tensor, frames: Sequence[str]) -> Tensor:
        """Return translations (B, 3, H, W) of the frames of these names, images (B, 3, H, W) in [-1, 1]."""
        after = ((self.scenes.names.index(name) + 1) % len(self.scenes) for name in frames)
        others = torch.stack([self.scenes.frame(i)[0] for i in after]).to(x)
        (around, top, left), (elsewhere, *_) = (pad(v, self.guided.multiple) for v in (x, others))
        y = recolored(around, self.guided.maps(elsewhere)).clamp(-1, 1)
        return y[..., top : top + x.shape[-2], left : left + x.shape[-1]]


def color_map(x: Tensor, y: Tensor, *, cells: int = 5, ridge: float = 1e-3) -> Tensor:
    """Fit y = x + A x + b by least squares in the neighborhood of every pixel.

    A = cov(y - x, x) (cov(x, x) + ridge I)^-1 and b = mean(y - x) - A mean(x), over `cells` x `cells` pixels: the guided
    filter (He, Sun and Tang, ECCV 2010) of the change y - x. Where a neighborhood has no contrast the ridge
    pulls A to 0, so that detail which only the full frame has keeps the contrast that it has there; a filter of y itself
    would wipe it out.

    Parameters
    ----------
    x, y : (B, 3, h, w) float
    cells : int
        Odd; at the rim only pixels inside count.
    ridge : float
        Variance that counts as none, in the unit of the images squared.

    Returns
    -------
    (B, 12, h, w) float
        As `semcg.gan.recolored` takes it.
    """

    def mean(v: Tensor) -> Tensor:
        return F.avg_pool2d(v, cells, stride=1, padding=cells // 2, count_include_pad=False)

    def cov(u: Tensor, v: Tensor) -> Tensor:  # (B, 3, 3, h, w)
        products = (u[:, :, None] * v[:, None]).flatten(1, 2)
        return mean(products).unflatten(1, (3, 3)) - mean(u)[:, :, None] * mean(v)[:, None]

    change = y - x
    spread = cov(x, x) + ridge * torch.eye(3, dtype=x.dtype, device=x.device)[..., None, None]
    A = (cov(change, x)[:, :, :, None] * _inverse(spread)[:, None]).sum(2)  # (B, 3, 3, h, w)
    b = mean(change) - (A * mean(x)[:, None]).sum(2)
    return torch.cat([A.flatten(1, 2), b], dim=1)


def _inverse(matrix: Tensor) -> Tensor:
    """Return the inverses of (B, 3, 3, h, w), by cofactors: ONNX has no solver, and each is 3 x 3."""

    def cross(u: Tensor, v: Tensor) -> Tensor:
        return u.roll(-1, 1) * v.roll(-2, 1) - u.roll(-2, 1) * v.roll(-1, 1)

    p, q, r = matrix.double().unbind(1)  # rows (B, 3, h, w)
    columns = torch.stack([cross(q, r), cross(r, p), cross(p, q)], dim=2)
    return (columns / (p * cross(q, r)).sum(1)[:, None, None]).to(matrix)
