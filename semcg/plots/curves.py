"""Curves: losses over logits and training steps, measures over a setting, and the spectra of frames."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from semcg.plots import COLORS, condition_colors, figure, grid, legend_below, plain_log, styled

_BLUE, _ORANGE = COLORS[:2]
_DASHES = ("-", "--", "-.", ":")
_WINDOW = 50
"""Steps of a running mean, at most a tenth of the training."""


@styled()
def generator_losses(logits: np.ndarray, losses: Mapping[str, np.ndarray]) -> Figure:
    """Draw losses of the generator over the discriminator's logit.

    Parameters
    ----------
    logits : (n,)
        Abscissa.
    losses : name -> (n,)
        One curve each.
    """
    drawn, [[ax]] = figure(size=(5.5, 3.4))
    for i, (name, values) in enumerate(losses.items()):
        ax.plot(logits, np.asarray(values), _DASHES[i % 4], color=COLORS[i % 6], label=name, linewidth=2)
    xlabel = "logit of a translated patch: fake  <  0  <  real"
    ax.set(xlabel=xlabel, ylabel="loss of the generator", ylim=(-6, 9))
    ax.legend()
    return drawn


@styled()
def training_curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    names: Sequence[str],
    colors: Mapping[str, str] | None = None,
    **layout: object,
) -> Figure:
    """Draw losses over the steps of one or more trainings, one panel per loss: single steps faint, running mean bold.

    Parameters
    ----------
    histories : training -> records
        Records with "step" and losses, as `semcg.loop.fit` yields them.
    names : list of str
        Losses to draw. A training without one of them is left out of that panel.
    colors : training -> color, optional
        Default: `semcg.plots.condition_colors` of the trainings.
    **layout
        "most" and "size" of `semcg.plots.grid`.

    Raises
    ------
    ValueError
        If no training has a record with one of `names`.
    """
    tables = {name: pd.DataFrame(records) for name, records in histories.items()}
    names = [name for name in names if any(name in table for table in tables.values())]
    if not names:
        raise ValueError(f"none of the trainings {list(histories)} has records of these losses")
    colors = colors or condition_colors(histories)
    drawn, panels = grid(len(names), **layout)
    for ax, name in zip(panels, names, strict=True):
        for training, table in tables.items():
            if name in table:
                ax.plot(table["step"], table[name], color=colors[training], alpha=0.2, linewidth=0.8)
                mean = running_mean(table[name], _WINDOW)
                ax.plot(table["step"], mean, color=colors[training], linewidth=1.8, label=training)
        ax.set(title=name, xlabel="step")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.margins(x=0)
    if len(histories) > 1:
        legend_below(drawn, panels, columns=4)
    return drawn


def running_mean(values: Sequence[float], window: int) -> np.ndarray:
    """Mean over the `window` values around each, fewer at the ends."""
    half = min(window, len(values) // 10) // 2
    return pd.Series(values).rolling(2 * half + 1, center=True, min_periods=1).mean().to_numpy()


@styled()
def bands(
    steps: pd.DataFrame, conditions: Sequence[str], terms: Sequence[str], *, log: bool = False
) -> Figure:
    """Draw terms of a training over its steps, a panel each: the mean over seeds, and the range of all seeds behind it.

    Parameters
    ----------
    steps : DataFrame
        Columns "mean", "min" and "max"; index (term, condition, step).
    conditions, terms : list of str
        Those to draw; a condition without a term is left out of its panel.
    log : bool
        Logarithmic ordinates.
    """
    there = [term for term in terms if term in steps.index.unique(0)]
    drawn, panels = grid(len(there))
    for ax, term in zip(panels, there, strict=True):
        for k, (name, color) in enumerate(condition_colors(conditions).items()):
            if (term, name) in steps.index:
                of = steps.loc[(term, name)]
                ax.fill_between(of.index, of["min"], of["max"], color=color, alpha=0.18, lw=0)
                ax.plot(of.index, of["mean"], _DASHES[k % 4], color=color, label=name, lw=2)
        ax.set(title=term, xlabel="step")
        if log:
            ax.set_yscale("log")
            plain_log(ax.yaxis)
        ax.margins(x=0)
    legend_below(drawn, panels, columns=3)
    return drawn


@styled()
def dials(
    settings: Sequence[float], curves: Mapping[str, np.ndarray], *, at: int, seed: int | None = None
) -> Figure:
    """Draw one panel per measure over settings of lambda_s, which are at equal distances.

    Parameters
    ----------
    settings : (n,) float
        In rising order.
    curves : measure -> (seeds, n) float
        Each seed is a faint line, their mean a bold one; NaN where a seed was not measured.
    at : int
        Index of the setting that is marked.
    seed : int, optional
        Row of the curves to draw bold in place of their mean.
    """
    place = np.arange(len(settings))
    drawn, panels = grid(len(curves), size=(3.1, 2.5))
    for ax, (name, values) in zip(panels, curves.items(), strict=True):
        table = pd.DataFrame(values)  # whose mean leaves out NaN
        bold = table.mean() if seed is None else table.loc[seed]
        ax.plot(place, table.T, color=_BLUE, alpha=0.25, lw=1)
        ax.plot(place, bold, color=_BLUE, lw=2.2, marker="o", ms=4)
        ax.axvline(at, color=_ORANGE, lw=6, alpha=0.25)
        ax.plot(at, bold.iloc[at], "o", ms=9, mfc="none", mec=_ORANGE, mew=2)
        ax.set_xticks(place, [f"{s:g}" for s in settings])
        ax.set(title=name, xlabel=r"$\lambda_s$")
    return drawn


@styled()
def floors(charged: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw what each reading of Eq. (4) charges the perfect translation, as a share of what it charges none at all.

    Parameters
    ----------
    charged : reading -> (of the identity, of the oracle)
        Mean losses, both positive.
    """
    drawn, [[ax]] = figure(size=(6.0, 0.45 * len(charged) + 1.1))
    shares = [100 * oracle / identity for identity, oracle in charged.values()]
    most = max(118, 1.15 * max(shares))
    bars = ax.barh(list(charged), shares, color="#56B4E9", edgecolor=_BLUE)
    ax.bar_label(bars, fmt="%.0f %%", padding=3)
    ax.axvline(100, color="black", linewidth=1)
    ax.set(xlabel="loss of the oracle in % of the loss of the identity", xlim=(0, most))
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    return drawn


@styled()
def spectra(powers: Mapping[str, np.ndarray]) -> Figure:
    """Draw the mean power of frames over the frequency along a line, on a logarithmic axis, up to a period of 2 px.

    Parameters
    ----------
    powers : name -> (n,) float
        At n frequencies from 0 to 1/2 cycles per pixel, equally spaced, all positive. The first is not drawn.
    """
    drawn, [[ax]] = figure(size=(6.5, 3.2))
    colors = condition_colors(powers)
    for i, (name, power) in enumerate(powers.items()):
        frequency = np.linspace(0, 0.5, len(power))[1:]
        ax.plot(frequency, power[1:], _DASHES[i % 4], color=colors[name], label=name, linewidth=1.5)
    ax.set(yscale="log", ylabel="power", xlabel="cycles per pixel; 0.5 is a period of 2 px", xlim=(0, 0.52))
    ax.set_xticks([0, 1 / 8, 1 / 4, 1 / 2], ["0", "1/8", "1/4", "1/2"])
    ax.legend()
    return drawn
