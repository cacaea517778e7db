"""Explorers of trainings: one that runs while you watch, and a sweep over the weight of the semantic loss."""

import asyncio
import html
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from semcg.loop import check_finite
from semcg.pictures import image as read_image
from semcg.plots.curves import dials, training_curves
from semcg.widgets.pages import CHOICE, SLIDER, explorer, page, picture

# Measures that are drawn where the results have them: what is kept, what flips, what the losses see.
MEASURES = ("judge mIoU", "sky kept", "sky to building", "oracle L1", "cycle L1", "KID")
# Losses of the generators that are drawn where a training had them.
TERMS = ("gan", "cycle", "semantic")

Weights = Mapping[float, str]  # lambda_s -> condition


class Live(ipywidgets.VBox):
    """Train while you watch: a button starts, another stops between two steps, and the first one continues.

    The steps run in an asyncio task of the kernel, which lets the kernel hear the buttons between two of them; a loop
    in a cell would not. Other cells can run meanwhile; they wait for the current step.

    Parameters
    ----------
    records : iterator of dict
        From `semcg.loop.fit`: "step" and losses. Nothing is trained before the first click.
    steps : int
        Steps in all.
    names : list of str
        Losses to draw.
    look : callable
        () -> panels by title, each as `semcg.plots.frames.pixels` takes it, for example a translated frame. It is
        called between two steps.
    seconds : float
        Least time between two looks, so that looking costs little compared with training.

    Attributes
    ----------
    history : list of dict
        The records so far.
    task : asyncio.Task or None
        The training since the last click, None before the first.
    """

    def __init__(
        self,
        records: Iterator[Mapping[str, float]],
        *,
        steps: int,
        names: Sequence[str],
        look: Callable[[], Mapping[str, np.ndarray]],
        seconds: float = 2.0,
    ) -> None:
        self.history, self.task = [], None
        self._records, self._names, self._look, self._seconds = iter(records), names, look, seconds
        self._go = ipywidgets.Button(description="Start", tooltip="Train, or continue training")
        self._halt = ipywidgets.Button(description="Stop", tooltip="Stop after this step", disabled=True)
        self._bar = ipywidgets.IntProgress(0, 0, steps, description="Step")
        self._status, self._shown = ipywidgets.HTML(), ipywidgets.HTML()
        self._go.on_click(lambda button: self.start())
        self._halt.on_click(lambda button: self.stop())
        super().__init__([ipywidgets.HBox([self._go, self._halt, self._bar]), self._status, self._shown])
        self._report(f"Not started: 0 of {steps} steps.")
        self._draw()

    def start(self) -> None:
        """Start or continue. Does nothing while the training runs.

        Raises
        ------
        RuntimeError
            Outside a kernel, where no event loop runs.
        """
        if not self._go.disabled:
            self.task = asyncio.get_running_loop().create_task(self._train())
            self._go.disabled, self._halt.disabled = True, False

    def stop(self) -> None:
        """Stop after the current step. The next `start` continues from there."""
        self._halt.disabled = True

    async def _train(self) -> None:
        over = True
        self._report("Training.")
        try:
            for record in self._records:
                check_finite(record)
                self.history.append({name: float(value) for name, value in record.items()})
                self._bar.value = int(record["step"])
                if time.monotonic() - self._drawn >= self._seconds:
                    self._draw()
                await asyncio.sleep(0.001)  # here the kernel hears the buttons
                if self._halt.disabled:
                    over = False
                    break
            self._draw()
            self._report(f"{'Done' if over else 'Stopped'} after {self._bar.value} of {self._bar.max} steps.")
        except Exception as error:  # a task's error is shown nowhere else
            self._report(f"Step {self._bar.value + 1} failed with {type(error).__name__}: {error}")
        finally:
            self._go.description = "Continue"
            self._go.disabled, self._halt.disabled = over, True

    def _report(self, words: str) -> None:
        self._status.value = f'<p role="status">{html.escape(words)}</p>'

    def _draw(self) -> None:
        steps, words = len(self.history), ""
        panels = self._look().items()
        figures = [picture(panel, alt=f"{title} after {steps} steps", title=title) for title, panel in panels]
        if steps > 1:
            last = self.history[-1]
            losses = ", ".join(f"{name} {last[name]:.3f}" for name in self._names if name in last)
            words = f"Step {last['step']:.0f}: {losses}"
            curves = training_curves({"this training": self.history}, names=self._names)
            figures.append(picture(curves, alt=f"Losses over the steps so far. {words}."))
        self._shown.value = page(figures, words)
        self._drawn = time.monotonic()


def weight_pictures(folder: Path, weights: Sequence[float]) -> dict[float, Path]:
    """Return the pictures of a folder by weight: the last number in a file's name is the weight.

    Parameters
    ----------
    folder : Path
        May be absent: then there are no pictures.
    weights : list of float
        `lambda_s_0.3.png` belongs to 0.3; files of other weights are left out.
    """
    numbers = {path: re.findall(r"\d+(?:\.\d+)?", path.stem) for path in sorted(Path(folder).glob("*.png"))}
    return {float(n[-1]): path for path, n in numbers.items() if n and float(n[-1]) in weights}


