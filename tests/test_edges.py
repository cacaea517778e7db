"""Boundaries: counts by hand and against distances, widths against blurs that are known."""

import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.special import erf

from semcg import edges
from semcg.labels import IGNORE

ROAD, BUILDING, SKY = 0, 2, 10


def halves(rows=16, columns=12, at=8, upper=SKY, lower=BUILDING):
    label = np.full((rows, columns), upper)
    label[at:] = lower
    return label


def test_counts_by_hand():
    """An edge of 12 columns, found one and three rows too low: within 2 px, and beyond."""
    label = halves()
    for moved, sky, building in ((0, 12, 12), (1, 12, 12), (2, 12, 12), (3, 0, 0)):
        counts = edges.boundary_counts(halves(at=8 + moved), label, within=2)
        assert counts[SKY].tolist() == [12, sky, 12, sky]
        assert counts[BUILDING].tolist() == [12, building, 12, building]
        assert counts.sum() == counts[[SKY, BUILDING]].sum()


def test_f_by_hand():
    assert edges.boundary_f(np.array([10, 5, 4, 4])) == pytest.approx(2 * 0.5 * 1 / 1.5)
    # Pooled: 2 of 4 and 8 of 16 points, not the mean over frames.
    assert edges.boundary_f(np.array([[3, 0, 2, 0], [1, 1, 2, 2]])) == pytest.approx(2 * 0.25 * 0.5 / 0.75)
    assert edges.boundary_f(np.array([3, 0, 2, 0])) == 0
    assert edges.boundary_f(np.array([3, 0, 0, 0])) == 0
    assert math.isnan(edges.boundary_f(np.zeros(4, int)))


def test_a_boundary_of_another_class_is_no_match():
    counts = edges.boundary_counts(halves(lower=ROAD), halves(), within=2)
    assert counts[BUILDING].tolist() == [0, 0, 12, 0]
    assert counts[ROAD].tolist() == [12, 0, 0, 0]
    assert counts[SKY].tolist() == [12, 12, 12, 12]


def test_unlabeled_pixels_hide_what_is_near_them():
    label = halves()
    label[:, :4] = IGNORE
    counts = edges.boundary_counts(halves(), label, within=2)
    assert counts[SKY].tolist() == [6, 6, 6, 6]  # columns 6..11 of 12
    assert not edges.boundary_counts(halves(), np.full((16, 12), IGNORE)).any()


@pytest.mark.parametrize("within", [1, 2, 3, 5])
def test_matches_agree_with_distances(within):
    """The reference looks a class at a time and measures Euclidean distances."""
    draw = np.random.default_rng(within)
    noise = gaussian_filter(draw.random((2, 19, 40, 60)), (0, 0, 3, 3))
    pred, label = noise.argmax(1)
    counts = edges.boundary_counts(pred, label, within=within)

    def outline(ids, c):
        inside = np.pad(ids == c, 1, mode="edge")
        around = (inside[:-2, 1:-1], inside[2:, 1:-1], inside[1:-1, :-2], inside[1:-1, 2:])
        return (ids == c) & ~np.logical_and.reduce(around)

    for c in range(19):
        a, b = outline(pred, c), outline(label, c)
        near_a, near_b = (
            distance_transform_edt(~m) <= within if m.any() else np.zeros_like(m) for m in (a, b)
        )
        assert counts[c].tolist() == [a.sum(), (a & near_b).sum(), b.sum(), (b & near_a).sum()]
    assert counts[:, 1].sum() > 100


def test_frames_add_up_and_the_tolerance_follows_the_rows():
    draw = np.random.default_rng(0)
    pred, label = gaussian_filter(draw.random((2, 3, 19, 32, 32)), (0, 0, 0, 2, 2)).argmax(2)
    together = edges.boundary_counts(pred, label)
    assert together.dtype == np.int64
    assert (together == sum(edges.boundary_counts(p, y) for p, y in zip(pred, label, strict=True))).all()
    assert [edges.tolerance(rows) for rows in (32, 64, 128, 256, 1024)] == [1, 1, 2, 4, 16]


