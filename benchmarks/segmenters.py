"""What each cut of a segmenter's training costs in mIoU and saves in time: Sem_t on the synthetic world of profile mini.

Steps are timed in turn, round after round, by the process's own time; a ratio is the median over rounds, with the least and
the largest, times the ratio of the numbers of steps. Scores are mIoU on target/val after a whole training of each.

    python benchmarks/segmenters.py --write                  every setting: ten minutes, and benchmarks/segmenters.json
    python benchmarks/segmenters.py --only "as before"       one setting
    python benchmarks/segmenters.py --rounds 3 --no-scores   seconds alone
"""

import time

import numpy as np
import torch
from common import HERE, arguments, keep, machine, said, spread

from semcg import config as configs
from semcg import devices, evaluate, files, loop, metrics, runs, training
from semcg.config import Config
from semcg.data import Batches, Scenes
from semcg.runs.budget import step_on_noise

BEFORE = {"segmenter_stride": 4, "segmenter_width": 0.25, "segmenter_batch": 6}
BEFORE |= {"segmenter_lr": 2e-3, "segmenter_steps": 800}
MORE = {"segmenter_batch": 3, "segmenter_steps": 1600}
NARROW = {"segmenter_width": 0.125}
SETTINGS = {
    "as before": {},
    "half width, batch 3, rate 5e-3": NARROW | MORE | {"segmenter_lr": 5e-3},
    "the same, half the steps": NARROW | MORE | {"segmenter_lr": 5e-3, "segmenter_steps": 800},
    "stride 8": {"segmenter_stride": 8},
    "half width": NARROW,
}
"""Name -> what differs from the first edition's numbers, which are `BEFORE`."""


def score(config: Config) -> dict[str, float]:
    """Train Sem_t and return its mIoU on target/val and the process's seconds in its steps."""
    fabric, folder = devices.fabric_for("cpu"), runs.data(config) / "target"
    own = {"crop": config.crop, "flip": config.flip, "seed": config.segmenter_seed}
    crops = Scenes(folder / "train", color=config.segmenter_color, **own)
    batches, net = Batches(crops, batch=config.segmenter_batch), training.network_for(config, "segmenter")
    plan = {key: getattr(config, f"segmenter_{key}") for key in ("optimizer", "lr", "decay", "schedule")}
    steps = config.segmenter_steps
    t = training.SegmenterTraining.create(net, steps=steps, seed=config.segmenter_seed, fabric=fabric, **plan)
    step = training.segmentation_step(t, fabric=fabric, weights=training.class_weights(crops.frequencies()))
    begun = time.process_time()
    for _ in loop.fit(step, batches, steps):
        pass
    seconds = time.process_time() - begun
    counts = evaluate.segmentation_counts(net.eval(), Scenes(folder / "val"), fabric=fabric)
    return {"mIoU": round(metrics.mean_iou(counts), 4), "seconds": round(seconds, 1)}


def timed(settings: dict[str, Config], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each round of a step on noise, setting by setting in turn."""
    fabric, steps = devices.fabric_for("cpu"), {}
    for name, config in settings.items():
        steps[name] = step_on_noise("segmenter", config, fabric)
        steps[name][0](*steps[name][1])  # the first step also plans the convolutions
    taken = {name: [] for name in settings}
    for _ in range(rounds):
        for name, (step, batch) in steps.items():
            begun = time.process_time()
            step(*batch)
            taken[name].append(time.process_time() - begun)
    return taken


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument(
        "--rounds", type=int, default=0, help="of timed steps; 10 (30 with --full) without it"
    )
    parser.add_argument("--no-scores", action="store_true", help="time steps only")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    found = {"machine": machine()}
    settings = {n: configs.make("mini", **BEFORE | SETTINGS[n]) for n in ["as before", *asked.only]}
    taken = timed(settings, asked.rounds or (30 if asked.full else 10))
    path = HERE / "segmenters.json"
    kept = files.read_json(path) if path.is_file() else {}
    rows = kept.get("settings", {})
    for name in asked.only:
        config = settings[name]
        share = config.segmenter_steps / settings["as before"].segmenter_steps
        row = rows.get(name, {}) | {"differs": SETTINGS[name], "steps": config.segmenter_steps}
        row["time of the training"] = spread(share * np.divide(taken[name], taken["as before"]))
        if not asked.no_scores:
            row |= score(config)
        rows[name] = row
        print(
            f"{name:<40} time {said(row['time of the training'])}  mIoU {row.get('mIoU', float('nan')):.3f}",
            flush=True,
        )
        if asked.write:
            keep("segmenters", found | {"settings": {n: rows[n] for n in SETTINGS if n in rows}})


if __name__ == "__main__":
    main()
