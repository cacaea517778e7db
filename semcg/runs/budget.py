"""What a config will cost before anything starts: steps, operations, memory, and the time measured on this machine."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from semcg import files, training
from semcg.config import Config
from semcg.data import Scenes
from semcg.evaluate.cost import count
from semcg.runs import recipes
from semcg.segmenters.published import IMAGENET
from semcg.training.build import build_segmentation, build_translation, network_for
from semcg.translate.tiles import free_bytes

__all__ = [
    "Stage",
    "batch_field",
    "begin",
    "check",
    "frames",
    "growth",
    "needed_bytes",
    "of",
    "stages",
    "table",
]


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
    operations, memory : int
        Of one step; bytes at its worst moment, the process included.
    seconds : float
        Of one step.
    measured : int
        Steps that were timed; 0 where the seconds follow from the operations, at the rate of a stage that was timed.
    """

    notebook: str
    name: str
    kind: str
    config: Config
    trainings: int
    steps: int
    operations: int = 0
    memory: int = 0
    seconds: float = 0.0
    measured: int = 0

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
        found = (
            Scenes(folder / domain / "train", crop=config.crop, labels=False) for domain in files.DOMAINS
        )
        return tuple(map(len, found))
    except ValueError as error:
        raise ValueError(
            f"{error}; prepare larger frames (--size), or take a profile with a smaller crop"
        ) from None


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
    rows = [
        Stage("02_segmenters", "Sem_s, Sem_t", "segmenter", config, 2, config.segmenter_steps),
        Stage("02_segmenters", "judge", "judge", config, 1, config.judge_steps),
    ]
    conditions = recipes.conditions(config)
    for name, own in conditions.items():
        where = "04_semantic_cyclegan" if own.lambda_s else "03_cyclegan"
        rows.append(Stage(where, name, "translation", own, 1, steps))
    learners = 1 + len(conditions)  # from the frames as they are, and from each translation
    rows.append(Stage("05_evaluation", "downstream", "downstream", config, learners, config.downstream_steps))
    return [row for row in rows if notebook in ("", row.notebook)]


def begin(kind: str, config: Config, fabric: Fabric) -> tuple[Callable, tuple[Tensor, ...]]:
    """Return the true step of a kind of stage with untrained networks, which cost what trained ones do, and a batch of noise."""
    draw = torch.Generator().manual_seed(0)

    def half(batch: int) -> tuple[Tensor, Tensor]:
        x = torch.rand((batch, 3, config.crop, config.crop), generator=draw) * 2 - 1
        return x, torch.randint(0, 19, (batch, config.crop, config.crop), generator=draw)

    if kind == "translation":
        sems = {name: network_for(config, "segmenter") for name in ("Sem_s", "Sem_t") if config.lambda_s}
        _, step = build_translation(config, fabric, steps=1000, **sems)
        return step, fabric.to_device((*half(config.batch), *half(config.batch)))
    _, step = build_segmentation(config, kind, fabric)
    return step, fabric.to_device(half(getattr(config, batch_field(kind))))


def batch_field(kind: str) -> str:
    """Return the field that holds the batch of a kind of stage."""
    return {"translation": "batch", "segmenter": "segmenter_batch"}.get(kind, "judge_batch")


_GIB = 2**30

WORKSPACE = 1.5
"""Bytes over the counted ones of what passes, since convolutions rearrange what they read and write. A full-size step
on a CPU took 1.24 of them in fp32, 1.60 in bf16, and without `leaf_split` 1.21 and 1.35 (tests/test_full_size.py)."""


