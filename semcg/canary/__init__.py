"""What the code computes, as numbers: a run is known by them and not by the text of the code.

For each stage tiny networks take a few true optimizer steps on fixed inputs, through the same functions that train at
full size. The losses, gradient norms and weight norms that come out are compared with those of the released versions in
`canary.json`. Code that computes the same is the same version, however it is written; code that computes something else
is "unreleased", and nothing that it trains is taken for a run of a released version.

    version("translation")    "translation-1", or "translation-unreleased-3f2a91c0"

Arms in float64 agree between processors and thread counts to about 1e-12 and are compared at 1e-9. Arms that begin with
"exact" or "types" are integers.
"""

import json
import math
from functools import cache
from pathlib import Path

from semcg import files
from semcg.canary.arms import STAGES, Numbers, compute, settings

__all__ = ["RELEASED", "STAGES", "compute", "difference", "released", "settings", "version"]

RELEASED = Path(__file__).parent.with_name("canary.json")
"""Stage and version -> the numbers that it computes. Only ever added to."""
TOLERANCE = 1e-9
FLOAT32 = 1e-5
"""Relative tolerance of the arms whose name begins with "float32": augmented colors, and digits cut from a picture. They are
not trained on here, since an optimizer magnifies rounding."""


def version(stage: str, device: str = "cpu") -> str:
    """Return the version of a stage that this code computes; "<stage>-unreleased-<digest>" if it is none of them.

    Computed once per process.

    Parameters
    ----------
    stage : str
        One of `STAGES`.
    device : str
        Where the run will compute.
    """
    numbers = _computed(stage, device)
    for name, expected in reversed(released(stage).items()):
        if not difference(numbers, expected):
            return name
    rounded = {arm: [float(f"{x:.6g}") for x in found] for arm, found in numbers.items()}
    return f"{stage}-unreleased-{files.digest(rounded)[:8]}"


def released(stage: str) -> dict[str, Numbers]:
    """Return the released versions of a stage, oldest first, by name."""
    every = json.loads(RELEASED.read_text(encoding="utf-8"))
    return {name: numbers for name, numbers in every.items() if name.rpartition("-")[0] == stage}


def difference(numbers: Numbers, expected: Numbers) -> str:
    """Return the first number in which two sets differ beyond their tolerance, in words; "" if none does."""
    if lacking := sorted(numbers.keys() ^ expected.keys()):
        return f"{lacking[0]}: only one of both has this arm"
    for arm, found in numbers.items():
        if len(found) != len(expected[arm]):
            return f"{arm}: {len(found)} numbers, expected {len(expected[arm])}"
        tolerance = FLOAT32 if arm.startswith("float32") else TOLERANCE
        for i, (a, b) in enumerate(zip(found, expected[arm], strict=True)):
            if not math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance * 1e-3):
                return f"{arm}, number {i + 1}: {a!r}, expected {b!r}"
    return ""


@cache
def _computed(stage: str, device: str) -> Numbers:
    return compute(stage, device)
