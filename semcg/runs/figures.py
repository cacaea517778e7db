"""The paper's Figures 1-3, redrawn from saved runs: nothing is trained here."""

from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from matplotlib.figure import Figure
from torch import Tensor

from semcg import files
from semcg.config import Config
from semcg.data import Scenes
from semcg.devices import fabric_for, with_precision
from semcg.plots import frames, styled
from semcg.runs import trained
from semcg.runs.datasets import data
from semcg.runs.recipes import conditions
from semcg.translate import Padded, Translator, image

CAPTIONS = {
    "figure_1": (
        "Figure 1: examples of the data. Test frames of both domains, above their label maps in the colors of Cityscapes. "
        "What differs from the paper: its figure shows Cityscapes. This one shows source and target of the run's own data "
        "(the synthetic miniature world, unless other data were given) at the size of the run, with their labels."
    ),
    "figure_2": (
        "Figure 2: the framework. In blue the two cycles, in orange what the two frozen segmenters compare, as the paper "
        "colors them. What differs from the paper: code draws the diagram, and its arrows differ in dashes and dots as "
        "well as in color. Its pictures are one test frame of each domain, its translation by this run's semantic CycleGAN "
        "with this run's loss, and the frame after the cycle."
    ),
    "figure_3": (
        "Figure 3: translations, first from target to source, then from source to target. What differs from the paper: it "
        "shows selected frames of Cityscapes and GTA5, each beside one translation. Here test frames are taken at regular "
        "intervals, not selected by eye. Each is beside its translations by plain CycleGAN and by the semantic CycleGAN, "
        "which are small and briefly trained networks unless the profile is paper. In the synthetic world a source frame's "
        "row ends with the perfect translation, the oracle."
    ),
}
"""What each figure shows, and what differs from the paper's."""

EXAMPLES = 4
"""Frames of a domain in Figure 1."""
ROWS = 3
"""Frames of a direction in Figure 3."""


def paper_figures(config: Config, *, device: str = "auto") -> dict[str, Figure]:
    """Redraw the paper's Figures 1-3 from saved runs and the test frames of their data.

    Parameters
    ----------
    config : Config
        Of the runs to draw; its `lambda_s` and `semantic_loss` choose the semantic one.
    device : str
        As in `semcg.devices.fabric_for`.

    Returns
    -------
    dict
        "figure_1" to "figure_3". Figure 2 shows the semantic CycleGAN.

    Raises
    ------
    FileNotFoundError, ValueError
        If the data or one of the two CycleGANs is missing or was made otherwise; names the command that makes it.
    """
    config = with_precision(config, device)
    fabric, root = fabric_for(device), data(config)
    compared = conditions(config)
    translations = {
        name: tuple(Padded(G) for G in trained.generators(one, fabric, baseline=one.lambda_s == 0))
        for name, one in compared.items()
    }
    source, target = Scenes(root / "source" / "test"), Scenes(root / "target" / "test")

    def round_trip(x: Tensor, there: Translator, back: Translator) -> list[Tensor]:
        across = trained.translate_image(there, x, fabric)
        return [x, across, trained.translate_image(back, across, fabric)]

    G_st, G_ts = translations["semantic"]
    return {
        "figure_1": _examples({"source": source, "target": target}),
        "figure_2": frames.framework(
            round_trip(source.frame(0)[0], G_st, G_ts), round_trip(target.frame(0)[0], G_ts, G_st)
        ),
        "figure_3": _translations(source, target, translations, fabric),
    }


def save_figures(config: Config, *, device: str = "auto") -> list[Path]:
    """Draw `paper_figures` into `results/<profile>/figures/`, as PNG and SVG, and return the paths.

    Beside them, `captions.md` says of each what it shows and what differs from the paper's. If one of them cannot be
    drawn, none is changed.
    """
    out, paths = files.results_folder(config.data, config.profile) / "figures", []
    words = ["# The paper's figures, redrawn", f"Profile {config.profile}, seed {config.seed}."]
    for name, figure in paper_figures(config, device=device).items():
        words.append(f"![{name}]({name}.png)\n\n{CAPTIONS[name]}")
        for suffix, options in ((".png", {"dpi": 200}), (".svg", {"metadata": {"Date": None}})):
            with styled(), files.atomic(out / f"{name}{suffix}") as partial:
                figure.savefig(partial, **options)
            paths.append(out / f"{name}{suffix}")
    files.write_text(out / "captions.md", "\n\n".join(words) + "\n")
    return [*paths, out / "captions.md"]


def _examples(domains: dict[str, Scenes]) -> Figure:
    """Figure 1: frames of both domains, above their labels where there are some."""
    rows, names = [], []
    columns = min(EXAMPLES, *(len(scenes) for scenes in domains.values()))
    for domain, scenes in domains.items():
        pairs = [scenes.frame(i) for i in _spread(len(scenes), columns)]
        rows.append([x for x, _ in pairs])
        names.append(domain)
        if scenes.labeled:
            rows.append([y.numpy() for _, y in pairs])
            names.append("labels")
    return frames.sheet(rows, names=names)


def _translations(
    source: Scenes, target: Scenes, translations: dict[str, tuple[Translator, Translator]], fabric: Fabric
) -> Figure:
    """Figure 3: target frames as source frames, then the other way round, with the oracle where it was drawn."""
    oracle = source.folder / "oracle"
    rows, names = [], []
    for k, scenes, name in ((1, target, "T to S"), (0, source, "S to T")):
        for i in _spread(len(scenes), min(ROWS, len(scenes))):
            x, _ = scenes.frame(i)
            row = [x, *(trained.translate_image(pair[k], x, fabric) for pair in translations.values())]
            if oracle.is_dir():
                # A target frame has no oracle: it was never drawn in the source's style. Its place stays white.
                path = oracle / f"{scenes.names[i]}.png"
                row.append(image(path) if scenes is source else np.full((*x.shape[1:], 3), 255, np.uint8))
            rows.append(row)
            names.append(name)
    return frames.sheet(rows, titles=["image", *translations, *["oracle"] * oracle.is_dir()], names=names)


def _spread(frames: int, number: int) -> list[int]:
    """Return `number` of the frames 0 .. frames - 1, evenly spread from the first."""
    return [k * frames // number for k in range(number)]
