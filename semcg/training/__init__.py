"""One step per network, and the loop that yields.

`translation_step` and `segmentation_step` return a function of one batch that takes one optimiser step and returns
its loss terms; `fit` calls such a function again and again. Neither knows of files: `semcg.runs.keep` saves what
`fit` yields. All of it runs on Lightning Fabric, which decides device, precision and number of processes.
"""

from semcg.training.devices import fabric_for, loaders, precision_for, probe, share, share_of
from semcg.training.loop import Step, fit
from semcg.training.segmentation import Segmentation, class_weights, segmentation_step
from semcg.training.translation import Translation, generator_for, translation_step

__all__ = [
    "Segmentation",
    "Step",
    "Translation",
    "class_weights",
    "fabric_for",
    "fit",
    "generator_for",
    "loaders",
    "precision_for",
    "probe",
    "segmentation_step",
    "share",
    "share_of",
    "translation_step",
]
