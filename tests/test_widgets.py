"""The explorers show what they are asked to show."""

import numpy as np
import pytest

from semcg import widgets


def look(frame: int, condition: str) -> dict[str, np.ndarray]:
    shade = 10 * frame + (100 if condition == "oracle" else 0)
    return {"source": np.full((2, 3, 3), shade, np.uint8), "labels": np.full((2, 3), 255)}


def test_moving_the_slider_or_the_menu_changes_the_picture():
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


def test_every_control_has_a_description():
    for control in widgets.microscope(look, frames=3, conditions=["a"]).children[:2]:
        assert control.description


@pytest.mark.parametrize(("frames", "conditions"), [(0, ["a"]), (1, [])])
def test_nothing_to_look_at(frames, conditions):
    with pytest.raises(ValueError, match="nothing to look at"):
        widgets.microscope(look, frames=frames, conditions=conditions)
