"""What a learner can turn and click. Each explorer has a still picture beside it in its notebook."""

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import numpy as np
from PIL import Image

from semcg.plots.frames import pixels

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
    wide = {"description_width": "initial"}
    frame = ipywidgets.IntSlider(0, 0, frames - 1, description="Frame", continuous_update=False, style=wide)
    condition = ipywidgets.Dropdown(options=list(conditions), description="Condition", style=wide)
    panels = ipywidgets.HTML()

    def redraw(change: object = None) -> None:
        shown = look(frame.value, condition.value)
        figures = "".join(
            _figure(title, panel, f"{title} of frame {frame.value}, {condition.value}", scale)
            for title, panel in shown.items()
        )
        panels.value = f'<div style="display:flex;flex-wrap:wrap;gap:8px">{figures}</div>'

    frame.observe(redraw, names="value")
    condition.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([frame, condition, panels])


def _figure(title: str, panel: np.ndarray, alt: str, scale: int) -> str:
    picture, png = Image.fromarray(pixels(panel)), io.BytesIO()
    picture.save(png, format="PNG")
    code = base64.b64encode(png.getvalue()).decode()
    return (
        f'<figure style="margin:0"><figcaption>{html.escape(title)}</figcaption>'
        f'<img alt="{html.escape(alt)}" width="{picture.width * scale}" style="image-rendering:pixelated" '
        f'src="data:image/png;base64,{code}"></figure>'
    )
