"""Train instruments of the drawn world, score them and write them into results/instruments.

    python -m semcg_kit.instruments Sem_t [judge ...]    those named; without a name every one

Trained is what is not trained yet, or not to its end, with the numbers of profile mini in float32.
"""

import time
from pathlib import Path
from typing import Annotated

import typer
from torch import nn

from semcg import config as configs
from semcg import evaluate, files, metrics, notebook, runs, training
from semcg.config import Config
from semcg.data import Scenes
from semcg.instruments import HOME, write_instrument
from semcg.runs import trained
from semcg_kit.evidence import trainings

__all__ = ["score", "train"]

_COPIED = ("steps", "seconds", "device", "threads", "commit", "uncommitted_changes", "versions")


def train(name: str, config: Config, folder: Path | None = None) -> dict:
    """Train an instrument, or load it where it is trained already; write it and return what its record says of it.

    Parameters
    ----------
    name : str
        A key of `semcg.instruments.HOME`.
    folder : path, optional
        Where it is written to; results/instruments without it.
    """
    fabric, root = training.fabric_for("cpu", config.precision), runs.data(config)
    network, options, stage = _network(name, config)
    other = "judge_width" if name == "second_judge" else "second_judge_width"  # of the judge that this is not
    if name == "reader":
        begun = time.perf_counter()
        net = evaluate.train_reader(root)
        made = runs.machine() | runs.origin() | {"seconds": round(time.perf_counter() - begun, 2)}
    else:
        run = trainings.segmenter(config, name, fabric, progress=notebook.progress)
        net = trained.segmenter_from(run.folder, fabric)
        made = files.read_json(run.folder / "provenance.json")
    numbers = config.part(stage) if stage else {}
    about = {
        "score": score(name, net.half().float(), root),  # as it is shipped
        "command": f"python -m semcg_kit.instruments {name}",
        "data": files.manifest_digest(root),
        "config": {key: value for key, value in numbers.items() if key != other},
    }
    about |= {key: made[key] for key in _COPIED if key in made}
    write_instrument(name, net, network=network, options=options, about=about, folder=folder)
    return about


def score(name: str, net: nn.Module, root: Path) -> dict[str, float]:
    """Return the mIoU of a segmenter at home (validation and test frames) and on the oracle; of the reader, plates read.

    Parameters
    ----------
    root : path
        Of the data.
    """
    home, fabric = Path(HOME[name]), training.fabric_for("cpu")
    if name == "reader":
        read = evaluate.values(evaluate.read_scenes(net, root, "target", "val"))
        return {HOME[name]: read["plates read", "all"]}
    found = {HOME[name]: Scenes(root / home)}
    if home.parent.name in files.DOMAINS:
        found |= {f"{home.parent}/test": Scenes(root / home.parent / "test")}
    counts = {k: evaluate.segmentation_counts(net, scenes, fabric=fabric) for k, scenes in found.items()}
    test = root / "source" / "test"
    counts["oracle"] = evaluate.counts_of_folders(net, test / "oracle", test / "labels", fabric=fabric)
    return {k: round(float(metrics.mean_iou(table)), 4) for k, table in counts.items()}


def _network(name: str, config: Config) -> tuple[str, dict, str]:
    """Return the network of an instrument, its options, and the stage whose numbers trained it."""
    if name == "reader":
        return "reader", {}, ""
    if name in ("judge", "plain_judge"):
        return "unet", {"width": config.judge_width}, "judge"
    if name == "second_judge":
        return "segnet", {"width": config.second_judge_width}, "judge"
    options = {"width": config.segmenter_width, "stride": config.segmenter_stride}
    return config.segmenter, options, "segmenter"


def main(names: Annotated[list[str] | None, typer.Argument(help=", ".join(HOME))] = None) -> None:
    """Train instruments of the drawn world in float32, score them and write them; without a name every one."""
    for name in names or HOME:
        typer.echo(f"{name}: {train(name, configs.make('mini', precision='fp32'))['score']}")


if __name__ == "__main__":
    typer.run(main)
