"""Atomic writes, digests, and the one folder layout that everything shares.

    data/<name>/<source|target>/<train|val|test>/{images,labels}/   what `semcg.world` draws or `semcg_kit.prepare` copies
    data/<name>/judge/<train|val>/{images,labels}/                  what only the judge ever reads
    data/<name>/source/test/oracle/                                 the same scenes in the target's style, if drawn
    data/<name>/about.json                                          what these data are and how they were made
    data/<name>/manifest.csv                                        every file with its size and CRC-32
    results/<profile>/<run>/                                        what a training leaves (`semcg.runs`)

Both `data/` and `results/` lie in `home()`. Only Python's own library is imported at the top, since the doctor must start
where packages are missing.
"""

import csv
import hashlib
import io
import json
import logging
import os
import re
import shutil
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from semcg.system import cores

DOMAINS = ("source", "target")
SPLITS = ("train", "val", "test")
STRAY = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
"""File names that operating systems leave behind; never data, as is every name that begins with a dot."""
IMAGES = frozenset({".png", ".jpg", ".jpeg"})
"""Endings of pictures, in lower case."""
CACHE = ".contents.json"
"""In a data folder: file -> its size and time, and the digest of what it held then."""
_NOTES = "scenes.jsonl"  # what is written on the drawn plates


def home() -> Path:
    """Return the folder that holds `data/` and `results/`.

    $SEMCG_HOME if set; else the repository that this package was installed from; else, for a package in
    site-packages, the working folder.
    """
    if named := os.environ.get("SEMCG_HOME"):
        try:
            return Path(named).expanduser().resolve()
        except RuntimeError:
            raise ValueError(f"SEMCG_HOME = {named!r}: there is no such user") from None
    return repository() if (repository() / "notebooks").is_dir() else Path.cwd()


def repository() -> Path:
    """Return the folder that this package is in: the repository, or site-packages."""
    return Path(__file__).resolve().parent.parent


def data_folder(data: str, profile: str) -> Path:
    """Return where the data called `data` lie: "world" is drawn per profile; else a name in `data/`, or a full path."""
    if data == "world":
        return home() / "data" / f"world-{profile}"
    given = Path(
        os.path.expanduser(data)
    )  # leaves an unknown user's ~ alone, where pathlib raises RuntimeError
    return given if given.is_absolute() else home() / "data" / data


def results_folder(data: str, profile: str) -> Path:
    """Return the folder for the runs of a profile: `results/<profile>/`, or `results/<data>-<digits>-<profile>/`.

    The digits are the first of the digest of the data's contents, so that two folders of one name never share results.
    """
    if data == "world":
        return home() / "results" / profile
    root = data_folder(data, profile)
    return home() / "results" / f"{root.resolve().name}-{data_digest(root)[:6]}-{profile}"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place, synced to disk, if the block ends well.

    The name itself is not synced, which takes half as long again for a picture: a power cut can bring back the old file.

    If the block raises, the temporary is removed and an older `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, since writers choose the format by it. A name has 255 bytes at most.
    stem = path.stem
    if len(stem.encode()) > 180:
        stem = stem.encode()[:160].decode(errors="ignore") + digest(path.name)
    partial = path.with_name(f".{stem}.{os.getpid()}-{_machine()}.partial{path.suffix}")
    try:
        with naming(path):
            yield partial
            with open(partial, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Give an OSError of the block that has no file name, such as "No space left on device", that of `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@cache
def _machine() -> str:
    return digest(socket.gethostname())[:6]


def remove_torn(root: Path) -> None:
    """Remove what processes of this machine that are no more have left half-written below `root`."""
    import psutil

    for path in root.rglob(".*.partial*"):
        made_by = re.search(rf"\.(\d+)-{_machine()}\.partial(\.|$)", path.name)
        if made_by and not psutil.pid_exists(int(made_by[1])):
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value) -> None:
    """Write `value` to `path` as indented JSON, atomically; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    """Return the JSON object in the file `path`.

    Raises
    ------
    ValueError
        If it is none; names the file.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object, but {str(value)[:40]}")
    return value


