"""What a kernel tells the process that runs its notebook: one JSON line per run that it starts, reads or completes."""

import json
import os
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

__all__ = ["VARIABLE", "machine", "note", "origin", "summary"]

VARIABLE = "SEMCG_EVENTS"
"""Environment variable with the path of the file that events are appended to; unset, nobody listens."""


def note(event: str, **fields: object) -> None:
    """Append one event to the file that $SEMCG_EVENTS names, if it is set."""
    if path := os.environ.get(VARIABLE):
        with open(path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps({"event": event, **fields}) + "\n")


def summary(events: Path) -> dict:
    """Collect what a kernel reported: runs and data it used, seconds it trained, its machine and most memory."""
    lines = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
    found: dict[str, dict] = {name: {} for name in ("runs", "data", "trained", "clock", "why", "machine")}
    for e in lines:
        event = e.pop("event")
        if event in ("run", "read"):
            found["runs"][e["run"]] = e["fingerprint"]
        if event == "run":
            found["why"][e["run"]] = e["why"]
        elif event == "data":
            found["data"][e["data"]] = e["digest"]
        elif event == "done":
            found["trained"][e["run"]] = round(e["seconds"], 1)
        elif event == "clock":
            found["clock"][e["what"]] = round(found["clock"].get(e["what"], 0.0) + e["seconds"], 1)
        elif event == "machine":  # the last one counts, as the kernel saw it after its last cell
            found["machine"] = e
    return found


def machine() -> dict:
    """Return the device, the number of threads, and the most memory this process has held so far, in bytes."""
    if torch.cuda.is_available():
        device, peak = torch.cuda.get_device_name(), torch.cuda.max_memory_allocated()
    else:
        device, peak = f"CPU ({torch.backends.cpu.get_cpu_capability()})", _most_resident()
    return {"device": device, "threads": torch.get_num_threads(), "peak_memory_bytes": peak}


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
