"""A run is known by what its code computes: what moves the canary, and what does not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mutants
import pytest
import torch

from semcg import canary, losses
from semcg.config import Config

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("stage", canary.STAGES)
def test_the_code_computes_the_latest_version(stage):
    """Fails and names the first number that moved, if code was changed without a new version."""
    name, expected = list(canary.released(stage).items())[-1]
    moved = canary.difference(canary.compute(stage), expected)
    assert not moved, f"{stage} is not {name} any more: {moved}. If that is meant: python -m semcg.canary"


def test_it_is_computed_where_gradients_are_off():
    """As in the middle of a training with `keep_every`, whose score looks for a judge."""
    name, expected = list(canary.released("segmenter").items())[-1]
    with torch.inference_mode():
        assert not canary.difference(canary.compute("segmenter"), expected), name


@pytest.mark.parametrize("stage", canary.STAGES)
def test_a_new_version_computes_something_else(stage):
    versions = list(canary.released(stage).items())
    assert [name for name, _ in versions] == [f"{stage}-{i + 1}" for i in range(len(versions))]
    for i, (name, numbers) in enumerate(versions):
        for other, expected in versions[:i]:
            assert canary.difference(numbers, expected), f"{name} computes what {other} computes"


def test_released_numbers_are_only_added_to():
    git = ["git", "-C", str(ROOT)]
    log = subprocess.run(
        [*git, "log", "--format=%H", "--", "semcg/canary.json"], capture_output=True, text=True
    )
    now = json.loads(canary.RELEASED.read_text(encoding="utf-8"))
    for commit in log.stdout.split():
        shown = subprocess.run([*git, "show", f"{commit}:semcg/canary.json"], capture_output=True, text=True)
        if shown.returncode == 0:
            for name, arms in json.loads(shown.stdout).items():
                moved = canary.difference({arm: now[name].get(arm, []) for arm in arms}, arms)
                assert not moved, f"{name} was changed since {commit[:8]}: {moved}"


def test_an_edit_of_a_loss_is_noticed_and_named(monkeypatch):
    monkeypatch.setitem(losses._COMPARE, "kl", lambda before, after: (after - before).abs().mean())
    numbers = canary.compute("translation")
    assert canary.difference(numbers, canary.released("translation")["translation-1"]).startswith(
        "kl, number 3: "
    )


def test_threads_and_random_numbers_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    before = torch.get_num_threads(), torch.get_default_dtype()
    canary.compute("segmenter")
    assert torch.equal(torch.rand(3), expected)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == before


@pytest.mark.parametrize("capability", ["avx2", "default"])
def test_other_processors_compute_the_same_version(capability):
    """The arithmetic of lesser processors, played by this one."""
    code = "from semcg import canary; print([canary.version(stage) for stage in canary.STAGES])"
    isa = {"avx2": "AVX2", "default": "SSE41"}[capability]
    lesser = os.environ | {"ATEN_CPU_CAPABILITY": capability, "ONEDNN_MAX_CPU_ISA": isa}
    done = subprocess.run(
        [sys.executable, "-c", code], env=lesser, capture_output=True, text=True, check=True
    )
    assert "unreleased" not in done.stdout


# --- every field of the config that a stage reads moves its numbers

ELSEWHERE = {
    "crop": "the side of the crops of the data arms, and of the fixed inputs",
    "flip": "the data arms flip with 0.5",
    "segmenter_start": "published weights are loaded by the notebook; what training begins with is in the record",
    "segmenter_color": "the data arm 'color'",
    "judge_color": "the data arm 'color'",
    "segmenter_batch": "a number of inputs, which are fixed here",
    "judge_batch": "a number of inputs, which are fixed here",
    "batch": "a number of inputs; the arm 'identity, least squares' has two",
    "downstream_frames": "a number of inputs",
    "target_layout": "the data of another folder, by their digest",
    "epochs": "a number of steps, which are given here",
    "precision": "the arms 'types in fp32' and 'types in bf16'",
    "generator_weights": "which of two sets of trained weights translates",
    "guided": "a translation around trained weights",
    "leaf_split": "the same mathematics: the arm 'one graph' has the numbers of one step of 'scores_l2'",
}
OTHER = {
    "seed": 7,
    "segmenter_seed": 7,
    "segmenter": "segnet",
    "segmenter_width": 1 / 4,
    "segmenter_stride": 8,
    "segmenter_optimizer": "sgd",
    "segmenter_lr": 1e-3,
    "segmenter_decay": 0.1,
    "segmenter_steps": 4,
    "segmenter_schedule": "constant",
    "segmenter_weights": False,
    "judge_width": 5,
    "second_judge_width": 1 / 4,
    "judge_steps": 4,
    "judge_lr": 1e-3,
    "judge_decay": 0.1,
    "downstream_width": 5,
    "downstream_steps": 4,
    "generator": "resnet9",
    "generator_width": 5,
    "generator_depth": 2,
    "generator_skip": "half",
    "generator_grain": 0.2,
    "generator_ema": 0.9,
    "discriminator_width": 5,
    "gan_loss": "lsgan",
    "lambda_c": 9.0,
    "lambda_s": 0.9,
    "semantic_loss": "kl",
    "one_segmenter": True,
    "identity": 1.0,
    "lr": 1e-3,
    "betas": (0.6, 0.999),
    "pool": 0,
    "init_std": 0.0201,
    "steps": 5,
}


def fields() -> list[tuple[str, str]]:
    return [
        (name, stage)
        for name, field in Config.model_fields.items()
        for stage in field.json_schema_extra["stages"]
        if stage in ("segmenter", "judge", "translation", "downstream")
    ]


def test_every_field_is_changed_or_has_a_reason():
    names = {name for name, _ in fields()}
    assert names == OTHER.keys() | ELSEWHERE.keys()
    assert not OTHER.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize(("field", "stage"), [f for f in fields() if f[0] not in ELSEWHERE])
def test_a_changed_field_moves_the_numbers(field, stage):
    def numbers(**change) -> list[float]:
        if stage == "translation":
            config = canary.settings(
                steps=4, lambda_s=float(field in ("lambda_s", "semantic_loss", "one_segmenter"))
            )
            if field == "generator_grain":
                config = canary.settings(steps=4, generator="recolor")
            with canary.in_float64():
                train = canary.train_averages if field == "generator_ema" else canary.train_translation
                return train(config.model_copy(update=change), "cpu")
        kind = "second judge" if field == "second_judge_width" else stage
        with canary.in_float64():
            return canary.train_segmenter(canary.settings().model_copy(update=change), kind, "cpu")

    before, after = numbers(), numbers(**{field: OTHER[field]})
    assert canary.difference({"": after}, {"": before})


# --- edits of the code

HARMLESS = [  # file, text, other text: an error, a name, an import, a docstring, equal code
    ("losses.py", "differ in shape:", "have different shapes:"),
    ("losses.py", '"""Cycle consistency, one direction', '"""The loss of the way back, one direction'),
    ("losses.py", "    p, q = before.log_softmax", "    first, second = before.log_softmax"),
    ("losses.py", "    return (p.exp() * (p - q)).sum", "    return (first.exp() * (first - second)).sum"),
    ("metrics.py", "import", "import os  # noqa: F401\nimport"),
    ("loop.py", "a smaller learning rate", "a lower learning rate"),
    ("training.py", "on_real, on_fake = D(", "of_real, of_fake = D("),
    ("training.py", "discriminator(on_real, on_fake,", "discriminator(of_real, of_fake,"),
    ("segmenters.py", "DRN26 has stride 4 or 8", "DRN26 takes stride 4 or 8"),
    ("data.py", "no labeled pixel in", "not one labeled pixel in"),
    ("config.py", '"weight decay"', '"decay of the weights"'),
    ("training.py", "(frequencies + 1e-3).rsqrt()", "1 / (1e-3 + frequencies).sqrt()"),
]
BF16 = ("devices.py", '"bf16-mixed" if precision == "bf16" else "32-true"', '"bf16-mixed"')


def versions_of(edits: list[tuple[str, str, str]], tmp_path: Path) -> str:
    """Return what a copy of the package with some edits calls its stages."""
    copied = tmp_path / "copy" / "semcg"
    shutil.copytree(ROOT / "semcg", copied, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in edits:
        source = (copied / name).read_text(encoding="utf-8")
        assert old in source, f"{name} does not hold {old!r}"
        (copied / name).write_text(source.replace(old, new, 1), encoding="utf-8")
    code = "import semcg; from semcg import canary; print(semcg.__file__); print([canary.version(s) for s in canary.STAGES])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(copied.parent), os.environ["PYTHONPATH"]])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(copied) in done.stdout
    return done.stdout.splitlines()[1]


def test_b2_harmless_edits_do_not_move_it(tmp_path):
    assert "unreleased" not in versions_of(HARMLESS, tmp_path)


def test_b2_computing_in_bf16_is_another_code(tmp_path):
    seen = versions_of([BF16], tmp_path)
    assert seen.count("unreleased") == 2
    assert "segmenter-unreleased" in seen
    assert "translation-unreleased" in seen


# --- planted faults

SURVIVORS = {
    "metrics: if values.is_floating_point() and values.is_complex() and (values.dtype == torch.bool):": "refuses "
    "types of labels; tests/test_metrics.py",
    "segmenters: if images.ndim != 4 and images.shape[1] != 3:": "refuses shapes; tests/test_segmenters.py",
    "segmenters: def __init__(self, *, classes: int=19, width: float=1.011, stride: int=8) -> None:": "a default that "
    "every caller overrides with the config's number",
    "segmenters: def level(*c: int, stride: int=1, bias: bool=True) -> nn.Sequential:": "biases that a normalization "
    "cancels; tests/test_instruments.py loads the shipped weights",
    "loop: yield {'step': n + 2, **step(*batch(n))}": "the number of a step; tests/test_ranks.py",
    "training: seeing = torch.channels_last if fabric.device.type != 'cpu' else layout": "the same numbers in more time",
    "losses: return losses.sum() / (labels != IGNORE).sum().clamp(min=2)": "a crop with a single labeled pixel",
    "gan: self.ups.append(nn.Sequential(nn.ReLU(inplace=False), conv, *norm))": "the same numbers in more memory",
    "gan: return nn.Sequential(first, nn.ReLU(inplace=False), second)": "the same",
    "gan: self.Sem_t.eval().requires_grad_(True)": "asks for no gradient either way; tests/test_training.py",
    "gan: def __init__(self, *, width: int=64, depth: int=8, grain: float=0.2535) -> None:": "a default that every "
    "caller overrides with the config's number",
    "gan: def __init__(self, *, width: int=64, depth: int=9, grain: float=0.25) -> None:": "the same",
}
"""Mutants that no stage notices, with the reason why none needs to."""


def survivors(count: int, every: int) -> list[str]:
    chosen = mutants.mutants(count)[::every]
    return [str(mutant) for mutant in chosen if mutants.survives(mutant)]


@pytest.mark.slow
def test_planted_faults_are_noticed():
    assert set(survivors(60, 1)) == set(SURVIVORS)


def test_a_tenth_of_the_planted_faults():
    assert set(survivors(60, 10)) <= set(SURVIVORS)
