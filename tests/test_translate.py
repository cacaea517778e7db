"""Translations of any size, and of folders: nothing lost, nothing mixed, nothing half-written."""

import shutil
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.exposure import match_histograms
from torch import nn

from semcg import files, translate
from semcg.data import Scenes
from semcg.gan import Recolor, ResNet9, UNet
from semcg.translate import (
    ColorTable,
    Compiled,
    Guided,
    HistogramMatching,
    Padded,
    color_map,
    fingerprint,
    folder,
    identity,
    image,
    pad,
    pixels_of,
    sizes,
    split,
)


def noise(seed, *shape):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **options)


def frames(root, n=4, size=(20, 33), seed=0):
    for k in range(n):
        save(root / "images" / f"{k:02d}.png", noise(seed + k, *size, 3))
        save(root / "labels" / f"{k:02d}.png", noise(50 + seed + k, *size) % 19)
    return root


def generator(seed=0):
    torch.manual_seed(seed)
    return UNet(width=4, depth=3, skip="full").eval()


class Counting(nn.Module):
    """Inverts images and counts them; takes multiples of 4."""

    multiple = 4

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x):
        assert x.shape[-2] % 4 == 0
        assert x.shape[-1] % 4 == 0
        self.seen += len(x)
        return -x


def test_padding_by_hand():
    x = torch.arange(1.0, 10).view(1, 1, 1, 9)
    around, top, left = pad(x.expand(1, 1, 9, 9), 4)  # 9 -> 12: one before, two after
    assert (around.shape, top, left) == ((1, 1, 12, 12), 1, 1)
    assert around[0, 0, 5].tolist() == [2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7]
    short, top, left = pad(torch.tensor([[[[5.0, 7.0]]]]), 16)  # too short to be mirrored: 7 before, 7 after
    assert (short.shape, top, left) == ((1, 1, 16, 16), 7, 7)
    assert short[0, 0, 3].tolist() == [5] * 8 + [7] * 8


def test_what_fits_is_not_padded():
    x = torch.zeros(1, 3, 16, 24)
    assert pad(x, 8)[0] is x
    G = generator()
    x = torch.rand(2, 3, 16, 24) * 2 - 1
    with torch.no_grad():
        assert torch.equal(Padded(G)(x), G(x))


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (17, 23), (31, 8), (64, 65)])
@pytest.mark.parametrize(
    "G",
    [generator(), ResNet9(width=2).eval(), Recolor(width=2, depth=3).eval(), Guided(ResNet9(width=2).eval())],
    ids=["unet", "resnet9", "recolor", "guided"],
)
def test_any_size_comes_back(G, size):
    x = torch.rand(1, 3, *size) * 2 - 1
    with torch.no_grad():
        y = Padded(G)(x)
    assert y.shape == x.shape
    assert y.abs().max() <= 1


def test_padding_and_cropping_keep_every_pixel_in_place():
    x = torch.rand(2, 3, 13, 22)
    assert torch.equal(Padded(Counting())(x), -x)


def test_a_color_table_by_hand():
    """One pair at an entry of the table: exactly that color there, the same change elsewhere, cut off at the ends."""
    x, y = np.zeros((50, 3)), np.tile([0.2, -0.4, 0.0], (50, 1))
    table = ColorTable.fit(x, y, entries=9)
    image = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.9, -0.9, 0.1]]).T.view(1, 3, 1, 3)
    got = table(image)[0, :, 0].T
    torch.testing.assert_close(got[0], torch.tensor([0.2, -0.4, 0.0]), atol=0.01, rtol=0)
    assert got[1, 1] < 0.2
    assert table(torch.ones(1, 3, 2, 2)).max() <= 1
    draw = np.random.default_rng(0)
    x = draw.uniform(-1, 1, (20_000, 3))
    y = 0.5 * x[:, [2, 1, 0]] + 0.1  # red and blue exchanged: the axes are not confused
    image = torch.from_numpy(x[:600].T.reshape(1, 3, 20, 30)).float()
    torch.testing.assert_close(ColorTable.fit(x, y)(image), 0.5 * image.flip(1) + 0.1, atol=0.03, rtol=0)


