"""The class table and the codings."""

import numpy as np
import pytest

from semcg import labels


def test_the_table_is_that_of_cityscapes():
    assert [c.train_id for c in labels.CLASSES] == list(range(19))
    ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert [c.label_id for c in labels.CLASSES] == ids
    assert len({c.color for c in labels.CLASSES}) == len({c.name for c in labels.CLASSES}) == 19
    assert labels.names()[10:14] == ["sky", "person", "rider", "car"]
    assert labels.CLASSES[13].color == (0, 0, 142)


def test_categories_hold_every_class_once():
    assert sorted(i for members in labels.CATEGORIES.values() for i in members) == list(range(19))
    assert len(labels.CATEGORIES) == 7
    assert labels.CATEGORIES["vehicle"] == (13, 14, 15, 16, 17, 18)
    assert labels.CATEGORIES["flat"] == (0, 1)


def test_all_byte_values_have_a_train_id_or_255():
    every = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    got = labels.to_train_ids(every)
    assert got.dtype == np.uint8
    assert got.shape == every.shape
    expected = {c.label_id: c.train_id for c in labels.CLASSES}
    assert got.ravel().tolist() == [expected.get(value, 255) for value in range(256)]


def test_there_and_back():
    train_ids = np.array([[*range(19), 255]], np.uint8)
    back = labels.to_label_ids(train_ids)
    assert back[0, -1] == 0
    np.testing.assert_array_equal(labels.to_train_ids(back), train_ids)


def test_colors():
    got = labels.to_colors(np.array([[0, 255], [18, 10]], np.uint8))
    assert got.dtype == np.uint8
    assert got.tolist() == [[[128, 64, 128], [0, 0, 0]], [[119, 11, 32], [70, 130, 180]]]
    assert labels.to_colors(np.uint8(13)).tolist() == [0, 0, 142]


@pytest.mark.parametrize("turn", [labels.to_label_ids, labels.to_colors])
@pytest.mark.parametrize("value", range(19, 255))
def test_other_train_ids_are_refused(turn, value):
    with pytest.raises(ValueError, match=rf"not \[{value}\];"):
        turn(np.array([0, value], np.uint8))


@pytest.mark.parametrize("turn", [labels.to_train_ids, labels.to_label_ids, labels.to_colors])
def test_other_types_are_refused(turn):
    for dtype in (np.int64, np.int8, np.float32, bool):
        with pytest.raises(TypeError, match="must be uint8"):
            turn(np.zeros(2, dtype))
