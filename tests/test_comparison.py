"""Runs beside each other, networks from a run that lies anywhere, and the paper's figures from saved runs."""

import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from semcg import config as configs
from semcg import files, runs
from semcg.devices import fabric_for
from semcg.loop import fit
from semcg.runs import figures, recipes, trained
from semcg.training import CycleGANTraining, SegmenterTraining, network_for
from semcg.translate import Guided
from semcg_kit import comparison
from semcg_kit.__main__ import app

FABRIC = fabric_for("cpu")


def provenance(folder, config, recipe, **measures):
    files.write_json(folder / "provenance.json", {"config": config, "recipe": recipe, "seconds": 3.0})
    for name, value in measures.items():
        files.write_json(folder / f"{name}.json", value)
    return folder


def test_e3_differences_by_hand(tmp_path):
    """E3: two CycleGANs differ in settings, in losses, and in the rows of the evaluation."""
    a = provenance(
        tmp_path / "cyclegan-s1",
        {"lambda_s": 0.0, "semantic_loss": "scores_l2", "seed": 1, "size": [64, 128]},
        {"config": {"lambda_s": 0.0}, "data": "aa"},
        judge={"mIoU": 0.25, "per class": [0.5, 0.75], "name": "a", "done": True},
        old={"x": 1},
    )
    b = provenance(
        tmp_path / "semantic-scores_l2-1-s1",
        {"lambda_s": 1.0, "semantic_loss": "scores_l2", "seed": 1, "size": [64, 128]},
        {"config": {"lambda_s": 1.0}, "data": "bb", "reads": {"source": "r"}},
        judge={"mIoU": 0.375, "per class": [0.5, 0.5], "name": "b", "done": False},
    )
    for folder, gan in ((a, 2.0), (b, 3.0)):
        rows = "".join(f"{n},{9.0 if n < 18 else gan + n - 18.5}\n" for n in range(20))
        (folder / "history.csv").write_text("step,gan\n" + rows)
    evaluation = tmp_path / "evaluation-s1"
    evaluation.mkdir()
    text = ",mIoU,sky kept\nCycleGAN,0.25,0.5\nsemantic,0.5,0.5\nother,0.75,\n"
    (evaluation / "table.csv").write_text(text)
    assert comparison.compare(a, b) == [
        f"a: {a}",
        f"b: {b}",
        "lambda_s: 0.0 | 1.0",
        "also different: data, reads",
        "gan, mean of the last tenth of the steps: 2 | 3 (+1)",
        "judge.mIoU: 0.25 | 0.375 (+0.125)",
        "judge.per class.1: 0.75 | 0.5 (-0.25)",
        "old.x: 1 | -",
        "mIoU (notebook 05): 0.25 | 0.5 (+0.25)",
    ]
    assert comparison.compare(str(a), a)[-1] == "no difference in settings or results"
    record = {"config": {"lambda_s": 0.0, "seed": 1}, "recipe": {}, "run": a.name, "fingerprint": "new"}
    kept = tmp_path / f"{a.name}.ab12cd"  # what was measured is its successor
    for folder, fingerprint, measured in ((kept, "old", False), (a, "new", True)):
        files.write_json(folder / "provenance.json", record | {"fingerprint": fingerprint})
        assert ("mIoU (notebook 05): 0.25 | 0.5 (+0.25)" in comparison.compare(folder, b)) is measured
        assert ("mIoU (notebook 05): - | 0.5" in comparison.compare(folder, b)) is not measured
    files.write_json(tmp_path / "notebooks" / "05_evaluation-s1.json", {"runs": {a.name: "old"}})
    assert "mIoU (notebook 05): - | 0.5" in comparison.compare(a, b), "not yet evaluated"
    other = tmp_path / "evaluation-s2"
    other.mkdir()
    (other / "table.csv").write_text(text.replace("0.75,", "0.5,1.0"))
    assert comparison.compare(evaluation, other)[2:] == [
        "other, mIoU: 0.75 | 0.5 (-0.25)",
        "other, sky kept: - | 1",
    ]


def test_what_is_no_run_is_told(tmp_path):
    a = provenance(tmp_path / "runs" / "a", {}, {})
    with pytest.raises(FileNotFoundError, match="no folder"):
        comparison.compare(a, tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="not the folder of a run or an evaluation.*; in it are a"):
        comparison.compare(a, tmp_path / "runs")
    files.write_json(tmp_path / "half" / "provenance.json", {"recipe": {}})
    with pytest.raises(ValueError, match="has no config: the run is not complete"):
        comparison.compare(tmp_path / "half", a)
    (a / "judge.json").write_text("{")
    with pytest.raises(ValueError, match=r"judge\.json is not JSON"):
        comparison.compare(a, a)


