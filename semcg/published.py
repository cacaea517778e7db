"""Published weights of DRN-C-26: four layouts into one network, and the ImageNet file fetched on request.

The same network was published under several names (Yu, Koltun and Funkhouser, CVPR 2017, github.com/fyu/drn; Hoffman
et al., ICML 2018, github.com/jhoffman/cycada_release):

    conv1.weight, ..., fc.bias      the names of `DRN26`: 182 entries
    the same, without counters      152 entries: PyTorch before 0.4.1 did not count batches
    base.0.weight, ..., seg.bias    Yu's wrapper for segmentation, with an up-sampling layer `up`
    module.conv1.weight, ...        saved from DataParallel; and the classifier has a head of 1000 classes

No file can run code: a pickle is read as plain weights or not at all.
"""

import copy
import hashlib
import os
import re
import shutil
import textwrap
from http.client import HTTPException, IncompleteRead
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

# Where Yu's code finds the classifier; the older address, at Princeton, is dead (github.com/fyu/drn/issues/52).
IMAGENET = "https://dl.yf.io/drn/drn_c_26-ddedf421.pth"

# Yu's wrapper counts the children of the classifier; base.2 is a ReLU and has no weights.
_WRAPPED = {f"base.{k + 2}": f"layer{k}" for k in range(1, 9)}
_WRAPPED |= {"seg": "fc", "base.0": "conv1", "base.1": "bn1"}


def load_published(net: nn.Module, path: Path | str) -> list[str]:
    """Load published weights of DRN-C-26 into `net`, in place, from any of their four layouts.

    A head of 1000 classes, ImageNet's, is dropped where `net` has another number of classes; `net` then keeps its own
    head. So is the up-sampling layer of Yu's wrapper, which is fixed and bilinear (see `semcg.segmenters.upsample`).
    Where a file has no counters of batches, those of `net` become 0.

    Parameters
    ----------
    net : semcg.segmenters.DRN26
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
    stored, own, notes = _read(path), net.state_dict(), []
    state = _renamed(stored)
    if len(state) < len(stored):
        notes.append("the up-sampling layer up.weight is dropped: semcg.segmenters.upsample takes its place.")
    classes, inside = own["fc.weight"].shape[:2]
    head = {name: tuple(state[name].shape) for name in ("fc.weight", "fc.bias") if name in state}
    if classes != 1000 and head == {"fc.weight": (1000, inside, 1, 1), "fc.bias": (1000,)}:
        state |= {name: own[name] for name in head}
        notes.append(f"the head of 1000 classes (ImageNet) is dropped, since the network has {classes}.")
    counters = [name for name in own if name.endswith(".num_batches_tracked")]
    if not any(name in state for name in counters):
        state |= {name: torch.zeros_like(own[name]) for name in counters}
        notes.append("there are no counters of batches (num_batches_tracked); they are set to 0.")
    try:
        copy.deepcopy(net).load_state_dict(state)  # which loads what fits even where it raises
    except RuntimeError as error:
        listed = textwrap.shorten(str(error), 2000)
        raise ValueError(f"{path} holds no weights of this DRN26; nothing was loaded. {listed}") from None
    net.load_state_dict(state)
    return [f"{path.name}: {note}" for note in notes]


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
        if wrong := _wrong(path.read_bytes(), digits[1]):
            raise ValueError(f"{path} is {wrong}. Remove it, and it is fetched again from {url}")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part, again = path.with_name(f".{name}.part"), f"or put the file yourself at {path}"
    try:
        _download(url, part)
    except (URLError, HTTPException, TimeoutError) as error:  # of the network; what a disk says is passed on
        resumes = "Try again later: the download resumes"
        raise OSError(f"the download of {url} failed: {error}. {resumes}; {again}") from None
    if wrong := _wrong(part.read_bytes(), digits[1]):
        part.unlink()
        raise ValueError(f"the file from {url} is {wrong}. Try again later, {again}")
    os.replace(part, path)
    return path


def _download(url: str, part: Path) -> None:
    """Write what is at `url` to `part`, or the rest of it where `part` holds a beginning."""
    there = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        response = build_opener(_PrivateRedirects).open(request, timeout=60)
    except HTTPError as error:
        error.close()
        if error.code == 416:  # nothing is missing
            return
        raise
    with response, open(part, "ab" if response.status == 206 else "wb") as handle:
        shutil.copyfileobj(response, handle)
        if response.length:
            raise IncompleteRead(b"", response.length)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"no weights {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
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
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path} holds no state dict of names and tensors")
    return {str(key): value for key, value in content.items()}


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state by the names of `DRN26`, without the layer `up` of Yu's wrapper.

    A layout applies to all keys or to none, so no two can meet.
    """
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    if all(key.startswith(("base.", "seg.", "up.")) for key in state):
        part = re.compile(r"(seg|base\.\d+)(?=\.)")
        state = {
            part.sub(lambda m: _WRAPPED.get(m[0], m[0]), key, count=1): value
            for key, value in state.items()
            if key != "up.weight"
        }
    return state


def _private(url: str) -> bool:
    """Return whether nobody on the way can read or alter what `url` sends."""
    parts = urlsplit(url)
    here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    return parts.scheme == "https" or (parts.scheme == "http" and here)


class _PrivateRedirects(HTTPRedirectHandler):
    def redirect_request(self, request, response, code, message, headers, url):
        if not _private(url):
            response.close()
            raise HTTPException(f"it leads to {url}, and weights are fetched by https")
        return super().redirect_request(request, response, code, message, headers, url)


def _wrong(content: bytes, digits: str) -> str:
    """Return what is wrong with contents whose SHA-256 should begin with `digits`; nothing if it does."""
    digest = hashlib.sha256(content).hexdigest()
    if digest.startswith(digits):
        return ""
    is_page = content[:64].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))
    kind = "a web page" if is_page else "another file"
    return f"{kind}: {len(content)} bytes whose SHA-256 begins with {digest[: len(digits)]}, not {digits}"
