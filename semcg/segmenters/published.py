"""Published weights of DRN-C-26: four layouts into one network, and the ImageNet file fetched on request.

The same network was published under several names (Yu, Koltun and Funkhouser, CVPR 2017, github.com/fyu/drn; Hoffman
et al., ICML 2018, github.com/jhoffman/cycada_release):

    conv1.weight, ..., fc.bias      the names of `DRN26`: 182 entries
    the same, without counters      152 entries: PyTorch before 0.4.1 did not count batches
    base.0.weight, ..., seg.bias    Yu's wrapper for segmentation, with an up-sampling layer `up`
    module.conv1.weight, ...        saved from DataParallel; and the classifier has a head of 1000 classes

No file can run code: a pickle is read as plain weights or not at all.
"""

import hashlib
import os
import re
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from urllib.parse import urljoin, urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from semcg.segmenters.drn import DRN26

__all__ = ["IMAGENET", "fetch_imagenet", "load_published"]

IMAGENET = "https://dl.yf.io/drn/drn_c_26-ddedf421.pth"
"""Where Yu's code finds the classifier; the older address, at Princeton, is dead (github.com/fyu/drn/issues/52)."""

# Yu's wrapper counts the children of the classifier; base.2 is a ReLU and has no weights.
_BASE = {"0": "conv1", "1": "bn1", **{str(k + 2): f"layer{k}" for k in range(1, 9)}}
_DROPPED = ""
_COUNTER = ".num_batches_tracked"
_SHOWN = 20


def load_published(net: DRN26, path: Path | str) -> list[str]:
    """Load published weights of DRN-C-26 into `net`, in place, from any of their four layouts.

    A head of 1000 classes, ImageNet's, is dropped where `net` has another number of classes; `net` then keeps its own
    head. So is the up-sampling layer of Yu's wrapper, which is fixed and bilinear (see `semcg.segmenters.upsample`).
    Where a file has no counters of batches, those of `net` become 0.

    Parameters
    ----------
    net : DRN26
        At any width that the file fits; at stride 4 too, although the weights were trained at stride 8.
    path : path
        A .safetensors file, or what `torch.save` wrote (.pth): a state dict, by itself or under "state_dict".

    Returns
    -------
    list of str
        A sentence on each thing that was dropped or not found; empty if all went in.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, holds more than plain weights, or has a key that is unexpected, missing or of
        another shape; these are listed. `net` is then as it was.
    """
    path = Path(path)
    found = _read(path)
    wanted = net.state_dict()
    names = _names(found)
    state = {name: found[key] for key, name in names.items() if name != _DROPPED}
    said = []
    if _DROPPED in names.values():
        said.append(
            f"{path.name}: the up-sampling layer up.weight is dropped; scores are brought to full size "
            "by semcg.segmenters.upsample."
        )
    classes, inside = wanted["fc.weight"].shape[:2]
    head = {name: tuple(state[name].shape) for name in ("fc.weight", "fc.bias") if name in state}
    if classes != 1000 and head == {"fc.weight": (1000, inside, 1, 1), "fc.bias": (1000,)}:
        state.update({name: wanted[name] for name in head})
        said.append(
            f"{path.name}: the head of 1000 classes (ImageNet) is dropped, since the network has {classes}; "
            "it keeps its own head."
        )
    if not any(name.endswith(_COUNTER) for name in state):
        state.update({name: torch.zeros_like(own) for name, own in wanted.items() if name.endswith(_COUNTER)})
        said.append(
            f"{path.name}: there are no counters of batches (num_batches_tracked); they are set to 0."
        )
    _check(state, wanted, keys={name: key for key, name in names.items()}, path=path)
    net.load_state_dict(state)
    return said


