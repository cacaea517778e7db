"""Trees and palms."""

import math

from semcg.world.canvas import CAST, CLASS, Canvas, Pen
from semcg.world.parts import Tree

__all__ = ["draw_tree", "shade_tree"]


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
