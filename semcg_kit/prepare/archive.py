"""An archive, unpacked or as its publisher's zip files, as one list of entries; nothing is ever unpacked to disk."""

import os
import re
import stat
import struct
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from semcg import files, pictures

__all__ = ["Entry", "entries", "find"]

_BYTES, _SMALL, _RATIO = 2**28, 2**24, 100
# A member of a zip file unpacks to at most 256 MB, more than the largest frame that can be written has without any
# compression; and one above 16 MB to at most a hundred times its packed bytes. A PNG, which is packed already, has a
# ratio of about 1, JSON one of 10; a decompression bomb comes near the 1032 that the method allows.


class Entry(NamedTuple):
    """A file of an archive."""

    at: str
    """Path of the file, or of the zip file that holds it."""
    inner: str
    """Name within the zip file; "" for a plain file."""
    name: str
    """Name below the root, with "/": the same for either form."""
    size: int
    """Bytes, unpacked."""

    @classmethod
    def of(cls, path: Path) -> "Entry":
        """Return a file that is in no archive."""
        return cls(str(path), "", str(path), path.stat().st_size)

    def __str__(self) -> str:
        return f"{self.at}: {self.inner}" if self.inner else self.at

    def read(self) -> bytes:
        """Return the contents.

        Raises
        ------
        ValueError
            If the zip file is damaged there, or the entry is encrypted; names both.
        OSError
            If the disk does not give the file.
        """
        if not self.inner:
            return pictures.read(self.at)
        try:
            return _opened(self.at).read(self.inner)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"{self.name} in {Path(self.at).name} cannot be unpacked: {error}") from error


def entries(root: Path | str) -> list[Entry]:
    """List the files of a folder and of the zip files directly in it, or of one zip file, by sorted name.

    What operating systems leave behind is no entry. A file that is there unpacked and, with the same size, in a zip
    file too is read unpacked.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file, or nothing in it.
    ValueError
        If a zip file does not open, or has an entry that climbs out of it, is a link, is there twice or would unpack to
        enormous size; or if two files of one name differ in size.
    """
    root = Path(root)
    if root.is_dir():
        listed = list(_unpacked(root))
        zips = sorted(p for p in root.iterdir() if p.suffix.lower() == ".zip" and not _stray(p.name))
    elif root.is_file() and root.suffix.lower() == ".zip":
        listed, zips = [], [root]
    else:
        raise FileNotFoundError(f"no folder and no zip file {root}")
    by_name: dict[str, Entry] = {}
    for entry in [*listed, *(entry for path in zips for entry in _zipped(path))]:
        first = by_name.setdefault(entry.name, entry)
        if first.size != entry.size:
            raise ValueError(
                f"{first} has {first.size} bytes and {entry} has {entry.size}: one was not unpacked or fetched to the "
                "end; remove it"
            )
    if not by_name:
        raise FileNotFoundError(f"no file in {root}")
    return [by_name[name] for name in sorted(by_name)]


def find(listed: list[Entry], pattern: str) -> dict[tuple[str, ...], Entry]:
    r"""Return the entries whose last folders and name are as `pattern`, by its groups.

    Parameters
    ----------
    pattern : str
        Regular expression for the end of a name, from the start of a folder's or file's name on.

    Raises
    ------
    ValueError
        If two entries have the same groups, as where two copies of an archive are below one root.
    """
    ending, matches = re.compile(rf"(?:^|/){pattern}$"), {}
    for entry in listed:
        if match := ending.search(entry.name):
            first = matches.setdefault(match.groups(), entry)
            if first is not entry:
                raise ValueError(
                    f"{first} and {entry} are the same file twice; name the folder of one of them"
                )
    return matches


def _unpacked(root: Path):
    seen = set()
    # Large archives are often links into a shared disk; a link that leads back is followed once.
    for folder, folders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _stray(name))
        for name in sorted(names):
            path = Path(folder, name)
            if not _stray(name) and path.suffix.lower() != ".zip" and path.is_file():
                yield Entry(str(path), "", path.relative_to(root).as_posix(), path.stat().st_size)


def _zipped(path: Path) -> list[Entry]:
    """List the files of a zip file, once its table of contents was checked."""
    listed: dict[str, Entry] = {}
    for info in _opened(str(path)).infolist():
        parts = info.filename.replace("\\", "/").split("/")
        name = "/".join(parts)
        if bad := "is there twice" if name in listed else _harm(info, parts):
            raise ValueError(
                f"{path}: the entry {info.filename!r} {bad}; nothing is read from it. Fetch the file from its publisher"
            )
        if not info.is_dir():
            listed[name] = Entry(str(path), info.filename, name, info.file_size)
    return [entry for name, entry in listed.items() if not any(map(_stray, name.split("/")))]


def _harm(info: zipfile.ZipInfo, parts: list[str]) -> str:
    """Return what is wrong with an entry of a zip file, "" for a plain file or folder."""
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        return "climbs out of the archive"
    if (kind := stat.S_IFMT(info.external_attr >> 16)) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is no file, but a device or a pipe"
    if info.file_size > _BYTES:
        return f"would unpack to {info.file_size:,} bytes, more than {_BYTES:,}"
    if info.file_size > max(_SMALL, _RATIO * info.compress_size):
        return (
            f"would unpack {info.compress_size:,} bytes to {info.file_size:,}, as a decompression bomb does"
        )
    return ""


def _opened(path: str) -> zipfile.ZipFile:
    status = os.stat(path)
    return _kept_open(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _kept_open(path: str, size: int, changed: int) -> zipfile.ZipFile:
    # The table of contents is read once per process, not once per frame.
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path} is no zip file, or was not fetched to the end: {error}") from error


def _stray(name: str) -> bool:
    return name.startswith(".") or name in files.STRAY or name == "__MACOSX"
