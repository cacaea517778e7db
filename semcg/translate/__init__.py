"""Translations of whole frames and of folders, by a generator or by what one would try before training one.

A translation is anything that takes images (B, 3, H, W) in [-1, 1] and returns images of the same shape: `identity`,
a `HistogramMatching`, a `ColorTable`, a generator, or a generator in `Padded` or `Tiled`, which take frames of any size, in `Guided`,
which keeps strokes, or in `Compiled`, which is faster and less exact. `folder` and `split` apply one to files: they
read ahead, translate in batches and write behind.

Instance normalization takes its mean and variance from what it is given: a tile that is all sky is normalized as if
the world were sky, so that tiles differ from the whole frame in color and contrast, and from each other. Blending
hides the seams and not the difference. `difference` measures it, and `Tiled(..., norm_from_whole=True)` makes it
smaller: the statistics of every normalization are taken once, from the whole frame at reduced size, and apply to all
tiles. A U-Net differs even then, since its innermost levels see the whole of what they are given.
"""

import copy
import hashlib
import itertools
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn
from torch.nn import functional as F

from semcg import files, pictures
from semcg.data import to_bytes, to_values
from semcg.system import cores
from semcg.translate.colors import ColorTable, Guided, HistogramMatching, color_map, pixels_of

# Images (B, 3, H, W) in [-1, 1] to images of the same shape and range.
Translation = Callable[[Tensor], Tensor]
# Pixels a side that every generator and segmenter takes, if the side is a multiple of its `multiple`.
SMALLEST = 8


def identity(x: Tensor) -> Tensor:
    """Return the images as they are: the floor that a translation has to rise above."""
    return x


