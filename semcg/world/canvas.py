"""The sheet that a scene is drawn on: camera, projection, pen, and the buffer of part numbers.

Each part drawn gets a number of its own, and the sheet stores, three times as fine as the picture, the number
of the part that is seen. Everything else follows from it by a table look-up: the class of the center
sub-pixel is the exact label; the mean color of nine sub-pixels is an anti-aliased picture, in any style, of
the same scene.
"""

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from semcg.labels import IGNORE, names

FINE = 3  # sub-pixels along the side of a pixel
FOCAL = 1.62  # focal length in image heights
NEAREST = 1.0  # meters; nearer points are moved there
GROUND, SKY = -1.0, -2.0  # depths that mean "by the row": of the ground plane and of the sky
CONTACT, CAST = 128, 255  # values of the shadow mask: under a thing, and thrown by the sun
TRAIN_ID = {name: train_id for train_id, name in enumerate(names())} | {"ignored": IGNORE}
# A row of the table of parts: train id, material in `styles.toml`, number of the color, factor on it, meters.
PART = np.dtype([("label", "u1"), ("material", object), ("hue", "i8"), ("shade", "f4"), ("depth", "f4")])

# Glyphs of 3 x 5 cells: a digit per row from the top, its bits from the left. No font file to differ.
_ROWS = "75557 26227 71747 71717 55711 74717 74757 71122 75757 75717 74717 72222 75557 75744"
GLYPHS = dict(zip("0123456789STOP", _ROWS.split(), strict=True))