def test_sliced_transport_by_hand():
    """On a line every direction sorts alike: the k-th darkest color becomes the target's k-th darkest."""
    x, y = (np.repeat(v, 3).reshape(-1, 3) for v in ([0.5, -0.5, 0.0], [0.1, -0.9, 0.4]))
    table = ColorTable.transport(np.tile(x, (100, 1)), np.tile(y, (100, 1)))
    got = table(torch.from_numpy(x.T).float().view(1, 3, 1, 3))[0, 0, 0]
    torch.testing.assert_close(got, torch.tensor([0.4, -0.9, 0.1]), atol=0.03, rtol=0)
    draw = np.random.default_rng(0)
    x = draw.normal(0, 0.2, (5000, 3))
    y = draw.normal(0, 0.1, (5000, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 2.0]]) + [0.1, -0.2, 0.3]
    moved = ColorTable.transport(x, y)(torch.from_numpy(x.T).float().view(1, 3, 50, 100))[0].flatten(1)
    np.testing.assert_allclose(moved.mean(1), y.mean(0), atol=0.01)
    np.testing.assert_allclose(np.cov(moved), np.cov(y.T), atol=0.003)


def test_pixels_are_drawn_from_every_frame(tmp_path):
    scenes = Scenes(frames(tmp_path, n=4))
    found = pixels_of(scenes, count=10, frames=3)
    assert found.shape == (10, 3)
    of_frames = [{tuple(p) for p in scenes.frame(i)[0].flatten(1).T.tolist()} for i in range(3)]
    shares = [found[:4], found[4:7], found[7:]]
    assert all(tuple(p) in own for own, share in zip(of_frames, shares, strict=True) for p in share)


def test_a_color_map_by_hand():
    """Two pixels, red -1 and 1, doubled: cov(change, x) = cov(x, x) = 1, so a ridge of 1 leaves half of the change."""
    x = torch.zeros(1, 3, 1, 2)
    x[0, 0, 0] = torch.tensor([-1.0, 1.0])
    maps = color_map(x, 2 * x, ridge=1.0)
    expected = torch.zeros(1, 12, 1, 2)
    expected[:, 0] = 0.5
    torch.testing.assert_close(maps, expected)
    # A map that is the same everywhere is found exactly, as scipy's solver finds the inverses.
    draw = torch.Generator().manual_seed(0)
    x, M = torch.rand(2, 3, 9, 11, generator=draw).double(), torch.rand(3, 3, generator=draw).double()
    y = torch.einsum("ij,bjhw->bihw", M, x) + 0.3
    wanted = torch.cat([(M - torch.eye(3)).flatten(), torch.full((3,), 0.3)]).view(1, 12, 1, 1)
    torch.testing.assert_close(color_map(x, y, ridge=0.0), wanted.expand(2, 12, 9, 11).to(x))


def test_guided_keeps_the_colors_of_a_generator_and_not_its_strokes():
    class Painter(nn.Module):
        multiple = 4

        def forward(self, x):
            checkers = (torch.arange(x.shape[-1]) + torch.arange(x.shape[-2])[:, None]) % 2 * 0.4 - 0.2
            return 0.5 * x + 0.1 + checkers

    x = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(Guided(Painter(), ridge=1e-9)(x), 0.5 * x + 0.1, atol=1e-4, rtol=0)
    plain = torch.full((1, 3, 32, 48), 0.2)
    torch.testing.assert_close(Guided(Painter())(plain), plain * 0.5 + 0.1, atol=1e-5, rtol=0)
    assert Guided(UNet(width=2, depth=3), shrink=5).multiple == 40


def test_histogram_matching_is_that_of_scikit_image_on_the_pooled_pixels(tmp_path):
    target = Scenes(frames(tmp_path / "t", n=3, size=(40, 50)))
    pooled = np.concatenate([np.array(Image.open(p)) for p in sorted((tmp_path / "t/images").iterdir())])
    source = (noise(9, 40, 50, 3).float() * 0.5).to(torch.uint8).numpy()  # dark
    expected = match_histograms(source.astype(float), pooled.astype(float), channel_axis=-1)
    x = torch.from_numpy(source).permute(2, 0, 1)[None] / 127.5 - 1
    matching = HistogramMatching.of(target)
    got = matching(x)
    assert got.dtype == torch.float32
    np.testing.assert_allclose((got[0].permute(1, 2, 0) + 1) * 127.5, expected, atol=0.3)
    assert torch.equal(matching(torch.cat([x, -x]))[:1], got), "each frame is matched on its own"
    assert not torch.equal(HistogramMatching.of(target, frames=1)(x), got)


