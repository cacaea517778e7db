"""What a learner can turn and click. Each explorer has a still picture next to it in its notebook.

Every control has a text description and can be moved by keyboard; every picture has an alt text, and what changed is
also described in words. Nothing here trains or reads by itself: an explorer is handed what it shows.
"""

import asyncio
import base64
import html
import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from semcg.files import DOMAINS
from semcg.labels import CLASSES, IGNORE
from semcg.pictures import image as read_image
from semcg.plots import styled
from semcg.plots.curves import dials, training_curves
from semcg.plots.frames import pixels
from semcg.world import Scene, render

WIDE = {"description_width": "initial"}  # style of a control whose description is not cut off
SLIDER = {"continuous_update": False, "style": WIDE, "layout": {"width": "30rem"}}
ORANGE = np.array([213, 94, 0], np.uint8)

Look = Callable[[int, str], Mapping[str, np.ndarray]]  # (frame, condition) -> panels by title


# ---------------------------------------------------------------- pages: pictures with a description, words read aloud


def picture(panel: np.ndarray | Figure, *, alt: str, title: str = "", scale: int = 2) -> str:
    """Return an HTML figure with a description.

    Parameters
    ----------
    panel : array or Figure
        A frame or label map, as `semcg.plots.frames.pixels` takes it, or a figure from `semcg.plots`.
    alt : str
        What is to be seen, for those who do not see it.
    title : str
        Printed above it.
    scale : int
        Screen pixels per pixel of an array, enlarged without smoothing. It shrinks where the screen is narrower.
    """
    png = io.BytesIO()
    if isinstance(panel, Figure):
        with styled():
            panel.savefig(png, format="png", dpi=110)
        style = "background:white"
    else:
        image = Image.fromarray(pixels(panel))
        image.save(png, format="PNG")
        style = f"width:{image.width * scale}px;image-rendering:pixelated"
    code = base64.b64encode(png.getvalue()).decode()
    return (
        f'<figure style="margin:0;max-width:100%"><figcaption>{html.escape(title)}</figcaption><img '
        f'alt="{html.escape(alt)}" style="max-width:100%;height:auto;{style}" src="data:image/png;base64,{code}"/></figure>'
    )


def page(figures: Iterable[str], words: str = "") -> str:
    """Return figures side by side, as many as the screen is wide, with a sentence below that is read aloud."""
    below = f'<p role="status">{html.escape(words)}</p>' if words else ""
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(figures)}</div>{below}'


def explorer(redraw: Callable[[], str], *controls: ipywidgets.Widget) -> ipywidgets.VBox:
    """Return controls above the page of `redraw`, which is drawn again whenever an enabled control moves."""
    shown = ipywidgets.HTML(redraw())

    def moved(change: dict) -> None:
        if not change["owner"].disabled:
            shown.value = redraw()

    for control in controls:
        control.observe(moved, names="value")
    return ipywidgets.VBox([*controls, shown])


# ---------------------------------------------------------------- frames of an evaluation


def microscope(look: Look, *, frames: int, conditions: Sequence[str]) -> ipywidgets.VBox:
    """Look at one frame under one condition: source, translation, what the judge reads in it, and where it flipped.

    Parameters
    ----------
    look : callable
        (frame, condition) -> panels by title, each as `semcg.plots.frames.pixels` takes it.
    frames : int
        Frames to choose from, at least 1.
    conditions : list of str
        Conditions to choose from.

    Returns
    -------
    VBox
        A slider for the frame, a menu for the condition, and the panels. Both can be moved by keyboard.

    Raises
    ------
    ValueError
        If there is no frame or no condition.
    """
    if frames < 1 or not conditions:
        raise ValueError(f"{frames} frames and {len(conditions)} conditions: there is nothing to look at")
    frame = ipywidgets.IntSlider(0, 0, frames - 1, description="Frame", **SLIDER)
    condition = ipywidgets.Dropdown(options=list(conditions), description="Condition", style=WIDE)

    def redraw() -> str:
        of = f"of frame {frame.value}, {condition.value}"
        panels = look(frame.value, condition.value).items()
        return page(picture(panel, alt=f"{title} {of}", title=title) for title, panel in panels)

    return explorer(redraw, frame, condition)


