"""What stands or moves in a street, as frozen records that can draw themselves: posts, people, vehicles.

Lengths are in meters; x, z is the position of the near end. Every motor vehicle on the road has a plate.
"""

from typing import NamedTuple

from semcg.world.canvas import Canvas, Pen, inset, regular

DIGIT = 0.216  # height of a plate's digits: deliberately toy-sized, so that 128 rows are enough to read them
LENGTH = {"car": 4.2, "truck": 6.2, "bus": 10.0, "train": 22.0}


def _stand(canvas: Canvas, thing, label: str, half: float, length: float, height: float, hue: int = 0) -> Pen:
    """Darken the ground under a thing and return a pen that draws it."""
    canvas.contact(thing.x, thing.z, half, length, height)
    return Pen(canvas, label, thing.x, thing.z, hue)


class Lamp(NamedTuple):
    x: float
    z: float
    height: float

    def draw(self, canvas: Canvas) -> None:
        pen = _stand(canvas, self, "pole", 0.1, 0.2, 3.0)
        inward, top = -1 if self.x > 0 else 1, self.height
        pen.rect("pole", -0.09, 0, 0.09, 0.9, 0.8)
        pen.poly("pole", [(-0.055, 0), (0.055, 0), (0.035, top), (-0.035, top)])
        pen.line("pole", 0, top - 0.05, 1.5 * inward, top + 0.25, 0.07)
        head = ((1.2, 0.1), (2.0, 0.14), (1.9, 0.36), (1.25, 0.34))
        pen.poly("lamp", [(x * inward, top + y) for x, y in head])


class TrafficLight(NamedTuple):
    x: float
    z: float
    state: int  # 0 red, 1 amber, 2 green

    def draw(self, canvas: Canvas) -> None:
        _stand(canvas, self, "pole", 0.1, 0.2, 2.0).rect("pole", -0.06, 0, 0.06, 2.6)
        pen = Pen(canvas, "traffic light", self.x, self.z)
        pen.rect("light box", -0.22, 2.5, 0.22, 3.6)
        for k, lamp in enumerate(("red lamp", "amber lamp", "green lamp")):
            pen.disc(lamp, 0, 3.38 - 0.33 * k, 0.14, 1.0 if k == self.state else 0.28)


class Sign(NamedTuple):
    x: float
    z: float
    kind: str  # "limit", "warning", "arrow", "stop", "entry" or "priority"
    text: str  # the number of a speed limit; other signs have none

    def draw(self, canvas: Canvas) -> None:
        _stand(canvas, self, "pole", 0.08, 0.2, 2.0).rect("pole", -0.04, 0, 0.04, 2.45)
        pen = Pen(canvas, "traffic sign", self.x, self.z)
        pen.draw("sign", self.kind)
        if self.text:
            pen.write(self.text, 0, 2.45, 0.3, "sign white", "sign black", "sign")
        if self.kind == "stop":
            pen.write("STOP", 0, 2.45, 0.15, "sign red", "sign white")


class Bin(NamedTuple):
    x: float
    z: float

    def draw(self, canvas: Canvas) -> None:
        _stand(canvas, self, "ignored", 0.3, 0.5, 0.9).draw("bin")


class Person(NamedTuple):
    x: float
    z: float
    height: float
    stride: float
    facing: int  # -1 walks to the left, 1 to the right, 0 along the street
    hue: int

    def draw(self, canvas: Canvas) -> None:
        pen = _stand(canvas, self, "person", 0.22, 0.3, self.height, self.hue)
        tall, step = self.height / 1.75, self.stride if self.facing else 0.13
        for x, shade in ((-step, 0.85), (step, 1.0)):
            pen.line("trousers", 0.45 * x, 0.88 * tall, x, 0.06, 0.17 * tall, shade)
            pen.rect("shoe", x - 0.1 + 0.05 * self.facing, 0, x + 0.1 + 0.05 * self.facing, 0.09)
        _draw_body(pen, 0, 0.85 * tall, tall, self.facing, reach=self.stride)


def _draw_body(pen: Pen, x: float, seat: float, tall: float, facing: int, reach: float, forward: float = 0.0):
    """Draw head, trunk and arms above the height `seat`; `forward` bends the back, `reach` moves hands."""
    neck, lean = seat + 0.56 * tall, x + forward * facing
    shoulders = [(lean + 0.23, neck - 0.05), (lean + 0.1, neck + 0.03)]
    shoulders += [(lean - 0.1, neck + 0.03), (lean - 0.23, neck - 0.05)]
    pen.poly("shirt", [(x - 0.17, seat), (x + 0.17, seat), *shoulders])
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
    hair = ((-0.13, 0.17), (-0.1, 0.3), (0.1, 0.3), (0.13, 0.17))
    pen.poly("hair", [(lean + dx - 0.03 * facing, neck + dy * tall) for dx, dy in hair])


