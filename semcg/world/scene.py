"""One street, seen once: everything about a picture but its look, drawn from a seed."""

import math
from dataclasses import dataclass

import numpy as np

from semcg.files import DOMAINS
from semcg.world.parts import (
    FAR,
    LENGTH,
    Bin,
    Camera,
    Cloud,
    Facade,
    Lamp,
    Person,
    Sign,
    Street,
    TrafficLight,
    Tree,
    TwoWheeler,
    Vehicle,
    Vista,
)

__all__ = ["Dice", "LAYOUTS", "Scene", "THINGS", "stream"]

TOPICS = ("bank", "street", "plots", "trees", "posts", "vehicles", "people", "wheels", "look")
"""What has a stream of its own: one more tree does not reshuffle the cars, and no look changes the street."""


def stream(topic: str, seed: int = 0, domain: str = "source") -> "Dice":
    """Return the random numbers of one topic of one scene."""
    # The seed comes last: numpy pads keys with zeros, so that (7, 0) and (7, 0, 0) would be the same stream.
    return Dice(DOMAINS.index(domain), TOPICS.index(topic), seed)


class Dice:
    """Random numbers from PCG64, through its plain uniform stream only: numpy keeps that one stable."""

    def __init__(self, *key: int):
        self._uniform = np.random.Generator(np.random.PCG64(key)).random

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._uniform()

    def chance(self, probability: float) -> bool:
        return self._uniform() < probability

    def below(self, count: int) -> int:
        return int(self._uniform() * count)

    def pick(self, options):
        return options[self.below(len(options))]

    def poisson(self, mean: float) -> int:
        """By Knuth's product of uniforms."""
        count, product = 0, self._uniform()
        while product > math.exp(-mean):
            count, product = count + 1, product * self._uniform()
        return count

    def digits(self, count: int) -> str:
        return "".join(str(self.below(10)) for _ in range(count))

    def grain(self, *shape: int) -> np.ndarray:
        """Noise of mean 0 and deviation 1: the sum of four uniforms, which needs no libm."""
        sums = self._uniform((4, *shape), dtype=np.float32).sum(0)
        return (sums - np.float32(2)) * np.float32(math.sqrt(3))


def sample_openness(dice: Dice, layout: str) -> float:
    """Beta(2.2, 1) or Beta(1, 2.2), by their inverse distribution functions."""
    u = dice.between(0, 1) ** (1 / 2.2)
    return u if layout == "source" else 1 - u


def _mix(o: float, photo: float, game: float) -> float:
    return photo + (game - photo) * o


def sample_street(dice: Dice, o: float) -> Street:
    half_width = dice.between(_mix(o, 3.6, 5.2), _mix(o, 5.2, 7.5))
    return Street(
        half_width=half_width,
        setback=dice.between(_mix(o, 2.4, 3.5), _mix(o, 3.6, 6.5)),
        lanes=half_width > 6,
        grass=(dice.chance(_mix(o, 0.07, 0.22)), dice.chance(_mix(o, 0.07, 0.22))),
        crossing=dice.between(8, 24) if dice.chance(0.3) else None,
        rails=dice.chance(0.1),
    )


def sample_camera(dice: Dice, o: float, street: Street) -> Camera:
    return Camera(
        x=0.3 * street.half_width,
        height=dice.between(_mix(o, 1.4, 1.7), _mix(o, 1.7, 2.1)),
        horizon=dice.between(_mix(o, 0.40, 0.50), _mix(o, 0.46, 0.57)),
        center=dice.between(0.42, 0.58),
    )


def sample_clouds(dice: Dice) -> tuple[Cloud, ...]:
    return tuple(_cloud(dice) for _ in range(2 + dice.below(5)))


def _cloud(dice: Dice) -> Cloud:
    """At a distance of 1000 m; five puffs on a flat base."""
    size = dice.between(25, 60)
    puffs = tuple(
        (size * (k - 2) * 0.62, size * dice.between(-0.05, 0.1), size * (0.62 - 0.13 * abs(k - 2)))
        for k in range(5)
    )
    return Cloud(x=dice.between(-600, 600), y=dice.between(60, 300), puffs=puffs)


