"""Published numbers beside a run: only where the data are those of the literature, and drawn as what they are."""

import numpy as np
import pytest
from test_archives import write_cityscapes, write_gta5

from semcg import config as configs
from semcg import runs
from semcg.plots import scores
from semcg.runs import shipped
from semcg_kit import prepare


def test_rows_are_drawn_beside_the_archives_alone(home):
    archives, data = home / "archives", home / "data" / "paperlike"
    prepare.write([prepare.gta5(write_gta5(archives / "gta5")).sized((64, 128))], data)
    prepare.write([prepare.cityscapes(write_cityscapes(archives / "cityscapes")).sized((64, 128))], data)
    about = runs.about(configs.make("smoke", data="paperlike"))
    rows, said = shipped.published_for(about, frames=4, size=(64, 128))
    assert rows.equals(shipped.published())
    assert "500 frames at 1024 x 2048; this run: 4 frames at 64 x 128: to look at, not to compare" in said
    assert (
        "the same frames at the same size" in shipped.published_for(about, frames=500, size=(1024, 2048))[1]
    )


@pytest.mark.parametrize("made_by", ["draw", "prepare folder"])
def test_other_data_get_a_sentence_and_no_rows(made_by, monkeypatch):
    monkeypatch.setattr(shipped, "published", lambda: pytest.fail("the file was read"))
    rows, said = shipped.published_for({"made_by": made_by}, frames=500, size=(1024, 2048))
    assert len(rows) == 0
    assert "other data" in said


def test_a_run_stands_among_the_published_in_order():
    run = {"identity": 0.30, "CycleGAN": 0.41}
    drawn = scores.ranking(run, [("A", 0.55, "read"), ("B", 0.40, "recalled"), ("C", 0.20, "read")])
    ax = drawn.axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["A", "CycleGAN", "B", "identity", "C"]
    assert [t.get_fontweight() == "bold" for t in ax.get_yticklabels()] == [False, True, False, True, False]
    dots = {c.get_label(): c for c in ax.collections}
    assert set(dots) == {"this run", "published, read", "published, recalled"}
    points = np.concatenate([c.get_offsets() for c in dots.values()])
    assert sorted(map(tuple, points.round(6).tolist())) == [(20, 4), (30, 3), (40, 2), (41, 1), (55, 0)]
    assert dots["published, recalled"].get_facecolor()[0].tolist() == [1, 1, 1, 1]
    assert dots["published, read"].get_facecolor()[0].tolist() != [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("run", "published", "words"),
    [
        ({}, [], "of a run too"),
        ({"CycleGAN": float("nan")}, [], "scores in 0..1"),
        ({"CycleGAN": 0.4}, [("A", 40.0, "read")], "scores in 0..1"),
        ({"CycleGAN": 0.4}, [("A", 0.4, "guessed")], "guessed"),
    ],
)
def test_what_is_no_score_is_refused(run, published, words):
    with pytest.raises(ValueError, match=words):
        scores.ranking(run, published)
