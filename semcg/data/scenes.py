"""One domain: which frames there are, and item k of them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from semcg import mappings, pictures
from semcg.labels import CLASSES, IGNORE

__all__ = ["Scenes", "generator", "recolored", "worn"]

GAIN, SHIFT = (0.8, 1.2), (-0.08, 0.08)
"""Range of the colour augmentation: a factor per channel and an offset per channel, for values in 0..1."""


def generator(*key: int) -> torch.Generator:
    """Return a generator of its own for a key of numbers from 0."""
    # torch's own generator keeps 32 bits of its seed; SeedSequence mixes the whole key into them.
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def recolored(x: Tensor, draw: torch.Generator) -> Tensor:
    """Change the colours of an image in [-1, 1] by a gain and a shift per channel."""
    gain = torch.empty(3, 1, 1).uniform_(*GAIN, generator=draw)
    shift = torch.empty(3, 1, 1).uniform_(*SHIFT, generator=draw)
    return (((x + 1) / 2 * gain + shift) * 2 - 1).clamp(-1, 1)


def worn(x: Tensor, draw: torch.Generator) -> Tensor:
    """Add the marks that networks leave in images; each of the three comes in half of the items.

    A transposed convolution leaves a faint checkerboard (Odena et al., "Deconvolution and checkerboard
    artifacts", 2016). A judge that never saw one reads it as texture: a clean sky becomes "building". So the
    judge learns that blur (sigma 0.3..1.2 px), noise (deviation up to 0.04 of [-1, 1]) and patterns that
    repeat every 2..8 px (deviation up to 0.06) mean nothing.
    """
    blurred, noisy, patterned, sigma, noise, strength = torch.rand(6, generator=draw).tolist()
    if blurred < 0.5:
        x = F.gaussian_blur(x, kernel_size=[7, 7], sigma=[0.3 + 0.9 * sigma] * 2)
    if noisy < 0.5:
        x = x + 0.04 * noise * torch.randn(x.shape, generator=draw)
    if patterned < 0.5:
        h, w = torch.randint(2, 9, (2,), generator=draw).tolist()
        tile = torch.randn(3, h, w, generator=draw)
        tile = (tile - tile.mean()) / tile.std()
        repeats = (1, -(-x.shape[1] // h), -(-x.shape[2] // w))
        x = x + 0.06 * strength * tile.repeat(repeats)[:, : x.shape[1], : x.shape[2]]
    return x.clamp(-1, 1)


class Scenes:
    """The frames of one split of one domain: `folder/images/` and, with the same stems, `folder/labels/`.

    Parameters
    ----------
    folder : path
        Images and labels as `semcg.pictures` takes them, labels with train ids; none that EXIF data turn.
    size : (H, W), optional
        Frames of another size are resized, images bilinear with antialiasing, labels nearest (by pixel
        centre).
    crop : int or (h, w), optional
        Size of the random crop of `item`.
    flip : float
        Probability that `item` mirrors a frame.
    color : bool
        Whether `item` changes colours: per channel a gain in 0.8..1.2 and a shift within 8 % of white.
    artefacts : bool
        Whether `item` adds blur, noise and small periodic patterns; see `augment.worn`. For the judge.
    labels : bool
        False: do not look at `labels/`, every label is 255.
    seed : int
        Governs `item`, and nothing else; the global generators are neither read nor seeded.

    Attributes
    ----------
    names : list of str
        Stems of the frames, sorted.
    labelled : bool
        Whether labels were found. Without a `labels` folder every label is 255.

    Raises
    ------
    FileNotFoundError
        If a folder is missing or holds no image.
    ValueError
        If images and labels do not pair in name or size, a file is not of the kind above, or a frame is
        smaller than the crop. Only headers are read for this.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        size: tuple[int, int] | None = None,
        crop: int | tuple[int, int] | None = None,
        flip: float = 0.0,
        color: bool = False,
        artefacts: bool = False,
        labels: bool = True,
        seed: int = 0,
    ):
        if not 0 <= flip <= 1:
            raise ValueError(f"flip is a probability, 0..1, not {flip}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, but is {seed}")
        self.folder, self.seed = Path(folder), seed
        for what, given in (("size", size), ("crop", crop)):
            if given is not None and np.min(given) < 1:
                raise ValueError(f"{what} is (height, width), at least 1 each, not {given}")
        self.size = None if size is None else tuple(size)
        self.crop = (crop, crop) if isinstance(crop, int) else None if crop is None else tuple(crop)
        self.flip, self.color, self.artefacts = flip, color, artefacts
        images = self.folder / "images"
        self.labelled = labels and (self.folder / "labels").is_dir()
        # Paired by stem: sorted file names may differ in order where suffixes do.
        found = pictures.pairs(images, self.folder / "labels") if self.labelled else pictures.by_stem(images)
        self.names = sorted(found)
        self._orders: dict[int, tuple[int, list[int]]] = {}
        self._images = [found[name][0] if self.labelled else found[name] for name in self.names]
        self._labels = [found[name][1] for name in self.names] if self.labelled else []
        self._sizes = [pictures.size(path) for path in self._images]
        for image, label, seen in zip(self._images, self._labels, self._sizes, strict=False):
            if (size := pictures.size(label, label=True)) != seen:
                raise ValueError(
                    f"sizes differ (height x width): {image} is {_x(seen)}, {label} is {_x(size)}"
                )
        if self.crop:
            for path, seen in zip(self._images, self._sizes, strict=True):
                h, w = self.size or seen
                if h < self.crop[0] or w < self.crop[1]:
                    raise ValueError(
                        f"{path} is {_x((h, w))}, smaller than the crop of {_x(self.crop)} (height x width)"
                    )

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._images)

    def check_one_size(self) -> None:
        """Raise ValueError unless every item has the same size, as a batch of several needs."""
        if self.size is None and self.crop is None:
            for path, size in zip(self._images, self._sizes, strict=True):
                if size != self._sizes[0]:
                    raise ValueError(
                        f"frames of different size cannot share a batch (height x width): {self._images[0]} "
                        f"is {_x(self._sizes[0])}, {path} is {_x(size)}; give a crop or size, or take batch 1"
                    )

    def frame(self, i: int) -> tuple[Tensor, Tensor]:
        """Return frame i whole and as it is, but for `size`.

        Returns
        -------
        x : (3, H, W) float32
            In [-1, 1].
        y : (H, W) int64
            0..18 or 255.

        Raises
        ------
        ValueError
            If a file does not decode or a label holds a value that is no train id; the message names the
            file.
        """
        x, y = self._pair(i)
        return _scaled(x), y.long()

    def item(self, k: int, stream: int = 0) -> tuple[Tensor, Tensor]:
        """Return augmented item k: a pure function of the files, this object's arguments, k and `stream`.

        Items e * N .. e * N + N - 1 are each of the N frames once, in an order of their own per epoch e.

        Parameters
        ----------
        k : int
            Any number from 0.
        stream : int
            Another value gives another, independent sequence of items; `Unpaired` uses it.

        Returns
        -------
        x : (3, h, w) float32
            In [-1, 1]; of the size of the crop.
        y : (h, w) int64
            0..18 or 255.

        Raises
        ------
        IndexError
            If `k` is negative.
        ValueError
            As in `frame`.
        """
        if k < 0:
            raise IndexError(f"items are numbered from 0, not {k}")
        epoch, place = divmod(k, len(self))
        x, y = self._pair(self._order(stream, epoch)[place])
        x, y = tv_tensors.Image(x), tv_tensors.Mask(y)
        draw = generator(self.seed, stream, 1, k)
        # Geometry is drawn first and always, so that switching colours on leaves crops and flips as they
        # were.
        down, right, mirrored = torch.rand(3, generator=draw).tolist()
        if self.crop:
            h, w = self.crop
            top, left = int(down * (x.shape[-2] - h + 1)), int(right * (x.shape[-1] - w + 1))
            x, y = F.crop(x, top, left, h, w), F.crop(y, top, left, h, w)
        if mirrored < self.flip:
            x, y = F.horizontal_flip(x), F.horizontal_flip(y)
        x, y = _scaled(x.as_subclass(Tensor)), y.as_subclass(Tensor).long()
        if self.color:
            x = recolored(x, draw)
        if self.artefacts:
            x = worn(x, draw)
        return x, y

    def frequencies(self) -> Tensor:
        """Return (19,) float64: the share of each class among the labelled pixels of all frames; sums to 1.

        Raises
        ------
        ValueError
            If there are no labels, or no labelled pixel in them.
        """
        counts = torch.zeros(256, dtype=torch.int64)
        for path in self._labels:
            counts += torch.bincount(_label(path).flatten(), minlength=256)
        counts = counts[: len(CLASSES)].double()
        if counts.sum() == 0:
            raise ValueError(f"no labelled pixel in {self.folder}: classes have no frequencies")
        return counts / counts.sum()

    def _pair(self, i: int) -> tuple[Tensor, Tensor]:
        """Return frame i as (3, H, W) and (H, W), both uint8."""
        x = torch.from_numpy(pictures.image(self._images[i], turn=False)).permute(2, 0, 1)
        unlabeled = torch.full(x.shape[-2:], IGNORE, dtype=torch.uint8)
        y = _label(self._labels[i]) if self.labelled else unlabeled
        if self.size and x.shape[-2:] != self.size:
            x = F.resize(x, list(self.size), InterpolationMode.BILINEAR, antialias=True)
            # NEAREST would take the upper left pixel of a cell and shift labels against images; this takes
            # the centre.
            y = F.resize(y[None], list(self.size), InterpolationMode.NEAREST_EXACT)[0]
        return x, y

    def _order(self, stream: int, epoch: int) -> list[int]:
        """Return the order of the frames in an epoch; the last one of each stream is remembered."""
        if self._orders.get(stream, (-1,))[0] != epoch:
            order = torch.randperm(len(self), generator=generator(self.seed, stream, 0, epoch))
            self._orders[stream] = (epoch, order.tolist())
        return self._orders[stream][1]


def _label(path: Path) -> Tensor:
    """Return the train ids of a label file, (H, W) uint8."""
    kept = pictures.stored(path)
    try:
        return torch.from_numpy(mappings.decode(kept, name=path).train_ids)
    except ValueError as error:
        raise ValueError(f"{error}; `semcg prepare folder` converts labels") from error


def _scaled(x: Tensor) -> Tensor:
    """Turn 0..255 into float32 in [-1, 1]: mean and deviation 0.5, as in section 2.1."""
    return x.to(torch.float32).div_(127.5).sub_(1)


def _x(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
