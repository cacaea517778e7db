"""Picture files by kinds, each given to each reader: taken with the right pixels, or refused by name.

Bits, color types and transparency of PNG, EXIF orientations, formats under each ending, sizes and damage. All of them run
in `make test-slow`, every tenth in the ordinary run.
"""

import math
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from chaos import corpus
from PIL import Image

from semcg import evaluate, labels, segmenters, translate
from semcg.data import Scenes
from semcg.devices import fabric_for
from semcg_kit import prepare

pytestmark = pytest.mark.filterwarnings("default:Corrupt EXIF data")
H, W = 8, 16
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
BITS = {GRAY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GRAY_ALPHA: (8, 16), RGBA: (8, 16)}
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}


class Kind(NamedTuple):
    """A file, and what a reader shall make of it."""

    name: str
    """Of the file."""
    content: bytes
    pixels: np.ndarray | None
    """What is to be read, upright: (H, W, 3) of an image, (H, W) of a label; None: it is to be refused."""
    turned: bool = False
    """Whether EXIF data turn it: then it is refused where a label might not be turned."""


def packed(values: np.ndarray, bits: int) -> bytes:
    """Return the data of a PNG with values (H, W, channels) of so many bits."""
    if bits == 16:
        return corpus.rows(values.astype(">u2").reshape(len(values), -1))
    flat = values.reshape(len(values), -1).astype(np.uint8)
    binary = np.unpackbits(flat[..., None], axis=2)[..., 8 - bits :].reshape(len(values), -1)
    return corpus.rows(np.packbits(binary, axis=1))


def pngs(of_labels: bool):
    """Yield a PNG of each color type, number of bits and way to be transparent."""
    draw = np.random.default_rng(0)
    for color, every in BITS.items():
        for bits in every:
            highest = min(2**bits, 19 if of_labels else 65536)
            values = draw.integers(0, highest, (H, W, CHANNELS[color]))
            for clear in ("opaque", "unused key", "clear pixel"):
                v, chunks = values.copy(), []
                if color in (GRAY_ALPHA, RGBA):
                    if clear == "unused key":
                        continue
                    v[..., -1] = 2**bits - 1
                    v[0, 0, -1] -= clear == "clear pixel"
                if color == PALETTE:
                    # Neither a ramp of grays nor the colors of the classes, which would tell what the values are.
                    table = np.arange(2**bits)[:, None] * (3, 5, 7) % 251
                    chunks.append(corpus.chunk(b"PLTE", table.astype(np.uint8).tobytes()))
                    if clear != "opaque":
                        v[v == 0] = 1
                        v[0, 0] = 0 if clear == "clear pixel" else 1
                        chunks.append(corpus.chunk(b"tRNS", b"\0"))
                elif color in (GRAY, RGB) and clear != "opaque":
                    v[(v == v[0, 0]).all(-1)] = v[0, 1]
                    key = v[0, 0] if clear == "clear pixel" else values[0, 0]
                    chunks.append(corpus.chunk(b"tRNS", struct.pack(f">{len(key)}H", *key.tolist())))
                    used = (v == key).all(-1).any()
                    if (clear == "clear pixel") != used:
                        continue
                content = corpus.png(W, H, *chunks, bits=bits, kind=color, data=packed(v, bits))
                yield f"type{color}-{bits}bits-{clear.replace(' ', '_')}.png", content, v, color, bits, clear


