"""A translation over the files of a folder: read ahead, translate in batches, write behind."""

import hashlib
import itertools
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn

from semcg import files, pictures
from semcg.system import cores
from semcg.translate.translations import Padded, Translation, any_size, to_bytes

__all__ = ["fingerprint", "folder", "image", "sizes", "split", "stems"]

THREADS = min(4, cores())
"""Threads that read and write beside the one that computes; decoding and packing leave the interpreter's lock."""
WHAT = "translate folder"


def image(path: Path, *, turn: bool = True) -> Tensor:
    """Return an image file as (3, H, W) float32 in [-1, 1]; what is taken and refused is said in `semcg.pictures`."""
    return _values(torch.from_numpy(pictures.image(path, turn=turn))[None])[0]


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
    found = set()
    for path in stems(in_folder).values():
        with suppress(OSError, ValueError):
            found.add(pictures.size(path, turn=True))
    return sorted(found, key=lambda size: (size[0] * size[1], size))


def fingerprint(translate: Translation) -> dict[str, object]:
    """Return what tells one translation from another: its name and, of a network, a digest of its weights.

    Of a generator in tiles or in another precision also what makes the difference, its `differs`.
    """
    if isinstance(translate, Padded):
        return fingerprint(translate.G)
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
        Neighbours of equal size that are translated at once. With 1 the files are the same bytes each time. With more,
        convolutions may add up in another order: values differ by about 1e-6, so that one rare value in a file lies one
        grey level off.

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
        torn.unlink()  # what a kill left
    run, device = any_size(translate), _device(translate)
    with ThreadPoolExecutor(THREADS) as pool:

        def read(item: tuple[str, Path]) -> _Frame:
            return _read(*item, out_folder)

        done, writing = itertools.count(1), deque()
        for group in _groups(_ahead(pool, read, chosen.items(), depth=2 * batch), batch):
            made = _translated(run, group, device)
            writing.append(
                [(f.stem, f.new and pool.submit(_save, next(made), f.out, f.source)) for f in group]
            )
            if len(writing) > 1:
                yield from _written(writing.popleft(), done, len(chosen))
        while writing:
            yield from _written(writing.popleft(), done, len(chosen))


def split(
    translate: Translation, in_folder: Path | str, out_folder: Path | str, *, frames: int = 0
) -> Iterator[tuple[int, int, str]]:
    """Translate one split of a domain, `in_folder/images`, and copy its labels: `Scenes` reads the result.

    Training frames in the target's style with the labels of the source, for the downstream test. What another
    translation left in `out_folder` gives way. Parameters, yields and errors as in `folder`; a frame without a label is
    a FileNotFoundError.
    """
    in_folder, out_folder = Path(in_folder), Path(out_folder)
    labels = {
        stem: in_folder / "labels" / f"{stem}.png" for stem in stems(in_folder / "images", frames=frames)
    }
    if missing := [path for path in labels.values() if not path.is_file()]:
        raise FileNotFoundError(f"no label {missing[0]}: translations without labels train no segmenter")
    results = folder(translate, in_folder / "images", out_folder / "images", frames=frames, replace=True)
    for done, of, stem in results:
        with files.atomic(out_folder / "labels" / f"{stem}.png") as partial:
            shutil.copyfile(labels[stem], partial)
        if done == of:
            for left_over in [path for path in out_folder.glob("*/*.png") if path.stem not in labels]:
                left_over.unlink()  # of a call with more frames
        yield done, of, stem


@dataclass(frozen=True)
class _Frame:
    """A frame on its way: `pixels` (H, W, 3) uint8, or None where its translation lies there already."""

    stem: str
    path: Path
    out: Path
    source: str
    pixels: Tensor | None

    @property
    def new(self) -> bool:
        return self.pixels is not None


def _read(stem: str, path: Path, out_folder: Path) -> _Frame:
    content, out = pictures.read(path), out_folder / f"{stem}.png"
    source = f"{zlib.crc32(content):08x}"
    if _made_of(out, source):
        return _Frame(stem, path, out, source, None)
    return _Frame(stem, path, out, source, torch.from_numpy(pictures.image(path, content)))


