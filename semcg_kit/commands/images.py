"""Commands on pictures and trained networks: look, translate, export, score, compare, redraw."""

import time
from pathlib import Path
from typing import Annotated

import typer

from semcg import files
from semcg_kit.commands import Data, Device, Profile, Seed, checked, height_width, say

__all__ = ["first_look", "translate", "export", "evaluate", "score", "compare", "figures"]

NORM = "Normalize all tiles like the full frame at reduced size."
FAST = "bfloat16, compiled: off by a gray level or two; compiling takes minutes per size."
JUDGES = "Shipped: judge, second_judge, plain_judge, Sem_t, Sem_s; or a run: judge-s0, downstream-..."
COMPARED = 3
"""Frames that --compare looks at."""
LONGEST = 1024
"""Pixels of the longer side of a picture that `first-look` shows."""

Direction = Annotated[str, typer.Option(help="st: source to target; ts: back.")]
Guided = Annotated[
    bool, typer.Option("--guided", help="Take the colors from the generator and all detail from the frame.")
]


def first_look(
    street: Annotated[int, typer.Option(min=0, max=999_999, help="Seed of the street: any number.")] = 12,
    image: Annotated[Path | None, typer.Option(help="Your own picture instead, PNG or JPEG.")] = None,
    out: Annotated[Path | None, typer.Option(help="Default: results/first_look/.")] = None,
    device: Device = "auto",
) -> None:
    """Draw a street and translate it with the bundled generators: seconds, no training."""
    from semcg import translate
    from semcg.devices import fabric_for
    from semcg.plots import frames, styled
    from semcg.runs import shipped

    fabric = fabric_for(device)
    x, oracle = shipped.street(street) if image is None else (shrunk(translate.image(image)), None)
    seen = {"game": x} | shipped.translations(x, fabric)
    if oracle is None:
        known = "These generators were trained on the synthetic world only"
        say(f"{known}: on other pictures their colors mean nothing.")
    else:
        say(f"{f'street {street}':<20} mean distance to the oracle, in gray levels of 255")
        for title, picture in seen.items():
            say(f"{title:<20} {127.5 * (picture - oracle).abs().mean():6.1f}")
        say("A small distance can be misleading: look at the sky in the picture too.")
        seen["oracle"] = oracle
    name = f"street_{street}" if image is None else f"{image.stem}_translated"
    path = (out or files.home() / "results" / "first_look") / f"{name}.png"
    with styled(), files.atomic(path) as partial:
        sheet = frames.sheet([[picture] for picture in seen.values()], names=list(seen), width=7.0)
        sheet.savefig(partial, dpi=150)
    say(f"the pictures: {path}")


def translate(
    in_folder: Annotated[Path, typer.Argument(help="Folder of PNG or JPEG images of any size.")],
    out_folder: Annotated[Path, typer.Argument(help="Output folder: PNG images with the same names.")],
    weights: Annotated[Path, typer.Option(help="A run's folder, or a generator's .safetensors file in one.")],
    direction: Direction = "st",
    tile: Annotated[int, typer.Option(min=0, help="Side of tiles, for frames too large at once.")] = 0,
    overlap: Annotated[int, typer.Option(min=-1, help="Pixels that tiles share; -1: a quarter tile.")] = -1,
    norm_from_whole: Annotated[bool, typer.Option("--norm-from-whole", help=NORM)] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help=f"Compare with {COMPARED} whole frames.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, max=9999, help="Frames at once; may change rounding.")] = 1,
    fast: Annotated[bool, typer.Option("--fast", help=FAST)] = False,
    guided: Guided = False,
    device: Device = "auto",
) -> None:
    """Translate a folder of images of any size; what is already translated is skipped."""
    from semcg import cost
    from semcg import translate as translation
    from semcg.devices import fabric_for
    from semcg.runs import trained
    from semcg.system import progress

    if not tile and (overlap >= 0 or norm_from_whole or compare):
        of_tiles = "--overlap, --norm-from-whole and --compare"
        raise ValueError(f"{of_tiles} need tiles: add --tile 512, for example")
    plain = trained.generator_from(weights, direction, fabric_for(device))
    sizes = translation.sizes(in_folder)
    _tell_passed_over(in_folder)
    G = translation.Compiled(plain) if fast else plain
    if guided:
        plain, G = translation.Guided(plain), translation.Guided(G)
    run = translation.Padded(G)
    if tile:
        overlap = tile // 4 if overlap < 0 else overlap
        run = translation.Tiled(G, tile=tile, overlap=overlap, norm_from_whole=norm_from_whole)
    height, width = sizes[-1] if sizes else (1, 1)
    cost.check(plain, height=height, width=width, batch=batch, tile=tile)
    if compare:
        _compare(run, translation.Padded(plain), in_folder, (height, width))
    begun = time.monotonic()
    with progress() as show:
        for done, of, _ in translation.folder(run, in_folder, out_folder, batch=batch):
            show("translated", done, of)
    say(f"after {time.monotonic() - begun:.1f} s, {of} translated frames are in {out_folder}")
    made_of = translation.stems(in_folder)
    if others := sorted(path.name for path in out_folder.glob("*.png") if path.stem not in made_of):
        say(f"{len(others)} more there, for example {others[0]}, have no frame in {in_folder} any more")