# ---------------------------------------------------------------- the drawn world


def street_panels(
    seed: int,
    domain: str,
    *,
    strength: float = 0.0,
    openness: float | None = None,
    height: float | None = None,
    size: tuple[int, int] = (128, 256),
) -> tuple[Scene, np.ndarray, np.ndarray]:
    """Draw one street in a style, through a camera.

    Parameters
    ----------
    seed, domain
        As `semcg.world.Scene.sample` takes them.
    strength : float in [0, 1]
        Style: 0 is the game, 1 the camera, in between their mixture.
    openness : float in [0, 1], optional
        0 is a narrow street between high houses, 1 a wide one under much sky; without it, as sampled.
    height : float, optional
        Of the camera above the road, in meters; without it, as sampled.
    size : (int, int)
        Height and width in pixels.

    Returns
    -------
    scene : Scene
    rgb : (H, W, 3) uint8
    label : (H, W) uint8
        Train ids. They depend on the scene and on the camera, never on the style.

    Raises
    ------
    ValueError
        If an argument is outside its set.
    """
    scene = Scene.sample(seed, domain, openness=openness)
    if height is not None:
        if not 0.5 <= height <= 5:
            raise ValueError(f"height is {height!r}; a camera is 0.5 to 5 m above the road")
        scene = replace(scene, camera=replace(scene.camera, height=float(height)))
    return scene, *render(scene, "camera", size, strength=strength)


def street(*, size: tuple[int, int] = (128, 256), seeds: int = 200) -> ipywidgets.VBox:
    """Walk through the drawn world: choose a street, how open it is, the camera's height, and the style.

    Parameters
    ----------
    size : (int, int)
        Height and width of the pictures in pixels.
    seeds : int
        Streets to choose from.

    Returns
    -------
    VBox
        Controls, the picture and its labels side by side, the classes with their shares, and a sentence.
    """
    seed = ipywidgets.IntSlider(7, 0, seeds - 1, description="Street (seed)", **SLIDER)
    domain = ipywidgets.Dropdown(options=DOMAINS, description="Built as in the", style=WIDE)
    style = ipywidgets.FloatSlider(0, min=0, max=1, description="Style, 0 game to 1 camera", **SLIDER)
    sampled = ipywidgets.Checkbox(True, description="Openness and camera as sampled", indent=False)
    openness = ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="Openness", **SLIDER)
    height = ipywidgets.FloatSlider(1.5, min=0.8, max=4, description="Camera height, m", **SLIDER)

    def redraw() -> str:
        openness.disabled = height.disabled = sampled.value
        knobs = {} if sampled.value else {"openness": openness.value, "height": height.value}
        scene, rgb, label = street_panels(seed.value, domain.value, strength=style.value, size=size, **knobs)
        if sampled.value:  # where the sliders start; what they show is rounded
            openness.value, height.value = scene.openness, scene.camera.height
        look = f"{100 * style.value:.0f} % of the way from game to camera"
        shares = _shares(label)
        most = ", ".join(f"{name} {100 * share:.0f} %" for name, (_, share) in list(shares.items())[:4])
        camera = f"openness {scene.openness:.2f}, camera {scene.camera.height:.2f} m above the road"
        words = f"Street {seed.value} of the {domain.value}, {look}; {camera}. Most of it: {most}."
        drawn = picture(rgb, alt=f"A drawn street, {look}. Most of it: {most}.", title="picture")
        labels = picture(label, alt=f"Its label map. Most of it: {most}.", title="labels")
        return page([drawn, labels], words) + _legend(shares)

    return explorer(redraw, seed, domain, style, sampled, openness, height)


