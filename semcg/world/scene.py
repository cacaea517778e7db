"""One street, seen once: everything about a picture but its style, drawn from a seed."""

import math
from dataclasses import dataclass

import numpy as np

from semcg.files import DOMAINS
from semcg.world.canvas import FINE, Camera, Canvas, Drawing
from semcg.world.street import FAR, Cloud, Facade, Street, Tree, Vista, draw_hood
from semcg.world.things import LENGTH, Bin, Lamp, Person, Sign, TrafficLight, TwoWheeler, Vehicle

LAYOUTS = ("own", *DOMAINS)
# Each topic has a random stream: one more tree does not reshuffle the cars, and no style changes the street.
TOPICS = ("bank", "street", "plots", "trees", "posts", "vehicles", "people", "wheels", "look")

Thing = Bin | Lamp | Person | Sign | TrafficLight | Tree | TwoWheeler | Vehicle


class RandomStream:
    """The random numbers of one topic of one scene, from PCG64's uniform stream only: numpy keeps that one stable.

    Parameters
    ----------
    topic : str
        One of `TOPICS`.
    seed : int
    domain : "source" or "target"
    """

    def __init__(self, topic: str, seed: int = 0, domain: str = "source") -> None:
        # The seed comes last: numpy pads keys with zeros, so that (7, 0) and (7, 0, 0) would be the same stream.
        key = DOMAINS.index(domain), TOPICS.index(topic), seed
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


@dataclass(frozen=True, slots=True)
class Scene:
    """One street, seen once. Styles and image sizes are chosen later, by `semcg.world.render`."""

    seed: int
    domain: str
    layout: str
    openness: float
    camera: Camera
    sun: int  # -1 shines from the left, 1 from the right
    street: Street
    clouds: tuple[Cloud, ...]
    vista: Vista
    facades: tuple[Facade, ...]  # sorted from far to near, as they are drawn
    things: tuple[Thing, ...]  # sorted from far to near

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
        check_scene(seed, domain, layout, openness)
        seed = int(seed)
        rng = RandomStream("street", seed, domain)
        built_as = domain if layout == "own" else layout
        o = rng.between(0, 1) ** (1 / 2.2)  # Beta(2.2, 1), by its inverse distribution function
        if built_as == "target":
            o = 1 - o  # Beta(1, 2.2)
        if openness is not None:
            o = float(openness)
        sun = rng.pick((-1, 1))
        street = _street(rng, o)
        things = []
        for topic, sample in THINGS.items():
            things += sample(RandomStream(topic, seed, domain), o, street)
        things = tuple(sorted(things, key=lambda thing: -thing.z))
        camera, clouds, vista = _camera(rng, o, street), _clouds(rng), _vista(rng, o, street)
        facades = _facades(RandomStream("plots", seed, domain), o, street)
        return cls(seed, domain, layout, o, camera, sun, street, clouds, vista, facades, things)

    def draw(self, size: tuple[int, int]) -> Drawing:
        """Draw by the painter's algorithm, at (height, width) pixels: what is drawn later hides what is behind it."""
        canvas = Canvas(self.camera, self.sun, size)
        height, width = canvas.size
        edge = self.street.half_width + self.street.setback
        canvas.box(canvas.part("sky", "sky"), 0, 0, FINE * width, FINE * height)
        for cloud in self.clouds:
            cloud.draw(canvas)
        self.vista.draw_hills(canvas)
        self.street.draw(canvas)
        for facade in self.facades:
            facade.shade(canvas, edge)
        self.vista.draw(canvas)
        for facade in self.facades:
            facade.draw(canvas, edge)
        for thing in self.things:
            thing.draw(canvas)
        draw_hood(canvas)
        return canvas.finish()


