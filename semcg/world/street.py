"""How the street itself is drawn: sky, hills, ground, facades, and the bonnet of the car that looks."""

import math

from semcg.labels import IGNORE
from semcg.world.canvas import CAST, CLASS, FINE, SKY, Canvas, Pen, inset
from semcg.world.parts import FAR, Facade, Tree
from semcg.world.scene import Scene

__all__ = [
    "draw_bonnet",
    "draw_facades",
    "draw_ground",
    "draw_hills",
    "draw_sky",
    "draw_tree",
    "draw_vista",
    "shade_tree",
]


def shade_tree(canvas: Canvas, tree: Tree) -> None:
    """Throw a round shadow, away from the sun."""
    away = -canvas.sun
    long = 0.5 * tree.height
    wide = max((0.8 * (abs(x) + radius) for x, _, radius in tree.crown), default=1.1)
    canvas.contact(tree.x, tree.z, 0.16, 0.3, 0.0)
    x, z = tree.x + away * long, tree.z + 0.6
    canvas.shadow(CAST, [(tree.x, tree.z - 0.1), (tree.x, tree.z + 0.3), (x, z + 0.3), (x, z - 0.1)])
    turns = [math.pi * k / 6 for k in range(12)]
    canvas.shadow(CAST, [(x + wide * math.cos(t), z + 1.2 * math.sin(t)) for t in turns])


def draw_tree(canvas: Canvas, tree: Tree) -> None:
    (_draw_palm if tree.fronds else _draw_broadleaf)(canvas, tree)


def _draw_broadleaf(canvas: Canvas, tree: Tree) -> None:
    """Draw a trunk and a crown in three shades: dark first, light last and moved towards the sun."""
    pen = canvas.pen(CLASS["vegetation"], tree.x, tree.z)
    top = tree.height
    pen.poly("trunk", [(-0.16, 0), (0.16, 0), (0.1 + tree.lean, top), (-0.1 + tree.lean, top)])
    pen.poly("trunk", [(0.02, 0), (0.16, 0), (0.1 + tree.lean, top), (0.02 + tree.lean, top)], 0.75)
    for material, size, lift, share in (
        ("leaf shade", 1.0, -0.12, 1.0),
        ("leaf", 0.86, 0.06, 1.0),
        ("leaf light", 0.52, 0.2, 0.7),
    ):
        part = pen.part(material)
        for x, y, radius in tree.crown[: int(share * len(tree.crown))]:
            right = tree.x + tree.lean + x + 2.2 * lift * radius * canvas.sun
            up = top + y + 2.5 * lift * radius
            canvas.ellipse(part, (right, up, tree.z), size * radius, size * radius)


def _draw_palm(canvas: Canvas, tree: Tree) -> None:
    pen = canvas.pen(CLASS["vegetation"], tree.x, tree.z)
    top, lean = tree.height, tree.lean
    steps = 5
    for k in range(steps):
        low, high = k / steps, (k + 1) / steps
        x0, x1 = lean * low * low, lean * high * high
        wide = 0.17 - 0.05 * low
        y0, y1 = top * low, top * high
        ring = [(x0 - wide, y0), (x0 + wide, y0), (x1 + wide, y1), (x1 - wide, y1)]
        pen.poly("palm trunk", ring, 1.0 if k % 2 else 0.85)
    for k, turn in enumerate(tree.fronds):
        _draw_frond(pen, lean, top, turn, ("leaf shade", "leaf", "leaf light")[k % 3])


def _draw_frond(pen: Pen, x: float, y: float, turn: float, material: str) -> None:
    """Draw one leaf: up and outward, then drooping to its tip; `turn` is its angle from the upright."""
    out, up = 1.9 * math.sin(turn), 1.0 * math.cos(turn)
    upper, lower = [], []
    for u, wide in ((0.0, 0.06), (0.3, 0.26), (0.6, 0.24), (0.85, 0.14)):
        px, py = x + out * u, y + up * u * 1.1 - 1.0 * abs(out) / 1.9 * u * u
        upper.append((px, py + wide))
        lower.append((px, py - wide))
    tip = (x + out, y + up - 1.25 * abs(out) / 1.9)
    pen.poly(material, [*upper, tip, *reversed(lower)])


HORIZON = 400.0
"""Metres to the end of the ground."""
FLOOR, BAY = 3.0, 2.3
"""Metres from floor to floor and from window to window."""


def draw_sky(canvas: Canvas, scene: Scene) -> None:
    height, width = canvas.size
    canvas.box(canvas.part(CLASS["sky"], "sky"), 0, 0, FINE * width, FINE * height)
    for cloud in scene.clouds:
        for shade, drop in ((0.93, -0.12), (1.0, 0.0)):
            part = canvas.part(CLASS["sky"], "cloud", 0, shade, SKY)
            for x, y, radius in cloud.puffs:
                center = (cloud.x + x, cloud.y + y + drop * radius, 1000)
                canvas.ellipse(part, center, radius, 0.36 * radius)


