"""Train instruments of the synthetic world, score them and write them into results/instruments.

    python -m semcg_kit.instruments Sem_t [judge ...]    those named; without a name every one

Trained is what is not trained yet, or not to its end, with the numbers of profile mini in float32.
"""

import hashlib
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import save
from torch import nn

from semcg import config as configs
from semcg import devices, evaluate, files, metrics, notebook, runs
from semcg.config import Config
from semcg.data import Scenes
from semcg.instruments import FOLDER, HOME, recorded
from semcg.runs import trained
from semcg_kit.evidence import trainings

__all__ = ["score", "train", "write_instrument"]

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
    fabric, root = devices.fabric_for("cpu", config.precision), runs.data(config)
    network, options, stage = _network(name, config)
    if name == "reader":
        begun = time.perf_counter()
        net = evaluate.train_reader(root)
        origin = runs.machine() | runs.software() | {"seconds": round(time.perf_counter() - begun, 2)}
    else:
        run = trainings.segmenter(config, name, fabric, progress=notebook.progress)
        net = trained.segmenter_from(run.folder, fabric)
        origin = files.read_json(run.folder / "provenance.json")
    numbers = config.part(stage) if stage else {}
    # of the judge that this is not
    numbers.pop("judge_width" if name == "second_judge" else "second_judge_width", None)
    about = {
        "score": score(name, net.half().float(), root),  # as it is shipped
        "command": f"python -m semcg_kit.instruments {name}",
        "data": files.manifest_digest(root),
        "config": numbers,
    }
    about |= {key: origin[key] for key in _COPIED if key in origin}
    write_instrument(name, net, network=network, options=options, about=about, folder=folder)
    return about


def score(name: str, net: nn.Module, root: Path) -> dict[str, float]:
    """Return the mIoU of a segmenter at home (validation and test frames) and on the oracle; of the reader, plates read.

    Parameters
    ----------
    root : path
        Of the data.
    """
    home, fabric = Path(HOME[name]), devices.fabric_for("cpu")
    if name == "reader":
        read = evaluate.values(evaluate.read_scenes(net, root, "target", "val"))
        return {HOME[name]: read["plates read", "all"]}
    splits = [home, home.parent / "test"] if home.parent.name in files.DOMAINS else [home]
    counts = {str(s): evaluate.segmentation_counts(net, Scenes(root / s), fabric=fabric) for s in splits}
    test = root / "source" / "test"
    counts["oracle"] = evaluate.counts_of_folders(net, test / "oracle", test / "labels", fabric=fabric)
    return {k: round(float(metrics.mean_iou(table)), 4) for k, table in counts.items()}


def write_instrument(
    name: str, net: nn.Module, *, network: str, options: dict, about: dict, folder: Path | str | None = None
) -> Path:
    """Write the weights of an instrument as float16, and its record into `instruments.json`.

    Parameters
    ----------
    network, options
        What `semcg.segmenters.build` takes, or "reader".
    about : dict
        What the record holds besides: score, config, data, commit, seconds, command.

    Returns
    -------
    path
        Of the weights.

    Raises
    ------
    ValueError
        If a weight is not finite as float16.
    """
    folder = files.home() / FOLDER if folder is None else Path(folder)
    path = folder / f"{name}.safetensors"
    halves = {k: v.cpu().half() if v.is_floating_point() else v.cpu() for k, v in net.state_dict().items()}
    if wrong := [key for key, value in halves.items() if not torch.isfinite(value).all()]:
        raise ValueError(f"{name}: {wrong[0]} is not finite as float16, so {path} was not written")
    content = save({key: value.contiguous() for key, value in halves.items()})
    with files.atomic(path) as partial:
        partial.write_bytes(content)
    record = {"network": network, "options": options, "sha256": hashlib.sha256(content).hexdigest()}
    records = recorded(folder) | {name: record | about}
    files.write_json(folder / "instruments.json", dict(sorted(records.items())))
    return path


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
    """Train instruments of the synthetic world in float32, score them and write them; without a name every one."""
    for name in names or HOME:
        typer.echo(f"{name}: {train(name, configs.make('mini', precision='fp32'))['score']}")


if __name__ == "__main__":
    typer.run(main)
