"""The state of a training on the disk: `state.pt`, whole and finite, and the one before it until it is.

What is in it, and where it lies, is said in `semcg.runs.store`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from semcg import files
from semcg.runs.history import read_csv

__all__ = ["named", "newest", "not_finite", "settle", "write"]

_NEWEST, _BEFORE = "state.pt", "state.previous.pt"


def write(folder: Path, content: dict) -> None:
    """Write a state; the one that is there stays beside it, and counts until this one is whole."""
    path = folder / _NEWEST
    if path.exists():
        os.replace(path, folder / _BEFORE)
    with files.atomic(path) as partial, named(path):
        torch.save(content, partial)


def newest(folder: Path) -> tuple[dict, list[dict[str, float]]] | None:
    """Return the newest state in `folder` that is whole, finite and has its history, with that; None if none has.

    A newer one that is not good is removed, so that the next `write` does not put it in the place of the good one.
    """
    for path in (folder / _NEWEST, folder / _BEFORE):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            history = [row for row in read_csv(folder / "history.csv") if row["step"] <= content["step"]]
        except MemoryError:
            raise
        except Exception:  # whatever an absent, torn or foreign file sets off in the unpickler
            continue
        # A state without its history must not train on as if it were a new one.
        if len(history) != content["step"] or not_finite(content["state"], "state"):
            continue
        if path.name == _BEFORE:
            (folder / _NEWEST).unlink(missing_ok=True)
        return content, history
    return None


def settle(folder: Path) -> None:
    """Remove the state before the newest, which is not needed any more."""
    (folder / _BEFORE).unlink(missing_ok=True)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file when a disk is full: torch and safetensors have errors of their own for that, without a name."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        what = str(error).partition("\n")[0]
        raise OSError(
            f"{path} could not be written ({what}). Is the disk full? Make room; the same command goes on from the state "
            "before"
        ) from None


def not_finite(value: object, name: str) -> str:
    """Return the name of the first tensor in a nested state that holds NaN or an infinity, "" if none does."""
    if isinstance(value, Tensor):
        if not value.is_floating_point() or not value.numel():
            return ""
        # NaN and infinities show in the extremes, which are found ten times as fast as by `torch.isfinite` of all.
        return "" if bool(torch.isfinite(torch.stack(torch.aminmax(value))).all()) else name
    if isinstance(value, dict):
        inner = value.items()
    else:
        inner = enumerate(value) if isinstance(value, list | tuple) else ()
    return next((bad for key, item in inner if (bad := not_finite(item, f"{name}.{key}"))), "")
