"""What lies beside the training step: threads, the allocator's settings, and reading.

`step.py --parts allocator loader` calls this. A setting of the allocator holds for a whole process, so each is measured
in fresh processes that take turns, round after round.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import ratios, resident, spread
from PIL import Image
from ways import SETTINGS, way

from semcg import devices
from semcg.config import Config
from semcg.data import Batches, Scenes, Unpaired
from semcg.devices import fabric_for

__all__ = ["ENVIRONMENTS", "allocator", "loader"]

ENVIRONMENTS: dict[str, tuple[int, dict[str, str]]] = {
    "as it comes": (1, {}),
    "two threads": (2, {}),
    "one arena": (1, {"MALLOC_ARENA_MAX": "1"}),
    "huge pages": (1, {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
    "pages kept": (1, {"MALLOC_TRIM_THRESHOLD_": str(2**33), "MALLOC_MMAP_THRESHOLD_": str(2**25)}),
}
"""Name -> threads, and variables of glibc's allocator. 2**25 is the largest mmap threshold that glibc takes: larger blocks
are given back whenever they are freed."""
_STEPS, _FRAMES = 8, 8


def allocator(*, rounds: int) -> dict[str, dict]:
    """Take narrow semantic steps in fresh processes under each environment in turn."""
    cleared = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in ENVIRONMENTS}
    for _ in range(rounds):
        for name, (threads, variables) in ENVIRONMENTS.items():
            there = cleared | variables | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
            child = [sys.executable, __file__, str(threads)]
            done = subprocess.run(child, env=there, capture_output=True, text=True, check=True)
            for what, value in json.loads(done.stdout).items():
                found[name].setdefault(what, []).append(value)
    base = found["as it comes"]
    return {
        name: {
            "threads": ENVIRONMENTS[name][0],
            "variables": ENVIRONMENTS[name][1],
            "seconds by the clock": spread(one["clock"]),
            "faster by the clock": ratios(base["clock"], one["clock"]),
            "faster by the process's own time": ratios(base["own"], one["own"]),
            "largest resident size": spread(one["resident"]),
        }
        for name, one in found.items()
    }


def _child(threads: int) -> dict[str, float]:
    """Return the median seconds of a step, by the clock and of the process, and its largest resident size."""
    torch.set_num_threads(threads)
    step, batch = way("leaf split", SETTINGS["narrow"], fabric_for("cpu", "fp32"))
    clock, own = [], []
    for n in range(2 + _STEPS):
        begun, used = time.perf_counter(), time.process_time()
        step(*batch)
        if n >= 2:
            clock.append(time.perf_counter() - begun)
            own.append(time.process_time() - used)
    return {"clock": float(np.median(clock)), "own": float(np.median(own)), "resident": resident()}


def loader(config: Config, fabric, *, steps: int = 10, rounds: int = 3) -> dict:
    """Take steps with a batch that lies ready, and with batches read from files, in turn, by the clock.

    The frames are of 4/3 of the crop, as the paper's 1024 x 1024 for 768, and as hard to decode as photographs.
    "waits" is the part of the time that the second has over the first: on a GPU the part that it idles for frames.
    """
    step, ready = way("leaf split", config, fabric)
    with tempfile.TemporaryDirectory() as scratch:
        for domain in ("source", "target"):
            _frames(Path(scratch) / domain, config.crop * 4 // 3)
        scenes = (Scenes(Path(scratch) / d, crop=config.crop, flip=0.5) for d in ("source", "target"))
        share = devices.share(config.batch, fabric)
        with Batches(Unpaired(*scenes), **share) as batches:
            fabric.to_device(batches(0))
            step(*ready)
            n, taken = 1, {"ready": [], "read": []}
            for _ in range(rounds):
                for name, of in taken.items():
                    begun = time.perf_counter()
                    for _ in range(steps):
                        step(*(ready if name == "ready" else fabric.to_device(batches(n))))
                        n += name == "read"
                    if fabric.device.type == "cuda":
                        torch.cuda.synchronize(fabric.device)
                    of.append((time.perf_counter() - begun) / steps)
    waits = [1 - a / b for a, b in zip(taken["ready"], taken["read"], strict=True)]
    return {"workers": share["workers"], "seconds": spread(taken["read"]), "waits": spread(waits)}


def _frames(folder: Path, side: int) -> None:
    draw = np.random.default_rng(0)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for k in range(_FRAMES):
        cells = -(-side // 8)
        smooth = Image.fromarray(draw.integers(0, 256, (cells, cells, 3), dtype=np.uint8)).resize(
            (side, side)
        )
        grain = draw.integers(-8, 9, (side, side, 3))
        picture = np.clip(np.asarray(smooth, int) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{k}.png", compress_level=1)
        ids = draw.integers(0, 19, (cells, cells), dtype=np.uint8).repeat(8, 0).repeat(8, 1)[:side, :side]
        Image.fromarray(ids).save(folder / "labels" / f"{k}.png")


if __name__ == "__main__":
    print(json.dumps(_child(int(sys.argv[1]))))
