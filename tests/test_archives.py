"""GTA5 and Cityscapes in the layouts of their publishers: what is written, what is left out, what is refused."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from semcg import config, files, labels, runs, system
from semcg.data import Batches, Scenes
from semcg.files import CACHE
from semcg_kit import prepare
from semcg_kit.__main__ import main
from semcg_kit.prepare import cityscapes, gta5
from semcg_kit.prepare.archives import CITYSCAPES_SPLITS, divide_cities

H, W = 52, 96
CITIES = ["aachen", "bochum", "bremen", "cologne", "darmstadt", "dusseldorf"]
IDS = np.array([0, 7, 8, 11, 21, 23, 26, 34], np.uint8)
PALETTE = np.random.default_rng(5).integers(0, 256, 768, np.uint8).tobytes()
GTA5_FRAMES = range(1, 25)


def png(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")


def photo(seed, height=H):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, W, 3), np.uint8))


def ids_of(seed, height=H):
    return np.random.default_rng(1000 + seed).choice(IDS, (height, W))


def palette(ids):
    image = Image.fromarray(ids, "L").convert("P")
    image.frombytes(ids.tobytes())
    image.putpalette(PALETTE)
    return image


def write_gta5(root):
    """24 frames, number 3 of 46 rows, with a split.mat that also knows frames that are not there."""
    for n in GTA5_FRAMES:
        height = 46 if n == 3 else H
        png(photo(n, height), root / "images" / f"{n:05}.png")
        png(palette(ids_of(n, height)), root / "labels" / f"{n:05}.png")
    column = lambda *ids: np.array(ids, np.uint16)[:, None]  # noqa: E731
    splits = {
        "trainIds": column(*range(1, 15)),
        "valIds": column(*range(15, 20), 77),
        "testIds": column(*range(20, 25)),
    }
    savemat(root / "split.mat", splits)
    for stray in (".DS_Store", "Thumbs.db", "images/._00001.png", "labels/desktop.ini"):
        (root / stray).write_bytes(b"stray")
    return root


def write_cityscapes(root, kind="labelIds"):
    frames = [("train", city, i) for city in CITIES for i in range(2)]
    frames += [("val", city, i) for city in ("frankfurt", "lindau") for i in range(2)] + [
        ("test", "berlin", 0)
    ]
    for seed, (split, city, i) in enumerate(frames):
        stem = f"{split}/{city}/{city}_{i:06}_000019"
        png(photo(100 + seed), root / "leftImg8bit" / f"{stem}_leftImg8bit.png")
        png(Image.fromarray(ids_of(seed)), root / "gtFine" / f"{stem}_gtFine_{kind}.png")
        (root / "gtFine" / f"{stem}_gtFine_polygons.json").write_text("{}")
    return root


def zipped(folder, to, *names):
    with zipfile.ZipFile(to, "w") as made:
        for path in sorted(p for name in names for p in (folder / name).rglob("*") if p.is_file()):
            made.write(path, path.relative_to(folder).as_posix())


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    write_gta5(root / "gta5")
    write_cityscapes(root / "cityscapes")
    return root


@pytest.fixture
def archives(published, tmp_path):
    """A copy to spoil."""
    shutil.copytree(published, tmp_path / "published")
    return tmp_path / "published"


def both(archives, out, **options):
    source(archives, out, **options)
    assert write(cityscapes(archives / "cityscapes"), out, **options) == []
    return out


def write(plan, out, *, size=(32, 32), keep_aspect=False, **options):
    return prepare.write([plan.sized(size, keep_aspect=keep_aspect)], out, **options)


def source(archives, out, **options):
    return write(gta5(archives / "gta5"), out, **options)


def tree(root):
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name != CACHE
    }


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def notes_of(out):
    return json.loads((out / "source/about.json").read_text())["notes"]


def left_out(out, domain="source"):
    with open(out / domain / "left_out.csv", newline="") as handle:
        return {row["name"]: row["reason"] for row in csv.DictReader(handle)}


# --- what is written


def test_two_commands_complete_one_folder_that_runs_accept(archives, home):
    out = home / "data" / "real"
    cfg = config.make("smoke", data="real")
    assert source(archives, out) == ["target"]
    with pytest.raises(FileNotFoundError, match="incomplete: target is missing"):
        runs.data(cfg)
    assert json.loads((out / "about.json").read_text())["missing"] == ["target"]
    both(archives, out)
    assert runs.data(cfg) == out
    about = runs.about(cfg)
    assert about["counts"] == {
        **{"source/train": 14, "source/val": 5, "source/test": 5},
        **{"target/train": 6, "target/val": 2, "target/test": 4, "judge/train": 2, "judge/val": 2},
    }
    assert about["labels"] == {"source": True, "target": True}
    assert about["size"] == [32, 32]
    assert about["seen_in_training"] == []
    assert about["missing"] == []
    assert str(archives) not in json.dumps(about)
    for split in about["counts"]:
        scenes = Scenes(out / split)
        assert scenes.labeled
        assert len(scenes) == about["counts"][split]
        assert scenes.frequencies().sum() == pytest.approx(1)
    files.check_manifest(out, contents=True)


def test_labels_are_the_index_of_the_palette_and_none_is_invented(archives, tmp_path):
    out = tmp_path / "data"
    source(archives, out, size=(40, 33))
    for name in ("00001", "00003"):
        ids = ids_of(int(name), 46 if name == "00003" else H)
        y, plates = (pixels(out / "source/train" / kind / f"{name}.png") for kind in ("labels", "plates"))
        nearest = np.asarray(Image.fromarray(ids).resize((33, 40), Image.Resampling.NEAREST))
        np.testing.assert_array_equal(y, labels.to_train_ids(nearest))
        np.testing.assert_array_equal(plates, np.where(nearest == 34, 255, 0))
        assert set(np.unique(y)) <= set(labels.to_train_ids(IDS))
        assert (y[plates == 255] == 255).all()
        expected = photo(int(name), ids.shape[0]).resize((33, 40), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(pixels(out / "source/train/images" / f"{name}.png"), expected)


def test_split_mat_is_honored(archives, tmp_path):
    source(archives, tmp_path / "data")
    names = {
        s: sorted(p.stem for p in (tmp_path / "data/source" / s / "images").iterdir()) for s in files.SPLITS
    }
    assert names["train"] == [f"{n:05}" for n in range(1, 15)]
    assert names["val"] == [f"{n:05}" for n in range(15, 20)]
    notes = notes_of(tmp_path / "data")
    assert "source: 1 frame(s) of split.mat are not in the archive" in notes
    (archives / "gta5" / "split.mat").unlink()
    assert "source: no split.mat, so the splits are not the publishers'" in gta5(archives / "gta5").notes


def test_a_frame_in_no_split_is_left_out_and_said(archives, tmp_path):
    png(photo(80), archives / "gta5/images/00080.png")
    png(palette(ids_of(80)), archives / "gta5/labels/00080.png")
    source(archives, tmp_path / "data")
    assert left_out(tmp_path / "data") == {"00080": "in no split of split.mat"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"trainIds": [1], "valIds": [2]}, r"has no frame numbers, from 1 on, in testIds"),
        ({"trainIds": [1], "valIds": [0], "testIds": [2]}, r"has no frame numbers, from 1 on, in valIds"),
        ({"trainIds": [1, 2], "valIds": [2], "testIds": [3]}, "has frame 00002 in train and in val"),
        (None, r"split\.mat cannot be read: .* take it as published \(MATLAB 5\), or remove it"),
        ("7.3", r"split\.mat cannot be read: .* take it as published \(MATLAB 5\), or remove it"),
    ],
)
def test_a_split_mat_of_another_kind_is_refused(archives, table, message):
    path = archives / "gta5" / "split.mat"
    if (
        table == "7.3"
    ):  # the header of a file of that version: text, version 2.0, and the mark of a little-endian file
        path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + b"\x89HDF\r\n\x1a\n" + bytes(500))
    else:
        savemat(path, table) if table else path.write_bytes(b"MATLAB" * 40)
    with pytest.raises(ValueError, match=message):
        gta5(archives / "gta5")


def test_cities_are_not_shared_and_val_is_the_test(archives, tmp_path):
    out = both(archives, tmp_path / "data")
    cities = {
        split: {p.name.split("_")[0] for p in (out / split / "images").iterdir()}
        for split in CITYSCAPES_SPLITS
    }
    assert cities == {
        "target/test": {"frankfurt", "lindau"},
        "target/val": {"darmstadt"},
        "target/train": {"aachen", "bremen", "dusseldorf"},
        "judge/val": {"cologne"},
        "judge/train": {"bochum"},
    }
    notes = json.loads((out / "about.json").read_text())["notes"]
    assert any(
        "the 1 frames of the test split are not used: their labels are not published" in n for n in notes
    )


def test_the_eighteen_cities_of_the_publishers():
    of = divide_cities(set("abcdefghijklmnopqr"))
    members = {split: "".join(sorted(c for c in of if of[c] == split)) for split in sorted(set(of.values()))}
    # Without e and n, every ninth from the fifth on, 16 are left: every second is the judge's, its fifth for val.
    assert members == {
        "judge/train": "bdgimpr",
        "judge/val": "k",
        "target/train": "acfhjloq",
        "target/val": "en",
    }
    with pytest.raises(ValueError, match=r"has 4 cities .* at least 5"):
        divide_cities(set("abcd"))


def test_zip_files_give_the_same_data_as_folders(archives, tmp_path):
    expected = tree(both(archives, tmp_path / "a" / "data"))
    zips = tmp_path / "zips"
    for name in ("gta5", "cityscapes"):
        (zips / name).mkdir(parents=True)
    root = archives / "gta5"
    zipped(root, zips / "gta5" / "01_images.zip", "images")
    with zipfile.ZipFile(zips / "gta5" / "01_images.zip", "a") as made:
        made.writestr("__MACOSX/images/._00001.png", b"stray")
        made.writestr("__MACOSX/images/00001.png", b"stray")
    zipped(root, zips / "gta5" / "01_labels.zip", "labels")
    shutil.copy(root / "split.mat", zips / "gta5")
    zipped(archives / "cityscapes", zips / "cityscapes" / "leftImg8bit_trainvaltest.zip", "leftImg8bit")
    zipped(archives / "cityscapes", zips / "cityscapes" / "gtFine_trainvaltest.zip", "gtFine")
    assert tree(both(zips, tmp_path / "b" / "data")) == expected
    one = tmp_path / "one.zip"
    zipped(root, one, ".")
    write(gta5(one), tmp_path / "c" / "data")
    assert tree(tmp_path / "c/data/source") == {
        k[7:]: v for k, v in expected.items() if k.startswith("source/")
    }


def test_two_processes_write_the_same_files_as_one(archives, tmp_path):
    seen = []
    out = tmp_path / "a/data"
    source(archives, out, processes=2, progress=lambda *given: seen.append(given))
    source(archives, tmp_path / "b/data")
    assert tree(out) == tree(tmp_path / "b/data")
    assert seen == [("source frames", done, 24) for done in range(25)]


def test_sizes_kept_and_the_aspect_kept(archives, tmp_path):
    both(archives, tmp_path / "none", size=None)
    train = tmp_path / "none/source/train"
    np.testing.assert_array_equal(pixels(train / "images/00003.png"), photo(3, 46))
    assert json.loads((tmp_path / "none/about.json").read_text())["size"] is None
    with pytest.raises(
        ValueError, match=r"cannot share a batch .* 52x96, .*00003\.png is 46x96; give a crop or size"
    ):
        Batches(Scenes(train), batch=2)
    for scenes in (Scenes(train, crop=32), Scenes(train, size=(32, 64))):
        batches = Batches(scenes, batch=14)
        assert batches(0)[0].shape[0] == 14
    source(archives, tmp_path / "kept", size=(26, 40), keep_aspect=True)
    # 52x96 halves to 26x48; 46x96 to 26 rows and 96 * 26 / 46 = 54.3 columns. Nothing is cut.
    assert pixels(tmp_path / "kept/source/train/labels/00001.png").shape == (26, 48)
    assert pixels(tmp_path / "kept/source/train/labels/00003.png").shape == (26, 54)
    with pytest.raises(ValueError, match="keep_aspect needs a size"):
        source(archives, tmp_path / "x", size=None, keep_aspect=True)


def test_domains_without_labels_and_extra_frames(archives, tmp_path):
    png(
        photo(900),
        archives / "cityscapes/leftImg8bit/train_extra/augsburg/augsburg_000000_000000_leftImg8bit.png",
    )
    plan = cityscapes(archives / "cityscapes", extra=True)
    write(plan, tmp_path / "extra")
    y = pixels(tmp_path / "extra/target/train/labels/augsburg_000000_000000.png")
    assert (y == 255).all()
    assert any("1 frames are of train_extra, without a label" in note for note in plan.notes)
    assert not [f for f in cityscapes(archives / "cityscapes").frames if "augsburg" in f.name]
    # Whoever learns from labels passes the extra frame over; a translator sees it.
    source(archives, tmp_path / "extra")
    every = Scenes(tmp_path / "extra/target/train", seed=3)
    taught = runs.with_labels(every)
    assert {*every.names} - {*taught.names} == {"augsburg_000000_000000"}
    seen = [taught.item(k)[1] for k in range(2 * len(taught))]
    assert all((y != 255).any() for y in seen)
    assert len(taught.names) == len(taught) == len(every) - 1
    assert torch.equal(taught.frequencies(), every.frequencies())
    only = tmp_path / "extra/source/train"
    assert runs.with_labels(whole := Scenes(only)) is whole
    shutil.rmtree(archives / "gta5/labels")
    shutil.rmtree(archives / "cityscapes/gtFine")
    out = both(archives, tmp_path / "data")
    about = json.loads((out / "about.json").read_text())
    assert about["labels"] == {"source": False, "target": False}
    assert sum("no labels, so nothing that is trained or scored" in note for note in about["notes"]) == 2
    assert not Scenes(out / "source/train").labeled
    assert not (out / "source/train/plates").exists()
    shutil.rmtree(archives / "cityscapes/leftImg8bit/train_extra")
    with pytest.raises(ValueError, match=r"no leftImg8bit/train_extra"):
        cityscapes(archives / "cityscapes", extra=True)


def test_the_manifest_counts_the_pixels_of_each_class(archives, tmp_path):
    out = both(archives, tmp_path / "data")
    with open(out / "manifest.csv", newline="") as handle:
        rows = {row["name"]: row for row in csv.DictReader(handle)}
    for name in ("source/train/labels/00002.png", "target/test/labels/lindau_000001_000019.png"):
        values, counts = np.unique(pixels(out / name), return_counts=True)
        assert rows[name]["pixels"] == " ".join(f"{v}:{n}" for v, n in zip(values, counts, strict=True))
        assert int(rows[name]["bytes"]) == (out / name).stat().st_size


# --- frames that are left out


def test_bad_frames_are_found_by_looking_and_left_out(archives, tmp_path):
    root = archives / "gta5"
    whole = (root / "images/00002.png").read_bytes()
    (root / "images/00002.png").write_bytes(whole[: len(whole) // 2])
    png(palette(ids_of(4)[:, :-1]), root / "labels/00004.png")
    png(Image.new("RGB", (W, H), (255, 255, 255)), root / "images/00005.png")
    png(palette(np.full((H, W), 11, np.uint8)), root / "labels/00006.png")
    (root / "labels/00007.png").write_bytes(b"")
    out = tmp_path / "data"
    source(archives, out)
    found = left_out(out)
    assert sorted(found) == ["00002", "00004", "00005", "00006", "00007"]
    assert "images/00002.png does not decode" in found["00002"]
    assert (
        found["00004"]
        == "sizes differ (height x width): images/00004.png is 52x96, labels/00004.png is 52x95"
    )
    assert found["00005"] == "the image is blank: one color, (255, 255, 255)"
    assert json.loads((out / "source/about.json").read_text())["left_out"] == 5
    assert found["00006"] == "the label is blank: 11 throughout"
    assert "labels/00007.png does not decode" in found["00007"]
    assert len(Scenes(out / "source/train")) == 14 - 5
    assert "source: 5 frame(s) left out, see source/left_out.csv" in notes_of(out)
    # A frame that is mended is done, those that were written are not written again.
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    (root / "images/00002.png").write_bytes(whole)
    source(archives, out)
    assert sorted(left_out(out)) == ["00004", "00005", "00006", "00007"]
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items())
    assert {p.name for p in out.rglob("*.png")} - {p.name for p in stamps} == {"00002.png"}


def test_labels_of_none_of_the_classes_and_missing_files(archives, tmp_path):
    root = archives / "gta5"
    png(palette(np.where(ids_of(8) > 9, 0, 4).astype(np.uint8)), root / "labels/00008.png")
    (root / "labels/00009.png").unlink()
    (root / "images/00010.png").unlink()
    source(archives, tmp_path / "data")
    assert left_out(tmp_path / "data") == {
        "00008": "the label holds none of the 19 classes",
        "00009": "no label",
    }
    notes = notes_of(tmp_path / "data")
    assert "source: 1 label(s) without an image, not used, for example labels/00010.png" in notes


def test_a_frame_that_is_no_longer_in_the_archive_goes(archives, tmp_path):
    out = tmp_path / "data"
    source(archives, out)
    (archives / "gta5/images/00011.png").unlink()
    source(archives, out)
    assert not list(out.rglob("00011.png"))
    assert len(Scenes(out / "source/train")) == 13


def test_a_damaged_entry_of_a_zip_file_is_left_out(archives, tmp_path):
    zipped(archives / "gta5", tmp_path / "all.zip", ".")
    content = bytearray((tmp_path / "all.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "all.zip") as made:
        info = made.getinfo("images/00012.png")
    content[info.header_offset + 300] ^= 255
    (tmp_path / "all.zip").write_bytes(content)
    write(gta5(tmp_path / "all.zip"), tmp_path / "data")
    assert (
        "images/00012.png in all.zip cannot be unpacked: Bad CRC-32" in left_out(tmp_path / "data")["00012"]
    )


def test_more_than_a_tenth_is_no_accident(archives, tmp_path):
    for n in range(1, 8):
        png(palette(ids_of(n)[:-1]), archives / f"gta5/labels/{n:05}.png")
    with pytest.raises(
        ValueError, match=r"of 24 frames .* more than a tenth would be left out.*00001: sizes differ"
    ):
        source(archives, tmp_path / "data")
    assert not (tmp_path / "data/manifest.csv").exists()


# --- archives that are refused


def refused(message, make, out):
    with pytest.raises((ValueError, OSError), match=message):
        write(make(), out)
    assert not out.exists()


def test_labels_that_are_no_label_ids(archives, tmp_path):
    root, out = archives / "gta5", tmp_path / "data"
    make = partial(gta5, root)
    label = root / "labels/00020.png"
    png(palette(ids_of(20)).convert("RGB"), label)
    refused(r"labels/00020\.png is a color picture, and should hold .* not gtFine_color", make, out)
    png(Image.fromarray(ids_of(20).astype(np.uint16) * 1000), label)
    refused(r"labels/00020\.png has 16 bits a channel.*instanceIds", make, out)
    gray = ids_of(20)
    gray[0, 0] = 35
    png(Image.fromarray(gray), label)
    refused(
        r"labels/00020\.png holds values that are not in label ids: 35 .* Take the label ids as published",
        make,
        out,
    )
    gray[0, 0] = 255
    png(
        Image.fromarray(gray), label
    )  # gray instead of a palette, and -1 stored as 255: label ids all the same
    assert source(archives, out) == ["target"]


def test_train_ids_are_recognized_over_the_whole_set(archives, tmp_path):
    root = archives / "gta5"
    for n in GTA5_FRAMES:
        png(palette(labels.to_train_ids(ids_of(n, 46 if n == 3 else H))), root / f"labels/{n:05}.png")
    refused(
        r"hold train ids, not label ids: of 24 files none has a value in 19",
        partial(gta5, root),
        tmp_path / "d",
    )
    png(
        palette(ids_of(24)), root / "labels/00024.png"
    )  # one value in 19..33 anywhere, and they are label ids
    source(archives, tmp_path / "data")


@pytest.mark.parametrize("kind", ["color", "instanceIds", "labelTrainIds"])
def test_other_pictures_of_cityscapes_are_refused_by_name(tmp_path, kind):
    root = write_cityscapes(tmp_path / "cityscapes", kind)
    make = partial(cityscapes, root)
    refused(rf"has gtFine_{kind} \(.*_gtFine_{kind}\.png\) but no gtFine_labelIds", make, tmp_path / "data")


def test_the_test_split_is_no_evaluation_data(archives, tmp_path):
    root = archives / "cityscapes"
    shutil.rmtree(root / "leftImg8bit/val")
    make = partial(cityscapes, root)
    refused(
        r"1 frames of the test split and none of val: their labels are not published", make, tmp_path / "data"
    )


def test_the_wrong_archive_and_none_at_all(archives, tmp_path):
    out, empty = tmp_path / "data", tmp_path / "empty"
    empty.mkdir()
    (empty / ".DS_Store").write_bytes(b"stray")
    refused(
        r"is not GTA5: it has no images/<number>\.png, but gtFine/",
        partial(gta5, archives / "cityscapes"),
        out,
    )
    refused(
        r"is not Cityscapes: it has no leftImg8bit.*, but images/00001",
        partial(cityscapes, archives / "gta5"),
        out,
    )
    refused("no file in .*empty", partial(gta5, empty), out)
    refused("nowhere is neither a folder nor a zip file", partial(gta5, tmp_path / "nowhere"), out)
    (empty / "thesis.txt").write_text("years")
    refused(r", but thesis\.txt", partial(cityscapes, empty), out)


@pytest.mark.parametrize(
    "name", ["../../etc/images/00001.png", "/images/00001.png", "a\\..\\..\\b.png", "C:/b.png"]
)
def test_a_zip_file_that_climbs_out(archives, tmp_path, name):
    with zipfile.ZipFile(archives / "gta5/02_images.zip", "w") as made:
        made.writestr("images/00030.png", b"fine")
        made.writestr(name, b"not")
    make = partial(gta5, archives / "gta5")
    refused(
        r"02_images\.zip: the entry .* points outside the archive; nothing is read", make, tmp_path / "data"
    )


@pytest.mark.parametrize(("offset", "value", "how"), [(10, 9, "packed by a method"), (8, 1, "encrypted")])
def test_a_zip_file_that_python_cannot_unpack(archives, tmp_path, offset, value, how):
    """Deflate64, which Windows chooses for large files, and a password: found before hours of frames left out."""
    root = archives / "gta5"
    zipped(root, root / "01_images.zip", "images")
    shutil.rmtree(root / "images")
    content = bytearray((root / "01_images.zip").read_bytes())
    content[content.index(b"PK\1\2") + offset] = value  # of the first entry in the table of contents
    (root / "01_images.zip").write_bytes(content)
    message = rf"01_images\.zip: the entry 'images/.*' is {how}.*unpack it and name the folder"
    refused(message, partial(gta5, root), tmp_path / "data")


def test_linked_cities_are_read_and_links_in_a_circle_end(archives, tmp_path):
    root, disk = archives / "cityscapes", tmp_path / "disk"
    plain = cityscapes(root)
    disk.mkdir()
    for kind in ("leftImg8bit", "gtFine"):
        for city in sorted((root / kind / "train").iterdir())[::2]:
            moved = disk / f"{kind}-{city.name}"
            city.rename(moved)
            city.symlink_to(moved, target_is_directory=True)
            (moved / "back").symlink_to(root, target_is_directory=True)
    assert [frame[:2] for frame in cityscapes(root).frames] == [frame[:2] for frame in plain.frames]


def test_one_folder_under_two_names_is_no_second_city(archives, tmp_path):
    """One drive in train and, by a link, in val would be learned from and scored."""
    root = archives / "cityscapes"
    for kind in ("leftImg8bit", "gtFine"):
        shutil.rmtree(root / kind / "val")
        (root / kind / "val").symlink_to(root / kind / "train", target_is_directory=True)
    for unused in (root / "gtFine").rglob("*.json"):
        unused.unlink()
    refused("train and .*val are one folder, by a link", partial(cityscapes, root), tmp_path / "data")


def test_zip_files_cut_short_and_frames_that_lie_there_twice(archives, tmp_path):
    root, out = archives / "gta5", tmp_path / "data"
    zipped(root, root / "01_labels.zip", "labels")
    source(archives, out)  # unpacked beside its zip file: one archive
    (root / "labels/00001.png").write_bytes(b"half")
    with pytest.raises(
        ValueError, match=r"labels/00001\.png has 4 bytes and .*01_labels\.zip: labels/00001\.png has"
    ):
        gta5(root)
    content = (root / "01_labels.zip").read_bytes()
    (root / "01_labels.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"01_labels\.zip is not a zip file, or its download is incomplete"):
        gta5(root)
    (root / "01_labels.zip").unlink()
    shutil.copytree(root / "images", root / "again/images")
    with pytest.raises(ValueError, match="are the same file twice"):
        gta5(root)


def test_places_that_are_taken(archives, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="full exists and is not data that `semcg prepare gta5`"):
        source(archives, tmp_path / "full")
    assert tree(tmp_path / "full") == {"thesis.txt": b"years of work"}
    for out in (archives / "gta5/data", archives):
        with pytest.raises(ValueError, match="contains the other; write elsewhere"):
            source(archives, out)
    source(archives, tmp_path / "data")
    with pytest.raises(
        ValueError, match=r"data/source: prepared with .*\[32, 32\].*, not .*\[16, 32\].*; remove that"
    ):
        source(archives, tmp_path / "data", size=(16, 32))


# --- stopped and gone on with


SCRIPT = """
import sys, time
from semcg_kit import prepare
from semcg_kit.prepare import frames, gta5
write = frames.write
def slow(*given):
    time.sleep(0.2)
    return write(*given)
