"""How time and memory grow with crop, width, images, seeds and workers: small models, fitted and checked.

A step takes a + d w^2 + pixels (b w + c w^2) seconds: a for what every call costs, d for fetching and changing the
weights, b for passing maps through memory, c for convolutions; w is the width over the paper's, pixels those of the
crop, and no coefficient is negative. The largest resident size grows by first + `kept` + factor x `passing`; the quoted
two are counted exactly for any size (semcg.cost), what the first step of a process costs once and the factor
are measured here; the factor, rounded, is `semcg.runs.budget.WORKSPACE`. Each model is checked against a point that it was not fitted to.

Measured in turn by the process's own time, memory in fresh processes; then, on paper, the paper's experiment. What is
marked "assumed" was not measured.

    python benchmarks/growth.py                    a minute or two on an idle core
    python benchmarks/growth.py --full --write     more rounds, and benchmarks/growth.json
    python benchmarks/growth.py --figure growth.svg
"""

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from common import HERE, arguments, growth, keep, machine, resident
from pages import growth_figure
from reading import reading, workers
from scipy.optimize import nnls

from semcg import config as configs
from semcg import files
from semcg.config import Config
from semcg.cost import count, seconds
from semcg.devices import fabric_for
from semcg.runs import budget

FITTED = [
    (64, 8),
    (128, 8),
    (192, 8),
    (64, 16),
    (128, 16),
    (64, 32),
    (96, 32),
]  # crop, width (64 is the paper's)
LEFT_OUT = (128, 32)
MEMORY_FITTED = [(256, 8), (512, 8), (256, 16), (384, 16), (384, 32)]
MEMORY_LEFT_OUT = (640, 16)
ASSUMED = {
    "source and target frames": [24_966, 2_975],
    "operations a second in bf16, a GPU": 79e12,
    "why": "a tenth of a peak of 790e12, which a step at batch 1 reaches if it takes 60 ms",
    "bytes a second of an average of gradients, each GPU": 25e9,
    "part of the steps saved in parallel": "none at equal epochs: 64 GPUs take 64 crops a step, in 1/64 of the steps",
}


def sized(crop: int, width: int, **changes) -> Config:
    base = {"crop": crop, "generator_width": width, "discriminator_width": width, "generator_depth": 5}
    return configs.make("paper", segmenter_width=width / 64, **(base | changes))


def features(crop: int, width: int) -> list[float]:
    w = width / 64
    return [1.0, w**2, crop**2 * w, crop**2 * w**2]


def fit(points: dict[tuple[int, int], float]) -> list[float]:
    """Least squares of the relative error, no coefficient negative."""
    rows = np.array([features(*at) for at in points]) / np.array(list(points.values()))[:, None]
    scale = rows.max(axis=0)
    return list(nnls(rows / scale, np.ones(len(rows)))[0] / scale)


def times(rounds: int) -> dict[tuple[int, int], float]:
    fabric, found = fabric_for("cpu", "fp32"), {}
    steps, batches = {}, {}
    for at in [*FITTED, LEFT_OUT]:
        steps[at], batches[at] = budget.step_on_noise("translation", sized(*at), fabric)
    for n in range(rounds + 1):
        for at, step in steps.items():
            taken = seconds({"": step}, batches[at], rounds=1, warm=0)[""]
            if n:  # the first chooses algorithms
                found.setdefault(at, []).extend(taken)
    return {at: float(np.median(taken)) for at, taken in found.items()}


def grown(crop: int, width: int) -> tuple[int, int]:
    """Bytes by which this process grows when it begins a training and takes two steps, and its size before."""

    def begun() -> None:
        step, batch = budget.step_on_noise("translation", sized(crop, width), fabric_for("cpu", "fp32"))
        for _ in range(2):
            step(*batch)

    process = resident()
    return growth(begun), process


def off(point: dict) -> float:
    return point["model"] / point["measured"]


def memory() -> dict:
    fabric, points = fabric_for("cpu", "fp32"), {}
    for at in [*MEMORY_FITTED, MEMORY_LEFT_OUT]:
        counted = count(lambda at=at: budget.step_on_noise("translation", sized(*at), fabric))
        child = [sys.executable, __file__, "--child", json.dumps(at)]
        measured, process = json.loads(
            subprocess.run(child, capture_output=True, text=True, check=True).stdout
        )
        points[at] = {"measured": measured, "process": process, **counted}
    x = np.array([[2**20, points[at]["passing"]] for at in MEMORY_FITTED], float)
    y = np.array([points[at]["measured"] - points[at]["kept"] for at in MEMORY_FITTED], float)
    first, factor = nnls(x / y[:, None], np.ones(len(y)))[0]  # least squares of the relative error
    first, factor = int(first * 2**20), float(factor)
    for p in points.values():
        p["model"] = p["kept"] + first + factor * p["passing"]
    left = points[MEMORY_LEFT_OUT]
    return {
        "first": first,
        "factor": factor,
        "process": int(np.median([p["process"] for p in points.values()])),
        "points": [{"crop": c, "width": w, **points[c, w]} for c, w in points],
        "not fitted": {
            "crop": MEMORY_LEFT_OUT[0],
            "width": MEMORY_LEFT_OUT[1],
            "model over measured": off(left),
        },
    }