def fetch_imagenet(folder: Path | str, *, url: str = IMAGENET) -> Path:
    """Return the file of DRN-C-26's ImageNet weights in `folder`, fetched from `url` if it is not there.

    Its SHA-256 must begin with the digits in its name. Eight digits find a damaged file, but no careful
    forger; that is one more reason for `load_published` to read nothing but plain weights.

    The default address has not been tried with this code: the tests ask a server of their own.

    Parameters
    ----------
    folder : path
        Made if missing.
    url : str
        https, or http on this machine; ends in <name>-<8 or more hexadecimal digits>.pth.

    Returns
    -------
    Path
        folder/<name>-<digits>.pth, whole and with the right digest. If it was there already, nothing was asked of
        the network.

    Raises
    ------
    ValueError
        For another kind of url, and if what came, or what was there already, has another digest.
    OSError
        If nothing came, or not all of it. The part that came is kept, and the next call fetches the rest.
    """
    name = PurePosixPath(urlsplit(url).path).name
    digits = re.search(r"-([0-9a-f]{8,64})\.pth$", name)
    if digits is None:
        raise ValueError(f"{url} does not end in <name>-<8 or more hexadecimal digits>.pth, as weights do")
    if not _private(url):
        raise ValueError(f"weights are fetched by https, not from {url}")
    path = Path(folder) / name
    if path.exists():
        if wrong := _wrong(path, digits[1]):
            raise ValueError(f"{path} is {wrong}. Remove it, and it is fetched again from {url}")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{name}.part")
    try:
        _download(url, partial)
    except OSError as error:
        if partial.exists() and not partial.stat().st_size:
            partial.unlink()
        if error.errno is not None:  # of the disk: what pooch says of the network has no number
            raise OSError(error.errno, error.strerror, error.filename or str(partial)) from error
        raise OSError(
            f"{url} did not come: {error}. Try again later: the download resumes; or put the file by hand at {path}"
        ) from None
    if wrong := _wrong(partial, digits[1]):
        partial.unlink()
        raise ValueError(
            f"what came from {url} is {wrong}. Try again later, or put the file by hand at {path}"
        )
    os.replace(partial, path)
    return path


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"no weights {path}")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is no whole safetensors file: {error}") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged or foreign file sets off in the unpickler
        # Torch's own advice, to read the file with weights_only=False, would run the code in it.
        named = re.search(r"GLOBAL [\w.]+|Unsupported operand \d+", str(error))
        what = named[0] if named else str(error).partition(". ")[0] or "it ends too early"
        raise ValueError(
            f"{path} is damaged, or holds more than plain weights, and was not read "
            f"({type(error).__name__}: {what}). Get it again, or have its state dict saved alone"
        ) from None
    if isinstance(content, dict) and "state_dict" in content:
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} holds no state dict, but: {type(content).__name__}")
    if others := [str(key) for key, value in content.items() if not isinstance(value, Tensor)]:
        raise ValueError(f"{path} holds no state dict: these are no tensors: {_few(others)}")
    return {str(key): value for key, value in content.items()}


def _names(found: dict[str, Tensor]) -> dict[str, str]:
    """Return key in the file -> name in `DRN26`. A layout applies to all keys or to none, so no two can meet."""
    names = {key: key for key in found}
    if all(name.startswith("module.") for name in names.values()):
        names = {key: name.removeprefix("module.") for key, name in names.items()}
    if all(name.startswith(("base.", "seg.", "up.")) for name in names.values()):
        for key, name in names.items():
            first, _, rest = name.partition(".")
            if name == "up.weight":
                names[key] = _DROPPED
            elif first == "seg":
                names[key] = f"fc.{rest}"
            elif first == "base":
                number, _, rest = rest.partition(".")
                names[key] = f"{_BASE[number]}.{rest}" if number in _BASE else name
    return names


def _check(state: dict[str, Tensor], wanted: dict[str, Tensor], *, keys: dict[str, str], path: Path) -> None:
    unexpected = [f"{keys[name]} {_form(value)}" for name, value in state.items() if name not in wanted]
    missing = [f"{name} {_form(own)}" for name, own in wanted.items() if name not in state]
    other = [
        f"{keys[name]} {_form(state[name])} instead of {_form(own)}"
        for name, own in wanted.items()
        if name in state and _form(state[name]) != _form(own)
    ]
    lists = [
        f"{len(listed)} {title}: {_few(listed)}"
        for title, listed in (("unexpected", unexpected), ("missing", missing), ("of another shape", other))
        if listed
    ]
    if lists:
        raise ValueError(f"{path} holds no weights of this DRN26; nothing was loaded. {'. '.join(lists)}")


def _form(value: Tensor) -> str:
    shape = str(tuple(value.shape))
    return shape if value.is_floating_point() else f"{shape} {value.dtype}"


def _few(listed: list[str]) -> str:
    more = len(listed) - _SHOWN
    return "; ".join(listed[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _private(url: str) -> bool:
    """Return whether nobody on the way can read or alter what `url` sends."""
    parts = urlsplit(url)
    here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    return parts.scheme == "https" or (parts.scheme == "http" and here)


def _download(url: str, path: Path) -> None:
    """Write what is at `url` to `path`, or the rest of it where `path` holds a part."""
    from pooch import HTTPDownloader  # here: random initial weights do not need it

    with ExitStack() as responses, open(path, "ab") as handle:  # pooch leaves a broken response open

        def on_response(response, **options) -> None:
            responses.callback(response.close)
            there = urljoin(response.url, response.headers.get("location", ""))
            if not _private(there):
                raise OSError(f"it leads to {there}, and weights are fetched by https")
            if response.status_code == 200:  # the server sends all of it again
                handle.truncate(0)
            if response.status_code == 416:  # nothing is missing
                raise EOFError

        resumed = {"Range": f"bytes={handle.tell()}-"} if handle.tell() else {}
        with suppress(EOFError):
            HTTPDownloader(hooks={"response": on_response}, headers=resumed)(url, handle, None)


def _wrong(path: Path, digits: str) -> str:
    """Return what is wrong with a file whose SHA-256 should begin with `digits`; nothing if it does."""
    with open(path, "rb") as handle:
        start = handle.read(64).lstrip().lower()
        handle.seek(0)
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
        size = handle.tell()
    if digest.startswith(digits):
        return ""
    kind = "a web page" if start.startswith((b"<!doctype", b"<html", b"<?xml")) else "another file"
    return f"{kind}: {size} bytes whose SHA-256 begins with {digest[: len(digits)]}, not {digits}"
