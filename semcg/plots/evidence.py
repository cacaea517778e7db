"""Figures of a sweep: differences with their intervals, the curve over lambda_s, and trainings with their spread."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from semcg.plots.style import CONDITION_COLORS, figure, grid, plain_log, styled

__all__ = ["axes", "bands", "curve", "forest", "pairs"]

_VERDICT = {"confirmed": ("o", "#009E73"), "refuted": ("X", "#D55E00")}
_UNDECIDED = ("s", "#777777")
_OTHERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES = ("-", "--", "-.", ":")


def forest(rows: Sequence[Mapping], *, xlabel: str) -> Figure:
    """Draw differences with their intervals, one row each.

    Parameters
    ----------
    rows : sequence of dict
        "name", "difference", "low", "high", in units of the measure; "verdict", which decides mark and colour; and, if
        there is one, "smallest": the smallest effect of interest, signed, drawn as a short bar.
    xlabel : str

    Raises
    ------
    ValueError
        If there is no row.
    """
    if not rows:
        raise ValueError("no row was measured: there is nothing to draw")
    reach = np.abs([[row["low"], row["high"]] for row in rows]).max(axis=1)
    with styled():
        drawn, axes = figure(size=(7.4, 0.34 * len(rows) + 1.5))
        ax = axes[0, 0]
        ax.axvline(0, color="black", lw=1)
        keys: dict[str, object] = {}
        for place, row in enumerate(rows):
            verdict = row["verdict"].partition(" ")[0]
            mark, color = _VERDICT.get(verdict, _UNDECIDED)
            ax.hlines(place, row["low"], row["high"], color=color, lw=2.4)
            (drawn_mark,) = ax.plot(row["difference"], place, mark, color=color, ms=9, mec="white", ls="none")
            keys.setdefault(verdict if verdict in _VERDICT else "undecided, or no verdict", drawn_mark)
            if row.get("smallest"):
                (bar,) = ax.plot(
                    [row["smallest"]] * 2, [place - 0.36, place + 0.36], color="black", lw=1.6, ls=(0, (1, 1))
                )
                keys["smallest effect of interest, or margin"] = bar
            ax.annotate(
                f"{row['difference']:+.{0 if reach.max() > 30 else 1}f}", (1.02, place),
                xycoords=("axes fraction", "data"), va="center", color=color, weight="bold",
            )  # fmt: skip
        if reach.max() > 8 * np.median(reach):  # a few rows reach far: they shall not flatten the others
            ax.set_xscale("symlog", linthresh=20, linscale=1.2)
            ticks = [
                t for t in (-300, -100, -30, -10, 0, 10, 30, 100, 300, 1000) if abs(t) <= 1.2 * reach.max()
            ]
            low = min(row["low"] for row in rows)
            ax.set_xticks([t for t in ticks if t >= min(1.5 * low, -10)], minor=False)
            ax.minorticks_off()
            ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        ax.set(yticks=range(len(rows)), yticklabels=[row["name"] for row in rows], xlabel=xlabel)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.grid(False, axis="y")
        for place in range(0, len(rows), 2):
            ax.axhspan(place - 0.5, place + 0.5, color="#F2F2F2", zorder=0)
        if len(keys) > 1 or rows[0]["verdict"] != "no verdict":
            drawn.legend(keys.values(), keys, loc="outside lower center", ncols=2, frameon=False)
    return drawn


def pairs(values: Mapping[str, Mapping[int, float]], *, ylabel: str) -> Figure:
    """Draw one line per seed through the conditions: whether all seeds go the same way.

    Parameters
    ----------
    values : condition -> seed -> value
    """
    names = list(values)
    with styled():
        drawn, axes = figure(size=(1.5 * len(names) + 1.6, 3.4))
        ax = axes[0, 0]
        ax.grid(False, axis="x")
        for seed in sorted(set().union(*values.values())):
            there = [(k, values[name][seed]) for k, name in enumerate(names) if seed in values[name]]
            ax.plot(*zip(*there, strict=True), color="#AAAAAA", lw=1, marker="o", ms=4, zorder=1)
        for k, name in enumerate(names):
            mean = np.mean(list(values[name].values()))
            ax.plot(k, mean, "D", color=CONDITION_COLORS.get(name, "black"), ms=10, mec="white", zorder=2)
            ax.annotate(
                f"{mean:.3f}", (k, mean), (9, 0), textcoords="offset points", va="center", weight="bold"
            )
        ax.set(xticks=range(len(names)), xlim=(-0.4, len(names) - 0.4), ylabel=ylabel)
        ax.set_xticklabels(name.replace(" (", "\n(") for name in names)
    return drawn


def axes(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw what each measure says of translations whose answer is known, and of trained ones.

    Parameters
    ----------
    panels : measure -> condition -> values
        One value, or one for each seed: all are drawn, and their mean with a larger mark.
    """
    names = list(next(iter(panels.values())))
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    with styled():
        drawn, places = figure(
            rows, columns, size=(2.3 * columns + 2.2, rows * (0.24 * len(names) + 1.0)), sharey=True
        )
        for ax, (measure, conditions) in zip(places.flat, panels.items(), strict=False):
            for k, name in enumerate(names):
                found = conditions.get(name, ())
                color = CONDITION_COLORS.get(name, "#777777")
                ax.plot(found, [k] * len(found), "|", color=color, ms=7)
                if len(found):
                    ax.plot(np.mean(found), k, "o", color=color, ms=7, mec="white")
            ax.set(title=measure, yticks=range(len(names)), yticklabels=names)
            ax.locator_params(axis="x", nbins=4)
        for ax in places.flat[len(panels) :]:
            ax.set_visible(False)
        places[0, 0].invert_yaxis()
    return drawn