class Vehicle(NamedTuple):
    kind: str  # "car", "truck", "bus" or "train"
    x: float
    z: float
    oncoming: bool
    hue: int
    plate: str  # three digits; a tram has none
    line: str  # number of the line; only buses and trams have one
    tall: float  # factor on the height of a car's cabin

    def draw(self, canvas: Canvas) -> None:
        bodies = {
            "car": (0.88, 1.4, self._draw_car),
            "truck": (1.2, 3.2, self._draw_truck),
            "bus": (1.25, 3.0, self._draw_bus),
            "train": (1.2, 3.3, self._draw_tram),
        }
        half_width, height, draw = bodies[self.kind]
        length = LENGTH[self.kind]
        draw(_stand(canvas, self, self.kind, half_width, length, height, self.hue), length)

    def _draw_car(self, pen: Pen, length: float) -> None:
        waist, roof = 0.86, 0.86 + 0.56 * self.tall
        # The cabin is above the rear axle: near the camera from behind, a hood's length away from the front.
        base, top = ((1.15, 4.05), (1.8, 3.6)) if self.oncoming else ((0.12, 2.9), (0.55, 2.3))
        pen.pair("tire", 0.84 - 0.24, 0.84, 0, 0.36)
        pen.rect("chassis", -0.62, 0.2, 0.62, 0.36)
        _, side = pen.solid("paint", (0.88, 0.3, 0, length), (0.85, waist, 0.04, length - 0.05))
        if side:
            pen.poly("chassis", inset(side, 0.02, 0.98, 0, 0.12))
            pen.poly("paint", inset(side, 0.42, 0.435, 0.15, 0.95), 0.6)
        _draw_wheels(pen, 0.885, (0.75, length - 0.8))
        window, flank = pen.solid("paint", (0.8, waist, *base), (0.62, roof, *top))
        pen.poly("glass", inset(window, 0.07, 0.93, 0.1, 0.86))
        _draw_glint(pen, window, 0.12, 0.5, 0.86)
        if flank:
            for u0, u1 in ((0.07, 0.46), (0.52, 0.93)):
                pen.poly("glass", inset(flank, u0, u1, 0.12, 0.86), 0.9)
        pen.draw("car", "front" if self.oncoming else "rear")
        _write_plate(pen, self.plate, 0, 0.555)

    def _draw_truck(self, pen: Pen, length: float) -> None:
        pen.pair("tire", 1.15 - 0.4, 1.15, 0, 0.6)
        if self.oncoming:
            pen.solid("load", (1.2, 0.75, 1.7, length), (1.2, 3.3, 1.7, length))
            near, side = pen.solid("paint", (1.15, 0.45, 0, 1.6), (1.1, 2.6, 0.25, 1.6))
            pen.poly("glass", inset(near, 0.07, 0.93, 0.52, 0.9))
            _draw_glint(pen, near, 0.12, 0.66, 0.9)
            pen.draw("truck", "front")
            if side:
                pen.poly("glass", inset(side, 0.25, 0.8, 0.52, 0.88))
        else:
            pen.solid("paint", (1.1, 0.5, length - 1.6, length), (1.05, 2.5, length - 1.6, length))
            near, side = pen.solid("load", (1.2, 0.75, 0, length - 1.8), (1.2, 3.3, 0, length - 1.8))
            for u in (0.04, 0.495, 0.95):
                pen.poly("load", inset(near, u, u + 0.012, 0.03, 0.97), 0.7)
            pen.poly("load", inset(near, 0, 1, 0.97, 1), 0.75)
            pen.draw("truck", "rear")
        if side:
            pen.poly("chassis", inset(side, 0, 1, 0, 0.05))
        _draw_wheels(pen, 1.2, (0.9, length - 1.2), 0.45)
        _write_plate(pen, self.plate, 0, 0.72 if self.oncoming else 0.98)

    def _draw_bus(self, pen: Pen, length: float) -> None:
        pen.pair("tire", 1.15 - 0.35, 1.15, 0, 0.5)
        near, side = pen.solid("bus", (1.25, 0.35, 0, length), (1.2, 3.0, 0.05, length))
        _draw_windows(pen, near, side, 6, 0.48, 0.86)
        _draw_wheels(pen, 1.25, (2.2, length - 2.4), 0.48)
        pen.rect("sign black", -0.75, 2.6, 0.75, 2.92)
        pen.write(self.line, 0, 2.76, 0.24, "sign black", "display")
        lamp = "headlamp" if self.oncoming else "tail lamp"
        pen.pair(lamp, 0.98 - 0.16, 0.98 + 0.16, 0.72, 0.95)
        pen.rect("chassis", -1.25, 0.32, 1.25, 0.52)
        _write_plate(pen, self.plate, 0, 0.78)

    def _draw_tram(self, pen: Pen, length: float) -> None:
        near, side = pen.solid("tram", (1.2, 0.3, 0, length), (1.1, 3.3, 0.25, length))
        _draw_windows(pen, near, side, 11, 0.42, 0.8, "tram band")
        pen.poly("tram band", inset(near, 0, 1, 0.18, 0.32))
        pen.rect("sign black", -0.55, 2.72, 0.55, 3.04)
        pen.write(self.line, 0, 2.88, 0.24, "sign black", "display")
        lamp = "headlamp" if self.oncoming else "tail lamp"
        pen.pair(lamp, 0.8 - 0.14, 0.8 + 0.14, 0.95, 1.15)
        pen.rect("chassis", -1.2, 0.15, 1.2, 0.45)
        pen.draw("train", "pantograph")


