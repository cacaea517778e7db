"""The sheet that a scene is drawn on: projection, pens, and the buffer of part numbers.

Each part drawn gets a number of its own, and the sheet holds, three times as fine as the picture, the number
of the part that is seen. Whatever else is wanted follows from it by a table look-up: the class of the centre
sub-pixel is the exact label; the mean colour of nine sub-pixels is an anti-aliased picture, in any style, of
the same scene.
"""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from semcg.labels import IGNORE, names
from semcg.world.parts import Camera

__all__ = ["CAST", "CLASS", "CONTACT", "FINE", "GROUND", "SKY", "Canvas", "Drawing", "Pen", "inset"]

CLASS = {name: train_id for train_id, name in enumerate(names())}
"""Class name -> train id."""
FINE = 3
"""Sub-pixels along the side of a pixel."""
FOCAL = 1.62
"""Focal length in image heights."""
NEAREST = 1.0
"""Metres; whatever comes nearer is moved there."""
GROUND, SKY = -1.0, -2.0
"""Depths that stand for "by its row": of the ground plane and of the sky."""
CONTACT, CAST = 128, 255
"""Values of the shadow mask: under a thing, and thrown by the sun."""

# Glyphs of 3 x 5 cells: a row per number from the top, its bits from the left. No font file to differ.
FONT = {
    "0": (7, 5, 5, 5, 7),
    "1": (2, 6, 2, 2, 7),
    "2": (7, 1, 7, 4, 7),
    "3": (7, 1, 7, 1, 7),
    "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7),
    "6": (7, 4, 7, 5, 7),
    "7": (7, 1, 1, 2, 2),
    "8": (7, 5, 7, 5, 7),
    "9": (7, 5, 7, 1, 7),
    "S": (7, 4, 7, 1, 7),
    "T": (7, 2, 2, 2, 2),
    "O": (7, 5, 5, 5, 7),
    "P": (7, 5, 7, 4, 4),
}

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Drawing:
    """A finished sheet."""

    ids: np.ndarray
    """(3 H, 3 W) int32: number of the part seen."""
    shadow: np.ndarray
    """(3 H, 3 W) uint8: 0, CONTACT or CAST, for the ground alone."""
    classes: np.ndarray
    """(parts,) uint8 train ids."""
    materials: list[str]
    """(parts,)"""
    hues: np.ndarray
    """(parts,) int64."""
    shades: np.ndarray
    """(parts,) float32 factor on the colour."""
    depths: np.ndarray
    """(parts,) float32 metres, or GROUND, or SKY."""
    camera: Camera
    texts: list[dict]
    """Plates and signs with text: kind, text, height, sub-pixel box and the range of part numbers."""

    def labels(self) -> np.ndarray:
        """Return the train ids (H, W) uint8: the class of each pixel's centre sub-pixel."""
        return self.classes[self.ids[FINE // 2 :: FINE, FINE // 2 :: FINE]]

    def row_depths(self) -> np.ndarray:
        """Return the depth (3 H,) float32 of the ground in each row of sub-pixels; 1e4 above the horizon."""
        height = len(self.ids)
        below = np.maximum(np.arange(height) + 0.5 - self.camera.horizon * height, 1e-3)
        return np.minimum(FOCAL * height * self.camera.height / below, 1e4).astype(np.float32)


@dataclass
class Canvas:
    """A sheet for an image of (height, width) pixels, empty at first."""

    camera: Camera
    sun: int
    size: tuple[int, int]
    rows: list[tuple] = field(default_factory=list)
    texts: list[dict] = field(default_factory=list)

    def __post_init__(self):
        height, width = self.size
        self._ids = Image.new("I", (FINE * width, FINE * height))
        self._shadow = Image.new("L", (FINE * width, FINE * height))
        self._draw, self._draw_shadow = ImageDraw.Draw(self._ids), ImageDraw.Draw(self._shadow)
        self.focal = FOCAL * height
        self._center = width * self.camera.center
        self._horizon = height * self.camera.horizon

    def project(self, x: float, y: float, z: float) -> tuple[int, int]:
        """Return column and row of the sub-pixel that a point of the world falls on."""
        scale = self.focal / max(z, NEAREST)
        column = self._center + scale * (x - self.camera.x)
        row = self._horizon + scale * (self.camera.height - y)
        # Through 1/64 px, in integers: the last bit of a sine, which machines disagree on, moves no edge.
        return (FINE * round(64 * column) + 32) // 64, (FINE * round(64 * row) + 32) // 64

    def part(self, train_id: int, material: str, hue: int = 0, shade: float = 1.0, depth: float = SKY) -> int:
        """Enter a part into the table and return its number."""
        self.rows.append((train_id, material, hue, shade, depth))
        return len(self.rows) - 1

    def fill(self, part: int, points: list[Point]) -> None:
        """Fill a polygon whose corners are points of the world."""
        self._draw.polygon([self.project(*p) for p in points], fill=part)

    def box(self, part: int, x0: int, y0: int, x1: int, y1: int) -> None:
        """Fill the sub-pixels x0 <= x < x1, y0 <= y < y1, at least one each way."""
        self._draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), fill=part)

    def outline(self, part: int, points: list[tuple[float, float]]) -> None:
        """Fill a polygon whose corners are given in pixels of the image."""
        self._draw.polygon([(round(FINE * x), round(FINE * y)) for x, y in points], fill=part)

    def ellipse(self, part: int, center: Point, radius_x: float, radius_y: float) -> None:
        x, y, z = center
        left, top = self.project(x - radius_x, y + radius_y, z)
        right, bottom = self.project(x + radius_x, y - radius_y, z)
        self._draw.ellipse((left, top, max(left, right), max(top, bottom)), fill=part)

    def ring(self, part: int, center: Point, radius: float, width: float) -> None:
        x, y, z = center
        left, top = self.project(x - radius, y + radius, z)
        right, bottom = self.project(x + radius, y - radius, z)
        thick = max(1, round(FINE * self.focal * width / z))
        self._draw.ellipse((left, top, max(left, right), max(top, bottom)), outline=part, width=thick)

    def ground(
        self, train_id: int, material: str, x0: float, z0: float, x1: float, z1: float, shade: float = 1.0
    ):
        """Lay a rectangle on the ground."""
        part = self.part(train_id, material, 0, shade, GROUND)
        self.fill(part, [(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)])

    def shadow(self, value: int, points: list[tuple[float, float]]) -> None:
        """Darken a polygon of the ground, given by (x, z)."""
        self._draw_shadow.polygon([self.project(x, 0, z) for x, z in points], fill=value)

    def contact(self, x: float, z: float, half: float, length: float = 0.5, height: float = 1.0) -> None:
        """Darken the ground under a thing, and where the sun throws its shadow."""
        away, end = x - self.sun * 0.75 * height, z + length
        self.shadow(CAST, [(x - half, z), (x + half, z), (away + half, end), (away - half, end)])
        left, right, near = x - 1.08 * half, x + 1.08 * half, z - 0.1
        self.shadow(CONTACT, [(left, near), (right, near), (right, end), (left, end)])

    def pen(self, train_id: int, x: float, z: float, hue: int = 0) -> "Pen":
        return Pen(self, train_id, x, z, hue)

    def write(
        self, pen: "Pen", kind: str, text: str, x: float, y: float, height: float, inks: tuple[str, str]
    ):
        """Write a text centred on (x, y) of a pen's plane, on a board of their own, and note where.

        `height` is that of its glyphs in metres; `inks` are the materials of board and glyphs. The board of
        a "plate" has a margin: 0.82 m x 0.30 m for three digits of 0.216 m.
        """
        paper, ink = inks
        first = len(self.rows)
        unit_x, unit_y = height / 3.43, height / 5
        cells = 4 * len(text) - 1
        margin = 1 if kind == "plate" else 0
        half_x, half_y = (cells / 2 + margin) * unit_x, (2.5 + 0.97 * margin) * unit_y
        pen.rect(paper, x - half_x, y - half_y, x + half_x, y + half_y)
        part = pen.part(ink)
        columns = [self.project(pen.x + x + (k - cells / 2) * unit_x, 0, pen.z)[0] for k in range(cells + 1)]
        rows = [self.project(0, y + (2.5 - k) * unit_y, pen.z)[1] for k in range(6)]
        for place, glyph in enumerate(text):
            for row, bits in enumerate(FONT[glyph]):
                for column in (c for c in range(3) if bits >> (2 - c) & 1):
                    at = 4 * place + column
                    self.box(part, columns[at], rows[row], columns[at + 1], rows[row + 1])
        box = (
            *self.project(pen.x + x - half_x, y + half_y, pen.z),
            *self.project(pen.x + x + half_x, y - half_y, pen.z),
        )
        note = {"kind": kind, "text": text, "box": box, "digit_px": self.focal * height / pen.z}
        self.texts.append(note | {"parts": (first, len(self.rows))})

    def finish(self) -> Drawing:
        classes, materials, hues, shades, depths = zip(*self.rows, strict=True)
        return Drawing(
            ids=np.asarray(self._ids),
            shadow=np.asarray(self._shadow),
            classes=np.array(classes, np.uint8),
            materials=list(materials),
            hues=np.array(hues),
            shades=np.array(shades, np.float32),
            depths=np.array(depths, np.float32),
            camera=self.camera,
            texts=self.texts,
        )


