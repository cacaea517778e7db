"""Scores and their differences, condition by condition, class by class, and which classes flipped into which."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn
from matplotlib.figure import Figure

from semcg.labels import CLASSES, names
from semcg.plots import class_axis, condition_colors, figure, grid, styled
from semcg.statistics import FAILS, HOLDS

_MARKERS = "osD^vPX*"
_VERDICTS = {HOLDS: ("o", "#009E73"), FAILS: ("X", "#D55E00")}


@styled()
def class_points(scores: Mapping[str, np.ndarray]) -> Figure:
    """Draw one row per class, with a point for each condition: what a translation gains is right of another's.

    Parameters
    ----------
    scores : condition -> (19,) float
        0..1; NaN gets no point.
    """
    percent = 100 * pd.DataFrame(dict(scores), index=names())
    place = np.arange(len(CLASSES))
    drawn, [[ax]] = figure(size=(8.5, 6.4))
    ax.hlines(place, percent.min(axis=1), percent.max(axis=1), color="#CCCCCC", lw=3, zorder=1)
    for (name, color), marker in zip(condition_colors(percent).items(), _MARKERS * 9, strict=False):
        look = {"s": 38, "marker": marker, "color": color, "edgecolor": "white", "lw": 0.5}
        ax.scatter(percent[name], place, zorder=2, label=name, **look)
    ax.set(xlabel="intersection over union, %", xlim=(-2, 102))
    class_axis(ax)
    drawn.legend(loc="outside lower center", ncols=3, frameon=False)
    return drawn


@styled()
def flips(shares: np.ndarray, *, title: str = "", least: float = 0.05) -> Figure:
    """Draw which source class is read as which class after translation, as a matrix with its numbers.

    Parameters
    ----------
    shares : (19, 19) float
        Row = class in the source, column = class read; 0..1, from `semcg.metrics.flips`. Rows of NaN, classes that the
        source does not show, stay gray.
    least : float
        Shares from here on are written in their cells, in percent.

    Raises
    ------
    ValueError
        If it is not (19, 19), or a share is outside 0..1.
    """
    shares, place = np.asarray(shares, dtype=float), np.arange(len(CLASSES))
    if shares.shape != (len(CLASSES),) * 2 or not (np.isnan(shares) | (abs(shares - 0.5) <= 0.5)).all():
        raise ValueError(f"a (19, 19) table of shares in 0..1 is needed, not {shares.shape}, {shares}")
    drawn, [[ax]] = figure(size=(9.2, 8.2))
    ax.set_facecolor("#DDDDDD")
    look = {"cmap": "Blues", "vmin": 0, "vmax": 100, "edgecolor": "white", "lw": 0.6, "rasterized": True}
    picture = ax.pcolormesh(place, place, np.ma.masked_invalid(100 * shares), **look)
    for row, column in zip(*np.nonzero(shares >= least), strict=True):
        look = {"color": "white" if shares[row, column] > 0.5 else "black", "fontsize": 8.5}
        look["fontweight"] = "bold" if row == column else "normal"
        ax.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", **look)
    ax.set_xticks(place, names(), rotation=60, ha="right", rotation_mode="anchor")
    ax.set_yticks(place, names())
    ax.set(xlabel="read by the judge in the translation as", ylabel="labeled in the source as", title=title)
    ax.set(aspect="equal", ylim=(len(CLASSES) - 0.5, -0.5))
    ax.grid(False)
    drawn.colorbar(picture, ax=ax, shrink=0.6, label="% of the class's pixels in the source")
    return drawn


@styled()
def ranking(run: Mapping[str, float], published: Sequence[tuple[str, float, str]]) -> Figure:
    """Draw the scores of a run among published ones, a row each, the best on top.

    Parameters
    ----------
    run : condition -> float
        0..1, drawn as diamonds.
    published : list of (name, score, mark)
        0..1, drawn as circles: full where the mark is "read" (in its source), hollow where it is "recalled".

    Raises
    ------
    ValueError
        If there is no score of a run, a score is not in 0..1, or a mark is neither.
    """
    own = [(name, score, "this run") for name, score in run.items()]
    rows = pd.DataFrame(own + list(published), columns=["name", "score", "mark"])
    known = rows["score"].between(0, 1) & rows["mark"].isin(["this run", "read", "recalled"])
    if not (run and known.all()):
        raise ValueError(f"scores in 0..1, of a run too, and marks read or recalled are needed, not\n{rows}")
    rows = rows.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    colors = condition_colors(run)
    drawn, [[ax]] = figure(size=(8.5, 1.1 + 0.24 * len(rows)))
    for mark, of in rows.groupby("mark"):
        edges, label = ["#555555"] * len(of), f"published, {mark}"
        look = {"marker": "o", "s": 34, "zorder": 2}
        if mark == "this run":
            edges, label = [colors[name] for name in of["name"]], mark
            look = {"marker": "D", "s": 58, "zorder": 3}
        faces = "white" if mark == "recalled" else edges
        ax.scatter(100 * of["score"], of.index, edgecolors=edges, facecolors=faces, label=label, **look)
    ax.set(yticks=rows.index, yticklabels=rows["name"], xlabel="mean IoU, %", xlim=(-2, 102))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    for tick, mark in zip(ax.get_yticklabels(), rows["mark"], strict=True):
        tick.set(fontsize=8.5, fontweight="bold" if mark == "this run" else "normal")
    drawn.legend(loc="outside lower center", ncols=3, frameon=False)
    return drawn


@styled()
def forest(rows: pd.DataFrame, *, xlabel: str) -> Figure:
    """Draw differences with their intervals, one row each.

    Parameters
    ----------
    rows : DataFrame
        Index: the names. "difference", "low", "high", in units of the measure; "verdict", which decides mark and color;
        and, if there is one, "smallest": the smallest effect of interest, signed, drawn as a short bar.

    Raises
    ------
    ValueError
        If there is no row.
    """
    if rows.empty:
        raise ValueError("no row was measured: there is nothing to draw")
    reach = rows[["low", "high"]].abs().max(axis=1)
    drawn, [[ax]] = figure(size=(7.4, 0.34 * len(rows) + 1.5))
    ax.axvline(0, color="black", lw=1)
    keys: dict[str, object] = {}
    for place, row in enumerate(rows.itertuples()):
        verdict = row.verdict
        mark, color = _VERDICTS.get(verdict, ("s", "#777777"))
        ax.hlines(place, row.low, row.high, color=color, lw=2.4)
        (point,) = ax.plot(row.difference, place, mark, color=color, ms=9, mec="white", ls="none")
        keys.setdefault(verdict if verdict in _VERDICTS else "undecided, or no verdict", point)
        if getattr(row, "smallest", 0):
            ends, dotted = (place - 0.36, place + 0.36), {"color": "black", "lw": 1.6, "ls": (0, (1, 1))}
            keys["smallest effect of interest, or margin"] = ax.vlines(row.smallest, *ends, **dotted)
        digits = 0 if reach.max() > 30 else 1
        at = {"xy": (1.02, place), "xycoords": ("axes fraction", "data"), "va": "center"}
        ax.annotate(f"{row.difference:+.{digits}f}", **at, color=color, weight="bold")
    if reach.max() > 8 * reach.median():  # a few rows reach far: they must not flatten the others
        ax.set_xscale("symlog", linthresh=20, linscale=1.2)
        ticks = [t for t in (-300, -100, -30, -10, 0, 10, 30, 100, 300, 1000) if abs(t) <= 1.2 * reach.max()]
        ax.set_xticks([t for t in ticks if t >= min(1.5 * rows["low"].min(), -10)], minor=False)
        ax.minorticks_off()
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set(yticks=range(len(rows)), yticklabels=rows.index, xlabel=xlabel)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(False, axis="y")
    for place in range(0, len(rows), 2):
        ax.axhspan(place - 0.5, place + 0.5, color="#F2F2F2", zorder=0)
    if len(keys) > 1 or rows["verdict"].iloc[0] != "no verdict":
        drawn.legend(keys.values(), keys, loc="outside lower center", ncols=2, frameon=False)
    return drawn


@styled()
def pairs(values: pd.DataFrame, *, ylabel: str) -> Figure:
    """Draw one line per seed (row) through the conditions (columns): whether all seeds go the same way."""
    drawn, [[ax]] = figure(size=(1.5 * len(values.columns) + 1.6, 3.4))
    ax.grid(False, axis="x")
    ax.plot(range(len(values.columns)), values.T, color="#AAAAAA", lw=1, marker="o", ms=4, zorder=1)
    for k, (name, color) in enumerate(condition_colors(values).items()):
        mean = values[name].mean()
        ax.plot(k, mean, "D", color=color, ms=10, mec="white", zorder=2)
        ax.annotate(f"{mean:.3f}", (k, mean), (9, 0), textcoords="offset points", va="center", weight="bold")
    ax.set(xlim=(-0.4, len(values.columns) - 0.4), ylabel=ylabel)
    ax.set_xticks(range(len(values.columns)), [name.replace(", ", ",\n") for name in values])
    return drawn


@styled()
def measure_axes(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw what each measure says of translations whose answer is known, and of trained ones.

    Parameters
    ----------
    panels : measure -> condition -> values
        One value, or one for each seed: all are drawn, and their mean with a larger mark.
    """
    colors = condition_colors(next(iter(panels.values())))
    size = (2.3 + 2.2 / min(4, len(panels)), 0.24 * len(colors) + 1.0)
    drawn, places = grid(len(panels), most=4, size=size, sharey=True)
    for ax, (measure, conditions) in zip(places, panels.items(), strict=True):
        for k, (name, color) in enumerate(colors.items()):
            values = conditions.get(name, ())
            ax.plot(values, [k] * len(values), "|", color=color, ms=7)
            if len(values):
                ax.plot(np.mean(values), k, "o", color=color, ms=7, mec="white")
        ax.set(title=measure, yticks=range(len(colors)), yticklabels=colors)
        ax.locator_params(axis="x", nbins=4)
    places[0].invert_yaxis()
    return drawn


@styled()
def shares(bars: Mapping[str, Mapping[str, float]], *, xlabel: str) -> Figure:
    """Draw a stacked bar for each whole: the share of each of its parts, from dark to light.

    Parameters
    ----------
    bars : whole -> {part: share}
        Shares 0..1; the parts in the order of the first whole.
    xlabel : str
        Of what the shares are, such as "% of the whole".
    """
    table = 100 * pd.DataFrame(bars).T.fillna(0.0)
    drawn, [[ax]] = figure(size=(7, 0.6 * len(bars) + 1.6))
    look = {"width": 0.8, "color": seaborn.color_palette("cividis", len(table.columns)), "edgecolor": "white"}
    table.plot.barh(ax=ax, stacked=True, legend=False, **look)
    ax.set(xlim=(0, 100), xlabel=xlabel, ylabel="")
    ax.invert_yaxis()
    # Named here: matplotlib leaves labels that begin with "_" out of a legend.
    drawn.legend(ax.containers, list(table), loc="outside lower center", ncols=4)
    return drawn
