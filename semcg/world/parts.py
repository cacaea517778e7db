"""The things that may stand in a street: plain frozen records, in metres, X right, Y up, Z forward.

Every `hue` is a number that the look of the picture turns into a colour (`semcg.world.styles`); the scene
itself knows no colours.
"""

from dataclasses import dataclass

__all__ = [
    "FAR",
    "LENGTH",
    "Bin",
    "Camera",
    "Cloud",
    "Facade",
    "Lamp",
    "Person",
    "Sign",
    "Street",
    "TrafficLight",
    "Tree",
    "TwoWheeler",
    "Vehicle",
    "Vista",
]

FAR = 90.0
"""Where the street ends, in metres."""
LENGTH = {"car": 4.2, "truck": 6.2, "bus": 10.0, "train": 22.0}
"""Of the vehicles, in metres."""
Disc = tuple[float, float, float]
"""Offset to the right, offset upward, radius."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole of focal length 1.62 image heights that looks straight down the street."""

    x: float
    height: float
    horizon: float
    """Row of the horizon as a fraction of the image height."""
    center: float
    """Column of the vanishing point as a fraction of the image width."""


@dataclass(frozen=True, slots=True)
class Street:
    """The ground: a road between two sidewalks, all parallel to Z."""

    half_width: float
    setback: float
    """From the edge of the road to the facades."""
    lanes: bool
    """Whether each direction has two lanes."""
    grass: tuple[bool, bool]
    """Whether a grass strip lies between sidewalk and facades, left and right."""
    crossing: float | None
    """Distance of the zebra crossing."""
    rails: bool


@dataclass(frozen=True, slots=True)
class Cloud:
    x: float
    y: float
    puffs: tuple[Disc, ...]


@dataclass(frozen=True, slots=True)
class Vista:
    """What closes the view at the end of the street."""

    hills: tuple[float, ...]
    """Heights of a ridge line from left to right; empty where there are no hills."""
    trees: tuple[Disc, ...]
    houses: tuple[tuple[float, float, float, int], ...]
    """From x, to x, height and hue."""


@dataclass(frozen=True, slots=True)
class Tree:
    x: float
    z: float
    height: float
    """Of the middle of the crown; of a palm, the top of its trunk."""
    lean: float
    crown: tuple[Disc, ...]
    """Discs of foliage; a palm has none."""
    fronds: tuple[float, ...]
    """Directions of a palm's leaves in radians; other trees have none."""


@dataclass(frozen=True, slots=True)
class Facade:
    """One plot along the street: a building, or a gap that a wall or a fence closes."""

    kind: str
    """"building", "wall" or "fence"."""
    side: int
    """-1 left, 1 right."""
    near: float
    far: float
    height: float
    hue: int
    shop: bool
    curtains: tuple[bool, ...]
    """Which windows, counted along the floors and then upward, have them drawn; repeats."""
    trees: tuple[Tree, ...]
    """Behind the wall or fence."""


@dataclass(frozen=True, slots=True)
class Lamp:
    x: float
    z: float
    height: float


@dataclass(frozen=True, slots=True)
class TrafficLight:
    x: float
    z: float
    state: int
    """0 red, 1 amber, 2 green."""


@dataclass(frozen=True, slots=True)
class Sign:
    x: float
    z: float
    kind: str
    """"limit", "warning", "arrow", "stop", "entry" or "priority"."""
    text: str
    """The number of a speed limit; other signs have none."""


@dataclass(frozen=True, slots=True)
class Bin:
    x: float
    z: float


@dataclass(frozen=True, slots=True)
class Person:
    x: float
    z: float
    height: float
    stride: float
    facing: int
    """-1 walks to the left, 1 to the right, 0 along the street."""
    hue: int


@dataclass(frozen=True, slots=True)
class TwoWheeler:
    kind: str
    """"bicycle" or "motorcycle"."""
    x: float
    z: float
    heading: int
    """-1 seen from its left, 1 from its right, 0 from behind."""
    hue: int
    plate: str
    """A bicycle has none."""
    rider: int | None
    """Hue of whoever rides it; None where it is parked."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    kind: str
    """"car", "truck", "bus" or "train"."""
    x: float
    z: float
    """Of the end that faces the camera."""
    oncoming: bool
    hue: int
    plate: str
    """Three digits; a tram has none."""
    line: str
    """Number of the line; only buses and trams have one."""
    tall: float
    """Factor on the height of a car's cabin."""