@pytest.fixture
def small(home):
    """Data of a few frames, a config, and its complete (hardly trained) CycleGANs and judge."""
    config = configs.make("smoke", data="few", steps=1, judge_steps=1, pool=2)
    numbers = np.random.default_rng(0)
    for split in ("source/test", "target/test", "source/train", "target/train"):
        for kind, shape in (("images", (64, 128, 3)), ("labels", (64, 128)), ("oracle", (64, 128, 3))):
            if kind != "oracle" or split == "source/test":
                folder = home / "data" / "few" / split / kind
                folder.mkdir(parents=True)
                for k in range(4):
                    values = numbers.integers(0, 19 if kind == "labels" else 256, shape, np.uint8)
                    Image.fromarray(values).save(folder / f"{k}.png")
    files.write_manifest(home / "data" / "few")
    for one in recipes.conditions(config).values():
        made = CycleGANTraining.create(one, steps=1, fabric=FABRIC)
        run = runs.open_run(
            recipes.translation(one, baseline=one.lambda_s == 0),
            steps=1,
            state=made.state(),
            batch=lambda n: (),
        )
        for _ in runs.keep(run, fit(lambda: {"gan": torch.zeros(())}, lambda n: (), 1)):
            pass
    return config


def baseline_of(config) -> str:
    """Name of the baseline's run, which says in what it differs from the profile."""
    name = recipes.translation(recipes.conditions(config)["CycleGAN"], baseline=True).name
    assert name == "cyclegan-pool=2-steps=1-s0"
    return name


def test_figures_are_redrawn_without_training(small, home, monkeypatch):
    monkeypatch.setattr(figures, "EXAMPLES", 2)
    monkeypatch.setattr(figures, "ROWS", 1)
    *paths, captions = figures.save_figures(small, device="cpu")
    folder = files.results_folder("few", "smoke") / "figures"
    assert paths == [folder / f"figure_{k}{suffix}" for k in (1, 2, 3) for suffix in (".png", ".svg")]
    assert captions == folder / "captions.md"
    assert sorted(folder.iterdir()) == sorted([*paths, captions]), "nothing half-written is left"
    for name, caption in figures.CAPTIONS.items():
        assert f"![{name}]({name}.png)\n\n{caption}\n" in captions.read_text()
    for path in paths[::2]:
        assert np.array(Image.open(path).convert("L")).std() > 10, "an empty picture"
    assert paths[5].read_text().count("<image") == 2 * 4, (
        "a frame a direction, with two translations and the oracle"
    )
    before = {p.name: p.read_bytes() for p in paths}
    figures.save_figures(small, device="cpu")
    assert before == {p.name: p.read_bytes() for p in paths}
    ours = recipes.translation(recipes.conditions(small)["semantic"])
    shutil.rmtree(files.results_folder("few", "smoke") / ours.name)
    with pytest.raises(FileNotFoundError, match="no run semantic-scores_l2-1-.*-s0.*semcg run 04_semantic"):
        figures.save_figures(small, device="cpu")


def test_a_generator_from_a_folder(small, home, tmp_path):
    run = files.results_folder("few", "smoke") / baseline_of(small)
    moved = shutil.copytree(run, tmp_path / "elsewhere")
    expected = trained.generators(small.model_copy(update={"lambda_s": 0.0}), FABRIC, baseline=True)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for k, direction in enumerate(("st", "ts")):
        for weights in (moved, moved / f"G_{direction}_ema.safetensors"):
            G = trained.generator_from(weights, direction, FABRIC)
            assert not G.training
            with torch.no_grad():
                assert torch.equal(G(x), expected[k](x))
    wrong = {
        (moved, "back"): "direction = 'back'",
        (moved / "G_ts.safetensors", "st"): "is the generator of the direction ts",
        (moved / "D_s.safetensors", "st"): "does not fit the UNet",
        (tmp_path / "none", "st"): "there is no folder",
    }
    for (weights, direction), message in wrong.items():
        with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
            trained.generator_from(weights, direction, FABRIC)
    (moved / "G_st_ema.safetensors").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"G_st_ema\.safetensors is not a safetensors file"):
        trained.generator_from(moved, "st", FABRIC)
    files.write_json(moved / "provenance.json", {"config": {"generator": "diffusion"}})
    with pytest.raises(ValueError, match="not one of this version"):
        trained.generator_from(moved, "ts", FABRIC)
    files.write_json(moved / "provenance.json", {"recipe": {}})
    with pytest.raises(ValueError, match="has no config"):
        trained.generator_from(moved, "ts", FABRIC)
    (moved / "provenance.json").unlink()
    with pytest.raises(FileNotFoundError, match="says what network"):
        trained.generator_from(moved, "ts", FABRIC)