def _write_plate(pen: Pen, text: str, x: float, y: float, digit: float = DIGIT) -> None:
    pen.write(text, x, y, digit, "plate", "plate ink", "plate")


def _draw_wheels(pen: Pen, half: float, places: tuple[float, ...], radius: float = 0.32) -> None:
    """Draw the wheels of the side that is seen; `places` are meters behind the near end."""
    offset = pen.x - pen.canvas.camera.x
    if abs(offset) < half:
        return
    x = -half if offset > 0 else half
    for place in places:
        for material, size in (("tire", radius), ("hub", 0.5 * radius)):
            pen.poly(material, [(x, radius + y, place + z) for y, z in regular(10, size)])


def _draw_glint(pen: Pen, face: list, left: float, low: float, high: float) -> None:
    """Draw the slanting reflection of the sky in a window."""
    a, _, c, d = inset(face, left, left + 0.16, low, high)
    b = inset(face, left + 0.1, left + 0.16, low, high)[0]
    shift = 0.5 * (c[0] - d[0])
    pen.poly("glint", [a, b, (c[0] + shift, *c[1:]), (d[0] + shift, *d[1:])])


def _draw_windows(pen: Pen, near: list, side: list | None, count: int, low: float, high: float, band=""):
    """Draw the window of the near end of a bus or tram, and `count` windows along its side, above a band."""
    pen.poly("glass", inset(near, 0.08, 0.92, low - 0.04, high - 0.04))
    _draw_glint(pen, near, 0.14, low + 0.12, high - 0.04)
    if side:
        pen.poly("chassis", inset(side, 0, 1, 0, 0.06))
        if band:
            pen.poly(band, inset(side, 0, 1, 0.18, 0.32), 0.9)
        for k in range(count):
            pen.poly("glass", inset(side, (k + 0.1) / count, (k + 0.9) / count, low, high), 0.95)


class TwoWheeler(NamedTuple):
    kind: str  # "bicycle" or "motorcycle"
    x: float
    z: float
    heading: int  # -1 seen from its left, 1 from its right, 0 from behind
    hue: int
    plate: str  # a bicycle has none
    rider: int | None  # hue of the rider; None where it is parked

    def draw(self, canvas: Canvas) -> None:
        half, length = (0.8, 0.4) if self.heading else (0.25, 1.6)
        height = 0.8 if self.rider is None else 1.6
        pen = _stand(canvas, self, self.kind, half, length, height, self.hue)
        body = Pen(canvas, "rider", self.x, self.z, self.rider or 0)
        if not self.heading:
            self._draw_from_behind(pen, body)
        elif self.kind == "bicycle":
            self._draw_bicycle(pen, body)
        else:
            self._draw_motorcycle(pen, body)

    def _draw_bicycle(self, pen: Pen, body: Pen) -> None:
        ahead = self.heading
        pen.draw("bicycle", "side", ahead)
        if self.rider is not None:
            body.draw("bicycle", "legs", ahead)
            _draw_body(body, ahead * -0.2, 0.92, 1.0, ahead, 0.42, 0.22)

    def _draw_motorcycle(self, pen: Pen, body: Pen) -> None:
        ahead = self.heading
        pen.draw("motorcycle", "wheels")
        pen.draw("motorcycle", "side", ahead)
        if self.rider is not None:
            body.draw("motorcycle", "legs", ahead)
            _draw_body(body, ahead * -0.24, 0.88, 1.0, ahead, 0.44, 0.14)
            _draw_helmet(body, ahead * -0.1, 1.6)
        _write_plate(pen, self.plate, -0.02 * ahead, 0.46, 0.6 * DIGIT)

    def _draw_from_behind(self, pen: Pen, body: Pen) -> None:
        motor = self.kind == "motorcycle"
        wheel = 0.12 if motor else 0.05
        pen.rect("tire", -wheel, 0, wheel, 0.66)
        pen.line("tire", -0.36, 1.02, 0.36, 1.02, 0.07)
        body.draw("rider", "legs")
        if motor:
            pen.draw("motorcycle", "rear")
        _draw_body(body, 0, 0.88, 1.0, 0, 0.3)
        if motor:
            _draw_helmet(body, 0, 1.6)
            _write_plate(pen, self.plate, 0, 0.58, 0.7 * DIGIT)


def _draw_helmet(body: Pen, x: float, y: float) -> None:
    body.disc("helmet", x, y, 0.16)
    body.rect("glass", x - 0.1, y - 0.06, x + 0.1, y + 0.03)
