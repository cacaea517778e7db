"""Translations of whole frames and of folders, by a generator or by what one would try before training one.

A translation is anything that takes images (B, 3, H, W) in [-1, 1] and returns images of the same shape: `identity`,
a `HistogramMatching`, a `ColorTable`, a generator, or a generator in `Padded` or `Tiled`, which take frames of any size, in `Guided`,
which keeps strokes, or in `Compiled`, which is faster and less exact. `folder` and `split` apply one to files.
"""

from semcg.translate.colors import ColorTable, Guided, HistogramMatching, color_map, pixels_of
from semcg.translate.folders import fingerprint, folder, image, sizes, split, stems
from semcg.translate.tiles import (
    Compiled,
    Padded,
    Tiled,
    Translation,
    any_size,
    check,
    difference,
    identity,
    pad,
    to_bytes,
)
