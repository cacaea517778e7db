"""Bad files and parameters: each ends in an error that names the file or the parameter, or is taken for what it is.

The files are made by `chaos/corpus.py`. An alarm ends whatever waits for ever.
"""

import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_origin

import nbformat
import numpy as np
import pytest
import torch
from chaos import corpus
from safetensors.torch import save_file
from torch import nn

from semcg import config, evaluate, files, gan, labels, losses, metrics, pictures, segmenters, translate
from semcg.data import Batches, Scenes, Unpaired
from semcg.devices import fabric_for
from semcg.runs import shipped, trained
from semcg.segmenters import load_published
from semcg_kit import comparison, prepare
from semcg_kit.execution.course import notebook_path
from semcg_kit.execution.execute import typed
from semcg_kit.prepare import frames

PATIENCE = 20  # seconds
# A damaged EXIF block is told as a warning, and the picture is taken.
pytestmark = pytest.mark.filterwarnings("default:Corrupt EXIF data")


@contextmanager
def in_time() -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def late(number, frame):
        pytest.fail(f"still waiting after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refused(call: Callable[[], object], *named: str, kinds: tuple = (ValueError, OSError)) -> str:
    """Assert that a call raises one of the errors that the command line tells in a line, and that it names these."""
    with in_time(), pytest.raises(kinds) as caught:
        call()
    said = str(caught.value)
    assert [name for name in named if name not in said] == [], said
    assert len(said) < 1500, said
    return said


def own(out: Path, *, source: prepare.Domain, target: prepare.Domain, **options) -> Path:
    """Prepare two folders."""
    prepare.write(prepare.plans(source, target, out=out, **options), out)
    return out


# ---------------------------------------------------------------- pictures, to each of their three readers


def place(root: Path, name: str, write: corpus.Writer) -> Path:
    path = root / "set" / "images" / name
    path.parent.mkdir(parents=True)
    write(path)
    return path


def as_scenes(path: Path) -> list:
    scenes = Scenes(path.parent.parent, labels=False)
    return [scenes.frame(i)[0] for i in range(len(scenes))]


def as_frames_to_translate(path: Path) -> list:
    out = path.parent.parent / "out"
    list(translate.folder(translate.identity, path.parent, out))
    return [translate.image(p) for p in pictures.images_in(out).images]


def as_a_domain(path: Path) -> list:
    target = path.parent.parent / "target"
    target.mkdir()
    for i in range(100, 112):
        (target / f"{i:02}.png").write_bytes(corpus.encoded(corpus.colors(i)))
    out = path.parent.parent / "out"
    own(out, source=prepare.Domain(path.parent), target=prepare.Domain(target))
    return [translate.image(p) for p in pictures.images_in(out / "source" / "train" / "images").images]


READERS = [as_scenes, as_frames_to_translate, as_a_domain]
TURNED = ("turned.jpg", "on_its_side.jpg")  # by EXIF data: refused where a label may not be turned


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("name", corpus.pictures())
def test_a_bad_picture_is_named(tmp_path, name, reader):
    path = place(tmp_path, name, corpus.pictures()[name])
    refused(lambda: reader(path), name)
    assert not (path.parent.parent / "out" / "manifest.csv").exists()
    torn = [p for p in path.parent.parent.rglob("*.partial*") if p.is_file()]
    assert not torn, "something half-written was left"


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("name", corpus.usable())
def test_an_odd_picture_is_taken_as_it_is(tmp_path, name, reader):
    path = place(tmp_path, name, corpus.usable()[name])
    if reader is as_scenes and name in TURNED:
        assert "store it upright" in refused(lambda: reader(path), name)
        return
    with in_time():
        (taken,) = reader(path)
    assert taken.shape[0] == 3
    if path.suffix.lower() == ".png" and name not in ("jpeg.png", "gray.png", "gray_alpha.png"):
        assert torch.equal(taken, as_read(corpus.colors()))
    if name == "on_its_side.jpg":
        assert taken.shape[1:] == (corpus.W, corpus.H)
    assert not list(Path.cwd().glob("pwned")), "a file name was run"


def as_read(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).float().div_(127.5).sub_(1)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / os.fsdecode(b"\xff\xfe.png")).write_bytes(corpus.encoded(corpus.colors()))
    assert "rename it" in refused(lambda: pictures.images_in(tmp_path), "not UTF-8")


