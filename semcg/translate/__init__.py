"""Translations of whole frames and of folders, by a generator or by what one would try before training one.

A translation is anything that takes images (B, 3, H, W) in [-1, 1] and returns images of the same shape: `identity`,
a `HistogramMatching`, a generator, or a generator in `Padded`, which takes frames of any size. `folder` and `split`
apply one to files.
"""

from semcg.translate.folders import fingerprint, folder, image, split, stems
from semcg.translate.translations import (
    HistogramMatching,
    Padded,
    Translation,
    any_size,
    identity,
    pad,
    to_bytes,
)

__all__ = [
    "HistogramMatching",
    "Padded",
    "Translation",
    "any_size",
    "fingerprint",
    "folder",
    "identity",
    "image",
    "pad",
    "split",
    "stems",
    "to_bytes",
]
