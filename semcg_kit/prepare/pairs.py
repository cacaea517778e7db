"""One domain of your own as it lies on disk: its images and labels, paired by stem, and what identifies them."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from semcg import files, mappings, pictures
from semcg.mappings import Mapping

__all__ = ["Checked", "Domain", "Frame", "check", "image_of", "label_of", "paired"]


@dataclass(frozen=True)
class Domain:
    """One domain as it lies on disk.

    Attributes
    ----------
    images : path
        Folder of PNG or JPEG files, 8-bit RGB, grey, or RGBA that is opaque throughout. EXIF rotation is
        applied.
    labels : path, optional
        Folder of label files with the same stems and sizes.
    mapping : path, optional
        CSV or TOML file for `mapping`. Without one the labels hold train ids already.
    coding : str
        What a label file stores: "palette" (a palette PNG, its index), "grey" (an 8-bit grey PNG, its value),
        "color" (a PNG or JPEG, the nearest colour of the mapping); "auto": "color" if the mapping has
        colours, else either of the other two.
    max_color_distance : float
        Euclidean distance in RGB, 0..255 a channel, beyond which a colour is 255, "ignored". JPEG mixes
        colours at the rims of regions, so 0 is for exact files; there another colour is an error.
    sequence : str, optional
        Regular expression whose first group, found in a stem, names the sequence that a frame is from. A
        sequence is never divided between what the judge reads and what it does not.
    """

    images: Path | str
    labels: Path | str | None = None
    mapping: Path | str | None = None
    coding: str = "auto"
    max_color_distance: float = 30.0
    sequence: str | None = None


class Frame(NamedTuple):
    image: Path
    label: Path | None


class Checked(NamedTuple):
    sizes: set[tuple[int, int]]
    digest: str
    too_far: float


def paired(name: str, domain: Domain) -> dict[str, Frame]:
    """Pair the files of a domain by stem, sorted."""
    if domain.labels is None and domain.mapping is not None:
        raise ValueError(f"{name}: a mapping ({domain.mapping}) is given, but no folder of labels")
    if domain.labels is None:
        return {stem: Frame(path, None) for stem, path in pictures.by_stem(domain.images).items()}
    try:
        found = pictures.pairs(domain.images, domain.labels)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return {stem: Frame(*pair) for stem, pair in found.items()}


def check(domain: Domain, frames: dict[str, Frame], to_train_ids: Mapping | None) -> Checked:
    """Decode every file of a domain once, and keep what identifies its contents."""
    sizes, contents, too_far, pixels = set(), [], 0.0, 0
    if to_train_ids:
        contents.append([to_train_ids.keys.tolist(), to_train_ids.train_ids.tolist()])
    for stem, frame in frames.items():
        image, image_crc = image_of(frame.image, turn=frame.label is None)
        sizes.add((image.height, image.width))
        contents.append([stem, image_crc])
        if frame.label:
            label, far, label_crc = label_of(frame.label, domain, to_train_ids)
            if label.shape != (image.height, image.width):
                raise ValueError(
                    f"sizes differ (height x width): {frame.image} is {image.height}x{image.width}, "
                    f"{frame.label} is {label.shape[0]}x{label.shape[1]}"
                )
            contents.append(label_crc)
            too_far, pixels = too_far + far * label.size, pixels + label.size
    return Checked(sizes, files.digest(contents), too_far / max(pixels, 1))


def image_of(path: Path, *, turn: bool) -> tuple[Image.Image, int]:
    """Return an image in RGB, and the CRC-32 of its file."""
    content = pictures.read(path)
    return Image.fromarray(pictures.image(path, content, turn=turn)), zlib.crc32(content)


def label_of(path: Path, domain: Domain, to_train_ids: Mapping | None) -> tuple[np.ndarray, float, int]:
    """Return the train ids of a label file, the share of ignored colors, and the file's CRC-32."""
    content = pictures.read(path)
    made = mappings.decode(
        pictures.stored(path, content),
        to_train_ids,
        coding=domain.coding,
        max_color_distance=domain.max_color_distance,
        name=path,
    )
    return made.train_ids, made.ignored / made.train_ids.size, zlib.crc32(content)
