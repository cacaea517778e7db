"""Prints, as JSON, digests of everything random: batches, initial weights, and weights after steps of each kind.

python steps.py <folder of scenes> <loader processes> <seed>
"""

import hashlib
import json
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from semcg import config, devices, gan, labels, segmenters, training
from semcg.data import Batches, Scenes, Unpaired
from semcg.labels import CLASSES
from semcg.world import scene, styles

SEMANTIC = ("scores_l2", "scores_norm", "softmax_l2", "ce_pseudo", "ce_labels", "kl", "scores_in")
SEGMENTERS = {"drn26": {"width": 1 / 32, "stride": 4}, "segnet": {"width": 1 / 32}, "unet": {"width": 4}}


def digest(value: object) -> str:
    """Return a digest of the bits of nested lists, dicts and tensors."""
    seen = hashlib.sha256()

    def take(value: object) -> None:
        if isinstance(value, torch.Tensor):
            seen.update(value.detach().contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            take(list(value.values()))
        elif isinstance(value, list | tuple):
            for item in value:
                take(item)
        else:
            seen.update(repr(value).encode())

    take(value)
    return seen.hexdigest()[:16]


def first_two(batches: Batches) -> list[tuple[torch.Tensor, ...]]:
    loaded = [batches(n) for n in range(2)]  # once: a step back would start the loader processes anew
    # Told to end, a loader process of torch now and then aborts ("terminate called without an active exception").
    # What it loaded is compared here; how it ends is not.
    with suppress(RuntimeError):
        batches.close()
    return loaded


def main(folder: Path, workers: int, seed: int) -> dict[str, str]:
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    fabric = devices.fabric_for("cpu")
    cfg = config.make(
        "smoke", seed=seed, generator_width=4, generator_depth=3, discriminator_width=4, crop=32
    )
    found = {
        "config": json.dumps(cfg.part("translation", "segmenter")),
        "labels": digest([list(labels.CATEGORIES), [c.name for c in CLASSES]]),
    }
    made = scene.Scene.sample(seed, "source")
    drawing = made.draw((32, 64))
    for style in ("game", "camera"):
        found[f"drawn, {style}"] = digest(
            torch.from_numpy(np.ascontiguousarray(styles.paint_scene(made, drawing, style, 1.0)))
        )

    options = {"crop": 32, "flip": 0.5, "color": True, "artifacts": True, "seed": seed}
    crops = Scenes(folder, **options)
    single = first_two(Batches(crops, batch=2, workers=workers))
    paired = first_two(Batches(Unpaired(crops, Scenes(folder, **options)), batch=1, workers=workers))
    found["batches"] = digest([single, paired])
    for name, build in SEGMENTERS.items():
        t = training.SegmenterTraining.create(
            segmenters.build(name, **build),
            optimizer="adamw", lr=1e-3, decay=0.0, steps=10, schedule="poly", seed=seed, fabric=fabric,
        )  # fmt: skip
        found[f"{name}, before"] = digest(t.net.state_dict())
        # Torch has no unpooling that it vouches for, so it refuses the second judge's in this mode. Places of
        # maxima do not overlap there, and the bits are compared all the same.
        torch.use_deterministic_algorithms(name != "segnet")
        step = training.segmentation_step(
            t, fabric=fabric, weights=training.class_weights(crops.frequencies())
        )
        terms = [step(*batch) for batch in single]
        found[f"{name}, after"] = digest([terms, *(part.state_dict() for part in t.state().values())])

    sems = [segmenters.build("unet", width=4) for _ in range(2)]
    for i, net in enumerate(sems):
        segmenters.initialize(net, generator=torch.Generator().manual_seed(i))
    for kind in (None, *SEMANTIC):
        t = training.CycleGANTraining.create(cfg, steps=10, fabric=fabric, Sem_s=sems[0], Sem_t=sems[1])
        weight = 0.0 if kind is None else 1.0
        step = training.translation_step(t, fabric=fabric, lambda_s=weight, semantic_loss=kind or "scores_l2")
        terms = [step(*batch) for batch in paired]
        found[f"CycleGAN, {kind}"] = digest([terms, *(part.state_dict() for part in t.state().values())])
    assert isinstance(t.m, gan.CycleGAN)
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