def sample_vista(dice: Dice, o: float, street: Street) -> Vista:
    hills, trees, houses = (), (), ()
    if dice.chance(_mix(o, 0.1, 0.8)):
        phase, height = dice.between(0, 6), dice.between(8, 22)
        hills = tuple(
            height * (0.6 + 0.25 * math.sin(0.55 * k + phase) + 0.15 * math.sin(1.7 * k)) for k in range(25)
        )
    if dice.chance(_mix(o, 0.75, 0.15)):
        edge = street.half_width + street.setback
        if dice.chance(0.5):
            trees = tuple(
                (x * edge / 4, dice.between(2.5, 5), dice.between(2.6, 4.4))
                for x in range(-5, 6)
                for _ in range(2)
            )
        else:
            cut = dice.between(-3, 3)
            houses = (
                (-edge - 6, cut, dice.between(7, 14), dice.below(12)),
                (cut, edge + 6, dice.between(7, 14), dice.below(12)),
            )
    return Vista(hills, trees, houses)


def sample_facades(dice: Dice, o: float, street: Street) -> tuple[Facade, ...]:
    found = []
    for side in (-1, 1):
        near = 2.0
        while near < FAR + 5:
            far = near + dice.between(7, 15)
            found.append(_facade(dice, o, street, side, near, far))
            near = far
    return tuple(sorted(found, key=lambda facade: -facade.near))


def _facade(dice: Dice, o: float, street: Street, side: int, near: float, far: float) -> Facade:
    kind, height, trees = "building", dice.between(_mix(o, 10, 3.5), _mix(o, 19, 8.5)), ()
    if dice.chance(_mix(o, 0.08, 0.36)):
        kind, height = "wall" if dice.chance(0.54) else "fence", 1.4
        edge = street.half_width + street.setback
        trees = tuple(
            _tree(dice, o, side * (edge + dice.between(2.5, 6)), dice.between(near + 1, far - 1))
            for _ in range(1 + dice.below(3))
        )
    return Facade(
        kind=kind,
        side=side,
        near=near,
        far=far,
        height=height,
        hue=dice.below(12),
        shop=dice.chance(0.5),
        curtains=tuple(dice.chance(0.25) for _ in range(7)),
        trees=tuple(sorted(trees, key=lambda tree: -tree.z)),
    )


def _tree(dice: Dice, o: float, x: float, z: float) -> Tree:
    if dice.chance(0.6 * o):
        fronds = tuple(math.pi * (k - 4) / 6 + dice.between(-0.15, 0.15) for k in range(9))
        return Tree(x, z, dice.between(4.5, 7.5), dice.between(-0.5, 0.5), (), fronds)
    radius = dice.between(1.7, 2.6)
    crown = []
    for k in range(17):
        # A sunflower's spiral fills the crown evenly; the jitter keeps two trees from being alike.
        reach, turn = 0.78 * radius * math.sqrt(k / 16), 2.4 * k + dice.between(-0.4, 0.4)
        crown.append(
            (1.1 * reach * math.cos(turn), 0.9 * reach * math.sin(turn), radius * dice.between(0.3, 0.5))
        )
    return Tree(x, z, dice.between(3.9, 5.2), dice.between(-0.2, 0.2), tuple(crown), ())


def _trees(dice: Dice, o: float, street: Street):
    for side in (-1, 1):
        for slot in range(9):
            if dice.chance(_mix(o, 0.62, 0.22)):
                x = side * (street.half_width + dice.between(0.9, 1.5))
                yield _tree(dice, o, x, 7.5 + 9 * slot + dice.between(0, 6))


