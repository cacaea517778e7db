"""Curves: losses of the generator, of trainings and of each reading of Eq. (4); and the spectra of frames."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from semcg.plots.style import CONDITION_COLORS, figure, grid, styled

__all__ = ["floors", "generator_losses", "spectra", "training_curves"]

_OTHERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES = ("-", "--", "-.", ":")


def generator_losses(logits: np.ndarray, losses: Mapping[str, np.ndarray]) -> Figure:
    """Draw losses of the generator over the discriminator's logit.

    Parameters
    ----------
    logits : (n,)
        Abscissa.
    losses : name -> (n,)
        One curve each.

    Raises
    ------
    ValueError
        If a curve has not as many points as there are logits.
    """
    logits = np.asarray(logits)
    with styled():
        drawn, axes = figure(size=(5.5, 3.4))
        ax = axes[0, 0]
        for i, (name, values) in enumerate(losses.items()):
            if np.shape(values) != logits.shape:
                raise ValueError(f"{name} has shape {np.shape(values)}, the logits have {logits.shape}")
            ax.plot(logits, np.asarray(values), _DASHES[i % 4], color=_OTHERS[i % 6], label=name, linewidth=2)
        ax.set(xlabel="logit of a translated patch: fake  <  0  <  real", ylabel="loss of the generator")
        ax.set_ylim(-6, 9)
        ax.legend()
    return drawn


def training_curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]], *, names: Sequence[str], window: int = 50
) -> Figure:
    """Draw losses over the steps of one or more trainings, one panel per loss: single steps faint, running mean bold.

    Parameters
    ----------
    histories : training -> records
        Records with "step" and losses, as `semcg.training.fit` yields them.
    names : list of str
        Losses to draw. A training without one of them is left out of that panel.
    window : int
        Steps of the running mean, at most a tenth of the training.

    Raises
    ------
    ValueError
        If no training has a record with one of `names`.
    """
    names = [n for n in names if any(n in h[0] for h in histories.values() if h)]
    if not names:
        raise ValueError(f"none of the trainings {list(histories)} has records of these losses")
    with styled():
        drawn, panels = grid(len(names))
        for ax, name in zip(panels, names, strict=True):
            for i, (training, history) in enumerate(histories.items()):
                if not history or name not in history[0]:
                    continue
                steps = np.array([record["step"] for record in history])
                values = np.array([record[name] for record in history], dtype=float)
                color = CONDITION_COLORS.get(training, _OTHERS[i % 6])
                ax.plot(steps, values, color=color, alpha=0.2, linewidth=0.8)
                ax.plot(steps, _running_mean(values, window), color=color, linewidth=1.8, label=training)
            ax.set(title=name, xlabel="step")
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            ax.margins(x=0)
        if len(histories) > 1:
            handles = {
                line.get_label(): line for ax in panels for line in ax.get_lines() if line.get_alpha() is None
            }
            drawn.legend(handles=list(handles.values()), loc="outside lower center", ncols=4, frameon=False)
    return drawn


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over the `window` values around each, fewer at the ends."""
    half = max(0, min(window, len(values) // 10) // 2)
    total = np.concatenate([[0.0], np.cumsum(values)])
    low = np.maximum(np.arange(len(values)) - half, 0)
    high = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def floors(charged: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw what each reading of Eq. (4) charges the perfect translation, as a share of what it charges none at all.

    Parameters
    ----------
    charged : reading -> (of the identity, of the oracle)
        Mean losses, both positive.
    """
    with styled():
        drawn, axes = figure(size=(6.0, 0.45 * len(charged) + 1.1))
        ax = axes[0, 0]
        shares = [100 * oracle / identity for identity, oracle in charged.values()]
        ax.barh(list(charged), shares, color="#56B4E9", edgecolor="#0072B2")
        for place, share in enumerate(shares):
            ax.text(share + 1, place, f"{share:.0f} %", va="center")
        ax.axvline(100, color="black", linewidth=1)
        ax.set(
            xlabel="loss of the oracle in % of the loss of the identity",
            xlim=(0, max(118, 1.15 * max(shares))),
        )
        ax.invert_yaxis()
        ax.grid(False, axis="y")
    return drawn


def spectra(powers: Mapping[str, np.ndarray]) -> Figure:
    """Draw the mean power of frames over the frequency along a line, on a logarithmic axis, up to a period of 2 px.

    Parameters
    ----------
    powers : name -> (n,) float
        At n frequencies from 0 to 1/2 cycles per pixel, equally spaced, all positive. The first is not drawn.
    """
    with styled():
        drawn, axes = figure(size=(6.5, 3.2))
        ax = axes[0, 0]
        for i, (name, power) in enumerate(powers.items()):
            frequency = np.linspace(0, 0.5, len(power))[1:]
            color = CONDITION_COLORS.get(name, _OTHERS[-1 - i % 6])
            ax.plot(frequency, power[1:], _DASHES[i % 4], color=color, label=name, linewidth=1.5)
        ax.set(
            yscale="log", ylabel="power", xlabel="cycles per pixel; 0.5 is a period of 2 px", xlim=(0, 0.52)
        )
        ax.set_xticks([0, 1 / 8, 1 / 4, 1 / 2], ["0", "1/8", "1/4", "1/2"])
        ax.legend()
    return drawn
