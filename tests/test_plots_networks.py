"""The pictures of segmenters draw the numbers that they are given."""

import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from semcg.plots import networks

ROWS = [
    {"stage": "conv1", "blocks": 1, "channels": 16, "stride": 1, "dilation": 1, "adds": False},
    {"stage": "layer2", "blocks": 1, "channels": 32, "stride": 2, "dilation": 1, "adds": True},
    {"stage": "layer6", "blocks": 2, "channels": 512, "stride": 4, "dilation": 4, "adds": True},
]


def boxes(ax):
    return [p for p in ax.patches if type(p) is Rectangle]


def test_boxes_are_as_high_as_their_maps_and_as_dark_as_their_dilation():
    ax = networks.stages(ROWS).axes[0]
    assert [b.get_height() for b in boxes(ax)] == [4, 3, 1]  # strides 1, 2, 8 are 0, 1, 3 halvings
    brightness = [sum(b.get_facecolor()[:3]) for b in boxes(ax)]
    assert brightness[0] == brightness[1] > brightness[2]
    assert sum(isinstance(p, FancyArrowPatch) for p in ax.patches) == 2, "an arc per addition"
    texts = {t.get_text() for t in ax.texts}
    assert {"16", "32", "512", "1/2", "1/8", "layer6\n2 x"} <= texts


def test_the_receptive_field_is_drawn_about_the_score_and_outlined():
    field = np.zeros((9, 9))
    field[3:6, 2:7] = 4.0
    figure = networks.receptive_fields({"a": field, "b": field[2:7, 2:7]}, frame=(2, 4))
    first, second = figure.axes[:2]
    drawn = first.images[0].get_array()
    assert drawn.mask.sum() == 81 - 15
    assert drawn.max() == 1, "a share of the maximum"
    assert second.images[0].get_extent() == [-2.5, 2.5, 2.5, -2.5]
    assert first.get_xlim() == second.get_xlim() == (-4.5, 4.5)
    seen, frame = (box.get_bbox().extents.tolist() for box in boxes(first))
    assert seen == [-2.5, -1.5, 2.5, 1.5], "columns 2..6 and rows 3..5 of 9"
    assert frame == [-2, -1, 2, 1]
