"""What a learner can turn and click. Each explorer has a still picture next to it in its notebook.

Every control has a text description and can be moved by keyboard; every picture has an alt text, and what changed is
also described in words. Nothing here trains or reads by itself: an explorer is handed what it shows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import ipywidgets
import numpy as np
import torch
from torch import Tensor, nn

from semcg import mappings
from semcg.files import DOMAINS
from semcg.labels import CLASSES
from semcg.plots.frames import pixels
from semcg.widgets.pages import CHOICE, SLIDER, WIDE, cell, explorer, page, picture
from semcg.widgets.trainings import Live, weight, weight_figure, weight_losses, weight_pictures
from semcg.world import Scene, render

ORANGE = np.array([213, 94, 0], np.uint8)

Look = Callable[[int, str], Mapping[str, np.ndarray]]  # (frame, condition) -> panels by title


# ---------------------------------------------------------------- frames of an evaluation


def microscope(look: Look, *, frames: int, conditions: Sequence[str], first: str = "") -> ipywidgets.VBox:
    """Look at one frame under one condition: source, translation, what the judge reads in it, and where it flipped.

    Parameters
    ----------
    look : callable
        (frame, condition) -> panels by title, each as `semcg.plots.frames.pixels` takes it.
    frames : int
        Frames to choose from, at least 1.
    conditions : list of str
        Conditions to choose from.
    first : str
        The condition that is shown first; "" is the first of the list.

    Returns
    -------
    VBox
        A slider for the frame, buttons for the condition, the panels, and the colors of the classes in them.

    Raises
    ------
    ValueError
        If there is no frame or no condition.
    """
    if frames < 1 or not conditions:
        raise ValueError(f"{frames} frames and {len(conditions)} conditions: there is nothing to look at")
    frame = ipywidgets.IntSlider(0, 0, frames - 1, description="Test frame", **SLIDER)
    condition = ipywidgets.ToggleButtons(
        options=list(conditions), value=first or conditions[0], description="Translated by", **CHOICE
    )

    def redraw() -> str:
        of = f"of frame {frame.value}, {condition.value}"
        panels = look(frame.value, condition.value)
        figures = [picture(panel, alt=f"{title} {of}", title=title) for title, panel in panels.items()]
        maps = [panel.ravel() for panel in panels.values() if panel.ndim == 2]
        shares = mappings.shares(np.bincount(np.concatenate(maps), minlength=256)) if maps else {}
        named = {name: name for name in shares} | {"ignored": "no flip, or no label"}
        figures.append(cell(f"<figcaption>colors</figcaption>{_legend(named)}", 512))
        return page(figures, f"Test frame {frame.value}, translated by {condition.value}.")

    return explorer(redraw, frame, condition)


# ---------------------------------------------------------------- the synthetic world


def street_panels(
    seed: int,
    domain: str,
    *,
    strength: float = 0.0,
    openness: float | None = None,
    height: float | None = None,
    size: tuple[int, int] = (128, 256),
) -> tuple[Scene, np.ndarray, np.ndarray]:
    """Draw one street in a style, through a camera.

    Parameters
    ----------
    seed, domain
        As `semcg.world.Scene.sample` takes them.
    strength : float in [0, 1]
        Style: 0 is the game, 1 the camera, in between their mixture.
    openness : float in [0, 1], optional
        0 is a narrow street between high houses, 1 a wide one under much sky; without it, as sampled.
    height : float, optional
        Of the camera above the road, in meters; without it, as sampled.
    size : (int, int)
        Height and width in pixels.

    Returns
    -------
    scene : Scene
    rgb : (H, W, 3) uint8
    label : (H, W) uint8
        Train ids. They depend on the scene and on the camera, never on the style.

    Raises
    ------
    ValueError
        If an argument is outside its set.
    """
    scene = Scene.sample(seed, domain, openness=openness)
    if height is not None:
        if not 0.5 <= height <= 5:
            raise ValueError(f"height is {height!r}; a camera is 0.5 to 5 m above the road")
        scene = replace(scene, camera=replace(scene.camera, height=float(height)))
    return scene, *render(scene, "camera", size, strength=strength)


def street(*, size: tuple[int, int] = (128, 256), seeds: int = 200) -> ipywidgets.VBox:
    """Walk through the synthetic world: choose a street, how open it is, the camera's height, and the style.

    Parameters
    ----------
    size : (int, int)
        Height and width of the pictures in pixels.
    seeds : int
        Streets to choose from.

    Returns
    -------
    VBox
        Controls, the picture and its labels side by side, the classes with their shares, and a sentence.
    """
    seed = ipywidgets.IntSlider(7, 0, seeds - 1, description="Street (random seed)", **SLIDER)
    domain = ipywidgets.ToggleButtons(options=DOMAINS, description="Layout of the domain", **CHOICE)
    style = ipywidgets.FloatSlider(0, min=0, max=1, description="Style (0: game, 1: camera)", **SLIDER)
    kept = "Keep the street's own openness and camera"
    sampled = ipywidgets.Checkbox(True, description=kept, indent=False, layout=WIDE)
    openness = ipywidgets.FloatSlider(
        0.5, max=1, step=0.05, description="Openness (0: narrow, 1: wide)", **SLIDER
    )
    height = ipywidgets.FloatSlider(1.5, min=0.8, max=4, description="Camera height (m)", **SLIDER)

    def redraw() -> str:
        openness.disabled = height.disabled = sampled.value
        knobs = {} if sampled.value else {"openness": openness.value, "height": height.value}
        scene, rgb, label = street_panels(seed.value, domain.value, strength=style.value, size=size, **knobs)
        if sampled.value:  # where the sliders start; what they show is rounded
            openness.value, height.value = scene.openness, scene.camera.height
        look = f"{100 * style.value:.0f} % of the way from game to camera"
        shares = mappings.shares(np.bincount(label.ravel(), minlength=256))
        most = ", ".join(f"{name} {100 * share:.0f} %" for name, share in list(shares.items())[:4])
        camera = f"openness {scene.openness:.2f}, camera {scene.camera.height:.2f} m above the road"
        words = f"Street {seed.value} of the {domain.value}, {look}; {camera}. Most of it: {most}."
        drawn = picture(rgb, alt=f"A drawn street, {look}. Most of it: {most}.", title="picture")
        labels = picture(label, alt=f"Its label map. Most of it: {most}.", title="labels")
        return page([drawn, labels], words) + _legend(
            {name: f"{name} {100 * s:.1f} %" for name, s in shares.items()}
        )

    return explorer(redraw, seed, domain, style, sampled, openness, height)


def _legend(named: Mapping[str, str]) -> str:
    """Return a list of classes by color, each with its text."""
    swatch = "display:inline-block;width:1em;height:1em;border:1px solid #888;vertical-align:-0.1em"
    colors = {c.name: c.color for c in CLASSES} | {"ignored": (0, 0, 0)}
    items = [
        f'<li style="display:inline-block;margin-right:1em;white-space:nowrap">'
        f'<span style="{swatch};background:rgb{colors[name]}"></span> {text}</li>'
        for name, text in named.items()
    ]
    return f'<ul style="list-style:none;padding:0;margin:0.3em 0">{"".join(items)}</ul>'


# ---------------------------------------------------------------- the field of view


def field_panels(network: nn.Module, image: Tensor, row: int, column: int) -> tuple[np.ndarray, str]:
    """Shade an image by how much one score depends on each pixel, and describe it.

    Parameters
    ----------
    network : Module
        From images (1, 3, H, W) to scores (1, C, h, w). It is left unchanged.
    image : (3, H, W) float in [-1, 1]
    row, column : int
        Which of the h x w places.

    Returns
    -------
    (H, W, 3) uint8
        Bright where the gradient of the largest score of that place is strong (log scale over four decades), pale
        where there is none. Outlined: every pixel with a gradient. A cross: the pixel on which the score is centered.
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
    here = scores[0, :, row, column]
    (gradient,) = torch.autograd.grad(here[here.argmax()], x)
    field = gradient[0].abs().sum(0).numpy()  # (H, W)
    if field.max() == 0:
        return pixels(image), "this score depends on no pixel: every path to it is cut off by a ReLU"
    share = np.clip(1 + np.log10(np.maximum(field / field.max(), 1e-4)) / 4, 0, 1)[..., None]
    shaded = (pixels(image) * (0.2 + 0.8 * share) + 255 * 0.8 * (1 - share)).clip(0, 255).astype(np.uint8)
    rows, columns = np.flatnonzero(field.sum(1)), np.flatnonzero(field.sum(0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    shaded[[top, bottom], left : right + 1] = ORANGE
    shaded[top : bottom + 1, [left, right]] = ORANGE
    height, width = field.shape
    i, j = min(row * -(-height // h), height - 1), min(column * -(-width // w), width - 1)
    shaded[max(0, i - 4) : i + 5, j] = shaded[i, max(0, j - 4) : j + 5] = ORANGE
    radius = np.maximum(np.abs(np.arange(height) - i)[:, None], np.abs(np.arange(width) - j))
    within = np.cumsum(np.bincount(radius.ravel(), field.ravel()))  # gradient in the square of each radius
    half = 2 * np.searchsorted(within, within[-1] / 2) + 1
    cut = " (it continues beyond the frame)" if len(rows) == height or len(columns) == width else ""
    return shaded, (
        f"rows {top} to {bottom} and columns {left} to {right}, {len(rows)} x {len(columns)} pixels{cut}; "
        f"half of the gradient in the middle {half} x {half}"
    )


def field_of_view(networks: Mapping[str, nn.Module], image: Tensor, *, scale: int = 2) -> ipywidgets.VBox:
    """Choose a row and a column of the scores and see, for each network, what that score depends on.

    Parameters
    ----------
    networks : title -> Module
        With scores of one shape, for example DRN-26 with dilation and without.
    image : (3, H, W) float in [-1, 1]
    scale : int
        Screen pixels per pixel.

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
    row = ipywidgets.IntSlider(h // 2, 0, h - 1, description=f"Row of the score (0 to {h - 1})", **SLIDER)
    column = ipywidgets.IntSlider(
        w // 2, 0, w - 1, description=f"Column of the score (0 to {w - 1})", **SLIDER
    )

    def redraw() -> str:
        figures, lines = [], []
        for title, net in networks.items():
            panel, words = field_panels(net, image, row.value, column.value)
            figures.append(picture(panel, alt=f"{title}, {words}.", title=title, scale=scale))
            lines.append(f"{title}: {words}.")
        return page(figures, " ".join(lines))

    return explorer(redraw, row, column)
