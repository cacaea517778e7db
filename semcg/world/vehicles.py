"""Cars, trucks, buses, trams, motorcycles, bicycles. On the road, whatever has a motor carries a plate."""

import math

from semcg.world.canvas import CLASS, Canvas, Pen, inset
from semcg.world.parts import LENGTH, Bin, Lamp, Person, Sign, TrafficLight, TwoWheeler, Vehicle

__all__ = [
    "draw_bin",
    "draw_human",
    "draw_lamp",
    "draw_person",
    "draw_sign",
    "draw_traffic_light",
    "draw_two_wheeler",
    "draw_vehicle",
]

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


DIGIT = 0.216
"""Height of a plate's digits in metres: deliberately toy-sized, so that 128 rows are enough to read them."""


def draw_vehicle(canvas: Canvas, vehicle: Vehicle) -> None:
    wide, high = {"car": (0.88, 1.4), "truck": (1.2, 3.2), "bus": (1.25, 3.0), "train": (1.2, 3.3)}[
        vehicle.kind
    ]
    canvas.contact(vehicle.x, vehicle.z, wide, LENGTH[vehicle.kind], high)
    pen = canvas.pen(CLASS[vehicle.kind], vehicle.x, vehicle.z, vehicle.hue)
    _BODIES[vehicle.kind](pen, vehicle)


def _plate(pen: Pen, text: str, x: float, y: float, digit: float = DIGIT) -> None:
    pen.canvas.write(pen, "plate", text, x, y, digit, ("plate", "plate ink"))


def _wheels(pen: Pen, half: float, places: tuple[float, ...], radius: float = 0.32) -> None:
    """Draw the wheels of the side that is seen; `places` are metres behind the near end."""
    offset = pen.x - pen.canvas.camera.x
    if abs(offset) < half:
        return
    x = -half if offset > 0 else half
    turns = [2 * math.pi * k / 10 for k in range(10)]
    for place in places:
        for material, size in (("tyre", radius), ("hub", 0.5 * radius)):
            circle = [(x, radius + size * math.sin(t), place + size * math.cos(t)) for t in turns]
            pen.poly(material, circle)


def _glint(pen: Pen, face: list, left: float, low: float, high: float) -> None:
    """Draw the slanting reflection of the sky in a window."""
    a, _, c, d = inset(face, left, left + 0.16, low, high)
    b = inset(face, left + 0.1, left + 0.16, low, high)[0]
    shift = 0.5 * (c[0] - d[0])
    pen.poly("glint", [a, b, (c[0] + shift, *c[1:]), (d[0] + shift, *d[1:])])


def _tyres(pen: Pen, half: float, wide: float = 0.24, high: float = 0.36) -> None:
    pen.rect("tyre", -half, 0, -half + wide, high)
    pen.rect("tyre", half - wide, 0, half, high)


def _car(pen: Pen, car: Vehicle) -> None:
    long, waist, roof = LENGTH["car"], 0.86, 0.86 + 0.56 * car.tall
    # The cabin stands over the rear axle: near the camera from behind, a bonnet's length away from the front.
    base, top = ((0.12, 2.9), (0.55, 2.3)) if not car.oncoming else ((1.15, 4.05), (1.8, 3.6))
    _tyres(pen, 0.84)
    pen.rect("chassis", -0.62, 0.2, 0.62, 0.36)
    near, side = pen.solid("paint", (0.88, 0.3, 0, long), (0.85, waist, 0.04, long - 0.05))
    if side:
        pen.poly("chassis", inset(side, 0.02, 0.98, 0, 0.12))
        pen.poly("paint", inset(side, 0.42, 0.435, 0.15, 0.95), 0.6)
    _wheels(pen, 0.885, (0.75, long - 0.8))
    window, flank = pen.solid("paint", (0.8, waist, *base), (0.62, roof, *top))
    pen.poly("glass", inset(window, 0.07, 0.93, 0.1, 0.86))
    _glint(pen, window, 0.12, 0.5, 0.86)
    if flank:
        for u0, u1 in ((0.07, 0.46), (0.52, 0.93)):
            pen.poly("glass", inset(flank, u0, u1, 0.12, 0.86), 0.9)
    if car.oncoming:
        _car_front(pen)
    else:
        _car_rear(pen)
    _plate(pen, car.plate, 0, 0.555)


def _car_front(pen: Pen) -> None:
    pen.rect("chassis", -0.88, 0.28, 0.88, 0.38)
    pen.rect("grille", -0.5, 0.4, 0.5, 0.76)
    for x in (-0.68, 0.68):
        pen.rect("headlamp", x - 0.17, 0.6, x + 0.17, 0.8)
        pen.rect("amber lamp", x - 0.12, 0.47, x + 0.12, 0.54)


def _car_rear(pen: Pen) -> None:
    pen.rect("chassis", -0.88, 0.28, 0.88, 0.4)
    pen.rect("paint", -0.82, 0.74, 0.82, 0.77, 0.7)
    for side in (-1, 1):
        x = 0.68 * side
        pen.rect("tail lamp", x - 0.17, 0.6, x + 0.17, 0.8)
        pen.rect("headlamp", 0.54 * side - 0.03, 0.6, 0.54 * side + 0.03, 0.7)


