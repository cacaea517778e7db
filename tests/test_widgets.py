"""The explorers show what they are asked to show, in pictures and in words; live training starts, stops and goes on."""

import asyncio
import re
import xml.etree.ElementTree as ET

import ipywidgets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from semcg import widgets
from semcg.labels import names
from semcg.segmenters import DRN26
from semcg.world import Scene, render


def controls(box: ipywidgets.Box) -> list[ipywidgets.Widget]:
    found = []
    for child in box.children:
        found += controls(child) if isinstance(child, ipywidgets.Box) else [child]
    return [w for w in found if not isinstance(w, ipywidgets.HTML)]


def pages(box: ipywidgets.Box) -> str:
    return "".join(child.value for child in box.children if isinstance(child, ipywidgets.HTML))


def assert_described(box: ipywidgets.Box) -> None:
    """Every control has a text description, every picture an alt text, and the HTML is well-formed.

    None is a menu, whose keys JupyterLab takes for its commands.
    """
    assert all(control.description for control in controls(box))
    assert not any(isinstance(control, ipywidgets.Dropdown | ipywidgets.Select) for control in controls(box))
    page = ET.fromstring(f"<div>{pages(box)}</div>")
    alts = [image.get("alt") for image in page.iter("img")]
    assert alts
    assert all(alts)


# ---------------------------------------------------------------- the microscope


def look(frame: int, condition: str) -> dict[str, np.ndarray]:
    shade = 10 * frame + (100 if condition == "oracle" else 0)
    return {"source": np.full((2, 3, 3), shade, np.uint8), "labels": np.full((2, 3), 255)}


def test_moving_the_slider_or_a_button_changes_the_picture():
    box = widgets.microscope(look, frames=3, conditions=["CycleGAN", "oracle"])
    frame, condition, panels = box.children
    seen = [panels.value]
    frame.value = 2
    seen.append(panels.value)
    condition.value = "oracle"
    seen.append(panels.value)
    assert len(set(seen)) == 3
    assert 'alt="source of frame 2, oracle"' in panels.value
    assert panels.value.count("<img") == 2
    assert_described(box)


def test_the_microscope_opens_where_it_is_told_and_explains_its_colors():
    road = {"read": np.zeros((2, 3), np.int64)}
    box = widgets.microscope(lambda i, condition: road, frames=1, conditions=["identity", "GAN"], first="GAN")
    assert box.children[1].value == "GAN"
    assert re.findall(r"</span> ([^<]*)</li>", pages(box)) == ["road", "no flip, or no label"]
    assert_described(box)


@pytest.mark.parametrize(("frames", "conditions"), [(0, ["a"]), (1, [])])
def test_nothing_to_look_at(frames, conditions):
    with pytest.raises(ValueError, match="nothing to look at"):
        widgets.microscope(look, frames=frames, conditions=conditions)


# ---------------------------------------------------------------- the world explorer


def test_a_street_is_the_worlds_street():
    scene, rgb, label = widgets.street_panels(3, "target", strength=1.0, size=(32, 64))
    expected = render(Scene.sample(3, "target"), "camera", (32, 64))
    assert scene == Scene.sample(3, "target")
    assert np.array_equal(rgb, expected[0])
    assert np.array_equal(label, expected[1])


def test_the_style_moves_no_label_and_the_camera_does():
    _, game, label = widgets.street_panels(5, "source", strength=0.0, size=(32, 64))
    _, camera, same = widgets.street_panels(5, "source", strength=1.0, size=(32, 64))
    assert np.array_equal(label, same)
    assert not np.array_equal(game, camera)
    _, _, higher = widgets.street_panels(5, "source", height=4.0, size=(32, 64))
    assert not np.array_equal(label, higher)
    with pytest.raises(ValueError, match=r"0.5 to 5 m"):
        widgets.street_panels(5, "source", height=9.0)


