"""Measures over a knob that somebody turns: every seed a faint line, their mean a bold one, a mark where the knob stands."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from semcg.plots.style import figure, styled

__all__ = ["dials", "mean_of"]

_BLUE, _ORANGE = "#0072B2", "#D55E00"


def dials(
    settings: Sequence[float],
    curves: Mapping[str, np.ndarray],
    *,
    at: int,
    knob: str = r"$\lambda_s$",
    seed: int | None = None,
) -> Figure:
    """Draw one panel per measure over the settings of a knob, which stand at equal distances.

    Parameters
    ----------
    settings : (n,) float
        In rising order.
    curves : measure -> (seeds, n) float
        NaN where a seed was not measured.
    at : int
        Index of the setting where the knob stands.
    knob : str
        Its name below each panel.
    seed : int, optional
        Row of the curves to draw bold in place of their mean.

    Raises
    ------
    ValueError
        If there is no curve, or a curve has not one column per setting.
    """
    if not curves:
        raise ValueError("no curve: there is nothing to draw")
    place = np.arange(len(settings))
    with styled():
        columns = min(3, len(curves))
        rows = -(-len(curves) // columns)
        drawn, axes = figure(rows, columns, size=(3.1 * columns, 2.5 * rows))
        for ax in axes.flat[len(curves) :]:
            ax.set_axis_off()
        for ax, (name, values) in zip(axes.flat, curves.items(), strict=False):
            values = np.atleast_2d(np.asarray(values, dtype=float))
            if values.shape[1] != len(settings):
                raise ValueError(f"{name} has shape {values.shape}, there are {len(settings)} settings")
            ax.plot(place, values.T, color=_BLUE, alpha=0.25, lw=1)
            bold = mean_of(values) if seed is None else values[seed]
            ax.plot(place, bold, color=_BLUE, lw=2.2, marker="o", ms=4)
            ax.axvline(at, color=_ORANGE, lw=6, alpha=0.25)
            if np.isfinite(bold[at]):
                ax.plot(at, bold[at], "o", ms=9, mfc="none", mec=_ORANGE, mew=2)
            ax.set_xticks(place, [f"{s:g}" for s in settings])
            ax.set(title=name, xlabel=knob)
    return drawn


def mean_of(values: np.ndarray) -> np.ndarray:
    """Return the mean over the seeds that were measured, NaN where none was."""
    counts = np.isfinite(values).sum(0)
    sums = np.nansum(values, 0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