def test_wrong_maps_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 4\) and \(4, 5\)"):
        edges.boundary_counts(np.zeros((4, 4), int), np.zeros((4, 5), int))
    with pytest.raises(ValueError, match="33"):
        edges.boundary_counts(np.zeros((4, 4), int), np.full((4, 4), 33))


def slanted(sigma, angle, size=(96, 96), low=0.3, high=0.8, off=0.0):
    """A straight edge through the middle, blurred by a Gaussian: labels, and luminance at the pixels' centers."""
    y, x = np.mgrid[: size[0], : size[1]] - (np.array(size)[:, None, None] - 1) / 2
    d = y * np.cos(angle) + x * np.sin(angle)
    shown = low + (high - low) * (1 + erf((d - off) / (math.sqrt(2) * sigma))) / 2
    return np.where(d > 0, BUILDING, SKY), shown


@pytest.mark.parametrize("angle", [0.1, 0.4, 0.8, 1.3, 2.2])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.8])
def test_the_width_of_a_known_edge(angle, sigma):
    label, shown = slanted(sigma, angle, off=0.3)
    widths = edges.edge_widths(shown, edges.edge_points(label))
    assert len(widths) > 60
    assert np.isfinite(widths).mean() > 0.95
    assert np.nanmedian(widths) == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize("blur", [0.6, 1.0, 1.5])
def test_blurs_add_as_squares(blur):
    """The calibration: an edge of sigma s, blurred by b, has the width sqrt(s^2 + b^2)."""
    sigma = 0.8
    label, shown = slanted(sigma, 0.5)
    points = edges.edge_points(label)
    wider = np.nanmedian(edges.edge_widths(gaussian_filter(shown, blur), points))
    assert wider == pytest.approx(math.hypot(sigma, blur), rel=0.03)
    darker = np.nanmedian(edges.edge_widths(0.5 - 0.3 * gaussian_filter(shown, blur), points))
    assert darker == pytest.approx(wider, rel=1e-3), "neither contrast nor its sign change a width"


def test_what_cannot_be_measured_is_left_out():
    label, shown = slanted(1.0, 0.5)
    points = edges.edge_points(label)
    assert np.isnan(edges.edge_widths(np.full_like(shown, 0.4), points)).all()
    assert np.isnan(edges.edge_widths(slanted(1.0, 0.5, low=0.5, high=0.56)[1], points)).all(), "low contrast"
    beside = edges.edge_widths(slanted(1.0, 0.5, off=3.0)[1], points)
    assert np.isnan(beside).mean() > 0.9, "an edge three pixels beside the label's is another edge"
    step = np.where(label == SKY, 0.2, 0.8)
    assert np.nanmedian(edges.edge_widths(step, points)) == pytest.approx(12**-0.5, abs=0.05)


def test_points_lie_where_one_edge_divides_two_regions():
    label, _ = slanted(1.0, 0.5)
    assert 0 < len(edges.edge_points(label).rows) <= edges.POINTS
    assert len(edges.edge_points(np.kron(label, np.ones((8, 8), int))).rows) == edges.POINTS
    assert len(edges.edge_points(np.full((64, 64), SKY)).rows) == 0
    assert len(edges.edge_points(np.eye(8, dtype=int)).rows) == 0, "too small for any strip"
    assert edges.edge_widths(np.zeros((64, 64)), edges.edge_points(np.full((64, 64), SKY))).shape == (0,)
    label = np.full((64, 64), SKY)
    label[30:33] = BUILDING  # three rows: a strip of eight meets both of its edges
    assert len(edges.edge_points(label).rows) == 0
    label = np.where(np.arange(64)[:, None] < 30, SKY, BUILDING) * np.ones((1, 64), int)
    label[:, 40:] = IGNORE
    points = edges.edge_points(label)
    assert len(points.rows) > 10
    assert points.columns[points.weight > 0].max() < 40
