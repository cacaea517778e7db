"""The drawing functions draw what they are given: the data are read back from the axes."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, Rectangle

from semcg import labels
from semcg.plots.frames import DOMAIN_COLORS, class_shares, framework, layout, pixels, receptive_fields, sheet
from semcg.plots.frames import stages as drawn_stages


def shown(ax) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in ax.images]


def legend_of(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_every_byte_survives_the_way_through_a_network_s_range():
    v = torch.arange(256).reshape(1, 16, 16).expand(3, 16, 16)
    assert np.array_equal(pixels(v / 127.5 - 1), v.permute(1, 2, 0).numpy().astype(np.uint8))
    beyond = np.full((3, 1, 1), 1.5, np.float32)
    assert pixels(beyond).tolist() == [[[255, 255, 255]]]
    assert pixels(-beyond).tolist() == [[[0, 0, 0]]]


def test_train_ids_get_the_colors_of_cityscapes():
    label = torch.tensor([[0, 10, 255]])
    assert pixels(label).tolist() == [[[128, 64, 128], [70, 130, 180], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("panel", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), r"shape \(4, 4, 3\) and type float32"),
        (np.zeros((4, 4)), r"shape \(4, 4\) and type float64"),
        (np.zeros((1, 3, 4, 4), np.float32), r"shape \(1, 3, 4, 4\)"),
        (np.array([[0, 19]]), r"not \[19\]"),
        (np.array([[0, -1]]), r"these are -1\.\.0"),
        (np.array([[0, 300]]), r"these are 0\.\.300"),
    ],
)
def test_other_panels_are_refused(panel, words):
    with pytest.raises(ValueError, match=words):
        pixels(panel)


def test_a_sheet_shows_each_panel_at_its_place_and_names_the_classes(picture):
    first, second = np.array([[0, 255], [13, 13]]), np.array([[8, 8], [8, 0]], np.uint8)
    negative = 255 - picture
    drawn = sheet([[picture, first], [negative, second]], titles=["image", "label"], names=["one", "two"])
    panels = [shown(ax) for ax in drawn.axes]
    assert len(panels) == 4
    assert all(len(images) == 1 for images in panels)
    for (seen,), given in zip(panels, (picture, first, negative, second), strict=True):
        assert np.array_equal(seen, pixels(given))
    assert [ax.get_title() for ax in drawn.axes] == ["image", "label", "", ""]
    assert [ax.get_ylabel() for ax in drawn.axes] == ["one", "", "two", ""]
    assert legend_of(drawn) == ["road", "vegetation", "car", "ignored"]
    colors = [patch.get_facecolor()[:3] for patch in drawn.legends[0].get_patches()]
    assert colors[1] == tuple(v / 255 for v in labels.CLASSES[8].color)
    assert colors[3] == to_rgb("black")


def test_a_sheet_of_pictures_has_no_legend_and_keeps_their_shape(picture):
    drawn = sheet([[picture] * 3])
    assert not drawn.legends
    wide, high = drawn.get_size_inches()
    assert wide / 3 / high == pytest.approx(8 / 6)


@pytest.mark.parametrize("name", ["game", "semantic recolor", "CycleGAN, half skip, guided"])
def test_a_name_of_several_lines_lies_inside_the_sheet(name):
    drawn = sheet([[np.zeros((128, 256, 3), np.uint8)]] * 3, names=[name] * 3, width=7)
    drawn.draw_without_rendering()
    assert all(ax.yaxis.label.get_window_extent().x0 >= 0 for ax in drawn.axes)


def test_a_sheet_refuses_what_does_not_fit(picture):
    for rows in ([], [[]], [[picture], [picture, picture]]):
        with pytest.raises(ValueError, match="rows of one length"):
            sheet(rows)
    for words in ({"titles": ["image"]}, {"names": ["a", "b", "c"]}):
        with pytest.raises(ValueError, match="shorter|longer"):
            sheet([[picture, picture]], **words)


def test_bars_are_as_long_as_the_shares():
    source, target = np.zeros(19), np.full(19, 1 / 19)
    source[[0, 10]] = 0.75, 0.25
    (ax,) = class_shares({"source": source, "target": target}).axes
    bars = {bars.get_label(): [bar.get_width() for bar in bars] for bars in ax.containers}
    assert bars["source"] == pytest.approx(100 * source)
    assert bars["target"] == pytest.approx(100 * target)
    assert [text.get_text() for text in ax.get_yticklabels()] == labels.names()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["source", "target"]
    assert to_rgb(ax.containers[0][0].get_facecolor()) == to_rgb(DOMAIN_COLORS["source"])
    # Road is the topmost class, and a domain's bar lies beside the other's, not over it.
    low, high = ax.get_ylim()
    assert low > high
    assert ax.containers[0][0].get_y() < ax.containers[1][0].get_y() < ax.containers[0][1].get_y()


def test_a_layout_stacks_the_shares_of_each_band_from_the_top():
    rows = np.zeros((3, 19))
    rows[0, 10], rows[1, [2, 10]], rows[2] = 1, (0.75, 0.25), np.nan
    drawn = layout({"source": rows, "target": rows[:2]}, names=2)
    source, target = drawn.axes
    assert [ax.get_title() for ax in drawn.axes] == ["source", "target"]
    assert [len(ax.patches) for ax in drawn.axes] == [3 * 19, 2 * 19]
    building, sky = (source.containers[c] for c in (2, 10))
    assert [bar.get_width() for bar in sky] == [100, 25, 0]
    assert [bar.get_x() for bar in sky] == [0, 75, 0]
    assert [bar.get_width() for bar in building] == [0, 75, 0]
    assert [bar.get_y() for bar in sky] == pytest.approx([0, 100 / 3, 200 / 3])
    assert source.get_ylim() == (100, 0)
    assert legend_of(drawn) == ["building", "sky"]


def test_the_framework_shows_both_cycles_and_both_comparisons(picture):
    from_s, from_t = ([(picture.astype(int) + 40 * k + 7 * j) % 256 for k in range(3)] for j in range(2))
    from_s, from_t = ([p.astype(np.uint8) for p in pictures] for pictures in (from_s, from_t))
    (ax,) = framework(from_s, from_t).axes
    for seen, wanted in zip(shown(ax), from_s + from_t, strict=True):
        assert np.array_equal(seen, wanted)
    words = [text.get_text() for text in ax.texts]
    for name in ("G_{st}", "G_{ts}", "Sem_s", "Sem_t"):
        assert sum(name in text for text in words) == 2, name  # once in either direction
    for name in ("D_s", "D_t", "x_{s}", "x_{st}", "x_{sts}", "x_{t}", "x_{ts}", "x_{tst}"):
        assert sum(f"${name}$" in text for text in words) == 1, name
    arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    kinds = {(to_rgb(a.get_edgecolor()), a.get_linestyle()) for a in arrows}
    assert len(kinds) == 3  # told apart by color and by line
    assert len({color for color, _ in kinds}) == len({line for _, line in kinds}) == 3
    assert legend_of(ax.figure) == ["cycle (Eq. 3)", "semantic (Eq. 4)", "real or translated? (Eqs. 1-2)"]


# ---------------------------------------------------------------- segmenters

ROWS = [
    {"stage": "conv1", "blocks": 1, "channels": 16, "stride": 1, "dilation": 1, "adds": False},
    {"stage": "layer2", "blocks": 1, "channels": 32, "stride": 2, "dilation": 1, "adds": True},
    {"stage": "layer6", "blocks": 2, "channels": 512, "stride": 4, "dilation": 4, "adds": True},
]


def boxes(ax):
    return [p for p in ax.patches if type(p) is Rectangle]


def test_boxes_are_as_high_as_their_maps_and_as_dark_as_their_dilation():
    ax = drawn_stages(ROWS).axes[0]
    assert [b.get_height() for b in boxes(ax)] == [4, 3, 1]  # strides 1, 2, 8 are 0, 1, 3 halvings
    brightness = [sum(b.get_facecolor()[:3]) for b in boxes(ax)]
    assert brightness[0] == brightness[1] > brightness[2]
    assert sum(isinstance(p, FancyArrowPatch) for p in ax.patches) == 2, "an arc per addition"
    texts = {t.get_text() for t in ax.texts}
    assert {"16", "32", "512", "1/2", "1/8", "layer6\n2 x"} <= texts


def test_the_receptive_field_is_drawn_about_the_score_and_outlined():
    field = np.zeros((9, 9))
    field[3:6, 2:7] = 4.0
    figure = receptive_fields({"a": field, "b": field[2:7, 2:7]}, frame=(2, 4))
    first, second = figure.axes[:2]
    drawn = first.images[0].get_array()
    assert drawn.mask.sum() == 81 - 15
    assert drawn.max() == 1, "a share of the maximum"
    assert second.images[0].get_extent() == [-2.5, 2.5, 2.5, -2.5]
    assert first.get_xlim() == second.get_xlim() == (-4.5, 4.5)
    seen, frame = (box.get_bbox().extents.tolist() for box in boxes(first))
    assert seen == [-2.5, -1.5, 2.5, 1.5], "columns 2..6 and rows 3..5 of 9"
    assert frame == [-2, -1, 2, 1]
