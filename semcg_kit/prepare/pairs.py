"""One domain of your own as it lies on disk: its images and labels, paired by stem, and what identifies them."""

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from semcg import files
from semcg.codings import Mapping, decode_labels, opaque, readable

__all__ = ["Checked", "Domain", "Frame", "check", "image_of", "label_of", "paired"]

FORMATS = ("PNG", "JPEG")


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
    images = _by_stem(domain.images)
    if domain.labels is None:
        return {stem: Frame(path, None) for stem, path in images.items()}
    labels = _by_stem(domain.labels)
    for lacking, missing in (
        (domain.labels, images.keys() - labels),
        (domain.images, labels.keys() - images),
    ):
        if missing:
            shown = ", ".join(sorted(missing)[:5]) + (", ..." if len(missing) > 5 else "")
            raise ValueError(
                f"{name}: {lacking} has nothing for {len(missing)} file(s) of the other folder: {shown}"
            )
    return {stem: Frame(path, labels[stem]) for stem, path in images.items()}


def _by_stem(folder: Path | str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files.images_in(Path(folder)):
        if path.stem in found:
            raise ValueError(f"{found[path.stem]} and {path} have the same stem; rename or remove one")
        found[path.stem] = path
    return dict(sorted(found.items()))


def check(domain: Domain, frames: dict[str, Frame], to_train_ids: Mapping | None) -> Checked:
    """Decode every file of a domain once, and keep what identifies its contents."""
    sizes, contents, too_far, pixels = set(), [], 0.0, 0
    if to_train_ids:
        contents.append([to_train_ids.keys.tolist(), to_train_ids.train_ids.tolist()])
    for stem, frame in frames.items():
        image, image_crc = image_of(frame.image)
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


def image_of(path: Path) -> tuple[Image.Image, int]:
    """Return an image upright, in RGB, and the CRC-32 of its file."""
    image, crc = _opened(path)
    if image.mode not in ("RGB", "RGBA", "L"):
        raise ValueError(
            f"{path} is a picture of mode {image.mode}; images are 8-bit RGB, grey, or opaque RGBA"
        )
    return ImageOps.exif_transpose(opaque(image, path)), crc


def label_of(path: Path, domain: Domain, to_train_ids: Mapping | None) -> tuple[np.ndarray, float, int]:
    """Return the train ids of a label file, the share of colours too far from all, and the file's CRC-32."""
    image, crc = _opened(path)
    train_ids, too_far = decode_labels(
        image,
        to_train_ids,
        coding=domain.coding,
        max_color_distance=domain.max_color_distance,
        name=str(path),
    )
    # Only now: asking for EXIF decodes a PNG, after which Pillow no longer tells how many bits it had.
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        raise ValueError(f"{path} is a label picture that EXIF would rotate; store it upright")
    return train_ids, too_far, crc


def _opened(path: Path) -> tuple[Image.Image, int]:
    content = path.read_bytes()
    with readable(path):
        return Image.open(io.BytesIO(content), formats=FORMATS), zlib.crc32(content)