# ---------------------------------------------------------------- labels


def labeled(root: Path, name: str, write: corpus.Writer) -> Path:
    for folder in ("images", "labels"):
        (root / "set" / folder).mkdir(parents=True)
    path = root / "set" / "labels" / name
    write(path)
    (root / "set" / "images" / f"{path.stem}.png").write_bytes(corpus.encoded(corpus.colors()))
    return path


def labels_of_scenes(path: Path) -> object:
    return Scenes(path.parent.parent).frame(0)


def labels_of_a_domain(path: Path) -> object:
    target = path.parent.parent / "target"
    target.mkdir()
    for i in range(100, 112):
        (target / f"{i:02}.png").write_bytes(corpus.encoded(corpus.colors(i)))
    source = prepare.Domain(path.parent.parent / "images", labels=path.parent)
    return own(path.parent.parent / "out", source=source, target=prepare.Domain(target))


def labels_to_score(path: Path) -> object:
    judge = segmenters.SmallUNet(width=4).eval()
    return evaluate.counts_of_folders(
        judge, path.parent.parent / "images", path.parent, fabric=fabric_for("cpu")
    )


@pytest.mark.parametrize(
    "reader", [labels_of_scenes, labels_of_a_domain, labels_to_score], ids=lambda r: r.__name__
)
@pytest.mark.parametrize("name", corpus.labels())
def test_a_bad_label_is_named(tmp_path, name, reader):
    path = labeled(tmp_path, name, corpus.labels()[name])
    refused(lambda: reader(path), name)


def test_labels_that_are_void_throughout_are_taken_and_score_nothing(tmp_path):
    path = labeled(
        tmp_path,
        "void.png",
        lambda p: p.write_bytes(corpus.encoded(np.full((corpus.H, corpus.W), 255, np.uint8))),
    )
    assert (labels_of_scenes(path)[1] == 255).all()
    assert "no labeled pixel" in refused(Scenes(path.parent.parent).frequencies, "set")
    counts = labels_to_score(path)
    assert counts.sum() == 0
    assert math.isnan(metrics.mean_iou(counts)), "nothing scored is no score of 0"


# ---------------------------------------------------------------- folders


def a_set(root: Path, *names: str, labels_for: tuple[str, ...] = (), first: int = 0) -> Path:
    for i, name in enumerate(names, first):
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(corpus.encoded(corpus.colors(i)))
    for i, name in enumerate(labels_for):
        path = root / "labels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(corpus.encoded(corpus.ids(i)))
    return root


def test_a_set_of_one_frame_is_enough(tmp_path):
    scenes = Scenes(a_set(tmp_path, "a.png", labels_for=("a.png",)), crop=16, flip=0.5, color=True)
    assert [scenes.item(k)[0].shape for k in range(3)] == [(3, 16, 16)] * 3
    assert next(iter(Batches(Unpaired(scenes, scenes), batch=2)(0))).shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("names", "labels_for", "named"),
    [
        (("a.png", "a.jpg"), (), ("a.png", "a.jpg", "rename or remove")),
        (("a.png",), ("a.png", "a.jpg"), ("a.png", "a.jpg", "rename or remove")),
        (("a.png", "b.png"), ("a.png",), ("b", "no label")),
        (("a.png",), ("a.png", "b.png"), ("b", "no image")),
        (("a.png",), ("A.png",), ("no label",)),
        (
            ("a.png",),
            ("a_gtFine_labelIds.png", "a_gtFine_labelTrainIds.png"),
            ("Ids.png and", "TrainIds.png"),
        ),
        (("a.png",), ("b.png",), ("no label",)),
        ((), ("a.png",), ("no folder", "images")),
        (("notes.txt",), (), ("no PNG or JPEG", "images")),
        ((".hidden.png",), (), ("no PNG or JPEG",)),
        (("Thumbs.db",), (), ("no PNG or JPEG",)),
    ],
)
def test_a_set_that_does_not_pair_is_named(tmp_path, names, labels_for, named):
    refused(lambda: Scenes(a_set(tmp_path, *names, labels_for=labels_for)), *named)


