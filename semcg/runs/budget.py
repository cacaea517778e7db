"""What a config will cost, before anything is trained: steps, memory, and the time of true steps on this machine."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import psutil
import torch
from lightning_fabric import Fabric
from torch import Tensor

from semcg import devices, files
from semcg.config import Config
from semcg.cost import count, free_bytes
from semcg.data import Scenes
from semcg.devices import share_of
from semcg.published import IMAGENET
from semcg.runs import recipes
from semcg.system import cores
from semcg.training import build_segmentation, build_translation, network_for

STEP_WORKSPACE = 1.8
"""Bytes over the counted ones of what passes in a step, since convolutions rearrange what they read and write: the factor
that `benchmarks/growth.py` measured on a CPU."""

_GIB = 2**30
_PATIENCE = 20.0  # seconds after which no further step of a stage is timed
_FIELDS = {
    "segmenter": ("segmenter_batch", ("segmenter_width",)),
    "judge": ("judge_batch", ("judge_width",)),
    "translation": ("batch", ("generator_width", "discriminator_width")),
    "downstream": ("judge_batch", ("downstream_width",)),
}
"""Kind of stage -> the fields that hold its batch and the widths of what it trains."""


@dataclass(frozen=True)
class Stage:
    """One kind of training of the course, and what it costs; zero is what is not known yet.

    Parameters
    ----------
    notebook, name, kind : str
        Where it happens, what it trains, and "segmenter", "judge", "translation" or "downstream".
    config : Config
        Its own; the conditions differ in a few numbers.
    trainings, steps : int
        How often, and steps of each.
    memory : int
        Bytes at the worst moment of a step, the process included.
    seconds : float
        Of one step.
    """

    notebook: str
    name: str
    kind: str
    config: Config
    trainings: int
    steps: int
    memory: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of all its trainings, without reading the frames."""
        return self.trainings * self.steps * self.seconds


def frames(config: Config) -> tuple[int, int]:
    """Return the number of training frames of source and target.

    Raises
    ------
    FileNotFoundError, ValueError
        If there are none, or one is smaller than the crop; names it. Only headers are read.
    """
    if config.data == "world":
        return config.train_scenes, config.train_scenes
    folder = files.data_folder(config.data, config.profile)
    try:
        scenes = [Scenes(folder / d / "train", crop=config.crop, labels=False) for d in files.DOMAINS]
    except ValueError as error:
        raise ValueError(
            f"{error}; prepare larger frames (--size), or take a profile with a smaller crop"
        ) from None
    return len(scenes[0]), len(scenes[1])


def stages(config: Config, *, epoch: int, notebook: str = "") -> list[Stage]:
    """Return what a notebook trains, or without one the whole course, nothing measured yet.

    Parameters
    ----------
    epoch : int
        Training frames of the larger domain.
    notebook : str
        Such as "03_cyclegan".
    """
    steps = config.translation_steps(epoch)
    rows = []
    if not (config.data == "world" and recipes.instrument(config, "judge")):
        rows.append(Stage("02_segmenters", "Sem_s, Sem_t", "segmenter", config, 2, config.segmenter_steps))
        rows.append(Stage("02_segmenters", "judge", "judge", config, 1, config.judge_steps))
    conditions = recipes.conditions(config)
    for name, own in conditions.items():
        where = "04_semantic_cyclegan" if own.lambda_s else "03_cyclegan"
        rows.append(Stage(where, name, "translation", own, 1, steps))
    learners = 1 + len(conditions)  # from the frames as they are, and from each translation
    rows.append(Stage("05_evaluation", "downstream", "downstream", config, learners, config.downstream_steps))
    return [row for row in rows if notebook in ("", row.notebook)]


def step_on_noise(kind: str, config: Config, fabric: Fabric) -> tuple[Callable, tuple[Tensor, ...]]:
    """Return the true step of a kind of stage with untrained networks, which cost what trained ones do, and a batch of noise."""
    draw = torch.Generator().manual_seed(0)
    batch = getattr(config, _FIELDS[kind][0])

    def half() -> tuple[Tensor, Tensor]:
        x = torch.rand((batch, 3, config.crop, config.crop), generator=draw) * 2 - 1
        return x, torch.randint(0, 19, (batch, config.crop, config.crop), generator=draw)

    if kind == "translation":
        sems = {name: network_for(config, "segmenter") for name in ("Sem_s", "Sem_t") if config.lambda_s}
        _, step = build_translation(config, fabric, steps=1000, **sems)
        return step, fabric.to_device((*half(), *half()))
    _, step = build_segmentation(config, kind, fabric)
    return step, fabric.to_device(half())


def needed_bytes(stage: Stage, *, process: int = 0) -> int:
    """Count the bytes that a step of a stage needs, without taking it.

    What is kept (weights, moments, two full image pools), `STEP_WORKSPACE` times what passes (activations, gradients), and
    the bytes of a `process` that has trained nothing yet.
    """
    config = stage.config
    fabric = devices.fabric_for("cpu", config.precision)
    counted = count(lambda: step_on_noise(stage.kind, config, fabric))
    held = min(config.pool, stage.steps * config.batch) if stage.kind == "translation" else 0
    pools = 2 * held * 3 * config.crop**2 * 4
    return int(process + counted["kept"] + pools + STEP_WORKSPACE * counted["passing"])