def _truck(pen: Pen, truck: Vehicle) -> None:
    long = LENGTH["truck"]
    _tyres(pen, 1.15, 0.4, 0.6)
    if truck.oncoming:
        pen.solid("load", (1.2, 0.75, 1.7, long), (1.2, 3.3, 1.7, long))
        near, side = pen.solid("paint", (1.15, 0.45, 0, 1.6), (1.1, 2.6, 0.25, 1.6))
        _cab_front(pen, near, side)
        y = 0.72
    else:
        pen.solid("paint", (1.1, 0.5, long - 1.6, long), (1.05, 2.5, long - 1.6, long))
        near, side = pen.solid("load", (1.2, 0.75, 0, long - 1.8), (1.2, 3.3, 0, long - 1.8))
        for u in (0.04, 0.495, 0.95):
            pen.poly("load", inset(near, u, u + 0.012, 0.03, 0.97), 0.7)
        pen.poly("load", inset(near, 0, 1, 0.97, 1), 0.75)
        pen.rect("chassis", -1.2, 0.45, 1.2, 0.75)
        for x in (-1.02, 1.02):
            pen.rect("tail lamp", x - 0.14, 0.52, x + 0.14, 0.7)
        y = 0.98
    if side:
        pen.poly("chassis", inset(side, 0, 1, 0, 0.05))
    _wheels(pen, 1.2, (0.9, long - 1.2), 0.45)
    _plate(pen, truck.plate, 0, y)


def _cab_front(pen: Pen, near: list, side: list | None) -> None:
    pen.poly("glass", inset(near, 0.07, 0.93, 0.52, 0.9))
    _glint(pen, near, 0.12, 0.66, 0.9)
    pen.rect("grille", -0.7, 0.98, 0.7, 1.4)
    pen.rect("chassis", -1.15, 0.4, 1.15, 0.56)
    for x in (-0.9, 0.9):
        pen.rect("headlamp", x - 0.18, 0.66, x + 0.18, 0.9)
    if side:
        pen.poly("glass", inset(side, 0.25, 0.8, 0.52, 0.88))


def _bus(pen: Pen, bus: Vehicle) -> None:
    long = LENGTH["bus"]
    _tyres(pen, 1.15, 0.35, 0.5)
    near, side = pen.solid("bus", (1.25, 0.35, 0, long), (1.2, 3.0, 0.05, long))
    _coach(pen, near, side, 6, 0.48, 0.86)
    _wheels(pen, 1.25, (2.2, long - 2.4), 0.48)
    pen.rect("sign black", -0.75, 2.6, 0.75, 2.92)
    pen.canvas.write(pen, "line", bus.line, 0, 2.76, 0.24, ("sign black", "display"))
    lamp = "headlamp" if bus.oncoming else "tail lamp"
    for x in (-0.98, 0.98):
        pen.rect(lamp, x - 0.16, 0.72, x + 0.16, 0.95)
    pen.rect("chassis", -1.25, 0.32, 1.25, 0.52)
    _plate(pen, bus.plate, 0, 0.78)


def _tram(pen: Pen, tram: Vehicle) -> None:
    long = LENGTH["train"]
    near, side = pen.solid("tram", (1.2, 0.3, 0, long), (1.1, 3.3, 0.25, long))
    _coach(pen, near, side, 11, 0.42, 0.8)
    pen.poly("tram band", inset(near, 0, 1, 0.18, 0.32))
    pen.rect("sign black", -0.55, 2.72, 0.55, 3.04)
    pen.canvas.write(pen, "line", tram.line, 0, 2.88, 0.24, ("sign black", "display"))
    for x in (-0.8, 0.8):
        pen.rect("headlamp" if tram.oncoming else "tail lamp", x - 0.14, 0.95, x + 0.14, 1.15)
    pen.rect("chassis", -1.2, 0.15, 1.2, 0.45)
    pen.line("chassis", -0.5, 3.35, 0.2, 4.1, 0.06)
    pen.line("chassis", 0.2, 4.1, -0.3, 4.7, 0.06)
    pen.line("chassis", -0.8, 4.7, 0.4, 4.7, 0.08)


def _coach(pen: Pen, near: list, side: list | None, windows: int, low: float, high: float) -> None:
    """Draw the window of the near end and the row of windows along the side."""
    pen.poly("glass", inset(near, 0.08, 0.92, low - 0.04, high - 0.04))
    _glint(pen, near, 0.14, low + 0.12, high - 0.04)
    if not side:
        return
    pen.poly("chassis", inset(side, 0, 1, 0, 0.06))
    if windows > 8:
        pen.poly("tram band", inset(side, 0, 1, 0.18, 0.32), 0.9)
    for k in range(windows):
        pen.poly("glass", inset(side, (k + 0.1) / windows, (k + 0.9) / windows, low, high), 0.95)