def _posts(dice: Dice, o: float, street: Street):
    edge = street.half_width + 0.5
    for side in (-1, 1):
        z = dice.between(12, 26)
        while z < FAR:
            yield Lamp(side * edge, z, dice.between(5.6, 7.0))
            z += dice.between(22, 32)
    for _ in range(1 + dice.poisson(1.9)):
        kind = dice.pick(("limit", "limit", "warning", "arrow", "stop", "entry", "priority"))
        text = dice.pick(("30", "50", "70")) if kind == "limit" else ""
        yield Sign(dice.pick((-1, 1, 1)) * edge, 6 + 36 * dice.between(0, 1) ** 1.6, kind, text)
    if street.crossing or dice.chance(0.5):
        z, state = (street.crossing or dice.between(10, 32)) - 0.5, dice.below(3)
        yield TrafficLight(edge, z, state)
        yield TrafficLight(-edge, z + 4, state)
    for _ in range(dice.poisson(0.5)):
        yield Bin(dice.pick((-1, 1)) * (edge + dice.between(0, 0.6)), dice.between(8, 30))


def _vehicles(dice: Dice, o: float, street: Street):
    for side in (-1, 1):
        start = dice.between(4.0, 7.2)
        for slot in range(12):
            if dice.chance(_mix(o, 0.50, 0.22)):
                kind = "truck" if dice.chance(0.025) else "car"
                # In a narrow street they stand half on the sidewalk, to leave a lane free.
                x = side * max(3.2, street.half_width - (1.35 if kind == "truck" else 1.1))
                yield _vehicle(dice, kind, x, start + 6.5 * slot + dice.between(0, 1.2), side < 0)
    lane = max(1.0, (street.half_width - 2.2) / 2)
    ahead, oncoming = dice.between(6.5, 10.5), dice.between(7, 12)
    if street.rails:
        yield _vehicle(dice, "train", -max(1.3, lane), dice.between(15, 36), dice.chance(0.6))
        oncoming = FAR
    for _ in range(dice.below(3) + (dice.chance(o))):
        kind = "truck" if dice.chance(0.13) else "bus" if dice.chance(0.08) else "car"
        further = 0.0 if kind == "car" else dice.between(4, 14)
        if dice.chance(0.55) or street.rails:
            yield _vehicle(dice, kind, lane + dice.between(-0.2, 0.4), ahead + further, False)
            ahead += further + LENGTH[kind] + dice.between(4, 22)
        else:
            yield _vehicle(dice, kind, -lane + dice.between(-0.4, 0.2), oncoming + further, True)
            oncoming += further + LENGTH[kind] + dice.between(4, 22)


def _vehicle(dice: Dice, kind: str, x: float, z: float, oncoming: bool) -> Vehicle:
    return Vehicle(
        kind=kind,
        x=x,
        z=z,
        oncoming=oncoming,
        hue=dice.below(40),
        plate="" if kind == "train" else dice.digits(3),
        line=str(1 + dice.below(99)) if kind in ("bus", "train") else "",
        tall=dice.between(0.9, 1.2),
    )


def _in_view(street: Street, x: float) -> float:
    """Return the distance from which on `x` is inside the picture, whose half width is 0.62 Z."""
    return 1 + abs(x - 0.3 * street.half_width) / 0.62


def _people(dice: Dice, o: float, street: Street):
    for _ in range(dice.poisson(_mix(o, 2.1, 1.4))):
        crossing = street.crossing is not None and dice.chance(0.4)
        if crossing:
            x, z = dice.between(-1, 1) * street.half_width, street.crossing + dice.between(0.3, 2.7)
        else:
            x = dice.pick((-1, 1)) * (street.half_width + dice.between(0.8, street.setback - 0.5))
            z = _in_view(street, x) + 16 * dice.between(0, 1) ** 1.6
        facing = dice.pick((-1, 1)) if crossing else dice.pick((-1, 0, 0, 1))
        yield Person(x, z, dice.between(1.55, 1.9), dice.between(0.15, 0.32), facing, dice.below(60))


