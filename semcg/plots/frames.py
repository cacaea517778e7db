"""Frames and their labels on sheets, what the classes' shares look like, and the framework as a diagram (Figure 2)."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.ticker import LogLocator

from semcg.labels import CLASSES, IGNORE, to_colors
from semcg.plots.style import class_colors, figure, styled

__all__ = ["DOMAIN_COLORS", "class_shares", "framework", "layout", "pixels", "sheet"]

DOMAIN_COLORS = {"source": "#E69F00", "target": "#0072B2"}
"""Okabe and Ito's orange and blue: apart for the colour-blind, and in grey."""
CYCLE, SEMANTIC, GAN = "#0072B2", "#D55E00", "#555555"


def pixels(panel: np.ndarray) -> np.ndarray:
    """Turn a frame or a label map, in any form that the package uses, into colours.

    Parameters
    ----------
    panel : (H, W, 3) uint8, (3, H, W) float in [-1, 1], or (H, W) integer
        A picture as stored, a picture as a network sees it, or train ids 0..18 and 255. A tensor on the CPU will do.

    Returns
    -------
    (H, W, 3) uint8
        RGB. Train ids come in the colours of Cityscapes, 255 black; a float leaves [-1, 1] by clipping.

    Raises
    ------
    ValueError
        If it is none of the three.
    """
    panel = np.asarray(panel)
    if panel.ndim == 2 and np.issubdtype(panel.dtype, np.integer):
        if panel.min() < 0 or panel.max() > 255:
            raise ValueError(f"train ids are 0..18 or {IGNORE}, but these are {panel.min()}..{panel.max()}")
        return to_colors(panel.astype(np.uint8))
    if panel.ndim == 3 and panel.shape[2] == 3 and panel.dtype == np.uint8:
        return panel
    if panel.ndim == 3 and panel.shape[0] == 3 and np.issubdtype(panel.dtype, np.floating):
        return np.rint((np.clip(panel, -1, 1) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)
    raise ValueError(
        f"a panel of shape {panel.shape} and type {panel.dtype} is neither (H, W, 3) uint8, "
        "(3, H, W) float nor (H, W) integer"
    )


def sheet(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    titles: Sequence[str] = (),
    names: Sequence[str] = (),
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
        One beside each row.
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
    for what, given, wanted in (("titles", titles, columns), ("names", names, len(rows))):
        if given and len(given) != wanted:
            raise ValueError(f"{len(given)} {what} for {wanted} {'columns' if what == 'titles' else 'rows'}")
    high, wide = pixels(rows[0][0]).shape[:2]
    found = sorted({int(v) for row in rows for panel in row if np.ndim(panel) == 2 for v in np.unique(panel)})
    legend = 0.25 * -(-len(found) // 6) + 0.1 * bool(found)
    tall = len(rows) * (width - 0.3 * bool(names)) / columns * high / wide
    with styled():
        drawn, axes = figure(len(rows), columns, size=(width, tall + 0.3 * bool(titles) + legend))
        drawn.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.005, hspace=0.005)
        for i, row in enumerate(rows):
            for j, panel in enumerate(row):
                axes[i, j].imshow(pixels(panel), interpolation="nearest")
                axes[i, j].set(xticks=[], yticks=[])
                axes[i, j].spines[:].set_visible(False)
            if names:
                axes[i, 0].set_ylabel(textwrap.fill(names[i], 11), fontsize=9)
        for j, title in enumerate(titles):
            axes[0, j].set_title(title, fontsize=11)
        if found:
            drawn.legend(handles=_patches(found), loc="outside lower center", ncols=6, frameon=False)
    return drawn


def class_shares(shares: Mapping[str, np.ndarray]) -> Figure:
    """Draw the share of each class in each domain as bars, on a logarithmic axis, since they span a factor of 100.

    Parameters
    ----------
    shares : domain -> (19,) float
        Fractions of the labelled pixels; 0 and NaN get no bar.

    Raises
    ------
    ValueError
        If a domain has not 19 shares, or no share is positive.
    """
    values = {name: np.asarray(given, dtype=float) for name, given in shares.items()}
    if not values or any(given.shape != (len(CLASSES),) for given in values.values()):
        raise ValueError(
            f"{len(CLASSES)} shares a domain are needed, not { {k: v.shape for k, v in values.items()} }"
        )
    if not any((given > 0).any() for given in values.values()):
        raise ValueError("no share is positive: there is nothing to draw")
    place, thick = np.arange(len(CLASSES)), 0.8 / len(values)
    with styled():
        drawn, axes = figure(size=(8.5, 5.6))
        ax: Axes = axes[0, 0]
        for k, (name, given) in enumerate(values.items()):
            offset = (k - (len(values) - 1) / 2) * thick
            ax.barh(place + offset, 100 * given, thick, label=name, color=_domain_color(name, k))
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        ax.minorticks_off()
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set(yticks=place, yticklabels=[c.name for c in CLASSES], xlabel="% of the labelled pixels")
        ax.set_ylim(len(CLASSES) - 0.4, -0.6)
        ax.grid(False, axis="y")
        # A swatch before each name ties the bars to the label maps.
        swatch = ax.get_yaxis_transform()
        ax.scatter(
            [-0.012] * len(place), place, marker="s", s=42, c=class_colors(), transform=swatch, clip_on=False
        )
        ax.tick_params(axis="y", pad=12)
        ax.legend(loc="lower right")
    return drawn


def layout(rows: Mapping[str, np.ndarray], *, names: int = 8) -> Figure:
    """Draw which class stands at which height of the picture: per domain, each image row's shares side by side.

    Parameters
    ----------
    rows : domain -> (R, 19) float
        R bands from the top of the picture to its bottom; the 19 fractions of a band sum to 1, or are all NaN where
        nothing is labelled.
    names : int
        How many classes the legend names: those with the largest share.

    Raises
    ------
    ValueError
        If a domain is not (R, 19), or a band does not sum to 1.
    """
    values = {name: np.asarray(given, dtype=float) for name, given in rows.items()}
    for name, given in values.items():
        if given.ndim != 2 or given.shape[1] != len(CLASSES):
            raise ValueError(f"{name}: (R, {len(CLASSES)}) shares are needed, not {given.shape}")
        sums = given.sum(1)
        if not (np.isnan(sums) | (np.abs(sums - 1) < 1e-6)).all():
            raise ValueError(f"{name}: the shares of each band must sum to 1, but they sum to {sums}")
    total = sum(np.nanmean(given, 0) for given in values.values())
    largest = sorted(np.argsort(-total, kind="stable")[:names].tolist())
    with styled():
        drawn, axes = figure(1, len(values), size=(4.6 * len(values), 4.4), sharey=True)
        for ax, (name, given) in zip(axes[0], values.items(), strict=True):
            shares, edges = 100 * np.nan_to_num(given), np.linspace(0, 100, len(given) + 1)
            left = np.zeros(len(given))
            for c, color in enumerate(class_colors()):
                ax.barh(edges[:-1], shares[:, c], np.diff(edges), left=left, align="edge", color=color, lw=0)
                left += shares[:, c]
            ax.set(title=name, xlim=(0, 100), ylim=(100, 0), xlabel="% of the labelled pixels at this height")
            ax.grid(False)
        axes[0, 0].set_ylabel("height in the picture: 0 top, 100 bottom")
        drawn.legend(handles=_patches(largest), loc="outside lower center", ncols=4, frameon=False)
    return drawn


def framework(from_s: Sequence[np.ndarray], from_t: Sequence[np.ndarray]) -> Figure:
    """Draw the framework of Figure 2 around its pictures: both cycles in blue, the semantic loss in orange, dashed.

    Parameters
    ----------
    from_s : three arrays
        An image of the source domain, its translation, and that brought back: x_s, x_st, x_sts, as `pixels` takes them.
    from_t : three arrays
        An image of the target domain, its translation, and that brought back: x_t, x_ts, x_tst.

    Raises
    ------
    ValueError
        If they are not three each.
    """
    if len(from_s) != 3 or len(from_t) != 3:
        raise ValueError(f"three pictures of each direction are needed, not {len(from_s)} and {len(from_t)}")
    with styled():
        drawn, axes = figure(size=(10, 7.2))
        ax: Axes = axes[0, 0]
        for base, a, b, pictures in ((36, "s", "t", from_s), (0, "t", "s", from_t)):
            _direction(ax, base, a, b, [pixels(picture) for picture in pictures])
        ax.axhline(35, color="#BBBBBB", lw=1)
        ax.set(xlim=(0, 100), ylim=(2, 69.5), aspect="auto")
        ax.axis("off")
        for color, line, text in (
            (CYCLE, "-", "cycle (Eq. 3)"),
            (SEMANTIC, "--", "semantic (Eq. 4)"),
            (GAN, ":", "real or translated? (Eqs. 1-2)"),
        ):
            ax.plot([], [], color=color, ls=line, lw=2.5, label=text)
        drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=15)
    return drawn


def _direction(ax: Axes, base: float, a: str, b: str, pictures: list[np.ndarray]) -> None:
    """Draw one of the two directions: x_a -> G_ab -> x_ab -> G_ba -> x_aba, and what judges them."""
    up, down = base + 20, base + 6
    for x, picture, name in zip((10, 49, 88), pictures, (a, a + b, a + b + a), strict=True):
        ax.imshow(picture, extent=(x - 9.5, x + 9.5, up - 5.5, up + 5.5), zorder=2)
        ax.text(
            x - 8.9, up + 4.9, f"$x_{{{name}}}$", fontsize=17, va="top", zorder=3,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
    for x, name in ((29.5, a + b), (68.5, b + a)):
        _box(ax, x, up, f"$G_{{{name}}}$", CYCLE)
    for start, end in ((19.7, 25), (34, 39.2), (58.7, 64), (73, 78.2)):
        _arrow(ax, (start, up), (end, up), CYCLE)
    _box(ax, 10, down, f"$Sem_{a}$, frozen", SEMANTIC, wide=17)
    _box(ax, 49, down, f"$Sem_{b}$, frozen", SEMANTIC, wide=17)
    _box(ax, 88, down, f"$D_{b}$", GAN)
    for x in (10, 49):
        _arrow(ax, (x, up - 5.8), (x, down + 3.2), SEMANTIC, "--")
    _arrow(ax, (18.8, down), (40.2, down), SEMANTIC, "--", both=True)
    ax.text(29.5, down + 1, "same classes?", ha="center", va="bottom", fontsize=15, color=SEMANTIC)
    _arrow(ax, (58.7, up - 4.5), (83, down + 1), GAN, ":")
    ax.text(82, down - 1, f"and real $x_{b}$", ha="right", va="center", fontsize=15, color=GAN)
    _arrow(ax, (88, up + 5.8), (10, up + 5.8), CYCLE, "-", both=True, bend=0.07)
    ax.text(49, up + 9.4, "same picture again?", ha="center", va="bottom", fontsize=15, color=CYCLE)


def _box(ax: Axes, x: float, y: float, text: str, color: str, wide: float = 8.5) -> None:
    shape = FancyBboxPatch(
        (x - wide / 2, y - 3), wide, 6, boxstyle="round,pad=0,rounding_size=1", fc="white", ec=color, lw=2.2
    )
    ax.add_patch(shape)
    ax.text(x, y, text, ha="center", va="center", fontsize=17 if wide < 10 else 15)


def _arrow(
    ax: Axes, start, end, color: str, line: str = "-", *, both: bool = False, bend: float = 0.0
) -> None:
    ax.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="<|-|>" if both else "-|>", color=color, linestyle=line, lw=2.5,
            mutation_scale=18, shrinkA=0, shrinkB=0, connectionstyle=f"arc3,rad={bend}",
        )
    )  # fmt: skip


def _patches(train_ids: Sequence[int]) -> list[Patch]:
    colors, names = class_colors(), [c.name for c in CLASSES]
    return [
        Patch(color="black", label="ignored") if c == IGNORE else Patch(color=colors[c], label=names[c])
        for c in train_ids
    ]


def _domain_color(name: str, k: int) -> str:
    return DOMAIN_COLORS.get(name, f"C{k}")