def test_every_knob_of_the_street_changes_the_page():
    box = widgets.street(size=(32, 64))
    seed, domain, strength, fell, openness, height, _ = box.children
    seen = [pages(box)]
    assert openness.disabled
    assert height.disabled
    openness.value = 0.9  # the dice rule: nothing happens
    assert pages(box) == seen[0]
    fell.value = False
    for control, value in ((seed, 9), (domain, "target"), (strength, 1.0), (openness, 0.1), (height, 3.5)):
        control.value = value
        seen.append(pages(box))
    assert len(set(seen)) == len(seen)
    assert "camera 3.50 m above the road" in seen[-1]
    assert "Street 9 of the target" in seen[-1]
    assert_described(box)
    fell.value = True
    assert openness.value == pytest.approx(Scene.sample(9, "target").openness)


def test_the_legend_counts_pixels():
    _, _, label = widgets.street_panels(1, "source", size=(32, 64))
    page = pages(widgets.street(size=(32, 64), seeds=2))  # begins at the last street there is
    shares = [float(s) for s in re.findall(r"([\d.]+) %</li>", page)]
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(shares))
    *classes, _ = shares  # what is ignored comes last
    assert classes == sorted(classes, reverse=True)
    assert len(shares) == len(np.unique(label))


# ---------------------------------------------------------------- the field of view


def positive(network: nn.Module) -> nn.Module:
    for module in network.eval().modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    return network


def undilated(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.dilation = module.padding = (1, 1)
    return network


def test_the_outline_is_the_receptive_field():
    """Two 3 x 3 convolutions, the first with stride 2: 7 pixels each way about pixel (2 row, 2 column)."""
    network = positive(nn.Sequential(nn.Conv2d(3, 1, 3, 2, 1), nn.Conv2d(1, 2, 3, 1, 1)))
    panel, words = widgets.field_panels(network, torch.zeros(3, 40, 60), 8, 10)
    assert "rows 13 to 19 and columns 17 to 23, 7 x 7 pixels;" in words
    orange = (panel == (213, 94, 0)).all(-1)
    assert orange[13, 17:24].all()
    assert orange[13:20, 23].all()
    assert orange[16, 20]
    assert not orange[12, 17:20].any()  # beside the cross, which is larger than the field


def test_the_field_of_drn_is_wider_with_dilation():
    image = torch.zeros(3, 64, 640)
    wide, narrow = (
        widgets.field_panels(net, image, 4, 40)[1]
        for net in (positive(DRN26(width=1 / 64)), undilated(positive(DRN26(width=1 / 64))))
    )
    columns = [int(re.search(r"x (\d+) pixels", words)[1]) for words in (wide, narrow)]
    assert columns[0] == 581
    assert columns[1] < columns[0] / 1.5
    assert "beyond the frame" in wide


def test_a_score_without_gradient_says_so():
    dead = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU())
    nn.init.constant_(dead[0].weight, 0.0)
    nn.init.constant_(dead[0].bias, -1.0)
    _, words = widgets.field_panels(dead, torch.zeros(3, 8, 8), 1, 1)
    assert "depends on no pixel" in words


def test_the_still_sheet_of_the_field_names_pixels_and_no_class():
    """Of a network whose weights are all equal, the largest score is that of the class with the smallest number."""
    net = positive(DRN26(width=1 / 64, stride=4))
    _, words = widgets.field_panels(net, torch.ones(3, 64, 128), 4, 8)
    assert not any(name in words for name in names())


def test_rows_and_columns_move_the_field():
    box = widgets.field_of_view({"plain": positive(nn.Conv2d(3, 2, 3, padding=1))}, torch.zeros(3, 8, 16))
    row, column, _ = box.children
    seen = {pages(box)}
    row.value = 1
    seen.add(pages(box))
    column.value = 15
    seen.add(pages(box))
    assert len(seen) == 3
    assert_described(box)
    with pytest.raises(IndexError, match="8 x 16"):
        widgets.field_panels(nn.Conv2d(3, 2, 3, padding=1), torch.zeros(3, 8, 16), 8, 0)


