"""Published weights: every layout gives the same scores, nothing runs on loading, and fetching finds what is wrong."""

import hashlib
import http.server
import os
import pickle
import re
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from semcg.published import IMAGENET
from semcg.segmenters import DRN26, fetch_imagenet, load_published

WIDTH = 1 / 16
NUMBERS = {"conv1": 0, "bn1": 1, **{f"layer{k}": k + 2 for k in range(1, 9)}}


def net(seed: int, **options) -> DRN26:
    """A narrow network with weights, moments and counters of its own."""
    torch.manual_seed(seed)
    drn = DRN26(**{"width": WIDTH, **options}).eval()
    for value in drn.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.uniform_(0.5, 1.5)
        elif value.ndim == 0:
            value.fill_(seed)
    return drn


def scores(drn: DRN26) -> Tensor:
    x = 2 * torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(7)) - 1
    with torch.no_grad():
        return drn(x)


def without_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if "num_batches" not in name}


def wrapped(state: dict[str, Tensor], *, up: bool = True) -> dict[str, Tensor]:
    """The names of Yu's wrapper for segmentation."""
    renamed = {}
    for name, value in state.items():
        first, _, rest = name.partition(".")
        renamed[f"seg.{rest}" if first == "fc" else f"base.{NUMBERS[first]}.{rest}"] = value
    return {**renamed, "up.weight": torch.rand(19, 1, 16, 16)} if up else renamed


def parallel(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": value for name, value in state.items()}


def saved(content, path: Path, **options) -> Path:
    torch.save(content, path, **options)
    return path


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def copy(drn: DRN26) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in drn.state_dict().items()}