class Padded(nn.Module):
    """A generator for frames of any size: they are padded to sizes that it takes, and cropped back afterwards.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`.

    Attributes
    ----------
    differs : dict
        What tells the result from that of the generator alone, as in all translations that contain one; part of
        `fingerprint`.
    """

    differs: ClassVar[dict[str, object]] = {}

    def __init__(self, G: nn.Module) -> None:
        super().__init__()
        self.G, self.multiple = G, G.multiple

    def forward(self, x: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) of images (B, 3, H, W), both in [-1, 1]."""
        around, top, left = pad(x, self.multiple)
        return self.G(around)[..., top : top + x.shape[-2], left : left + x.shape[-1]]


def pad(x: Tensor, multiple: int) -> tuple[Tensor, int, int]:
    """Pad images on all sides to the next multiple, and to 8 pixels at least.

    The frame is mirrored at its edge, so that a network sees a street go on instead of a black rim; a side too short
    to be mirrored that far repeats its outermost pixels.

    Parameters
    ----------
    x : (B, C, H, W) float
    multiple : int

    Returns
    -------
    (B, C, H', W') float
        `x` itself where nothing is missing.
    top, left : int
        Where the frame begins in it.
    """
    height, width = x.shape[-2:]
    rows, columns = (padded(side, multiple) - side for side in (height, width))
    top, left = rows // 2, columns // 2  # after the frame is never less
    if rows:
        x = F.pad(x, (0, 0, top, rows - top), mode="reflect" if rows - top < height else "replicate")
    if columns:
        x = F.pad(x, (left, columns - left, 0, 0), mode="reflect" if columns - left < width else "replicate")
    return x, top, left


def padded(side: int, multiple: int) -> int:
    """Return the length of a side after `pad`."""
    return -(-max(side, SMALLEST) // multiple) * multiple


def any_size(translate: Translation) -> Translation:
    """Return a translation for frames of any size: a network that has a `multiple` in `Padded`, others unchanged."""
    fits = isinstance(translate, Padded) or not hasattr(translate, "multiple")
    return translate if fits else Padded(translate)


class Compiled(nn.Module):
    """A generator whose copy in bfloat16 is compiled by torch.compile, with its weights frozen into the code.

    A bfloat16 has 8 bits of precision: values differ from the generator's by about 0.0015 of the range -1..1, and by
    0.01 at most where this was measured, that is by up to one and a half gray levels. Compiling takes a minute or more
    on a quiet core, once per size of the frames and per batch, and needs a C++ compiler; it pays for folders of some
    hundred frames. Without bfloat16 instructions (AMX or AVX-512 on a CPU) it is slower than the generator itself.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`; it is left as it is.
    """

    differs: ClassVar[dict[str, object]] = {"precision": "bf16"}

    def __init__(self, G: nn.Module) -> None:
        super().__init__()
        self.G, self.multiple = G, G.multiple
        low = copy.deepcopy(G).eval().requires_grad_(False)
        low = low.to(dtype=torch.bfloat16, memory_format=torch.channels_last)
        frozen = None if next(G.parameters()).is_cuda else {"freezing": True}
        # In a tuple, since a module would enter the state dict and so the fingerprint.
        self._compiled = (torch.compile(low, dynamic=False, options=frozen),)

    def forward(self, x: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) float32 of images (B, 3, H, W), both in [-1, 1]."""
        with torch.inference_mode():  # freezing is for passes without gradients
            return self._compiled[0](x.bfloat16()).float()


class Tiled(nn.Module):
    """A generator for frames of any size, applied to overlapping tiles that are blended.

    The frame is padded as in `Padded`. Neighboring tiles are mixed with weights that rise as sin^2 over the overlap. A
    frame no larger than a tile is translated whole.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`.
    tile : int
        Height and width of a tile, a multiple of `G.multiple`.
    overlap : int
        Pixels that neighbors share at least, 0..tile / 2. Where it leaves room, tiles begin at multiples of
        `G.multiple`, which makes it larger; the last tile of a row or column ends with the frame.
    norm_from_whole : bool
        Take the statistics of all `InstanceNorm2d` from the whole frame, reduced to the area of a tile. Reducing blurs,
        so they are close to those of the frame at full size and not the same.

    Raises
    ------
    ValueError
        For a tile or an overlap that does not fit.
    """

    def __init__(self, G: nn.Module, *, tile: int, overlap: int = 0, norm_from_whole: bool = False) -> None:
        super().__init__()
        self.G, self.multiple = G, G.multiple
        self.tile, self.overlap, self.norm_from_whole = tile, overlap, norm_from_whole
        self.differs = {"tile": tile, "overlap": overlap, "norm_from_whole": norm_from_whole}
        if tile < 1 or tile % self.multiple:
            fits = max(1, round(tile / self.multiple)) * self.multiple
            raise ValueError(f"tile = {tile}: {type(G).__name__} takes multiples of {G.multiple}, as {fits}")
        if not 0 <= overlap <= tile // 2:
            raise ValueError(f"overlap = {overlap}: tiles of {tile} overlap by 0..{tile // 2} pixels")
        compiled = any(isinstance(part, Compiled) for part in G.modules())
        if norm_from_whole and (compiled or not _norms(G)):
            what = "compiled code" if compiled else type(G).__name__
            raise ValueError(f"{what} has no InstanceNorm2d whose statistics could be set")

    def forward(self, x: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) of images (B, 3, H, W), both in [-1, 1]."""
        around, top, left = pad(x, self.multiple)
        inside = (..., slice(top, top + x.shape[-2]), slice(left, left + x.shape[-1]))
        height, width = around.shape[-2:]
        if max(height, width) <= self.tile:
            return self.G(around)[inside]
        rows, columns = (starts(side, self.tile, self.overlap, self.multiple) for side in (height, width))
        total, weight = torch.zeros_like(around), around.new_zeros(height, width)
        with norms_of(self.G, self._reduced(x)) if self.norm_from_whole else nullcontext():
            for r, c in itertools.product(rows, columns):
                here = (..., slice(r, r + self.tile), slice(c, c + self.tile))
                piece = around[here]
                h, w = piece.shape[-2:]
                down = _ramp(x, h, self.overlap, first=r == 0, last=r == rows[-1])
                right = _ramp(x, w, self.overlap, first=c == 0, last=c == columns[-1])
                share = down[:, None] * right  # (h, w)
                total[here] += share * self.G(piece)
                weight[here] += share
        return (total / weight)[inside]

    def _reduced(self, x: Tensor) -> Tensor:
        """Return the frame at about the area of a tile, padded: what it costs in memory is what a tile costs."""
        height, width = x.shape[-2:]
        shrink = min(1.0, self.tile / (height * width) ** 0.5)
        size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        small = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        return pad(small, self.multiple)[0]


