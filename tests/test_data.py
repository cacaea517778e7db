"""Datasets: bad inputs by name, items and batches as pure functions of the seed and their number."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from semcg.data import Batches, Scenes, Unpaired

H, W, N = 12, 20, 5


def position(h, w, number=0):
    """A frame whose pixels say where they are, and a label that says the same."""
    rows, columns = np.mgrid[:h, :w].astype(np.uint8)
    image = np.stack([rows * 10, columns * 10, np.full_like(rows, number)], 2)
    return image, ((rows + 2 * columns) % 19).astype(np.uint8)


def write(root, frames, labels=True):
    for kind in ("images", "labels")[: 1 + labels]:
        (root / kind).mkdir(parents=True, exist_ok=True)
    for name, (image, label) in frames.items():
        Image.fromarray(image).save(root / "images" / f"{name}.png")
        if labels:
            Image.fromarray(label).save(root / "labels" / f"{name}.png")
    return root


@pytest.fixture
def root(tmp_path):
    return write(tmp_path / "source" / "train", {f"f{i}": position(H, W, i) for i in range(N)})


@pytest.fixture
def other(tmp_path):
    return write(tmp_path / "target" / "train", {f"g{i}": position(H, W, 100 + i) for i in range(3)})


def same(a, b):
    return len(a) == len(b) and all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def number(x):
    """Which frame an item shows."""
    return round((float(x[2, 0, 0]) + 1) * 127.5)


def test_frames_are_whole_and_unchanged(root):
    scenes = Scenes(root, crop=4, flip=1.0, color=True, artifacts=True)
    assert scenes.names == [f"f{i}" for i in range(N)]
    assert len(scenes) == N
    assert scenes.labeled
    x, y = scenes.frame(3)
    image, label = position(H, W, 3)
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    np.testing.assert_allclose(x.permute(1, 2, 0), image / 255.0 * 2 - 1, atol=1e-6)
    np.testing.assert_array_equal(y, label)


def test_the_range_is_minus_one_to_one(tmp_path):
    image = np.array([[[0, 255, 127]]], np.uint8)
    x, _ = Scenes(write(tmp_path, {"a": (image, np.zeros((1, 1), np.uint8))})).frame(0)
    assert x.flatten().tolist() == pytest.approx([-1, 1, 127 / 127.5 - 1])


def test_image_and_label_move_together(root):
    scenes = Scenes(root, crop=(5, 7), flip=0.5, seed=3)
    mirrored, corners = 0, set()
    for k in range(60):
        x, y = scenes.item(k)
        assert x.shape == (3, 5, 7)
        assert y.shape == (5, 7)
        rows, columns = ((x[:2] + 1) * 127.5 / 10).round().long()
        assert torch.equal((rows + 2 * columns) % 19, y)
        mirrored += bool(columns[0, 0] > columns[0, 1])
        corners.add((int(rows.min()), int(columns.min())))
    assert 15 < mirrored < 45
    assert {r for r, _ in corners} == set(range(H - 5 + 1))
    assert {c for _, c in corners} >= {0, W - 7}


def test_pairs_are_made_by_stem_not_by_order(tmp_path):
    for name, value in (("a", 1), ("a.k", 2)):  # a.jpg < a.k.jpg, but a.k.png < a.png
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "labels").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (value * 80,) * 3).save(tmp_path / "images" / f"{name}.jpg")
        Image.new("L", (8, 8), value).save(tmp_path / "labels" / f"{name}.png")
    scenes = Scenes(tmp_path)
    assert scenes.names == ["a", "a.k"]
    for i in range(2):
        x, y = scenes.frame(i)
        assert round(float(x.mean() + 1) * 127.5 / 80) == int(y[0, 0]) == i + 1


def test_each_epoch_shows_every_frame_once_in_its_own_order(root):
    scenes = Scenes(root, seed=1)
    epochs = [[number(scenes.item(e * N + i)[0]) for i in range(N)] for e in range(6)]
    assert all(sorted(order) == list(range(N)) for order in epochs)
    assert len({tuple(order) for order in epochs}) > 3


def test_an_item_depends_on_seed_and_number_alone(root):
    arguments = {"crop": 6, "flip": 0.5, "color": True, "artifacts": True}
    scenes = Scenes(root, **arguments, seed=7)
    forth = [scenes.item(k) for k in range(12)]
    torch.manual_seed(99)
    before = torch.get_rng_state()
    copy = pickle.loads(pickle.dumps(scenes))
    back = [copy.item(k) for k in reversed(range(12))]
    assert all(same(a, b) for a, b in zip(forth, reversed(back), strict=True))
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(same(a, Scenes(root, **arguments, seed=8).item(k)) for k, a in enumerate(forth))


def test_colors_and_artifacts_leave_geometry_and_labels_alone(root):
    plain = Scenes(root, crop=8, flip=0.5)
    for changed in (
        Scenes(root, crop=8, flip=0.5, color=True),
        Scenes(root, crop=8, flip=0.5, artifacts=True),
    ):
        moved = 0
        for k in range(20):
            (x, y), (x2, y2) = plain.item(k), changed.item(k)
            assert torch.equal(y, y2)
            assert x2.dtype == torch.float32
            assert x2.abs().max() <= 1
            moved += not torch.equal(x, x2)
        assert moved >= 12


def test_colors_stay_in_their_range(tmp_path):
    gray = np.full((4, 4, 3), 128, np.uint8)
    scenes = Scenes(write(tmp_path, {"a": (gray, gray[..., 0] * 0)}), color=True)
    seen = torch.stack([(scenes.item(k)[0] + 1) / 2 for k in range(400)])
    assert torch.equal(seen.amax((2, 3)), seen.amin((2, 3)))  # one change per channel, not per pixel
    value = 128 / 255
    assert seen.min() >= 0.8 * value - 0.0801
    assert seen.max() <= 1.2 * value + 0.0801
    assert seen.min() < 0.9 * value - 0.04
    assert seen.max() > 1.1 * value + 0.04


def test_artifacts_are_faint_and_of_all_three_kinds(tmp_path):
    gray = np.full((48, 48, 3), 128, np.uint8)
    scenes = Scenes(write(tmp_path, {"a": (gray, gray[..., 0] * 0)}), artifacts=True)
    still, periodic, noisy = 0, set(), 0
    for k in range(120):
        x = scenes.item(k)[0] - 1 / 255
        assert x.abs().max() < 0.5
        assert x.std() < 0.1
        if x.std() < 1e-6:
            still += 1  # blur alone, or nothing, leaves gray as it is
            continue
        periods = [p for p in range(2, 9) if torch.allclose(x[..., p:], x[..., :-p], atol=1e-6)]
        periodic |= set(periods[:1])
        noisy += not periods
    assert still > 10
    assert noisy > 20
    assert periodic >= {3, 5, 7, 8}


def test_resizing_is_antialiased_for_images_and_centered_for_labels(root):
    x, y = Scenes(root, size=(6, 10)).frame(0)
    image, label = (Image.fromarray(a) for a in position(H, W))
    wanted = np.asarray(image.resize((10, 6), Image.Resampling.BILINEAR))
    np.testing.assert_allclose((x.permute(1, 2, 0) + 1) * 127.5, wanted, atol=1.01)
    np.testing.assert_array_equal(y, label.resize((10, 6), Image.Resampling.NEAREST))
    assert Scenes(root, size=(6, 10), crop=5).item(0)[0].shape == (3, 5, 5)


def test_without_labels_everything_is_ignored(root):
    bare = Scenes(root, labels=False)
    shutil.rmtree(root / "labels")
    found = Scenes(root, crop=4)
    assert not bare.labeled
    assert not found.labeled
    assert found.item(2)[1].unique().tolist() == [255]
    with pytest.raises(ValueError, match="no labeled pixel"):
        found.frequencies()


def test_frequencies(tmp_path):
    label = np.array([[0, 0, 0, 18], [255, 255, 255, 255]], np.uint8)
    frames = {"a": (np.zeros((2, 4, 3), np.uint8), label), "b": (np.zeros((2, 4, 3), np.uint8), label // 6)}
    shares = Scenes(
        write(tmp_path, frames | {"b": (frames["b"][0], np.full((2, 4), 10, np.uint8))})
    ).frequencies()
    assert shares.dtype == torch.float64
    assert {i: float(s) for i, s in enumerate(shares) if s > 0} == {0: 3 / 12, 10: 8 / 12, 18: 1 / 12}


def break_folder(root):
    shutil.rmtree(root)


def break_images(root):
    for path in (root / "images").iterdir():
        path.unlink()


def break_pair(root):
    (root / "labels" / "f2.png").unlink()


def break_pair_reversed(root):
    (root / "images" / "f1.png").unlink()


def break_size(root):
    Image.new("L", (W, H - 1)).save(root / "labels" / "f4.png")


def break_header(root):
    (root / "images" / "f3.png").write_bytes(b"no image at all")


def break_mode(root):
    Image.new("RGB", (W, H)).save(root / "labels" / "f0.png")


def break_twice(root):
    Image.new("RGB", (W, H)).save(root / "images" / "f0.jpg")


@pytest.mark.parametrize(
    ("breaking", "error", "message"),
    [
        (break_folder, FileNotFoundError, r"no folder .*images"),
        (break_images, FileNotFoundError, r"no PNG or JPEG file in .*images"),
        (break_pair, ValueError, r"no label in .*labels for 1 of 5 file\(s\): f2\. It holds f0\.png"),
        (
            break_pair_reversed,
            ValueError,
            r"no image in .*images for 1 of 5 file\(s\): f1\. It holds f0\.png",
        ),
        (break_size, ValueError, r"images.f4\.png is 12x20, .*labels.f4\.png is 11x20"),
        (break_header, ValueError, r"f3\.png does not decode: it is no PNG or JPEG"),
        (break_mode, ValueError, r"labels.f0\.png is a color picture.*prepare folder"),
        (break_twice, ValueError, r"images.f0\.jpg and .*f0\.png have the same stem"),
    ],
)
def test_bad_folders_are_refused_before_any_work(root, breaking, error, message):
    breaking(root)
    with pytest.raises(error, match=message):
        Scenes(root)


def test_sizes_that_do_not_fit(root):
    with pytest.raises(ValueError, match=r"f0\.png is 12x20, smaller than the crop of 13x13"):
        Scenes(root, crop=13)
    with pytest.raises(ValueError, match=r"f0\.png is 6x10, smaller than the crop of 8x8"):
        Scenes(root, size=(6, 10), crop=8)
    write(root, {"f9": position(H + 4, W)})
    assert Scenes(root, crop=12).item(0)[0].shape == (3, 12, 12)
    assert Batches(Scenes(root, crop=12), batch=2)(0)[0].shape == (2, 3, 12, 12)
    mixed = Scenes(root)
    assert Batches(mixed, batch=1)(0)[0].shape[0] == 1
    with pytest.raises(ValueError, match=r"f0\.png is 12x20, .*f9\.png is 16x20"):
        Batches(mixed, batch=2)
    with pytest.raises(ValueError, match=r"f9\.png is 16x20"):
        Batches(Unpaired(Scenes(root, size=(4, 4)), mixed), batch=2)


def test_damage_behind_the_header_names_the_file(root):
    for kind in ("images", "labels"):
        path = root / kind / "f1.png"
        whole = path.read_bytes()
        path.write_bytes(whole[:60])
        scenes = Scenes(root)
        with pytest.raises(ValueError, match=rf"{kind}.f1\.png does not decode"):
            scenes.frame(1)
        path.write_bytes(whole)


def test_labels_that_are_no_train_ids_name_file_value_and_share(root):
    label = np.zeros((H, W), np.uint8)
    label[0, :12] = 33
    Image.fromarray(label).save(root / "labels" / "f2.png")
    scenes = Scenes(root)
    for read in (lambda: scenes.frame(2), scenes.frequencies):
        with pytest.raises(
            ValueError, match=r"f2\.png holds values that are no train id, .*: 33 \(5\.00% of its pixels\)"
        ):
            read()


def test_arguments_are_checked(root):
    for arguments in ({"flip": 1.5}, {"seed": -1}, {"crop": 0}, {"size": (0, 4)}):
        with pytest.raises(ValueError, match="not"):
            Scenes(root, **arguments)
    with pytest.raises(IndexError, match="-1"):
        Scenes(root).item(-1)
    for arguments in ({"batch": 0}, {"batch": 1, "rank": 1}, {"batch": 1, "workers": -1}):
        with pytest.raises(ValueError, match="rank < ranks"):
            Batches(Scenes(root), **arguments)


def test_two_domains_go_each_their_own_way(root, other):
    source, target = Scenes(root, crop=6), Scenes(other, crop=6)
    both = Unpaired(source, target)
    assert both.epoch == N
    items = [both.item(k) for k in range(30)]
    assert sorted(number(item[0]) for item in items[:N]) == list(range(N))
    assert sorted(number(item[2]) for item in items[:3]) == [100, 101, 102]
    # One folder on both sides, with one seed: still two orders and two crops.
    twins = [Unpaired(source, source).item(k) for k in range(30)]
    assert sum(number(x_s) == number(x_t) for x_s, _, x_t, _ in twins) < 20
    assert not any(same(item[:2], item[2:]) for item in twins[:3])
    assert [number(item[0]) for item in twins] == [number(item[0]) for item in items]


def test_ranks_together_see_what_one_would_see_alone(root, other):
    both = Unpaired(Scenes(root, crop=6, flip=0.5), Scenes(other, crop=6, flip=0.5))
    alone = Batches(both, batch=4)
    ranks = [Batches(both, batch=2, rank=r, ranks=2) for r in range(2)]
    for n in (0, 1, 7):
        parts = [rank(n) for rank in ranks]
        assert same(alone(n), [torch.cat(pair) for pair in zip(*parts, strict=True)])
    assert same(alone(1), [torch.stack(p) for p in zip(*(both.item(k) for k in range(4, 8)), strict=True)])


def test_loader_processes_change_nothing_and_name_a_bad_file(root):
    scenes = Scenes(root, crop=6, flip=0.5, color=True, artifacts=True, seed=2)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    here = [Batches(scenes, batch=3)(n) for n in range(4, 9)]
    with Batches(scenes, batch=3, workers=2) as there:
        assert all(same(batch, there(n)) for n, batch in enumerate(here, 4))
        running = there._stream._workers
        assert len(running) == 2
        Image.new("L", (W, H), 77).save(root / "bad.png")
        (root / "bad.png").replace(root / "labels" / "f0.png")  # at once: the loaders read ahead meanwhile
        with pytest.raises(ValueError, match=r"f0\.png holds values that are no train id, .*: 77"):
            [there(n) for n in range(9, 20)]
    for process in running:
        process.join(60)
    assert not any(process.is_alive() for process in running)
    assert torch.equal(torch.get_rng_state(), before)


def test_asking_out_of_order_starts_the_loader_there(root, monkeypatch):
    starts, ends = [], []

    class Loader:
        def __init__(self, share, *, sampler, **_):
            starts.append(sampler[0])
            self.batches = map(share.__getitem__, sampler)

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.batches)

        def _shutdown_workers(self):
            ends.append(starts[-1])

    monkeypatch.setattr("semcg.data.DataLoader", Loader)
    scenes = Scenes(root, crop=6)
    batches = Batches(scenes, batch=2, workers=1)
    for n in (5, 6, 2, 3, 3):
        assert same(batches(n), Batches(scenes, batch=2)(n))
    assert starts == [5, 2, 3]
    assert ends == [5, 2]
