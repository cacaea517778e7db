"""Distances: by hand, against independent references, and in simulations."""

import math

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from skimage.metrics import peak_signal_noise_ratio

from semcg import distances


def test_kid_by_hand():
    """One feature: k(a, b) = (a b + 1)^3."""
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0], [0.0]])
    within_x = 1  # (0 * 1 + 1)^3, both orders
    within_y = (27 + 1 + 1) / 3
    between = (1 + 1 + 1 + 8 + 27 + 1) / 6
    assert distances.kid(x, y) == pytest.approx(within_x + within_y - 2 * between)


def test_kid_is_unbiased_where_a_biased_one_is_not():
    draw = np.random.default_rng(0)
    sets = draw.standard_normal((400, 2, 12, 6))
    values = np.array([distances.kid(x, y) for x, y in sets])
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert abs(values.mean()) < 3 * error
    biased = [  # as distances.kid, with every row compared with itself too
        np.mean((x @ x.T / 6 + 1) ** 3)
        + np.mean((y @ y.T / 6 + 1) ** 3)
        - 2 * np.mean((x @ y.T / 6 + 1) ** 3)
        for x, y in sets
    ]
    assert np.mean(biased) > 10 * error


def test_halves_tell_the_standard_error():
    """The deviation over halves is about that of the distance over new samples."""
    draw = np.random.default_rng(1)
    seen, told = [], []
    for _ in range(150):
        x, y = draw.standard_normal((60, 8)), 1.3 * draw.standard_normal((60, 8)) + 0.5
        seen.append(distances.kid(x, y))
        told.append(distances.kid_halves(x, y, halves=60).std(ddof=1))
    assert np.mean(told) == pytest.approx(np.std(seen, ddof=1), rel=0.25)


def test_halves_by_hand_and_from_their_seed():
    draw = np.random.default_rng(2)
    x, y = draw.random((5, 3)), draw.random((7, 3)) + 0.2
    halves = distances.kid_halves(x, y, halves=2000)
    possible = np.array(
        [distances.kid(x[[i, j]], y[[k, m, n]])
         for i in range(5) for j in range(i)
         for k in range(7) for m in range(k) for n in range(m)]
    )  # fmt: skip
    assert np.abs(halves[:, None] - possible).min(1).max() < 1e-12
    assert halves.mean() == pytest.approx(distances.kid(x, y), abs=4 * halves.std() / math.sqrt(2000))
    assert np.array_equal(halves, distances.kid_halves(x, y, halves=2000))
    assert not np.array_equal(halves, distances.kid_halves(x, y, halves=2000, seed=1))


def test_wrong_features_are_refused():
    good = np.zeros((5, 3))
    for wrong in (np.zeros((1, 3)), np.zeros((5, 4)), np.zeros(5)):
        with pytest.raises(ValueError, match=r"features are \(n, d\)"):
            distances.kid(wrong, good)
    with pytest.raises(ValueError, match="not all finite"):
        distances.kid(np.full((5, 3), np.nan), good)
    with pytest.raises(ValueError, match="too few to halve"):
        distances.kid_halves(np.zeros((3, 3)), good)


def test_grid_powers_by_hand():
    """A line of 32 pixels with an impulse of 1 where the Hann window is 1, and a checkerboard of 1/8: 1 + 16 / 8 = 3.

    Away from a period of 2 px the window lets nothing of the checkerboard through, and the impulse has power 1
    everywhere. Without the impulse's mean, which is taken out first, nothing but the constant changes.
    """
    line = np.zeros(32)
    line[16] = 1
    image = np.tile(line + np.cos(np.pi * np.arange(32)) / 8, (40, 1))
    found = distances.grid_powers(image)
    assert found["peak"] == pytest.approx(9)  # the columns are constant: their mean is taken out
    assert found["around"] == pytest.approx(1)
    plain = distances.grid_powers(np.tile(line, (40, 1)))
    assert plain["peak"] == pytest.approx(plain["around"]) == pytest.approx(1)
    noise = np.random.default_rng(0).normal(size=(129, 257))  # an odd last line is left out
    found = distances.grid_powers(noise)
    assert found["peak"] / found["around"] == pytest.approx(1, abs=0.2)
    with pytest.raises(ValueError, match="32 pixels a side"):
        distances.grid_powers(noise[:31])


def test_psnr_is_scikit_images():
    draw = np.random.default_rng(3)
    a, b = draw.uniform(-1, 1, (2, 16, 20, 3))
    assert distances.psnr(np.mean((a - b) ** 2)) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=2))
    assert distances.psnr(0.04) == pytest.approx(20)  # 10 log10(4 / 0.04)
    assert distances.psnr(0.0) == math.inf


def test_ssim_by_hand():
    draw = np.random.default_rng(4)
    a = draw.uniform(-1, 1, (24, 32, 3))
    assert distances.ssim(a, a) == pytest.approx(1)
    # Two flat frames: only the means count, (2 u v + c) / (u^2 + v^2 + c) with c = (0.01 * 2)^2.
    flat = np.ones((24, 32, 3))
    expected = (2 * 0.5 * 0.2 + 4e-4) / (0.25 + 0.04 + 4e-4)
    assert distances.ssim(0.5 * flat, 0.2 * flat) == pytest.approx(expected)
    blurred, more = (uniform_filter(a, (n, n, 0)) for n in (3, 7))
    assert 1 > distances.ssim(a, blurred) > distances.ssim(a, more) > distances.ssim(a, a[::-1])