def draw_hills(canvas: Canvas, scene: Scene) -> None:
    if hills := scene.vista.hills:
        part = canvas.part(CLASS["terrain"], "hill", 0, 1.0, 150.0)
        # A ridge at the horizon's distance, as wide as the view.
        ridge = [(25.0 * (k - 12), height, HORIZON) for k, height in enumerate(hills)]
        canvas.fill(part, [*ridge, (300, 0, HORIZON), (-300, 0, HORIZON)])


def draw_vista(canvas: Canvas, scene: Scene) -> None:
    """Draw the houses or the trees that close the street."""
    for x0, x1, height, hue in scene.vista.houses:
        pen = canvas.pen(CLASS["building"], 0.0, FAR, hue)
        pen.rect("facade", x0, 0, x1, height, 0.9)
        pen.rect("roof", x0, height - 0.6, x1, height + 0.5)
        for floor in range(int(height / FLOOR)):
            for bay in range(int((x1 - x0) / BAY)):
                x, y = x0 + 0.6 + BAY * bay, FLOOR * floor + 1.0
                pen.rect("window", x, y, x + 1.2, y + 1.5)
    for shade in (0.8, 1.0):
        for x, y, radius in scene.vista.trees:
            canvas.pen(CLASS["vegetation"], x, FAR).disc(
                "leaf", 0.2 * scene.sun, y + shade, radius * 1.2 * shade, shade
            )


def draw_ground(canvas: Canvas, scene: Scene) -> None:
    street = scene.street
    half, edge = street.half_width, street.half_width + street.setback
    canvas.ground(CLASS["terrain"], "grass", -600, 1, 600, HORIZON)
    canvas.ground(CLASS["sidewalk"], "sidewalk", -edge, 1, edge, HORIZON)
    for side, grass in zip((-1, 1), street.grass, strict=True):
        if grass:
            canvas.ground(CLASS["terrain"], "grass", side * (edge - 1.3), 1, side * edge, HORIZON)
    _draw_slabs(canvas, half, edge)
    canvas.ground(CLASS["sidewalk"], "kerb", -half - 0.35, 1, half + 0.35, HORIZON)
    canvas.ground(CLASS["road"], "road", -half, 1, half, HORIZON)
    _draw_markings(canvas, scene)
    _throw_shadows_of_houses(canvas, scene, edge)


def _draw_slabs(canvas: Canvas, half: float, edge: float) -> None:
    """Draw the joints of the paving stones, as far as they can be told apart."""
    for z in range(4, 26, 2):
        for side in (-1, 1):
            canvas.ground(CLASS["sidewalk"], "sidewalk", side * half, z, side * edge, z + 0.07, 0.86)


def _draw_markings(canvas: Canvas, scene: Scene) -> None:
    street, road = scene.street, CLASS["road"]
    half = street.half_width
    if not street.rails:
        for z in range(2, 120, 6):
            canvas.ground(road, "yellow line", -0.09, z, 0.09, z + 3.2)
    if street.lanes:
        for side in (-1, 1):
            x = side * (half - 2.3)
            for z in range(3, 90, 6):
                canvas.ground(road, "white line", x - 0.07, z, x + 0.07, z + 2.4)
    for side in (-1, 1):
        x = side * (half - 0.25)
        canvas.ground(road, "white line", x - 0.06, 1, x + 0.06, 140)
    if street.rails:
        for track in (-1, 1):
            for rail in (-0.72, 0.72):
                x = track * max(1.3, (half - 2.2) / 2) + rail
                canvas.ground(road, "rail", x - 0.09, 1, x + 0.09, 140, 0.75)
                canvas.ground(road, "rail", x - 0.04, 1, x + 0.04, 140)
    if street.crossing is not None:
        for k in range(int(2 * half)):
            x = -half + 0.3 + k
            canvas.ground(road, "white line", x, street.crossing, x + 0.5, street.crossing + 3)


def _throw_shadows_of_houses(canvas: Canvas, scene: Scene, edge: float) -> None:
    """Darken the sidewalk of the side that the sun shines from, as far as the houses there are high."""
    for facade in scene.facades:
        if facade.side == scene.sun:
            x0, x1 = scene.sun * edge, scene.sun * max(0.0, edge - 0.3 * facade.height)
            canvas.shadow(
                CAST, [(x0, facade.near), (x1, facade.near + 1), (x1, facade.far + 1), (x0, facade.far)]
            )


def draw_facades(canvas: Canvas, scene: Scene) -> None:
    """Draw the plots of both sides from far to near; they hide nothing that stands in the street."""
    edge = scene.street.half_width + scene.street.setback
    for facade in scene.facades:
        draw = _draw_building if facade.kind == "building" else _draw_gap
        draw(canvas, facade, facade.side * edge, 1.04 if facade.side != scene.sun else 0.84)


