"""lambda_s on a slider, over the saved results of a sweep: picture, flips and losses move together."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from semcg.plots.curves import dials, training_curves
from semcg.widgets.parts import WIDE, drawing, panels, picture, watch

__all__ = ["weight", "weight_figure", "weight_losses", "weight_pictures"]

SHOWN = (
    ("judge mIoU", "all"),
    ("sky kept", "all"),
    ("sky to building", "all"),
    ("oracle L1", "all"),
    ("cycle L1", "all"),
    ("KID", "all"),
)
"""(measure, class) that are drawn, those of them that the results have: what is kept, what flips, what the losses see."""

TERMS = ("gan", "cycle", "semantic")
"""Losses of the generators that are drawn, those of them that a training had."""


def weight_pictures(folder: Path, weights: Sequence[float]) -> dict[float, Path]:
    """Return the pictures of a folder by weight: the last number in a file's name says whose it is.

    Parameters
    ----------
    folder : Path
        May be absent: then there are no pictures.
    weights : list of float
        `lambda_s_0.3.png` belongs to 0.3; files of other weights are left out.
    """
    found = {}
    for path in sorted(Path(folder).glob("*.png")):
        numbers = re.findall(r"\d+(?:\.\d+)?", path.stem)
        if numbers and float(numbers[-1]) in weights:
            found[float(numbers[-1])] = path
    return found


def weight_figure(
    measures: pd.DataFrame, weights: Mapping[float, str], *, at: float, seed: int | None = None
) -> Figure:
    """Draw the measures of a sweep over the weight of the semantic loss.

    Parameters
    ----------
    measures : DataFrame
        Columns condition, seed, measure, class, value; as in `results/reference/measures.csv`.
    weights : lambda_s -> condition
        `dict(zip(curve.weights, curve.points))` of a protocol's curve.
    at : float
        The weight that is marked, one of `weights`.
    seed : int, optional
        The seed to draw bold; their mean without one.

    Raises
    ------
    ValueError
        If none of the conditions has one of the measures, or there is no such weight.
    """
    curves, seeds = _curves(measures, weights)
    if at not in weights:
        raise ValueError(f"lambda_s = {at:g}: there are results for {', '.join(f'{w:g}' for w in weights)}")
    row = None if seed is None else seeds.index(seed)
    return dials(sorted(weights), curves, at=sorted(weights).index(at), seed=row)


def weight_losses(losses: pd.DataFrame, weights: Mapping[float, str]) -> Figure:
    """Draw the losses of a sweep's trainings step by step, a line per weight of the semantic loss.

    Parameters
    ----------
    losses, weights
        As `weight` takes them. Each line is the mean over the seeds that all weights have.

    Raises
    ------
    ValueError
        If there is no training of one of the weights.
    """
    losses = losses[losses["condition"].isin(list(weights.values()))]
    losses = losses[losses["seed"].isin(_common(losses))]
    found = {f"{w:g}": _history(losses, weights[w], None) for w in sorted(weights)}
    histories = {rf"$\lambda_s$ = {w}": history for w, history in found.items() if history}
    return training_curves(histories, names=TERMS)


def weight(
    measures: pd.DataFrame,
    weights: Mapping[float, str],
    *,
    losses: pd.DataFrame | None = None,
    pictures: Mapping[float, Path] | None = None,
    scale: int = 1,
) -> ipywidgets.VBox:
    """Turn lambda_s and see one frame's translation, the flips, and what the losses measure move together.

    Parameters
    ----------
    measures, weights
        As `weight_figure` takes them.
    losses : DataFrame, optional
        Columns condition, seed, step, term, value; as in `results/reference/curves.csv`: the losses of the trainings.
    pictures : lambda_s -> PNG file, optional
        As `weight_pictures` finds them. Where one is missing, the page says so.
    scale : int
        Screen pixels per pixel of a picture.

    Raises
    ------
    ValueError
        If none of the conditions has one of the measures.
    """
    settings = sorted(weights)
    curves, seeds = _curves(measures, weights)
    losses = None if losses is None else losses[losses["seed"].isin(seeds)]
    knob = ipywidgets.SelectionSlider(
        options=[(f"{w:g}", w) for w in settings],
        value=1.0 if 1.0 in weights else settings[0],
        description="lambda_s",
        continuous_update=False,
        style=WIDE,
    )
    # Not None for the mean: to a dropdown that is no choice at all, and it would stand empty.
    choices = [("mean of the seeds", "mean"), *((f"seed {s}", s) for s in seeds)]
    chosen = ipywidgets.Dropdown(options=choices, description="Show", style=WIDE)
    shown = ipywidgets.HTML()

    def redraw() -> None:
        seed = None if chosen.value == "mean" else chosen.value
        figures, at = [], settings.index(knob.value)
        where = f"lambda_s = {knob.value:g}"
        if path := (pictures or {}).get(knob.value):
            with Image.open(path, formats=("PNG", "JPEG")) as opened:
                pixels = np.asarray(opened.convert("RGB"))
            alt = f"One frame at {where}: its translation, what the judge reads in it, and the pixels whose class flipped."
            figures.append(picture(where, pixels, alt=alt, scale=scale))
        words = _words(curves, seeds, at, seed)
        fig = weight_figure(measures, weights, at=knob.value, seed=seed)
        figures.append(drawing(fig, alt=f"Measures over lambda_s. {words}"))
        if (history := _history(losses, weights[knob.value], seed)) is not None:
            names = [term for term in TERMS if term in history[0]]
            fig = training_curves({where: history}, names=names)
            last = ", ".join(f"{term} {history[-1][term]:.3f}" for term in names)
            figures.append(
                drawing(fig, alt=f"Losses of the training at {where}, step by step. At its end: {last}.")
            )
            words += f" At the end of the training: {last}."
        missing = "" if path else " There is no picture of this weight."
        shown.value = panels(figures, f"{where} ({weights[knob.value]}): {words}{missing}")

    watch(redraw, knob, chosen)
    return ipywidgets.VBox([knob, chosen, shown])


def _curves(measures: pd.DataFrame, weights: Mapping[float, str]) -> tuple[dict[str, np.ndarray], list[int]]:
    """Return name -> (seeds, weights) of those measures that there are, and the seeds in order."""
    ours = measures[measures["condition"].isin(list(weights.values()))]
    # Of the seeds that all weights have: what a seed brings to each of them would look like an effect of the weight.
    seeds = _common(ours)
    names = [weights[w] for w in sorted(weights)]
    curves = {}
    for measure, of_class in SHOWN:
        rows = ours[(ours["measure"] == measure) & (ours["class"] == of_class)]
        if rows.empty:
            continue
        table = rows.pivot_table(index="seed", columns="condition", values="value")
        curves[measure] = table.reindex(index=seeds, columns=names).to_numpy(dtype=float)
    if not curves:
        raise ValueError(
            f"no results of {', '.join(names)} with one of the measures {', '.join(m for m, _ in SHOWN)}"
        )
    return curves, seeds


def _common(rows: pd.DataFrame) -> list[int]:
    """Return the seeds that all conditions among some rows have; if there are none, those of any."""
    each = [set(map(int, of["seed"].dropna())) for _, of in rows.groupby("condition")]
    return sorted(set.intersection(*each) or set.union(*each)) if each else []


def _history(losses: pd.DataFrame | None, condition: str, seed: int | None) -> list[dict] | None:
    """Return the losses of a condition's trainings as records, a seed's or the mean of all; None if there are none."""
    if losses is None:
        return None
    ours = losses[(losses["condition"] == condition) & losses["term"].isin(TERMS)]
    if seed is not None:
        ours = ours[ours["seed"] == seed]
    if ours.empty:
        return None
    table = ours.pivot_table(index="step", columns="term", values="value").dropna()
    return [{"step": step, **row} for step, row in table.to_dict("index").items()]


def _words(curves: Mapping[str, np.ndarray], seeds: list[int], at: int, seed: int | None) -> str:
    parts = []
    for name, values in curves.items():
        value = (pd.DataFrame(values).mean() if seed is None else values[seeds.index(seed)])[at]
        parts.append(f"{name} {value:.3f}" if np.isfinite(value) else f"{name} not measured")
    of = f"mean of {len(seeds)} seeds" if seed is None else f"seed {seed}"
    return f"{', '.join(parts)} ({of})."
