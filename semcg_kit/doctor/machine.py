"""What there is to see on this machine. Looking takes the seconds that importing torch takes, and changes nothing.

Only Python's own library is imported at the top: this must work where an installation does not.
"""

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

from semcg_kit.doctor import packages
from semcg_kit.doctor.findings import (
    COURSE_DISK,
    COURSE_MEMORY,
    Finding,
    compiler,
    existing,
    fonts,
    graphics,
    kernel,
    processor,
    python,
    space,
    threads,
    torch_build,
    writable,
)

__all__ = ["examine"]


def examine(root: Path) -> list[Finding]:
    """Look at this machine.

    Parameters
    ----------
    root : Path
        Of the repository: where `pyproject.toml` and `requirements.lock` lie.
    """
    lock, has = root / "requirements.lock", packages.installed()
    absent = packages.absent(packages.needed(root))
    found = [
        python(sys.version_info[:3], in_environment=sys.prefix != sys.base_prefix),
        packages.versions(
            lock.read_text(encoding="utf-8") if lock.is_file() else "",
            has,
            absent=absent,
            unexported=packages.absent(packages.EXPORT),
            seconds=packages.install_seconds(Path(sys.prefix)),
        ),
    ]

    def module(name: str, **more: str) -> ModuleType | None:
        try:
            return importlib.import_module(name)
        except Exception as error:  # a damaged package raises whatever it likes
            if not (absent and isinstance(error, ModuleNotFoundError)):  # the line of the packages says it
                found.append(packages.broken(name, error, **more))
            return None

    if torch := module("torch"):
        cuda = torch.cuda.is_available()
        device = torch.cuda.get_device_properties(0) if cuda else None
        found.append(torch_build(torch.__version__, torch.version.cuda, card=_has_card(), usable=cuda))
        pair = ", ".join(
            f"{name} {has.get(name, 'of no known version')}" for name in ("torch", "torchvision")
        )
        rooms = module("torchvision", versions=pair) and module("semcg.training")
        if rooms and module("semcg.notebook"):
            bf16 = rooms.precision_for("auto", "cpu") == "bf16"
            gain = rooms.probe("cpu")  # two seconds
            found.append(processor(torch.backends.cpu.get_cpu_capability(), bf16=bf16, gain=gain))
        found.append(threads(torch.get_num_threads(), cores=_cores(), load=_load()))
        found.append(graphics(device and device.name, device and device.total_memory))
    if psutil := module("psutil"):
        free = min(psutil.virtual_memory().available, _group_memory())
        found.append(space("memory", free, COURSE_MEMORY))
    layout = module("semcg.files")
    home = layout.home() if layout else root
    found.append(space("disk", shutil.disk_usage(existing(home)).free, COURSE_DISK))
    if specs := module("jupyter_client.kernelspec"):
        found.append(kernel(_kernel(specs), sys.executable))
    found += [
        fonts(_fonts()),
        compiler(_cxx(), found=bool(shutil.which(_cxx())), headers=_headers()),
        writable([home / "data", home / "results", _cache()]),
    ]
    return found


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


def _kernel(specs: ModuleType) -> list[str] | None:
    try:
        return specs.KernelSpecManager().get_kernel_spec("python3").argv
    except (specs.NoSuchKernel, json.JSONDecodeError):
        return None


def _fonts() -> Path | None:
    found = importlib.util.find_spec("matplotlib")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" if found and found.origin else None


def _cxx() -> str:
    """Return the C++ compiler that torch.compile calls on this system."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return os.environ.get("CXX") or usual


def _headers() -> bool:
    """Whether Python.h is here; on macOS a framework's Python keeps it elsewhere."""
    folders = [Path(sysconfig.get_path("include"))]
    folders += [Path(sysconfig.get_path("stdlib")).parents[1] / "Headers"] if sys.platform == "darwin" else []
    return any((folder / "Python.h").is_file() for folder in folders)


def _cache() -> Path:
    """Return the folder in which matplotlib keeps its list of fonts."""
    if named := os.environ.get("MPLCONFIGDIR"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"
