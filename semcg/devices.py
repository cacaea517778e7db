"""Where a run computes and how precisely: the Lightning Fabric of one run, and the processes that share it.

torchrun and Slurm start the processes; each has a rank. What a step averages goes through Fabric. What processes
have to tell each other otherwise goes through `gather`, over the CPU, so that no GPU waits for it and
the death of a process is noticed at once. A single process has no process group.
"""

import logging
import os
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import environments as envs
from lightning_fabric.strategies import DDPStrategy
from torch import distributed

from semcg.config import Config
from semcg.system import cores

T = TypeVar("T")

_LOADERS = 4
"""Processes that read for one GPU at most. A pair of stored frames takes about 33 ms of a core (benchmarks/data.json), and
a step needs two: 2 processes feed a step of 60 ms, 4 one of 20 ms."""


@dataclass(frozen=True)
class Place:
    """A process among those that were started together: `rank` of `ranks`, and the `local` one on its machine."""

    rank: int = 0
    ranks: int = 1
    local: int = 0
    slurm: bool = False


def place() -> Place:
    """Return the place that torchrun or Slurm's srun gave this process; alone, rank 0 of 1."""
    if _number("WORLD_SIZE", "1") > 1 and "RANK" in os.environ:
        rank = _number("RANK")
        return Place(rank, _number("WORLD_SIZE"), _number("LOCAL_RANK", str(rank)))
    # Not SLURM_NTASKS, which a batch script has as well, where one process runs.
    if (ranks := _number("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return Place(_number("SLURM_PROCID"), ranks, _number("SLURM_LOCALID"), slurm=True)
    return Place()


def _number(name: str, default: str = "") -> int:
    text = os.environ.get(name) or default
    if not text.isdecimal():
        raise ValueError(
            f"{name} = {text!r}: torchrun and Slurm set a number here. Start the command through one of them, or unset "
            "WORLD_SIZE and SLURM_STEP_NUM_TASKS to compute in one process"
        )
    return int(text)


def precision_for(precision: str, device: str = "auto") -> str:
    """Return "fp32" or "bf16": what `Config.precision` comes to on this machine.

    "auto" is bf16 on a CUDA device that has it, and on a CPU with bf16 instructions (AMX or AVX-512), where it makes
    the training step about a third faster; a CPU without them would emulate it. What the machine says of itself
    decides, and not a measured time: that may come out otherwise tomorrow, and a run that is resumed would then go on
    in other bits.
    """
    if precision != "auto":
        return precision
    if device != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    # What the processor has, or $ATEN_CPU_CAPABILITY allows.
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return "fp32"
    return "bf16" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "fp32"


def with_precision(config: Config, device: str = "auto") -> Config:
    """Return a config with the precision that it comes to on this machine: runs are recognized by it."""
    return config.model_copy(update={"precision": precision_for(config.precision, device)})


def fabric_for(device: str = "auto", precision: str = "fp32", *, shared: bool = False) -> Fabric:
    """Return the Fabric of one run.

    Parameters
    ----------
    device : str
        "auto" (a CUDA device where there is one, else the CPU), "cpu", "cuda" or "cuda:1".
    precision : str
        "fp32", or "bf16" for autocast; weights, gradients and losses stay float32 in both.
    shared : bool
        Join the processes that torchrun or Slurm started (`place`), each with a device of its own. Every one of
        them must call this. Without it, or without others, this process computes alone.

    Raises
    ------
    ValueError
        If the device is unknown or not on this machine, or is one device for several processes.
    """
    name, _, index = device.partition(":")
    if name not in ("auto", "cpu", "cuda") or (index and not (name == "cuda" and index.isdigit())):
        raise ValueError(f"device = {device!r}: allowed: auto, cpu, cuda, cuda:0, cuda:1, ...")
    if name == "cuda" and int(index or 0) >= (seen := torch.cuda.device_count()):
        raise ValueError(f"device = {device!r}: this machine has {seen} CUDA devices; use auto or cpu")
    cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    bits = "bf16-mixed" if precision == "bf16" else "32-true"
    kind = {"accelerator": "cuda" if cuda else "cpu", "precision": bits}
    # Fabric would tell every notebook that it uses bf16; `semcg.notebook.settle` says so already.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    here = place()
    if not shared or here.ranks == 1:
        # Named, since Fabric would take a batch script of Slurm with several tasks for these tasks.
        return Fabric(devices=[int(index or 0)] if cuda else 1, plugins=[envs.LightningEnvironment()], **kind)
    if index:
        what = f"{here.ranks} processes take one device each"
        raise ValueError(f"device = {device!r}: {what}; use auto, cpu or cuda")
    own = torch.device("cuda", device_of(here)) if cuda else torch.device("cpu")
    environment = envs.SLURMEnvironment() if here.slurm else envs.TorchElasticEnvironment()
    strategy = _LaunchedProcesses(parallel_devices=[own], cluster_environment=environment)
    fabric = Fabric(strategy=strategy, devices=1, **kind)
    fabric.launch()
    _group()
    return fabric


def share(batch: int, fabric: Fabric) -> dict[str, int]:
    """Return what `semcg.data.Batches` needs for this process's share of a batch: "batch", "rank", "ranks", "workers".

    Raises
    ------
    ValueError
        If the processes cannot share `batch` items evenly.
    """
    own = {"batch": share_of(batch, fabric.world_size), "workers": loaders(fabric)}
    return own | {"rank": fabric.global_rank, "ranks": fabric.world_size}


def share_of(batch: int, ranks: int, *, name: str = "batch") -> int:
    """Return how many items of a batch one of `ranks` processes takes; a ValueError names the field if that is uneven."""
    if batch % ranks:
        allowed = f"{ranks}, {2 * ranks}, {3 * ranks}, ..."
        raise ValueError(f"{name} = {batch}: {ranks} processes share it; allowed: {allowed}")
    return batch // ranks


def loaders(fabric: Fabric) -> int:
    """Return how many processes shall read frames ahead: 0 where the CPU computes, 1 to 4 beside a GPU.

    On a CPU they would take the cores that compute. A GPU would wait for frames that are read between its steps. The
    batches are the same for any number. A machine's cores are divided among its GPUs, each of which may have a training.
    """
    if fabric.device.type != "cuda":
        return 0
    return max(1, min(_LOADERS, cores() // max(1, torch.cuda.device_count()) - 1))


def rank() -> int:
    """Return the rank among the processes that `fabric_for` joined; alone, 0."""
    return distributed.get_rank() if world_size() > 1 else 0


def world_size() -> int:
    """Return the number of processes that `fabric_for` joined; alone, 1."""
    joined = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if joined else 1


def gather(value: T) -> list[T]:
    """Return what every process calls this with, by rank, as soon as all have; alone, `[value]`."""
    if world_size() == 1:
        return [value]
    values: list[T] = [value] * world_size()
    distributed.all_gather_object(values, value, group=_group())
    return values


@cache
def _group() -> "distributed.ProcessGroup":
    """Return the processes as a group that talks over the CPU."""
    if distributed.get_backend() == "gloo":
        return distributed.group.WORLD
    return distributed.new_group(backend="gloo")


def device_of(here: Place) -> int:
    """Return the number of the CUDA device that a process takes."""
    seen = torch.cuda.device_count()
    if here.slurm and seen == 1:  # Slurm may show each process its own device only
        return 0
    if here.local >= seen:
        advice = "start one process per device, or use device = cpu"
        raise ValueError(f"process {here.local + 1} on this machine finds {seen} CUDA devices; {advice}")
    return here.local


class _LaunchedProcesses(DDPStrategy):
    """Processes that run already, with a device each.

    Fabric would refuse a notebook's kernel, since it could not start the others from there; here nothing is left to
    start. Its wrapper around networks is not used: a step averages its gradients itself.
    """

    @property
    def root_device(self) -> torch.device:
        return self.parallel_devices[0]

    def _configure_launcher(self) -> None:
        self._launcher = None
