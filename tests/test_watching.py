"""What `keep_every` leaves: weights, sheets and scores, which change no bit of the training and survive a stop."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from semcg import config as configs
from semcg import files, locks, notebook, runs
from semcg.devices import fabric_for
from semcg.runs import keeping, recipes
from semcg_kit.commands import evidence
from semcg_kit.evidence import trainings

FABRIC = fabric_for("cpu")


@pytest.fixture
def cfg(home):
    made = configs.make("smoke", steps=6, lambda_s=0.0, keep_every=2, save_every=2, judge_steps=2)
    runs.draw(made, processes=1)
    trainings.segmenter(made, "judge", FABRIC)
    return made


def weights(config):
    folder = files.results_folder("world", "smoke") / recipes.translation(config, baseline=True).name
    return folder, (folder / "G_st.safetensors").read_bytes()


def test_it_leaves_sheets_weights_and_scores_and_changes_nothing(cfg):
    trainings.translation(cfg, FABRIC)
    folder, trained = weights(cfg)
    assert sorted(p.name for p in (folder / "kept").iterdir()) == ["2", "4", "6"]
    sheet = np.array(Image.open(folder / "sheets" / "0000004.png"))
    assert sheet.shape == (2 * 64, 4 * 128, 3)
    scores = pd.read_csv(folder / "validation.csv")
    assert (list(scores["step"]), set(scores["frames"])) == ([2, 4, 6], {8})
    assert scores["judge mIoU"].between(0, 1).all()
    assert (folder / "kept" / "6" / "G_st.safetensors").read_bytes() == (
        folder / "G_st_ema.safetensors"
    ).read_bytes()
    without = cfg.model_copy(update={"keep_every": 0})
    assert recipes.translation(without, baseline=True).fingerprint == (
        recipes.translation(cfg, baseline=True).fingerprint
    )
    (folder / "provenance.json").unlink()
    trainings.translation(without, FABRIC)
    assert weights(without)[1] == trained


def test_looking_at_a_recoloring_generator_changes_nothing_either(cfg):
    """It clamps in evaluation mode alone, and its last weights are looked at, not their averages."""
    looked = cfg.model_copy(update={"generator": "recolor", "generator_weights": "raw", "lr": 0.05})
    trained = []
    for made in (looked, looked.model_copy(update={"keep_every": 0})):
        trainings.translation(made, FABRIC)
        folder, found = weights(made)
        trained.append(found)
        (folder / "provenance.json").unlink()
    assert trained[0] == trained[1]


def test_a_stopped_training_is_told_and_goes_on_with_its_sheets(cfg, capsys, monkeypatch):
    seen = []

    def stopped(records, steps):
        for record in records:
            seen.append(record["step"])
            if record["step"] == 5:
                raise KeyboardInterrupt
            yield record

    with pytest.raises(KeyboardInterrupt):
        trainings.translation(cfg, FABRIC, progress=stopped)
    run = files.results_folder("world", "smoke") / recipes.translation(cfg, baseline=True).name
    assert keeping.current_folder(run).name.endswith(".partial")
    (lock := run.with_name(f".{run.name}.lock")).touch()  # as a process that was killed leaves it
    handle = type("Handle", (), {"update": lambda self, figure: None})()
    monkeypatch.setattr(notebook, "display", lambda **_: handle)
    for watch in (evidence.watch, notebook.watch):
        watch(run)  # ends
        said = f"{run.name}: stopped at step 6; the same command resumes it\n"
        assert capsys.readouterr().out.startswith(said)
    locks.hold(lock, "the training")
    assert keeping.is_running(run)
    assert "6 steps, still training" in keeping.describe(run)
    locks.release(lock)
    trainings.translation(cfg, FABRIC)
    assert keeping.current_folder(run) == run
    assert list(pd.read_csv(run / "validation.csv")["step"]) == [2, 4, 6]
    torch.manual_seed(0)
    with pytest.raises(FileNotFoundError, match="give its folder"):
        keeping.current_folder(run.with_name("none"))


def test_the_command_and_the_notebook_show_a_run(cfg, capsys, monkeypatch):
    trainings.translation(cfg, FABRIC)
    run = weights(cfg)[0]
    evidence.watch(run)
    said = capsys.readouterr().out
    assert said.startswith(f"{run.name}: 6 steps\n")
    assert "judge mIoU" in said
    assert f"last sheet: {run / 'sheets' / '0000006.png'}" in said
    drawn = []
    handle = type("Handle", (), {"update": lambda self, figure: drawn.append(figure)})()
    monkeypatch.setattr(notebook, "display", lambda **_: handle)
    notebook.watch(run)
    assert [len(figure.axes) >= 3 for figure in drawn] == [True]