@pytest.mark.parametrize(
    "options",
    [
        {"crop": 0},
        {"crop": -1},
        {"crop": 33},
        {"crop": (16, 65)},
        {"size": (0, 8)},
        {"size": (8, -8)},
        {"flip": -0.1},
        {"flip": 1.5},
        {"flip": float("nan")},
        {"seed": -1},
        {"size": (8, 8), "crop": 16},
    ],
    ids=str,
)
def test_impossible_options_of_a_set(tmp_path, options):
    refused(lambda: Scenes(a_set(tmp_path, "a.png"), **options))


@pytest.mark.parametrize(
    "options",
    [
        {"batch": 0},
        {"batch": -1},
        {"batch": 1, "workers": -1},
        {"batch": 1, "rank": 1},
        {"batch": 1, "rank": -1},
    ],
    ids=str,
)
def test_impossible_options_of_batches(tmp_path, options):
    refused(lambda: Batches(Scenes(a_set(tmp_path, "a.png")), **options))


def test_frames_of_different_size_do_not_share_a_batch(tmp_path):
    root = a_set(tmp_path, "a.png")
    (root / "images" / "b.png").write_bytes(corpus.encoded(corpus.colors()[:-1]))
    refused(lambda: Batches(Scenes(root), batch=2), "a.png", "b.png", "give a crop or size")


@pytest.mark.parametrize(
    "what", ["manifest gone", "manifest empty", "row cut", "not a number", "not UTF-8", "no heading"]
)
def test_a_damaged_manifest_is_named(tmp_path, what):
    listed = files.write_manifest(a_set(tmp_path, "a.png"))
    text = listed.read_bytes()
    damaged = {
        "manifest empty": b"",
        "row cut": text[:-15],
        "not a number": text.replace(b",", b",x"),
        "not UTF-8": text + b"\xff\xff",
        "no heading": text.split(b"\n", 1)[1],
    }
    listed.unlink() if what == "manifest gone" else listed.write_bytes(damaged[what])
    assert "rite" in refused(lambda: files.check_manifest(tmp_path), str(tmp_path))