def annotations(scene: Scene, size: tuple[int, int]) -> list[dict]:
    """Return where the plates and the signs with text lie in a picture of a scene, the nearest first.

    Parameters
    ----------
    scene : Scene
    size : (int, int)
        Height and width in pixels.

    Returns
    -------
    list of dict
        `kind` ("plate" or "sign"), `text`, `box` ([x0, y0, x1, y1] in pixels, cut at the image's edge),
        `digit_px` (height of a digit in pixels) and `visible` (the share, in (0, 1], of the board's
        sub-pixels that are seen). Fully hidden boards are left out.

    Raises
    ------
    ValueError
        If `size` is no image size.
    """
    return scene.draw(size).annotations()


def check_scene(seed: int, domain: str, layout: str, openness: float | None = None) -> None:
    """Raise ValueError if an argument of `Scene.sample` is outside its set."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}; it must be an integer of at least 0")
    if domain not in DOMAINS:
        raise ValueError(f"domain is {domain!r}; it must be one of {DOMAINS}")
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; it must be one of {LAYOUTS}")
    if openness is not None and not 0 <= openness <= 1:
        raise ValueError(f"openness is {openness!r}; it must lie in [0, 1]")


def _mix(o: float, closed: float, open_: float) -> float:
    return closed + (open_ - closed) * o


def _street(rng: RandomStream, o: float) -> Street:
    half_width = rng.between(_mix(o, 3.6, 5.2), _mix(o, 5.2, 7.5))
    setback = rng.between(_mix(o, 2.4, 3.5), _mix(o, 3.6, 6.5))
    grass = (rng.chance(_mix(o, 0.07, 0.22)), rng.chance(_mix(o, 0.07, 0.22)))
    crossing = rng.between(8, 24) if rng.chance(0.3) else None
    return Street(half_width, setback, half_width > 6, grass, crossing, rails=rng.chance(0.1))


def _camera(rng: RandomStream, o: float, street: Street) -> Camera:
    height = rng.between(_mix(o, 1.4, 1.7), _mix(o, 1.7, 2.1))
    horizon = rng.between(_mix(o, 0.40, 0.50), _mix(o, 0.46, 0.57))
    return Camera(0.3 * street.half_width, height, horizon, center=rng.between(0.42, 0.58))


def _clouds(rng: RandomStream) -> tuple[Cloud, ...]:
    """At a distance of 1000 m; five puffs on a flat base."""
    clouds = []
    for _ in range(2 + rng.below(5)):
        size = rng.between(25, 60)
        puffs = tuple(
            (size * (k - 2) * 0.62, size * rng.between(-0.05, 0.1), size * (0.62 - 0.13 * abs(k - 2)))
            for k in range(5)
        )
        clouds.append(Cloud(rng.between(-600, 600), rng.between(60, 300), puffs))
    return tuple(clouds)


def _vista(rng: RandomStream, o: float, street: Street) -> Vista:
    hills, trees, houses = (), (), ()
    if rng.chance(_mix(o, 0.1, 0.8)):
        phase, height = rng.between(0, 6), rng.between(8, 22)
        waves = (0.6 + 0.25 * math.sin(0.55 * k + phase) + 0.15 * math.sin(1.7 * k) for k in range(25))
        hills = tuple(height * wave for wave in waves)
    if rng.chance(_mix(o, 0.75, 0.15)):
        edge = street.half_width + street.setback
        if rng.chance(0.5):
            columns = [x * edge / 4 for x in range(-5, 6) for _ in range(2)]
            trees = tuple((x, rng.between(2.5, 5), rng.between(2.6, 4.4)) for x in columns)
        else:
            cut = rng.between(-3, 3)
            spans = ((-edge - 6, cut), (cut, edge + 6))
            houses = tuple((x0, x1, rng.between(7, 14), rng.below(12)) for x0, x1 in spans)
    return Vista(hills, trees, houses)


def _facades(rng: RandomStream, o: float, street: Street) -> tuple[Facade, ...]:
    facades = []
    for side in (-1, 1):
        near = 2.0
        while near < FAR + 5:
            far = near + rng.between(7, 15)
            facades.append(_facade(rng, o, street, side, near, far))
            near = far
    return tuple(sorted(facades, key=lambda facade: -facade.near))


def _facade(rng: RandomStream, o: float, street: Street, side: int, near: float, far: float) -> Facade:
    kind, height, trees = "building", rng.between(_mix(o, 10, 3.5), _mix(o, 19, 8.5)), []
    if rng.chance(_mix(o, 0.08, 0.36)):
        kind, height = "wall" if rng.chance(0.54) else "fence", 1.4
        edge = street.half_width + street.setback
        for _ in range(1 + rng.below(3)):
            trees.append(_tree(rng, o, side * (edge + rng.between(2.5, 6)), rng.between(near + 1, far - 1)))
    trees = tuple(sorted(trees, key=lambda tree: -tree.z))
    hue, shop, curtains = rng.below(12), rng.chance(0.5), tuple(rng.chance(0.25) for _ in range(7))
    return Facade(kind, side, near, far, height, hue, shop, curtains, trees)


def _tree(rng: RandomStream, o: float, x: float, z: float) -> Tree:
    if rng.chance(0.6 * o):
        fronds = tuple(math.pi * (k - 4) / 6 + rng.between(-0.15, 0.15) for k in range(9))
        return Tree(x, z, rng.between(4.5, 7.5), rng.between(-0.5, 0.5), (), fronds)
    radius = rng.between(1.7, 2.6)
    crown = []
    for k in range(17):
        # A sunflower's spiral fills the crown evenly; the jitter keeps two trees from being alike.
        reach, turn = 0.78 * radius * math.sqrt(k / 16), 2.4 * k + rng.between(-0.4, 0.4)
        right, up = 1.1 * reach * math.cos(turn), 0.9 * reach * math.sin(turn)
        crown.append((right, up, radius * rng.between(0.3, 0.5)))
    return Tree(x, z, rng.between(3.9, 5.2), rng.between(-0.2, 0.2), tuple(crown), ())


def _trees(rng: RandomStream, o: float, street: Street):
    for side in (-1, 1):
        for slot in range(9):
            if rng.chance(_mix(o, 0.62, 0.22)):
                x = side * (street.half_width + rng.between(0.9, 1.5))
                yield _tree(rng, o, x, 7.5 + 9 * slot + rng.between(0, 6))


def _posts(rng: RandomStream, o: float, street: Street):
    edge = street.half_width + 0.5
    for side in (-1, 1):
        z = rng.between(12, 26)
        while z < FAR:
            yield Lamp(side * edge, z, rng.between(5.6, 7.0))
            z += rng.between(22, 32)
    for _ in range(1 + rng.poisson(1.9)):
        kind = rng.pick(("limit", "limit", "warning", "arrow", "stop", "entry", "priority"))
        text = rng.pick(("30", "50", "70")) if kind == "limit" else ""
        yield Sign(rng.pick((-1, 1, 1)) * edge, 6 + 36 * rng.between(0, 1) ** 1.6, kind, text)
    if street.crossing or rng.chance(0.5):
        z, state = (street.crossing or rng.between(10, 32)) - 0.5, rng.below(3)
        yield TrafficLight(edge, z, state)
        yield TrafficLight(-edge, z + 4, state)
    for _ in range(rng.poisson(0.5)):
        yield Bin(rng.pick((-1, 1)) * (edge + rng.between(0, 0.6)), rng.between(8, 30))


def _vehicles(rng: RandomStream, o: float, street: Street):
    for side in (-1, 1):
        start = rng.between(4.0, 7.2)
        for slot in range(12):
            if rng.chance(_mix(o, 0.50, 0.22)):
                kind = "truck" if rng.chance(0.025) else "car"
                # In a narrow street they are parked half on the sidewalk, to leave a lane free.
                x = side * max(3.2, street.half_width - (1.35 if kind == "truck" else 1.1))
                yield _vehicle(rng, kind, x, start + 6.5 * slot + rng.between(0, 1.2), side < 0)
    lane = max(1.0, (street.half_width - 2.2) / 2)
    ahead, oncoming = rng.between(6.5, 10.5), rng.between(7, 12)
    if street.rails:
        yield _vehicle(rng, "train", -max(1.3, lane), rng.between(15, 36), rng.chance(0.6))
    for _ in range(rng.below(3) + rng.chance(o)):
        kind = "car"
        if rng.chance(0.13):
            kind = "truck"
        elif rng.chance(0.08):
            kind = "bus"
        further = 0.0 if kind == "car" else rng.between(4, 14)
        if rng.chance(0.55) or street.rails:
            yield _vehicle(rng, kind, lane + rng.between(-0.2, 0.4), ahead + further, False)
            ahead += further + LENGTH[kind] + rng.between(4, 22)
        else:
            yield _vehicle(rng, kind, -lane + rng.between(-0.4, 0.2), oncoming + further, True)
            oncoming += further + LENGTH[kind] + rng.between(4, 22)


def _vehicle(rng: RandomStream, kind: str, x: float, z: float, oncoming: bool) -> Vehicle:
    hue, plate = rng.below(40), "" if kind == "train" else rng.digits(3)
    line = str(1 + rng.below(99)) if kind in ("bus", "train") else ""
    return Vehicle(kind, x, z, oncoming, hue, plate, line, tall=rng.between(0.9, 1.2))


def _on_sidewalk(rng: RandomStream, street: Street, low: float, high: float, power: float) -> tuple:
    """Return a place (x, z) between `low` and `high` from the road, not nearer than the picture shows."""
    x = rng.pick((-1, 1)) * (street.half_width + rng.between(low, high))
    in_view = 1 + abs(x - 0.3 * street.half_width) / 0.62  # the picture's half width is 0.62 Z
    return x, in_view + 16 * rng.between(0, 1) ** power


def _people(rng: RandomStream, o: float, street: Street):
    for _ in range(rng.poisson(_mix(o, 2.1, 1.4))):
        crossing = street.crossing is not None and rng.chance(0.4)
        if crossing:
            x, z = rng.between(-1, 1) * street.half_width, street.crossing + rng.between(0.3, 2.7)
        else:
            x, z = _on_sidewalk(rng, street, 0.8, street.setback - 0.5, 1.6)
        facing = rng.pick((-1, 1)) if crossing else rng.pick((-1, 0, 0, 1))
        yield Person(x, z, rng.between(1.55, 1.9), rng.between(0.15, 0.32), facing, rng.below(60))


def _two_wheelers(rng: RandomStream, o: float, street: Street):
    for _ in range(rng.poisson(_mix(o, 0.9, 0.4)) + rng.chance(0.2)):
        kind = rng.pick(("bicycle", "motorcycle"))
        x = rng.pick((-1, 1, 1)) * (street.half_width - rng.between(2.3, 3.2))
        heading = rng.pick((-1, 0, 0, 1))
        z, rider = 7.5 + 22 * rng.between(0, 1) ** 1.5, rng.below(60)
        yield _two_wheeler(rng, kind, x, z, heading, rider)
    for _ in range(rng.poisson(_mix(o, 2.1, 1.5))):
        kind = rng.pick(("bicycle", "bicycle", "motorcycle"))
        x, z = _on_sidewalk(rng, street, 0.7, 1.6, 1.4)
        yield _two_wheeler(rng, kind, x, z, rng.pick((-1, 1)), None)


def _two_wheeler(rng: RandomStream, kind: str, x: float, z: float, heading: int, rider: int | None):
    plate = rng.digits(3) if kind == "motorcycle" else ""
    return TwoWheeler(kind, x, z, heading, rng.below(40), plate, rider)


# What is in a street: topic of the random stream -> sampler of (stream, openness, street).
THINGS = {"trees": _trees, "posts": _posts, "vehicles": _vehicles, "people": _people, "wheels": _two_wheelers}