_BODIES = {"car": _car, "truck": _truck, "bus": _bus, "train": _tram}


def draw_two_wheeler(canvas: Canvas, two: TwoWheeler) -> None:
    along = two.heading == 0
    canvas.contact(
        two.x, two.z, 0.25 if along else 0.8, 1.6 if along else 0.4, 1.6 if two.rider is not None else 0.8
    )
    pen = canvas.pen(CLASS[two.kind], two.x, two.z, two.hue)
    body = canvas.pen(CLASS["rider"], two.x, two.z, two.rider or 0)
    if along:
        _from_behind(pen, body, two)
    else:
        (_bicycle if two.kind == "bicycle" else _motorcycle)(pen, body, two)


def _bicycle(pen: Pen, body: Pen, two: TwoWheeler) -> None:
    way = two.heading

    def tube(x0: float, y0: float, x1: float, y1: float, width: float = 0.07) -> None:
        pen.line("frame paint", way * x0, y0, way * x1, y1, width)

    for x in (-0.52, 0.52):
        pen.ring("tyre", x, 0.34, 0.34, 0.07)
    tube(-0.52, 0.34, -0.2, 0.82)
    tube(-0.52, 0.34, -0.05, 0.34)
    tube(-0.05, 0.34, -0.24, 0.88)
    tube(-0.2, 0.76, 0.36, 0.8)
    tube(-0.05, 0.34, 0.38, 0.76)
    tube(0.52, 0.34, 0.36, 0.98)
    pen.line("tyre", way * -0.36, 0.92, way * -0.1, 0.92, 0.08)
    pen.line("tyre", way * 0.28, 1.0, way * 0.5, 1.02, 0.07)
    if two.rider is not None:
        body.line("trousers", way * -0.2, 0.95, way * 0.12, 0.62, 0.16)
        body.line("trousers", way * 0.12, 0.62, way * -0.02, 0.24, 0.14)
        draw_human(body, way * -0.2, 0.92, 1.0, way, 0.42, 0.22)


def _motorcycle(pen: Pen, body: Pen, two: TwoWheeler) -> None:
    way = two.heading
    for x in (-0.66, 0.68):
        pen.disc("tyre", x, 0.33, 0.33)
        pen.disc("hub", x, 0.33, 0.15)
    pen.poly("chassis", [(way * x, y) for x, y in ((-0.4, 0.3), (0.3, 0.28), (0.34, 0.6), (-0.3, 0.62))])
    pen.poly(
        "frame paint",
        [
            (way * x, y)
            for x, y in ((-0.8, 0.72), (-0.2, 0.6), (0.34, 0.64), (0.4, 0.92), (0.05, 0.98), (-0.2, 0.82))
        ],
    )
    pen.poly("tyre", [(way * x, y) for x, y in ((-0.85, 0.78), (-0.1, 0.78), (-0.05, 0.9), (-0.8, 0.9))])
    pen.line("hub", way * 0.68, 0.33, way * 0.42, 1.05, 0.09)
    pen.line("tyre", way * 0.3, 1.1, way * 0.5, 1.08, 0.08)
    pen.disc("headlamp", way * 0.54, 0.9, 0.1)
    pen.disc("tail lamp", way * -0.86, 0.74, 0.06)
    if two.rider is not None:
        body.line("trousers", way * -0.22, 0.9, way * 0.16, 0.76, 0.2)
        body.line("trousers", way * 0.16, 0.76, way * 0.02, 0.34, 0.17)
        draw_human(body, way * -0.24, 0.88, 1.0, way, 0.44, 0.14)
        _helmet(body, way * -0.1, 1.6)
    _plate(pen, two.plate, -0.02 * way, 0.46, 0.6 * DIGIT)


def _helmet(body: Pen, x: float, y: float) -> None:
    body.disc("helmet", x, y, 0.16)
    body.rect("glass", x - 0.1, y - 0.06, x + 0.1, y + 0.03)


def _from_behind(pen: Pen, body: Pen, two: TwoWheeler) -> None:
    motor = two.kind == "motorcycle"
    wheel = 0.12 if motor else 0.05
    pen.rect("tyre", -wheel, 0, wheel, 0.66)
    pen.line("tyre", -0.36, 1.02, 0.36, 1.02, 0.07)
    for side in (-1, 1):
        body.line("trousers", 0.12 * side, 0.92, 0.24 * side, 0.5, 0.18)
        body.line("trousers", 0.24 * side, 0.5, 0.2 * side, 0.2, 0.14)
    if motor:
        pen.poly("frame paint", [(-0.2, 0.62), (0.2, 0.62), (0.24, 0.9), (-0.24, 0.9)])
        pen.rect("tail lamp", -0.12, 0.78, 0.12, 0.86)
    draw_human(body, 0, 0.88, 1.0, 0, 0.3)
    if motor:
        _helmet(body, 0, 1.6)
        _plate(pen, two.plate, 0, 0.58, 0.7 * DIGIT)