def _two_wheelers(dice: Dice, o: float, street: Street):
    for _ in range(dice.poisson(_mix(o, 0.9, 0.4)) + dice.chance(0.2)):
        kind = dice.pick(("bicycle", "motorcycle"))
        x = dice.pick((-1, 1, 1)) * (street.half_width - dice.between(2.3, 3.2))
        heading = dice.pick((-1, 0, 0, 1))
        yield _two_wheeler(dice, kind, x, 7.5 + 22 * dice.between(0, 1) ** 1.5, heading, dice.below(60))
    for _ in range(dice.poisson(_mix(o, 2.1, 1.5))):
        kind = dice.pick(("bicycle", "bicycle", "motorcycle"))
        x = dice.pick((-1, 1)) * (street.half_width + dice.between(0.7, 1.6))
        z = _in_view(street, x) + 16 * dice.between(0, 1) ** 1.4
        yield _two_wheeler(dice, kind, x, z, dice.pick((-1, 1)), None)


def _two_wheeler(dice: Dice, kind: str, x: float, z: float, heading: int, rider: int | None) -> TwoWheeler:
    plate = dice.digits(3) if kind == "motorcycle" else ""
    return TwoWheeler(kind, x, z, heading, dice.below(40), plate, rider)


THINGS = {"trees": _trees, "posts": _posts, "vehicles": _vehicles, "people": _people, "wheels": _two_wheelers}
"""What stands in a street: topic of the random numbers -> maker of (dice, openness, street)."""


LAYOUTS = ("own", *DOMAINS)
"""Whose layout a scene may have."""

Thing = Bin | Lamp | Person | Sign | TrafficLight | Tree | TwoWheeler | Vehicle


@dataclass(frozen=True, slots=True)
class Scene:
    """One street, seen once. Styles and image sizes are chosen later, by `semcg.world.render`."""

    seed: int
    domain: str
    layout: str
    openness: float
    camera: Camera
    sun: int
    """-1 shines from the left, 1 from the right."""
    street: Street
    clouds: tuple[Cloud, ...]
    vista: Vista
    facades: tuple[Facade, ...]
    """Sorted from far to near, as they are drawn."""
    things: tuple[Thing, ...]
    """Sorted from far to near."""

    @classmethod
    def sample(cls, seed: int, domain: str, *, layout: str = "own", openness: float | None = None) -> "Scene":
        """Draw a scene.

        Parameters
        ----------
        seed : int, at least 0
            Together with `domain` it fixes the stream of random numbers.
        domain : "source" or "target"
        layout : "own", "source" or "target"
            Whose distribution of the openness to use; "own" is the domain's.
        openness : float in [0, 1], optional
            Takes the place of the drawn number; the other random numbers stay the same.

        Raises
        ------
        ValueError
            If an argument is outside its set.
        """
        _check(seed, domain, layout, openness)
        seed = int(seed)
        dice = stream("street", seed, domain)
        drawn = sample_openness(dice, domain if layout == "own" else layout)
        o = drawn if openness is None else float(openness)
        sun = dice.pick((-1, 1))
        street = sample_street(dice, o)
        things = []
        for topic, made in THINGS.items():
            things += made(stream(topic, seed, domain), o, street)
        return cls(
            seed=seed,
            domain=domain,
            layout=layout,
            openness=o,
            camera=sample_camera(dice, o, street),
            sun=sun,
            street=street,
            clouds=sample_clouds(dice),
            vista=sample_vista(dice, o, street),
            facades=sample_facades(stream("plots", seed, domain), o, street),
            things=tuple(sorted(things, key=lambda thing: -thing.z)),
        )


def _check(seed, domain, layout, openness) -> None:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}; it must be an integer of at least 0")
    if domain not in DOMAINS:
        raise ValueError(f"domain is {domain!r}; it must be one of {DOMAINS}")
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; it must be one of {LAYOUTS}")
    if openness is not None and not 0 <= openness <= 1:
        raise ValueError(f"openness is {openness!r}; it must lie in [0, 1]")