@cache
def images() -> list[Kind]:
    """Return images of every kind."""
    found = []
    for name, content, v, color, bits, clear in pngs(of_labels=False):
        good = bits == 8 and color != PALETTE and clear != "clear pixel"
        rgb = np.repeat(v[..., :1], 3, 2) if color in (GRAY, GRAY_ALPHA) else v[..., :3]
        found.append(Kind(name, content, rgb.astype(np.uint8) if good else None))
    x = corpus.colors()[:H, :W]
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        turn = [None, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9][orientation + 1] in range(2, 9)
        upright = TURNS.get(orientation, lambda a: a)(x)
        found.append(Kind(f"exif{orientation}.png", corpus.encoded(x, exif=exif), upright, turn))
    for ending in ("png", "jpg", "jpeg"):
        for form in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "TGA"):
            content = corpus.encoded(x, form)
            found.append(Kind(f"{form}.{ending}", content, x if form == "PNG" else None))
    for height, width in ((1, 1), (1, 200), (200, 1), (1, 16384)):
        x = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
        found.append(Kind(f"{height}x{width}.png", corpus.encoded(x), x))
    for height, width in ((1, 16385), (16385, 1), (8193, 8193), (65535, 65535), (0, 5)):
        found.append(Kind(f"{height}x{width}.png", corpus.png(width, height), None))
    whole = corpus.encoded(corpus.colors()[:H, :W])
    for share in (0.0, 0.02, 0.1, 0.3, 0.5, 0.8):
        found.append(Kind(f"cut{share}.png", whole[: int(share * len(whole))], None))
    for place in (0, 3, 13, 20, 24, 25, 40, 60, 100, 200):
        flipped = bytearray(whole)
        flipped[place] ^= 0x40
        found.append(Kind(f"flipped{place}.png", bytes(flipped), None))
    smooth = np.repeat(np.arange(W, dtype=np.uint8)[None, :, None] * 9, H, 0).repeat(3, 2)
    return found + flipped_bits(smooth)


def flipped_bits(pixels: np.ndarray) -> list[Kind]:
    """Return pictures with one wrong bit in their compressed pixels: most decode, to other pixels."""
    whole = corpus.encoded(pixels)
    first, last = whole.index(b"IDAT") + 4, whole.index(b"IEND") - 8
    kinds = []
    for bit in np.linspace(8 * first, 8 * last - 1, 12).astype(int).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        kinds.append(Kind(f"data-bit{bit}.png", bytes(flipped), None))
    return kinds


TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # EXIF 2.3, table of Orientation
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@cache
def label_files() -> list[Kind]:
    """Return labels of every kind, with train ids."""
    found = []
    for name, content, v, color, bits, clear in pngs(of_labels=True):
        good = clear != "clear pixel" and (color == PALETTE or (color == GRAY and 2 <= bits <= 8))
        found.append(Kind(name, content, v[..., 0].astype(np.uint8) if good else None))
    y = corpus.ids()[:H, :W]
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        found.append(
            Kind(f"exif{orientation}.png", corpus.encoded(y, exif=exif), y if orientation == 1 else None)
        )
    for form in ("JPEG", "GIF", "BMP", "TIFF"):
        found.append(Kind(f"{form}.png", corpus.encoded(y, form), None))
    for value in (35, 100, 200, 254):
        wrong = y.copy()
        wrong[2, 3] = value
        found.append(Kind(f"value{value}.png", corpus.encoded(wrong), None))
    return found + flipped_bits(np.repeat(np.arange(W, dtype=np.uint8)[None], H, 0))


# ---------------------------------------------------------------- readers: what each makes of a file, (H, W, 3) or (H, W)


def put(root: Path, kind: Kind, label: bool = False) -> Path:
    """Write a kind as the only frame of `root`, and a partner of the size that it says."""
    path = root / ("labels" if label else "images") / kind.name
    path.parent.mkdir(parents=True)
    path.write_bytes(kind.content)
    size = (H, W) if kind.pixels is None else kind.pixels.shape[:2]
    partner = root / ("images" if label else "labels") / f"{path.stem}.png"
    partner.parent.mkdir()
    pixels = corpus.colors() if label else corpus.ids()
    shape = (math.ceil(size[0] / corpus.H), math.ceil(size[1] / corpus.W)) + (1,) * (pixels.ndim - 2)
    partner.write_bytes(corpus.encoded(np.tile(pixels, shape)[: size[0], : size[1]]))
    return path


