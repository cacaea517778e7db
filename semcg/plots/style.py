"""One style for all figures, and what every drawing function needs."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import seaborn
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from semcg.labels import CLASSES

__all__ = ["CONDITION_COLORS", "class_colors", "figure", "grid", "plain_log", "styled"]

# Okabe and Ito's palette tells the conditions apart for the colour-blind too; the classes keep Cityscapes' colours.
CONDITION_COLORS = {
    "identity": "#999999",
    "histogram matching": "#E69F00",
    "CycleGAN": "#0072B2",
    "semantic": "#D55E00",
    "semantic (paper)": "#D55E00",
    "semantic (ours)": "#009E73",
    "recolor": "#56B4E9",
    "semantic recolor": "#CC79A7",
    "oracle": "#000000",
}
"""Colour of a condition in every figure of the course."""


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the course's style while the block runs; nothing is set for other figures of the session."""
    style = seaborn.axes_style("whitegrid") | seaborn.plotting_context("notebook", font_scale=0.9)
    own = {
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "figure.dpi": 110,
        "svg.hashsalt": "semcg",
    }
    with rc_context(style | own):
        yield


def figure(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float], **options: object
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes (rows, columns), outside pyplot: it is shown once, by whoever shows it.

    Parameters
    ----------
    size : (width, height)
        In inches.
    """
    drawn = Figure(figsize=size, layout="constrained")
    return drawn, drawn.subplots(rows, columns, squeeze=False, **options)


def grid(panels: int, *, width: float = 3.3, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels, three in a row at most and four in two rows, so that a page's width suffices.

    Parameters
    ----------
    width, height : float
        Of a panel, in inches.
    """
    columns = 2 if panels == 4 else min(3, panels)
    rows = -(-panels // columns)
    drawn, axes = figure(rows, columns, size=(width * columns, height * rows + 0.4))
    for ax in axes.flat[panels:]:
        ax.set_visible(False)
    return drawn, list(axes.flat[:panels])


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers at 1, 2 and 5 of each decade."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda x, _: f"{x:g}")
    axis.set_minor_locator(NullLocator())


def class_colors() -> list[tuple[float, float, float]]:
    """Return the 19 colours of Cityscapes as fractions, in the order of the train ids."""
    return [tuple(v / 255 for v in c.color) for c in CLASSES]
