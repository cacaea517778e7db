"""From folders to tensors: datasets, joint augmentation, batch n as a function of (seed, n).

Nothing here has a state that a resumed run would have to restore. Item k of a dataset, for any k >= 0, is a
pure function of the files, the seed and k: which frame, which crop, whether flipped, which colors. Batch n
of rank r is a fixed range of items. So a run that resumes at step n sees what it would have seen, with any
number of loader processes, and several ranks see together what one would have seen alone.
"""

import copy
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from semcg import mappings, pictures
from semcg.labels import CLASSES, IGNORE

# Range of the color augmentation: a factor per channel and an offset per channel, for values in 0..1.
GAIN, SHIFT = (0.8, 1.2), (-0.08, 0.08)


def to_values(pixels: Tensor) -> Tensor:
    """Turn 0..255 into float32 in [-1, 1]: mean and deviation 0.5, as in section 2.1."""
    return pixels.float().div_(127.5).sub_(1)


def to_bytes(x: Tensor) -> Tensor:
    """Turn values in [-1, 1] into uint8, to the nearest level."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


class Scenes:
    """The frames of one split of one domain: `folder/images/` and, with the same stems, `folder/labels/`.

    Parameters
    ----------
    folder : path
        Images and labels as `semcg.pictures` takes them, labels with train ids; none that EXIF data turn.
    size : (H, W), optional
        Frames of another size are resized, images bilinear with antialiasing, labels nearest (by pixel
        center).
    crop : int or (h, w), optional
        Size of the random crop of `item`.
    flip : float
        Probability that `item` mirrors a frame.
    color : bool
        Whether `item` changes colors: per channel a gain in 0.8..1.2 and a shift within 8 % of white.
    artifacts : bool
        Whether `item` adds blur, noise and small periodic patterns; for the judge.
    labels : bool
        False: do not look at `labels/`, every label is 255.
    seed : int
        Governs `item`, and nothing else; the global generators are neither read nor seeded.

    Attributes
    ----------
    names : list of str
        Stems of the frames, sorted.
    labeled : bool
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
        artifacts: bool = False,
        labels: bool = True,
        seed: int = 0,
    ):
        if not 0 <= flip <= 1 or seed < 0:
            raise ValueError(f"flip is a probability and seed 0 or more, not {flip} and {seed}")
        for what, given in (("size", size), ("crop", crop)):
            if given is not None and np.min(given) < 1:
                raise ValueError(f"{what} is (height, width), at least 1 each, not {given}")
        self.folder, self.seed = Path(folder), seed
        self.size = tuple(size) if size else None
        self.crop = (crop, crop) if isinstance(crop, int) else crop
        self.flip, self.color, self.artifacts = flip, color, artifacts
        images = self.folder / "images"
        self.labeled = labels and (self.folder / "labels").is_dir()
        # Paired by stem: sorted file names may differ in order where suffixes do.
        frames = pictures.pairs(images, self.folder / "labels" if self.labeled else None)
        self.names = sorted(frames)
        self._files = [frames[name] for name in self.names]
        self._sizes = [pictures.size(image) for image, _ in self._files]
        for (image, label), own in zip(self._files, self._sizes, strict=True):
            if label and (size := pictures.size(label, label=True)) != own:
                raise ValueError(f"sizes differ (h x w): {image} is {_x(own)}, {label} is {_x(size)}")
            h, w = self.size or own
            if self.crop and (h < self.crop[0] or w < self.crop[1]):
                raise ValueError(f"{image} is {_x((h, w))}, smaller than the crop of {_x(self.crop)} (h x w)")

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._files)

    def only(self, chosen: list[int]) -> Self:
        """Return these scenes with the frames of some numbers alone."""
        fewer = copy.copy(self)
        for parts in ("names", "_files", "_sizes"):
            setattr(fewer, parts, [getattr(self, parts)[i] for i in chosen])
        return fewer

    def check_one_size(self) -> None:
        """Raise ValueError unless every item has the same size, as a batch of several needs."""
        if self.size or self.crop:
            return
        for (path, _), size in zip(self._files, self._sizes, strict=True):
            if size != self._sizes[0]:
                what = "frames of different size cannot share a batch (height x width)"
                sizes = f"{self._files[0][0]} is {_x(self._sizes[0])}, {path} is {_x(size)}"
                raise ValueError(f"{what}: {sizes}; give a crop or size, or take batch 1")

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
        return to_values(x), y.long()

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
        order = torch.randperm(len(self), generator=_generator(self.seed, stream, 0, epoch))
        x, y = self._pair(int(order[place]))
        x, y = tv_tensors.Image(x), tv_tensors.Mask(y)
        rng = _generator(self.seed, stream, 1, k)
        # Geometry is drawn first and always, so that switching colors on changes neither crops nor flips.
        down, right, mirrored = torch.rand(3, generator=rng).tolist()
        if self.crop:
            h, w = self.crop
            top, left = int(down * (x.shape[-2] - h + 1)), int(right * (x.shape[-1] - w + 1))
            x, y = F.crop(x, top, left, h, w), F.crop(y, top, left, h, w)
        if mirrored < self.flip:
            x, y = F.horizontal_flip(x), F.horizontal_flip(y)
        x, y = to_values(x.as_subclass(Tensor)), y.as_subclass(Tensor).long()
        if self.color:
            x = _recolored(x, rng)
        if self.artifacts:
            x = _worn(x, rng)
        return x, y

    def frequencies(self) -> Tensor:
        """Return (19,) float64: the share of each class among the labeled pixels of all frames; sums to 1.

        Raises
        ------
        ValueError
            If there are no labels, or no labeled pixel in them.
        """
        counts = torch.zeros(256, dtype=torch.int64)
        for _, label in self._files if self.labeled else ():
            counts += torch.bincount(_label(label).flatten(), minlength=256)
        counts = counts[: len(CLASSES)].double()
        if counts.sum() == 0:
            raise ValueError(f"no labeled pixel in {self.folder}: classes have no frequencies")
        return counts / counts.sum()

    def _pair(self, i: int) -> tuple[Tensor, Tensor]:
        """Return frame i as (3, H, W) and (H, W), both uint8."""
        image, label = self._files[i]
        x = torch.from_numpy(pictures.image(image, turn=False)).permute(2, 0, 1)
        y = _label(label) if label else torch.full(x.shape[-2:], IGNORE, dtype=torch.uint8)
        if self.size and x.shape[-2:] != self.size:
            x = F.resize(x, list(self.size), InterpolationMode.BILINEAR, antialias=True)
            # NEAREST would take the upper left pixel of a cell and shift labels against images; this takes the center.
            y = F.resize(y[None], list(self.size), InterpolationMode.NEAREST_EXACT)[0]
        return x, y


