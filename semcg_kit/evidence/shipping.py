"""Puts what trained generators leave behind into the repository, so that a clone can look before it trains.

reference/generators/<condition>/    G_st and G_ts in half precision, provenance.json of their run
reference/generators/README.md       what they are, what they are not, and what the rounding to half precision costs
reference/lambda/lambda_s_<w>.png    one frame under each weight of the protocol's curve, and which classes flipped
"""

import io
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import load_file, save_file

from semcg import files, labels, segmenters, translate
from semcg.config import Config
from semcg.data import Scenes
from semcg.devices import fabric_for, with_precision
from semcg.plots import frames
from semcg.protocol import REFERENCE, Condition, Protocol
from semcg.runs import recipes, trained
from semcg.runs.checkpoint import sha256
from semcg.runs.datasets import data
from semcg.runs.shipped import GENERATORS, UNSEEN, generators, street, translations
from semcg.world import Scene, annotations

__all__ = ["WEIGHTS_SHOWN", "front_picture", "ship", "ship_curve", "ship_front"]

WEIGHTS_SHOWN = REFERENCE / "lambda"
"""Where the pictures over lambda_s lie."""
WEIGHTS = "G_st.safetensors"
FRAMES = 20
"""Test frames on which the rounding is measured."""


def ship(config: Config, decided: Protocol, *, device: str = "auto", out: Path = GENERATORS) -> list[str]:
    """Put both generators of each main condition that something learns from, at the protocol's first seed, into `out`, with a card.

    A condition that is not trained on this machine keeps what was shipped before.

    Returns
    -------
    list of str
        The conditions that were written.

    Raises
    ------
    FileNotFoundError, ValueError
        If the data are missing or not those of `config`; says which command makes them.
    """
    config, fabric = with_precision(config, device), fabric_for(device)
    test = Scenes(data(config) / "source" / "test")
    batch = torch.stack([test.frame(i)[0] for i in range(min(FRAMES, len(test)))]).to(fabric.device)
    written = []
    main = [c.name for c in decided.conditions if not c.exploratory and _is_shipped(c)]
    for name, cfg in _trained_here(config, decided, main).items():
        run = _run(cfg)
        G_st, _ = trained.generators(cfg, fabric, baseline=not cfg.lambda_s)
        folder = out / recipes.slug(name)
        end = "_ema" if cfg.generator_weights == "ema" else ""
        made = files.read_json(run / "provenance.json") | {"condition": name, "weights": {}}
        for direction in ("st", "ts"):
            path = folder / f"G_{direction}.safetensors"
            with files.atomic(path) as partial:
                whole = load_file(run / f"G_{direction}{end}.safetensors")
                save_file({key: value.half() for key, value in whole.items()}, partial)
            made["weights"][path.name] = sha256(path)
        files.write_json(folder / "provenance.json", made)
        rounded = trained.generator_from(folder, "st", fabric)
        with torch.inference_mode():
            off = translate.difference(*(translate.Padded(G)(batch) for G in (rounded, G_st)))
        made["float16"] = {
            "sha256": sha256(folder / WEIGHTS),
            "made_of": sha256(run / f"G_st{end}.safetensors"),
            "frames": len(batch),
            "grey_levels": {key: round(value, 3) for key, value in off.items()},
        }
        files.write_json(folder / "provenance.json", made)
        written.append(name)
    if written:
        files.write_text(out / "README.md", _card(out))
    return written


def ship_curve(
    config: Config, decided: Protocol, *, device: str = "auto", out: Path = WEIGHTS_SHOWN
) -> list[Path]:
    """Put one test frame's translation under each weight of the curve into `out`, at the protocol's first seed.

    Each picture shows, from left to right, the translation, what the judge reads in it, and the pixels whose class
    flipped, in the color of what they are read as. For a weight that is not trained on this machine the shipped generator
    is taken, where there is one; else it keeps its picture.

    Returns
    -------
    list of Path
        The pictures that were written.

    Raises
    ------
    FileNotFoundError, ValueError
        If data or judge are missing or not those of `config`; says which command makes them.
    """
    config, fabric = with_precision(config, device), fabric_for(device)
    x, y = Scenes(data(config) / "source" / "test").frame(0)
    points = dict(zip(decided.curve.points, decided.curve.weights, strict=True))
    found, written = _trained_here(config, decided, points), []
    if not found:
        return []
    known = {name: G for name, G in generators(fabric).items() if name in points}
    for name, cfg in found.items():
        known[name] = translate.Padded(trained.generators(cfg, fabric, baseline=not cfg.lambda_s)[0])
    judge = trained.judge(config, fabric)
    for name, G_st in known.items():
        with torch.inference_mode():
            made = G_st(x[None].to(fabric.device))
            read = segmenters.upsample(judge(made), y.shape)[0].argmax(0).cpu()
        flipped = torch.where((read != y) & (y != labels.IGNORE), read, labels.IGNORE)
        views = [translate.to_bytes(made[0]).permute(1, 2, 0).cpu().numpy()]
        views += [labels.to_colors(view.numpy().astype(np.uint8)) for view in (read, flipped)]
        path = out / f"lambda_s_{points[name]:g}.png"
        with files.atomic(path) as partial:
            Image.fromarray(np.concatenate(views, axis=1)).save(partial, format="PNG", optimize=True)
        written.append(path)
    return written