UP, COUNTERS, HEAD = "up.weight is dropped", "no counters of batches", "head of 1000 classes .* is dropped"
LAYOUTS = {
    "plain": (lambda s: s, []),
    "counterless": (without_counters, [COUNTERS]),
    "wrapped": (wrapped, [UP]),
    "wrapped, no up": (lambda s: wrapped(s, up=False), []),
    "parallel": (parallel, []),
    "parallel wrapped counterless": (lambda s: parallel(wrapped(without_counters(s))), [UP, COUNTERS]),
    "under state_dict": (lambda s: {"epoch": 3, "arch": "drn_c_26", "state_dict": parallel(s)}, []),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stride", [8, 4])
def test_every_layout_gives_the_scores_of_the_original(layout, stride, tmp_path):
    arrange, dropped = LAYOUTS[layout]
    original, loaded = net(1, stride=stride), net(2, stride=stride)
    assert not torch.allclose(scores(original), scores(loaded))
    said = load_published(loaded, saved(arrange(original.state_dict()), tmp_path / "w.pth"))
    assert torch.equal(scores(loaded), scores(original))
    assert len(said) == len(dropped)
    for sentence, what in zip(said, dropped, strict=True):
        assert re.match(rf"w\.pth: .*{what}", sentence)
    counted = {int(v) for name, v in loaded.state_dict().items() if "num_batches" in name}
    assert counted == ({0} if COUNTERS in dropped else {1})


@pytest.mark.parametrize("arrange", [parallel, lambda s: s, lambda s: parallel(without_counters(s))])
def test_the_head_of_imagenet_is_dropped_and_said_so(arrange, tmp_path):
    classifier, loaded = net(1, classes=1000), net(2)
    path = saved(arrange(classifier.state_dict()), tmp_path / "w.pth")
    head = loaded.fc.weight.clone(), loaded.fc.bias.clone()
    said = load_published(loaded, path)
    assert re.search(rf"w\.pth: the {HEAD}, since the network has 19", said[0])
    assert torch.equal(loaded.fc.weight, head[0])
    assert torch.equal(loaded.fc.bias, head[1])
    with torch.no_grad():  # the trunk is the classifier's: under its head come its scores
        classifier.fc.weight, classifier.fc.bias = loaded.fc.weight, loaded.fc.bias
    assert torch.equal(scores(loaded), scores(classifier))


def test_a_head_of_imagenet_that_fits_is_kept(tmp_path):
    classifier, loaded = net(1, classes=1000), net(2, classes=1000)
    assert load_published(loaded, saved(classifier.state_dict(), tmp_path / "w.pth")) == []
    assert torch.equal(scores(loaded), scores(classifier))


def test_other_file_formats(tmp_path):
    """Safetensors, the format of PyTorch before 1.6 (that of the files of 2017), and half precision."""
    original = net(1)
    save_file(wrapped(original.state_dict(), up=False), tmp_path / "w.safetensors")
    old = saved(original.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for path in (tmp_path / "w.safetensors", old):
        loaded = net(2)
        assert load_published(loaded, path) == []
        assert same(loaded.state_dict(), original.state_dict())
    half = {n: v.half() if v.is_floating_point() else v for n, v in original.state_dict().items()}
    loaded = net(2)
    load_published(loaded, saved(half, tmp_path / "half.pth"))
    assert loaded.conv1.weight.dtype == torch.float32
    assert torch.equal(loaded.conv1.weight, half["conv1.weight"].float())


def test_counts_at_full_size(tmp_path):
    """The published layouts have 182 and 152 entries, 20,613,584 parameters below the head and 21,126,584 with 1000."""
    torch.manual_seed(0)
    classifier = DRN26(classes=1000)
    state = classifier.state_dict()
    assert len(state) == 182
    old = without_counters(state)
    assert len(old) == 152
    learned = {name: p.numel() for name, p in classifier.named_parameters()}
    assert sum(learned.values()) == 21_126_584
    assert sum(n for name, n in learned.items() if not name.startswith("fc.")) == 20_613_584
    assert len(wrapped(old)) == 153
    loaded = DRN26()
    said = load_published(loaded, saved(parallel(old), tmp_path / "full.pth"))
    assert len(said) == 2
    assert torch.equal(loaded.layer8[0].conv2.weight, classifier.layer8[0].conv2.weight)


def refused(state, path: Path, *, classes: int = 19) -> str:
    """What load_published says of a state that it must not load; the network is as it was."""
    loaded = net(2, classes=classes)
    before = copy(loaded)
    with pytest.raises(ValueError) as error:
        load_published(loaded, saved(state, path))
    assert same(loaded.state_dict(), before)
    assert str(path) in str(error.value)
    return str(error.value)


def test_unexpected_missing_and_misshapen_keys_are_listed(tmp_path):
    path = tmp_path / "w.pth"
    state = copy(net(1))
    state["conv2.weight"] = torch.zeros(2, 3)
    state["up.weight"] = torch.zeros(19, 1, 16, 16)  # only the wrapper has one
    del state["layer3.1.bn2.running_var"], state["bn1.num_batches_tracked"]
    state["layer5.0.conv1.weight"] = torch.zeros(16, 8, 1, 1)
    said = refused(state, path)
    assert 'Unexpected key(s) in state_dict: "conv2.weight", "up.weight".' in said
    assert 'Missing key(s) in state_dict: "layer3.1.bn2.running_var".' in said
    assert re.search(r"size mismatch for layer5\.0\.conv1\.weight: .*16, 8, 1, 1.*16, 8, 3, 3", said)
    state = parallel(wrapped(copy(net(1)))) | {"module.base.11.weight": torch.zeros(1)}
    assert 'Unexpected key(s) in state_dict: "base.11.weight".' in refused(state, path)


def test_layouts_do_not_mix(tmp_path):
    """With a key of each of two layouts for the same weights, neither is taken."""
    state = copy(net(1))
    for key in ("module.conv1.weight", "base.0.weight", "seg.bias"):
        said = refused({**state, key: torch.zeros(19)}, tmp_path / "w.pth")
        assert f'Unexpected key(s) in state_dict: "{key}"' in said


def test_another_head_or_width_is_an_error(tmp_path):
    said = refused(copy(net(1, classes=21)), tmp_path / "w.pth")
    assert re.search(r"fc\.weight: .*21, 32, 1, 1.*19, 32, 1, 1.*fc\.bias: .*21.*19", said)
    said = refused(copy(net(1, classes=1000, width=1 / 8)), tmp_path / "w.pth")
    assert said.endswith("[...]"), "a long list is cut"
    headless = {name: value for name, value in net(1).state_dict().items() if not name.startswith("fc.")}
    assert '"fc.weight", "fc.bias"' in refused(headless, tmp_path / "w.pth")
    half = {**copy(net(1, classes=1000)), "fc.bias": torch.zeros(19)}
    assert "size mismatch for fc.weight" in refused(half, tmp_path / "w.pth")


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(zipped, tmp_path):
    mark, path, loaded = tmp_path / "ran", tmp_path / "w.pth", net(2)
    content = {**net(1).state_dict(), "extra": Malicious(mark)}
    saved(content, path, _use_new_zipfile_serialization=zipped)
    torch.load(path, weights_only=False)
    assert mark.exists(), "the planted code works"
    mark.rmdir()
    before = copy(loaded)
    with pytest.raises(ValueError, match=r"w\.pth is damaged, or holds more than plain weights") as error:
        load_published(loaded, path)
    assert not mark.exists()
    assert f"GLOBAL {os.name}.mkdir" in str(error.value)
    assert "weights_only" not in str(error.value)  # torch's advice: to run the code
    assert same(loaded.state_dict(), before)


def test_files_that_are_no_weights(tmp_path):
    loaded, path = net(2), tmp_path / "w.pth"
    with pytest.raises(FileNotFoundError, match=r"no weights .*none\.pth"):
        load_published(loaded, tmp_path / "none.pth")
    whole = saved(net(1).state_dict(), path).read_bytes()
    old = saved(net(1).state_dict(), path, _use_new_zipfile_serialization=False).read_bytes()
    for content in (
        whole[:-500],
        old[:-500],
        b"<html>not here</html>",
        b"",
        pickle.dumps(Malicious(tmp_path / "ran"), protocol=2),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"w\.pth is damaged, or holds more"):
            load_published(loaded, path)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ValueError, match="holds no state dict"):
        load_published(loaded, saved([torch.zeros(1)], path))
    with pytest.raises(ValueError, match="holds no state dict"):
        load_published(loaded, saved({"epoch": 3, "fc.bias": torch.zeros(1)}, path))
    (tmp_path / "w.safetensors").write_bytes(whole)
    with pytest.raises(ValueError, match=r"w\.safetensors is damaged"):
        load_published(loaded, tmp_path / "w.safetensors")


PAGE = b"<!DOCTYPE html><html><body>This file has moved.</body></html>"


class Answers(http.server.BaseHTTPRequestHandler):
    """Serves `server.content` in the way that the first folder of the path names."""

    def do_GET(self):
        self.server.asked.append(self.path)
        how, content = self.path.split("/")[1], self.server.content
        if how == "absent":
            self.send_error(404)
            return
        begun = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if how == "whole" and begun:
            content = content[int(begun[1]) :]
            self.send_response(206 if content else 416)
        else:
            self.send_response(302 if how == "away" else 200)
        if how == "away":
            self.send_header("Location", "http://example.com/drn-00000000.pth")
        body = {"altered": content[:-1] + b"?", "page": PAGE, "ends": content[:-9], "away": b""}
        body = body.get(how, content)
        if how != "ends":  # without a length, the end of the connection is the end of the file
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if how == "cut" else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "*")
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    serving.content = saved(net(1).state_dict(), tmp_path / "served.pth").read_bytes()
    serving.asked = []
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    digits = hashlib.sha256(serving.content).hexdigest()[:8]
    serving.name = f"drn-{digits}.pth"
    serving.at = lambda how: f"http://127.0.0.1:{serving.server_port}/{how}/{serving.name}"
    yield serving
    serving.shutdown()
    serving.server_close()
    thread.join()


