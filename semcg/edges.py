"""Boundaries of regions: whether they lie where the labels have them, and how sharp a picture is across them.

Two measures of detail. The boundary F-score compares two label maps, the width of an edge looks at a picture along
the boundaries of a label map. Both begin with counts or fits that can be pooled over frames.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import erf

from semcg.labels import CLASSES, IGNORE

COUNTS = ("predicted", "predicted matched", "true", "true matched")  # columns of `boundary_counts`

# Half length and half width, in pixels, of the strip across a boundary whose pixels a fit sees.
REACH, BESIDE = 4.0, 1.25
# Bounds of a fit in pixels: of sigma, and of the distance between the edge and the label's boundary.
#
# A pixel is the mean over its square, which alone has a deviation of 1 / sqrt(12) px. Edges of less, which sharpening
# makes, cannot be told apart and count as that; without this floor two thirds of a sharp drawing's edges would have
# no width at all, and a ratio to them no meaning.
NARROWEST, WIDEST, OFF = 12**-0.5, 4.0, 1.5
POINTS = 200  # boundary points of a frame at most
CONTRAST = 0.08  # least step of luminance (0..1) across the strip that counts as an edge
STEPS = 25  # of a fit


def tolerance(rows: int) -> int:
    """Return the distance in pixels at which boundaries still match: 2 at 128 rows, in proportion, at least 1."""
    return max(1, round(2 * rows / 128))


def boundary_counts(pred: np.ndarray, label: np.ndarray, *, within: int = 0) -> np.ndarray:
    """Count the boundary pixels of each class that have one of the same class near in the other map.

    A boundary pixel of a class has that class and one of its four neighbors another. The two numbers of points and
    of matches are what precision and recall are made of (Martin, Fowlkes and Malik, PAMI 2004; by class Csurka et
    al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013). Those average over images; here
    counts are added over frames first, like the pixels of an IoU.

    Parameters
    ----------
    pred, label : integer (B, H, W) or (H, W)
        Train ids; 255 in `label` is left out. So are the points of both maps that lie within the tolerance of such
        a pixel: what they would match may be hidden under it. The frame's rim is no boundary.
    within : int
        Tolerance in pixels, as Euclidean distance; 0 means `tolerance(H)`.

    Returns
    -------
    (19, 4) int64
        A row per class, columns as in `COUNTS`. Tables of frames are added with `+`.

    Raises
    ------
    ValueError
        If the shapes differ, or `label` holds what is no train id.
    """
    pred, label = np.asarray(pred), np.asarray(label)
    if pred.shape != label.shape or label.ndim not in (2, 3):
        raise ValueError(f"maps are (B, H, W) or (H, W) alike, not {pred.shape} and {label.shape}")
    if ((label >= len(CLASSES)) & (label != IGNORE)).any() or (label < 0).any():
        raise ValueError(f"labels are 0..{len(CLASSES) - 1} or {IGNORE}, not {label.min()}..{label.max()}")
    pred, label = (m.reshape(-1, *m.shape[-2:]) for m in (pred, label))
    within = within or tolerance(label.shape[1])
    void = label == IGNORE
    counted = ~_dilated(void, within)
    # One bit per class: all 19 boundaries are found and widened at once.
    bits = np.zeros(256, np.int32)
    bits[: len(CLASSES)] = 1 << np.arange(len(CLASSES))
    lines = [_boundary(np.where(void, IGNORE, m).astype(np.uint8), bits) for m in (pred, label)]
    near = [_dilated(line, within) for line in lines]
    predicted, true = (np.where(counted, line, 0) for line in lines)
    columns = (predicted, predicted & near[1], true, true & near[0])
    rows = [[np.count_nonzero(c & b) for c in columns] for b in bits[: len(CLASSES)]]
    return np.array(rows, np.int64)


def boundary_f(counts: np.ndarray) -> float:
    """Return 2 P R / (P + R) of summed counts, 0..1.

    Parameters
    ----------
    counts : (4,) or (n, 4) integer
        Columns as in `COUNTS`; rows are added first, so that each boundary point counts once.

    Returns
    -------
    float
        P = predicted matched / predicted, R = true matched / true. NaN without any point; 0 if nothing matches.
    """
    predicted, predicted_matched, true, true_matched = np.asarray(counts, float).reshape(-1, 4).sum(0)
    if not predicted + true:
        return float("nan")
    if not predicted_matched * true_matched:
        return 0.0
    precision, recall = predicted_matched / predicted, true_matched / true
    return float(2 * precision * recall / (precision + recall))


class EdgePoints(NamedTuple):
    """Boundary points of a label map, each with the pixels of a strip across it."""

    rows: np.ndarray  # (n, k) int: of the strip's pixels
    columns: np.ndarray  # (n, k) int
    distance: (
        np.ndarray
    )  # (n, k) float: pixels from the boundary to a pixel's center, along the normal; > 0 beyond it
    weight: np.ndarray  # (n, k) float: 1 for a pixel of the strip, 0 for filling


def edge_points(label: np.ndarray) -> EdgePoints:
    """Choose boundary points at which one straight edge divides two regions; a function of the labels alone.

    A point lies midway between two neighboring pixels of different class, and its normal points from the first (left or
    upper) region into the second. Of many points some are taken at even distances, in the order of the rows. Those are
    left out whose strip across the boundary meets a third region, an unlabeled pixel or the frame's rim, and the rest is
    thinned in the same way.

    Parameters
    ----------
    label : (H, W) integer
        Train ids, 255 for unlabeled.

    Returns
    -------
    EdgePoints
    """
    label = np.asarray(label)
    half = int(REACH) + 1
    height, width = label.shape
    if height <= 2 * half + 1 or width <= 2 * half + 1:
        return EdgePoints(*(np.zeros((0, 1), kind) for kind in (int, int, float, float)))
    inside = label[half : -half - 1, half : -half - 1]
    right = label[half : -half - 1, half + 1 : -half]
    below = label[half + 1 : -half, half : -half - 1]
    known = inside != IGNORE
    places = [np.argwhere((inside != other) & known & (other != IGNORE)) for other in (right, below)]
    place = np.concatenate(places) + half
    towards = np.repeat([[0, 1], [1, 0]], [len(p) for p in places], 0)
    order = np.lexsort((towards[:, 0], place[:, 1], place[:, 0]))
    chosen = order[_spread(len(order), 5 * POINTS)]
    place, towards = place[chosen], towards[chosen]

    dy, dx = (v.ravel() for v in np.mgrid[-half : half + 1, -half : half + 1])
    rows, columns = place[:, :1] + dy, place[:, 1:] + dx
    seen = label[rows, columns]
    first = label[place[:, 0], place[:, 1]][:, None]
    second = label[place[:, 0] + towards[:, 0], place[:, 1] + towards[:, 1]][:, None]
    y, x = dy - towards[:, :1] / 2, dx - towards[:, 1:] / 2  # from the point to a pixel's center
    # The gradient of "not the first region", smoothed by a Gaussian of 1.5 px: the Gaussian is differentiated instead.
    pull = (seen != first) * np.exp(-(x * x + y * y) / (2 * 1.5**2))
    normal = np.stack([(pull * y).sum(1), (pull * x).sum(1)], 1)
    length = np.hypot(*normal.T)
    normal /= np.maximum(length, 1e-9)[:, None]
    along = y * normal[:, :1] + x * normal[:, 1:]
    across = np.abs(x * normal[:, :1] - y * normal[:, 1:])
    strip = (np.abs(along) <= REACH) & (across <= BESIDE)
    # A pixel whose center lies within 0.75 px of the line may belong to either side.
    either = (np.abs(along) < 0.75) & ((seen == first) | (seen == second))
    fits = np.where(along > 0, seen == second, seen == first) | either
    clean = np.flatnonzero((fits | ~strip).all(1) & (length > 1e-9))
    clean = clean[_spread(len(clean), POINTS)]
    strip, along = strip[clean], along[clean]
    most = int(strip.sum(1).max(initial=1))
    best = np.argsort(~strip, axis=1, kind="stable")[:, :most]
    strips = (rows[clean], columns[clean], along, strip.astype(float))
    return EdgePoints(*(np.take_along_axis(v, best, 1) for v in strips))


def edge_widths(luminance: np.ndarray, points: EdgePoints) -> np.ndarray:
    """Fit an error function across the boundary at each point and return its sigma: how blurred a picture is there.

    The model is middle + half erf((d - place) / (sqrt(2) sigma)) over the pixels of the strip, as they are: nothing is
    interpolated, which would blur. A step that was blurred by a Gaussian of s px has sigma s, and blurring it by b
    more gives sqrt(s^2 + b^2). The edge may lie up to 1.5 px beside the label's boundary. All points are fitted at
    once by least squares (Levenberg-Marquardt).

    Parameters
    ----------
    luminance : (H, W) float
        0..1.
    points : EdgePoints
        From `edge_points` of the frame's label.

    Returns
    -------
    (n,) float64
        Sigma in pixels, 0.29..4. NaN where there is no edge to be measured: too little contrast, or none nearer to
        the label's boundary than 1.5 px.
    """
    value = np.asarray(luminance, float)[points.rows, points.columns]
    weight, d = points.weight, points.distance
    if not len(value):
        return np.zeros(0)

    def mean(where: np.ndarray) -> np.ndarray:
        return (value * where).sum(1) / np.maximum(where.sum(1), 1)

    before, after = mean(weight * (d < -1)), mean(weight * (d > 1))
    # Of each point: middle, half of the difference between both sides, place, and log sigma.
    state = np.stack([(before + after) / 2, (after - before) / 2, np.zeros(len(d)), np.zeros(len(d))], 1)
    low = np.array([-np.inf, -np.inf, -OFF, np.log(NARROWEST)])
    high = np.array([np.inf, np.inf, OFF, np.log(WIDEST)])
    damping = np.full(len(d), 1e-2)
    rest, slopes = _model(state, d, value, weight)
    loss = (rest**2).sum(1)
    for _ in range(STEPS):
        gram = slopes @ slopes.transpose(0, 2, 1)
        diagonal = np.einsum("nii->ni", gram)
        damped = gram + np.eye(4) * (damping[:, None] * diagonal + 1e-9)[:, None]
        step = np.linalg.solve(damped, slopes @ rest[..., None])[..., 0]
        tried = np.clip(state + step, low, high)
        tried_rest, tried_slopes = _model(tried, d, value, weight)
        tried_loss = (tried_rest**2).sum(1)
        better = tried_loss <= loss
        state, loss = np.where(better[:, None], tried, state), np.where(better, tried_loss, loss)
        rest = np.where(better[:, None], tried_rest, rest)
        slopes = np.where(better[:, None, None], tried_slopes, slopes)
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-9, 1e6)
    sigma, place = np.exp(state[:, 3]), state[:, 2]
    ends = [erf((end - place) / (np.sqrt(2) * sigma)) for end in (-REACH, REACH)]
    seen = (np.abs(state[:, 1] * (ends[1] - ends[0])) >= CONTRAST) & (np.abs(place) < OFF - 1e-6)
    return np.where(seen, sigma, np.nan)


def _model(state, d, value, weight) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted residuals (n, k) and the model's slopes (n, 4, k) by middle, half, place and log sigma."""
    middle, half, place, log_sigma = state.T[..., None]
    sigma = np.exp(log_sigma)
    u = (d - place) / (np.sqrt(2) * sigma)
    shape = erf(u)
    bell = half * 2 / np.sqrt(np.pi) * np.exp(-u * u)
    slopes = np.stack([np.ones_like(u), shape, -bell / (np.sqrt(2) * sigma), -bell * u], 1)
    return weight * (value - middle - half * shape), weight[:, None] * slopes


def _spread(count: int, most: int) -> np.ndarray:
    """Return the numbers 0..count - 1, or `most` of them at even distances."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(int)


def _boundary(ids: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Return (B, H, W) int32: the bit of a pixel's class where a neighbor has another, else 0."""
    edge = np.zeros(ids.shape, bool)
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :, 1:], np.s_[:, :, :-1])):
        differ = (ids[a] != ids[b]) & (ids[a] != IGNORE) & (ids[b] != IGNORE)
        edge[a] |= differ
        edge[b] |= differ
    return np.where(edge, bits[ids], 0)


def _dilated(mask: np.ndarray, radius: int) -> np.ndarray:
    """Widen bits (B, H, W) by a disc: each row of the disc is a run, which grows from the disc's rim inwards."""
    run, out = mask.copy(), np.zeros_like(mask)
    half = 0
    for dy in range(radius, -1, -1):
        while (half + 1) ** 2 + dy**2 <= radius**2:
            half += 1
            run[:, :, half:] |= mask[:, :, :-half]
            run[:, :, :-half] |= mask[:, :, half:]
        if dy == 0:
            out |= run
        else:
            out[:, dy:] |= run[:, :-dy]
            out[:, :-dy] |= run[:, dy:]
    return out
