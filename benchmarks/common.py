"""What the benchmarks share: their options, the machine's description, medians with their spread, the written file."""

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from semcg import files

__all__ = ["arguments", "growth", "keep", "machine", "ratios", "resident", "said", "spread"]

HERE = Path(__file__).resolve().parent


def arguments(about: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has: --full, --write, --threads."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="more rounds and sizes, for an idle machine")
    parser.add_argument("--write", action="store_true", help="into benchmarks/<name>.json")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def machine(device: str | torch.device = "cpu") -> dict:
    """Describe the machine, and how busy it is, and print that in a line."""
    device = torch.device(device)
    found = {
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU ({torch.backends.cpu.get_cpu_capability()})",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
        "load": [round(x, 1) for x in os.getloadavg()],
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    print(
        f"{found['processor']}, {found['device']}, {found['threads']} thread(s); load {found['load'][0]} on "
        f"{found['cores']} cores; AMX {'yes' if found['amx'] else 'no'}, torch {found['torch']}"
    )
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def growth(work: Callable[[], object]) -> int:
    """Return the bytes by which the resident size of this process rises at its highest while `work` runs.

    Linux keeps the highest size in the process's status and lets it be set back. `getrusage` will not do: there a
    new process begins with the size of the one that started it.
    """
    Path("/proc/self/clear_refs").write_text("5")
    before = resident()
    work()
    return resident() - before


def resident() -> int:
    """Return the highest resident size of this process so far, or since `growth` began, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median of some values, the least and the largest."""
    return {"median": float(np.median(values)), "least": float(min(values)), "largest": float(max(values))}


def ratios(base: Sequence[float], taken: Sequence[float]) -> dict[str, float]:
    """Return the spread of how many times as long `base` took as `taken` did, round by round."""
    return spread(np.divide(base, taken))


def said(ratio: dict[str, float]) -> str:
    """Return a spread in words: 1.28 (1.18 to 1.38)."""
    return f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['largest']:.2f})"


def keep(name: str, result: dict) -> None:
    """Write a result into benchmarks/<name>.json; what an earlier call measured and this one did not stays.

    "machine" is that of the latest call; "machines" says of each part on which machine it was measured, and how busy
    that was.
    """
    path = HERE / f"{name}.json"
    old = files.read_json(path) if path.is_file() else {}
    parts = [part for part in result if part != "machine"]
    before = {part: old["machine"] for part in old if part not in ("machine", "machines")}
    machines = before | old.get("machines", {}) | dict.fromkeys(parts, result["machine"])
    files.write_json(path, old | result | {"machines": machines})
    print(f"\nwritten: benchmarks/{path.name}")
