"""What every notebook stands on: settled parameters, described figures, and progress."""

import pytest
from matplotlib.figure import Figure

from semcg import notebook


def test_settling_says_what_is_computed_where(capsys):
    cfg, fabric = notebook.settle(profile="smoke", device="cpu", seed=3, steps=0, semantic_loss="")
    said = capsys.readouterr().out
    assert "profile smoke · data world · seed 3 · CPU" in said
    assert "its numbers mean nothing" in said
    assert (cfg.steps, cfg.semantic_loss, cfg.precision) == (4, "scores_l2", "fp32")
    assert fabric.device.type == "cpu"
    assert notebook.settle(profile="mini", device="cpu", steps=7, semantic_loss="kl")[0].steps == 7


@pytest.mark.parametrize(
    ("knobs", "words"), [({"lambda_s": -1.0}, "lambda_s = -1.0"), ({"device": "abacus"}, "abacus")]
)
def test_an_impossible_parameter_stops_in_the_first_cell(knobs, words):
    with pytest.raises(ValueError, match=words):
        notebook.settle(profile="smoke", **knobs)


def test_a_shown_figure_carries_its_description(monkeypatch):
    seen = []
    monkeypatch.setattr(notebook, "display", lambda bundle, raw: seen.append(bundle))

    def drawn() -> Figure:
        figure = Figure()
        figure.subplots().plot([1, 2])
        return figure

    notebook.show(drawn(), alt='A "line" & more', caption="Below <it>.")
    page = seen[-1]["text/html"]
    assert 'alt="A &quot;line&quot; &amp; more"' in page
    assert "<figcaption>Below &lt;it&gt;.</figcaption>" in page
    assert 'src="data:image/webp;base64,UklGR' in page
    notebook.show(drawn(), alt="the same, smaller", dpi=40)
    assert len(seen[-1]["text/html"]) < 0.8 * len(seen[0]["text/html"])
    with pytest.raises(ValueError, match="alt is empty"):
        notebook.show(Figure(), alt=" ")


def test_progress_passes_everything_on_and_says_little(capsys):
    records = [{"step": n, "gan": n / 2} for n in range(1, 41)]
    assert list(notebook.progress(iter(records), 40)) == records
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[-1] == "step 40/40  gan 20.000"


def test_few_frames_are_no_score():
    about = {"seen_in_training": ["source/test"]}
    assert notebook.counted("target/test", 120, about) == "target/test: 120 frames"
    assert (
        notebook.counted("source/test", 12, about)
        == "source/test: 12 frames: too few to quote as a result, seen in training"
    )
