"""The world explorer: one street, seen as you like, with its labels beside it."""

from dataclasses import replace

import ipywidgets
import numpy as np

from semcg.files import DOMAINS
from semcg.labels import CLASSES, IGNORE
from semcg.widgets.parts import WIDE, legend, panels, picture, said, watch
from semcg.world import Scene, render

__all__ = ["street", "street_panels"]


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
        0 is a narrow street between high houses, 1 a wide one under much sky; without it, as the dice fell.
    height : float, optional
        Of the camera above the road, in metres; without it, as the dice fell.
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
            raise ValueError(f"height is {height!r}; a camera stands 0.5 to 5 m above the road")
        scene = replace(scene, camera=replace(scene.camera, height=float(height)))
    rgb, label = render(scene, "camera", size, strength=strength)
    return scene, rgb, label


def street(*, size: tuple[int, int] = (128, 256), seeds: int = 200, scale: int = 2) -> ipywidgets.VBox:
    """Walk through the drawn world: choose a street, how open it is, the camera's height, and the style.

    Parameters
    ----------
    size : (int, int)
        Height and width of the pictures in pixels.
    seeds : int
        Streets to choose from.
    scale : int
        Screen pixels per pixel.

    Returns
    -------
    VBox
        Controls, the picture and its labels side by side, the classes with their shares, and a sentence.
    """
    slow = {"continuous_update": False, "style": WIDE, "layout": {"width": "30rem"}}
    seed = ipywidgets.IntSlider(7, 0, seeds - 1, description="Street (seed)", **slow)
    domain = ipywidgets.Dropdown(options=DOMAINS, description="Built as in the", style=WIDE)
    strength = ipywidgets.FloatSlider(
        0.0, min=0, max=1, step=0.1, description="Style, 0 game to 1 camera", readout_format=".1f", **slow
    )
    fell = ipywidgets.Checkbox(True, description="Openness and camera as the dice fell", indent=False)
    openness = ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="Openness", **slow)
    height = ipywidgets.FloatSlider(
        1.5, min=0.8, max=4, step=0.1, description="Camera height, m", readout_format=".1f", **slow
    )
    shown = ipywidgets.HTML()

    def redraw() -> None:
        openness.disabled = height.disabled = fell.value
        free = {} if fell.value else {"openness": openness.value, "height": height.value}
        scene, rgb, label = street_panels(
            seed.value, domain.value, strength=strength.value, size=size, **free
        )
        if fell.value:  # the sliders begin where the dice fell; what they show then is rounded
            openness.value, height.value = scene.openness, scene.camera.height
        shown.value = _page(scene, rgb, label, strength.value, scale)

    def moved() -> None:
        if not fell.value:
            redraw()

    watch(redraw, seed, domain, strength, fell)
    for control in (openness, height):
        control.observe(lambda change: moved(), names="value")
    return ipywidgets.VBox([seed, domain, strength, fell, openness, height, shown])


def _page(scene: Scene, rgb: np.ndarray, label: np.ndarray, strength: float, scale: int) -> str:
    shares = {c.name: float(np.mean(label == c.train_id)) for c in CLASSES}
    look = {0.0: "as the game draws it", 1.0: "as the camera sees it"}.get(
        strength, f"{strength:.1f} of the way from game to camera"
    )
    words = (
        f"Street {scene.seed} of the {scene.domain}, {look}; openness {scene.openness:.2f}, camera "
        f"{scene.camera.height:.2f} m above the road. Most of it: {said(shares)}; "
        f"{np.mean(label == IGNORE):.1%} ignored."
    )
    figures = [
        picture("picture", rgb, alt=f"A drawn street, {look}. Most of it: {said(shares)}.", scale=scale),
        picture("labels", label, alt=f"Its label map. Most of it: {said(shares)}.", scale=scale),
    ]
    return panels(figures, words) + legend(label)