def test_the_published_address():
    assert IMAGENET == "https://dl.yf.io/drn/drn_c_26-ddedf421.pth"


def test_whole_file_comes_once_and_loads(server, tmp_path, capfd):
    path = fetch_imagenet(tmp_path / "a" / "weights", url=server.at("whole"))
    assert path == tmp_path / "a" / "weights" / server.name
    assert path.read_bytes() == server.content
    assert [p.name for p in path.parent.iterdir()] == [server.name]
    assert fetch_imagenet(str(path.parent), url=server.at("whole")) == path
    assert len(server.asked) == 1
    assert capfd.readouterr() == ("", "")
    loaded = net(2)
    assert load_published(loaded, path) == []
    assert torch.equal(scores(loaded), scores(net(1)))


FAULTS = {
    "cut": (OSError, r"failed: IncompleteRead"),
    "absent": (OSError, r"failed: .* 404"),
    "ends": (ValueError, r"is another file: \d+ bytes whose SHA-256 begins with [0-9a-f]{8}, not "),
    "altered": (ValueError, r"is another file: \d+ bytes whose SHA-256 begins with [0-9a-f]{8}, not "),
    "page": (ValueError, rf"is a web page: {len(PAGE)} bytes"),
}


@pytest.mark.parametrize("how", FAULTS)
def test_what_comes_wrong_is_named_and_not_kept(how, server, tmp_path):
    kind, words = FAULTS[how]
    folder = tmp_path / "weights"
    with pytest.raises(kind, match=words) as error:
        fetch_imagenet(folder, url=server.at(how))
    assert server.at(how) in str(error.value)
    assert str(error.value).endswith(f"put the file yourself at {folder / server.name}")
    part = folder / f".{server.name}.part"
    assert list(folder.iterdir()) == ([part] if how == "cut" else [])
    if how == "cut":  # what came is kept, and only the rest is asked for
        assert 0 < part.stat().st_size < len(server.content)
    assert fetch_imagenet(folder, url=server.at("whole")).read_bytes() == server.content
    assert list(folder.iterdir()) == [folder / server.name]