def growth() -> dict:
    """Return what `benchmarks/growth.py` found, {} where this installation has no such file."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "growth.json"
    return files.read_json(path) if path.is_file() else {}


def needed_bytes(stage: Stage, *, process: int = 0) -> tuple[int, int]:
    """Count the operations of a step of a stage, and the bytes that it needs.

    The bytes: what is kept (weights, moments, two full image pools), what passes (activations, gradients) times the
    factor that `benchmarks/growth.py` measured, since convolutions need room to rearrange, what the first step of a
    process costs besides (its libraries' code), and the process's own.

    Parameters
    ----------
    process : int
        Bytes of a process that has trained nothing yet.
    """
    config = stage.config
    fabric = training.fabric_for("cpu", config.precision)
    counted = count(lambda: begin(stage.kind, config, fabric))
    held = min(config.pool, stage.steps * config.batch) if stage.kind == "translation" else 0
    pools = 2 * held * 3 * config.crop**2 * 4
    measured = growth().get("memory", {})
    passing = measured.get("first", 0) + measured.get("factor", WORKSPACE) * counted["passing"]
    return counted["operations"], int(process + counted["kept"] + pools + passing)


def check(stage: Stage, *, free: int, where: str, process: int = 0) -> None:
    """Raise if a step of `stage` cannot fit.

    Raises
    ------
    ValueError
        If it needs more than `free` bytes; says what makes it less, and how much each would need.
    """
    if stage.memory <= free:
        return
    advice = []
    for words, smaller in _smaller(stage):
        needed = needed_bytes(replace(stage, config=smaller), process=process)[1]
        advice.append(f"  {words:<46} {needed / _GIB:6.1f} GiB{'' if needed > free else ', fits'}")
    raise ValueError(
        f"memory cannot suffice: a training step of {stage.name} ({stage.notebook}) needs about "
        f"{stage.memory / _GIB:.1f} GiB, and {free / _GIB:.1f} GiB are free on {where}. What needs less:\n"
        + "\n".join(advice)
    )


def _smaller(stage: Stage) -> Iterator[tuple[str, Config]]:
    config = stage.config
    multiple = max(32, 2**config.generator_depth if config.generator == "unet" else 4)
    if (crop := config.crop * 2 // 3 // multiple * multiple) >= 32:
        yield f"crop = {crop}", config.model_copy(update={"crop": crop})
    batch = batch_field(stage.kind)
    if getattr(config, batch) > 1:
        yield f"{batch} = 1", config.model_copy(update={batch: 1})
    # Beside the leaf split bf16 saves next to nothing: the copies it makes take what the halved activations leave.
    if config.precision != "bf16" and not (stage.kind == "translation" and config.leaf_split):
        yield "precision = bf16", config.model_copy(update={"precision": "bf16"})
    if stage.kind == "translation" and not config.leaf_split:
        yield "leaf_split = True", config.model_copy(update={"leaf_split": True})
    widths = {"translation": ("generator_width", "discriminator_width"), "segmenter": ("segmenter_width",)}
    names = widths.get(stage.kind, (f"{stage.kind}_width",))
    halved = {
        n: getattr(config, n) / 2 if n == "segmenter_width" else max(4, getattr(config, n) // 2)
        for n in names
    }
    yield ", ".join(f"{n} = {v:g}" for n, v in halved.items()), config.model_copy(update=halved)


def of(
    config: Config,
    fabric: Fabric,
    *,
    notebook: str = "",
    free: int | None = None,
    limit: float = 30.0,
    ranks: int = 1,
) -> list[Stage]:
    """Count what a config trains, check that it fits, and time the dearest step, the others while the time lasts.

    Parameters
    ----------
    config : Config
        Its precision is decided ("fp32" or "bf16").
    notebook : str
        One of the course; "" means all.
    free : int, optional
        Bytes that may be used; by default those that are free on the device.
    limit : float
        Seconds. Of a step, ten are timed or as many as fit, one at least.
    ranks : int
        Processes that share each batch; counted and timed is the share of one, alone on the device of `fabric`.

    Raises
    ------
    ValueError
        If memory cannot suffice, before any step is taken, or the processes cannot share a batch evenly.
    """
    device = fabric.device
    process = _resident() if device.type == "cpu" else 0
    free = free_bytes(device) if free is None else free
    rows = []
    for stage in stages(config, epoch=max(frames(config)), notebook=notebook):
        stage = _share(stage, ranks)
        operations, memory = needed_bytes(stage, process=process)
        rows.append(replace(stage, operations=operations, memory=memory))
        check(rows[-1], free=free, where=str(device), process=process)
    left, rate = limit, 0.0
    for n in sorted(range(len(rows)), key=lambda n: -rows[n].operations * rows[n].steps):
        if left > 0:
            taken = _timed(rows[n], fabric, left)
            left -= sum(taken)
            # The first step also chooses algorithms.
            seconds = statistics.median(taken[1:] or taken)
            rows[n] = replace(rows[n], seconds=seconds, measured=len(taken))
            rate = rate or rows[n].operations / seconds
        else:
            rows[n] = replace(rows[n], seconds=rows[n].operations / rate)
    return rows


def _share(stage: Stage, ranks: int) -> Stage:
    """Return a stage with the batch that one of several processes takes."""
    name = batch_field(stage.kind)
    batch = getattr(stage.config, name)
    if batch % ranks:
        raise ValueError(
            f"{name} = {batch}: {ranks} processes share it; allowed: {ranks}, {2 * ranks}, {3 * ranks}, ..."
        )
    return replace(stage, config=stage.config.model_copy(update={name: batch // ranks}))


def _timed(stage: Stage, fabric: Fabric, limit: float) -> list[float]:
    with torch.random.fork_rng():  # what is trained afterwards draws the numbers it would have drawn
        step, batch = begin(stage.kind, stage.config, fabric)
    taken: list[float] = []
    while not taken or (len(taken) < 10 and sum(taken) + taken[-1] < limit):
        begun = time.perf_counter()
        step(*batch)
        if fabric.device.type == "cuda":
            torch.cuda.synchronize(fabric.device)
        taken.append(time.perf_counter() - begun)
    return taken


def _resident() -> int:
    """Return the bytes of memory that this process holds."""
    try:
        import psutil
    except ImportError:  # comes with JupyterLab; without it: more than a notebook's kernel has
        return _GIB
    return psutil.Process().memory_info().rss


def table(rows: Sequence[Stage], config: Config, fabric: Fabric, *, ranks: int = 1) -> str:
    """Return a budget in words: a line per stage, the sum, and what was measured. `ranks` as in `of`."""
    if not rows:
        return "No training that the budget knows happens there: see 02_segmenters to 05_evaluation."
    device = fabric.device
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )
    source, target = frames(config)
    lines = [
        f"Budget of profile {config.profile}: {source:,} source and {target:,} target frames, crop {config.crop}, "
        f"{config.precision}, on {name}",
        f"  {'':<18}{'steps':>15}{'GFLOP a step':>14}{'GiB':>7}{'s a step':>10}{'time':>12}",
    ]
    for row in rows:
        steps = f"{row.trainings} x {row.steps:,}" if row.trainings > 1 else f"{row.steps:,}"
        guessed = " " if row.measured else "*"
        lines.append(
            f"  {row.name:<18}{steps:>15}{row.operations / 1e9:>14,.1f}{row.memory / _GIB:>7.1f}"
            f"{row.seconds:>9.3g}{guessed}{_span(row.total):>12}"
        )
    work = sum(row.operations * row.steps * row.trainings for row in rows)
    lines.append(
        f"  {'sum':<18}{sum(r.steps * r.trainings for r in rows):>15,}{work / 1e15:>11,.3g} PF"
        f"{max(r.memory for r in rows) / _GIB:>7.1f}{'':>10}{_span(sum(r.total for r in rows)):>12}"
    )
    timed = ", ".join(f"{row.name} {row.measured}" for row in rows if row.measured)
    lines.append(f"  Steps timed on this machine: {timed}. Reading and evaluating frames come on top.")
    if not all(row.measured for row in rows):
        lines.append("  * from the operations, at the rate of the dearest step that was timed")
    if ranks > 1:
        lines.append(
            f"  Of {ranks} processes that share each batch: one's share. Averaging their gradients comes on top."
        )
    start = files.home() / "data" / "published" / IMAGENET.rpartition("/")[2]
    if config.segmenter_start == "imagenet" and "segmenter" in {r.kind for r in rows} and not start.is_file():
        lines.append(
            f"  Sem_s and Sem_t start from {IMAGENET}, which 02_segmenters fetches (untested); without a "
            f"network put that file at {start}"
        )
    lines.append(
        "  Memory: counted tensors, those that pass times a factor that was measured on a CPU, and the process."
    )
    return "\n".join(lines)


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"
