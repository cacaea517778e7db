"""The street itself, as frozen records that can draw themselves: ground, facades, trees, what closes the view.

Lengths are in meters, X right, Y up, Z forward. A `hue` is a number that the style of the picture turns into a
color (`semcg.world.styles`); the records know no colors.
"""

import math
from typing import NamedTuple

from semcg.world.canvas import CAST, FINE, SKY, Canvas, Pen, inset

FAR = 90.0  # where the street ends
HORIZON = 400.0  # where the ground ends
FLOOR, BAY = 3.0, 2.3  # from floor to floor and from window to window

Disc = tuple[float, float, float]  # offset to the right, offset upward, radius


class Cloud(NamedTuple):
    x: float
    y: float
    puffs: tuple[Disc, ...]

    def draw(self, canvas: Canvas) -> None:
        for shade, drop in ((0.93, -0.12), (1.0, 0.0)):
            part = canvas.part("sky", "cloud", 0, shade, SKY)
            for x, y, radius in self.puffs:
                canvas.ellipse(part, (self.x + x, self.y + y + drop * radius, 1000), radius, 0.36 * radius)


class Vista(NamedTuple):
    """What closes the view at the end of the street."""

    hills: tuple[float, ...]  # heights of a ridge from left to right; empty where there are no hills
    trees: tuple[Disc, ...]
    houses: tuple[tuple[float, float, float, int], ...]  # from x, to x, height and hue

    def draw_hills(self, canvas: Canvas) -> None:
        if self.hills:
            # A ridge at the horizon's distance, as wide as the view.
            ridge = [(25.0 * (k - 12), height, HORIZON) for k, height in enumerate(self.hills)]
            part = canvas.part("terrain", "hill", depth=150.0)
            canvas.fill(part, [*ridge, (300, 0, HORIZON), (-300, 0, HORIZON)])

    def draw(self, canvas: Canvas) -> None:
        """Draw the houses or the trees that close the street."""
        for x0, x1, height, hue in self.houses:
            pen = Pen(canvas, "building", 0.0, FAR, hue)
            pen.rect("facade", x0, 0, x1, height, 0.9)
            pen.rect("roof", x0, height - 0.6, x1, height + 0.5)
            for floor in range(int(height / FLOOR)):
                for bay in range(int((x1 - x0) / BAY)):
                    x, y = x0 + 0.6 + BAY * bay, FLOOR * floor + 1.0
                    pen.rect("window", x, y, x + 1.2, y + 1.5)
        for shade in (0.8, 1.0):
            for x, y, radius in self.trees:
                pen = Pen(canvas, "vegetation", x, FAR)
                pen.disc("leaf", 0.2 * canvas.sun, y + shade, radius * 1.2 * shade, shade)


class Street(NamedTuple):
    """The ground: a road between two sidewalks, all parallel to Z."""

    half_width: float
    setback: float  # from the edge of the road to the facades
    lanes: bool  # whether each direction has two lanes
    grass: tuple[bool, bool]  # whether a strip of grass lies between sidewalk and facades, left and right
    crossing: float | None  # distance of the zebra crossing
    rails: bool

    def draw(self, canvas: Canvas) -> None:
        half, edge = self.half_width, self.half_width + self.setback
        canvas.ground("terrain", "grass", -600, 1, 600, HORIZON)
        canvas.ground("sidewalk", "sidewalk", -edge, 1, edge, HORIZON)
        for side, grass in zip((-1, 1), self.grass, strict=True):
            if grass:
                canvas.ground("terrain", "grass", side * (edge - 1.3), 1, side * edge, HORIZON)
        for z in range(4, 26, 2):  # the joints of the paving stones, as far as they can be told apart
            for side in (-1, 1):
                canvas.ground("sidewalk", "sidewalk", side * half, z, side * edge, z + 0.07, 0.86)
        canvas.ground("sidewalk", "curb", -half - 0.35, 1, half + 0.35, HORIZON)
        canvas.ground("road", "road", -half, 1, half, HORIZON)
        self._draw_markings(canvas)

    def _draw_markings(self, canvas: Canvas) -> None:
        half = self.half_width
        if not self.rails:
            for z in range(2, 120, 6):
                canvas.ground("road", "yellow line", -0.09, z, 0.09, z + 3.2)
        if self.lanes:
            for x in (2.3 - half, half - 2.3):
                for z in range(3, 90, 6):
                    canvas.ground("road", "white line", x - 0.07, z, x + 0.07, z + 2.4)
        for x in (0.25 - half, half - 0.25):
            canvas.ground("road", "white line", x - 0.06, 1, x + 0.06, 140)
        if self.rails:
            for track in (-1, 1):
                for rail in (-0.72, 0.72):
                    x = track * max(1.3, (half - 2.2) / 2) + rail
                    canvas.ground("road", "rail", x - 0.09, 1, x + 0.09, 140, 0.75)
                    canvas.ground("road", "rail", x - 0.04, 1, x + 0.04, 140)
        if self.crossing is not None:
            for k in range(int(2 * half)):
                x = -half + 0.3 + k
                canvas.ground("road", "white line", x, self.crossing, x + 0.5, self.crossing + 3)


