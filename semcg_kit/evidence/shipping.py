"""Puts what trained generators leave behind into the repository, so that a clone can look before it trains.

reference/generators/<condition>/    G_st.safetensors in half precision, provenance.json of its run
reference/generators/README.md       what they are, what they are not, and what the rounding to half precision costs
reference/lambda/lambda_s_<w>.png    one frame under each weight of the protocol's curve, and which classes flipped
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from safetensors.torch import load_file, save_file

from semcg import files, labels, segmenters, translate
from semcg.config import Config
from semcg.data import Scenes
from semcg.protocol import REFERENCE, Protocol
from semcg.runs import recipes, trained
from semcg.runs.checkpoint import sha256
from semcg.runs.datasets import data
from semcg.runs.shipped import GENERATORS
from semcg.training import fabric_for, precision_for

__all__ = ["WEIGHTS_SHOWN", "ship", "ship_curve"]

WEIGHTS_SHOWN = REFERENCE / "lambda"
"""Where the pictures over lambda_s lie."""
WEIGHTS = "G_st.safetensors"
FRAMES = 20
"""Test frames on which the rounding is measured."""


def ship(config: Config, decided: Protocol, *, device: str = "auto", out: Path = GENERATORS) -> list[str]:
    """Put the G_st of each main condition, at the protocol's first seed, into `out`, with a card.

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
    config, fabric = _settled(config, device)
    frames = Scenes(data(config) / "source" / "test")
    batch = torch.stack([frames.frame(i)[0] for i in range(min(FRAMES, len(frames)))]).to(fabric.device)
    written = []
    main = [c.name for c in decided.conditions if not c.few and c.parameters.get("translates", True)]
    for name, cfg in _first_seed(config, decided, main).items():
        run = _run(cfg)
        if not (run / "provenance.json").is_file():
            continue
        G_st, _ = trained.generators(cfg, fabric, baseline=not cfg.lambda_s)
        folder = out / recipes.slug(name)
        with files.atomic(folder / WEIGHTS) as partial:
            save_file({key: value.half() for key, value in load_file(run / WEIGHTS).items()}, partial)
        made = files.read_json(run / "provenance.json") | {"condition": name}
        files.write_json(folder / "provenance.json", made)
        rounded = trained.generator_from(folder, "st", fabric)
        with torch.inference_mode():
            off = translate.difference(*(translate.Padded(G)(batch) for G in (rounded, G_st)))
        made["float16"] = {
            "sha256": sha256(folder / WEIGHTS),
            "made_of": sha256(run / WEIGHTS),
            "frames": len(batch),
            "grey_levels": {key: round(value, 3) for key, value in off.items()},
        }
        files.write_json(folder / "provenance.json", made)
        written.append(name)
    if written:
        files.write_text(out / "README.md", _card(out))
    return written


def ship_curve(
    config: Config, decided: Protocol, *, frame: int = 0, device: str = "auto", out: Path = WEIGHTS_SHOWN
) -> list[Path]:
    """Put one test frame's translation under each weight of the curve into `out`, at the protocol's first seed.

    Each picture shows, from left to right, the translation, what the judge reads in it, and the pixels whose class
    flipped, in the colour of what they are read as. A weight that is not trained on this machine keeps its picture.

    Returns
    -------
    list of Path
        The pictures that were written.

    Raises
    ------
    FileNotFoundError, ValueError
        If data or judge are missing or not those of `config`; says which command makes them.
    """
    config, fabric = _settled(config, device)
    x, y = Scenes(data(config) / "source" / "test").frame(frame)
    points = dict(zip(decided.curve.points, decided.curve.weights, strict=True))
    found = {
        n: c
        for n, c in _first_seed(config, decided, points).items()
        if (_run(c) / "provenance.json").is_file()
    }
    judge, written = trained.judge(config, fabric) if found else None, []
    for name, cfg in found.items():
        G_st, _ = trained.generators(cfg, fabric, baseline=not cfg.lambda_s)
        with torch.inference_mode():
            made = translate.Padded(G_st)(x[None].to(fabric.device))
            read = segmenters.upsample(judge(made), y.shape)[0].argmax(0).cpu()
        flipped = torch.where((read != y) & (y != labels.IGNORE), read, labels.IGNORE)
        views = [translate.to_bytes(made[0]).permute(1, 2, 0).cpu().numpy()]
        views += [labels.to_colors(view.numpy().astype(np.uint8)) for view in (read, flipped)]
        path = out / f"lambda_s_{points[name]:g}.png"
        with files.atomic(path) as partial:
            Image.fromarray(np.concatenate(views, axis=1)).save(partial, format="PNG", optimize=True)
        written.append(path)
    return written


def _settled(config: Config, device: str) -> tuple[Config, Fabric]:
    # As `semcg.notebook.settle` does: the precision is part of what the runs are recognised by.
    return config.model_copy(update={"precision": precision_for(config.precision, device)}), fabric_for(
        device
    )


def _run(config: Config) -> Path:
    recipe = recipes.translation(config, baseline=not config.lambda_s)
    return files.results_folder(config.data, config.profile) / recipe.name


def _first_seed(config: Config, decided: Protocol, names: Iterable[str]) -> dict[str, Config]:
    """Return the configs of some conditions, each at the protocol's first seed."""
    wanted = set(names)
    return {
        c.name: config.model_copy(
            update={"seed": decided.seeds[0]}
            | {k: v for k, v in c.parameters.items() if k in Config.model_fields}
        )
        for c in decided.conditions
        if c.name in wanted
    }


_CARD = """# Small generators

`G_st` of each main condition of [protocol.toml](../../protocol.toml), trained at its first seed ({seed}), which was not chosen by looking. They turn a
game frame of the miniature street world into a camera frame:

```
make first-look STREET=12
.venv/bin/semcg translate --weights results/reference/generators/semantic_paper IN_FOLDER OUT_FOLDER
```

| condition | folder | steps | lambda_s | reading of Eq. (4) | MB | half precision changes a value by (mean, at most) |
|---|---|---|---|---|---|---|
{rows}

The last column is in grey levels of 255, on {frames} test frames. `provenance.json` beside each says what trained it, on which data, at which commit.

**Data.** {train} drawn source frames as game and as many other drawn target frames as camera, {size}; no photograph and no
frame of a real game. **Use.** For lessons and for trying the kit out. One seed shows what a condition can look like, not what it is like: that is the
[report](../../../notebooks/06_report.ipynb). **Limits.** They know this drawn world alone. On photographs or frames of a real game they give colours
without meaning, and nothing that they show may be taken for what a street looks like. They flip classes: that is their subject.
**Licence.** BSD-3-Clause, as the kit.

Written by `semcg ledger --ship`.
"""


def _card(out: Path) -> str:
    """Return what a reader must know of the generators in `out`, from their records."""
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
    return _CARD.format(
        seed=c.seed,
        rows="\n".join(rows),
        frames=small["frames"],
        train=c.train_scenes,
        size="x".join(map(str, c.size)),
    )