def starts(side: int, tile: int, overlap: int, multiple: int = 1) -> list[int]:
    """Return where tiles begin along a side: neighbors share `overlap` pixels at least, the last ends with the side."""
    if side <= tile:
        return [0]
    step = max(1, tile - overlap)
    if step >= multiple:
        step -= step % multiple  # on the generator's own grid, as the whole frame
    return [*range(0, side - tile, step), side - tile]


@contextmanager
def norms_of(G: nn.Module, x: Tensor) -> Iterator[None]:
    """Give every instance normalization of `G` the statistics that it meets on `x`, whatever it is given in the block."""
    statistics: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keep(norm: nn.InstanceNorm2d, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(2, 3), correction=0, keepdim=True)
        statistics[norm] = mean, (variance + norm.eps).rsqrt()  # (B, C, 1, 1)

    def normalize(norm: nn.InstanceNorm2d, inputs: tuple[Tensor], _: Tensor) -> Tensor:
        mean, scale = statistics[norm]
        y = (inputs[0] - mean) * scale
        return y * norm.weight[:, None, None] + norm.bias[:, None, None] if norm.affine else y

    with ExitStack() as hooks:
        for norm in _norms(G):
            hooks.enter_context(norm.register_forward_pre_hook(keep))
        G(x)
    with ExitStack() as hooks:
        for norm in statistics:
            hooks.enter_context(norm.register_forward_hook(normalize))
        yield


def difference(one: Tensor, other: Tensor) -> dict[str, float]:
    """Return by how many gray levels of 255 two translations of a frame differ.

    Parameters
    ----------
    one, other : (B, 3, H, W) float
        In [-1, 1].

    Returns
    -------
    dict
        "mean", "p99" (99 of 100 values differ by less) and "largest", over all values.
    """
    off = ((one - other).float().abs() * 127.5).cpu().numpy()
    return {"mean": float(off.mean()), "p99": float(np.quantile(off, 0.99)), "largest": float(off.max())}


def _ramp(like: Tensor, length: int, overlap: int, *, first: bool, last: bool) -> Tensor:
    """Return the weights (length,) of a tile's rows or columns: 1 inside, less where a neighbor takes over."""
    weights = like.new_ones(length)
    part = (torch.arange(overlap, device=like.device) + 0.5) / max(1, overlap)
    rise = torch.sin(part * (torch.pi / 2)) ** 2
    if not first:
        weights[:overlap] = rise
    if not last:
        weights[length - overlap :] *= rise.flip(0)
    return weights


def _norms(G: nn.Module) -> list[nn.InstanceNorm2d]:
    return [module for module in G.modules() if isinstance(module, nn.InstanceNorm2d)]


# Threads that read and write beside the one that computes; decoding and packing leave the interpreter's lock.
THREADS = min(4, cores())
WHAT = "translate folder"


def image(path: Path, *, turn: bool = True) -> Tensor:
    """Return an image file as (3, H, W) float32 in [-1, 1]; what is taken and refused is said in `semcg.pictures`."""
    return to_values(torch.from_numpy(pictures.image(path, turn=turn)).permute(2, 0, 1))


def stems(in_folder: Path | str, *, frames: int = 0) -> dict[str, Path]:
    """Return the images of a folder by stem, sorted: all, or the first `frames`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no image in it.
    ValueError
        If two images have the same stem.
    """
    return dict(sorted(pictures.by_stem(in_folder).items())[: frames or None])


def sizes(in_folder: Path | str) -> list[tuple[int, int]]:
    """Return the heights and widths that occur in a folder, from the files' heads, by number of pixels.

    A file that tells none is left out: it is named when its turn comes. Raises as `stems`.
    """
    told = set()
    for path in stems(in_folder).values():
        with suppress(OSError, ValueError):
            told.add(pictures.size(path, turn=True))
    return sorted(told, key=lambda size: (size[0] * size[1], size))