def test_networks_of_different_grids_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        widgets.field_of_view(
            {"a": nn.Conv2d(3, 2, 1), "b": nn.Conv2d(3, 2, 1, stride=2)}, torch.zeros(3, 8, 8)
        )


# ---------------------------------------------------------------- lambda_s

WEIGHTS = {0.0: "CycleGAN", 0.3: "lambda_s 0.3", 1.0: "semantic"}


def results() -> pd.DataFrame:
    rows = []
    for weight, condition in WEIGHTS.items():
        for seed in (3, 4):
            rows.append((condition, seed, "judge mIoU", "all", 0.2 + weight / 10 + seed / 100, "run"))
            rows.append((condition, seed, "sky kept", "all", 0.5, "run"))
            rows.append((condition, seed, "judge IoU", "sky", 0.9, "run"))
    return pd.DataFrame(rows, columns=["condition", "seed", "measure", "class", "value", "run"])


def test_picture_flips_and_losses_move_together(tmp_path):
    Image.new("RGB", (8, 4), "red").save(tmp_path / "lambda_s_0.3.png")
    Image.new("RGB", (8, 4), "blue").save(tmp_path / "lambda_s_7.png")
    pictures = widgets.weight_pictures(tmp_path, list(WEIGHTS))
    assert list(pictures) == [0.3]
    box = widgets.weight(results(), WEIGHTS, pictures=pictures)
    knob, chosen, _ = box.children
    assert knob.value == 1.0
    assert (chosen.label, chosen.index) == ("mean, n = 2", 0), "a button is down"
    assert "judge mIoU 0.335" in pages(box)  # 0.2 + 0.1 + mean of 0.03 and 0.04
    assert "There is no picture of this weight." in pages(box)
    knob.value = 0.3
    assert "judge mIoU 0.265, sky kept 0.500 (mean, n = 2)" in pages(box)
    assert 'alt="One frame at lambda_s = 0.3: ' in pages(box)
    chosen.value = 4
    assert "judge mIoU 0.270, sky kept 0.500 (seed 4)" in pages(box)
    assert_described(box)


def test_the_losses_of_the_trainings_move_too():
    rows = [
        (condition, seed, step, term, weight + seed + step)
        for weight, condition in WEIGHTS.items()
        for seed in (3, 4)
        for step in (50, 100)
        for term in ("cycle", "D_s", *(["semantic"] if weight else []))
    ]
    losses = pd.DataFrame(rows, columns=["condition", "seed", "step", "term", "value"])
    box = widgets.weight(results(), WEIGHTS, losses=losses)
    knob, chosen, _ = box.children
    assert "At the end of the training: cycle 104.500, semantic 104.500." in pages(box)
    knob.value, chosen.value = 0.0, 4
    assert "At the end of the training: cycle 104.000." in pages(box)
    assert_described(box)


def test_the_still_picture_of_the_losses_has_a_line_per_weight():
    rows = [
        (condition, seed, step, term, weight + seed + step)
        for weight, condition in WEIGHTS.items()
        for seed in (3, 4)
        for step in (50, 100)
        for term in ("cycle", *(["semantic"] if weight else []))
    ]
    losses = pd.DataFrame(rows, columns=["condition", "seed", "step", "term", "value"])
    figure = widgets.weight_losses(losses, WEIGHTS)
    cycle, semantic = (
        {line.get_label(): line.get_ydata() for line in ax.get_lines() if line.get_alpha() is None}
        for ax in figure.axes
    )
    assert list(cycle) == [r"$\lambda_s$ = 0", r"$\lambda_s$ = 0.3", r"$\lambda_s$ = 1"]
    assert cycle[r"$\lambda_s$ = 0.3"] == pytest.approx([53.8, 103.8])
    assert list(semantic) == [r"$\lambda_s$ = 0.3", r"$\lambda_s$ = 1"]
    with pytest.raises(ValueError, match="none of the trainings"):
        widgets.weight_losses(losses.query("condition == 'x'"), WEIGHTS)