def _ahead(pool: ThreadPoolExecutor, read: Callable, items: Iterable, *, depth: int) -> Iterator[_Frame]:
    """Yield `read(item)` in order, `depth` items ahead of the one that is asked for."""
    items = iter(items)
    coming = deque(pool.submit(read, item) for item in itertools.islice(items, depth))
    while coming:
        frame = coming.popleft().result()
        coming.extend(pool.submit(read, item) for item in itertools.islice(items, 1))
        yield frame


def _groups(frames: Iterator[_Frame], batch: int) -> Iterator[list[_Frame]]:
    """Yield up to `batch` neighbours, the new ones of equal size; before an error, what was read until then."""
    held: list[_Frame] = []
    try:
        for frame in frames:
            if frame.new and any(f.new and f.pixels.shape != frame.pixels.shape for f in held):
                yield held
                held = []
            held.append(frame)
            if len(held) == batch:
                yield held
                held = []
    except Exception:
        if held:
            yield held
        raise
    if held:
        yield held


def _translated(run: Translation, group: list[_Frame], device: torch.device) -> Iterator[Tensor]:
    """Return the translations (H, W, 3) uint8 of the new frames of a group, on the CPU."""
    new = [frame for frame in group if frame.new]
    if not new:
        return iter(())
    try:
        with torch.inference_mode():
            y = run(_values(torch.stack([frame.pixels for frame in new]).to(device)))
            return iter(to_bytes(y).permute(0, 2, 3, 1).cpu())
    except Exception as error:
        error.add_note("while translating " + ", ".join(str(frame.path) for frame in new))
        raise


def _values(pixels: Tensor) -> Tensor:
    """Turn pixels (B, H, W, 3) uint8 into images (B, 3, H, W) float32 in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _made_of(path: Path, source: str) -> bool:
    """Whether `path` is a whole PNG file that was made of the file with this CRC-32."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            of = picture.text.get("source")
            picture.load()
            return of == source
    except (OSError, SyntaxError, ValueError):
        return False


def _save(pixels: Tensor, path: Path, source: str) -> None:
    """Write pixels (H, W, 3) uint8 as PNG, atomically, with the CRC-32 of the file that they were made of."""
    note = PngInfo()
    note.add_text("source", source)
    with files.atomic(path) as partial:
        Image.fromarray(pixels.contiguous().numpy()).save(partial, compress_level=1, pnginfo=note)


def _written(
    group: list[tuple[str, Future | bool]], done: Iterator[int], of: int
) -> Iterator[tuple[int, int, str]]:
    for stem, future in group:
        if future:
            future.result()
        yield next(done), of, stem


def _device(translate: Translation) -> torch.device:
    """Return where a network lies; any other translation takes images on the CPU."""
    tensors = [*translate.parameters(), *translate.buffers()] if isinstance(translate, nn.Module) else []
    return tensors[0].device if tensors else torch.device("cpu")


def _claim(out_folder: Path, about: dict, replace: bool, *, passed_over: str) -> None:
    """Write `about.json`, unless the folder belongs to something else."""
    made = out_folder / "about.json"
    there = files.read_json(made) if made.is_file() else None
    full = about | {"passed_over": passed_over}
    if there == full:
        return
    if isinstance(there, dict) and about.items() <= there.items():
        files.write_json(made, full)
        return
    pictures = [p for p in out_folder.glob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg")]
    old = [p for p in pictures if not p.name.startswith(".")]
    ours = isinstance(there, dict) and there.get("made_by") == WHAT
    if old and not (ours and replace):
        whose = f"by {there['translation']}, not by {about['translation']}" if ours else "by something else"
        raise FileExistsError(
            f"{out_folder} holds {len(old)} images made {whose}; remove that folder or name another one"
        )
    for path in old:
        path.unlink()
    files.write_json(made, full)
