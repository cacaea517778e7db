"""Pictures of segmenters: what they are built of, how far they see, what they score."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle

from semcg.plots.style import figure, styled

__all__ = ["receptive_fields", "stages"]

# Darker is wider: the order survives any colour vision.
_DILATION = {1: "#DEEBF7", 2: "#9ECAE1", 4: "#3182BD"}


def stages(rows: Sequence[Mapping[str, object]]) -> Figure:
    """Draw a network from left to right: one box per stage, as high as its maps are.

    Parameters
    ----------
    rows : sequence of mapping
        Per stage "stage" (its name), "blocks", "channels" (out), "stride" (of the stage), "dilation" and "adds"
        (whether its blocks add their input to what they compute).

    Returns
    -------
    Figure
        Height of a box: side of the maps against the frame's, on a log scale. Colour: dilation. An arc: an addition.
    """
    with styled():
        drawn, axes = figure(size=(8.4, 3.7))
        ax, total, left = axes[0, 0], 1, 0.0
        for row in rows:
            total *= int(row["stride"])
            height, width = 4 - np.log2(total), 0.95 + 0.2 * int(row["blocks"])
            color = _DILATION.get(int(row["dilation"]), "#08519C")
            ax.add_patch(Rectangle((left, -height / 2), width, height, facecolor=color, edgecolor="#333333"))
            middle, dark = left + width / 2, int(row["dilation"]) >= 4
            ax.text(
                middle,
                0,
                f"{row['channels']}",
                ha="center",
                va="center",
                color="white" if dark else "black",
                weight="bold",
            )
            ax.text(middle, -2.2, f"{row['stage']}\n{row['blocks']} x", ha="center", va="top")
            ax.text(middle, -3.3, f"1/{total}" if total > 1 else "1", ha="center", va="top")
            if row["adds"]:
                arc = FancyArrowPatch(
                    (left + 0.08, height / 2),
                    (left + width - 0.08, height / 2),
                    connectionstyle="arc3,rad=-0.5",
                    arrowstyle="-|>",
                    mutation_scale=10,
                    color="#333333",
                )
                ax.add_patch(arc)
            left += width + 0.16
        ax.text(-0.15, 0, "channels", ha="right", va="center")
        ax.text(-0.15, -2.2, "stage\nblocks", ha="right", va="top")
        ax.text(-0.15, -3.3, "map : frame", ha="right", va="top")
        ax.set(xlim=(-1.9, left), ylim=(-3.8, 2.9))
        ax.set_axis_off()
        keys = [Patch(facecolor=c, edgecolor="#333333", label=f"dilation {d}") for d, c in _DILATION.items()]
        ax.legend(handles=keys, loc="upper right", ncols=1, frameon=False, borderaxespad=0)
    return drawn


def receptive_fields(fields: Mapping[str, np.ndarray], *, frame: tuple[int, int] | None = None) -> Figure:
    """Draw what one score sees: its gradient with respect to the pixels, one panel per network.

    Parameters
    ----------
    fields : mapping
        Title -> (H, W) float, the magnitude of the gradient, 0 where the score does not depend on the pixel. The
        panels share one scale: each is drawn about its own centre.
    frame : (H, W), optional
        Outline of a frame about the score, dashed.

    Returns
    -------
    Figure
        Shade: gradient as a share of its maximum, on a log scale down to 1e-4. Outline: the pixels it depends on.
    """
    side = max(max(field.shape) for field in fields.values())
    with styled():
        drawn, axes = figure(1, len(fields), size=(2.7 * len(fields), 3.1), sharex=True, sharey=True)
        for ax, (title, field) in zip(axes[0], fields.items(), strict=True):
            height, width = field.shape
            share = np.ma.masked_equal(field / field.max(), 0)
            extent = (-width / 2, width / 2, height / 2, -height / 2)
            shown = ax.imshow(
                share.clip(1e-4, 1), extent=extent, norm=LogNorm(1e-4, 1), cmap="Blues", rasterized=True
            )
            rows, columns = (np.flatnonzero(field.sum(axis)) for axis in (1, 0))
            _outline(ax, rows[0] - height / 2, columns[0] - width / 2, np.ptp(rows) + 1, np.ptp(columns) + 1)
            if frame:
                _outline(ax, -frame[0] / 2, -frame[1] / 2, *frame, linestyle="--")
            ax.set(title=title, xlim=(-side / 2, side / 2), ylim=(side / 2, -side / 2), xlabel="pixels")
            ax.grid(visible=False)
        drawn.colorbar(shown, ax=axes, label="gradient / its maximum", shrink=0.8)
    return drawn


def _outline(ax: Axes, top: float, left: float, height: float, width: float, linestyle: str = "-") -> None:
    edge = {"fill": False, "edgecolor": "black", "linestyle": linestyle}
    ax.add_patch(Rectangle((left, top), width, height, **edge))
