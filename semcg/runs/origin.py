"""Which code on which machine: what a run writes beside its weights."""

import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

__all__ = ["machine", "origin"]


def machine() -> dict:
    """Return the device, the number of threads, and the most memory this process has held so far, in bytes."""
    cuda = torch.cuda.is_available()
    peak = torch.cuda.max_memory_allocated() if cuda else _most_resident()
    return {
        "device": torch.cuda.get_device_name()
        if cuda
        else f"CPU ({torch.backends.cpu.get_cpu_capability()})",
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": peak,
    }


def _most_resident() -> int:
    """Return the highest resident size of this process in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux a new process inherits the `ru_maxrss` of the one that started it
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


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
