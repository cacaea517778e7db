"""Which code on which machine: what a run writes beside its weights."""

import platform
import resource
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

__all__ = ["machine", "origin"]


def machine() -> dict:
    """Return the device, the number of threads, and the most memory this process has held so far, in bytes."""
    cuda = torch.cuda.is_available()
    peak = (
        torch.cuda.max_memory_allocated()
        if cuda
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "device": torch.cuda.get_device_name()
        if cuda
        else f"CPU ({torch.backends.cpu.get_cpu_capability()})",
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": peak,
    }


@cache
def origin() -> dict:
    """Return the commit of this package, whether its files differ from it, and the versions it runs with."""
    git = ["git", "-C", str(Path(__file__).resolve().parent)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*git, "status", "--porcelain", "--", ".."], capture_output=True, text=True)
    names = ("semcg", "torch", "torchvision", "numpy", "pillow", "lightning-fabric")
    return {
        "commit": head.stdout.strip() or None,
        "uncommitted_changes": bool(changed.stdout.strip()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version(name) for name in names},
    }
