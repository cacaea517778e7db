"""Live training: curves and a translated frame that move between two steps, stopped and continued at will."""

import asyncio
import html
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import ipywidgets
import numpy as np

from semcg.plots.curves import training_curves
from semcg.widgets.parts import drawing, panels, picture

__all__ = ["Live"]


class Live(ipywidgets.VBox):
    """Train while you watch: a button starts, another stops between two steps, and the first one continues.

    The steps run in an asyncio task of the kernel, which lets the kernel hear the buttons between two of them; a loop
    in a cell would not. Other cells can be run meanwhile; they wait for the step at hand.

    Parameters
    ----------
    records : iterator of dict
        From `semcg.training.fit`: "step" and losses. Nothing is trained before the first click.
    steps : int
        Steps in all.
    names : list of str
        Losses to draw.
    look : callable
        () -> panels by title, each as `semcg.plots.frames.pixels` takes it: a translated frame, say. It is called
        between two steps.
    seconds : float
        Least time between two looks, so that looking costs little beside training.
    scale : int
        Screen pixels per pixel.
    """

    def __init__(
        self,
        records: Iterator[Mapping[str, float]],
        *,
        steps: int,
        names: Sequence[str],
        look: Callable[[], Mapping[str, np.ndarray]],
        seconds: float = 2.0,
        scale: int = 2,
    ) -> None:
        self.history: list[dict[str, float]] = []
        self.task: asyncio.Task | None = None
        self._records, self._steps, self._names = iter(records), steps, list(names)
        self._look, self._seconds, self._scale = look, seconds, scale
        self._asked_to_stop = False
        self._go = ipywidgets.Button(description="Start", tooltip="Train, or go on training")
        self._halt = ipywidgets.Button(
            description="Stop", tooltip="Stop after the step at hand", disabled=True
        )
        self._bar = ipywidgets.IntProgress(0, 0, steps, description="Step", orientation="horizontal")
        self._words, self._shown = ipywidgets.HTML(), ipywidgets.HTML()
        self._go.on_click(lambda button: self.start())
        self._halt.on_click(lambda button: self.stop())
        super().__init__([ipywidgets.HBox([self._go, self._halt, self._bar]), self._words, self._shown])
        self._say(f"Not started: 0 of {steps} steps.")
        self._draw()

    def start(self) -> None:
        """Begin or go on. Does nothing while the training runs.

        Raises
        ------
        RuntimeError
            Outside a kernel, where no event loop runs.
        """
        if self.task is not None and not self.task.done():
            return
        self._asked_to_stop = False
        self.task = asyncio.get_running_loop().create_task(self._train())

    def stop(self) -> None:
        """Stop after the step at hand. The next `start` goes on from there."""
        self._asked_to_stop = True

    async def _train(self) -> None:
        self._go.disabled, self._halt.disabled = True, False
        looked, over = time.monotonic(), False
        self._say("Training.")
        try:
            while not self._asked_to_stop:
                record = next(self._records, None)
                if record is None:
                    over = True
                    break
                self.history.append({name: float(value) for name, value in record.items()})
                self._bar.value = int(record["step"])
                if time.monotonic() - looked >= self._seconds:
                    self._draw()
                    looked = time.monotonic()
                await asyncio.sleep(0.001)  # here the kernel hears the buttons
            self._draw()
            self._say(("Done" if over else "Stopped") + f" after {self._bar.value} of {self._steps} steps.")
        except Exception as error:  # a task's error is shown nowhere else
            over = True
            self._say(f"Step {self._bar.value + 1} failed with {type(error).__name__}: {error}")
        finally:
            self._go.description = "Continue"
            self._go.disabled, self._halt.disabled = over, True

    def _say(self, words: str) -> None:
        self._words.value = f'<p role="status">{html.escape(words)}</p>'

    def _draw(self) -> None:
        figures = [
            picture(title, panel, alt=f"{title} after {len(self.history)} steps", scale=self._scale)
            for title, panel in self._look().items()
        ]
        words = ""
        if len(self.history) > 1:
            last = self.history[-1]
            words = f"Step {last['step']:.0f}: " + ", ".join(
                f"{name} {last[name]:.3f}" for name in self._names if name in last
            )
            fig = training_curves({"this training": self.history}, names=self._names)
            figures.append(drawing(fig, alt=f"Losses over the steps so far. {words}.", raster=True))
        self._shown.value = panels(figures, words)
