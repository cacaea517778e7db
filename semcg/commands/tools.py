"""Commands that use what was trained: translate, score, compare, redraw."""

from pathlib import Path
from typing import Annotated

import typer

from semcg import config as configs
from semcg import files
from semcg.commands.options import Data, Device, Profile, Seed, counter, given_of

__all__ = ["compare", "evaluate", "figures", "translate"]


def translate(
    in_folder: Annotated[Path, typer.Argument(help="Folder of PNG or JPEG images of any size.")],
    out_folder: Annotated[Path, typer.Argument(help="Gets PNG images of the same names.")],
    weights: Annotated[Path, typer.Option(help="A run's folder, or a generator's .safetensors file in one.")],
    direction: Annotated[str, typer.Option(help="st: source to target; ts: back.")] = "st",
    device: Device = "auto",
) -> None:
    """Translate a folder of images; what is already translated is skipped."""
    from semcg.runs import trained
    from semcg.training import fabric_for
    from semcg.translate import folder

    G = trained.generator_from(weights, direction, fabric_for(device))
    count = counter("translated")
    for done, of, _ in folder(G, in_folder, out_folder):
        count(done, of)
    print(f"the translations lie in {out_folder}")


def evaluate(
    images: Annotated[Path, typer.Argument(help="Folder of images, translated ones say.")],
    labels: Annotated[
        Path, typer.Argument(help="Folder of their labels: grey PNG of train ids, same names.")
    ],
    judge: Annotated[Path, typer.Option(help="Folder of the judge's run.")],
    device: Device = "auto",
) -> None:
    """Score a folder of images against labels with the judge, class by class."""
    from semcg import evaluate as evaluation
    from semcg.runs import trained
    from semcg.training import fabric_for

    fabric = fabric_for(device)
    counts = evaluation.counts_of_folders(trained.judge_from(judge, fabric), images, labels, fabric=fabric)
    table = evaluation.class_table({"score": counts})
    present = int(table.loc["classes present", "score"])
    print(table.drop("classes present").to_string(float_format="{:.3f}".format))
    print(
        f"{len(files.images_in(images))} frames, {present} of 19 classes present; IoU 0..1, at the size of the labels"
    )


def compare(first: Path, second: Path) -> None:
    """Say in which numbers and measures two runs differ."""
    from semcg.runs import comparison

    for line in comparison.compare(first, second):
        print(line)


def figures(profile: Profile = "", seed: Seed = 0, device: Device = "auto", data: Data = "world") -> None:
    """Redraw the paper's figures 1-3 from saved runs, as PNG and SVG, without training."""
    from semcg.runs import figures as redrawn

    given = given_of(profile, data, seed, device)
    for path in redrawn.save_figures(
        configs.make(given["profile"], data=given["data"], seed=seed), device=device
    ):
        print(path)