def as_pixels(x: torch.Tensor) -> np.ndarray:
    return ((x + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


def by_scenes(root: Path, kind: Kind, label: bool) -> np.ndarray:
    put(root, kind, label)
    x, y = Scenes(root).frame(0)
    return y.byte().numpy() if label else as_pixels(x)


def by_translate(root: Path, kind: Kind, label: bool) -> np.ndarray:
    path = put(root, kind)
    list(translate.folder(translate.identity, path.parent, root / "out"))
    return as_pixels(translate.image(root / "out" / f"{path.stem}.png"))


def by_evaluate(root: Path, kind: Kind, label: bool) -> np.ndarray:
    """Return what the judge was shown, or the counts of the label's values in its place."""
    put(root, kind, label)
    seen = []
    judge = segmenters.SmallUNet(width=4).eval()
    judge.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    counts = evaluate.counts_of_folders(judge, root / "images", root / "labels", fabric=fabric_for("cpu"))
    if label:
        assert counts.sum(1).tolist() == np.bincount(kind.pixels.ravel(), minlength=19)[:19].tolist()
        return kind.pixels
    if seen[0].shape[1:] != kind.pixels.shape[:2]:  # padded, which only adds
        return kind.pixels
    return as_pixels(seen[0])


def by_prepare(root: Path, kind: Kind, label: bool, *, labeled: bool = True) -> np.ndarray:
    path = put(root, kind, label)
    for i in range(100, 112):
        target = root / "target" / f"{i}.png"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(corpus.encoded(corpus.colors(i)))
    source = prepare.Domain(root / "images", root / "labels" if labeled else None)
    prepare.write(prepare.plans(source, prepare.Domain(root / "target")), root / "out")
    made = root / "out/source/train" / ("labels" if label else "images") / f"{path.stem}.png"
    return np.array(Image.open(made, formats=("PNG",)))


def by_prepare_unlabeled(root: Path, kind: Kind, label: bool) -> np.ndarray:
    return by_prepare(root, kind, label, labeled=False)


def by_gta5(root: Path, kind: Kind, label: bool) -> np.ndarray:
    """Return what is written of a frame of an archive, whose labels are label ids; one that is left out is refused."""
    for n in range(1, 8):
        for folder, pixels in (("images", corpus.colors(n)), ("labels", labels.to_label_ids(corpus.ids(n)))):
            path = root / "gta5" / folder / f"{n:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(corpus.encoded(pixels))
    path = put(root / "one", kind, label)
    for folder in ("images", "labels"):
        (partner,) = (root / "one" / folder).iterdir()
        (root / "gta5" / folder / "00003.png").write_bytes(partner.read_bytes())
    prepare.write([prepare.gta5(root / "gta5")], root / "out")
    with open(root / "out/source/left_out.csv", encoding="utf-8") as handle:
        if "00003" in (text := handle.read()):
            raise ValueError(text.replace("00003.png", path.name))
    (made,) = (root / "out/source").glob(f"*/{'labels' if label else 'images'}/00003.png")
    return np.array(Image.open(made, formats=("PNG",)))


PAIRED = (by_scenes, by_evaluate, by_prepare, by_gta5)
CASES = [
    (kind, reader, False) for kind in images() for reader in (*PAIRED, by_translate, by_prepare_unlabeled)
]
CASES += [(kind, reader, True) for kind in label_files() for reader in PAIRED]


def expected(kind: Kind, reader: Callable, label: bool) -> np.ndarray | None:
    """Return the pixels that a reader is to give; None if it is to refuse the file."""
    if kind.pixels is None or (kind.turned and reader in PAIRED):
        return None
    wanted = labels.to_train_ids(kind.pixels) if label and reader is by_gta5 else kind.pixels
    if reader in (by_prepare, by_prepare_unlabeled, by_gta5) and (
        (kind.pixels == kind.pixels[0, 0]).all() or (label and (wanted == labels.IGNORE).all())
    ):
        return None  # blank
    return wanted


@pytest.mark.parametrize(
    ("kind", "reader", "label"),
    [
        pytest.param(*case, id=f"{case[1].__name__}-{'label' if case[2] else 'image'}-{case[0].name}")
        if i % 10 == 0
        else pytest.param(
            *case,
            id=f"{case[1].__name__}-{'label' if case[2] else 'image'}-{case[0].name}",
            marks=pytest.mark.slow,
        )
        for i, case in enumerate(CASES)
    ],
)
def test_a_file_is_taken_for_what_it_is_or_refused_by_name(tmp_path, kind, reader, label):
    wanted = expected(kind, reader, label)
    if wanted is None:
        with pytest.raises((ValueError, OSError)) as caught:
            reader(tmp_path, kind, label)
        told = str(caught.value)
        assert kind.name.rpartition(".")[0] in told or (reader is by_gta5 and "00003" in told), told
        assert not list(tmp_path.rglob("*.partial*.png"))
    else:
        np.testing.assert_array_equal(reader(tmp_path, kind, label), wanted)


def test_there_are_at_least_three_hundred_cases(capsys):
    with capsys.disabled():
        print(f"\n{len(CASES)} picture files given to readers, of {len(images()) + len(label_files())} kinds")
    assert len(CASES) >= 300