def fingerprint(translate: Translation) -> dict[str, object]:
    """Return what tells one translation from another: its name and, of a network, a digest of its weights.

    Of a generator in tiles or in another precision also what makes the difference, its `differs`.
    """
    if hasattr(translate, "differs"):
        return fingerprint(translate.G) | translate.differs
    if not isinstance(translate, nn.Module):
        return {"name": getattr(translate, "__qualname__", type(translate).__name__)}
    weights = hashlib.sha256()
    for name, value in sorted(translate.state_dict().items()):
        weights.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        weights.update(value.cpu().contiguous().numpy().tobytes())
    return {"name": type(translate).__name__, "weights": weights.hexdigest()[:16]}


def folder(
    translate: Translation,
    in_folder: Path | str,
    out_folder: Path | str,
    *,
    frames: int = 0,
    replace: bool = False,
    batch: int = 1,
) -> Iterator[tuple[int, int, str]]:
    """Translate the images of a folder to PNG files of the same stems, in their order.

    Killed, it goes on where it stopped: a file appears only when it is whole, and one that was made of the
    same image by the same translation is kept. `about.json` in `out_folder` says which translation that is.

    While a batch is computed, the next frames are read and the last are written. An error comes in its frame's turn:
    the frames before it are written.

    Parameters
    ----------
    translate : callable
        A translation. A network runs on the device that it lies on; one that has a `multiple` is padded.
    in_folder : path
        PNG or JPEG files of any sizes, as `semcg.pictures` takes them. Those that EXIF data turn are written upright.
    out_folder : path
        Made if need be.
    frames : int
        Only the first so many by name; 0 means all.
    replace : bool
        True: what another translation left in `out_folder` gives way. False: that is an error.
    batch : int
        Neighbors of equal size that are translated at once. With 1 the files are the same bytes each time. With more,
        convolutions may add up in another order: values differ by about 1e-6, so that one rare value in a file lies one
        gray level off.

    Yields
    ------
    done, of : int
        Images translated or kept, and images in all; each is written when it is yielded.
    name : str
        Stem of the latest.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no image in it.
    FileExistsError
        If `out_folder` holds images that another translation made, or that are not from here.
    ValueError
        If both folders are the same, two images have the same stem, an image does not decode, which is named, or
        `batch` is below 1.
    """
    if batch < 1:
        raise ValueError(f"batch = {batch}: 1 frame or more are translated at once")
    in_folder, out_folder = Path(in_folder), Path(out_folder)
    chosen = stems(in_folder, frames=frames)
    if in_folder.resolve() == out_folder.resolve():
        raise ValueError(f"{in_folder} would be translated into itself; name another folder for the results")
    about = {"made_by": WHAT, "translation": fingerprint(translate)}
    _claim(out_folder, about, replace, passed_over=files.images_in(in_folder).passed_over())
    for torn in out_folder.glob(".*.partial.png"):
        torn.unlink()  # of a killed run
    run, device, number = any_size(translate), _device(translate), itertools.count(1)

    def read(stem: str, path: Path) -> _Frame:
        content, out = pictures.read(path), out_folder / f"{stem}.png"
        source = f"{zlib.crc32(content):08x}"
        kept = _made_of(out, source)
        return _Frame(path, out, source, None if kept else torch.from_numpy(pictures.image(path, content)))

    def written(saves: list[tuple[str, Future]]) -> Iterator[tuple[int, int, str]]:
        for stem, save in saves:
            save.result()
            yield next(number), len(chosen), stem

    with ThreadPoolExecutor(THREADS) as pool:
        writing = deque()
        for group in _groups(pool, read, chosen.items(), batch):
            translated = zip(group, _translated(run, group, device), strict=True)
            writing.append([(frame.out.stem, pool.submit(_save, y, frame)) for frame, y in translated])
            if len(writing) > 1:
                yield from written(writing.popleft())
        for saves in writing:
            yield from written(saves)


def split(
    translate: Translation, in_folder: Path | str, out_folder: Path | str, *, frames: int = 0
) -> Iterator[tuple[int, int, str]]:
    """Translate one split of a domain, `in_folder/images`, and copy its labels: `Scenes` reads the result.

    Training frames in the target's style with the labels of the source, for the downstream test. What another
    translation left in `out_folder` gives way. Parameters, yields and errors as in `folder`; a frame without a label is
    a FileNotFoundError.
    """
    in_folder, out_folder = Path(in_folder), Path(out_folder)
    chosen = stems(in_folder / "images", frames=frames)
    labels = {stem: in_folder / "labels" / f"{stem}.png" for stem in chosen}
    if missing := [path for path in labels.values() if not path.is_file()]:
        raise FileNotFoundError(f"no label {missing[0]}: translations without labels train no segmenter")
    results = folder(translate, in_folder / "images", out_folder / "images", frames=frames, replace=True)
    for done, of, stem in results:
        with files.atomic(out_folder / "labels" / f"{stem}.png") as partial:
            shutil.copyfile(labels[stem], partial)
        if done == of:
            for path in list(out_folder.glob("*/*.png")):
                if path.stem not in labels:  # of a call with more frames
                    path.unlink()
        yield done, of, stem