def check(stage: Stage, free: int, where: str) -> None:
    """Raise ValueError if a step of `stage` needs more than `free` bytes; says what makes it less."""
    if stage.memory <= free:
        return
    batch, widths = _FIELDS[stage.kind]
    smaller = [f"{name} < {getattr(stage.config, name)}" for name in ("crop", *widths)]
    if getattr(stage.config, batch) > 1:
        smaller.append(f"{batch} = 1")
    if stage.kind == "translation" and not stage.config.leaf_split:
        smaller.append("leaf_split = true")
    # Beside the leaf split bf16 saves next to nothing: the copies it makes take what the halved activations leave.
    elif stage.kind != "translation" and stage.config.precision != "bf16":
        smaller.append("precision = bf16")
    raise ValueError(
        f"not enough memory: a training step of {stage.name} ({stage.notebook}) needs about "
        f"{stage.memory / _GIB:.1f} GiB, and {free / _GIB:.1f} GiB are free on {where}. These need less: "
        f"{', '.join(smaller)} (--set name=value)"
    )


def estimate(config: Config, fabric: Fabric, *, notebook: str = "", ranks: int = 1) -> list[Stage]:
    """Count what a config trains, check that it fits, and time up to three true steps of each stage.

    Parameters
    ----------
    config : Config
        Its precision is decided ("fp32" or "bf16").
    notebook : str
        One of the course; "" means all.
    ranks : int
        Processes that share each batch; counted and timed is the share of one, alone on the device of `fabric`.

    Raises
    ------
    ValueError
        If there is not enough memory, before any step is taken, or the processes cannot share a batch evenly.
    """
    device = fabric.device
    process = psutil.Process().memory_info().rss if device.type == "cpu" else 0
    free, rows = free_bytes(device), []
    for stage in stages(config, epoch=max(frames(config)), notebook=notebook):
        batch = _FIELDS[stage.kind][0]
        share = {batch: share_of(getattr(config, batch), ranks, name=batch)}
        stage = replace(stage, config=stage.config.model_copy(update=share))
        rows.append(replace(stage, memory=needed_bytes(stage, process=process)))
        check(rows[-1], free, str(device))
    return [replace(row, seconds=timed(row, fabric)) for row in rows]


def timed(stage: Stage, fabric: Fabric) -> float:
    """Time up to three true steps of a stage; of several the first, which also chooses algorithms, does not count."""
    with torch.random.fork_rng():  # what is trained afterwards draws the numbers it would have drawn
        step, batch = step_on_noise(stage.kind, stage.config, fabric)
    taken: list[float] = []
    while not taken or (len(taken) < 3 and sum(taken) < _PATIENCE):
        begun = time.perf_counter()
        step(*batch)
        if fabric.device.type == "cuda":
            torch.cuda.synchronize(fabric.device)
        taken.append(time.perf_counter() - begun)
    return statistics.mean(taken[1:] or taken)


def as_text(rows: Sequence[Stage], config: Config, fabric: Fabric, *, ranks: int = 1) -> str:
    """Return a budget in words: a line per stage, the sum, and what was measured. `ranks` as in `estimate`."""
    if not rows:
        return "This notebook trains nothing that can be estimated; 02_segmenters to 05_evaluation do."
    device, load = fabric.device, os.getloadavg()[0]
    name = f"CPU, {torch.get_num_threads()} threads"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    source, target = frames(config)

    def line(name: str, steps: str, memory: int, each: str, total: float) -> str:
        time = str(timedelta(seconds=round(total)))
        return f"  {name:<18}{steps:>15}{memory / _GIB:>7.1f}{each:>10}{time:>20}"

    lines = [
        f"Budget of profile {config.profile}: {source:,} source and {target:,} target frames, crop {config.crop}, "
        f"{config.precision}, on {name}",
        f"  {'':<18}{'steps':>15}{'GiB':>7}{'s a step':>10}{'time (h:min:s)':>20}",
    ]
    for row in rows:
        steps = f"{row.trainings} x " * (row.trainings > 1) + f"{row.steps:,}"
        lines.append(line(row.name, steps, row.memory, f"{row.seconds:.3g}", row.total))
    steps, peak = sum(row.steps * row.trainings for row in rows), max(row.memory for row in rows)
    lines.append(line("in all", f"{steps:,}", peak, "", sum(row.total for row in rows)))
    lines.append(
        "  Times are from up to three steps of each, timed here; reading and evaluating frames is extra. Memory is the "
        "estimated peak: stored tensors, short-lived ones times a factor measured on a CPU, and the process."
    )
    if load > cores() + 0.5:
        lines.append(
            f"  Other programs were computing meanwhile (load {load:.1f} on {cores()} cores): an idle machine is faster."
        )
    if ranks > 1:
        lines.append(
            f"  For one of {ranks} processes that share each batch; averaging their gradients is extra."
        )
    start = files.home() / "data" / "published" / IMAGENET.rpartition("/")[2]
    if config.segmenter_start == "imagenet" and "segmenter" in {r.kind for r in rows} and not start.is_file():
        lines.append(
            f"  Sem_s and Sem_t start from {IMAGENET}, which 02_segmenters fetches (untested); without a "
            f"network put that file at {start}"
        )
    return "\n".join(lines)
