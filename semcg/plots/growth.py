"""How a training step grows, and where its time goes."""

from collections.abc import Mapping, Sequence

import seaborn
from matplotlib.figure import Figure

from semcg.plots.style import figure, plain_log, styled

__all__ = ["growth", "shares"]

_BLUE, _ORANGE = "#0072B2", "#D55E00"


def growth(panels: Mapping[str, Sequence[tuple[float, float, bool]]]) -> Figure:
    """Draw measured values against what a model says of them, a panel each; on the diagonal the model is right.

    Parameters
    ----------
    panels : "seconds a step" -> (measured, of the model, whether it was fitted)
        Positive values. Points that the model was not fitted to are drawn as squares.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    if not panels or not all(panels.values()):
        raise ValueError("no point: there is nothing to draw")
    with styled():
        drawn, axes = figure(1, len(panels), size=(3.6 * len(panels), 3.4))
        for ax, (name, points) in zip(axes.flat, panels.items(), strict=True):
            every = [value for measured, modelled, _ in points for value in (measured, modelled)]
            ends = min(every) / 1.3, max(every) * 1.3
            ax.plot(ends, ends, color="#999999", lw=1)
            for fitted, marker, colour, words in (
                (True, "o", _BLUE, "fitted"),
                (False, "s", _ORANGE, "not fitted"),
            ):
                some = [(m, p) for m, p, f in points if f == fitted]
                if some:
                    ax.plot(*zip(*some, strict=True), marker, color=colour, label=words, ms=6)
            ax.set(
                xscale="log",
                yscale="log",
                xlim=ends,
                ylim=ends,
                title=name,
                xlabel="measured",
                ylabel="model",
            )
            plain_log(ax.xaxis)
            plain_log(ax.yaxis)
            ax.legend(loc="upper left")
        return drawn


def shares(bars: Mapping[str, Mapping[str, float]], *, xlabel: str) -> Figure:
    """Draw a stacked bar for each whole: the share of each of its parts, in the order of the parts.

    Parameters
    ----------
    bars : whole -> {part: share}
        Shares 0..1; the parts in the order of the first whole.
    xlabel : str
        Of what the shares are, "% of the whole" say.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    if not bars:
        raise ValueError("no bar: there is nothing to draw")
    parts = list(next(iter(bars.values())))
    with styled():
        drawn, axes = figure(size=(7, 0.6 * len(bars) + 1.6))
        ax, left = axes[0, 0], [0.0] * len(bars)
        # From dark to light, which is told apart without colours too.
        bars_of = []
        for part, color in zip(parts, seaborn.color_palette("cividis", len(parts)), strict=True):
            wide = [100 * row.get(part, 0.0) for row in bars.values()]
            bars_of.append(ax.barh(list(bars), wide, left=left, color=color, edgecolor="white"))
            left = [a + b for a, b in zip(left, wide, strict=True)]
        ax.set(xlim=(0, 100), xlabel=xlabel)
        ax.invert_yaxis()
        # Named here: matplotlib leaves labels that begin with "_" out of a legend.
        drawn.legend(bars_of, parts, loc="outside lower center", ncols=4)
        return drawn