def on_paper() -> dict:
    """The paper's experiment on 1 and on 64 GPUs, and a sweep of 200 runs: operations are counted, rates assumed."""
    config = configs.make("paper", precision="bf16")
    rate, wire = (
        ASSUMED["operations a second in bf16, a GPU"],
        ASSUMED["bytes a second of an average of gradients, each GPU"],
    )
    rows, hours = {}, 0.0
    for stage in budget.stages(config, epoch=ASSUMED["source and target frames"][0]):
        fabric = fabric_for("cpu", stage.config.precision)
        operations = count(
            lambda stage=stage, fabric=fabric: budget.step_on_noise(stage.kind, stage.config, fabric)
        )["operations"]
        took = operations / rate
        rows[stage.name] = {
            "steps": stage.trainings * stage.steps,
            "operations a step": operations,
            "memory": budget.needed_bytes(stage),
            "seconds a step": took,
            "hours": stage.trainings * stage.steps * took / 3600,
        }
        hours += rows[stage.name]["hours"]
    semantic = rows["semantic"]
    weights = 4 * 2 * (54_409_603 + 2_764_737)  # of the four trained networks, float32
    average = 2 * 63 / 64 * weights / wire  # a ring passes each byte twice
    steps = -(-semantic["steps"] // 64)
    return {
        "assumed": ASSUMED,
        "stages": rows,
        "course, 1 GPU, hours": hours,
        "one semantic CycleGAN, 64 GPUs and batch 64 (another experiment), hours": steps
        * (semantic["seconds a step"] + average)
        / 3600,
        "share of that in averaging gradients": average / (semantic["seconds a step"] + average),
        "200 semantic CycleGANs, 1 GPU, days": 200 * semantic["hours"] / 24,
        "200 semantic CycleGANs, 64 GPUs, a run each, days": -(-200 // 64) * semantic["hours"] / 24,
        **fed_by(),
    }


def fed_by() -> dict:
    """Loader processes that a GPU needs, from what `data.py` measured: a step reads a frame of each domain."""
    path = HERE / "data.json"
    found = files.read_json(path).get("load", {}) if path.is_file() else {}
    if "this loader, prepared" not in found:
        return {}
    ms = found["this loader, prepared"]["ms a pair"]
    return {
        f"loader processes a GPU for a step of {step} ms (assumed)": math.ceil(2 * ms / step)
        for step in (60, 20)
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=0, help="0: 3, or 10 in full")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.child:
        print(json.dumps(grown(*json.loads(given.child))))
        return
    result = {"machine": machine()}
    measured = times(given.rounds or (3, 10)[given.full])
    law = fit({at: measured[at] for at in FITTED})
    points = [
        {
            "crop": c,
            "width": w,
            "measured": t,
            "model": float(np.dot(law, features(c, w))),
            "fitted": (c, w) != LEFT_OUT,
        }
        for (c, w), t in measured.items()
    ]
    result["time"] = {
        "law": "a + d w^2 + pixels (b w + c w^2), w = width / 64",
        "a, d, b, c": law,
        "points": points,
        "not fitted, model over measured": off(points[-1]),
    }
    print(
        "\nseconds a semantic step, batch 1:",
        ", ".join(f"{n} = {v:.3g}" for n, v in zip("adbc", law, strict=True)),
    )
    for p in points:
        words = "" if p["fitted"] else f"   not fitted: {off(p):.2f} of the measured"
        print(
            f"  crop {p['crop']:>4} width {p['width']:>3}{p['measured']:>9.3f}, model{p['model']:>8.3f}{words}"
        )
    result["memory"] = memory()
    print(
        f"\npeak growth = {result['memory']['first'] / 2**20:.0f} MiB + kept + {result['memory']['factor']:.2f} x passing"
    )
    for p in result["memory"]["points"]:
        fitted = (p["crop"], p["width"]) != MEMORY_LEFT_OUT
        words = "" if fitted else f"   not fitted: {off(p):.2f} of the measured"
        print(
            f"  crop {p['crop']:>4} width {p['width']:>3}{p['measured'] / 2**20:>9.0f}, model{p['model'] / 2**20:>8.0f} MiB{words}"
        )
    result["reading"] = reading()
    print(
        f"\nreading: {result['reading']['seconds a megapixel']:.3f} s a megapixel; each worker is a process of about "
        f"{result['memory']['process'] / 2**20:.0f} MiB and, of n workers, the core count limits the gain"
    )
    result["workers"] = workers()
    for number, row in result["workers"].items():
        print(
            f"  {number} workers: {row['batches a second']:.0f} batches a second, "
            f"{row['bytes of the largest'] / 2**20:.0f} MiB each"
        )
    result["linear"] = (
        "by construction, not measured: time with seeds and with steps, since each is the same work again; with images, "
        "steps an epoch = larger domain / batch; memory with neither"
    )
    result["on paper"] = on_paper()
    print("\non paper (operations counted; * follows from rates that are assumed, not measured)")
    for name, value in result["on paper"].items():
        if isinstance(value, int | float):
            print(f"  {name:<76}{value:>8.3g} *")
    if given.figure:
        growth_figure(result, given.figure)
    if given.write:
        keep("growth", result)


if __name__ == "__main__":
    main()
