"""One street, seen once: everything about a picture but its look, drawn from a seed."""

from dataclasses import dataclass

import numpy as np

from semcg.files import DOMAINS
from semcg.world import layout as make
from semcg.world.dice import stream
from semcg.world.parts import (
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

__all__ = ["LAYOUTS", "Scene"]

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
        drawn = make.openness(dice, domain if layout == "own" else layout)
        o = drawn if openness is None else float(openness)
        sun = dice.pick((-1, 1))
        street = make.street(dice, o)
        things = []
        for topic, made in make.THINGS.items():
            things += made(stream(topic, seed, domain), o, street)
        return cls(
            seed=seed,
            domain=domain,
            layout=layout,
            openness=o,
            camera=make.camera(dice, o, street),
            sun=sun,
            street=street,
            clouds=make.clouds(dice),
            vista=make.vista(dice, o, street),
            facades=make.facades(stream("plots", seed, domain), o, street),
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
