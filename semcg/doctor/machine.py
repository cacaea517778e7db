"""What there is to see on this machine. Looking takes the seconds that importing torch takes, and changes nothing."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from semcg import files
from semcg.doctor.findings import (
    COURSE_DISK,
    COURSE_MEMORY,
    Finding,
    existing,
    fonts,
    graphics,
    kernel,
    package_name,
    processor,
    python,
    space,
    threads,
    torch_build,
    versions,
    writable,
)

__all__ = ["examine"]


def examine(root: Path) -> list[Finding]:
    """Look at this machine.

    Parameters
    ----------
    root : Path
        Of the repository: where `requirements.lock` lies.
    """
    import psutil
    import torch

    from semcg.training import precision_for

    lock = root / "requirements.lock"
    memory = psutil.virtual_memory()
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_properties(0) if cuda else None
    return [
        python(sys.version_info[:3], in_environment=sys.prefix != sys.base_prefix),
        versions(lock.read_text(encoding="utf-8") if lock.is_file() else "", _installed()),
        torch_build(torch.__version__, torch.version.cuda, card=_has_card(), usable=cuda),
        processor(torch.backends.cpu.get_cpu_capability(), bf16=precision_for("auto", "cpu") == "bf16"),
        threads(torch.get_num_threads(), cores=_cores(), load=_load()),
        space("memory", min(memory.available, _group_memory()), COURSE_MEMORY),
        space("disk", shutil.disk_usage(existing(files.home())).free, COURSE_DISK),
        graphics(device and device.name, device and device.total_memory),
        kernel(_kernel(), sys.executable),
        fonts(_fonts()),
        writable([files.home() / "data", files.home() / "results", _cache()]),
    ]


def _installed() -> dict[str, str]:
    return {package_name(d.metadata["Name"]): d.version for d in distributions() if d.metadata["Name"]}


def _has_card() -> bool:
    """Whether a driver lists an NVIDIA card, whatever torch thinks of it."""
    if not (tool := shutil.which("nvidia-smi")):
        return False
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def _cores() -> float:
    """Return the cores that this process may use: its affinity, and the quota of its control group."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _group("cpu.max").partition(" ")
    return min(own, int(quota) / int(period)) if quota.isdigit() else own


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _group_memory() -> float:
    """Return the bytes that the control group leaves; infinity where it sets no limit."""
    limit, used = _group("memory.max"), _group("memory.current")
    return int(limit) - int(used or 0) if limit.isdigit() else float("inf")


def _group(name: str) -> str:
    try:
        return Path("/sys/fs/cgroup", name).read_text().strip()
    except OSError:
        return ""


def _kernel() -> list[str] | None:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        return KernelSpecManager().get_kernel_spec("python3").argv
    except (NoSuchKernel, json.JSONDecodeError):
        return None


def _fonts() -> Path | None:
    found = importlib.util.find_spec("matplotlib")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" if found and found.origin else None


def _cache() -> Path:
    """Return the folder in which matplotlib keeps its list of fonts."""
    if named := os.environ.get("MPLCONFIGDIR"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"