class _Frame(NamedTuple):
    path: Path
    out: Path
    source: str  # CRC-32 of the file, by which its translation is recognized
    pixels: Tensor | None  # (H, W, 3) uint8; None where its translation is there already

    @property
    def shape(self) -> torch.Size | None:
        return None if self.pixels is None else self.pixels.shape


def _groups(pool: ThreadPoolExecutor, read: Callable, items: Iterable, batch: int) -> Iterator[list[_Frame]]:
    """Yield up to `batch` neighbors of one shape, read ahead by `pool`; an error comes after the frames before it."""

    def ahead() -> Iterator[Future]:
        coming = deque(pool.submit(read, *item) for item in itertools.islice(rest, 2 * batch))
        while coming:
            coming.extend(pool.submit(read, *item) for item in itertools.islice(rest, 1))
            yield coming.popleft()

    rest = iter(items)
    for _, alike in itertools.groupby(ahead(), lambda future: future.exception() or future.result().shape):
        while group := list(itertools.islice(alike, batch)):
            yield [future.result() for future in group]


def _translated(run: Translation, group: list[_Frame], device: torch.device) -> Iterable[Tensor | None]:
    """Return the translations (H, W, 3) uint8 of frames, on the CPU; None for those that are there already."""
    if group[0].pixels is None:
        return [None] * len(group)
    x = torch.stack([frame.pixels for frame in group]).to(device).permute(0, 3, 1, 2)
    try:
        with torch.inference_mode():
            return to_bytes(run(to_values(x))).permute(0, 2, 3, 1).cpu()
    except Exception as error:
        error.add_note("while translating " + ", ".join(str(frame.path) for frame in group))
        raise


def _made_of(path: Path, source: str) -> bool:
    """Whether `path` is a whole PNG file that was made of the file with this CRC-32."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            of = picture.text.get("source")
            picture.load()
            return of == source
    except (OSError, SyntaxError, ValueError):
        return False


def _save(pixels: Tensor | None, frame: _Frame) -> None:
    """Write the translation (H, W, 3) uint8 of a frame, if there is a new one, with the CRC-32 of the frame's file."""
    if pixels is None:
        return
    note = PngInfo()
    note.add_text("source", frame.source)
    with files.atomic(frame.out) as partial:
        Image.fromarray(pixels.contiguous().numpy()).save(partial, compress_level=1, pnginfo=note)


def _device(translate: Translation) -> torch.device:
    """Return where a network lies; any other translation takes images on the CPU."""
    tensors = [*translate.parameters(), *translate.buffers()] if isinstance(translate, nn.Module) else []
    return tensors[0].device if tensors else torch.device("cpu")


def _claim(out_folder: Path, about: dict, replace: bool, *, passed_over: str) -> None:
    """Write `about.json`, unless the folder belongs to something else; with `replace` clear what we made."""
    path = out_folder / "about.json"
    earlier = files.read_json(path) if path.is_file() else None
    ours = isinstance(earlier, dict) and earlier.get("made_by") == WHAT
    if not (ours and about.items() <= earlier.items()):
        endings = (".png", ".jpg", ".jpeg")
        old = [p for p in out_folder.glob("[!.]*") if p.suffix.lower() in endings]
        if old and not (ours and replace):
            whose = f"{earlier['translation']}, not by {about['translation']}" if ours else "something else"
            advice = "remove that folder or name another one"
            raise FileExistsError(f"{out_folder} holds {len(old)} images made by {whose}; {advice}")
        for image_path in old:
            image_path.unlink()
    if earlier != (full := about | {"passed_over": passed_over}):
        files.write_json(path, full)