def weight_figure(measures: pd.DataFrame, weights: Weights, *, at: float, seed: int | None = None) -> Figure:
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
    settings, row = sorted(weights), None if seed is None else seeds.index(seed)
    return dials(settings, curves, at=settings.index(at), seed=row)


def weight_losses(losses: pd.DataFrame, weights: Weights) -> Figure:
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
    seeds = _common_seeds(losses[losses["condition"].isin(list(weights.values()))])
    histories = {rf"$\lambda_s$ = {w:g}": _history(losses, weights[w], seeds) for w in sorted(weights)}
    return training_curves({name: h for name, h in histories.items() if h}, names=TERMS)


def weight(
    measures: pd.DataFrame,
    weights: Weights,
    *,
    losses: pd.DataFrame | None = None,
    pictures: Mapping[float, Path] | None = None,
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

    Raises
    ------
    ValueError
        If none of the conditions has one of the measures.
    """
    settings = sorted(weights)
    curves, seeds = _curves(measures, weights)
    options = [(f"{w:g}", w) for w in settings]
    first = 1.0 if 1.0 in weights else settings[0]
    knob = ipywidgets.SelectionSlider(options=options, value=first, description="Weight lambda_s", **SLIDER)
    # Not None for the mean: that would be no choice at all, and no button would be down.
    choices = [(f"mean, n = {len(seeds)}", "mean"), *((f"seed {s}", s) for s in seeds)]
    chosen = ipywidgets.ToggleButtons(options=choices, description="Seeds shown", **CHOICE)

    def redraw() -> str:
        seed = None if chosen.value == "mean" else chosen.value
        read = seeds if seed is None else [seed]
        where, path = f"lambda_s = {knob.value:g}", (pictures or {}).get(knob.value)
        above, words, at = "", [], settings.index(knob.value)
        for name, values in curves.items():
            value = pd.Series(values[[seeds.index(s) for s in read], at]).mean()
            words.append(f"{name} {value:.3f}" if np.isfinite(value) else f"{name} not measured")
        words = f"{', '.join(words)} ({chosen.label})."
        if path:
            title = f"{where}: translation, what the judge reads in it, and the pixels whose class flipped"
            above = page([picture(read_image(path), alt=f"One frame at {title}.", title=title, scale=1)])
        figure = weight_figure(measures, weights, at=knob.value, seed=seed)
        figures = [picture(figure, alt=f"Measures over lambda_s. {words}")]
        if losses is not None and (history := _history(losses, weights[knob.value], read)):
            names = [term for term in TERMS if term in history[0]]
            last = ", ".join(f"{term} {history[-1][term]:.3f}" for term in names)
            alt = f"Losses of the training at {where}, step by step. At its end: {last}."
            drawn = training_curves({where: history}, names=names, most=1, size=(3.6, 0.85))
            for ax in drawn.axes:
                ax.label_outer()
            figures.append(picture(drawn, alt=alt))
            words += f" At the end of the training: {last}."
        missing = "" if path else " There is no picture of this weight."
        return above + page(figures, f"{where} ({weights[knob.value]}): {words}{missing}")

    return explorer(redraw, knob, chosen)


def _curves(measures: pd.DataFrame, weights: Weights) -> tuple[dict[str, np.ndarray], list[int]]:
    """Return measure -> (seeds, weights) of the measures that there are, and the seeds in order."""
    names = [weights[w] for w in sorted(weights)]
    ours = measures[measures["condition"].isin(names)]
    # Of the seeds that all weights have: what a seed brings to each of them would look like an effect of the weight.
    seeds = _common_seeds(ours)
    table = ours[ours["class"] == "all"].pivot_table("value", "seed", ["measure", "condition"]).reindex(seeds)
    curves = {m: table[m].reindex(columns=names).to_numpy(float) for m in MEASURES if m in table}
    if not curves:
        raise ValueError(f"no results of {', '.join(names)} with one of the measures {', '.join(MEASURES)}")
    return curves, seeds


def _common_seeds(rows: pd.DataFrame) -> list[int]:
    """Return the seeds that all conditions among some rows have; if there are none, those of any."""
    each = [set(map(int, of["seed"].dropna())) for _, of in rows.groupby("condition")]
    return sorted(set.intersection(*each) or set.union(*each)) if each else []


def _history(losses: pd.DataFrame, condition: str, seeds: list[int]) -> list[dict]:
    """Return the losses of a condition's trainings as records, one per step: the mean over some seeds."""
    ours = losses.query("seed in @seeds and condition == @condition and term in @TERMS")
    table = ours.pivot_table(index="step", columns="term", values="value").dropna()
    return table.reset_index().to_dict("records")
