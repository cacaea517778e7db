"""Counts and scores, against numbers worked by hand and against an independent loop."""

import math

import numpy as np
import pytest
import torch

from semcg import metrics
from semcg.labels import CATEGORIES, CLASSES, IGNORE

# Three classes, ten pixels, worked by hand:     label 0 x4, label 1 x3, label 255 x3; class 2 is only
# predicted.
LABEL = [0, 0, 0, 0, 1, 1, 1, 255, 255, 255]
PRED = [0, 0, 1, 255, 1, 2, 0, 0, 2, 255]
COUNTS = [[2, 1, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]]


def loop(pred, label, classes):
    """The definition, pixel by pixel."""
    counts = np.zeros((classes, classes + 1), np.int64)
    for p, t in zip(np.ravel(pred).tolist(), np.ravel(label).tolist(), strict=True):
        if t != IGNORE:
            counts[t, p if 0 <= p < classes else classes] += 1
    return counts


def loop_iou(counts):
    """True positives, false negatives and false positives, one class at a time."""
    classes, scores = len(counts), []
    for c in range(classes):
        hit = counts[c, c]
        missed = sum(counts[c, k] for k in range(classes + 1) if k != c)
        wrong = sum(counts[k, c] for k in range(classes) if k != c)
        scores.append(hit / (hit + missed + wrong) if hit + missed + wrong else math.nan)
    return scores


@pytest.fixture
def maps():
    draw = np.random.default_rng(0)
    label = draw.choice([*range(19), IGNORE], (5, 12, 17)).astype(np.uint8)
    label[label == 15] = 14  # a class that occurs nowhere
    pred = draw.choice([*range(15), 16, 17, 18, 19, 100, IGNORE], label.shape).astype(np.uint8)
    return pred, label


def test_a_table_worked_by_hand():
    counts = metrics.confusion(torch.tensor(PRED), torch.tensor(LABEL), classes=3)
    assert counts.dtype == torch.int64
    assert counts.tolist() == COUNTS


def test_scores_worked_by_hand():
    counts = torch.tensor(COUNTS)
    # class 0: hits 2, misses 2 (one of them an ignored prediction), false positives 1; class 2: one false
    # positive
    assert metrics.iou(counts).tolist() == [2 / 5, 1 / 4, 0.0]
    assert metrics.mean_iou(counts) == pytest.approx((2 / 5 + 1 / 4 + 0) / 3)
    assert metrics.pixel_accuracy(counts) == 3 / 7
    assert metrics.frequency_weighted_iou(counts) == pytest.approx(4 / 7 * 2 / 5 + 3 / 7 * 1 / 4)
    assert metrics.present(counts).tolist() == [True, True, False]
    shares = metrics.flips(counts)
    assert shares[0].tolist() == [2 / 4, 1 / 4, 0]
    assert shares[1].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert shares[2].isnan().all()


def test_a_class_that_occurs_nowhere_is_nan_and_skipped():
    counts = torch.tensor([[3, 0, 1], [0, 0, 0]])
    assert metrics.iou(counts)[0] == 3 / 4
    assert metrics.iou(counts)[1].isnan()
    assert metrics.mean_iou(counts) == metrics.frequency_weighted_iou(counts) == 3 / 4


def test_nothing_labeled_is_nan_everywhere():
    counts = metrics.confusion(torch.zeros(4, dtype=torch.int64), torch.full((4,), IGNORE))
    assert counts.sum() == 0
    scores = [
        metrics.mean_iou(counts),
        metrics.pixel_accuracy(counts),
        metrics.frequency_weighted_iou(counts),
    ]
    assert all(map(math.isnan, scores))
    assert metrics.confusion(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)).sum() == 0


def test_table_and_scores_equal_the_loop(maps):
    counts = metrics.confusion(*maps)
    expected = loop(*maps, 19)
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_allclose(metrics.iou(counts), loop_iou(expected), rtol=1e-12)
    assert metrics.iou(counts)[15].isnan()


def test_tables_of_batches_add_up_in_any_order(maps):
    whole = metrics.confusion(*maps)
    parts = [metrics.confusion(p, t) for p, t in zip(*maps, strict=True)]
    assert torch.equal(sum(parts), whole)
    assert torch.equal(sum(reversed(parts)), whole)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64])
def test_every_integer_type_counts_the_same(maps, dtype):
    expected = metrics.confusion(*maps)
    arrays = [a.astype(dtype) for a in maps]
    for array in arrays:
        array.flags.writeable = False
    assert torch.equal(metrics.confusion(*arrays), expected)
    if dtype not in (np.uint16, np.uint32):
        assert torch.equal(metrics.confusion(*(torch.tensor(a) for a in maps)), expected)


def test_predictions_outside_a_byte_are_misses_not_wrapped():
    label = torch.zeros(4, dtype=torch.int64)
    counts = metrics.confusion(torch.tensor([-1, 256, 1 << 40, 0]), label)
    assert counts[0, 0] == 1
    assert counts[0, -1] == 3


@pytest.mark.parametrize("value", [19, 33, 254, -1, 256])
def test_labels_that_are_no_train_ids_are_refused(value):
    with pytest.raises(ValueError, match=rf"labels are 0\.\.18 or 255, not .*{value}"):
        metrics.confusion(torch.tensor([0, 0]), torch.tensor([value, value]))


def test_shapes_types_and_tables_are_checked():
    with pytest.raises(ValueError, match=r"predictions \(2, 3\), labels \(3, 2\)"):
        metrics.confusion(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(3, 2, dtype=torch.int64))
    with pytest.raises(TypeError, match="predictions must be integers, not torch.float32"):
        metrics.confusion(torch.zeros(2), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(TypeError, match="labels must be integers, not bool"):
        metrics.confusion(np.zeros(2, np.uint8), np.zeros(2, bool))
    with pytest.raises(ValueError, match=r"\(19, 19\)"):
        metrics.iou(torch.zeros(19, 19))
    with pytest.raises(ValueError, match="not of 3"):
        metrics.category_iou(torch.tensor(COUNTS))


def test_categories_merge_before_they_divide(maps):
    pred, label = maps
    of_class = {c.train_id: list(CATEGORIES).index(c.category) for c in CLASSES}
    table = np.full(256, IGNORE, np.uint8)
    table[list(of_class)] = list(of_class.values())
    expected = loop_iou(loop(table[pred], table[label], len(CATEGORIES)))
    scores = metrics.category_iou(metrics.confusion(pred, label))
    assert list(scores) == list(CATEGORIES)
    np.testing.assert_allclose(list(scores.values()), expected, rtol=1e-12)
    car_as_truck = metrics.confusion(torch.full((5,), 14), torch.full((5,), 13))
    assert metrics.mean_iou(car_as_truck) == 0
    assert metrics.category_iou(car_as_truck)["vehicle"] == 1