def read_record(path: Path) -> dict:
    """Return the JSON object in `path`; {} if there is none, and with a line on standard error if it is damaged.

    For records beside what they describe: what has no readable record counts as not stored.
    """
    value = {}
    with suppress(ValueError, OSError):
        value = read_json(path)
    if not value and os.path.lexists(path):
        logging.getLogger("semcg").warning("%s is damaged and counts as not stored", path)
    return value


def unfinished(folder: Path) -> Path:
    """Return the folder where what shall become `folder` is written, on the same disk: beside what a link leads to."""
    real = Path(folder).resolve()
    return real.with_name(real.name + ".partial")


def swap(new: Path, old: Path) -> None:
    """Put folder `new` in the place of folder `old`, which is removed; a crash in between loses neither.

    If `old` is a link to a folder, that folder is replaced and the link stays. Nor does a power cut lose anything: the
    new names are on the disk before anything is removed, where the system can tell.
    """
    old = Path(old).resolve()
    replaced = old.with_name(f".{old.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if new.stat().st_dev != old.parent.stat().st_dev:  # a folder is renamed on its own disk only
        new = Path(shutil.move(new, old.with_name(f".{old.name}.moved")))
    if old.exists():
        os.rename(old, replaced)
    os.rename(new, old)
    _sync(old.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; some systems and disks know no such thing."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest(value) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of a JSON-able value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def write_manifest(root: Path, known: dict[str, list] | None = None) -> Path:
    """List every file under `root` with its size and CRC-32 in `manifest.csv`, and return that file's path.

    Parameters
    ----------
    known : dict, optional
        Name -> size, CRC-32 and pixels per class of files that were just written, so that they are not read again.
    """
    table, known = io.StringIO(), known or {}
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["name", "bytes", "crc32", *["pixels"] * bool(known)])
    for name, path in _data_files(root).items():
        rows.writerow([name, *(known.get(name) or [path.stat().st_size, _crc32(path), *[""] * bool(known)])])
    write_text(root / "manifest.csv", table.getvalue())
    return root / "manifest.csv"


def manifest(root: Path) -> dict[str, dict[str, str]]:
    """Return name -> row of the manifest of `root`; errors as in `check_manifest`."""
    listed = root / "manifest.csv"
    if not listed.is_file():
        raise FileNotFoundError(f"no manifest.csv in {root}: the data are incomplete. Write them again.")
    try:
        with open(listed, newline="", encoding="utf-8") as handle:
            table = csv.DictReader(handle)
            rows = {row["name"]: row for row in table}
        whole = {"name", "bytes", "crc32"} <= set(table.fieldnames or ())
        if whole and all(row["bytes"].isdigit() and row["crc32"] for row in rows.values()):
            return rows
        damage = "the numbers of bytes or the CRC-32 are missing"
    except (ValueError, KeyError, AttributeError, csv.Error) as error:
        damage = repr(error)
    raise ValueError(f"{listed} is damaged ({damage}); remove it and write the data in {root} again.")


def check_manifest(root: Path, *, contents: bool = False) -> None:
    """Compare the files under `root` with its manifest: names and sizes, and with `contents` every byte.

    Raises
    ------
    FileNotFoundError
        If there is no manifest, hence no complete data.
    ValueError
        If a file is missing, added or changed; the message names the first few.
    """
    expected, found = manifest(root), _data_files(root)
    wrong = [f"{name} is missing" for name in expected.keys() - found.keys()]
    wrong += [f"{name} was added" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        if found[name].stat().st_size != int(expected[name]["bytes"]):
            wrong.append(f"{name} has another size")
        elif contents and _crc32(found[name]) != expected[name]["crc32"]:
            wrong.append(f"{name} has other contents")
    if wrong:
        shown = "; ".join(sorted(wrong)[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise ValueError(
            f"the data in {root} are not what was written: {shown}. Remove that folder and write them again."
        )


def manifest_digest(root: Path) -> str:
    """Return 16 hexadecimal digits that stand for every byte that the manifest of `root` lists."""
    return hashlib.sha256((Path(root) / "manifest.csv").read_bytes()).hexdigest()[:16]


def walk(root: Path) -> Iterator[Path]:
    """Yield the files below a folder, also where links lead, by name; nothing hidden or left by an operating system.

    Raises
    ------
    OSError
        If a folder below it cannot be read.
    ValueError
        If a folder is there twice, by a link.
    """

    def fail(error: OSError) -> None:
        raise error

    seen: dict[str, str] = {}  # true path of a folder -> the name that it was read by
    # Large data are often links into a shared disk; one that leads back to a folder around it is not followed.
    for folder, folders, names in os.walk(root, onerror=fail, followlinks=True):
        first = seen.setdefault(os.path.realpath(folder), folder)
        if first != folder:
            if not Path(folder).is_relative_to(first):
                raise ValueError(
                    f"{first} and {folder} are one folder, by a link; its frames would count twice"
                )
            folders.clear()
            continue
        names += [
            name for name in folders if Path(name).suffix.lower() in IMAGES
        ]  # to be refused, not entered
        folders[:] = sorted(name for name in folders if is_data(name) and name not in names)
        yield from (Path(folder, name) for name in sorted(filter(is_data, names)))


def is_data(name: str) -> bool:
    """Return whether a file or folder of this name is neither hidden nor left by an operating system."""
    return name not in STRAY and not name.startswith(".")


def refuse_added(root: Path, known: Callable[[str], object]) -> None:
    """Raise ValueError if a folder of data that will be replaced holds files whose names are not `known`."""
    if added := [name for name in _data_files(root) if not known(name)]:
        raise ValueError(
            f"{root} would be replaced, and holds {len(added)} file(s) that semcg did not write, for example {added[0]}; "
            "move them elsewhere"
        )


def _data_files(root: Path) -> dict[str, Path]:
    """Return name -> file, sorted, of the data below `root`, but for the manifest."""
    found = {path.relative_to(root).as_posix(): path for path in walk(root)}
    found.pop("manifest.csv", None)
    return found


def _crc32(path: Path) -> str:
    return f"{zlib.crc32(path.read_bytes()):08x}"


def data_digest(root: Path | str) -> str:
    """Return 16 hexadecimal digits for all pixels, labels and plate texts in a data folder, decoded.

    So it is the same for every encoder and machine. The digest of each file is kept in `CACHE` and computed again when
    the file's size or time differs.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no data in {root}")
    paths = [p for p in _data_files(root).values() if p.suffix.lower() in IMAGES or p.name == _NOTES]
    return digest(remember(root, paths))


def remember(root: Path, paths: Iterable[Path], known: dict[str, str] | None = None) -> dict[str, str]:
    """Return name -> digest of the contents of some files below `root`, and keep them in `CACHE`.

    Parameters
    ----------
    known : dict, optional
        Digests that are known already, by name: those of pixels that were just written.
    """
    cached, known = read_record(root / CACHE), known or {}
    stats = {path.relative_to(root).as_posix(): path.stat() for path in paths}
    now = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
    fresh = {name: cached[name] for name in now if cached.get(name, [])[:2] == now[name]}
    missing = [name for name in now if name not in fresh]
    with ThreadPoolExecutor(cores()) as pool:  # decoding leaves Python's lock
        digests = pool.map(lambda name: known.get(name) or content_digest(root / name), missing)
        fresh |= {name: [*now[name], digest] for name, digest in zip(missing, digests, strict=True)}
    if missing:
        with suppress(OSError):  # data on a disk that cannot be written are digested each time
            write_text(root / CACHE, json.dumps(cached | fresh))
    return {name: fresh[name][2] for name in sorted(fresh)}


def content_digest(content) -> str:
    """Return the digest of a picture's decoded pixels, or of any other file's bytes.

    Parameters
    ----------
    content : path or array
        A file, or the pixels that a file will hold.
    """
    import numpy as np
    from PIL import Image

    if isinstance(content, Path) and content.suffix.lower() not in IMAGES:
        return hashlib.sha256(content.read_bytes()).hexdigest()[:16]
    if isinstance(content, Path):
        with Image.open(content, formats=("PNG", "JPEG")) as opened:
            content = np.asarray(opened)
    seen = hashlib.sha256(f"{content.dtype}{content.shape}".encode())
    seen.update(np.ascontiguousarray(content).tobytes())
    return seen.hexdigest()[:16]