@dataclass(frozen=True)
class Unpaired:
    """Two domains side by side, each in its own order and with its own crops.

    Parameters
    ----------
    source, target : Scenes
        Their lengths may differ.

    Attributes
    ----------
    epoch : int
        The longer of both lengths: that many items show every frame at least once.
    """

    source: Scenes
    target: Scenes

    @property
    def epoch(self) -> int:
        return max(len(self.source), len(self.target))

    def check_one_size(self) -> None:
        """Raise ValueError unless the items of either domain have one size."""
        self.source.check_one_size()
        self.target.check_one_size()

    def item(self, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return x_s, y_s, x_t, y_t of item k, as `Scenes.item` gives them."""
        # Streams keep the domains apart also when both have one seed and one length.
        return *self.source.item(k, stream=1), *self.target.item(k, stream=2)


class Batches:
    """Batch n as a function of n: `batches(n)` stacks the share of one rank.

    The items n * B * R .. n * B * R + B * R - 1 make batch n on R ranks of B items each; rank r gets the r-th
    B of them, in this order. With `workers`, that many processes load the following batches ahead. They are
    spawned, not forked: a fork of a process that holds threads or a GPU may hang. A script that uses them
    therefore needs `if __name__ == "__main__":`. Asking for another batch than the next one starts them
    again, there.

    Parameters
    ----------
    items : Scenes or Unpaired
        Or anything that has `item(k)` and `check_one_size()`, and can be pickled if there are workers.
    batch : int
        Items per rank, B.
    rank, ranks : int
        r and R.
    workers : int
        Loader processes; 0 loads in this one. The tensors are the same.

    Raises
    ------
    ValueError
        If a number is out of range, or items of different size cannot be stacked.
    """

    def __init__(
        self, items: Scenes | Unpaired, *, batch: int, rank: int = 0, ranks: int = 1, workers: int = 0
    ):
        if batch < 1 or workers < 0 or not 0 <= rank < ranks:
            bounds = "batch > 0, workers >= 0, rank < ranks"
            raise ValueError(f"{batch=}, {workers=}, {rank=}, {ranks=}: {bounds}")
        if batch > 1:
            items.check_one_size()
        self.items, self.batch, self.rank, self.ranks, self.workers = items, batch, rank, ranks, workers
        self._stream: Iterator | None = None
        self._next = 0

    def __call__(self, n: int) -> tuple[Tensor, ...]:
        """Return the stacked parts of batch n: (x, y) of `Scenes`, (x_s, y_s, x_t, y_t) of `Unpaired`."""
        if n < 0:
            raise IndexError(f"batches are numbered from 0, not {n}")
        if self.workers == 0:
            return self[n]
        if self._stream is None or n != self._next:
            self.close()
            # With a generator of its own, else the loader takes a number from the global one.
            options = {"generator": torch.Generator(), "multiprocessing_context": "spawn"}
            options |= {"sampler": range(n, 2**62), "batch_size": None, "num_workers": self.workers}
            self._stream = iter(DataLoader(self, **options))
        self._next = n + 1
        return tuple(next(self._stream))

    def __getitem__(self, n: int) -> tuple[Tensor, ...]:
        """Return what this rank sees of batch n, loaded in this process."""
        first = (n * self.ranks + self.rank) * self.batch
        parts = zip(*(self.items.item(k) for k in range(first, first + self.batch)), strict=True)
        return tuple(torch.stack(part) for part in parts)

    def close(self) -> None:
        """End the loader processes, if any run."""
        if self._stream is None:
            return
        # A process that is ended in the middle of sending a batch is aborted by torch: take what is on its way first.
        for _ in range(self.workers * 2):
            with suppress(Exception):
                self._stream._try_get_data(timeout=0.1)
        # Dropping the stream would do, but not while the traceback of an error still refers to it.
        self._stream._shutdown_workers()
        self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _label(path: Path) -> Tensor:
    """Return the train ids of a label file, (H, W) uint8."""
    stored = pictures.stored(path)
    try:
        return torch.from_numpy(mappings.decode(stored, name=path).train_ids)
    except ValueError as error:
        raise ValueError(f"{error}; `semcg prepare folder` converts labels") from error


def _generator(*key: int) -> torch.Generator:
    """Return a generator of its own for a key of numbers from 0."""
    # torch's own generator keeps 32 bits of its seed; SeedSequence mixes the whole key into them.
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def _recolored(x: Tensor, rng: torch.Generator) -> Tensor:
    """Change the colors of an image in [-1, 1] by a gain and a shift per channel."""
    gain = torch.empty(3, 1, 1).uniform_(*GAIN, generator=rng)
    shift = torch.empty(3, 1, 1).uniform_(*SHIFT, generator=rng)
    return (((x + 1) / 2 * gain + shift) * 2 - 1).clamp(-1, 1)


def _worn(x: Tensor, rng: torch.Generator) -> Tensor:
    """Add the marks that networks leave in images; each of the three comes in half of the items.

    A transposed convolution leaves a faint checkerboard (Odena et al., "Deconvolution and checkerboard
    artifacts", 2016). A judge that never saw one reads it as texture: a clean sky becomes "building". So the
    judge learns that blur (sigma 0.3..1.2 px), noise (deviation up to 0.04 of [-1, 1]) and patterns that
    repeat every 2..8 px (deviation up to 0.06) mean nothing.
    """
    blurred, noisy, patterned, sigma, noise, strength = torch.rand(6, generator=rng).tolist()
    if blurred < 0.5:
        x = F.gaussian_blur(x, kernel_size=[7, 7], sigma=[0.3 + 0.9 * sigma] * 2)
    if noisy < 0.5:
        x = x + 0.04 * noise * torch.randn(x.shape, generator=rng)
    if patterned < 0.5:
        h, w = torch.randint(2, 9, (2,), generator=rng).tolist()
        tile = torch.randn(3, h, w, generator=rng)
        tile = (tile - tile.mean()) / tile.std()
        repeats = (1, -(-x.shape[1] // h), -(-x.shape[2] // w))
        x = x + 0.06 * strength * tile.repeat(repeats)[:, : x.shape[1], : x.shape[2]]
    return x.clamp(-1, 1)


def _x(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