def _shares(label: np.ndarray) -> dict[str, tuple[tuple[int, int, int], float]]:
    """Return class -> color and share of the pixels of a label map (H, W), the largest first."""
    known = {c.train_id: (c.name, c.color) for c in CLASSES} | {IGNORE: ("ignored", (0, 0, 0))}
    shares = pd.Series(label.ravel()).value_counts(normalize=True)
    return {known[value][0]: (known[value][1], share) for value, share in shares.items()}


def _legend(shares: Mapping[str, tuple[tuple[int, int, int], float]]) -> str:
    swatch = "display:inline-block;width:1em;height:1em;border:1px solid #888;vertical-align:-0.1em"
    items = [
        f'<li style="display:inline-block;margin-right:1em;white-space:nowrap">'
        f'<span style="{swatch};background:rgb{color}"></span> {name} {100 * share:.1f} %</li>'
        for name, (color, share) in shares.items()
    ]
    return f'<ul style="list-style:none;padding:0;margin:0.3em 0">{"".join(items)}</ul>'


# ---------------------------------------------------------------- the field of view


def field_panels(network: nn.Module, image: Tensor, row: int, column: int) -> tuple[np.ndarray, str]:
    """Shade an image by how much one score depends on each pixel, and describe it.

    Parameters
    ----------
    network : Module
        From images (1, 3, H, W) to scores (1, C, h, w). It is left unchanged.
    image : (3, H, W) float in [-1, 1]
    row, column : int
        Which of the h x w places.

    Returns
    -------
    (H, W, 3) uint8
        Bright where the gradient of the largest score of that place is strong (log scale over four decades), pale
        where there is none. Outlined: every pixel with a gradient. A cross: the pixel on which the score is centered.
    str
        The outline in pixels, and the side of the square that holds half of the gradient.

    Raises
    ------
    IndexError
        If there is no such place.
    """
    x = image[None].detach().clone().requires_grad_()
    scores = network(x)
    h, w = scores.shape[2:]
    if not (0 <= row < h and 0 <= column < w):
        raise IndexError(f"row {row}, column {column}: the scores are {h} x {w}")
    here = scores[0, :, row, column]
    (gradient,) = torch.autograd.grad(here[here.argmax()], x)
    field = gradient[0].abs().sum(0).numpy()  # (H, W)
    if field.max() == 0:
        return pixels(image), "this score depends on no pixel: every path to it is cut off by a ReLU"
    share = np.clip(1 + np.log10(np.maximum(field / field.max(), 1e-4)) / 4, 0, 1)[..., None]
    shaded = (pixels(image) * (0.2 + 0.8 * share) + 255 * 0.8 * (1 - share)).clip(0, 255).astype(np.uint8)
    rows, columns = np.flatnonzero(field.sum(1)), np.flatnonzero(field.sum(0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    shaded[[top, bottom], left : right + 1] = ORANGE
    shaded[top : bottom + 1, [left, right]] = ORANGE
    height, width = field.shape
    i, j = min(row * -(-height // h), height - 1), min(column * -(-width // w), width - 1)
    shaded[max(0, i - 4) : i + 5, j] = shaded[i, max(0, j - 4) : j + 5] = ORANGE
    radius = np.maximum(np.abs(np.arange(height) - i)[:, None], np.abs(np.arange(width) - j))
    within = np.cumsum(np.bincount(radius.ravel(), field.ravel()))  # gradient in the square of each radius
    half = 2 * np.searchsorted(within, within[-1] / 2) + 1
    cut = " (it continues beyond the frame)" if len(rows) == height or len(columns) == width else ""
    return shaded, (
        f"rows {top} to {bottom} and columns {left} to {right}, {len(rows)} x {len(columns)} pixels{cut}; "
        f"half of the gradient in the middle {half} x {half}"
    )


def field_of_view(networks: Mapping[str, nn.Module], image: Tensor, *, scale: int = 2) -> ipywidgets.VBox:
    """Choose a row and a column of the scores and see, for each network, what that score depends on.

    Parameters
    ----------
    networks : title -> Module
        With scores of one shape, for example DRN-26 with dilation and without.
    image : (3, H, W) float in [-1, 1]
    scale : int
        Screen pixels per pixel.

    Raises
    ------
    ValueError
        If the networks' scores differ in shape, or there is no network.
    """
    with torch.no_grad():
        shapes = {title: tuple(net(image[None]).shape[2:]) for title, net in networks.items()}
    if len(set(shapes.values())) != 1:
        raise ValueError(f"networks whose scores have one shape are needed, not {shapes}")
    h, w = next(iter(shapes.values()))
    row = ipywidgets.IntSlider(h // 2, 0, h - 1, description=f"Row of the score, of {h}", **SLIDER)
    column = ipywidgets.IntSlider(w // 2, 0, w - 1, description=f"Column of the score, of {w}", **SLIDER)

    def redraw() -> str:
        figures, lines = [], []
        for title, net in networks.items():
            panel, words = field_panels(net, image, row.value, column.value)
            figures.append(picture(panel, alt=f"{title}, {words}.", title=title, scale=scale))
            lines.append(f"{title}: {words}.")
        return page(figures, " ".join(lines))

    return explorer(redraw, row, column)


# ---------------------------------------------------------------- a training that runs while you watch


class Live(ipywidgets.VBox):
    """Train while you watch: a button starts, another stops between two steps, and the first one continues.

    The steps run in an asyncio task of the kernel, which lets the kernel hear the buttons between two of them; a loop
    in a cell would not. Other cells can run meanwhile; they wait for the current step.

    Parameters
    ----------
    records : iterator of dict
        From `semcg.training.fit`: "step" and losses. Nothing is trained before the first click.
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


# ---------------------------------------------------------------- a sweep over the weight of the semantic loss

# Measures that are drawn where the results have them: what is kept, what flips, what the losses see.
MEASURES = ("judge mIoU", "sky kept", "sky to building", "oracle L1", "cycle L1", "KID")
# Losses of the generators that are drawn where a training had them.
TERMS = ("gan", "cycle", "semantic")

Weights = Mapping[float, str]  # lambda_s -> condition


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
    knob = ipywidgets.SelectionSlider(options=options, value=first, description="lambda_s", **SLIDER)
    # Not None for the mean: to a dropdown that is no choice at all, and it would be empty.
    choices = [(f"mean of {len(seeds)} seeds", "mean"), *((f"seed {s}", s) for s in seeds)]
    chosen = ipywidgets.Dropdown(options=choices, description="Show", style=WIDE)

    def redraw() -> str:
        seed = None if chosen.value == "mean" else chosen.value
        read = seeds if seed is None else [seed]
        where, path = f"lambda_s = {knob.value:g}", (pictures or {}).get(knob.value)
        figures, words, at = [], [], settings.index(knob.value)
        for name, values in curves.items():
            value = pd.Series(values[[seeds.index(s) for s in read], at]).mean()
            words.append(f"{name} {value:.3f}" if np.isfinite(value) else f"{name} not measured")
        words = f"{', '.join(words)} ({chosen.label})."
        if path:
            alt = f"One frame at {where}: its translation, what the judge reads in it, and the pixels whose class flipped."
            figures.append(picture(read_image(path), alt=alt, title=where, scale=1))
        figure = weight_figure(measures, weights, at=knob.value, seed=seed)
        figures.append(picture(figure, alt=f"Measures over lambda_s. {words}"))
        if losses is not None and (history := _history(losses, weights[knob.value], read)):
            names = [term for term in TERMS if term in history[0]]
            last = ", ".join(f"{term} {history[-1][term]:.3f}" for term in names)
            alt = f"Losses of the training at {where}, step by step. At its end: {last}."
            figures.append(picture(training_curves({where: history}, names=names), alt=alt))
            words += f" At the end of the training: {last}."
        missing = "" if path else " There is no picture of this weight."
        return page(figures, f"{where} ({weights[knob.value]}): {words}{missing}")

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
