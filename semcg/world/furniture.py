"""What stands on the sidewalk: lamps, traffic lights, signs, bins, and the people who pass them."""

import math

from semcg.world.canvas import CLASS, Canvas, Pen
from semcg.world.parts import Bin, Lamp, Person, Sign, TrafficLight

__all__ = ["draw_bin", "draw_human", "draw_lamp", "draw_person", "draw_sign", "draw_traffic_light"]

SIGN = 0.44
"""Radius of a sign in metres."""


def draw_lamp(canvas: Canvas, lamp: Lamp) -> None:
    canvas.contact(lamp.x, lamp.z, 0.1, 0.2, 3.0)
    pen = canvas.pen(CLASS["pole"], lamp.x, lamp.z)
    inward = -1 if lamp.x > 0 else 1
    top = lamp.height
    pen.rect("pole", -0.09, 0, 0.09, 0.9, 0.8)
    pen.poly("pole", [(-0.055, 0), (0.055, 0), (0.035, top), (-0.035, top)])
    pen.line("pole", 0, top - 0.05, 1.5 * inward, top + 0.25, 0.07)
    pen.poly("lamp", [(x * inward, top + y) for x, y in ((1.2, 0.1), (2.0, 0.14), (1.9, 0.36), (1.25, 0.34))])


def draw_traffic_light(canvas: Canvas, light: TrafficLight) -> None:
    canvas.contact(light.x, light.z, 0.1, 0.2, 2.0)
    canvas.pen(CLASS["pole"], light.x, light.z).rect("pole", -0.06, 0, 0.06, 2.6)
    pen = canvas.pen(CLASS["traffic light"], light.x, light.z)
    pen.rect("light box", -0.22, 2.5, 0.22, 3.6)
    for k, lamp in enumerate(("red lamp", "amber lamp", "green lamp")):
        pen.disc(lamp, 0, 3.38 - 0.33 * k, 0.14, 1.0 if k == light.state else 0.28)


def draw_sign(canvas: Canvas, sign: Sign) -> None:
    canvas.contact(sign.x, sign.z, 0.08, 0.2, 2.0)
    canvas.pen(CLASS["pole"], sign.x, sign.z).rect("pole", -0.04, 0, 0.04, 2.45)
    pen = canvas.pen(CLASS["traffic sign"], sign.x, sign.z)
    _FACES[sign.kind](pen, sign)


def _polygon(corners: int, radius: float, turn: float, y: float = 2.45) -> list[tuple[float, float]]:
    turns = [turn + 2 * math.pi * k / corners for k in range(corners)]
    return [(radius * math.sin(t), y + radius * math.cos(t)) for t in turns]


def _limit(pen: Pen, sign: Sign) -> None:
    pen.disc("sign red", 0, 2.45, 1.1 * SIGN)
    pen.disc("sign white", 0, 2.45, 0.88 * SIGN)
    pen.canvas.write(pen, "sign", sign.text, 0, 2.45, 0.3, ("sign white", "sign black"))


def _warning(pen: Pen, sign: Sign) -> None:
    pen.poly("sign red", _polygon(3, 1.3 * SIGN, 0, 2.4))
    pen.poly("sign white", _polygon(3, 0.85 * SIGN, 0, 2.4))
    pen.rect("sign black", -0.045, 2.36, 0.045, 2.62)
    pen.rect("sign black", -0.045, 2.25, 0.045, 2.31)


def _arrow(pen: Pen, sign: Sign) -> None:
    pen.disc("sign blue", 0, 2.45, SIGN)
    pen.rect("sign white", -0.06, 2.18, 0.06, 2.5)
    pen.poly("sign white", [(-0.24, 2.48), (0.24, 2.48), (0, 2.76)])


def _stop(pen: Pen, sign: Sign) -> None:
    pen.poly("sign white", _polygon(8, 1.08 * SIGN, math.pi / 8))
    pen.poly("sign red", _polygon(8, 0.97 * SIGN, math.pi / 8))
    pen.canvas.write(pen, "word", "STOP", 0, 2.45, 0.15, ("sign red", "sign white"))


def _entry(pen: Pen, sign: Sign) -> None:
    pen.disc("sign white", 0, 2.45, SIGN)
    pen.disc("sign red", 0, 2.45, 0.93 * SIGN)
    pen.rect("sign white", -0.3, 2.37, 0.3, 2.53)


def _priority(pen: Pen, sign: Sign) -> None:
    pen.poly("sign white", _polygon(4, 1.25 * SIGN, 0))
    pen.poly("sign yellow", _polygon(4, 0.95 * SIGN, 0))


_FACES = {
    "limit": _limit,
    "warning": _warning,
    "arrow": _arrow,
    "stop": _stop,
    "entry": _entry,
    "priority": _priority,
}


def draw_bin(canvas: Canvas, bin_: Bin) -> None:
    canvas.contact(bin_.x, bin_.z, 0.3, 0.5, 0.9)
    pen = canvas.pen(0, bin_.x, bin_.z).void()
    pen.poly("bin", [(-0.24, 0), (0.24, 0), (0.3, 0.85), (-0.3, 0.85)])
    pen.rect("bin", -0.34, 0.85, 0.34, 0.97, 0.7)
    pen.rect("bin", -0.2, 0.45, 0.2, 0.6, 1.5)


def draw_person(canvas: Canvas, person: Person) -> None:
    canvas.contact(person.x, person.z, 0.22, 0.3, person.height)
    pen = canvas.pen(CLASS["person"], person.x, person.z, person.hue)
    tall, stride = person.height / 1.75, person.stride
    step = stride if person.facing else 0.13
    for x, shade in ((-step, 0.85), (step, 1.0)):
        pen.line("trousers", 0.45 * x, 0.88 * tall, x, 0.06, 0.17 * tall, shade)
        pen.rect("shoe", x - 0.1 + 0.05 * person.facing, 0, x + 0.1 + 0.05 * person.facing, 0.09)
    draw_human(pen, 0, 0.85 * tall, tall, person.facing, reach=stride)


def draw_human(pen: Pen, x: float, seat: float, tall: float, facing: int, reach: float, forward: float = 0.0):
    """Draw head, trunk and arms above the height `seat`; `forward` bends the back, `reach` moves hands."""
    neck, lean = seat + 0.56 * tall, x + forward * facing
    pen.poly(
        "shirt",
        [
            (x - 0.17, seat),
            (x + 0.17, seat),
            (lean + 0.23, neck - 0.05),
            (lean + 0.1, neck + 0.03),
            (lean - 0.1, neck + 0.03),
            (lean - 0.23, neck - 0.05),
        ],
    )
    if facing:
        hands = [(lean + facing * reach * 1.1, seat + 0.1), (lean - facing * reach * 0.8, seat + 0.12)]
        hands = hands[:1] if forward else hands
    else:
        hands = [(x - 0.3, seat + 0.05), (x + 0.3, seat + 0.05)]
    for k, (hand_x, hand_y) in enumerate(hands):
        shoulder = lean if facing else lean + (-0.2, 0.2)[k]
        pen.line("shirt", shoulder, neck - 0.08, hand_x, hand_y, 0.11, 0.8)
        pen.disc("skin", hand_x, hand_y, 0.06)
    pen.disc("skin", lean + 0.02 * facing, neck + 0.15 * tall, 0.12 * tall, 1.0, 1.2)
    pen.poly(
        "hair",
        [
            (lean + dx - 0.03 * facing, neck + dy * tall)
            for dx, dy in ((-0.13, 0.17), (-0.1, 0.3), (0.1, 0.3), (0.13, 0.17))
        ],
    )
