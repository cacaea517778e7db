"""From a scene to its drawing: the painter's order, and where plates and signs came to lie."""

import numpy as np

from semcg.world.canvas import FINE, Canvas, Drawing
from semcg.world.parts import Bin, Lamp, Person, Sign, TrafficLight, Tree, TwoWheeler, Vehicle
from semcg.world.scene import Scene
from semcg.world.street import (
    draw_bonnet,
    draw_facades,
    draw_ground,
    draw_hills,
    draw_sky,
    draw_tree,
    draw_vista,
    shade_tree,
)
from semcg.world.vehicles import (
    draw_bin,
    draw_lamp,
    draw_person,
    draw_sign,
    draw_traffic_light,
    draw_two_wheeler,
    draw_vehicle,
)

__all__ = ["annotations", "checked_size", "draw", "found_texts"]

_DRAW = {
    Bin: draw_bin,
    Lamp: draw_lamp,
    Person: draw_person,
    Sign: draw_sign,
    TrafficLight: draw_traffic_light,
    Tree: draw_tree,
    TwoWheeler: draw_two_wheeler,
    Vehicle: draw_vehicle,
}


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) as integers.

    Raises
    ------
    ValueError
        If they are not two integers of at least 16.
    """
    if not isinstance(size, (tuple, list)) or len(size) != 2 or any(int(n) != n or n < 16 for n in size):
        raise ValueError(f"size is {size!r}; it must be (height, width), two integers of at least 16")
    return int(size[0]), int(size[1])


def draw(scene: Scene, size: tuple[int, int]) -> Drawing:
    """Draw a scene by the painter's algorithm: what is drawn later hides what was drawn before."""
    canvas = Canvas(scene.camera, scene.sun, checked_size(size))
    draw_sky(canvas, scene)
    draw_hills(canvas, scene)
    draw_ground(canvas, scene)
    draw_vista(canvas, scene)
    draw_facades(canvas, scene)
    for thing in scene.things:
        if isinstance(thing, Tree):
            shade_tree(canvas, thing)
        _DRAW[type(thing)](canvas, thing)
    draw_bonnet(canvas)
    return canvas.finish()


def annotations(scene: Scene, size: tuple[int, int]) -> list[dict]:
    """Return where the plates and the signs with text lie in a picture of a scene, the nearest first.

    Parameters
    ----------
    scene : Scene
    size : (int, int)
        Height and width in pixels.

    Returns
    -------
    list of dict
        `kind` ("plate" or "sign"), `text`, `box` ([x0, y0, x1, y1] in pixels, cut at the image's edge),
        `digit_px` (height of a digit in pixels) and `visible` (the share, in (0, 1], of the board's
        sub-pixels that are seen). Boards that are hidden wholly are left out.

    Raises
    ------
    ValueError
        If `size` is no image size.
    """
    return found_texts(draw(scene, size))


def found_texts(drawing: Drawing) -> list[dict]:
    """Return the plates and signs of a drawing whose text is at least partly seen, nearest first."""
    height, width = (side // FINE for side in drawing.ids.shape)
    found = []
    for text in drawing.texts:
        if text["kind"] not in ("plate", "sign"):
            continue
        left, top, right, bottom = text["box"]
        seen = drawing.ids[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        first, end = text["parts"]
        visible = np.count_nonzero((seen >= first) & (seen < end)) / max(1, (right - left) * (bottom - top))
        if visible > 0:
            box = [
                min(max(v / FINE, 0.0), float(limit))
                for v, limit in zip(text["box"], (width, height) * 2, strict=True)
            ]
            found.append(
                {
                    "kind": text["kind"],
                    "text": text["text"],
                    "box": [round(v, 3) for v in box],
                    "digit_px": round(text["digit_px"], 3),
                    "visible": round(float(visible), 4),
                }
            )
    return sorted(found, key=lambda text: (-text["digit_px"], text["box"]))
