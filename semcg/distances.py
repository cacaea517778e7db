"""Distances between sets of frames, between a frame and what it should be, and how much of a frame is a grid.

The kernel distance compares two sets of features and needs no pairs; SSIM and PSNR compare a frame with the one frame
that it should be. The grid index needs the frame alone.
"""

import math

import numpy as np
from scipy.signal import get_window
from skimage.metrics import structural_similarity

# Frequencies in cycles per pixel, periods of 2.2 to 2.5 px, that a period of 2 px is compared with.
NEIGHBORHOOD = 0.40, 0.46


def kid(x: np.ndarray, y: np.ndarray) -> float:
    """Kernel distance of two sets of features: the unbiased squared MMD under k(a, b) = (a.b / d + 1)^3.

    Binkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs", ICLR 2018, there on Inception features. Its
    expectation is 0 for two sets from one distribution, at any size; a single value may lie below.

    Parameters
    ----------
    x, y : (n, d), (m, d) float
        A row per frame, two at least.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are fewer than two rows, the widths differ, or a feature is not finite.
    """
    within_x, within_y, between = _kernels(x, y)
    n, m = between.shape
    return float(within_x.sum() / (n * (n - 1)) + within_y.sum() / (m * (m - 1)) - 2 * between.mean())


def kid_halves(x: np.ndarray, y: np.ndarray, *, halves: int = 100, seed: int = 0) -> np.ndarray:
    """Return the kernel distances of random halves of both sets; their deviation is the standard error of `kid`.

    Leaving out half of a sample, without replacement, changes a smooth statistic about as much as a new sample would:
    this is the delete-d jackknife (Shao and Wu, Annals of Statistics 1989) at d = n / 2, where its factor
    (n - d) / d is 1. Subsets of another size need another factor, and subsets as large as the sets are all alike.

    Parameters
    ----------
    x, y : (n, d), (m, d) float
        Four rows at least.
    halves : int
        How many.
    seed : int
        Of the choice.

    Returns
    -------
    (halves,) float64

    Raises
    ------
    ValueError
        As `kid`, or for fewer than four rows.
    """
    within_x, within_y, between = _kernels(x, y)
    if min(between.shape) < 4:
        raise ValueError(f"sets of {between.shape} rows are too few to halve; four rows of each at least")
    draw = np.random.default_rng(seed)
    (a, n), (b, m) = (_halves(size, halves, draw) for size in between.shape)
    return (
        np.einsum("hi,ij,hj->h", a, within_x, a, optimize=True) / (n * (n - 1))
        + np.einsum("hi,ij,hj->h", b, within_y, b, optimize=True) / (m * (m - 1))
        - 2 * np.einsum("hi,ij,hj->h", a, between, b, optimize=True) / (n * m)
    )


def psnr(squared: float, *, peak: float = 2.0) -> float:
    """Return 10 log10(peak^2 / squared) in dB of a mean squared difference; infinite for 0.

    `peak` is the span of the values: 2 for images in [-1, 1].
    """
    return 10 * math.log10(peak**2 / squared) if squared else math.inf


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of two frames, -1..1.

    Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on Image Processing 2004, with their Gaussian window of
    1.5 px, as scikit-image computes it; the mean over the three channels.

    Parameters
    ----------
    a, b : (H, W, 3) float
        In [-1, 1]; 11 pixels a side at least.
    """
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(a, b, channel_axis=2, data_range=2.0, **options))


def grid_powers(luminance: np.ndarray) -> dict[str, float]:
    """Return the spectral power of a frame at a period of 2 px and in its neighborhood, along both axes.

    Their ratio is the grid index. It is 1 where the period of 2 px is nothing special, as in photographs and in white
    noise, and large where an up-convolution left a checkerboard (Odena et al., "Deconvolution and checkerboard
    artifacts", 2016). Powers are means over all lines along an axis, under a Hann window, so that the rim adds nothing.

    Parameters
    ----------
    luminance : (H, W) float
        Of 32 pixels a side at least; an odd last line is left out.

    Returns
    -------
    dict
        "peak" and "around", the sums over both axes; those of frames are added.
    """
    image = np.asarray(luminance, float)
    if min(image.shape) < 32:
        raise ValueError(f"a grid index takes 32 pixels a side at least, not {image.shape}")
    powers = {"peak": 0.0, "around": 0.0}
    for lines in (image, image.T):
        length = lines.shape[1] // 2 * 2
        lines = (lines - lines.mean(1, keepdims=True))[:, :length] * get_window("hann", length)
        power = (np.abs(np.fft.rfft(lines, axis=1)) ** 2).mean(0)  # frequencies 0, 1 / length, ..., 1 / 2
        low, high = NEIGHBORHOOD
        near = power[math.ceil(low * length) : math.floor(high * length) + 1]
        powers["peak"] += float(power[-1])
        powers["around"] += float(near.mean())
    return powers


def _kernels(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the kernel within either set, where a row is not compared with itself, and between the two."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"features are (n, d) and (m, d), two rows at least, not {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("features are not all finite: check the network that computed them")
    within_x, within_y, between = ((u @ v.T / x.shape[1] + 1) ** 3 for u, v in ((x, x), (y, y), (x, y)))
    np.fill_diagonal(within_x, 0)
    np.fill_diagonal(within_y, 0)
    return within_x, within_y, between


def _halves(size: int, halves: int, draw: np.random.Generator) -> tuple[np.ndarray, int]:
    """Return (halves, size) of 0 and 1, and how many ones a row has."""
    chosen = size // 2
    # Built from `random`, whose stream numpy keeps; that of `permutation` may change.
    rank = draw.random((halves, size)).argsort(1).argsort(1)
    return (rank < chosen).astype(np.float64), chosen