def inset(quad: list[Point], u0: float, u1: float, v0: float, v1: float) -> list[Point]:
    """Return the part u0..u1, v0..v1 of a quadrilateral (bottom left, bottom right, top right, top left)."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz), (dx, dy, dz) = quad

    def at(u: float, v: float) -> Point:
        a, b, c, d = (1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v
        return (
            a * ax + b * bx + c * cx + d * dx,
            a * ay + b * by + c * cy + d * dy,
            a * az + b * bz + c * cz + d * dz,
        )

    return [at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)]


@dataclass(frozen=True)
class Pen:
    """Draws one thing: holds its class, its place and its hue, so that shapes are given in its own metres."""

    canvas: Canvas
    train_id: int
    x: float
    z: float
    hue: int = 0

    def part(self, material: str, shade: float = 1.0, depth: float | None = None) -> int:
        return self.canvas.part(self.train_id, material, self.hue, shade, self.z if depth is None else depth)

    def rect(self, material: str, x0: float, y0: float, x1: float, y1: float, shade: float = 1.0) -> None:
        """Fill an upright rectangle in the plane of the thing's near end."""
        left, top = self.canvas.project(self.x + x0, y1, self.z)
        right, bottom = self.canvas.project(self.x + x1, y0, self.z)
        self.canvas.box(self.part(material, shade), left, top, right, bottom)

    def poly(self, material: str, points: list[tuple], shade: float = 1.0) -> None:
        """Fill a polygon of (x, y) in the near plane, or of (x, y, metres behind it)."""
        world = [(self.x + p[0], p[1], self.z + (p[2] if len(p) > 2 else 0.0)) for p in points]
        self.canvas.fill(self.part(material, shade, sum(p[2] for p in world) / len(world)), world)

    def line(
        self, material: str, x0: float, y0: float, x1: float, y1: float, width: float, shade: float = 1.0
    ):
        """Draw a bar between two points of the near plane."""
        long = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        u, v = -(y1 - y0) / long * width / 2, (x1 - x0) / long * width / 2
        self.poly(material, [(x0 + u, y0 + v), (x1 + u, y1 + v), (x1 - u, y1 - v), (x0 - u, y0 - v)], shade)

    def disc(self, material: str, x: float, y: float, radius: float, shade: float = 1.0, tall: float = 1.0):
        self.canvas.ellipse(self.part(material, shade), (self.x + x, y, self.z), radius, radius * tall)

    def ring(
        self, material: str, x: float, y: float, radius: float, width: float, shade: float = 1.0
    ) -> None:
        self.canvas.ring(self.part(material, shade), (self.x + x, y, self.z), radius, width)

    def solid(self, material: str, base: tuple, top: tuple) -> tuple[list, list | None]:
        """Draw what is seen of a body with rectangular base and top; return its near and its seen side face.

        `base` and `top` are (half width, height, metres behind the near plane of its front, and of its back).
        """
        (wide, low, front, back), (narrow, high, top_front, top_back) = base, top
        camera = self.canvas.camera
        sees = -1 if self.x - wide > camera.x else 1 if self.x + wide < camera.x else 0
        side = None
        if sees:
            b, t = sees * wide, sees * narrow
            side = [(b, low, front), (b, low, back), (t, high, top_back), (t, high, top_front)]
            self.poly(material, side, 0.98 if sees == self.canvas.sun else 0.8)
        if camera.height > high:
            t = narrow
            roof = [(-t, high, top_front), (t, high, top_front), (t, high, top_back), (-t, high, top_back)]
            self.poly(material, roof, 1.1)
        left, right = (-wide, low, front), (wide, low, front)
        near = [left, right, (narrow, high, top_front), (-narrow, high, top_front)]
        self.poly(material, near)
        return near, side

    def void(self) -> "Pen":
        """Return the same pen for parts that nobody scores."""
        return Pen(self.canvas, IGNORE, self.x, self.z, self.hue)