def curve(panels: Mapping[str, Sequence[Mapping]], *, chosen: float) -> Figure:
    """Draw measures over the weight lambda_s, with the spread over seeds.

    Parameters
    ----------
    panels : measure -> points
        Points with "weight", "mean", "sd" (None: one seed) and "seeds"; those without a mean are left out.
    chosen : float
        The paper's weight, marked.
    """
    with styled():
        drawn, axes = figure(1, len(panels), size=(4.2 * len(panels), 3.2))
        for ax, (measure, points) in zip(axes[0], panels.items(), strict=True):
            points = [p for p in points if p["mean"] is not None]
            place = {p["weight"]: k for k, p in enumerate(points)}
            means = [p["mean"] for p in points]
            ax.errorbar(
                range(len(points)),
                means,
                yerr=[p["sd"] or 0 for p in points],
                color="#0072B2",
                marker="o",
                capsize=3,
            )
            if chosen in place:
                ax.axvline(place[chosen], color="#D55E00", lw=6, alpha=0.2, zorder=0)
            ticks = [f"{p['weight']:g}\nn={p['seeds']}" for p in points]
            ax.set(xticks=range(len(points)), xticklabels=ticks, xlabel="lambda_s", title=measure)
    return drawn


def bands(
    trainings: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]],
    *,
    log: bool = False,
) -> Figure:
    """Draw terms of a training over its steps: the mean over seeds, and the range of all seeds behind it.

    Parameters
    ----------
    trainings : term -> condition -> (steps, mean, low, high)
    log : bool
        Logarithmic ordinates.
    """
    with styled():
        names = list(dict.fromkeys(name for conditions in trainings.values() for name in conditions))
        drawn, panels = grid(len(trainings))
        for ax, (term, conditions) in zip(panels, trainings.items(), strict=True):
            for name, (steps, mean, low, high) in conditions.items():
                k = names.index(name)  # one dash for a condition in every panel
                color = CONDITION_COLORS.get(name, _OTHERS[k % 6])
                ax.fill_between(steps, low, high, color=color, alpha=0.18, lw=0)
                ax.plot(steps, mean, _DASHES[k % 4], color=color, label=name, lw=2)
            ax.set(title=term, xlabel="step")
            if log:
                ax.set_yscale("log")
                plain_log(ax.yaxis)
            ax.margins(x=0)
        handles = {line.get_label(): line for ax in panels for line in ax.get_lines()}
        drawn.legend(handles=list(handles.values()), loc="outside lower center", ncols=3, frameon=False)
    return drawn
