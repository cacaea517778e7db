"""Arrays in, Figure out: reads nothing, writes nothing, shows nothing.

Here: one style for all figures, and what every drawing function needs. The figures are in `frames` (pictures and
diagrams), `curves` and `scores`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import seaborn
from matplotlib import style as styles
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from semcg.labels import CLASSES, names

# Okabe and Ito's palette tells the conditions apart for the color-blind too; the classes keep Cityscapes' colors.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_UNTRAINED = {"identity": "#999999", "histogram matching": "#E69F00", "oracle": "#000000"}
"""Conditions that are in every comparison; a spoiled oracle, "oracle, shuffled", has the oracle's color."""


def condition_colors(conditions: Iterable[str]) -> dict[str, str]:
    """Return a color for each condition: its own for what needs no training, those of `COLORS` in order for the others."""
    known = {name: _UNTRAINED.get(name.partition(",")[0]) for name in conditions}
    trained = [name for name, color in known.items() if color is None]
    return known | {name: COLORS[k % len(COLORS)] for k, name in enumerate(trained)}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the course's style while the block (or the decorated function) runs, whatever the user's matplotlibrc says."""
    style = seaborn.axes_style("whitegrid") | seaborn.plotting_context("notebook", font_scale=0.9)
    white = dict.fromkeys(("figure.facecolor", "savefig.facecolor"), "white")
    with styles.context(style | white | {"figure.dpi": 110, "svg.hashsalt": "semcg"}, after_reset=True):
        yield


def figure(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float], **options: object
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes (rows, columns), outside pyplot, so that it is shown once.

    Parameters
    ----------
    size : (width, height)
        In inches.
    """
    drawn = Figure(figsize=size, layout="constrained")
    return drawn, drawn.subplots(rows, columns, squeeze=False, **options)


def grid(
    panels: int, *, most: int = 3, size: tuple[float, float] = (3.3, 2.6), **options: object
) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels, at most `most` in a row, and four in two rows where `most` is three.

    Parameters
    ----------
    size : (width, height)
        Of a panel, in inches.
    """
    columns = 2 if (panels, most) == (4, 3) else min(most, panels)
    rows = -(-panels // columns)
    drawn, axes = figure(rows, columns, size=(size[0] * columns, size[1] * rows + 0.4), **options)
    for ax in axes.flat[panels:]:
        ax.set_visible(False)
    return drawn, list(axes.flat[:panels])


def legend_below(drawn: Figure, panels: Iterable[Axes], *, columns: int) -> None:
    """Explain the labeled lines of all panels once, below them."""
    lines = {line.get_label(): line for ax in panels for line in ax.get_lines()}
    handles = [line for label, line in lines.items() if not label.startswith("_")]
    drawn.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers at 1, 2 and 5 of each decade."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda x, _: f"{x:g}")
    axis.set_minor_locator(NullLocator())


def class_colors() -> list[tuple[float, float, float]]:
    """Return the 19 colors of Cityscapes as fractions, in the order of the train ids."""
    return [tuple(v / 255 for v in c.color) for c in CLASSES]


def class_axis(ax: Axes) -> None:
    """Give each class a row, the first on top, with its name and a swatch of its color."""
    place = range(len(CLASSES))
    ax.set(yticks=place, yticklabels=names(), ylim=(len(CLASSES) - 0.4, -0.6))
    at = {"transform": ax.get_yaxis_transform(), "clip_on": False}
    ax.scatter([-0.012] * len(CLASSES), place, marker="s", s=42, c=class_colors(), **at)
    ax.tick_params(axis="y", pad=12)