def test_a_part_from_a_server_that_sends_everything_again(server, tmp_path):
    (tmp_path / f".{server.name}.part").write_bytes(server.content[:1000])
    assert fetch_imagenet(tmp_path, url=server.at("again")).read_bytes() == server.content


def test_a_part_that_is_all(server, tmp_path):
    (tmp_path / f".{server.name}.part").write_bytes(server.content)
    assert fetch_imagenet(tmp_path, url=server.at("whole")).read_bytes() == server.content


def test_a_detour_to_plain_http_is_not_taken(server, tmp_path):
    with pytest.raises(OSError, match=r"failed: it leads to http://example\.com/.*, and .* by https\."):
        fetch_imagenet(tmp_path / "weights", url=server.at("away"))
    assert server.asked == [f"/away/{server.name}"]
    assert list((tmp_path / "weights").iterdir()) == []


def test_no_network(server, tmp_path):
    server.shutdown()
    server.server_close()
    for url in (server.at("whole"), IMAGENET):  # nobody listens; the tests let nothing out
        with pytest.raises(OSError, match=r"failed: .* put the file yourself at"):
            fetch_imagenet(tmp_path / "weights", url=url)
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_wrong_file_that_is_already_there_is_said_so_and_kept(server, tmp_path):
    path = tmp_path / server.name
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="is another file: 14 bytes .* Remove it") as error:
        fetch_imagenet(tmp_path, url=server.at("whole"))
    assert str(path) in str(error.value)
    assert path.read_bytes() == b"something else"
    assert server.asked == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://dl.yf.io/drn/drn_c_26-ddedf421.pth", "by https, not from http"),
        ("http://127.0.0.1.example.com/drn-ddedf421.pth", "by https, not from http"),
        ("ftp://127.0.0.1/drn-ddedf421.pth", "by https, not from ftp"),
        ("https://dl.yf.io/drn/drn_c_26.pth", "does not end in"),
        ("https://dl.yf.io/drn/drn_c_26-ddedf42.pth", "does not end in"),
    ],
)
def test_addresses_that_are_refused(url, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        fetch_imagenet(tmp_path / "weights", url=url)
    assert not (tmp_path / "weights").exists()
