"""DRN-26's field of view: choose one score, and see which pixels it depends on."""

from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import numpy as np
import torch
from torch import Tensor, nn

from semcg.plots.frames import pixels
from semcg.widgets.parts import WIDE, panels, picture, watch

__all__ = ["field_of_view", "field_panels", "microscope"]

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


_ORANGE = np.array([213, 94, 0], np.uint8)


def field_panels(network: nn.Module, image: Tensor, row: int, column: int) -> tuple[np.ndarray, str]:
    """Shade an image by how much one score depends on each pixel, and say so in words.

    Parameters
    ----------
    network : Module
        From images (1, 3, H, W) to scores (1, C, h, w). It is left as it is.
    image : (3, H, W) float in [-1, 1]
    row, column : int
        Which of the h x w places.

    Returns
    -------
    (H, W, 3) uint8
        Bright where the gradient of the largest score of that place is strong (log scale over four decades), pale
        where there is none. Outlined: every pixel with a gradient. A cross: the pixel on which the score is centred.
    str
        The outline in pixels, and the side of the square that holds half of the gradient.

    Raises
    ------
    IndexError
        If there is no such place.
    """
    x = image[None].detach().clone().requires_grad_()
    scores = network(x)
    h, w = scores.shape[2:]
    if not (0 <= row < h and 0 <= column < w):
        raise IndexError(f"row {row}, column {column}: the scores are {h} x {w}")
    best = int(scores[0, :, row, column].argmax())
    (gradient,) = torch.autograd.grad(scores[0, best, row, column], x)
    field = gradient[0].abs().sum(0).numpy()  # (H, W)
    height, width = field.shape
    middle = (min(row * -(-height // h), height - 1), min(column * -(-width // w), width - 1))
    if field.max() == 0:
        return pixels(image), "this score depends on no pixel: every way to it is cut off by a ReLU"
    share = np.clip(1 + np.log10(np.maximum(field / field.max(), 1e-4)) / 4, 0, 1)[..., None]
    shaded = (pixels(image) * (0.2 + 0.8 * share) + 255 * 0.8 * (1 - share)).clip(0, 255).astype(np.uint8)
    rows, columns = np.flatnonzero(field.sum(1)), np.flatnonzero(field.sum(0))
    _outline(shaded, rows[0], rows[-1], columns[0], columns[-1])
    _cross(shaded, *middle)
    cut = " (it goes on beyond the frame)" if len(rows) == height or len(columns) == width else ""
    half = _half(field, middle)
    return shaded, (
        f"rows {rows[0]} to {rows[-1]} and columns {columns[0]} to {columns[-1]}, "
        f"{len(rows)} x {len(columns)} pixels{cut}; half of the gradient in the middle {half} x {half}"
    )


def field_of_view(
    networks: Mapping[str, nn.Module], image: Tensor, *, scale: int = 2, start: tuple[int, int] | None = None
) -> ipywidgets.VBox:
    """Choose a row and a column of the scores and see, for each network, what that score depends on.

    Parameters
    ----------
    networks : title -> Module
        With scores of one shape: DRN-26 with dilation and without, say.
    image : (3, H, W) float in [-1, 1]
    scale : int
        Screen pixels per pixel.
    start : (row, column), optional
        The middle, if not given.

    Raises
    ------
    ValueError
        If the networks' scores differ in shape, or there is no network.
    """
    with torch.no_grad():
        shapes = {title: tuple(net(image[None]).shape[2:]) for title, net in networks.items()}
    if len(set(shapes.values())) != 1:
        raise ValueError(f"networks whose scores have one shape are needed, not {shapes}")
    h, w = next(iter(shapes.values()))
    first = start or (h // 2, w // 2)
    slow = {"continuous_update": False, "style": WIDE, "layout": {"width": "30rem"}}
    row = ipywidgets.IntSlider(first[0], 0, h - 1, description=f"Row of the score, of {h}", **slow)
    column = ipywidgets.IntSlider(first[1], 0, w - 1, description=f"Column of the score, of {w}", **slow)
    shown = ipywidgets.HTML()

    def redraw() -> None:
        figures, lines = [], []
        for title, net in networks.items():
            panel, words = field_panels(net, image, row.value, column.value)
            figures.append(picture(title, panel, alt=f"{title}, {words}.", scale=scale))
            lines.append(f"{title}: {words}.")
        shown.value = panels(figures, " ".join(lines))

    watch(redraw, row, column)
    return ipywidgets.VBox([row, column, shown])


def _half(field: np.ndarray, middle: tuple[int, int]) -> int:
    """Return the side of the smallest square about `middle` that holds half of the gradient."""
    i, j = middle
    return next(
        2 * r + 1
        for r in range(max(field.shape) + 1)
        if field[max(0, i - r) : i + r + 1, max(0, j - r) : j + r + 1].sum() >= field.sum() / 2
    )


def _outline(picture: np.ndarray, top: int, bottom: int, left: int, right: int) -> None:
    picture[[top, bottom], left : right + 1] = _ORANGE
    picture[top : bottom + 1, [left, right]] = _ORANGE


def _cross(picture: np.ndarray, i: int, j: int) -> None:
    picture[max(0, i - 4) : i + 5, j] = _ORANGE
    picture[i, max(0, j - 4) : j + 5] = _ORANGE