class Tree(NamedTuple):
    x: float
    z: float
    height: float  # of the middle of the crown; of a palm, the top of its trunk
    lean: float
    crown: tuple[Disc, ...]  # of foliage; a palm has none
    fronds: tuple[float, ...]  # directions of a palm's leaves in radians; other trees have none

    def draw(self, canvas: Canvas) -> None:
        """Draw the tree and a round shadow, away from the sun."""
        wide = max((0.8 * (abs(x) + radius) for x, _, radius in self.crown), default=1.1)
        canvas.contact(self.x, self.z, 0.16, 0.3, 0.0)
        x, z = self.x - canvas.sun * (0.5 * self.height), self.z + 0.6
        canvas.shadow(CAST, [(self.x, self.z - 0.1), (self.x, self.z + 0.3), (x, z + 0.3), (x, z - 0.1)])
        turns = [math.pi * k / 6 for k in range(12)]
        canvas.shadow(CAST, [(x + wide * math.cos(t), z + 1.2 * math.sin(t)) for t in turns])
        self.draw_plant(canvas)

    def draw_plant(self, canvas: Canvas) -> None:
        pen = Pen(canvas, "vegetation", self.x, self.z)
        (self._draw_palm if self.fronds else self._draw_broadleaf)(pen)

    def _draw_broadleaf(self, pen: Pen) -> None:
        """Draw a trunk and a crown in three shades: dark first, light last and moved towards the sun."""
        top, lean, sun = self.height, self.lean, pen.canvas.sun
        pen.poly("trunk", [(-0.16, 0), (0.16, 0), (0.1 + lean, top), (-0.1 + lean, top)])
        pen.poly("trunk", [(0.02, 0), (0.16, 0), (0.1 + lean, top), (0.02 + lean, top)], 0.75)
        shades = (("leaf shade", 1.0, -0.12, 1.0), ("leaf", 0.86, 0.06, 1.0), ("leaf light", 0.52, 0.2, 0.7))
        for material, size, lift, share in shades:
            part = pen.part(material)
            for x, y, radius in self.crown[: int(share * len(self.crown))]:
                right = self.x + lean + x + 2.2 * lift * radius * sun
                up = top + y + 2.5 * lift * radius
                pen.canvas.ellipse(part, (right, up, self.z), size * radius, size * radius)

    def _draw_palm(self, pen: Pen) -> None:
        top, lean = self.height, self.lean
        for k in range(5):
            low, high = k / 5, (k + 1) / 5
            x0, x1, wide = lean * low * low, lean * high * high, 0.17 - 0.05 * low
            y0, y1 = top * low, top * high
            ring = [(x0 - wide, y0), (x0 + wide, y0), (x1 + wide, y1), (x1 - wide, y1)]
            pen.poly("palm trunk", ring, 1.0 if k % 2 else 0.85)
        for k, turn in enumerate(self.fronds):
            # A leaf goes up and outward, then droops to its tip; `turn` is its angle from the upright.
            out, up = 1.9 * math.sin(turn), 1.0 * math.cos(turn)
            upper, lower = [], []
            for u, wide in ((0.0, 0.06), (0.3, 0.26), (0.6, 0.24), (0.85, 0.14)):
                x, y = lean + out * u, top + up * u * 1.1 - 1.0 * abs(out) / 1.9 * u * u
                upper.append((x, y + wide))
                lower.append((x, y - wide))
            tip = (lean + out, top + up - 1.25 * abs(out) / 1.9)
            pen.poly(("leaf shade", "leaf", "leaf light")[k % 3], [*upper, tip, *reversed(lower)])


