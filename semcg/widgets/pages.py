"""What an explorer shows: pictures with a description, words that are read aloud, and controls that draw anew."""

import base64
import html
import io
from collections.abc import Callable, Iterable

import ipywidgets
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from semcg.plots import styled
from semcg.plots.frames import pixels

_DPI, _WIDEST = 110, 580  # of a plot: dots per inch, and pixels at most
_WHOLE = {"description_width": "initial"}  # style of a control whose description is not cut off
WIDE = {"width": "30rem"}
SLIDER = {"continuous_update": False, "style": _WHOLE, "layout": WIDE}
# Of buttons in a row. A menu would not do: JupyterLab takes its keys, and a "b" there inserts a cell.
CHOICE = {"style": _WHOLE | {"button_width": "auto"}, "layout": {"display": "flex", "grid_gap": "0.5rem"}}


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
        Screen pixels per pixel of an array at most, enlarged without smoothing. Beside others it is smaller.
    """
    png = io.BytesIO()
    if isinstance(panel, Figure):
        with styled():
            panel.savefig(png, format="png", dpi=_DPI)
        width, style = min(round(_DPI * panel.get_figwidth()), _WIDEST), "background:white"
    else:
        image = Image.fromarray(pixels(panel))
        image.save(png, format="PNG")
        width, style = image.width * scale, "image-rendering:pixelated"
    code = base64.b64encode(png.getvalue()).decode()
    return cell(
        f'<figcaption>{html.escape(title)}</figcaption><img alt="{html.escape(alt)}" '
        f'style="width:100%;height:auto;{style}" src="data:image/png;base64,{code}"/>',
        width,
    )


def cell(content: str, width: int) -> str:
    """Return an HTML figure of at most `width` pixels that shrinks to 60 % of it, or to 288, to share a row."""
    size = f"flex:{width} 1 {min(0.6 * width, 288):.0f}px;max-width:{width}px"
    return f'<figure style="margin:0;{size}">{content}</figure>'


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