def export(
    weights: Annotated[Path, typer.Argument(help="A run's folder, or a generator's file in one.")],
    out: Annotated[Path, typer.Option(help="The ONNX file.")],
    direction: Direction = "st",
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of all frames; none: any size.")] = "none",
    guided: Guided = False,
) -> None:
    """Write a generator as ONNX in fp32, pictures in and pictures out, for ONNX Runtime and similar programs."""
    import torch

    import semcg
    from semcg import export as exporting
    from semcg import translate as translation
    from semcg.devices import fabric_for
    from semcg.runs import trained

    frames = height_width(size)
    G = trained.generator_from(weights, direction, fabric_for("cpu"))
    G = translation.Guided(G) if guided else G
    folder = weights if weights.is_dir() else weights.parent
    provenance = files.read_json(folder / "provenance.json")
    about = {
        "made_by": f"semcg {semcg.__version__}, torch {torch.__version__}",
        "run": provenance.get("run", folder.name),
        "run_fingerprint": provenance.get("fingerprint", ""),
        "direction": direction,
        "generator": " ".join(map(str, translation.fingerprint(G).values())),
        "takes": "images (N, H, W, 3) uint8 RGB",
        "gives": "translated (N, H, W, 3) uint8 RGB; values (N, H, W, 3) float32 in [-1, 1]",
    }
    path = exporting.onnx(G, out, size=frames, about=about)
    say(f"{path}: {path.stat().st_size / 1e6:.1f} MB, frames of {size if frames else 'any size'}")


def evaluate(
    images: Annotated[Path, typer.Argument(help="Folder of images, for example translated ones.")],
    labels: Annotated[Path, typer.Argument(help="Folder of labels: train ids, or as published.")],
    judge: Annotated[Path, typer.Option(help=JUDGES)],
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH to score at; none: that of the labels.")] = "none",
    device: Device = "auto",
) -> None:
    """Score a folder of images against labels with the judge or another trained segmenter, class by class."""
    import numpy as np

    from semcg import evaluate as evaluation
    from semcg import instruments, mappings, pictures
    from semcg.devices import fabric_for
    from semcg.runs import trained

    fabric, stated = fabric_for(device), height_width(size)
    _tell_passed_over(images, labels)
    truth = [label for _, label, _ in evaluation.frames.label_pairs(images, labels).values()]
    labeled = sorted({pictures.size(label, label=True) for label in truth})
    if str(judge) in instruments.SEGMENTERS and not judge.exists():
        net = instruments.load_instrument(str(judge)).to(fabric.device)
    else:
        net = trained.segmenter_from(judge, fabric)
    counts = evaluation.counts_of_folders(net, images, labels, score_size=stated, fabric=fabric)
    table = evaluation.class_table({"score": counts})
    present = int(table.loc["classes present", "score"])
    say(table.drop("classes present").to_string(float_format="{:.3f}".format))
    sizes = ", ".join(f"{height}x{width}" for height, width in ([stated] if stated else labeled))
    if odd := mappings.unlikely(np.pad(counts.sum(1).numpy(), (0, 256 - len(counts)))):
        say(f"warning: these labels are implausible for streets: {odd}; do they hold train ids?")
    of_labels = "" if stated else ", the size of the labels"
    say(f"{len(truth)} frames, {present} of 19 classes present; IoU 0..1, scored at {sizes}{of_labels}")
    if stated and labeled != [stated]:
        moved = "labels of another size were resized to it by the nearest pixel"
        say(f"{moved}: not comparable with published numbers")