def test_results_that_lack_something():
    part = results().query("not (condition == 'lambda_s 0.3' and seed == 4)")
    knob, chosen, _ = widgets.weight(part, WEIGHTS).children
    assert [label for label, _ in chosen.options] == ["mean, n = 1", "seed 3"], "all weights have it"
    box = widgets.weight(
        results().query("not (condition == 'lambda_s 0.3' and measure == 'sky kept')"), WEIGHTS
    )
    box.children[0].value, box.children[1].value = 0.3, 4
    assert "judge mIoU 0.270, sky kept not measured (seed 4)" in pages(box)
    with pytest.raises(ValueError, match="no results of CycleGAN"):
        widgets.weight(results().query("measure == 'judge IoU'"), WEIGHTS)
    with pytest.raises(ValueError, match="there are results for 0, 0.3, 1"):
        widgets.weight_figure(results(), WEIGHTS, at=2.0)
    assert widgets.weight_pictures("nowhere", list(WEIGHTS)) == {}


def test_the_still_picture_marks_the_weight():
    figure = widgets.weight_figure(results(), WEIGHTS, at=0.3)
    first, second = figure.axes[:2]
    assert first.get_title() == "judge mIoU"
    assert second.get_title() == "sky kept"
    bold = next(line for line in first.get_lines() if line.get_linewidth() == 2.2)
    assert bold.get_ydata() == pytest.approx([0.235, 0.265, 0.335])
    assert [t.get_text() for t in first.get_xticklabels()] == ["0", "0.3", "1"]


# ---------------------------------------------------------------- live training


def live(steps: int = 6, **options) -> widgets.Live:
    records = ({"step": n + 1, "gan": 1.0 / (n + 1)} for n in range(steps))
    looks = {"translation": np.zeros((4, 4, 3), np.uint8)}
    return widgets.Live(records, steps=steps, names=["gan"], look=lambda: looks, seconds=0.0, **options)


def test_live_training_stops_and_goes_on():
    watched = live()
    go, halt, bar = controls(watched)
    assert (go.description, go.disabled, halt.disabled, bar.value) == ("Start", False, True, 0)
    assert watched.history == []  # nothing trains before the click

    async def click() -> None:
        go.click()
        while len(watched.history) < 2:
            await asyncio.sleep(0)
        assert go.disabled
        go.click()  # a second click does not train twice
        halt.click()
        await watched.task
        stopped = len(watched.history)
        assert stopped < 6
        assert (go.description, go.disabled, halt.disabled) == ("Continue", False, True)
        assert f"Stopped after {stopped} of 6 steps." in pages(watched)
        go.click()
        await watched.task

    asyncio.run(click())
    assert [r["step"] for r in watched.history] == [1, 2, 3, 4, 5, 6]
    assert "Done after 6 of 6 steps." in pages(watched)
    assert go.disabled
    assert bar.value == 6
    assert_described(watched)


def test_the_kernel_can_do_other_things_between_two_steps():
    watched, seen = live(), []

    async def other() -> None:
        watched.start()
        while not watched.task.done():
            seen.append(len(watched.history))
            await asyncio.sleep(0)

    asyncio.run(other())
    assert len(set(seen)) >= 5


def test_a_step_that_fails_is_said():
    def records():
        yield {"step": 1, "gan": 1.0}
        raise FloatingPointError("step 2: the loss term gan is not finite")

    watched = widgets.Live(
        records(), steps=3, names=["gan"], look=lambda: {"x": np.zeros((4, 4, 3), np.uint8)}, seconds=9.0
    )

    async def run() -> None:
        watched.start()
        await watched.task

    asyncio.run(run())
    assert "FloatingPointError: step 2: the loss term gan is not finite" in pages(watched)
    assert controls(watched)[0].disabled


def test_without_a_kernel_nothing_starts():
    with pytest.raises(RuntimeError, match="event loop"):
        live().start()
