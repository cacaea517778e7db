"""Where a run computes and how precisely: the Lightning Fabric of one run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

__all__ = ["fabric_for", "precision_for", "share"]


def precision_for(precision: str, device: str = "auto") -> str:
    """Return "fp32" or "bf16": what `Config.precision` comes to on this machine.

    "auto" is bf16 on a CUDA device that has it, and on a CPU with bf16 instructions (AMX or AVX-512), where it makes
    the training step about a third faster; a CPU without them would emulate it.
    """
    if precision != "auto":
        return precision
    if device != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "fp32"


def fabric_for(device: str = "auto", precision: str = "fp32") -> Fabric:
    """Return the Fabric of one run.

    Parameters
    ----------
    device : str
        "auto" (a CUDA device where there is one, else the CPU), "cpu", "cuda" or "cuda:1".
    precision : str
        "fp32", or "bf16" for autocast; weights, gradients and losses stay float32 in both.

    Raises
    ------
    ValueError
        If the device is unknown or not on this machine.
    """
    name, _, index = device.partition(":")
    if name not in ("auto", "cpu", "cuda") or (index and not index.isdigit()):
        raise ValueError(f"device = {device!r}: allowed: auto, cpu, cuda, cuda:0, cuda:1, ...")
    if name == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device = {device!r}: this machine has {torch.cuda.device_count()} CUDA devices; use auto or cpu"
        )
    cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    with _without_remarks():
        return Fabric(
            accelerator="cuda" if cuda else "cpu",
            devices=[int(index or 0)] if cuda else 1,
            precision="bf16-mixed" if precision == "bf16" else "32-true",
        )


def share(batch: int, fabric: Fabric) -> dict[str, int]:
    """Return what `semcg.data.Batches` needs for this process's share of a batch: "batch", "rank" and "ranks".

    Raises
    ------
    ValueError
        If the processes cannot share `batch` items evenly.
    """
    ranks = fabric.world_size
    if batch % ranks:
        raise ValueError(
            f"batch = {batch}: {ranks} processes share it; allowed: {ranks}, {2 * ranks}, {3 * ranks}, ..."
        )
    return {"batch": batch // ranks, "rank": fabric.global_rank, "ranks": ranks}


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Keep Fabric's remark on its precision out of the notebooks; `semcg.notebook.settle` says it."""
    logger = logging.getLogger("lightning_fabric")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