def score(
    predictions: Annotated[Path, typer.Argument(help="Folder of predictions, one PNG per frame.")],
    labels: Annotated[Path, typer.Argument(help="Folder of labels, such as gtFine/val as published.")],
    ids: Annotated[str, typer.Option(help="Ids predicted: label or train; default: as labels.")] = "",
) -> None:
    """Score predictions of any program against labels, as Cityscapes' own evaluation does."""
    from semcg import evaluate as evaluation
    from semcg import metrics

    _tell_passed_over(predictions, labels)
    counts, frames, holds = evaluation.frames.scored(predictions, labels, ids)
    for name, value in evaluation.frames.score_table(counts).items():
        say(f"{name:<32} {'-' if value != value else format(value, '.4f'):>6}")
    say(
        f"{frames} frames, predictions read as {holds} ids; {int(metrics.present(counts).sum())} of 19 classes are "
        "labeled. IoU 0..1; the mean over labeled or predicted classes is the one that Cityscapes reports."
    )
    if (outside := float(counts[:, -1].sum() / counts.sum())) > 0.25:
        say(
            f"warning: {outside:.0%} of the labeled pixels are predicted to be none of the 19 classes; is --ids right?"
        )


def compare(first: Path, second: Path) -> None:
    """List the settings and results in which two runs, or two evaluations, differ."""
    from semcg_kit import comparison

    say("\n".join(comparison.compare(first, second)))


def figures(profile: Profile = "", seed: Seed = None, device: Device = "auto", data: Data = "") -> None:
    """Redraw the paper's figures 1-3 from saved runs, as PNG and SVG, without training."""
    from semcg.runs import figures as redrawn

    config, _ = checked(profile, data, seed, device)
    for path in redrawn.save_figures(config, device=device):
        say(path)


def shrunk(x):
    """Return an image (3, H, W) with sides of at most `LONGEST` pixels; says so where it had longer ones."""
    from torchvision.transforms.v2.functional import resize

    height, width = x.shape[-2:]
    if max(height, width) <= LONGEST:
        return x
    small = [round(side * LONGEST / max(height, width)) for side in (height, width)]
    size = f"{height}x{width}"
    if min(small) < 16:
        raise ValueError(f"a picture of {size} (height x width) is too narrow to show; crop it")
    say(f"the picture is shrunk from {size} to {small[0]}x{small[1]} (height x width)")
    return resize(x, small, antialias=True)


def _tell_passed_over(*folders: Path) -> None:
    from semcg import pictures

    for folder in folders:
        if passed_over := pictures.images_in(folder, below=True).passed_over():
            say(passed_over)


def _compare(tiles, full, in_folder: Path, largest: tuple[int, int]) -> None:
    """Print how translations in tiles differ from translations of full frames."""
    import torch

    from semcg import cost
    from semcg import translate as translation

    try:
        cost.check(full.G, height=largest[0], width=largest[1])
    except ValueError as error:
        what = "--compare translates whole frames too"
        raise ValueError(f"{what}, and {error}; or leave --compare out") from None
    device = next(full.parameters()).device
    for stem, path in translation.stems(in_folder, frames=COMPARED).items():
        x = translation.image(path)[None].to(device)
        with torch.inference_mode():
            off = translation.difference(tiles(x), full(x))
        say(
            f"{stem}: tiles and full frame differ by {off['mean']:.2f} gray levels of 255 on average, "
            f"{off['p99']:.1f} or less in 99 of 100 values, {off['largest']:.1f} at most"
        )
