"""How a training step grows, and where its time goes."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from semcg.plots.style import figure, styled

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
            ax.legend(loc="upper left")
        return drawn


def shares(stages: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw a stacked bar per stage: the share of each kind of work.

    Parameters
    ----------
    stages : stage -> {kind of work: share}
        Shares 0..1; the kinds in the order of the first stage.
    """
    if not stages:
        raise ValueError("no stage: there is nothing to draw")
    kinds = list(next(iter(stages.values())))
    with styled():
        drawn, axes = figure(size=(7, 0.6 * len(stages) + 1.4))
        ax, left = axes[0, 0], [0.0] * len(stages)
        for kind in kinds:
            wide = [100 * row.get(kind, 0.0) for row in stages.values()]
            ax.barh(list(stages), wide, left=left, label=kind)
            left = [a + b for a, b in zip(left, wide, strict=True)]
        ax.set(xlim=(0, 100), xlabel="% of the step's time")
        ax.invert_yaxis()
        drawn.legend(loc="outside lower center", ncols=3)
        return drawn
