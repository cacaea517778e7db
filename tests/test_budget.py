"""The budget: steps by hand, too little memory, the measured time, the commands."""

import ast
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from semcg import config as configs
from semcg import notebook
from semcg.devices import fabric_for
from semcg.runs import budget
from semcg_kit import doctor
from semcg_kit.__main__ import app

CPU = fabric_for("cpu", "fp32")
ROOT = Path(__file__).parent.parent
NARROW = {
    "generator_width": 4,
    "discriminator_width": 4,
    "segmenter_width": 0.125,
    "size": (256, 256),
    "crop": 256,
    "steps": 9,
}


def test_steps_of_the_paper_by_hand():
    rows = {r.name: r for r in budget.stages(configs.make("paper"), epoch=24_966)}
    assert rows["CycleGAN"].steps == 20 * 24_966
    assert rows["semantic"].steps == 20 * 24_966
    assert (rows["Sem_s, Sem_t"].trainings, rows["Sem_s, Sem_t"].steps) == (2, 100_000)
    two = {r.name: r for r in budget.stages(configs.make("paper", batch=2), epoch=24_965)}
    assert two["CycleGAN"].steps == 20 * 12_483  # the last batch of a pass is full of the next


def test_a_notebook_has_its_own_rows():
    config = configs.make("smoke")
    assert [r.name for r in budget.stages(config, epoch=4, notebook="03_cyclegan")] == ["CycleGAN"]
    assert [r.name for r in budget.stages(config, epoch=4, notebook="04_semantic_cyclegan")] == ["semantic"]
    assert budget.stages(config, epoch=4, notebook="00_start_here") == []


def test_frames_are_counted_in_the_folders(home):
    for domain, n in (("source", 3), ("target", 5)):
        folder = home / "data" / "mine" / domain / "train" / "images"
        folder.mkdir(parents=True)
        for k in range(n):
            Image.new("RGB", (128, 64)).save(folder / f"{k}.png")
    assert budget.frames(configs.make("smoke", data="mine")) == (3, 5)
    with pytest.raises(
        ValueError, match=r"0\.png is 64x128, smaller than the crop of 768x768.*prepare larger"
    ):
        budget.frames(configs.make("paper", data="mine"))


def test_memory_that_cannot_suffice_stops_before_any_step(monkeypatch):
    monkeypatch.setattr(budget, "timed", lambda *_: pytest.fail("a step was taken"))
    monkeypatch.setattr(budget, "free_bytes", lambda device: 2**20)
    config = configs.make("smoke", leaf_split=False)
    with pytest.raises(ValueError, match="not enough memory") as seen:
        budget.estimate(config, CPU, notebook="04_semantic_cyclegan")
    assert "GiB are free on cpu" in str(seen.value)
    assert "crop < 64, generator_width < 8, discriminator_width < 8, leaf_split = true" in str(seen.value)


