"""Scores of several translations, class by class, and which classes flipped into which."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from semcg.labels import CLASSES, names
from semcg.plots.style import CONDITION_COLORS, class_colors, figure, styled

__all__ = ["beside", "class_points", "flips"]

_MARKERS = "osD^vPX*"


def class_points(scores: Mapping[str, np.ndarray], *, xlabel: str = "intersection over union, %") -> Figure:
    """Draw one row per class, with a point for each condition: what a translation gains stands right of another's.

    Parameters
    ----------
    scores : condition -> (19,) float
        0..1; NaN gets no point. The known conditions have the same colour in every figure.
    xlabel : str
        What is scored, in percent.

    Raises
    ------
    ValueError
        If there is no condition, or one has not 19 scores.
    """
    values = {name: np.asarray(given, dtype=float) for name, given in scores.items()}
    if not values or any(given.shape != (len(CLASSES),) for given in values.values()):
        shapes = {name: given.shape for name, given in values.items()}
        raise ValueError(f"{len(CLASSES)} scores a condition are needed, not {shapes}")
    place = np.arange(len(CLASSES))
    with styled():
        drawn, axes = figure(size=(8.5, 6.4))
        ax = axes[0, 0]
        stacked = 100 * np.stack(list(values.values()))
        seen = ~np.isnan(stacked).all(0)
        ax.hlines(
            place[seen],
            np.nanmin(stacked[:, seen], 0, initial=np.inf),
            np.nanmax(stacked[:, seen], 0, initial=-np.inf),
            color="#CCCCCC",
            lw=3,
            zorder=1,
        )
        for k, name in enumerate(values):
            ax.scatter(
                stacked[k], place, s=38, marker=_MARKERS[k % len(_MARKERS)], zorder=2, label=name,
                color=CONDITION_COLORS.get(name, f"C{k}"), edgecolor="white", lw=0.5,
            )  # fmt: skip
        ax.set(yticks=place, yticklabels=names(), xlabel=xlabel, xlim=(-2, 102))
        ax.set_ylim(len(CLASSES) - 0.4, -0.6)
        swatch = ax.get_yaxis_transform()
        ax.scatter(
            [-0.012] * len(place), place, marker="s", s=42, c=class_colors(), transform=swatch, clip_on=False
        )
        ax.tick_params(axis="y", pad=12)
        drawn.legend(loc="outside lower center", ncols=3, frameon=False)
    return drawn


def flips(shares: np.ndarray, *, title: str = "", least: float = 0.05) -> Figure:
    """Draw which source class is read as which class after translation, as a matrix with its numbers.

    Parameters
    ----------
    shares : (19, 19) float
        Row = class in the source, column = class read; 0..1, from `semcg.metrics.flips`. Rows of NaN, classes that the
        source does not show, stay grey.
    least : float
        Shares from here on are written in their cells, in percent.

    Raises
    ------
    ValueError
        If it is not (19, 19), or a share lies outside 0..1.
    """
    shares = np.asarray(shares, dtype=float)
    if shares.shape != (len(CLASSES), len(CLASSES)):
        raise ValueError(f"shares are ({len(CLASSES)}, {len(CLASSES)}), not {shares.shape}")
    if np.nanmin(shares, initial=0) < 0 or np.nanmax(shares, initial=0) > 1:
        raise ValueError(f"shares are 0..1, not {np.nanmin(shares):g}..{np.nanmax(shares):g}")
    place = np.arange(len(CLASSES))
    with styled():
        drawn, axes = figure(size=(9.2, 8.2))
        ax = axes[0, 0]
        ax.set_facecolor("#DDDDDD")
        picture = ax.imshow(np.ma.masked_invalid(100 * shares), cmap="Blues", vmin=0, vmax=100)
        for row, column in zip(*np.nonzero(shares >= least), strict=True):
            share = shares[row, column]
            ax.text(
                column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=8.5,
                color="white" if share > 0.5 else "black", fontweight="bold" if row == column else None,
            )  # fmt: skip
        ax.set_xticks(place, names(), rotation=60, ha="right", rotation_mode="anchor")
        ax.set_yticks(place, names())
        ax.set(
            xlabel="read by the judge in the translation as", ylabel="labelled in the source as", title=title
        )
        ax.grid(False)
        ax.set_xticks(place[1:] - 0.5, minor=True)
        ax.set_yticks(place[1:] - 0.5, minor=True)
        ax.grid(which="minor", color="white", lw=0.6)
        ax.tick_params(which="minor", length=0)
        drawn.colorbar(picture, ax=ax, shrink=0.6, label="% of the class's pixels in the source")
    return drawn


def beside(
    run: Mapping[str, float], published: Sequence[tuple[str, float, str]], *, xlabel: str = "mean IoU, %"
) -> Figure:
    """Draw the scores of a run among published ones, a row each, the best on top.

    Parameters
    ----------
    run : condition -> float
        0..1, drawn as diamonds. The known conditions have the same colour in every figure.
    published : list of (name, score, mark)
        0..1, drawn as circles: full where the mark is "read" (in its source), hollow where it is "recalled".

    Raises
    ------
    ValueError
        If there is no score of a run, a score is not in 0..1, or a mark is neither.
    """
    rows = [(name, score, "this run") for name, score in run.items()] + list(published)
    if not run or not all(0 <= score <= 1 for _, score, _ in rows):
        raise ValueError(f"scores in 0..1 are needed, of a run one at least, not {rows}")
    known = {"this run": "D", "read": "o", "recalled": "o"}
    if wrong := {mark for *_, mark in rows} - set(known):
        raise ValueError(f"a mark is read or recalled, not {', '.join(sorted(wrong))}")
    rows.sort(key=lambda row: -row[1])
    with styled():
        drawn, axes = figure(size=(8.5, 1.1 + 0.24 * len(rows)))
        ax = axes[0, 0]
        for mark, shape in known.items():
            own = mark == "this run"
            at = [k for k, row in enumerate(rows) if row[2] == mark]
            if not at:
                continue
            colors = [CONDITION_COLORS.get(rows[k][0], "C3") if own else "#555555" for k in at]
            ax.scatter(
                [100 * rows[k][1] for k in at], at, marker=shape, s=58 if own else 34, zorder=2 + own, edgecolors=colors,
                facecolors="white" if mark == "recalled" else colors, label=mark if own else f"published, {mark}",
            )  # fmt: skip
        ax.set(yticks=range(len(rows)), yticklabels=[row[0] for row in rows], xlabel=xlabel, xlim=(-2, 102))
        ax.set_ylim(len(rows) - 0.4, -0.6)
        for tick, row in zip(ax.get_yticklabels(), rows, strict=True):
            tick.set(fontsize=8.5, fontweight="bold" if row[2] == "this run" else None)
        drawn.legend(loc="outside lower center", ncols=3, frameon=False)
    return drawn
