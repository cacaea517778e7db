"""The generators that come with the repository: small, whole, what their card says, and quick to look through."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from semcg import files, labels, protocol, segmenters, translate
from semcg.config import Config, make
from semcg.data import Scenes
from semcg.devices import fabric_for
from semcg.runs import checkpoint, recipes, shipped, trained
from semcg_kit.evidence import shipping

ROOT = Path(__file__).parent.parent
DECIDED = protocol.read()
FABRIC = fabric_for("cpu")


def test_each_main_condition_that_translates_has_one():
    assert set(shipped.generators(FABRIC)) == {"CycleGAN", "semantic", "semantic recolor"}


@pytest.mark.parametrize("folder", sorted(p.name for p in shipped.GENERATORS.glob("*/")))
def test_each_is_what_its_record_says(folder):
    path = shipped.GENERATORS / folder
    made = files.read_json(path / "provenance.json")
    assert checkpoint.sha256(path / "G_st.safetensors") == made["float16"]["sha256"]
    assert {v.dtype for v in load_file(path / "G_st.safetensors").values()} == {torch.float16}
    assert (path / "G_st.safetensors").stat().st_size < 2.2e6
    assert made["weights"] == {p.name: checkpoint.sha256(p) for p in path.glob("*.safetensors")}
    assert trained.generator_from(path, "ts", FABRIC).training is False
    assert made["config"]["seed"] == DECIDED.seeds[0], "the first seed, not one that was chosen by looking"
    condition = DECIDED.condition(made["condition"]).parameters
    config = Config(**made["config"])
    assert all(getattr(config, k) == v for k, v in condition.items() if k in Config.model_fields)
    card = (shipped.GENERATORS / "README.md").read_text()
    row = next(line for line in card.splitlines() if f"`{folder}`" in line)
    assert f"{made['float16']['grey_levels']['mean']:.3f}, " in row
    assert f"first seed ({config.seed})" in card
    assert f"on {made['float16']['frames']} test frames" in card
    assert f"{config.train_scenes} synthetic source frames" in card
    assert "{}x{};".format(*config.size) in card
    assert not made["uncommitted_changes"]


def test_what_is_shipped_differs_from_what_was_trained_by_the_rounding_alone(home, monkeypatch):
    """With runs of a tiny size: the measured difference is small, is in the record, and a changed file shows."""
    config = make("smoke", generator_weights="raw")
    from semcg.runs import datasets

    datasets.draw(config)
    out = home / "generators"
    baseline = config.model_copy(update={"seed": DECIDED.seeds[0], "lambda_s": 0.0})
    G = {f"G_{d}": trained.generator_for(baseline) for d in ("st", "ts")}
    recipe = recipes.translation(baseline, baseline=True)
    run = files.results_folder("world", "smoke") / recipe.name
    run.mkdir(parents=True)
    for name, net in G.items():
        save_file(net.state_dict(), run / f"{name}.safetensors")
    made = {
        "fingerprint": recipe.fingerprint,
        "recipe": recipe.parts,
        "config": baseline.model_dump(mode="json"),
    }
    files.write_json(run / "provenance.json", made | {"run": recipe.name, "steps": 8, "begins": {}})

    assert shipping.ship(config, DECIDED, device="cpu", out=out) == ["CycleGAN"]
    kept = files.read_json(out / "CycleGAN" / "provenance.json")["float16"]
    assert 0 < kept["grey_levels"]["largest"] < 1
    assert kept["made_of"] == checkpoint.sha256(run / "G_st.safetensors")
    x = shipped.street(3, size=(64, 128))[0]
    seen = shipped.translations(x, FABRIC, folder=out)["CycleGAN"]
    whole = translate.Padded(G["G_st"].eval())(x[None])[0]
    assert translate.difference(seen[None], whole[None].detach())["largest"] < 1
    # The picture of the weight 0: translation, what a judge reads in it, and what it reads otherwise than the label.
    judge = segmenters.build("unet", width=4).eval()
    monkeypatch.setattr(trained, "judge", lambda config, fabric: judge)
    written = shipping.ship_curve(config, DECIDED, device="cpu", out=home / "lambda")
    path = home / "lambda" / "lambda_s_0.png"
    assert sorted(written) == [path, path.with_name("lambda_s_1.png")], "1: the shipped generator"
    with Image.open(path) as opened:
        made, read, flipped = np.split(np.asarray(opened), 3, axis=1)
    frame, y = Scenes(datasets.data(config) / "source" / "test").frame(0)
    with torch.inference_mode():
        x = translate.Padded(G["G_st"])(frame[None])
        classes = segmenters.upsample(judge(x), y.shape)[0].argmax(0)
    assert np.array_equal(made, translate.to_bytes(x[0]).permute(1, 2, 0).numpy())
    assert np.array_equal(read, labels.to_colors(classes.numpy().astype(np.uint8)))
    same = (classes == y) | (y == labels.IGNORE)
    assert not flipped[same].any()
    assert np.array_equal(flipped[~same], read[~same])
    # A condition that is not trained here keeps what was shipped before.
    shutil.rmtree(run)
    assert shipping.ship(config, DECIDED, device="cpu", out=out) == []
    assert (out / "CycleGAN" / "G_st.safetensors").is_file()
    assert shipping.ship_curve(config, DECIDED, device="cpu", out=home / "lambda") == []
    assert path.is_file()


def test_a_street_of_ones_own(home, capsys, monkeypatch):
    import sys

    from semcg_kit.__main__ import main

    monkeypatch.setattr(sys, "argv", ["semcg", "first-look", "--street", "7", "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "street 7" in said
    assert "semantic recolor" in said
    assert (home / "results" / "first_look" / "street_7.png").stat().st_size > 50_000


def test_streets_of_the_first_look_are_in_no_split():
    from semcg.world import STREAMS

    assert shipped.UNSEEN // 10**6 not in STREAMS.values()
    assert shipped.UNSEEN // 10**6 < 8
    game, camera = shipped.street(12)
    assert game.shape == camera.shape == (3, 128, 256)
    assert not torch.equal(game, camera)


def test_no_generators(tmp_path):
    with pytest.raises(FileNotFoundError, match="in git"):
        shipped.generators(FABRIC, folder=tmp_path)


def test_the_front_picture_is_light_and_has_a_column_for_each_generator():
    figure = shipping.front_picture(FABRIC)
    titles = [ax.get_title() for ax in figure.axes[:5]]
    assert titles == ["game", "CycleGAN", "semantic", "semantic recolor", "perfect translation"]
    assert (shipped.GENERATORS.parent / "front.png").stat().st_size < 400_000
