"""The contrast of road markings: do lines stay as visible as they were?

Labels do not tell markings from asphalt, both are road. In the source they can be told: markings are the road's bright
pixels. What is bright there is followed through the translation, pixel by pixel.
"""

import numpy as np
from scipy.ndimage import binary_dilation

from semcg.labels import names

__all__ = ["BRIGHTER", "marking_contrast", "marking_sums"]

BRIGHTER = 0.2
"""By how much a marking's luminance exceeds the median of its frame's road. On the drawn world nine tenths of the
pixels found are painted ones, and nine tenths of the painted ones are found."""
RING = 3
"""Pixels around a marking that count as the asphalt beside it."""

KEPT = 0.25
"""Share of its contrast with which a marking pixel counts as kept. In the drawn world the perfect translation halves the
contrast, and keeps 0.87 of the pixels by this rule, about as many as are painted ones."""


def marking_sums(label: np.ndarray, source: np.ndarray, translated: np.ndarray) -> dict[str, int | float]:
    """Sum the luminance of a frame's markings and of the asphalt beside them, before and after translation.

    Parameters
    ----------
    label : (H, W) integer
        Train ids.
    source, translated : (H, W) float
        Luminance, 0..1. Only `source` decides which pixels are markings.

    Returns
    -------
    dict
        "markings" and "asphalt", numbers of pixels, and for each the sums "... before" and "... after"; "kept", the number
        of marking pixels that have at least `KEPT` of their contrast (Michelson's, to the mean asphalt beside them) after
        translation. Empty where no marking is seen.
    """
    road = label == names().index("road")
    if not road.any():
        return {}
    bright = road & (source > np.median(source[road]) + BRIGHTER)
    beside = road & ~bright & binary_dilation(bright, iterations=RING)
    if not (bright.any() and beside.any()):
        return {}

    def contrast(image: np.ndarray) -> np.ndarray:
        asphalt = image[beside].mean()
        return (image[bright] - asphalt) / np.maximum(image[bright] + asphalt, 1e-6)

    kept = contrast(translated) >= KEPT * contrast(source)
    sums: dict[str, int | float] = {"kept": int(kept.sum())}
    for what, where in (("markings", bright), ("asphalt", beside)):
        sums |= {what: int(where.sum())}
        sums |= {
            f"{what} before": float(source[where].sum()),
            f"{what} after": float(translated[where].sum()),
        }
    return sums


def marking_contrast(sums: dict[str, int | float]) -> float:
    """Return the contrast after translation over that before; 1 is as visible as in the source, 0 is gone.

    The contrast is Michelson's, (m - a) / (m + a), of the mean luminances m of markings and a of asphalt: a change of
    exposure does not move it.

    Parameters
    ----------
    sums : dict
        From `marking_sums`; those of frames are added first.
    """

    def contrast(when: str) -> float:
        m, a = (sums[f"{what} {when}"] / sums[what] for what in ("markings", "asphalt"))
        return (m - a) / (m + a)

    return contrast("after") / contrast("before")
