"""Curves draw what they are given."""

import numpy as np
import pandas as pd
import pytest

from semcg.plots import curves


def records(n, **losses):
    return [{"step": i + 1} | {name: f(i) for name, f in losses.items()} for i in range(n)]


def test_the_running_mean_by_hand():
    """Window 3 of 30 values: each is the mean of itself and its neighbors, two values at the ends."""
    values = np.arange(30.0) ** 2
    mean = curves.running_mean(values, 3)
    assert mean[0] == (0 + 1) / 2
    assert mean[5] == pytest.approx((16 + 25 + 36) / 3)
    assert mean[29] == (28**2 + 29**2) / 2


def test_each_training_gets_its_line_where_it_has_the_loss():
    histories = {
        "CycleGAN": records(20, gan=lambda i: 1.0, cycle=lambda i: i),
        "semantic": records(20, gan=lambda i: 2.0, semantic=lambda i: i),
    }
    drawn = curves.training_curves(histories, names=("gan", "semantic", "nothing"))
    gan, semantic = drawn.axes
    assert [ax.get_title() for ax in drawn.axes] == ["gan", "semantic"]
    assert len(gan.get_lines()) == 4
    assert len(semantic.get_lines()) == 2
    assert semantic.get_lines()[0].get_ydata().tolist() == list(range(20))


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="none of the trainings"):
        curves.training_curves({"CycleGAN": records(3, gan=lambda i: 1.0)}, names=("semantic",))


def test_floors_are_shares_of_the_identity():
    drawn = curves.floors({"scores_l2": (10.0, 5.0), "softmax_l2": (0.4, 0.04)})
    assert [round(bar.get_width()) for bar in drawn.axes[0].patches] == [50, 10]


def test_a_band_runs_from_the_lowest_to_the_highest_seed():
    rows = [
        ("gan", "A", 50, 2.0, 1.0, 3.0),
        ("gan", "A", 100, 1.0, 0.5, 1.5),
        ("pull gan", "B", 50, 1.0, 1.0, 1.0),
    ]
    steps = pd.DataFrame(rows, columns=["term", "condition", "step", "mean", "min", "max"])
    drawn = curves.bands(
        steps.set_index(["term", "condition", "step"]), ["A", "B"], ["gan", "cycle", "pull gan"]
    )
    first, second = drawn.axes
    assert [ax.get_title() for ax in drawn.axes] == ["gan", "pull gan"]
    assert first.get_lines()[0].get_ydata().tolist() == [2, 1]
    assert first.collections[0].get_datalim(first.transData).ymax == 3
    assert len(second.get_lines()) == 1
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["A", "B"]


def test_dials_draw_each_seed_and_their_mean_and_mark_the_setting():
    (ax,) = curves.dials([0, 1], {"m": np.array([[1.0, 2.0], [3.0, np.nan]])}, at=1).axes
    assert [line.get_ydata().tolist() for line in ax.get_lines()[:1]] == [[1, 2]]
    assert ax.get_lines()[2].get_ydata().tolist() == [2, 2], "a seed that was not measured is left out"


def test_spectra_end_at_a_period_of_two_pixels():
    drawn = curves.spectra({"oracle": np.arange(1.0, 6.0), "other": np.arange(2.0, 7.0)})
    lines = drawn.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["oracle", "other"]
    assert lines[0].get_xdata().tolist() == [0.125, 0.25, 0.375, 0.5]
    assert lines[0].get_ydata().tolist() == [2, 3, 4, 5]
    assert drawn.axes[0].get_yscale() == "log"
