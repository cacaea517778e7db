"""What all explorers share: pictures with a description, words that are read aloud, and controls of one kind."""

import base64
import html
import io
from collections.abc import Callable, Iterable, Mapping

import ipywidgets
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from semcg.labels import CLASSES, IGNORE
from semcg.plots.frames import pixels
from semcg.plots.style import styled

__all__ = ["WIDE", "drawing", "legend", "panels", "picture", "said", "watch"]

WIDE = {"description_width": "initial"}
"""Style of a control whose description is not cut off."""


def picture(title: str, panel: np.ndarray, *, alt: str, scale: int = 2) -> str:
    """Return a frame or a label map as an HTML figure, enlarged without smoothing.

    Parameters
    ----------
    title : str
        Printed above it.
    panel : array
        As `semcg.plots.frames.pixels` takes it.
    alt : str
        What is to be seen, for those who do not see it.
    scale : int
        Screen pixels per pixel. The picture shrinks where the screen is narrower.
    """
    image, png = Image.fromarray(pixels(panel)), io.BytesIO()
    image.save(png, format="PNG")
    style = f"width:{image.width * scale}px;max-width:100%;height:auto;image-rendering:pixelated"
    return _figure(title, png.getvalue(), "image/png", alt, style)


def drawing(figure: Figure, *, alt: str, raster: bool = False) -> str:
    """Return a drawing as an HTML figure: SVG, or PNG where it holds many points.

    Parameters
    ----------
    figure : Figure
        From `semcg.plots`.
    alt : str
        What is to be seen, for those who do not see it.
    raster : bool
        Whether to draw pixels: quicker and lighter for curves of thousands of points.
    """
    drawn = io.BytesIO()
    with styled():
        if raster:
            figure.savefig(drawn, format="png", dpi=90)
        else:
            figure.savefig(drawn, format="svg", metadata={"Date": None})
    kind = "image/png" if raster else "image/svg+xml"
    return _figure("", drawn.getvalue(), kind, alt, "max-width:100%;height:auto;background:white")


def _figure(title: str, content: bytes, kind: str, alt: str, style: str) -> str:
    code = base64.b64encode(content).decode()
    above = f"<figcaption>{html.escape(title)}</figcaption>" if title else ""
    return (
        f'<figure style="margin:0;max-width:100%">{above}'
        f'<img alt="{html.escape(alt)}" style="{style}" src="data:{kind};base64,{code}"/></figure>'
    )


def panels(figures: Iterable[str], words: str = "") -> str:
    """Return figures side by side, as many as the screen is wide, with a sentence below that is read aloud."""
    below = f'<p role="status">{html.escape(words)}</p>' if words else ""
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(figures)}</div>{below}'


def said(shares: Mapping[str, float], most: int = 4) -> str:
    """Return the largest shares in words: "road 31 %, sky 24 %"."""
    largest = sorted(shares.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in largest)


def legend(label: np.ndarray) -> str:
    """Return the classes of a label map (H, W) as a list: a swatch, the name, the share of the pixels."""
    found, counts = np.unique(np.asarray(label), return_counts=True)
    items = []
    for value, count in sorted(zip(found, counts, strict=True), key=lambda item: -item[1]):
        color, name = (
            ((0, 0, 0), "ignored") if value == IGNORE else (CLASSES[value].color, CLASSES[value].name)
        )
        swatch = (
            f'<span style="display:inline-block;width:1em;height:1em;border:1px solid #888;vertical-align:-0.1em;'
            f'background:rgb{color}"></span>'
        )
        items.append(
            f'<li style="display:inline-block;margin-right:1em;white-space:nowrap">{swatch} {name} '
            f"{100 * count / label.size:.1f} %</li>"
        )
    return f'<ul style="list-style:none;padding:0;margin:0.3em 0">{"".join(items)}</ul>'


def watch(redraw: Callable[[], None], *controls: ipywidgets.Widget) -> None:
    """Call `redraw` now, and again whenever one of the controls moves."""
    for control in controls:
        control.observe(lambda change: redraw(), names="value")
    redraw()