# ---------------------------------------------------------------- mapping files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv", b""),
        ("m.csv", b"\n\n\n"),
        ("m.csv", b"\0" * 100),
        ("m.csv", b"\xff\xfe\x00"),
        ("m.csv", b"value:train_id\n1:2\n"),
        ("m.csv", b"value,train_id\n"),
        ("m.csv", b"value,train_id\n1\n"),
        ("m.csv", b"value,train_id\n1,2,3\n"),
        ("m.csv", b"value,train_id\n1,two\n"),
        ("m.csv", b"value,train_id\n1,1e0\n"),
        ("m.csv", b"value,train_id\n1.0,1\n"),
        ("m.csv", b"value,train_id\nnan,1\n"),
        ("m.csv", b"value,train_id\n-1,1\n"),
        ("m.csv", b"value,train_id\n256,1\n"),
        ("m.csv", b"value,train_id\n1,19\n"),
        ("m.csv", b"value,train_id\n1,-1\n"),
        ("m.csv", b"value,train_id\n1,254\n"),
        ("m.csv", b"value,train_id\n1,1\n1,1\n"),
        ("m.csv", b"value,train_id,value\n1,1,1\n"),
        ("m.csv", b"r,g,train_id\n1,1,1\n"),
        ("m.csv", b"r,g,b,train_id\n1,1,300,1\n"),
        ("m.csv", b'value,train_id\n"1,1\n'),
        ("m.csv", b"value,train_id\n=cmd|'/c calc',1\n"),
        ("m.csv", b"value,train_id\n__import__('os'),1\n"),
        ("m.csv", b"value,train_id\n" + b"9" * 300 + b",1\n"),
        ("m.toml", b""),
        ("m.toml", b"\xff"),
        ("m.toml", b"class = 3\n"),
        ("m.toml", b"class = [1, 2]\n"),
        ("m.toml", b"[[class]]\n"),
        ("m.toml", b"[[class]]\nvalue = 1\n"),
        ("m.toml", b"[[class]]\nvalue = '1'\ntrain_id = 0\n"),
        ("m.toml", b"[[class]]\nvalue = true\ntrain_id = 0\n"),
        ("m.toml", b"[[class]]\nvalue = nan\ntrain_id = 0\n"),
        ("m.toml", b"[[class]]\nvalue = 1979-05-27\ntrain_id = 0\n"),
        ("m.toml", b"[[class]]\nvalue = 1\ntrain_id = 0\n[[class]]\nvalue = 1\ntrain_id = 1\n"),
        ("m.toml", b"[[class]]\nvalue = 1\nvalue = 2\ntrain_id = 0\n"),
        ("m.toml", b"[[class]]\nvalue = 1\ntrain_id = 0\nrun = 'rm -rf /'\n"),
        ("m.toml", b"[[class]]\ncolor = [1, 2, 3, 4]\ntrain_id = 0\n"),
        ("m.toml", b"a = " + b"[" * 5000),
        ("m.yaml", b"value: 1\n"),
        ("m", b"value,train_id\n1,1\n"),
    ],
)
def test_a_bad_mapping_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(lambda: prepare.mapping(tmp_path / name), name)


# ---------------------------------------------------------------- numbers of a config


def impossible() -> Iterator[tuple[str, object]]:
    """Yield values that no field may have, for every field: of another type, and on the wrong side of each limit."""
    for name, field in config.Config.model_fields.items():
        kind, limits = field.annotation, field.metadata
        yield name, None
        yield name, {"a": 1}
        yield name, object()
        if get_origin(kind) is Literal:
            yield name, "no such choice"
            yield name, -1
        elif kind in (int, float):
            yield name, "many"
            yield name, True
            yield name, float("nan")
            yield name, float("inf")
            yield name, [1]
            if kind is int:
                yield name, 1.5
            for limit in limits:
                for bound, step in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0)):
                    if hasattr(limit, bound):
                        yield name, getattr(limit, bound) + step
        elif kind is bool:
            yield name, "perhaps"
            yield name, 2
        elif kind is str:
            yield name, 3
            yield name, b"\xff"
        elif get_origin(kind) is tuple:
            yield name, (1,)
            yield name, (1, 1, 1)
            yield name, ("a", "b")
            yield name, (True, 1)
            yield name, (float("nan"), float("nan"))


IMPOSSIBLE = list(impossible())


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE, ids=lambda v: repr(v)[:15])
def test_an_impossible_number_of_a_config_is_named(name, value):
    if name == "profile":
        refused(lambda: config.make(value), kinds=(ValueError, TypeError)) if value else None
        return
    refused(lambda: config.make("smoke", **{name: value}), name)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lambda_S": 1}, "lambda_s"),
        ({"lamda_c": 1}, "lambda_c"),
        ({"__class__": 1}, "no such field"),
        ({"model_config": {}}, "no such field"),
        ({"crop": 96, "size": (64, 64)}, "crop = 96"),
        ({"crop": 72, "size": (128, 128)}, "multiple of 16"),
        ({"crop": 62, "generator": "resnet9"}, "multiple of 4"),
        ({"size": (0, 0)}, "size"),
        ({"size": (64, 1e9)}, "crop|size"),
    ],
    ids=str,
)
def test_numbers_that_do_not_go_together_are_named(changes, named):
    if named == "crop|size":  # a frame may be as wide as it likes
        assert config.make("smoke", **changes).size == (64, 10**9)
        return
    refused(lambda: config.make("smoke", **changes), named)


