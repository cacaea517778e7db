"""The semantic microscope: one frame under one condition, and where its meaning flipped."""

from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import numpy as np

from semcg.widgets.parts import WIDE, panels, picture, watch

__all__ = ["microscope"]

Look = Callable[[int, str], Mapping[str, np.ndarray]]


def microscope(look: Look, *, frames: int, conditions: Sequence[str], scale: int = 2) -> ipywidgets.VBox:
    """Look at one frame under one condition: source, translation, what the judge reads in it, and where it flipped.

    Parameters
    ----------
    look : callable
        (frame, condition) -> panels by title, each as `semcg.plots.frames.pixels` takes it.
    frames : int
        Frames to choose from, at least 1.
    conditions : list of str
        Conditions to choose from.
    scale : int
        Screen pixels per pixel.

    Returns
    -------
    VBox
        A slider for the frame, a menu for the condition, and the panels. Both can be moved by keyboard.

    Raises
    ------
    ValueError
        If there is no frame or no condition.
    """
    if frames < 1 or not conditions:
        raise ValueError(f"{frames} frames and {len(conditions)} conditions: there is nothing to look at")
    frame = ipywidgets.IntSlider(0, 0, frames - 1, description="Frame", continuous_update=False, style=WIDE)
    condition = ipywidgets.Dropdown(options=list(conditions), description="Condition", style=WIDE)
    shown = ipywidgets.HTML()

    def redraw() -> None:
        where = f"frame {frame.value}, {condition.value}"
        shown.value = panels(
            picture(title, panel, alt=f"{title} of {where}", scale=scale)
            for title, panel in look(frame.value, condition.value).items()
        )

    watch(redraw, frame, condition)
    return ipywidgets.VBox([frame, condition, shown])