def test_three_true_steps_of_each_stage_are_timed(home, monkeypatch):
    config, taken = configs.make("smoke"), []
    clock = iter(range(10**6))
    monkeypatch.setattr(budget.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(budget, "step_on_noise", lambda kind, *_: (lambda: taken.append(kind), ()))
    monkeypatch.setattr(budget, "needed_bytes", lambda stage, **_: 2**30)
    rows = budget.estimate(config, CPU)
    assert taken == [row.kind for row in rows for _ in range(3)]
    assert [row.seconds for row in rows] == [1.0] * len(rows)
    row = next(x for x in budget.as_text(rows, config, CPU).splitlines() if x.split()[:1] == ["CycleGAN"])
    assert row.split()[1:] == ["4", "1.0", "1", "0:00:04"]
    monkeypatch.setattr(budget, "_PATIENCE", 0.5)
    taken.clear()
    budget.estimate(config, CPU)
    assert taken == [row.kind for row in rows], "of a slow step one is enough"


def test_the_gain_of_bf16_is_a_ratio_and_leaves_the_random_numbers():
    before = torch.get_rng_state()
    assert 0.01 < doctor.bf16_gain() < 100
    assert torch.equal(before, torch.get_rng_state())


def test_a_busy_machine_is_named(home, monkeypatch):
    monkeypatch.setattr(budget.os, "getloadavg", lambda: (99.0, 0.0, 0.0))
    rows = [replace(row, seconds=1.0) for row in budget.stages(configs.make("smoke"), epoch=4)]
    assert "Other programs were computing meanwhile (load 99.0 on" in budget.as_text(
        rows, configs.make("smoke"), CPU
    )


def test_the_commands_print_it_and_train_nothing(home):
    done = CliRunner().invoke(app, ["run", "03_cyclegan", "--profile", "smoke", "-p", "steps=7", "--dry-run"])
    assert done.exit_code == 0, done.output
    row = next(line for line in done.output.splitlines() if line.split()[:1] == ["CycleGAN"])
    assert row.split()[1] == "7"
    assert not (home / "results").exists()
    assert not (home / "data").exists()


def test_it_says_that_weights_will_be_fetched_and_where_to_put_them(home):
    config = configs.make("smoke", segmenter_start="imagenet")
    rows = budget.stages(config, epoch=4)
    for_02 = [replace(r, memory=1, seconds=1.0) for r in rows]
    wanted = home / "data" / "published" / "drn_c_26-ddedf421.pth"
    for domain in ("source", "target"):
        folder = home / "data" / "world-smoke" / domain / "train" / "images"
        folder.mkdir(parents=True)
        Image.new("RGB", (128, 64)).save(folder / "0.png")
    said = budget.as_text(for_02, config, CPU)
    assert "start from https://" in said
    assert str(wanted) in said
    others = [r for r in for_02 if r.kind != "segmenter"]
    assert "https://" not in budget.as_text(others, config, CPU)
    wanted.parent.mkdir(parents=True)
    wanted.touch()
    assert "https://" not in budget.as_text(for_02, config, CPU)


def test_of_several_processes_one_prints_its_share(home):
    command = ["run", "03_cyclegan", "--profile", "smoke", "-p", "batch=2", "-p", "steps=6", "--dry-run"]
    first, second = (
        CliRunner().invoke(app, command, env={"WORLD_SIZE": "2", "RANK": str(rank)}) for rank in (0, 1)
    )
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "For one of 2 processes that share each batch" in first.output
    assert second.output == ""


def test_processes_measure_their_share_of_a_batch(home, monkeypatch):
    seen = []
    monkeypatch.setattr(budget, "timed", lambda stage, *_: seen.append(stage) or 1.0)
    config = configs.make("smoke", segmenter_batch=4, judge_batch=4)
    rows = budget.estimate(config, CPU, notebook="02_segmenters", ranks=2)
    alone = budget.estimate(config, CPU, notebook="02_segmenters")
    batches = {s.kind: (s.config.segmenter_batch, s.config.judge_batch) for s in seen[:2]}
    assert batches == {"segmenter": (2, 4), "judge": (4, 2)}
    assert [r.steps for r in rows] == [r.steps for r in alone]
    assert "2 processes that share each batch" in budget.as_text(rows, config, CPU, ranks=2)
    with pytest.raises(ValueError, match="segmenter_batch = 4: 3 processes share it"):
        budget.estimate(config, CPU, notebook="02_segmenters", ranks=3)


def test_a_notebook_prints_it_under_profile_paper_alone(monkeypatch, capsys):
    paper = configs.make("paper", **NARROW)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    notebook.budget(paper, CPU, "03_cyclegan")
    said = capsys.readouterr().out
    assert said.startswith(
        "Budget of profile paper: 600 source and 600 target frames, crop 256, fp32, on CPU"
    )
    row = next(line for line in said.splitlines() if line.split()[:1] == ["CycleGAN"])
    assert row.split()[1] == "9"
    assert torch.equal(torch.get_rng_state(), before)  # what is trained next draws what it would have drawn

    monkeypatch.setattr(budget, "estimate", lambda *_, **__: pytest.fail("something was measured"))
    notebook.budget(configs.make("mini"), CPU, "03_cyclegan")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["02_segmenters", "03_cyclegan", "04_semantic_cyclegan"])
def test_the_first_computing_cell_asks_for_it(name):
    cells = [c for c in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4).cells if c.cell_type == "code"]
    calls = [n for n in ast.walk(ast.parse(cells[1].source)) if isinstance(n, ast.Call)]
    asked = [c for c in calls if ast.unparse(c.func) == "notebook.budget"]
    assert [ast.literal_eval(c.args[2]) for c in asked] == [name]


def test_memory_that_cannot_suffice_stops_the_notebook_in_its_first_cell(monkeypatch):
    monkeypatch.setattr(budget, "free_bytes", lambda device: 2**20)
    with pytest.raises(ValueError, match="not enough memory"):
        notebook.budget(configs.make("paper", **NARROW), CPU, "03_cyclegan")