class Facade(NamedTuple):
    """One plot along the street: a building, or a gap that a wall or a fence closes."""

    kind: str  # "building", "wall" or "fence"
    side: int  # -1 left, 1 right
    near: float
    far: float
    height: float
    hue: int
    shop: bool
    curtains: tuple[bool, ...]  # whether they are drawn, window by window, floor by floor; repeats
    trees: tuple[Tree, ...]  # behind the wall or fence

    def shade(self, canvas: Canvas, edge: float) -> None:
        """Darken the sidewalk of the side that the sun shines from, as far as the house is high."""
        if self.side == canvas.sun:
            x0, x1 = self.side * edge, self.side * max(0.0, edge - 0.3 * self.height)
            canvas.shadow(CAST, [(x0, self.near), (x1, self.near + 1), (x1, self.far + 1), (x0, self.far)])

    def draw(self, canvas: Canvas, edge: float) -> None:
        """Draw the plot, whose front is `edge` meters from the middle of the road."""
        light = 1.04 if self.side != canvas.sun else 0.84
        length = self.far - self.near
        front = [(0, 0, 0), (0, 0, length), (0, self.height, length), (0, self.height, 0)]
        pen = Pen(canvas, self.kind, self.side * edge, self.near, self.hue)
        (self._draw_building if self.kind == "building" else self._draw_gap)(pen, front, length, light)

    def _draw_gap(self, pen: Pen, front: list, length: float, light: float) -> None:
        for tree in self.trees:
            tree.draw_plant(pen.canvas)
        if self.kind == "wall":
            pen.poly("wall", front, light)
            pen.poly("coping", inset(front, 0, 1, 0.88, 1), light)
            for k in range(1, 4):
                pen.poly("wall", inset(front, k / 4 - 0.012, k / 4 + 0.012, 0, 0.88), light * 0.85)
            return
        # A fence is labeled solid, as Cityscapes does: what shows between its bars belongs to it.
        pen.poly("hedge", front, light)
        bars = max(2, int(length / 0.8))
        for k in range(bars + 1):
            left, right = max(0, k / bars - 0.12 / length), min(1, k / bars + 0.12 / length)
            pen.poly("bar", inset(front, left, right, 0, 1), light)
        for low in (0.12, 0.86):
            pen.poly("bar", inset(front, 0, 1, low, low + 0.1), light)

    def _draw_building(self, pen: Pen, front: list, length: float, light: float) -> None:
        height, out = self.height, 12.0 * self.side
        # The end wall, which shows where the neighbor is lower or missing.
        pen.poly("facade", [(0, 0), (out, 0), (out, height), (0, height)], 0.93)
        pen.poly("roof", [(0, height - 0.5), (out, height - 0.5), (out, height), (0, height)], 0.93)
        for floor in range(1, int((height - 0.6) / FLOOR)):
            for bay in range(4):
                x, y = self.side * (1.2 + BAY * bay), FLOOR * floor + 0.9
                far = x + self.side * 1.1
                pen.poly("window", [(x, y), (far, y), (far, y + 1.5), (x, y + 1.5)], 0.9)
        bays = max(2, int(length / BAY))
        for bay in reversed(range(bays)):
            near, far = length * bay / bays, length * (bay + 1) / bays
            wall = [(0, 0, near), (0, 0, far), (0, height, far), (0, height, near)]
            pen.poly("facade", wall, light)
            if self.near + near <= 70:
                self._draw_bay(pen, wall, bay, light)
        pen.poly("cornice", inset(front, 0, 1, 1 - 0.75 / height, 1 - 0.5 / height), light)
        eaves, ridge = height - 0.5, -0.04 * out
        roof = [(0, eaves, 0), (0, eaves, length), (ridge, height, length), (ridge, height, 0)]
        pen.poly("roof", roof, light)
        if self.shop and self.near < 60:
            out, stripes = -0.9 * self.side, max(2, int(length / 1.2))
            for k in range(stripes):
                near, far = length * k / stripes, length * (k + 1) / stripes
                cloth = [(0, 3.0, near), (0, 3.0, far), (out, 2.55, far), (out, 2.55, near)]
                pen.poly("awning" if k % 2 else "cloth", cloth, light)

    def _draw_bay(self, pen: Pen, wall: list, bay: int, light: float) -> None:
        """Draw one column of windows, and the shop, door or window at its foot."""
        height = self.height

        def draw(material: str, left: float, right: float, low: float, high: float) -> None:
            pen.poly(material, inset(wall, left, right, low / height, high / height), light)

        for floor in range(max(1, int((height - 0.6) / FLOOR))):
            low = FLOOR * floor + 0.9
            high = min(low + 1.6, height - 0.85)
            if floor == 0 and self.shop:
                draw("shop", 0.06, 0.94, 0.35, 2.5)
            elif floor == 0 and bay == 1:
                draw("door", 0.25, 0.75, 0, 2.2)
            else:
                if self.near < 30:
                    draw("frame", 0.2, 0.8, low - 0.14, high + 0.12)
                curtain = self.curtains[(3 * floor + bay) % len(self.curtains)]
                draw("curtain" if curtain else "window", 0.25, 0.75, low, high)
                if floor and self.near < 22 and self.hue % 3 == 0:
                    draw("flowers", 0.18, 0.82, low - 0.3, low + 0.04)


def draw_hood(canvas: Canvas) -> None:
    """Draw the hood of the car that carries the camera; it is not scored."""
    height, width = canvas.size
    middle, top, half = width * 0.5, 0.965 * height, 0.43 * width
    bends = [k / 8 - 1 for k in range(17)]
    outline = [(middle + u * half, top + 0.045 * height * u * u) for u in bends]
    outline += [(middle + half, height + 1.0), (middle - half, height + 1.0)]
    part = canvas.part("ignored", "hood", depth=2.0)
    canvas.ids.polygon([(round(FINE * x), round(FINE * y)) for x, y in outline], fill=part)
