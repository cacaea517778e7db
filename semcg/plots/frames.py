"""Frames and labels on sheets, the classes' shares, and diagrams of the framework (Figure 2) and of a segmenter."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.ticker import LogLocator

from semcg import labels
from semcg.labels import IGNORE
from semcg.plots import COLORS, class_axis, class_colors, figure, styled

DOMAIN_COLORS = {"source": "#E69F00", "target": "#0072B2"}
"""Okabe and Ito's orange and blue: apart for the color-blind, and in gray."""
_CYCLE, _SEMANTIC, _GAN = *COLORS[:2], "#555555"
_DILATION = {1: "#DEEBF7", 2: "#9ECAE1", 4: "#3182BD"}  # darker is wider, whatever the color vision


def pixels(panel: np.ndarray) -> np.ndarray:
    """Turn a frame or a label map, in any form that the package uses, into colors.

    Parameters
    ----------
    panel : (H, W, 3) uint8, (3, H, W) float in [-1, 1], or (H, W) integer
        A picture as stored, a picture as a network sees it, or train ids 0..18 and 255. A tensor on the CPU will do.

    Returns
    -------
    (H, W, 3) uint8
        RGB. Train ids come in the colors of Cityscapes, 255 black; a float leaves [-1, 1] by clipping.

    Raises
    ------
    ValueError
        If it is none of the three.
    """
    panel = np.asarray(panel)
    if panel.ndim == 2 and np.issubdtype(panel.dtype, np.integer):
        if panel.min() < 0 or panel.max() > 255:
            raise ValueError(f"train ids are 0..18 or {IGNORE}, but these are {panel.min()}..{panel.max()}")
        return labels.to_colors(panel.astype(np.uint8))
    if panel.ndim == 3 and panel.shape[2] == 3 and panel.dtype == np.uint8:
        return panel
    if panel.ndim == 3 and panel.shape[0] == 3 and np.issubdtype(panel.dtype, np.floating):
        return np.rint((np.clip(panel, -1, 1) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)
    raise ValueError(
        f"a panel of shape {panel.shape} and type {panel.dtype} is neither (H, W, 3) uint8, "
        "(3, H, W) float nor (H, W) integer"
    )


@styled()
def sheet(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    titles: Sequence[str] = (),
    names: Sequence[str] = (),
    classes: Sequence[int] = (),
    width: float = 10.0,
) -> Figure:
    """Draw rows of frames and label maps; below, a legend of the classes that occur in the label maps.

    Parameters
    ----------
    rows : list of lists of arrays
        Each as `pixels` takes it; all rows have the same number. The shape of the first panel is given to all.
    titles : list of str
        One above each column.
    names : list of str
        One left of each row.
    classes : list of int
        Train ids that the legend names too, where a panel is a picture of classes.
    width : float
        Of the figure, in inches.

    Raises
    ------
    ValueError
        If there is nothing to draw, a row has another number of panels, or there are not as many titles or names.
    """
    columns = len(rows[0]) if rows else 0
    if columns == 0 or any(len(row) != columns for row in rows):
        raise ValueError(f"rows of one length, at least 1, are needed; these have {[len(r) for r in rows]}")
    high, wide = pixels(rows[0][0]).shape[:2]
    maps = (panel for row in rows for panel in row if np.ndim(panel) == 2)
    found = sorted({*map(int, classes), *(int(v) for panel in maps for v in np.unique(panel))})
    per_row = min(6, max(1, int(width / 1.6)))
    legend = 0.25 * -(-len(found) // per_row) + 0.1 * bool(found)
    names = [textwrap.fill(name, 11) for name in names]
    left = max((0.3 + 0.2 * name.count("\n") for name in names), default=0)  # inches
    tall = len(rows) * (width - left) / columns * high / wide
    drawn, axes = figure(len(rows), columns, size=(width, tall + 0.3 * bool(titles) + legend))
    drawn.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.005, hspace=0.005)
    for ax, panel in zip(axes.flat, (panel for row in rows for panel in row), strict=True):
        ax.imshow(pixels(panel), interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, name in zip(axes[:, 0] if names else (), names, strict=True):
        ax.set_ylabel(name, fontsize=9)
        ax.set_anchor("E")  # what is left of the width goes to the name
    for ax, title in zip(axes[0] if titles else (), titles, strict=True):
        ax.set_title(title, fontsize=11)
    if found:
        drawn.legend(handles=_patches(found), loc="outside lower center", ncols=per_row, frameon=False)
    return drawn


@styled()
def class_shares(shares: Mapping[str, np.ndarray]) -> Figure:
    """Draw the share of each class in each domain as bars, on a logarithmic axis, since they span a factor of 100.

    Parameters
    ----------
    shares : domain -> (19,) float
        Fractions of the labeled pixels; 0 and NaN get no bar.
    """
    drawn, [[ax]] = figure(size=(8.5, 5.6))
    colors = [DOMAIN_COLORS.get(name, f"C{k}") for k, name in enumerate(shares)]
    (100 * pd.DataFrame(shares)).plot.barh(ax=ax, width=0.8, color=colors, legend=False)
    ax.set(xscale="log", xlabel="% of the labeled pixels")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.minorticks_off()
    ax.xaxis.set_major_formatter("{x:g}")
    class_axis(ax)
    ax.grid(False, axis="y")
    ax.legend(loc="lower right")
    return drawn


@styled()
def layout(rows: Mapping[str, np.ndarray], *, names: int = 8) -> Figure:
    """Draw which class is at which height of the picture: per domain, each image row's shares side by side.

    Parameters
    ----------
    rows : domain -> (R, 19) float
        R bands from the top of the picture to its bottom; the 19 fractions of a band sum to 1, or are all NaN where
        nothing is labeled.
    names : int
        How many classes the legend names: those with the largest share.
    """
    total = sum(np.nanmean(given, 0) for given in rows.values())
    largest = sorted(np.argsort(-total, kind="stable")[:names].tolist())
    drawn, axes = figure(1, len(rows), size=(4.6 * len(rows), 4.4), sharey=True)
    for ax, (name, given) in zip(axes[0], rows.items(), strict=True):
        shares, edges = 100 * np.nan_to_num(given), np.linspace(0, 100, len(given) + 1)
        left = np.cumsum(shares, 1) - shares
        for c, color in enumerate(class_colors()):
            ax.barh(
                edges[:-1], shares[:, c], np.diff(edges), left=left[:, c], align="edge", color=color, lw=0
            )
        ax.set(title=name, xlim=(0, 100), ylim=(100, 0), xlabel="% of the labeled pixels at this height")
        ax.grid(False)
    axes[0, 0].set_ylabel("height in the picture: 0 top, 100 bottom")
    drawn.legend(handles=_patches(largest), loc="outside lower center", ncols=4, frameon=False)
    return drawn


def _patches(train_ids: Sequence[int]) -> list[Patch]:
    looks = {IGNORE: ("black", "ignored")}
    looks |= enumerate(zip(class_colors(), labels.names(), strict=True))
    return [Patch(color=looks[c][0], label=looks[c][1]) for c in train_ids]


@styled()
def framework(from_s: Sequence[np.ndarray], from_t: Sequence[np.ndarray]) -> Figure:
    """Draw the framework of Figure 2 around its pictures: both cycles in blue, the semantic loss in orange, dashed.

    Parameters
    ----------
    from_s : three arrays
        An image of the source domain, its translation, and that brought back: x_s, x_st, x_sts, as `pixels` takes them.
    from_t : three arrays
        An image of the target domain, its translation, and that brought back: x_t, x_ts, x_tst.
    """
    drawn, [[ax]] = figure(size=(10, 7.2))
    for base, a, b, pictures in ((36, "s", "t", from_s), (0, "t", "s", from_t)):
        _direction(ax, base, a, b, [pixels(picture) for picture in pictures])
    ax.axhline(35, color="#BBBBBB", lw=1)
    ax.set(xlim=(0, 100), ylim=(2, 69.5), aspect="auto")
    ax.axis("off")
    for color, line, text in (
        (_CYCLE, "-", "cycle (Eq. 3)"),
        (_SEMANTIC, "--", "semantic (Eq. 4)"),
        (_GAN, ":", "real or translated? (Eqs. 1-2)"),
    ):
        ax.plot([], [], color=color, ls=line, lw=2.5, label=text)
    drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=15)
    return drawn


def _direction(ax: Axes, base: float, a: str, b: str, pictures: list[np.ndarray]) -> None:
    """Draw one of the two directions: x_a -> G_ab -> x_ab -> G_ba -> x_aba, and what judges them."""
    up, down = base + 20, base + 6
    label = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    for x, picture, name in zip((10, 49, 88), pictures, (a, a + b, a + b + a), strict=True):
        ax.imshow(picture, extent=(x - 9.5, x + 9.5, up - 5.5, up + 5.5), zorder=2)
        ax.text(x - 8.9, up + 4.9, f"$x_{{{name}}}$", fontsize=17, va="top", zorder=3, bbox=label)
    for x, name in ((29.5, a + b), (68.5, b + a)):
        _box(ax, x, up, f"$G_{{{name}}}$", _CYCLE)
    for start, end in ((19.7, 25), (34, 39.2), (58.7, 64), (73, 78.2)):
        _arrow(ax, (start, up), (end, up), _CYCLE)
    _box(ax, 10, down, f"$Sem_{a}$, frozen", _SEMANTIC, wide=17)
    _box(ax, 49, down, f"$Sem_{b}$, frozen", _SEMANTIC, wide=17)
    _box(ax, 88, down, f"$D_{b}$", _GAN)
    for x in (10, 49):
        _arrow(ax, (x, up - 5.8), (x, down + 3.2), _SEMANTIC, "--")
    _arrow(ax, (18.8, down), (40.2, down), _SEMANTIC, "--", style="<|-|>")
    ax.text(29.5, down + 1, "same classes?", ha="center", va="bottom", fontsize=15, color=_SEMANTIC)
    _arrow(ax, (58.7, up - 4.5), (83, down + 1), _GAN, ":")
    ax.text(82, down - 1, f"and real $x_{b}$", ha="right", va="center", fontsize=15, color=_GAN)
    _arrow(ax, (88, up + 5.8), (10, up + 5.8), _CYCLE, style="<|-|>", bend=0.07)
    ax.text(49, up + 9.4, "same picture again?", ha="center", va="bottom", fontsize=15, color=_CYCLE)


def _box(ax: Axes, x: float, y: float, text: str, color: str, wide: float = 8.5) -> None:
    look = {"boxstyle": "round,pad=0,rounding_size=1", "fc": "white", "ec": color, "lw": 2.2}
    ax.add_patch(FancyBboxPatch((x - wide / 2, y - 3), wide, 6, **look))
    ax.text(x, y, text, ha="center", va="center", fontsize=17 if wide < 10 else 15)


def _arrow(
    ax: Axes, start, end, color: str, line: str = "-", *, style: str = "-|>", bend: float = 0.0
) -> None:
    look = {"arrowstyle": style, "color": color, "linestyle": line, "lw": 2.5, "mutation_scale": 18}
    shape = {"shrinkA": 0, "shrinkB": 0, "connectionstyle": f"arc3,rad={bend}"}
    ax.add_patch(FancyArrowPatch(start, end, **look, **shape))


@styled()
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
        Height of a box: side of the maps against the frame's, on a log scale. Color: dilation. An arc: an addition.
    """
    drawn, [[ax]] = figure(size=(8.4, 3.7))
    total, left = 1, 0.0
    for row in rows:
        total *= int(row["stride"])
        height, width = 4 - np.log2(total), 0.95 + 0.2 * int(row["blocks"])
        color, dark = _DILATION.get(int(row["dilation"]), "#08519C"), int(row["dilation"]) >= 4
        ax.add_patch(Rectangle((left, -height / 2), width, height, facecolor=color, edgecolor="#333333"))
        middle, inside = left + width / 2, {"color": "white" if dark else "black", "weight": "bold"}
        ax.text(middle, 0, f"{row['channels']}", ha="center", va="center", **inside)
        ax.text(middle, -2.2, f"{row['stage']}\n{row['blocks']} x", ha="center", va="top")
        ax.text(middle, -3.3, f"1/{total}" if total > 1 else "1", ha="center", va="top")
        if row["adds"]:
            start, end = (left + 0.08, height / 2), (left + width - 0.08, height / 2)
            look = {"arrowstyle": "-|>", "mutation_scale": 10, "color": "#333333"}
            ax.add_patch(FancyArrowPatch(start, end, connectionstyle="arc3,rad=-0.5", **look))
        left += width + 0.16
    for height, text in ((0.12, "channels"), (-2.2, "stage\nblocks"), (-3.3, "map : frame")):
        ax.text(-0.15, height, text, ha="right", va="top")
    ax.set(xlim=(-1.9, left), ylim=(-3.8, 2.9))
    ax.set_axis_off()
    keys = [Patch(facecolor=c, edgecolor="#333333", label=f"dilation {d}") for d, c in _DILATION.items()]
    ax.legend(handles=keys, loc="upper right", ncols=1, frameon=False, borderaxespad=0)
    return drawn


@styled()
def receptive_fields(fields: Mapping[str, np.ndarray], *, frame: tuple[int, int] | None = None) -> Figure:
    """Draw what one score sees: its gradient with respect to the pixels, one panel per network.

    Parameters
    ----------
    fields : mapping
        Title -> (H, W) float, the magnitude of the gradient, 0 where the score does not depend on the pixel. The
        panels share one scale: each is drawn about its own center.
    frame : (H, W), optional
        Outline of a frame about the score, dashed.

    Returns
    -------
    Figure
        Shade: gradient as a share of its maximum, on a log scale down to 1e-4. Outline: the pixels it depends on.
    """
    side = max(max(field.shape) for field in fields.values())
    drawn, axes = figure(1, len(fields), size=(2.7 * len(fields), 3.1), sharex=True, sharey=True)
    for ax, (title, field) in zip(axes[0], fields.items(), strict=True):
        height, width = field.shape
        share = np.ma.masked_equal(field / field.max(), 0).clip(1e-4, 1)
        extent = (-width / 2, width / 2, height / 2, -height / 2)
        shown = ax.imshow(share, extent=extent, norm=LogNorm(1e-4, 1), cmap="Blues", rasterized=True)
        rows, columns = (np.flatnonzero(field.sum(axis)) for axis in (1, 0))
        corner, size = (columns[0] - width / 2, rows[0] - height / 2), (np.ptp(columns) + 1, np.ptp(rows) + 1)
        ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor="black"))
        if frame:
            corner, size = (-frame[1] / 2, -frame[0] / 2), frame[::-1]
            ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor="black", linestyle="--"))
        ax.set(title=title, xlim=(-side / 2, side / 2), ylim=(side / 2, -side / 2), xlabel="pixels")
        ax.grid(visible=False)
    drawn.colorbar(shown, ax=axes, label="gradient / its maximum", shrink=0.8)
    return drawn
