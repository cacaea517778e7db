"""Reading frames: how its time grows with their size, and what loader processes gain and hold."""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from semcg.data import Batches, Scenes

__all__ = ["held", "reading", "workers"]


def reading(rounds: int = 5) -> dict:
    """Seconds of this process per pair of frames by their number of pixels, which is all that images cost."""
    found, draw = {}, np.random.default_rng(0)
    for side in (128, 256, 512):
        with tempfile.TemporaryDirectory() as scratch:
            for part, channels in (("images", (3,)), ("labels", ())):
                folder = Path(scratch) / part
                folder.mkdir()
                for k in range(4):
                    coarse = draw.integers(
                        0, 19 if part == "labels" else 256, (side // 8, side // 8, *channels), dtype=np.uint8
                    )
                    Image.fromarray(coarse.repeat(8, 0).repeat(8, 1)).save(folder / f"{k}.png")
            scenes = Scenes(scratch, crop=side // 2, flip=0.5)
            taken = []
            for n in range(rounds):
                begun = time.process_time()
                for k in range(4):
                    scenes.item(4 * n + k)
                taken.append((time.process_time() - begun) / 4)
        found[side] = float(np.median(taken))
    each = [found[s] / s**2 for s in found]
    slope = (found[256] - found[128]) / (256**2 - 128**2)
    said = found[256] + slope * (512**2 - 256**2)
    return {
        "seconds": found,
        "seconds a megapixel": 1e6 * each[-1],
        "at 512, from 128 and 256": said / found[512],
    }


def workers(batches: int = 200) -> dict[str, dict]:
    """Batches a second by the clock that so many loader processes read, and what the largest of them holds.

    0 is this process. Starting them is not in the time; what n of them gain is limited by the idle cores.
    """
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for part, shape in (("images", (512, 512, 3)), ("labels", (512, 512))):
            (Path(scratch) / part).mkdir()
            for k in range(4):
                pixels = np.random.default_rng(k).integers(0, 19, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(Path(scratch) / part / f"{k}.png")
        for number in (0, 1, 2):
            with Batches(Scenes(scratch, crop=256, flip=0.5), batch=1, workers=number) as read:
                for n in range(8):
                    read(n)
                begun = time.perf_counter()
                for n in range(8, 8 + batches):
                    read(n)
                seconds = time.perf_counter() - begun
                found[str(number)] = {"batches a second": batches / seconds, "bytes of the largest": held()}
                time.sleep(1)  # torch aborts a loader process that is ended in the middle of sending a batch
    return found


def held() -> int:
    """Return the resident bytes of the largest process that this one started; 0 without any."""
    started = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    status = [Path(f"/proc/{pid}/status").read_text() for pid in started]
    sizes = [
        int(line.split()[1]) for text in status for line in text.splitlines() if line.startswith("VmRSS")
    ]
    return 1024 * max(sizes, default=0)
