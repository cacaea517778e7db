"""What data hold, as one digest: decoded pixels and labels, so that it is the same for every encoder and machine."""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from semcg import files
from semcg.system import cores

__all__ = ["CACHE", "content_digest", "data_digest", "remember"]

CACHE = ".contents.json"
"""In a data folder: file -> its size and time, and the digest of what it held then."""
_NOTES = "scenes.jsonl"  # what is written on the drawn plates
_PICTURES = {".png", ".jpg", ".jpeg"}


def data_digest(root: Path | str) -> str:
    """Return 16 hexadecimal digits for all pixels, labels and plate texts in a data folder.

    The digest of each file is kept in `CACHE` and computed again when the file's size or time differs.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no data in {root}")
    paths = [
        path for path in files.data_files(root) if path.suffix.lower() in _PICTURES or path.name == _NOTES
    ]
    return files.digest(remember(root, paths))


def remember(root: Path, paths: Iterable[Path], known: dict[str, str] | None = None) -> dict[str, str]:
    """Return name -> digest of the contents of some files below `root`, and keep them in `CACHE`.

    Parameters
    ----------
    known : dict, optional
        Digests that are known already, by name: those of pixels that were just written.
    """
    cached, known = files.read_record(root / CACHE), known or {}
    stats = {path.relative_to(root).as_posix(): path.stat() for path in paths}
    now = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
    fresh = {name: cached[name] for name in now if cached.get(name, [])[:2] == now[name]}
    missing = [name for name in now if name not in fresh]
    with ThreadPoolExecutor(cores()) as pool:  # decoding leaves Python's lock
        digests = pool.map(lambda name: known.get(name) or content_digest(root / name), missing)
        fresh |= {name: [*now[name], digest] for name, digest in zip(missing, digests, strict=True)}
    if missing:
        with suppress(OSError):  # data on a disk that cannot be written are digested each time
            files.write_text(root / CACHE, json.dumps(cached | fresh))
    return {name: fresh[name][2] for name in sorted(fresh)}


def content_digest(content: Path | np.ndarray) -> str:
    """Return the digest of a picture's decoded pixels, or of any other file's bytes.

    Parameters
    ----------
    content : path or array
        A file, or the pixels that a file will hold.
    """
    if isinstance(content, Path):
        if content.suffix.lower() not in _PICTURES:
            return hashlib.sha256(content.read_bytes()).hexdigest()[:16]
        with Image.open(content, formats=("PNG", "JPEG")) as opened:
            content = np.asarray(opened)
    seen = hashlib.sha256(f"{content.dtype}{content.shape}".encode())
    seen.update(np.ascontiguousarray(content).tobytes())
    return seen.hexdigest()[:16]