frames.write = slow
if __name__ == "__main__":
    prepare.write([gta5(sys.argv[1]).sized((32, 32))], sys.argv[2], processes=int(sys.argv[3]))
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_and_started_again_it_does_only_what_is_missing(archives, tmp_path, processes):
    out = tmp_path / "data"
    (tmp_path / "slow.py").write_text(SCRIPT)
    child = subprocess.Popen([sys.executable, tmp_path / "slow.py", archives / "gta5", out, str(processes)])
    noted = out / "source/frames.jsonl"
    until = time.monotonic() + 120
    while not (noted.is_file() and noted.read_bytes().count(b"\n") >= 4) and time.monotonic() < until:
        time.sleep(0.01)
    workers = psutil.Process(child.pid).children(recursive=True)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    psutil.wait_procs(workers, 60)  # they end with it
    done = [json.loads(line)["name"] for line in noted.read_text().splitlines()]
    assert 4 <= len(done) < 24
    assert not (out / "source/left_out.csv").exists()
    with open(noted, "a") as torn:
        torn.write('{"name": "000')
    (out / "source/test/images/.00009.1.partial.png").write_bytes(b"half")
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*.png") if p.stem in done}
    seen = []
    source(archives, out, progress=lambda *given: seen.append(given))
    assert seen[0] == ("source frames", len(done), 24)
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items())
    source(archives, tmp_path / "whole/data")
    assert tree(out) == tree(tmp_path / "whole/data")
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    source(archives, out)
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()} == stamps


