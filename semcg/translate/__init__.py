"""Translations of frames and of folders, by a generator or by what one would try before training one.

A translation is anything that takes images (B, 3, H, W) in [-1, 1] and returns images of the same shape: `identity`,
a `HistogramMatching`, a `ColorTable`, a generator, or a generator in `Padded` or `Tiled`, which take frames of any size, in `Guided`,
which keeps strokes, or in `Compiled`, which is faster and less exact. `folder` and `split` apply one to files: they
read ahead, translate in batches and write behind.
"""

import hashlib
import itertools
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn

from semcg import files, locks, pictures
from semcg.data import to_bytes, to_values
from semcg.system import cores
from semcg.translate.colors import BorrowedColors, ColorTable, Guided, HistogramMatching, color_map, pixels_of
from semcg.translate.frames import Compiled, Padded, Tiled, Translator, any_size, difference, identity, pad

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
    return dict(sorted(pictures.by_stem(pictures.images_in(in_folder).images).items())[: frames or None])


def sizes(in_folder: Path | str) -> list[tuple[int, int]]:
    """Return the heights and widths that occur in a folder, from the files' heads, by number of pixels.

    A file that tells none is left out: it is named when its turn comes. Raises as `stems`.
    """
    told = set()
    for path in stems(in_folder).values():
        with suppress(OSError, ValueError):
            told.add(pictures.size(path, turn=True))
    return sorted(told, key=lambda size: (size[0] * size[1], size))


def fingerprint(translate: Translator) -> dict[str, object]:
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
    translate: Translator,
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
    BlockingIOError
        If another process translates into the same folder.
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
    run, number = any_size(translate), itertools.count(1)
    tensors = [*translate.parameters(), *translate.buffers()] if isinstance(translate, nn.Module) else []
    device = tensors[0].device if tensors else torch.device("cpu")

    def read(stem: str, path: Path) -> _Frame:
        content, out = pictures.read(path), out_folder / f"{stem}.png"
        source = f"{zlib.crc32(content):08x}"
        kept = _made_of(out, source)
        return _Frame(path, out, source, None if kept else torch.from_numpy(pictures.image(path, content)))

    def written(saves: list[tuple[str, Future]]) -> Iterator[tuple[int, int, str]]:
        for stem, save in saves:
            save.result()
            yield next(number), len(chosen), stem

    with (
        locks.held(out_folder / ".lock", f"the translation into {out_folder}"),
        ThreadPoolExecutor(THREADS) as pool,
    ):
        _claim(out_folder, about, replace, passed_over=pictures.images_in(in_folder).passed_over())
        for torn in out_folder.glob(".*.partial.png"):
            torn.unlink()  # of a killed run
        writing = deque()
        for group in _groups(pool, read, chosen.items(), batch):
            translated = zip(group, _translate_group(run, group, device), strict=True)
            writing.append([(frame.out.stem, pool.submit(_save, y, frame)) for frame, y in translated])
            if len(writing) > 1:
                yield from written(writing.popleft())
        for saves in writing:
            yield from written(saves)


def split(
    translate: Translator, in_folder: Path | str, out_folder: Path | str, *, frames: int = 0
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


def _translate_group(run: Translator, group: list[_Frame], device: torch.device) -> Iterable[Tensor | None]:
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
            picture.load()
            return picture.text.get("source") == source
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


def _claim(out_folder: Path, about: dict, replace: bool, *, passed_over: str) -> None:
    """Write `about.json`, unless the folder belongs to something else; with `replace` clear what we made."""
    path = out_folder / "about.json"
    earlier = files.read_record(path)
    ours = earlier.get("made_by") == WHAT
    if not (ours and about.items() <= earlier.items()):
        old = [p for p in out_folder.glob("[!.]*") if p.suffix.lower() in files.IMAGES]
        if (path.is_file() and not ours) or (old and not (ours and replace)):
            whose = (
                f"{earlier.get('translation')}, not by {about['translation']}" if ours else "something else"
            )
            held = f"{len(old)} images" if old else path.name
            raise FileExistsError(f"{out_folder} holds {held} made by {whose}; remove it or name another one")
        for image_path in old:
            image_path.unlink()
    if earlier != (full := about | {"passed_over": passed_over}):
        files.write_json(path, full)
