"""The benchmarks' arithmetic, their short forms at the smallest size, and what lies written: never a time."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from semcg import config, devices, files, metrics, training
from semcg.cost import operations
from semcg.data import Scenes
from semcg.plots.scores import shares
from semcg.runs import budget
from semcg_kit import commands

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
    """In a fresh process, as the benchmarks measure it: an older one may have room left for the work."""
    code = "import numpy, common; held = []; print(common.growth(lambda: held.append(numpy.ones(8 * 2**20))))"
    code += "; print(common.growth(lambda: None))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    grown, later = map(int, done.stdout.split())
    assert 60 * 2**20 < grown < 80 * 2**20, "64 MiB were filled"
    assert later < 2**20, "an earlier peak does not count"


def test_what_was_not_measured_again_stays_with_its_machine(tmp_path, monkeypatch):
    import common

    monkeypatch.setattr(common, "HERE", tmp_path)
    files.write_json(
        tmp_path / "step.json", {"machine": "old", "time": 1, "memory": 2}
    )  # of an earlier version
    common.keep("step", {"machine": "new", "time": 3})
    common.keep("step", {"machine": "third", "profile": 4})
    found = files.read_json(tmp_path / "step.json")
    assert found.pop("machines") == {"time": "new", "memory": "old", "profile": "third"}
    assert found == {"machine": "third", "time": 3, "memory": 2, "profile": 4}


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


@pytest.mark.parametrize("name", [*NAMES, "segmenters"])
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


def test_the_cuts_of_the_segmenter_are_those_of_the_profile():
    import segmenters

    rows = files.read_json(FOLDER / "segmenters.json")["settings"]
    assert {name: row["differs"] for name, row in rows.items()} == segmenters.SETTINGS
    mini = config.make("mini")
    cuts = {name: {**segmenters.BEFORE, **differs} for name, differs in segmenters.SETTINGS.items()}
    (now,) = (n for n, cut in cuts.items() if all(getattr(mini, key) == cut[key] for key in cut))
    assert rows[now]["time of the training"]["median"] < 1
    assert rows[now]["mIoU"] >= 0.45


@pytest.fixture
def found():
    names = ("step", "growth", "data", "inference", "threads")
    return {name: files.read_json(FOLDER / f"{name}.json") for name in names}


def test_the_page_shows_what_the_files_say(found):
    import pages

    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    made = pages.table(*found.values())
    assert f"{pages.BEGIN}\n{made}\n{pages.END}" in text, "python benchmarks/pages.py"
    counted = found["step"]["counted"]["768"]
    for name in ("literal", "leaf split"):
        assert f"{counted[f'{name}, semantic, fp32']['operations'] / 1e9:,.0f}" in text
    for name in ("step.svg", "growth.svg"):
        assert f"]({name})" in text
        assert (FOLDER / name).stat().st_size < 100_000


def test_the_table_of_targets_by_hand(found):
    import pages

    ratio = {"median": 1.25, "least": 1.0, "largest": 2.0}
    assert pages.row("faster", 1.5, ratio, "why") == ("faster", "**no**", "1.25 (1.00 to 2.00)", "why")
    assert pages.row("faster", 1.25, ratio, "")[1] == "yes"
    assert pages.row("smaller", 0.35, 0.36, "", most=True)[1:3] == ("**no**", "0.36")
    assert pages.row("smaller", 0.35, 0.35, "", most=True)[1] == "yes"
    assert pages.row("unknown", 1.5, None, "run it")[1] == pages.NOT_YET
    found["step"]["time"]["narrow"]["fp32"]["leaf split over nothing detached"] = ratio
    found["data"]["counting"] = {"faster than the numpy mask": ratio}
    found["step"]["allocator"] = {
        "one arena": {"faster by the clock": {"median": 3, "least": 3, "largest": 3}, "variables": {"A": "1"}}
    }
    found["threads"]["smoke course"]["seconds"] = [100.0, 401.0]
    made = pages.table(*found.values())
    assert "at most 4 times as long | **no** | 4.01 |" in made
    assert "| narrow step, one arena, by the clock | no target | 3.00 (3.00 to 3.00) | `A=1` |" in made
    assert made.count("1.25 (1.00 to 2.00)") == 2
    assert "**no** | 1.25 (1.00 to 2.00)" in made


def test_pages_writes_the_table_and_both_pictures(tmp_path, found):
    import pages

    (tmp_path / "README.md").write_text(f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n")
    pages.main(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    first = {p.name: p.read_bytes() for p in tmp_path.glob("*.svg")}
    assert set(first) == {"step.svg", "growth.svg"}
    pages.main(tmp_path)
    assert first == {p.name: p.read_bytes() for p in tmp_path.glob("*.svg")}, (
        "equal files give equal pictures"
    )


def test_the_ways_do_the_work_that_they_say():
    """A segmenter with gradients wherever one can flow costs 12 of its forward passes, 8 with the real scores given, 6 frozen."""
    import ways

    cfg, fabric = config.make("smoke"), devices.fabric_for("cpu")
    counted = {}
    for name in ways.WAYS:
        step, batch = ways.way(name, cfg, fabric)
        counted[name] = operations(step, batch)
    x = batch[0]
    with torch.no_grad():
        forward = operations(training.network_for(cfg, "segmenter").eval(), (x,))
    more = counted["nothing detached"] - counted["literal"]
    assert 3.8 * forward < more <= 4 * forward  # the first layer owes no gradient to a real image
    assert counted["literal"] > counted["one graph"] + 1.9 * forward
    assert counted["one graph"] == counted["leaf split"]
    with pytest.raises(ValueError, match="softmax_l2"):
        ways.way("nothing detached", cfg.model_copy(update={"semantic_loss": "softmax_l2"}), fabric)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_step_gives_what_the_step_gives(monkeypatch, backend):
    """Three steps from equal weights; these backends trace as the others do, and need no compiler."""
    import ways

    monkeypatch.setitem(ways.COMPILED, "compiled", {"backend": backend})
    cfg, fabric, seen = config.make("smoke"), devices.fabric_for("cpu"), {}
    new = budget.network_for

    def seeded(of, kind):
        torch.manual_seed(0)
        return new(of, kind)

    for module in (budget, training):
        monkeypatch.setattr(module, "network_for", seeded)
    for name in ("leaf split", "compiled"):
        step, batch = ways.way(name, cfg, fabric)
        seen[name] = [{k: float(v) for k, v in step(*batch).items()} for _ in range(3)]
    for plain, compiled in zip(*seen.values(), strict=True):
        assert compiled == pytest.approx(plain, rel=1e-3)
    assert seen["compiled"][0]["gan"] != seen["compiled"][2]["gan"], "the weights move"


def test_float32_is_exact_unless_tf32_is_asked_for():
    import ways

    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        assert ways.exactly("tf32") == "fp32"
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (True, True)
        assert ways.exactly("fp32") == "fp32"
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (False, False)
        assert ways.exactly("bf16") == "bf16"
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def test_the_allocator_is_measured_in_processes_with_only_their_own_variables(monkeypatch):
    import beside

    seen = []

    def run(command, env, **_):
        seen.append({k: v for k, v in env.items() if k.startswith(("MALLOC", "GLIBC", "OMP"))})
        slow = 1 if "MALLOC_ARENA_MAX" in env else 2
        return SimpleNamespace(stdout=json.dumps({"clock": slow, "own": slow, "resident": 7}))

    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr(beside.subprocess, "run", run)
    found = beside.allocator(rounds=2)
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]
    assert seen[0] == {"OMP_NUM_THREADS": "1"}
    assert seen[1] == {"OMP_NUM_THREADS": "2"}
    assert seen[2] == {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    assert found["one arena"]["faster by the clock"]["median"] == 2
    assert found["huge pages"]["faster by the clock"]["median"] == 1


def test_a_step_with_reading_takes_its_frames_from_files():
    import beside

    found = beside.loader(config.make("smoke"), devices.fabric_for("cpu"), steps=1, rounds=2)
    assert found["workers"] == 0
    assert found["seconds"]["least"] > 0
    assert found["waits"]["largest"] < 1


def test_plain_counting_is_what_the_package_counts():
    import data

    label = np.array([[0, 0, 1, 255], [18, 18, 1, 1]])
    pred = np.array([[0, 3, 1, 4], [18, 0, 1, 1]])
    plain = data.masked(pred, label)
    assert (plain[0, 0], plain[0, 3], plain[1, 1], plain[18, 18], plain[18, 0], plain.sum()) == (
        1,
        1,
        3,
        1,
        1,
        7,
    )
    assert np.array_equal(metrics.confusion(pred, label)[:, :19], plain)


def test_ways_to_load_are_compared_pixel_by_pixel(tmp_path, monkeypatch):
    import data

    monkeypatch.setattr(data, "RAW", (263, 478))
    monkeypatch.setattr(data, "STORED", (128, 128))
    monkeypatch.setattr(data, "CROP", 96)
    data.archive(tmp_path / "gta5", tmp_path / "raw", 6)
    save = data.Image.Image.save
    ratio = data.preparing(tmp_path / "gta5", 1)["faster than at Pillow's level"]
    assert ratio["least"] > 0
    assert data.Image.Image.save is save, "what was exchanged for the measurement is put back"
    data.prepare.write([data.prepare.gta5(tmp_path / "gta5").sized(data.STORED)], tmp_path / "data")
    stored = data.one_folder(tmp_path / "data" / "source", tmp_path / "stored")
    scenes = {
        "this loader, frames as published": Scenes(tmp_path / "raw", size=data.STORED, crop=data.CROP),
        "this loader, prepared": Scenes(stored, crop=data.CROP),
    }
    data.same_pixels(tmp_path / "raw", "00001.png", scenes)
    for way in scenes:
        wrong = scenes | {way: SimpleNamespace(frame=lambda i, right=scenes[way]: right.frame(i + 1))}
        with pytest.raises(AssertionError):
            data.same_pixels(tmp_path / "raw", "00001.png", wrong)


def test_the_loaders_on_paper_follow_from_the_measured_reading(tmp_path, monkeypatch):
    import growth

    monkeypatch.setattr(growth, "HERE", tmp_path)
    assert growth.fed_by() == {}
    files.write_json(tmp_path / "data.json", {"load": {"this loader, prepared": {"ms a pair": 31.0}}})
    assert list(growth.fed_by().values()) == [2, 4]  # 62 ms a step, over 60 and over 20


def test_what_a_started_process_holds():
    from reading import held

    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()  # it runs
        assert held() > 2**20
        child.communicate(b"\n")


@pytest.mark.parametrize("name", NAMES)
def test_each_says_how_it_is_used(monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "--full" in said
    assert "--write" in said


def test_the_make_target_runs_all_of_them():
    done = subprocess.run(["make", "-n", "bench"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in NAMES)


def test_figures_of_growth():
    from pages import against_model

    drawn = against_model({"s": [(1.0, 1.1, True), (4.0, 3.0, False)]})
    assert [text.get_text() for text in drawn.axes[0].get_legend().get_texts()] == ["fitted", "not fitted"]
    (ax,) = shares({"a": {"x": 0.25, "y": 0.75}, "b": {"x": 0.5, "y": 0.5}}, xlabel="% of it").axes
    assert [bar.get_width() for bar in ax.patches] == [25, 50, 75, 50]
    assert [bar.get_x() for bar in ax.patches] == [0, 0, 25, 50]


def test_the_help_names_every_profile_and_starts_without_pandas():
    """The list is a copy, so that the command line need not wait for what reads configs."""
    assert ", ".join(config.PROFILES) in commands.Profile.__metadata__[0].help
    code = "import sys, semcg_kit.__main__; print('pandas' in sys.modules, 'semcg.config' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