def test_a_full_disk_names_the_file_and_loses_nothing(archives, tmp_path, monkeypatch):
    out, real = tmp_path / "data", Path.write_bytes

    def full(self, content):
        if self.name.startswith(".00006.") and "labels" in self.parts:
            raise OSError(28, "No space left on device")
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device.*source/\w+/labels/00006\.png"):
        source(archives, out)
    monkeypatch.undo()
    done = (out / "source/frames.jsonl").read_text().splitlines()
    assert done
    assert not (out / "manifest.csv").exists()
    seen = []
    source(archives, out, progress=lambda *given: seen.append(given))
    assert seen[0] == ("source frames", len(done), 24)
    source(archives, tmp_path / "whole")
    assert tree(out / "source") == tree(tmp_path / "whole" / "source")


def test_what_was_damaged_is_found_and_only_that_is_written_again(archives, tmp_path):
    out = both(archives, tmp_path / "data")
    before = tree(out)
    label, image = out / "target/test/labels/lindau_000000_000019.png", out / "source/val/images/00016.png"
    image.unlink()
    label.write_bytes(before[label.relative_to(out).as_posix()][:-1] + b"x")  # as long, but another
    with pytest.raises(
        ValueError, match=r"00016\.png is missing; .*lindau_000000_000019\.png has other contents"
    ):
        files.check_manifest(out, contents=True)
    label.unlink()
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    assert source(archives, out) == [
        "target"
    ]  # whose damage is noticed, but is for the other command to mend
    assert not (out / "manifest.csv").exists()
    assert tree(both(archives, out)) == before
    # Their frames were written anew, image and label; no other file was.
    changed = {p.name for p, stamp in stamps.items() if p.stat().st_mtime_ns != stamp}
    assert changed == {"00016.png", "lindau_000000_000019.png"}
    files.check_manifest(out, contents=True)


