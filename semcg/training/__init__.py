"""One step per network, and the loop that yields.

`translation_step` and `segmentation_step` return a function of one batch that takes one optimiser step and returns
its loss terms; `fit` calls such a function again and again. Neither knows of files: `semcg.runs.keep` saves what
`fit` yields. All of it runs on Lightning Fabric, which decides device, precision and number of processes.
"""

from semcg.training.devices import fabric_for, loaders, precision_for, share
from semcg.training.loop import Step, fit
from semcg.training.segmentation import (
    Segmentation,
    build_segmentation,
    class_weights,
    network_for,
    segmentation_step,
)
from semcg.training.translation import Translation, build_translation, generator_for, translation_step

__all__ = [
    "Segmentation",
    "Step",
    "Translation",
    "build_segmentation",
    "build_translation",
    "class_weights",
    "fabric_for",
    "fit",
    "generator_for",
    "loaders",
    "network_for",
    "precision_for",
    "segmentation_step",
    "share",
    "translation_step",
]
