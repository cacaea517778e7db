"""Every number once: the paper's are the paper's, and a wrong one is named."""

from typing import get_args

import pytest
from pydantic import ValidationError

from semcg import config, losses


def test_the_defaults_are_the_papers():
    paper = config.Config()
    assert (paper.size, paper.crop, paper.flip, paper.mean, paper.std) == ((1024, 1024), 768, 0.5, 0.5, 0.5)
    assert (paper.segmenter, paper.segmenter_lr, paper.segmenter_batch) == ("drn26", 1e-3, 2)
    assert (paper.lr, paper.batch, paper.lambda_c, paper.lambda_s) == (2e-4, 1, 10, 1)
    stated = {n for n, f in config.Config.model_fields.items() if f.json_schema_extra["source"] != "ours"}
    assert {"size", "crop", "lr", "lambda_c", "lambda_s"} <= stated
    assert not stated & {"betas", "pool", "epochs", "identity", "init_std"}


def test_the_losses_to_choose_from_are_those_that_exist():
    allowed = {name: set(get_args(field.annotation)) for name, field in config.Config.model_fields.items()}
    assert allowed["semantic_loss"] == set(losses.SEMANTIC_KINDS)
    assert allowed["gan_loss"] == set(losses.GAN_KINDS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lambda_s": -1}, ["lambda_s = -1", "greater than or equal to 0"]),
        ({"lambda_s": float("nan")}, ["lambda_s = nan", "finite"]),
        ({"lamda_s": 1}, ["lamda_s = 1", "no such field", "lambda_s"]),
        ({"semantic_loss": "l3"}, ["semantic_loss = 'l3'", "scores_l2", "ce_labels"]),
        ({"crop": 256}, ["crop = 256", "(128, 256)", "32..128"]),
        ({"crop": 100}, ["crop = 100", "multiple of 32"]),
        ({"mean": 0.4}, ["mean = 0.4", "0.5"]),
        ({"generator": "recolor", "generator_depth": 2}, ["generator_depth = 2", "recolor needs 3 or more"]),
        ({"generator_ema": 1.0}, ["generator_ema = 1.0", "less than 1"]),
        ({"seed": "first"}, ["seed = 'first'", "integer"]),
        ({"steps": True}, ["steps = True: input should be a number, not true or false"]),
        ({"betas": (False, 0.5)}, ["betas.0 = False: input should be a number"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(changes, words):
    with pytest.raises(ValueError) as caught:
        config.make("mini", **changes)
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_profile_lists_the_known():
    with pytest.raises(ValueError, match="profile = 'large': unknown; allowed: paper, gpu, mini, smoke"):
        config.make("large")


def test_what_a_notebook_leaves_to_the_profile():
    given = {"profile": "smoke", "gan_loss": "", "steps": 0, "batch": 2, "lambda_s": 0.0, "precision": "bf16"}
    made = config.make("smoke", batch=2, lambda_s=0.0, precision="bf16")
    assert config.from_parameters(given) == made
    assert config.from_parameters(given, {"lambda_s": 3.0, "steps": 9}) == made.model_copy(
        update={"steps": 9}
    )
    assert config.from_parameters(given, {"steps": 0}).steps == 0, "a setting counts as it is"
    assert config.make("smoke").changed(given | {"condition": "semantic", "device": "cpu"}) == made
    with pytest.raises(ValueError, match="lamda_s = 3: no such field; there is lambda_s"):
        config.from_parameters({"profile": "smoke", "lamda_s": 3})


@pytest.mark.parametrize("name", ["steps", "batch"])
def test_a_false_number_is_not_left_to_the_profile(name):
    with pytest.raises(ValueError, match=f"{name} = False: input should be a number"):
        config.from_parameters({"profile": "smoke", name: False})


def test_a_config_cannot_change(monkeypatch):
    monkeypatch.delenv("SEMCG_PROFILE", raising=False)
    chosen = config.make()
    assert chosen.profile == "mini"
    with pytest.raises(ValidationError):
        chosen.seed = 3


def test_the_profile_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("SEMCG_PROFILE", "smoke")
    assert config.make().profile == "smoke"
    assert config.make("mini").profile == "mini"


def test_every_profile_is_valid_and_says_only_what_differs():
    paper = config.Config().model_dump()
    for name, differences in config.PROFILES.items():
        made = config.make(name)
        for field, value in differences.items():
            overrides = field in config.PROFILES["mini"]  # smoke may go back to the paper's batch of 2
            assert value != paper[field] or overrides, f"{name}.{field} repeats the paper's value"
            assert getattr(made, field) == value


def test_a_stage_sees_only_its_own_numbers():
    one, other = config.make("mini"), config.make("mini", seed=5, lambda_s=3)
    assert one.part("segmenter") == other.part("segmenter")
    assert one.part("judge") == other.part("judge")
    assert one.part("data") == other.part("data")
    differing = {k for k, v in one.part("translation").items() if other.part("translation")[k] != v}
    assert differing == {"seed", "lambda_s"}
    with pytest.raises(ValueError, match="unknown stage"):
        one.part("training")


def test_the_number_of_steps():
    assert config.make("mini").translation_steps(600) == 1000
    assert config.make("paper").translation_steps(24_966) == 20 * 24_966
    assert config.make("paper", batch=4).translation_steps(10) == 20 * 3


def test_the_table_shows_differences_only():
    table = config.table("mini", "smoke")
    assert table.loc["crop", ["paper", "mini", "smoke"]].tolist() == ["768", "128", "64"]
    assert table.loc["lambda_c", ["paper", "mini", "smoke"]].tolist() == ["10.0", "", ""]
    assert table.loc["size", "paper"] == "1024 x 1024"
