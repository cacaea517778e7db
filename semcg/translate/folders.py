"""A translation over the files of a folder."""

import hashlib
import io
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn

from semcg import files
from semcg.data import FORMATS
from semcg.prepare.codings import opaque, readable
from semcg.translate.translations import Padded, Translation, any_size, to_bytes

__all__ = ["fingerprint", "folder", "image", "split", "stems"]

WHAT = "translate folder"


def image(path: Path) -> Tensor:
    """Return a PNG or JPEG file, upright, as (3, H, W) float32 in [-1, 1].

    Raises
    ------
    ValueError
        If it does not decode, is no 8-bit RGB, grey or opaque RGBA picture; names the file.
    """
    return _decoded(path, Path(path).read_bytes())


def stems(in_folder: Path | str, *, frames: int = 0) -> dict[str, Path]:
    """Return the images of a folder by stem, sorted: all, or the first `frames`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no image in it.
    ValueError
        If two images have the same stem.
    """
    found: dict[str, Path] = {}
    for path in files.images_in(Path(in_folder)):
        if path.stem in found:
            raise ValueError(f"{found[path.stem]} and {path} have the same stem; rename or remove one")
        found[path.stem] = path
    return dict(sorted(found.items())[: frames or None])


def fingerprint(translate: Translation) -> dict[str, str]:
    """Return what tells one translation from another: its name and, of a network, a digest of its weights."""
    if isinstance(translate, Padded):
        return fingerprint(translate.G)
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
) -> Iterator[tuple[int, int, str]]:
    """Translate the images of a folder to PNG files of the same stems, one by one.

    Killed, it goes on where it stopped: a file appears only when it is whole, and one that was made of the
    same image by the same translation is kept. `about.json` in `out_folder` says which translation that is.

    Parameters
    ----------
    translate : callable
        A translation. A network runs on the device that it lies on; one that has a `multiple` is padded.
    in_folder : path
        PNG or JPEG files of any sizes, 8-bit RGB, grey, or RGBA that is opaque throughout. EXIF rotation is applied.
    out_folder : path
        Made if need be.
    frames : int
        Only the first so many by name; 0 means all.
    replace : bool
        True: what another translation left in `out_folder` gives way. False: that is an error.

    Yields
    ------
    done, of : int
        Images translated or kept, and images in all.
    name : str
        Stem of the latest.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no image in it.
    FileExistsError
        If `out_folder` holds images that another translation made, or that are not from here.
    ValueError
        If both folders are the same, two images have the same stem, or an image does not decode; names it.
    """
    in_folder, out_folder = Path(in_folder), Path(out_folder)
    chosen = stems(in_folder, frames=frames)
    if in_folder.resolve() == out_folder.resolve():
        raise ValueError(f"{in_folder} would be translated into itself; name another folder for the results")
    _claim(out_folder, {"made_by": WHAT, "translation": fingerprint(translate)}, replace)
    for torn in out_folder.glob(".*.partial.png"):
        torn.unlink()  # what a kill left
    run, device = any_size(translate), _device(translate)
    for done, (stem, path) in enumerate(chosen.items(), 1):
        content, out = path.read_bytes(), out_folder / f"{stem}.png"
        source = f"{zlib.crc32(content):08x}"
        if not _made_of(out, source):
            with torch.inference_mode():
                x = run(_decoded(path, content)[None].to(device))[0]
            _save(to_bytes(x).cpu(), out, source)
        yield done, len(chosen), stem


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


def _device(translate: Translation) -> torch.device:
    """Return where a network lies; any other translation takes images on the CPU."""
    tensors = [*translate.parameters(), *translate.buffers()] if isinstance(translate, nn.Module) else []
    return tensors[0].device if tensors else torch.device("cpu")


def _claim(out_folder: Path, about: dict, replace: bool) -> None:
    """Write `about.json`, unless the folder belongs to something else."""
    made = out_folder / "about.json"
    there = files.read_json(made) if made.is_file() else None
    if there == about:
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
    files.write_json(made, about)


def _made_of(path: Path, source: str) -> bool:
    """Whether `path` is a whole PNG file that was made of the file with this CRC-32."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            made_of = picture.text.get("source")
            picture.load()
            return made_of == source
    except (OSError, SyntaxError, ValueError):
        return False


def _save(pixels: Tensor, path: Path, source: str) -> None:
    note = PngInfo()
    note.add_text("source", source)
    with files.atomic(path) as partial:
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(partial, compress_level=1, pnginfo=note)


def _decoded(path: Path, content: bytes) -> Tensor:
    with readable(path):
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    if picture.mode not in ("RGB", "RGBA", "L"):
        raise ValueError(
            f"{path} is a picture of mode {picture.mode}; images are 8-bit RGB, grey, or opaque RGBA"
        )
    pixels = np.array(ImageOps.exif_transpose(opaque(picture, path)))
    return torch.from_numpy(pixels).permute(2, 0, 1).float().div_(127.5).sub_(1)
