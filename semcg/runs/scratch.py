"""Where an execution of a notebook keeps what nobody keeps, and the lock that no second one gets.

The folder's name follows from the output's, so that the next execution removes what a kill left. In several processes
each has its own.
"""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from semcg import files
from semcg.training.devices import Place

__all__ = ["lock_of", "scratch"]


def lock_of(output: Path, rank: int) -> Path:
    return output.with_name(f".{output.stem}.{rank}.lock" if rank else f".{output.stem}.lock")


def folder_of(output: Path, rank: int) -> Path:
    # A short name, since sockets are made in there, whose paths may have about 100 characters.
    return Path(gettempdir()) / f"semcg-{os.getuid()}-{files.digest([str(output.resolve()), rank])[:8]}"


@contextmanager
def scratch(output: Path, here: Place) -> Iterator[Path]:
    """Make a folder for what nobody keeps; remove it at the end, and first of all what a kill has left."""
    folder, name = folder_of(output, here.rank), glob.escape(output.stem)
    if folder.exists():  # the runner was killed, perhaps while it or its kernel wrote
        files.remove_torn(files.home() / "results")
        shutil.rmtree(folder, ignore_errors=True)
    if here.rank == 0:
        begun = {lock_of(output, rank) for rank in range(1, here.ranks)}
        locks = set(output.parent.glob(f".{name}.[0-9]*.lock")) - begun
        for left in [*output.parent.glob(f".{name}.[0-9]*.partial.*"), *locks]:
            left.unlink(missing_ok=True)
    folder.mkdir(mode=0o700)  # the key of a kernel lies in it
    try:
        yield folder
    except BaseException:
        files.remove_torn(files.home() / "results")  # of a kernel that died
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