@pytest.mark.parametrize("profile", ["Mini", "mini ", "../mini", "gpu; rm -rf /", "\0", "日本"])
def test_an_unknown_profile_is_told_with_those_that_there_are(profile):
    refused(lambda: config.make(profile), "mini", "smoke", "paper", "gpu")


@pytest.mark.parametrize(
    "device", ["tpu", "cuda:-1", "cuda:99", "cuda:x", "CPU", "cpu; ls", "", "mps", "cuda:0:0", "meta"]
)
def test_an_unknown_device_is_told(device):
    refused(lambda: fabric_for(device), "device")


# ---------------------------------------------------------------- parameters of notebooks


@pytest.fixture
def book(tmp_path) -> Path:
    made = nbformat.v4.new_notebook()
    lines = [
        "n: int = 1  # how many",
        "rate: float = 0.5  # how fast",
        "loud: bool = False  # or not",
        "name: str = 'a'  # whose",
    ]
    made.cells = [nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["parameters"]})]
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, tmp_path / "book.ipynb")
    return tmp_path / "book.ipynb"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"n": "one"}, "n = 'one'"),
        ({"n": "1.5"}, "n = '1.5'"),
        ({"n": ""}, "n = ''"),
        ({"n": "1; import os"}, "n = "),
        ({"n": "0x10"}, "n = "),
        ({"rate": "fast"}, "rate = 'fast'"),
        ({"rate": "1,5"}, "rate = '1,5'"),
        ({"rate": "__import__('os').system('true')"}, "rate = "),
        ({"loud": "maybe"}, "loud = 'maybe'"),
        ({"loud": ""}, "loud = ''"),
        ({"loud": "2"}, "loud = '2'"),
        ({"N": "1"}, "it has n, rate, loud, name"),
        ({"": "1"}, "it has n"),
        ({"n; import os": "1"}, "it has n"),
        ({"__name__": "x"}, "it has n"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_a_bad_parameter_is_told_before_a_kernel_starts(book, given, named):
    refused(lambda: typed(book, given), named)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400"])
def test_a_rate_that_is_no_number_does_not_reach_a_training(text):
    """A notebook's floats are fields of a config, which takes only finite ones."""
    refused(lambda: config.make("smoke", lambda_s=float(text)), "lambda_s", "finite")


@pytest.mark.parametrize(
    "name", ["07_nothing", "../03_cyclegan", "", "03_cyclegan.py", "https://example.org/x.ipynb", "\0"]
)
def test_a_notebook_that_is_not_there_is_told(name):
    refused(lambda: notebook_path(name), *([] if "\0" in name else ["03_cyclegan"]))


# ---------------------------------------------------------------- weights and records


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """What is needed of a run to translate: a generator, and the record beside it."""
    folder = tmp_path_factory.mktemp("run")
    cfg = config.make("smoke")
    save_file(gan.UNet(width=8, depth=4, skip="full").state_dict(), folder / "G_st.safetensors")
    files.write_json(folder / "provenance.json", {"config": cfg.model_dump(mode="json")})
    return folder


def test_the_whole_weights_are_read(run_folder):
    assert trained.generator_from(run_folder, "st", fabric_for("cpu")).multiple == 16


WEIGHTS = {
    "zero": lambda b: b"",
    "cut header": lambda b: b[:7],
    "cut in half": lambda b: b[: len(b) // 2],
    "one byte short": lambda b: b[:-1],
    "one byte more": lambda b: b + b"\0",
    "page": lambda b: b"<!doctype html><html>404</html>",
    "pickle": lambda b: b"\x80\x04cos\nsystem\n",
    "zeros": lambda b: bytes(len(b)),
    "header of 2^60 bytes": lambda b: (2**60).to_bytes(8, "little") + b[8:],
    "header is no JSON": lambda b: (4).to_bytes(8, "little") + b"{{{{",
    "offsets beyond the end": lambda b: b.replace(b'"data_offsets":[0,', b'"data_offsets":[9,', 1),
    "other type": lambda b: b.replace(b'"F32"', b'"F99"', 1),
    "zip": lambda b: b"PK\x03\x04" + b,
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_damaged_weights_are_named(run_folder, tmp_path, what):
    for name in ("G_st.safetensors", "provenance.json"):
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    path = tmp_path / "G_st.safetensors"
    path.write_bytes(WEIGHTS[what](path.read_bytes()))
    refused(lambda: trained.generator_from(tmp_path, "st", fabric_for("cpu")), str(path))
    refused(lambda: load_published(segmenters.DRN26(width=1 / 64), path), str(path))


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (gan.UNet(width=4, depth=4, skip="full"), "narrower"),
        (gan.UNet(width=8, depth=3, skip="full"), "shallower"),
        (gan.UNet(width=8, depth=4, skip="half"), "another skip"),
        (gan.PatchGAN(width=8), "a discriminator"),
        (nn.Linear(2, 2), "something else"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_weights_of_another_network_are_named(run_folder, tmp_path, network, why):
    save_file(network.state_dict(), tmp_path / "G_st.safetensors")
    (tmp_path / "provenance.json").write_bytes((run_folder / "provenance.json").read_bytes())
    refused(
        lambda: trained.generator_from(tmp_path, "st", fabric_for("cpu")), "G_st.safetensors", "does not fit"
    )


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        "{}",
        '{"config": null}',
        '{"config": 3}',
        '{"config": {"moon": 1}}',
        '{"config": {"lr": -1}}',
        '{"config": {}, "weights": null}',
        '{"config": {}, "weights": ["a"]}',
        "[" * 100_000,
        "\0",
    ],
    ids=lambda content: content[:40],
)
def test_a_damaged_record_is_named(run_folder, tmp_path, content):
    folder = tmp_path / "generators" / "x"
    folder.mkdir(parents=True)
    (folder / "G_st.safetensors").write_bytes((run_folder / "G_st.safetensors").read_bytes())
    (folder / "provenance.json").write_text(content)
    refused(lambda: trained.generator_from(folder, "st", fabric_for("cpu")), "provenance.json")
    refused(lambda: shipped.generators(fabric_for("cpu"), folder=folder.parent), "provenance.json")
    refused(lambda: comparison.compare(folder, folder), "provenance.json")


@pytest.mark.parametrize("direction", ["", "ST", "s", "tts", "../ts"])
def test_an_unknown_direction_is_told(run_folder, direction):
    refused(lambda: trained.generator_from(run_folder, direction, fabric_for("cpu")), "direction", "st", "ts")


def test_weights_that_are_not_there_are_told(tmp_path):
    refused(lambda: trained.generator_from(tmp_path / "none", "st", fabric_for("cpu")), "no weights")
    refused(lambda: trained.segmenter_from(tmp_path, fabric_for("cpu")), "no weights")


# ---------------------------------------------------------------- arrays


@pytest.mark.parametrize(
    ("call", "kinds"),
    [
        (lambda: labels.to_train_ids(np.zeros((2, 2), np.int64)), (TypeError,)),
        (lambda: labels.to_train_ids(np.zeros((2, 2), np.int8)), (TypeError,)),
        (lambda: labels.to_train_ids(np.zeros((2, 2), bool)), (TypeError,)),
        (lambda: labels.to_train_ids(np.full((2, 2), np.nan)), (TypeError,)),
        (lambda: labels.to_train_ids([[300]]), (TypeError,)),
        (lambda: labels.to_label_ids(np.full((1, 1), 19, np.uint8)), (ValueError,)),
        (lambda: labels.to_colors(np.full((1, 1), 254, np.uint8)), (ValueError,)),
        (lambda: metrics.confusion(torch.zeros(2), torch.zeros(2)), (TypeError,)),
        (
            lambda: metrics.confusion(torch.zeros(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)),
            (TypeError,),
        ),
        (lambda: metrics.confusion(np.zeros(2), np.zeros(2)), (TypeError,)),
        (lambda: metrics.confusion(torch.zeros(2).long(), torch.zeros(3).long()), (ValueError,)),
        (lambda: metrics.confusion(torch.tensor([0]), torch.tensor([19])), (ValueError,)),
        (lambda: metrics.confusion(torch.tensor([0]), torch.tensor([-1])), (ValueError,)),
        (lambda: metrics.confusion(torch.tensor([0]), torch.tensor([2**40])), (ValueError,)),
        (lambda: metrics.confusion(torch.tensor([0]), torch.tensor([0]), 0), (ValueError,)),
        (lambda: metrics.confusion(torch.tensor([0]), torch.tensor([0]), 256), (ValueError,)),
        (lambda: metrics.iou(torch.zeros(3, 3)), (ValueError,)),
        (lambda: metrics.mean_iou(torch.zeros(4)), (ValueError,)),
        (lambda: metrics.category_iou(torch.zeros(3, 4)), (ValueError,)),
        (
            lambda: losses.semantic(torch.zeros(1, 19, 2, 2), torch.zeros(1, 19, 2, 3), kind="scores_l2"),
            (ValueError,),
        ),
        (
            lambda: losses.semantic(torch.zeros(1, 19, 2, 2), torch.zeros(1, 19, 2, 2), kind="L2"),
            (ValueError,),
        ),
        (
            lambda: losses.semantic(torch.zeros(1, 19, 2, 2), torch.zeros(1, 19, 2, 2), kind="ce_labels"),
            (ValueError,),
        ),
        (lambda: losses.cycle(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 3)), (ValueError,)),
        (lambda: losses.generator(torch.zeros(1), kind="wgan"), (ValueError,)),
        (lambda: losses.discriminator(torch.zeros(1), torch.zeros(1), kind=""), (ValueError,)),
        (lambda: gan.UNet(width=4, depth=0), (ValueError,)),
        (lambda: gan.UNet(width=4, depth=3, skip="none"), (ValueError,)),
        (lambda: gan.UNet(width=4, depth=3)(torch.zeros(1, 3, 12, 16)), (ValueError,)),
        (lambda: gan.UNet(width=4, depth=3)(torch.zeros(1, 1, 16, 16)), (ValueError,)),
        (lambda: gan.UNet(width=4, depth=3)(torch.zeros(3, 16, 16)), (ValueError,)),
        (lambda: gan.PatchGAN(width=4)(torch.zeros(3, 16, 16)), (ValueError,)),
        (lambda: segmenters.build("resnet"), (ValueError,)),
        (lambda: segmenters.build("drn26", stride=3), (ValueError,)),
        (lambda: segmenters.build("drn26", width=0), (ValueError,)),
        (lambda: segmenters.SmallUNet(width=4)(torch.zeros(3, 16, 16)), (ValueError,)),
        (lambda: segmenters.SmallUNet(width=4)(torch.zeros(1, 3, 16, 16, dtype=torch.uint8)), (TypeError,)),
        (lambda: translate.HistogramMatching(np.zeros((3, 256))), (ValueError,)),
        (lambda: translate.HistogramMatching(np.ones((3, 255))), (ValueError,)),
        (lambda: translate.HistogramMatching(np.full((3, 256), -1)), (ValueError,)),
    ],
)
def test_a_bad_array_is_told(call, kinds):
    said = refused(call, kinds=kinds)
    assert len(said) > 20, "an error says what was seen and what was wanted"


# ---------------------------------------------------------------- translating and preparing folders


def test_folders_that_would_eat_one_another_are_refused(tmp_path):
    root = a_set(tmp_path, "a.png")
    refused(
        lambda: list(translate.folder(translate.identity, root / "images", root / "images")), "into itself"
    )
    domain = prepare.Domain(root / "images")
    refused(lambda: own(root, source=domain, target=domain), "write elsewhere")
    (root / "mine.txt").write_text("precious")
    refused(lambda: own(root, source=prepare.Domain("/"), target=prepare.Domain("/")), str(root))
    assert (root / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize(
    "options",
    [
        {"val_share": float("nan")},
        {"val_share": float("inf")},
        {"test_share": float("nan")},
        {"test_share": -float("inf")},
        {"judge_share": float("nan")},
        {"val_share": 0},
        {"val_share": -1},
        {"val_share": 0.9, "test_share": 0.1},
        {"judge_share": 1},
        {"size": (10**6, 10**6)},
        {"size": (0, 1)},
        {"size": (-1, -1)},
    ],
    ids=str,
)
def test_impossible_shares_and_sizes_are_refused_before_anything_is_written(tmp_path, options):
    root = a_set(tmp_path / "in", *(f"{i:02}.png" for i in range(12)))
    domain = prepare.Domain(root / "images")
    refused(lambda: own(tmp_path / "out", source=domain, target=domain, **options), *options)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("distance", [float("nan"), float("inf"), -1.0])
def test_a_distance_that_is_none_is_told(tmp_path, distance):
    names = [f"{i:02}.png" for i in range(12)]
    root = a_set(tmp_path / "in", *names, labels_for=tuple(names))
    refused(
        lambda: prepare.Domain(root / "images", root / "labels", max_color_distance=distance),
        "max_color_distance",
        "0 or more",
    )


@pytest.mark.parametrize("scaled", [(46, 1914), (1, 10**5)])
def test_a_long_frame_is_not_scaled_beyond_what_can_be_read(scaled):
    """With --keep-aspect the short side decides, and the long one follows."""
    refused(
        lambda: frames.size_of(*scaled, (8192, 8192), keep_aspect=True), "can be read again", "smaller size"
    )


def test_memory_that_is_used_up_is_told_in_a_sentence(monkeypatch, capsys):
    """Python's own error, which says nothing, and torch's, which has words only."""
    import semcg_kit.__main__ as door

    for error in (
        MemoryError(),
        RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory: 1 bytes"),
    ):

        def fails(error=error):
            raise error

        monkeypatch.setattr(door, "app", fails)
        with pytest.raises(SystemExit) as left:
            door.main()
        assert left.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith("semcg: out of memory; close other programs, or use less at a time")
        assert "--size" in said
        assert "Traceback" not in said
    monkeypatch.setattr(door, "app", lambda: (_ for _ in ()).throw(RuntimeError("a fault of ours")))
    with pytest.raises(RuntimeError, match="ours"):
        door.main()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_frames_to_divide_are_told(tmp_path, count):
    root = a_set(tmp_path / "in", *(f"{i:02}.png" for i in range(count)))
    source = prepare.Domain(
        a_set(tmp_path / "other", *(f"{i:02}.png" for i in range(5)), first=20) / "images"
    )
    domain = prepare.Domain(root / "images")
    refused(lambda: own(tmp_path / "out", source=source, target=domain), "target: ")


@pytest.mark.parametrize("pattern", ["(", "[", "*", "(?P<x", "(x)", "x"])
def test_a_pattern_that_finds_no_sequence_is_told(tmp_path, pattern):
    root = a_set(tmp_path / "in", *(f"{i:02}.png" for i in range(12)))
    other = a_set(tmp_path / "other", *(f"{i + 20:02}.png" for i in range(12)), first=20)
    domain = prepare.Domain(root / "images", sequence=pattern)
    refused(
        lambda: own(tmp_path / "out", source=prepare.Domain(other / "images"), target=domain),
        pattern,
    )


def test_at_least_two_hundred_readings_of_bad_files_and_as_many_impossible_values():
    """Each bad picture given to each reader, each bad label to three; and the impossible fields of a config."""
    made = len(READERS) * len(corpus.pictures()) + 3 * len(corpus.labels())
    assert made >= 200
    assert len(IMPOSSIBLE) >= 200
