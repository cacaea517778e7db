"""Random numbers that stay the same on every machine and with every numpy."""

import math

import numpy as np

from semcg.files import DOMAINS

__all__ = ["Dice", "stream"]

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