def test_the_config_says_which_weights_translate_and_how(small, home):
    run = files.results_folder("few", "smoke") / baseline_of(small)
    averaged, path = load_file(run / "G_st_ema.safetensors"), run / "provenance.json"
    save_file({k: torch.full_like(v, 0.01) for k, v in averaged.items()}, run / "G_st_ema.safetensors")
    made = files.read_json(path)
    files.write_json(path, made | {"weights": {}})  # these were not trained
    base = small.model_copy(update={"lambda_s": 0.0})
    ema, raw, guided = (
        trained.generators(base.model_copy(update=changes), FABRIC, baseline=True)[0]
        for changes in ({}, {"generator_weights": "raw"}, {"guided": "own"})
    )
    assert small.generator_weights == "ema"
    assert all((p == 0.01).all() for G in (ema, guided) for p in G.parameters())
    assert not all((p == 0.01).all() for p in raw.parameters())
    assert isinstance(guided, Guided)
    assert all((p == 0.01).all() for p in trained.generator_from(run, "st", FABRIC).parameters())
    save_file(averaged, run / "G_st_ema.safetensors")
    files.write_json(path, made)


SEGMENTERS = {
    "judge": (recipes.judge, "judge"),
    "second judge": (lambda c: recipes.judge(c, second=True), "second judge"),
    "Sem_t": (lambda c: recipes.segmenter(c, "target"), "segmenter"),
    "downstream": (lambda c: recipes.downstream(c, "identity", "none"), "downstream"),
}


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_segmenter_from_a_folder(small, home, name):
    recipe, kind = SEGMENTERS[name]
    net = network_for(small, kind)
    made = SegmenterTraining.create(
        net, optimizer="adamw", lr=1e-3, decay=0, steps=1, schedule="poly", seed=3, fabric=FABRIC
    )
    run = runs.open_run(recipe(small), steps=1, state=made.state(), batch=lambda n: ())
    list(runs.keep(run, fit(lambda: {"cross_entropy": torch.zeros(())}, lambda n: (), 1)))
    found = trained.segmenter_from(run.folder, FABRIC)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(found(x), net.eval()(x))


def test_a_run_without_a_segmenter_is_told(home, small):
    folder = files.results_folder("few", "smoke") / baseline_of(small)
    with pytest.raises(FileNotFoundError, match=r"in that folder: D_s\.safetensors, D_t\.safetensors, G_st"):
        trained.segmenter_from(folder, FABRIC)
    with pytest.raises(ValueError, match="not a segmenter; take a judge"):
        trained.segmenter_from(folder / "D_s.safetensors", FABRIC)


def test_the_command_says_how_tiles_differ_and_skips_what_is_there(small, home, tmp_path):
    run = files.results_folder("few", "smoke") / baseline_of(small)
    frames, sizes = tmp_path / "frames", {"a": (96, 150), "b with blank": (64, 200)}
    frames.mkdir()
    for k, (name, (height, width)) in enumerate(sizes.items()):
        noise = np.random.default_rng(k).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        Image.fromarray(noise).resize((width, height)).save(frames / f"{name}.png")

    def translate(out, *more):
        done = CliRunner().invoke(
            app, ["translate", "--weights", str(run), str(frames), str(out), "--device", "cpu", *more]
        )
        assert done.exit_code == 0, done.output
        return re.findall(r"tiles and full frame differ by (\S+) gray levels", done.output)

    whole, tiled = tmp_path / "whole", tmp_path / "tiled"
    assert translate(whole) == []
    plain = translate(tiled, "--tile", "64", "--compare")
    guided = translate(tmp_path / "guided", "--tile", "64", "--norm-from-whole", "--compare")
    assert len(plain) == len(guided) == 2
    for k, name in enumerate(sorted(sizes)):
        a, b = (np.asarray(Image.open(out / f"{name}.png")).astype(int) for out in (whole, tiled))
        assert a.shape == b.shape == (*sizes[name], 3)
        assert abs(a - b).mean() == pytest.approx(float(plain[k]), abs=0.02)
    assert translate(tmp_path / "colors", "--guided") == []
    about = [files.read_json(out / "about.json")["translation"] for out in (whole, tmp_path / "colors")]
    assert about[1] == about[0] | {"guided": [4, 5, 1e-3]}
    before = {p: p.stat().st_mtime_ns for p in tiled.iterdir()}
    translate(tiled, "--tile", "64")
    assert {p: p.stat().st_mtime_ns for p in tiled.iterdir()} == before
