"""Files of a run: its state with the one before, its history as CSV, and weights that are checked before they are used.

`semcg.runs.store` says what is in a run's folder.
"""

import csv
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from semcg import files

_NEWEST, BEFORE = "state.pt", "state.previous.pt"


def write_state(folder: Path, content: dict) -> None:
    """Write a state; the one that is there stays beside it, and counts until this one is whole."""
    path = folder / _NEWEST
    if path.exists():
        os.replace(path, folder / BEFORE)
    with files.atomic(path) as partial, _name_file_if_full(path):
        torch.save(content, partial)


def newest_state(folder: Path) -> tuple[dict, list[dict[str, float]]] | None:
    """Return the newest state in `folder` that is whole, finite and has its history, with that; None if none has.

    A newer one that is not good is removed, so that the next `write_state` does not put it in the place of the good one.
    """
    for path in (folder / _NEWEST, folder / BEFORE):
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
        if path.name == BEFORE:
            (folder / _NEWEST).unlink(missing_ok=True)
        return content, history
    return None


@contextmanager
def _name_file_if_full(path: Path) -> Iterator[None]:
    """Name the file when a disk is full: torch and safetensors have errors of their own for that, without a name."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        what = str(error).partition("\n")[0]
        raise OSError(
            f"{path} could not be written ({what}). Is the disk full? Make room; the same command resumes from the state "
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


def as_csv(records: list[dict], *, header: bool = True) -> str:
    """Return records as CSV text, "" if there are none."""
    text = io.StringIO()
    if records:
        writer = csv.DictWriter(text, records[0].keys(), lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(records)  # floats by repr, which reads back to the same bits
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, float]]:
    """Return the rows of a history up to the first that a kill cut short, or a full disk, or that is no row at all."""
    rows: list[dict[str, float]] = []
    with open(path, newline="") as handle:
        for row in csv.DictReader(handle):
            try:
                rows.append({k: int(v) if k == "step" else float(v) for k, v in row.items()})
            except (TypeError, ValueError):  # too few entries, or those of the next row right behind
                break
    return rows


def save_weights(network: nn.Module, path: Path) -> str:
    """Write the weights of a network atomically, and return the SHA-256 of the file."""
    with files.atomic(path) as partial, _name_file_if_full(path):
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, partial)
        return sha256(partial)


def load_weights(network: nn.Module, path: Path, digest: str | None = None) -> nn.Module:
    """Load weights into a network and return it.

    Parameters
    ----------
    path : Path
        A safetensors file.
    digest : str, optional
        Its SHA-256, from the provenance of the run.

    Raises
    ------
    FileNotFoundError
        If there is no such file; names those beside it.
    ValueError
        If the file is damaged, was changed after it was written, does not fit the network, or holds a weight that is
        not finite. Names the file.
    """
    require_weights(path)
    if digest and sha256(path) != digest:
        raise ValueError(
            f"{path} was changed after it was written: its SHA-256 is not that of provenance.json. Restore it from a copy, or "
            "train the run again (--fresh)"
        )
    check_weights(network, path)
    values = load_file(path)
    if bad := not_finite(values, "").removeprefix("."):
        raise ValueError(f"{path}: {bad} holds a weight that is not finite")
    network.load_state_dict(values)
    return network


def require_weights(path: Path) -> None:
    """Raise FileNotFoundError if there is no such file; it names those beside it."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no weights {path}: there is no folder {path.parent}")
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in path.parent.glob("*.safetensors"))) or "no weights at all"
        raise FileNotFoundError(f"no weights {path}; in that folder: {there}")


def check_weights(network: nn.Module, path: Path) -> None:
    """Compare names, shapes and types in a safetensors file with a network, which may be on the meta device.

    Raises
    ------
    ValueError
        If they differ, or the file is none; names it.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            stored = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118, it is no dict
            shapes = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in stored.items()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a safetensors file: {str(error).partition(chr(10))[0]}") from None
    kind, expected = type(network).__name__, network.state_dict()
    if different := sorted(shapes.keys() ^ expected.keys()):
        where = "lacks" if different[0] in expected else "also has"
        raise ValueError(f"{path} does not fit the {kind} of its config: it {where} {different[0]}")
    for name, value in expected.items():
        shape, dtype = shapes[name]
        if shape != tuple(value.shape):
            raise ValueError(
                f"{path} does not fit the {kind} of its config: {name} is {shape}, expected {tuple(value.shape)}"
            )
        if value.is_floating_point() != dtype.startswith(("F", "BF")):
            raise ValueError(f"{path}: {name} is {dtype}, expected floating-point weights")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