def test_histogram_matching_by_hand():
    counts = np.zeros((3, 256), int)
    counts[:, 0], counts[:, 255] = 1, 3  # a quarter of the target's pixels is black, the rest white
    ramp = torch.linspace(-1, 1, 8).view(1, 1, 1, 8).expand(1, 3, 8, 8)
    got = HistogramMatching(counts)(ramp)[0, 0, 0]
    assert got[:2].tolist() == [-1, -1]  # the darkest quarter
    assert got[-1] == pytest.approx(1)
    assert (got.diff() >= 0).all()
    with pytest.raises(ValueError, match="3, 256"):
        HistogramMatching(np.ones((256, 3), int))


def test_folder_translates_every_size_and_kind(tmp_path):
    source = tmp_path / "in"
    color = noise(1, 19, 30, 3).numpy()
    save(source / "b.png", color)
    save(source / "a.png", color[..., 0])  # gray
    save(source / "c.PNG", np.dstack([color, np.full((19, 30), 255, np.uint8)]))  # opaque RGBA
    save(source / "d.jpg", noise(2, 5, 3, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    save(source / "e.png", color, exif=exif)
    for stray in ("Thumbs.db", ".DS_Store", "notes.txt"):
        (source / stray).write_text("stray")
    done = list(folder(Counting(), source, tmp_path / "out"))
    assert done == [(k, 5, name) for k, name in enumerate("abcde", 1)]
    out = {p.name: np.array(Image.open(p)) for p in sorted((tmp_path / "out").glob("*.png"))}
    assert list(out) == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    assert np.array_equal(out["b.png"], 255 - color)
    assert np.array_equal(out["c.png"], 255 - color)
    assert np.array_equal(out["a.png"], 255 - np.repeat(color[..., :1], 3, 2))
    assert np.array_equal(out["e.png"], np.rot90(255 - color, -1))
    assert out["d.png"].shape == (5, 3, 3)


def test_folder_goes_on_where_it_stopped(tmp_path):
    source, out = frames(tmp_path) / "images", tmp_path / "out"
    G = Counting()
    started = folder(G, source, out)
    assert [next(started)[2], next(started)[2]] == ["00", "01"]
    assert {"00.png", "01.png"} <= {p.name for p in out.iterdir()}, "what is yielded is written"
    started.close()
    assert G.seen == 3, "one frame is computed while the last is written"
    (out / "02.png").unlink()
    (out / ".03.999.partial.png").write_bytes(b"torn")
    (out / "01.png").write_bytes((out / "01.png").read_bytes()[:-40])  # damaged since
    save(source / "00.png", noise(99, 20, 33, 3))  # another image under the same name
    assert [name for *_, name in folder(G, source, out)] == ["00", "01", "02", "03"]
    assert G.seen == 3 + 4
    assert sorted(p.name for p in out.iterdir()) == ["00.png", "01.png", "02.png", "03.png", "about.json"]
    list(folder(G, source, out))
    assert G.seen == 7, "whole outputs are kept"
    for name in ("00", "01"):
        inverted = 255 - np.array(Image.open(source / f"{name}.png"))
        assert np.array_equal(np.array(Image.open(out / f"{name}.png")), inverted)


class Watched(nn.Module):
    """A generator that remembers the shapes it was given."""

    multiple = 8

    def __init__(self, G):
        super().__init__()
        self.G, self.shapes = G, []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return self.G(x)


def test_batches_hold_neighbors_of_one_size_and_change_no_more_than_a_level(tmp_path):
    source = tmp_path / "in"
    shapes = [(16, 24)] * 3 + [(16, 32)] + [(16, 24)] * 6
    for k, size in enumerate(shapes):
        save(source / f"{k}.png", noise(k, *size, 3))
    alone, together = Watched(generator()), Watched(generator())
    list(folder(alone, source, tmp_path / "alone"))
    done = list(folder(together, source, tmp_path / "together", batch=4))
    assert done == [(k + 1, 10, str(k)) for k in range(10)]
    assert alone.shapes == [(1, 3, *size) for size in shapes]
    assert together.shapes == [(3, 3, 16, 24), (1, 3, 16, 32), (4, 3, 16, 24), (2, 3, 16, 24)]
    for k in range(10):
        one, other = (np.array(Image.open(tmp_path / f"{way}/{k}.png"), int) for way in ("alone", "together"))
        assert np.abs(one - other).max() <= 1
        assert (one != other).mean() < 1e-3
        with torch.inference_mode():
            x = image(source / f"{k}.png")[None]
            expected = ((generator()(x)[0] + 1) * 127.5).round().permute(1, 2, 0).numpy()
        assert np.array_equal(one, expected.astype(int)), "one by one, it is the generator's own result"
    (tmp_path / "together/4.png").unlink()
    assert len(list(folder(together, source, tmp_path / "together", batch=4))) == 10
    assert together.shapes[4:] == [(1, 3, 16, 24)], "what is there takes no part in a batch"
    with pytest.raises(ValueError, match="batch = 0"):
        next(folder(identity, source, tmp_path / "out", batch=0))


def test_reading_and_writing_go_on_while_a_frame_is_computed(tmp_path, monkeypatch):
    """Each side waits for the other: done one after the other, either would wait in vain."""
    computing = {k: threading.Event() for k in range(4)}
    read, written = threading.Event(), threading.Event()

    def pixels(path, content):
        if path.stem == "02":  # a read that ends only once the first frame is being computed
            assert computing[0].wait(300), "nothing is computed while this frame is read"
            read.set()
        return folders_pixels(path, content)

    def save_later(made, frame):
        if frame.out.stem == "00":
            assert computing[1].wait(300), "nothing is computed while this frame is written"
            written.set()
        folders_save(made, frame)

    class Waits(Counting):
        def forward(self, x):
            k = self.seen
            computing[k].set()
            if k == 0:
                assert read.wait(300), "no frame is read while this one is computed"
            if k == 1:
                assert written.wait(300), "no frame is written while this one is computed"
            return super().forward(x)

    folders_pixels, folders_save = translate.pictures.image, translate._save
    monkeypatch.setattr(translate.pictures, "image", pixels)
    monkeypatch.setattr(translate, "_save", save_later)
    source = frames(tmp_path, size=(16, 24)) / "images"
    assert len(list(folder(Waits(), source, tmp_path / "out"))) == 4


@pytest.mark.parametrize("batch", [1, 3, 4, 100])
def test_an_error_comes_in_its_frames_turn(tmp_path, batch):
    source, out = frames(tmp_path, n=9) / "images", tmp_path / "out"
    (source / "05.png").write_bytes(b"no picture")
    seen = []
    with pytest.raises(ValueError, match=r"05\.png does not decode"):
        seen.extend(stem for _, _, stem in folder(identity, source, out, batch=batch))
    assert seen == [f"0{k}" for k in range(len(seen))]
    assert [p.stem for p in sorted(out.glob("*.png"))] == ["00", "01", "02", "03", "04"]
    save(source / "05.png", noise(5, 20, 33, 3))
    assert len(list(folder(identity, source, out, batch=batch))) == 9


def test_what_fails_to_compute_or_to_be_written_is_named(tmp_path):
    class Fails(Counting):
        def forward(self, x):
            if self.seen >= 2:
                raise RuntimeError("out of memory")
            return super().forward(x)

    source, out = frames(tmp_path) / "images", tmp_path / "out"
    with pytest.raises(RuntimeError, match="out of memory") as caught:
        list(folder(Fails(), source, out, batch=2))
    (note,) = caught.value.__notes__
    assert "02.png" in note
    assert "03.png" in note
    assert [p.stem for p in sorted(out.glob("*.png"))] == ["00", "01"]
    shutil.rmtree(out)
    list(folder(identity, source, out, frames=1))
    (out / "02.png").mkdir()  # nothing can be written there
    with pytest.raises(OSError, match=r"02\.png"):
        list(folder(identity, source, out))


def test_sizes_of_a_folder(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    save(tmp_path / "a.png", noise(0, 20, 33, 3))
    save(tmp_path / "b.png", noise(0, 20, 33, 3))
    save(tmp_path / "c.png", noise(0, 5, 9, 3), exif=exif)
    (tmp_path / "d.png").write_bytes(b"no picture")
    assert sizes(tmp_path) == [(9, 5), (20, 33)]


@pytest.mark.slow
def test_the_compiled_generator_is_within_two_levels(tmp_path):
    G = generator()
    x = torch.rand(1, 3, 32, 48) * 2 - 1
    with torch.inference_mode():
        off = (Padded(Compiled(G))(x) - Padded(G)(x)).abs() * 127.5
    assert 0 < off.max() <= 2
    assert off.mean() < 0.5


def test_two_translations_do_not_mix(tmp_path):
    source, out = frames(tmp_path) / "images", tmp_path / "out"
    list(folder(generator(0), source, out))
    list(folder(Padded(generator(0)), source, out))  # the same network
    with pytest.raises(FileExistsError, match="holds 4 images made by .*UNet.*not by .*UNet.*remove it"):
        next(folder(generator(1), source, out))
    with pytest.raises(FileExistsError, match="not by .*identity"):
        next(folder(identity, source, out))
    list(folder(identity, source, out, frames=2, replace=True))
    assert sorted(p.stem for p in out.glob("*.png")) == ["00", "01"]
    assert torch.equal(image(out / "01.png"), image(source / "01.png"))


def test_folder_spares_what_is_not_its_own(tmp_path):
    source = frames(tmp_path) / "images"
    with pytest.raises(ValueError, match="into itself"):
        next(folder(identity, source, source))
    save(tmp_path / "mine" / "photo.png", noise(0, 9, 9, 3))
    for replace in (False, True):
        with pytest.raises(FileExistsError, match="by something else"):
            next(folder(identity, source, tmp_path / "mine", replace=replace))
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["photo.png"]
    notes = tmp_path / "data" / "about.json"
    files.write_json(notes, {"made_by": "prepare"})
    with pytest.raises(FileExistsError, match=r"holds about\.json made by something else"):
        next(folder(identity, source, notes.parent))
    assert files.read_json(notes) == {"made_by": "prepare"}


def test_bad_images_are_named(tmp_path):
    source = frames(tmp_path) / "images"
    content = (source / "02.png").read_bytes()
    (source / "02.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"02\.png does not decode"):
        list(folder(identity, source, tmp_path / "out"))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["00.png", "01.png", "about.json"]
    save(source / "02.png", noise(0, 4, 4, 4))
    with pytest.raises(ValueError, match=r"02\.png is partly transparent"):
        list(folder(identity, source, tmp_path / "out"))
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(source / "02.png")
    with pytest.raises(ValueError, match=r"02\.png has 16 bits a channel"):
        list(folder(identity, source, tmp_path / "out"))
    shutil.copy(source / "00.png", source / "00.jpg")
    with pytest.raises(ValueError, match="same stem"):
        next(folder(identity, source, tmp_path / "out"))
    with pytest.raises(FileNotFoundError, match="no folder"):
        next(folder(identity, tmp_path / "nowhere", tmp_path / "out"))


def test_a_split_is_read_as_scenes(tmp_path):
    source, out = frames(tmp_path / "train"), tmp_path / "out"
    list(split(Counting(), source, out))
    list(split(generator(), source, out, frames=3))
    there, back = Scenes(source), Scenes(out)
    assert back.names == ["00", "01", "02"]
    for i in range(3):
        assert torch.equal(there.frame(i)[1], back.frame(i)[1])
        assert not torch.equal(there.frame(i)[0], back.frame(i)[0])
    (source / "labels" / "01.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"no label .*01\.png"):
        next(split(identity, source, out))


def test_fingerprints():
    assert fingerprint(generator(0)) == fingerprint(Padded(generator(0))) != fingerprint(generator(1))
    assert fingerprint(identity) == {"name": "identity"}
    guided = fingerprint(Padded(Guided(generator(0))))
    assert guided == fingerprint(generator(0)) | {"guided": [4, 5, 1e-3]}
    one, two = np.ones((3, 256), int), np.ones((3, 256), int)
    two[0, 0] = 500
    assert fingerprint(HistogramMatching(one)) != fingerprint(HistogramMatching(two))
