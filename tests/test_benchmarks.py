"""The benchmarks' arithmetic, their short forms at the smallest size, and what lies written: never a time."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semcg import config, files
from semcg.commands import options
from semcg.plots.growth import growth as against_the_model
from semcg.plots.growth import shares

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"
NAMES = ("step", "growth", "data", "inference")


@pytest.fixture(autouse=True)
def _folder(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


def test_a_ratio_is_the_median_of_rounds():
    from common import ratios, spread

    assert ratios([4, 10, 6], [2, 2, 4]) == {"median": 2.0, "least": 1.5, "largest": 5.0}
    assert spread([3, 1, 2]) == {"median": 2.0, "least": 1.0, "largest": 3.0}


def test_growth_of_the_process_is_that_of_the_work():
    from common import growth

    held = []
    grown = growth(lambda: held.append(np.ones(8 * 2**20)))  # 64 MiB
    assert 60 * 2**20 < grown < 80 * 2**20
    assert growth(lambda: None) < 2**20, "an earlier peak does not count"


def test_what_was_not_measured_again_stays(tmp_path, monkeypatch):
    import common

    monkeypatch.setattr(common, "HERE", tmp_path)
    common.keep("step", {"time": 1, "memory": 2})
    common.keep("step", {"time": 3})
    assert files.read_json(tmp_path / "step.json") == {"time": 3, "memory": 2}


def test_the_law_of_times_finds_its_own_coefficients():
    import growth

    law = [0.05, 0.2, 1e-5, 1e-4]
    points = {at: float(np.dot(law, growth.features(*at))) for at in growth.FITTED}
    found = growth.fit(points)
    assert found == pytest.approx(law, rel=1e-6)
    left = float(np.dot(found, growth.features(*growth.LEFT_OUT)))
    assert left == pytest.approx(float(np.dot(law, growth.features(*growth.LEFT_OUT))))
    assert growth.LEFT_OUT not in growth.FITTED
    assert growth.MEMORY_LEFT_OUT not in growth.MEMORY_FITTED


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_says_on_which_machine(name):
    found = files.read_json(FOLDER / f"{name}.json")
    assert {"processor", "cores", "threads", "load", "torch", "amx"} <= found["machine"].keys()


def test_the_written_figures_hold_what_is_promised():
    """Counted and checked figures, which no busy machine moves."""
    counted = files.read_json(FOLDER / "step.json")["counted"]
    bytes_beyond = {key: row["beyond"] for key, row in counted["512"].items()}
    assert bytes_beyond["leaf split, semantic, fp32"] <= 0.35 * bytes_beyond["literal, semantic, fp32"]
    whole = counted["768"]["leaf split, semantic, fp32"]
    assert whole["kept"] + whole["passing"] < 4 * 2**30, "the paper's crop fits into 4 GiB"
    memory = files.read_json(FOLDER / "growth.json")["memory"]
    assert 0.6 < memory["not fitted"]["model over measured"] < 1.6
    sizes = files.read_json(FOLDER / "inference.json")["sizes"]
    assert all(rows["onnxruntime"]["largest difference"] <= 1e-5 for rows in sizes.values())


def test_each_says_how_it_is_used():
    for name in NAMES:
        command = [sys.executable, str(FOLDER / f"{name}.py"), "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "--full" in done.stdout
        assert "--write" in done.stdout


def test_the_make_target_runs_all_of_them():
    done = subprocess.run(["make", "-n", "bench"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in NAMES)


def test_figures_of_growth():
    drawn = against_the_model({"s": [(1.0, 1.1, True), (4.0, 3.0, False)]})
    assert [text.get_text() for text in drawn.axes[0].get_legend().get_texts()] == ["fitted", "not fitted"]
    (ax,) = shares({"a": {"x": 0.25, "y": 0.75}, "b": {"x": 0.5, "y": 0.5}}, xlabel="% of it").axes
    assert [bar.get_width() for bar in ax.patches] == [25, 50, 75, 50]
    assert [bar.get_x() for bar in ax.patches] == [0, 0, 25, 50]
    for draw in (lambda: against_the_model({}), lambda: shares({}, xlabel="%")):
        with pytest.raises(ValueError, match="nothing to draw"):
            draw()


def test_the_help_names_every_profile_and_starts_without_pandas():
    """The list is a copy, so that the command line need not wait for what reads configs."""
    assert ", ".join(config.PROFILES) in options.Profile.__metadata__[0].help
    code = "import sys, semcg.__main__; print('pandas' in sys.modules, 'semcg.config' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