def test_an_ended_process_is_an_error_with_advice(tmp_path):
    with pytest.raises(OSError, match="a process was killed, perhaps because memory ran out"):
        list(system.each(os._exit, [1], 2))


def test_an_error_in_one_item_keeps_what_the_others_did():
    done, items = [], iter(["1", "2", "x", *map(str, range(4, 10_000))])
    with pytest.raises(ValueError, match="invalid literal"):
        done.extend(system.each(int, items, 2))
    # What was begun beside the bad item is kept, whichever process was the faster; of the rest no one is asked.
    assert {1, 2} <= set(done)
    assert next(items, None) is not None


# --- the commands


@pytest.fixture
def semcg(monkeypatch, capsys):
    """Return the command line as a function: (exit code, output, errors)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["semcg", "prepare", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return call


def test_the_commands_say_what_they_do(archives, tmp_path, semcg):
    out = tmp_path / "data"
    game = ("gta5", archives / "gta5", "--out", out, "--processes", 1, "--size")
    code, said, errors = semcg(*game, "32x48", "--dry-run")
    assert (code, errors) == (0, "")
    assert "24 frames, with labels" in said
    assert "source/val          5" in said
    assert f"would write 24 frames into {out}; 0 are already there" in said
    assert re.search(r"time: \d+:\d\d with 1 process", said)
    assert "estimated from 6 frames at 0." in said
    assert "space: " in said
    assert not out.exists()
    camera = ("cityscapes", archives / "cityscapes", "--out", out, "--processes", 1, "--size", "32x48")
    code, said, errors = semcg(*camera)
    assert code == 0
    assert "the source is missing or incomplete, and training needs both" in said
    assert f"semcg prepare gta5 ROOT --out {out}" in said
    assert "frames 16/16" in errors
    assert f"both domains are in {out}; next: semcg course --data {out}" in semcg(*game, "32x48")[1]
    assert f"verified: every file in {out} is unchanged since it was written" in semcg("verify", out)[1]
    for size in ("big", "32", "32x"):
        wrong = f"semcg: size = {size!r}: write HEIGHTxWIDTH, for example 128x256, or none\n"
        assert semcg(*game, size)[::2] == (2, wrong)
    picture = out / "source/test/images/00022.png"
    picture.write_bytes(picture.read_bytes()[:-1] + b"x")
    code, _, errors = semcg("verify", out)
    assert code == 2
    assert "source/test/images/00022.png has other contents" in errors


def test_rate_and_time_left_are_shown_while_it_runs(archives, tmp_path, semcg, monkeypatch):
    monkeypatch.setattr(system, "_EVERY", -1.0)  # each line, instead of one every 30 seconds
    command = ("gta5", archives / "gta5", "--out", tmp_path / "data", "--processes", 1, "--size", "32x48")
    lines = semcg(*command)[2].splitlines()
    assert re.fullmatch(r"source frames 12/24, \d+\.\d a second, \d+:\d\d left", lines[12])
    assert lines[-1] == "source frames 24/24"


def test_a_dry_run_foretells_what_is_written(archives, tmp_path):
    plan = gta5(archives / "gta5").sized((32, 32))
    seen = prepare.estimate([plan], tmp_path / "data", tries=24)
    prepare.write([plan], tmp_path / "data")
    pictures = [p.stat().st_size for p in (tmp_path / "data").rglob("*.png")]
    assert seen[:3] == (0, 24, 24)
    assert seen.bytes == sum(pictures)
    assert seen.seconds_each > 0
    assert prepare.estimate([plan], tmp_path / "data")[:3] == (24, 0, 0)


def test_a_part_of_cityscapes_is_split_by_frames_and_says_what_that_means(tmp_path):
    """One city of train, or val alone; nothing is in two splits, and every frame is somewhere."""

    def city(split, name, n):
        for k in range(n):
            stem = f"{name}_{k:06d}_000019"
            png(photo(k), tmp_path / split / "leftImg8bit" / split / name / f"{stem}_leftImg8bit.png")
            png(
                Image.fromarray(ids_of(k)),
                tmp_path / split / "gtFine" / split / name / f"{stem}_gtFine_labelIds.png",
            )

    city("train", "aachen", 30)
    city("val", "munster", 30)
    with pytest.raises(ValueError, match="1 cities in leftImg8bit/train .* With fewer: --split-by frames"):
        cityscapes(tmp_path / "train")
    alone = cityscapes(tmp_path / "val", by_frames=True)
    assert sum(alone.counts.values()) == 30
    assert all(alone.counts[split] for split in CITYSCAPES_SPLITS)
    assert alone.settings == {"split_by": "frames"}, "about.json says so"
    assert any("of the cities that it scores" in note for note in alone.notes)
    shutil.copytree(tmp_path / "val", tmp_path / "train", dirs_exist_ok=True)
    both = cityscapes(tmp_path / "train", by_frames=True)
    assert both.counts["target/test"] == 30, "val is the test where there is a train"
    assert {f.name.split("_")[0] for f in both.frames if f.split != "target/test"} == {"aachen"}
    assert len({f.name for f in both.frames}) == len(both.frames) == 60
