"""Weights of networks as safetensors files: written with their digest, and checked before they are used."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from semcg import files

__all__ = ["check", "load", "require", "save", "sha256"]


def save(network: nn.Module, path: Path) -> str:
    """Write the weights of a network atomically, and return the SHA-256 of the file."""
    with files.atomic(path) as partial:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, partial)
        return sha256(partial)


def load(network: nn.Module, path: Path, digest: str | None = None) -> nn.Module:
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
    require(path)
    if digest and sha256(path) != digest:
        raise ValueError(
            f"{path} was changed after it was written: its SHA-256 is not that of provenance.json. Take it from a copy, or "
            "train the run again (--fresh)"
        )
    check(network, path)
    values = load_file(path)
    for name, value in values.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{path}: {name} holds a weight that is not finite")
    network.load_state_dict(values)
    return network


def require(path: Path) -> None:
    """Raise FileNotFoundError if there is no such file; it names those beside it."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no weights {path}: there is no folder {path.parent}")
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in path.parent.glob("*.safetensors"))) or "no weights at all"
        raise FileNotFoundError(f"no weights {path}; in that folder: {there}")


def check(network: nn.Module, path: Path) -> None:
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
        raise ValueError(f"{path} is no safetensors file: {str(error).partition(chr(10))[0]}") from None
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