def _draw_gap(canvas: Canvas, facade: Facade, x: float, light: float) -> None:
    for tree in facade.trees:
        draw_tree(canvas, tree)
    solid = "wall" if facade.kind == "wall" else "hedge"
    pen = canvas.pen(CLASS[facade.kind], x, facade.near, facade.hue)
    length, height = facade.far - facade.near, facade.height
    plane = [(0, 0, 0), (0, 0, length), (0, height, length), (0, height, 0)]
    # A fence is labelled solid, as Cityscapes does: what shows between its bars belongs to it.
    pen.poly(solid, plane, light)
    if facade.kind == "wall":
        pen.poly("coping", inset(plane, 0, 1, 0.88, 1), light)
        for k in range(1, 4):
            pen.poly("wall", inset(plane, k / 4 - 0.012, k / 4 + 0.012, 0, 0.88), light * 0.85)
        return
    bars = max(2, int(length / 0.8))
    for k in range(bars + 1):
        at = k / bars
        pen.poly("bar", inset(plane, max(0, at - 0.12 / length), min(1, at + 0.12 / length), 0, 1), light)
    for low in (0.12, 0.86):
        pen.poly("bar", inset(plane, 0, 1, low, low + 0.1), light)


def _draw_building(canvas: Canvas, facade: Facade, x: float, light: float) -> None:
    pen = canvas.pen(CLASS["building"], x, facade.near, facade.hue)
    length, height, out = facade.far - facade.near, facade.height, 12.0 * facade.side
    # The end wall, which shows where the neighbour is lower or missing.
    pen.poly("facade", [(0, 0), (out, 0), (out, height), (0, height)], 0.93)
    pen.poly("roof", [(0, height - 0.5), (out, height - 0.5), (out, height), (0, height)], 0.93)
    _draw_end_windows(pen, facade)
    bays = max(2, int(length / BAY))
    for bay in reversed(range(bays)):
        near, far = length * bay / bays, length * (bay + 1) / bays
        wall = [(0, 0, near), (0, 0, far), (0, height, far), (0, height, near)]
        pen.poly("facade", wall, light)
        if facade.near + near > 70:
            continue
        _draw_bay(pen, facade, wall, bay, light)
    front = [(0, 0, 0), (0, 0, length), (0, height, length), (0, height, 0)]
    pen.poly("cornice", inset(front, 0, 1, 1 - 0.75 / height, 1 - 0.5 / height), light)
    pen.poly(
        "roof",
        [
            (0, height - 0.5, 0),
            (0, height - 0.5, length),
            (-0.04 * out, height, length),
            (-0.04 * out, height, 0),
        ],
        light,
    )
    if facade.shop and facade.near < 60:
        _draw_awning(pen, length, facade.side, light)


def _draw_end_windows(pen: Pen, facade: Facade) -> None:
    for floor in range(1, int((facade.height - 0.6) / FLOOR)):
        for bay in range(4):
            x, y = facade.side * (1.2 + BAY * bay), FLOOR * floor + 0.9
            pen.poly(
                "window",
                [(x, y), (x + facade.side * 1.1, y), (x + facade.side * 1.1, y + 1.5), (x, y + 1.5)],
                0.9,
            )


def _draw_bay(pen: Pen, facade: Facade, wall: list, bay: int, light: float) -> None:
    """Draw one column of windows, and the shop, door or window at its foot."""
    height = facade.height
    floors = max(1, int((height - 0.6) / FLOOR))
    for floor in range(floors):
        low = FLOOR * floor + 0.9
        if floor == 0 and facade.shop:
            pen.poly("shop", inset(wall, 0.06, 0.94, 0.35 / height, 2.5 / height), light)
            continue
        if floor == 0 and bay == 1:
            pen.poly("door", inset(wall, 0.25, 0.75, 0, 2.2 / height), light)
            continue
        high = min(low + 1.6, height - 0.85)
        material = "curtain" if facade.curtains[(3 * floor + bay) % len(facade.curtains)] else "window"
        if facade.near < 30:
            pen.poly("frame", inset(wall, 0.2, 0.8, (low - 0.14) / height, (high + 0.12) / height), light)
        pen.poly(material, inset(wall, 0.25, 0.75, low / height, high / height), light)
        if floor and facade.near < 22 and facade.hue % 3 == 0:
            pen.poly("flowers", inset(wall, 0.18, 0.82, (low - 0.3) / height, (low + 0.04) / height), light)


def _draw_awning(pen: Pen, length: float, side: int, light: float) -> None:
    out = -0.9 * side
    stripes = max(2, int(length / 1.2))
    for k in range(stripes):
        near, far = length * k / stripes, length * (k + 1) / stripes
        material = "awning" if k % 2 else "cloth"
        pen.poly(material, [(0, 3.0, near), (0, 3.0, far), (out, 2.55, far), (out, 2.55, near)], light)


def draw_bonnet(canvas: Canvas) -> None:
    """Draw the bonnet of the car that carries the camera; nobody scores it."""
    height, width = canvas.size
    part = canvas.part(IGNORE, "bonnet", 0, 1.0, 2.0)
    middle, top, half = width * 0.5, 0.965 * height, 0.43 * width
    outline = []
    for k in range(17):
        u = k / 8 - 1
        outline.append((middle + u * half, top + 0.045 * height * u * u))
    canvas.outline(part, [*outline, (middle + half, height + 1.0), (middle - half, height + 1.0)])