Point = tuple[float, float, float]  # meters: X right, Y up, Z forward


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole of focal length 1.62 image heights that looks straight down the street."""

    x: float
    height: float
    horizon: float  # its row as a fraction of the image height
    center: float  # column of the vanishing point as a fraction of the image width


class Drawing(NamedTuple):
    """A finished sheet."""

    ids: np.ndarray  # (3 H, 3 W) int32: number of the part seen
    shadow: np.ndarray  # (3 H, 3 W) uint8: 0, CONTACT or CAST; it darkens the ground alone
    parts: np.ndarray  # (parts,) of PART
    camera: Camera
    texts: list[dict]  # plates and signs: kind, text, digit_px, sub-pixel box and range of part numbers

    def labels(self) -> np.ndarray:
        """Return the train ids (H, W) uint8: the class of each pixel's center sub-pixel."""
        return self.parts["label"][self.ids[FINE // 2 :: FINE, FINE // 2 :: FINE]]

    def annotations(self) -> list[dict]:
        """Return the plates and signs whose text is at least partly seen, nearest first."""
        height, width = (side // FINE for side in self.ids.shape)
        visible = []
        for text in self.texts:
            left, top, right, bottom = text["box"]
            seen = self.ids[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
            first, end = text["parts"]
            count = int(np.count_nonzero((seen >= first) & (seen < end)))
            if count:
                box = np.clip(np.divide(text["box"], FINE), 0, (width, height) * 2)
                note = {"kind": text["kind"], "text": text["text"], "box": box.round(3).tolist()}
                note["digit_px"] = round(text["digit_px"], 3)
                note["visible"] = round(count / max(1, (right - left) * (bottom - top)), 4)
                visible.append(note)
        return sorted(visible, key=lambda note: (-note["digit_px"], note["box"]))


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) as integers, or raise ValueError if they are not two integers of at least 16."""
    if not isinstance(size, (tuple, list)) or len(size) != 2 or any(int(n) != n or n < 16 for n in size):
        raise ValueError(f"size is {size!r}; it must be (height, width), two integers of at least 16")
    return int(size[0]), int(size[1])


class Canvas:
    """A sheet for an image of (height, width) pixels, empty at first."""

    def __init__(self, camera: Camera, sun: int, size: tuple[int, int]) -> None:
        self.camera, self.sun, self.size = camera, sun, checked_size(size)
        height, width = self.size
        self.focal = FOCAL * height
        self._center, self._horizon = width * camera.center, height * camera.horizon
        self.rows: list[tuple] = []  # of PART
        self.texts: list[dict] = []
        self._ids, self._shadow = (Image.new(mode, (FINE * width, FINE * height)) for mode in ("I", "L"))
        self.ids, self._shade = ImageDraw.Draw(self._ids), ImageDraw.Draw(self._shadow)

    def project(self, x: float, y: float, z: float) -> tuple[int, int]:
        """Return column and row of the sub-pixel that a point of the world falls on."""
        scale = self.focal / max(z, NEAREST)
        column = self._center + scale * (x - self.camera.x)
        row = self._horizon + scale * (self.camera.height - y)
        # Through 1/64 px, in integers: the last bit of a sine, which machines disagree on, moves no edge.
        return (FINE * round(64 * column) + 32) // 64, (FINE * round(64 * row) + 32) // 64

    def part(self, label: str, material: str, hue: int = 0, shade: float = 1.0, depth: float = SKY) -> int:
        """Enter a part into the table and return its number."""
        self.rows.append((TRAIN_ID[label], material, hue, shade, depth))
        return len(self.rows) - 1

    def fill(self, part: int, points: list[Point]) -> None:
        """Fill a polygon whose corners are points of the world."""
        self.ids.polygon([self.project(*p) for p in points], fill=part)

    def box(self, part: int, x0: int, y0: int, x1: int, y1: int) -> None:
        """Fill the sub-pixels x0 <= x < x1, y0 <= y < y1, at least one each way."""
        self.ids.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), fill=part)

    def ellipse(self, part: int, center: Point, radius_x: float, radius_y: float, rim: float = 0.0) -> None:
        """Fill an upright ellipse, or draw its rim of a width in meters."""
        x, y, z = center
        left, top = self.project(x - radius_x, y + radius_y, z)
        right, bottom = self.project(x + radius_x, y - radius_y, z)
        corners = (left, top, max(left, right), max(top, bottom))
        if rim:
            self.ids.ellipse(corners, outline=part, width=max(1, round(FINE * self.focal * rim / z)))
        else:
            self.ids.ellipse(corners, fill=part)

    def ground(self, label: str, material: str, x0: float, z0: float, x1: float, z1: float, shade=1.0):
        """Lay a rectangle on the ground."""
        part = self.part(label, material, 0, shade, GROUND)
        self.fill(part, [(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)])

    def shadow(self, value: int, points: list[tuple[float, float]]) -> None:
        """Darken a polygon of the ground, given by (x, z)."""
        self._shade.polygon([self.project(x, 0, z) for x, z in points], fill=value)

    def contact(self, x: float, z: float, half: float, length: float = 0.5, height: float = 1.0) -> None:
        """Darken the ground under a thing, and where the sun throws its shadow."""
        away, end = x - self.sun * 0.75 * height, z + length
        self.shadow(CAST, [(x - half, z), (x + half, z), (away + half, end), (away - half, end)])
        left, right, near = x - 1.08 * half, x + 1.08 * half, z - 0.1
        self.shadow(CONTACT, [(left, near), (right, near), (right, end), (left, end)])

    def finish(self) -> Drawing:
        parts = np.array(self.rows, PART)
        return Drawing(np.asarray(self._ids), np.asarray(self._shadow), parts, self.camera, self.texts)


def inset(quad: list[Point], u0: float, u1: float, v0: float, v1: float) -> list[Point]:
    """Return the part u0..u1, v0..v1 of a quadrilateral (bottom left, bottom right, top right, top left)."""

    def at(u: float, v: float) -> Point:
        a, b, c, d = (1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v
        return tuple(a * p + b * q + c * r + d * s for p, q, r, s in zip(*quad, strict=True))

    return [at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)]


def regular(corners: int, radius: float, y: float = 0.0, turn: float = 0.0) -> list[tuple[float, float]]:
    """Return the corners of a regular polygon about (0, y), turned to the right by so many corners."""
    turns = [2 * math.pi * (turn + k) / corners for k in range(corners)]
    return [(radius * math.sin(t), y + radius * math.cos(t)) for t in turns]


@cache
def _shapes() -> dict:
    return tomllib.loads(Path(__file__).with_name("shapes.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Pen:
    """Draws one thing: it keeps class, position and hue, so that shapes are given in the thing's own meters."""

    canvas: Canvas
    label: str
    x: float
    z: float
    hue: int = 0

    def part(self, material: str, shade: float = 1.0, depth: float | None = None) -> int:
        return self.canvas.part(self.label, material, self.hue, shade, self.z if depth is None else depth)

    def rect(self, material: str, x0: float, y0: float, x1: float, y1: float, shade: float = 1.0) -> tuple:
        """Fill an upright rectangle in the plane of the thing's near end; return its box in sub-pixels."""
        project = self.canvas.project
        corners = (*project(self.x + x0, y1, self.z), *project(self.x + x1, y0, self.z))
        self.canvas.box(self.part(material, shade), *corners)
        return corners

    def poly(self, material: str, points: list[tuple], shade: float = 1.0) -> None:
        """Fill a polygon of (x, y) in the near plane, or of (x, y, meters behind it)."""
        world = [(self.x + p[0], p[1], self.z + (p[2] if len(p) > 2 else 0.0)) for p in points]
        self.canvas.fill(self.part(material, shade, sum(p[2] for p in world) / len(world)), world)

    def line(self, material: str, x0: float, y0: float, x1: float, y1: float, width: float, shade=1.0):
        """Draw a bar between two points of the near plane."""
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        u, v = -(y1 - y0) / length * width / 2, (x1 - x0) / length * width / 2
        self.poly(material, [(x0 + u, y0 + v), (x1 + u, y1 + v), (x1 - u, y1 - v), (x0 - u, y0 - v)], shade)

    def disc(self, material: str, x: float, y: float, radius: float, shade=1.0, tall=1.0, rim=0.0) -> None:
        """Draw a disc `tall` times as high as wide, or only its rim of a width in meters."""
        center = (self.x + x, y, self.z)
        self.canvas.ellipse(self.part(material, shade), center, radius, radius * tall, rim)

    def pair(self, material: str, inner: float, outer: float, low: float, high: float) -> None:
        """Fill the same rectangle left and right of the middle."""
        self.rect(material, -outer, low, -inner, high)
        self.rect(material, inner, low, outer, high)

    def draw(self, thing: str, view: str = "", ahead: int = 1) -> None:
        """Draw a list of `shapes.toml`; -1 for `ahead` mirrors its lines, discs and polygons."""
        shapes = _shapes()[thing]
        for kind, material, *numbers in shapes[view] if view else shapes:
            match kind, *numbers:
                case "line", x0, y0, x1, y1, width:
                    self.line(material, ahead * x0, y0, ahead * x1, y1, width)
                case "disc", x, *rest:
                    self.disc(material, ahead * x, *rest)
                case "poly", corners:
                    self.poly(material, [(ahead * x, y) for x, y in corners])
                case "regular", *rest:
                    self.poly(material, regular(*rest))
                case "rect", *rest:
                    self.rect(material, *rest)
                case "pair", *rest:
                    self.pair(material, *rest)

    def solid(self, material: str, base: tuple, top: tuple) -> tuple[list, list | None]:
        """Draw what is seen of a body with rectangular base and top; return its near and its seen side face.

        `base` and `top` are (half width, height, meters behind the near plane of its front, and of its back).
        """
        (wide, low, front, back), (narrow, high, top_front, top_back) = base, top
        camera = self.canvas.camera
        side = None
        # -1: its left face is seen; 1: its right face.
        seen = int(self.x + wide < camera.x) - int(self.x - wide > camera.x)
        if seen:
            b, t = seen * wide, seen * narrow
            side = [(b, low, front), (b, low, back), (t, high, top_back), (t, high, top_front)]
            self.poly(material, side, 0.98 if seen == self.canvas.sun else 0.8)
        left, right = (-narrow, high, top_front), (narrow, high, top_front)
        if camera.height > high:
            self.poly(material, [left, right, (narrow, high, top_back), (-narrow, high, top_back)], 1.1)
        near = [(-wide, low, front), (wide, low, front), right, left]
        self.poly(material, near)
        return near, side

    def write(self, text: str, x: float, y: float, height: float, board: str, ink: str, kind: str = ""):
        """Write a text centered on (x, y) on a board of its own; a text of a kind is noted with its place.

        `height` is that of the glyphs in meters, `board` and `ink` are materials. The board of a "plate" has a
        margin: 0.82 m x 0.30 m for three digits of 0.216 m.
        """
        first = len(self.canvas.rows)
        unit_x, unit_y = height / 3.43, height / 5
        cells = 4 * len(text) - 1
        margin = 1 if kind == "plate" else 0
        half_x, half_y = (cells / 2 + margin) * unit_x, (2.5 + 0.97 * margin) * unit_y
        box = self.rect(board, x - half_x, y - half_y, x + half_x, y + half_y)
        part, project = self.part(ink), self.canvas.project
        columns = [project(self.x + x + (k - cells / 2) * unit_x, 0, self.z)[0] for k in range(cells + 1)]
        rows = [project(0, y + (2.5 - k) * unit_y, self.z)[1] for k in range(6)]
        for place, glyph in enumerate(text):
            for row, bits in enumerate(GLYPHS[glyph]):
                for column in (c for c in range(3) if int(bits) >> (2 - c) & 1):
                    at = 4 * place + column
                    self.canvas.box(part, columns[at], rows[row], columns[at + 1], rows[row + 1])
        if kind:
            note = {"kind": kind, "text": text, "box": box, "digit_px": self.canvas.focal * height / self.z}
            self.canvas.texts.append(note | {"parts": (first, len(self.canvas.rows))})