def _is_shipped(condition: Condition) -> bool:
    own = condition.parameters
    return bool(own.get("translates", True) and own.get("learns", True)) and not own.get("guided")


def _run(config: Config) -> Path:
    recipe = recipes.translation(config, baseline=not config.lambda_s)
    return files.results_folder(config.data, config.profile) / recipe.name


def _trained_here(config: Config, decided: Protocol, names: Iterable[str]) -> dict[str, Config]:
    """Return the configs of those conditions that are trained on this machine, at the protocol's first seed."""
    first = {"seed": decided.seeds[0]}
    made = {name: config.changed(decided.condition(name).parameters | first) for name in names}
    return {name: cfg for name, cfg in made.items() if (_run(cfg) / "provenance.json").is_file()}


def _card(out: Path) -> str:
    """Return the card of the shipped generators with the rows of those in `out`, from their records."""
    records = {path.parent.name: files.read_json(path) for path in sorted(out.glob("*/provenance.json"))}
    rows = []
    for folder, made in records.items():
        c, small = Config(**made["config"]), made["float16"]
        off, reading = small["grey_levels"], c.semantic_loss if c.lambda_s else "-"
        size = (out / folder / WEIGHTS).stat().st_size / 1e6
        rows.append(
            f"| {made['condition']} | `{folder}` | {made['steps']} | {c.lambda_s:g} | {reading} | {size:.1f} "
            f"| {off['mean']:.3f}, {off['largest']:.2f} |"
        )
    card = (GENERATORS / "README.md").read_text(encoding="utf-8")
    return re.sub(r"(\| [^|]+ \| `.*\n)+", "\n".join(rows) + "\n", card)


def front_picture(fabric: Fabric) -> Figure:
    """Return one street for the front page: game, each shipped generator, and the perfect translation.

    Below each frame a part of the sky and the largest plate that is seen whole, enlarged without smoothing.
    """
    seed, size = 1, (128, 256)  # a street in which the faults can be seen
    game, camera = street(seed, size=size)
    views = {"game": game} | translations(game, fabric) | {"perfect translation": camera}
    plates = [t for t in annotations(Scene.sample(UNSEEN + seed, "source"), size) if t["kind"] == "plate"]
    x0, y0, x1, y1 = max((t for t in plates if t["visible"] > 0.97), key=lambda t: t["digit_px"])["box"]
    top, left = round((y0 + y1) / 2) - 10, min(round((x0 + x1) / 2) - 20, size[1] - 40)
    boxes = {"sky": (160, 0, 224, 32), "plate": (left, top, left + 40, top + 20)}
    rows = [[translate.to_bytes(x).permute(1, 2, 0).numpy() for x in views.values()]]
    for box in boxes.values():
        parts = (Image.fromarray(frame).crop(box) for frame in rows[0])
        rows.append([np.asarray(part.resize(size[::-1], Image.Resampling.NEAREST)) for part in parts])
    return frames.sheet(rows, titles=list(views), names=["", *boxes], width=13)


def ship_front(fabric: Fabric, *, out: Path = GENERATORS.parent / "front.png") -> Path:
    """Write `front_picture` with 256 colors, and return its path."""
    drawn = io.BytesIO()
    front_picture(fabric).savefig(drawn, dpi=100, bbox_inches="tight")
    with Image.open(drawn, formats=("PNG",)) as opened, files.atomic(out) as partial:
        opened.convert("RGB").quantize(256).save(partial, format="PNG", optimize=True)
    return out
