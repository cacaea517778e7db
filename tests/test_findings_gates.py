"""What real use found in pictures, labels and text that people write: each finding by its number, with the right value."""

import json
import logging
import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from chaos import corpus
from PIL import Image
from test_archives import ids_of, palette, photo, png, write_cityscapes, write_gta5
from typer.testing import CliRunner

from semcg import (
    config,
    evaluate,
    files,
    labels,
    locks,
    mappings,
    pictures,
    runs,
    segmenters,
    system,
    translate,
)
from semcg.data import Scenes
from semcg.devices import fabric_for
from semcg_kit import __main__ as command_line
from semcg_kit import commands, prepare
from semcg_kit.__main__ import app
from semcg_kit.commands import images
from semcg_kit.prepare import frames
from semcg_kit.prepare.frames import Recipe, distortion

H, W = 32, 64


def street(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of sky, building, road and car, (H, W, 3), and its train ids."""
    draw, y = np.random.default_rng(number), np.zeros((H, W), np.uint8)
    y[: H // 3], y[H // 3 : 2 * H // 3] = 10, 2
    left = int(draw.integers(0, W - 20))
    y[H // 2 : H // 2 + 5, left : left + 20] = 13
    return np.clip(labels.to_colors(y) + draw.integers(-10, 10, (H, W, 3)), 0, 255).astype(np.uint8), y


def domain(root: Path, n: int = 24, name: str = "{:04}", first: int = 0) -> prepare.Domain:
    for kind in ("i", "l"):
        (root / kind).mkdir(parents=True)
    for k in range(n):
        x, y = street(first + k)
        Image.fromarray(x).save(root / "i" / f"{name.format(k)}.png")
        Image.fromarray(y).save(root / "l" / f"{name.format(k)}.png")
    return prepare.Domain(root / "i", root / "l")


@pytest.fixture
def two(tmp_path) -> tuple[prepare.Domain, prepare.Domain]:
    """Two domains of 24 labeled frames."""
    return domain(tmp_path / "A"), domain(tmp_path / "B", first=100)


def written(root: Path, two, **options) -> Path:
    prepare.write(prepare.plans(*two, **options), root / "data")
    return root / "data"


def notes(root: Path, *domains: prepare.Domain, **options) -> list[str]:
    return json.loads((written(root, domains, **options) / "about.json").read_text())["notes"]


def test_A3_a_link_to_a_data_folder_stays_a_link(tmp_path, two):
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk", target_is_directory=True)
    for size in ((16, 32), (8, 16)):
        written(tmp_path, two, size=size)
        assert (tmp_path / "data").is_symlink()
        assert Scenes(tmp_path / "disk/source/train").frame(0)[0].shape[1:] == size
    assert sorted(p.name for p in tmp_path.iterdir()) == ["A", "B", "data", "disk"]


def test_A_what_a_user_added_to_data_is_refused_and_stays(tmp_path, two):
    data = written(tmp_path, two)
    (data / "source/train/images/mine.png").write_bytes(b"mine")
    with pytest.raises(
        ValueError, match=r"holds 1 file\(s\) that semcg did not write, for example source/train/images/mine"
    ):
        written(tmp_path, two, size=(8, 16))
    assert (data / "source/train/images/mine.png").read_bytes() == b"mine"


def test_A_what_a_user_added_to_an_archive_or_a_world_is_refused_and_stays(tmp_path, monkeypatch):
    plan = prepare.gta5(write_gta5(tmp_path / "gta5")).sized((8, 16))
    prepare.write([plan], tmp_path / "data")
    added = tmp_path / "data/source/val/images/99999.png"
    added.write_bytes(b"mine")
    with pytest.raises(ValueError, match="move them elsewhere"):
        prepare.write([plan], tmp_path / "data")
    assert added.read_bytes() == b"mine"

    monkeypatch.setenv("SEMCG_HOME", str(tmp_path))
    smoke = config.make("smoke", train_scenes=2, val_scenes=2, test_scenes=2, judge_scenes=2)
    note = runs.draw(smoke, processes=1) / "source/notes.txt"
    note.write_text("mine")
    with pytest.raises(ValueError, match=r"for example source/notes\.txt; move them elsewhere"):
        runs.draw(smoke.model_copy(update={"world_seed": 1}), processes=1)
    assert note.read_text() == "mine"


def test_A_what_a_kill_left_of_one_domain_does_not_stop_the_other(tmp_path, monkeypatch):
    calls, write = [], frames.write

    def killed(*job):
        record = write(*job)
        calls.append(record)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return record

    plan = prepare.cityscapes(write_cityscapes(tmp_path / "cityscapes")).sized((8, 16))
    with monkeypatch.context() as patch:
        patch.setattr(frames, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare.write([plan], tmp_path / "data")
    gta5 = prepare.gta5(write_gta5(tmp_path / "gta5")).sized((8, 16))
    assert prepare.write([gta5], tmp_path / "data") == ["target"]
    assert prepare.write([plan], tmp_path / "data") == []


def test_A_a_world_without_its_manifest_is_drawn_again(home):
    smoke = config.make("smoke", train_scenes=2, val_scenes=2, test_scenes=2, judge_scenes=2)
    folder = runs.draw(smoke, processes=1)
    for seed, damage in enumerate((lambda path: path.unlink(), lambda path: path.write_text("x")), 1):
        damage(folder / "manifest.csv")
        with pytest.raises((FileNotFoundError, ValueError)):
            files.check_manifest(folder)
        runs.draw(smoke.model_copy(update={"world_seed": seed}), processes=1)
        files.check_manifest(folder)


def test_A_where_nothing_can_be_written_complete_data_are_accepted(tmp_path, two, monkeypatch):
    written(tmp_path, two)

    def fails(*_):
        raise PermissionError(13, "Permission denied", "x.lock")

    monkeypatch.setattr(locks, "hold", fails)
    assert prepare.write(prepare.plans(*two), tmp_path / "data") == []


def test_A_one_process_prepares_a_folder(tmp_path, two):
    lock, seen = tmp_path / ".data.lock", []
    prepare.write(prepare.plans(*two), tmp_path / "data", progress=lambda *_: seen.append(locks.taken(lock)))
    assert set(seen) == {True}
    assert not lock.exists()


def test_A_one_process_translates_into_a_folder(tmp_path, two):
    lock = tmp_path / "out/.lock"
    seen = [
        locks.taken(lock) for _ in translate.folder(translate.identity, tmp_path / "A/i", tmp_path / "out")
    ]
    assert seen == [True] * 24
    assert not lock.exists()


def test_B3_sixteen_bits_a_channel_are_refused_by_every_reader(tmp_path, two):
    path = tmp_path / "A/i/0003.png"
    path.write_bytes(corpus.png(W, H, bits=16, data=corpus.rows(np.full((H, W * 6), 3, np.uint8))))
    for read in (
        lambda: pictures.image(path),
        lambda: pictures.size(path),
        lambda: list(translate.folder(translate.identity, path.parent, tmp_path / "out")),
        lambda: written(tmp_path, two),
    ):
        with pytest.raises(ValueError, match=r"0003\.png has 16 bits a channel"):
            read()


@pytest.mark.parametrize("tail", [b"", b"\n", bytes(7), bytes(64)])
def test_B3_a_label_of_one_class_is_read_whatever_follows_its_end(tail):
    assert (pictures.stored("x.png", corpus.encoded(np.zeros((H, W), np.uint8)) + tail).values == 0).all()


def test_B4_train_ids_without_a_mapping_are_told_with_their_shares_and_odd_ones_warned_of(tmp_path, two):
    told = notes(tmp_path, *two)
    assert "source: no mapping: values are taken as train ids" in told
    shares = next(note for note in told if note.startswith("source: shares"))
    assert re.search(r"road \d+\.\d%, sky \d+\.\d%, building \d+\.\d%, car \d+\.\d%", shares)
    assert not [note for note in told if "warning" in note]
    segnet = {10: 0, 2: 1, 0: 3, 13: 8}  # sky, building, road and car in the numbers of SegNet's CamVid
    for path in two[0].labels.iterdir():
        y = np.array(Image.open(path, formats=("PNG",)))
        Image.fromarray(np.vectorize(segnet.get)(y).astype(np.uint8)).save(path)
    assert any(
        re.match("source: warning: implausible for streets: wall is the largest", n)
        for n in notes(tmp_path, *two)
    )
    told = notes(
        tmp_path, prepare.Domain(two[0].images, two[0].labels, MAPPINGS / "camvid-segnet.toml"), two[1]
    )
    assert not [note for note in told if "warning" in note]


MAPPINGS = Path(__file__).parent.parent / "data" / "mappings"


def test_B4_the_mapping_of_label_ids_comes_along(tmp_path, two):
    for path in two[0].labels.iterdir():
        y = np.array(Image.open(path, formats=("PNG",)))
        Image.fromarray(labels.to_label_ids(y)).save(path)
    given = prepare.Domain(two[0].images, two[0].labels, MAPPINGS / "cityscapes-labelids.toml")
    out = written(tmp_path, (given, two[1]))
    assert set(np.unique(Scenes(out / "source/train").frame(0)[1])) == {0, 2, 10, 13}


def test_B5_a_palette_that_an_editor_numbered_anew_is_refused(tmp_path, two):
    for path in two[0].labels.iterdir():
        y = np.array(Image.open(path, formats=("PNG",)))
        Image.fromarray(labels.to_colors(y)).quantize(8).save(path)
    with pytest.raises(ValueError, match=r"palette with the color of .* an editor numbered the colors anew"):
        written(tmp_path, two)
    (tmp_path / "colors.csv").write_text(
        "r,g,b,train_id\n" + "".join(f"{','.join(map(str, c.color))},{c.train_id}\n" for c in labels.CLASSES)
    )
    by_color = prepare.Domain(two[0].images, two[0].labels, tmp_path / "colors.csv")
    out = written(tmp_path, (by_color, two[1]))
    assert np.array_equal(
        Scenes(out / "source/val").frame(0)[1], street(int(Scenes(out / "source/val").names[0]))[1]
    )


def test_B5_palettes_that_disagree_with_each_other_are_refused(tmp_path, two):
    for k, path in enumerate(sorted(two[0].labels.iterdir())):
        picture = Image.fromarray(street(k)[1], "L").convert("P")
        picture.putpalette([(k // 12 * 50 + 17 * v) % 256 for v in range(768)])
        picture.save(path)
    with pytest.raises(
        ValueError, match=r"source: value \d+ has the color .* in 00.. and .* in 00..: an editor"
    ):
        written(tmp_path, two)


def test_B5_advice_is_given_only_where_it_is_right(tmp_path):
    root = write_gta5(tmp_path / "gta5")
    for n in range(1, 25):
        y = labels.to_colors(labels.to_train_ids(ids_of(n, 46 if n == 3 else 52)))
        png(Image.fromarray(y).quantize(8), root / f"labels/{n:05}.png")
    with pytest.raises(ValueError, match="an editor numbered the colors anew") as caught:
        prepare.write([prepare.gta5(root)], tmp_path / "data")
    assert "prepare folder" not in str(caught.value)


def test_B6_a_picture_is_in_one_domain_and_one_split_only(tmp_path, two):
    with pytest.raises(ValueError, match=r"source and target are the same folder, .*A/i"):
        prepare.plans(two[0], two[0])
    here, there = two[0].images / "0005.png", two[1].images / "0007.png"
    kept = there.read_bytes()
    Image.open(here, formats=("PNG",)).save(there, compress_level=9)  # other bytes, the same pixels
    with pytest.raises(
        ValueError, match=r"A/i/0005\.png \(source/\w+\) and .*B/i/0007\.png \(\w+/\w+\) are the same"
    ):
        written(tmp_path, two)
    there.write_bytes(kept)
    (two[0].images / "0000.png").write_bytes((two[0].images / "0023.png").read_bytes())
    (two[0].labels / "0000.png").write_bytes((two[0].labels / "0023.png").read_bytes())
    with pytest.raises(ValueError, match=r"0023\.png .* and .*0000\.png .* are the same picture; remove one"):
        written(tmp_path, two)


def test_B7_frames_are_consecutive_by_number_and_not_by_letter(tmp_path):
    plain = prepare.plans(domain(tmp_path / "a", 48, "{}"), domain(tmp_path / "b", 48, "{}", 100))
    padded = prepare.plans(domain(tmp_path / "c", 48, "{:04}"), domain(tmp_path / "d", 48, "{:04}", 100))
    for one, other in zip(plain, padded, strict=True):
        assert sorted((f.split, int(f.name)) for f in one.frames) == sorted(
            (f.split, int(f.name)) for f in other.frames
        )
    assert [p.stem for p in pictures.images_in(tmp_path / "a/i").images][:11] == [str(k) for k in range(11)]


@pytest.mark.parametrize(
    ("own", "size", "message"),
    [
        ((1052, 1914), (1024, 1024), ""),
        ((1024, 2048), (1024, 1024), ""),
        ((1024, 2048), (2048, 1024), "exchanges landscape and portrait by a factor of 4.0"),
        ((1024, 2048), (128, 1024), "changes their shape by a factor of 4.0"),
        ((480, 640), (640, 480), "exchanges landscape and portrait"),
        ((2048, 1024), (1024, 512), ""),
    ],
)
def test_B8_a_size_that_distorts_frames_is_told_before_anything_is_written(own, size, message):
    told = distortion(own, Recipe(size))
    assert message in told
    assert bool(told) == bool(message)
    if told:
        assert f"frames are {own[0]}x{own[1]} (height x width)" in told
        assert "HEIGHTxWIDTH" in told


def test_B8_the_commands_say_so(tmp_path, two):
    assert any("exchanges landscape" in note for note in notes(tmp_path, *two, size=(64, 32)))
    plan = prepare.gta5(write_gta5(tmp_path / "gta5")).sized((96, 48))
    assert any("frames are 52x96 (height x width), and --size 96x48 exchanges" in note for note in plan.notes)


def test_C1_pictures_of_other_formats_are_counted_and_named(tmp_path, two):
    for name in ("0003", "0011"):
        Image.fromarray(street(0)[0]).save(two[0].images / f"x{name}.tif")
    line = "skipped in i: 2 not PNG or JPEG, for example x0003.tif"
    assert f"source: {line}" in notes(tmp_path, *two)
    assert f"source: {line}" in json.loads((written(tmp_path, two) / "about.json").read_text())["notes"]
    list(translate.folder(translate.identity, two[0].images, tmp_path / "out"))
    assert json.loads((tmp_path / "out/about.json").read_text())["passed_over"] == line


def test_C2_files_that_may_be_labels_and_were_not_used_are_named(tmp_path, two):
    root = write_cityscapes(tmp_path / "cityscapes")
    os.rename(root / "gtFine", root / "gtCoarse")
    plan = prepare.cityscapes(root)
    assert not plan.recipe.labeled
    assert any(re.search("may hold labels: .* gtCoarse/", note) for note in plan.notes)
    root = write_gta5(tmp_path / "gta5")
    os.rename(root / "labels", root / "labels_trainids")
    assert any(re.search("may hold labels: 24 file.*labels_trainids/", n) for n in prepare.gta5(root).notes)
    os.rename(tmp_path / "A/l", tmp_path / "A/labels")
    assert "source: not used, though it may hold labels: labels" in notes(
        tmp_path, prepare.Domain(two[0].images), two[1]
    )


def test_E4_frames_that_serve_in_three_splits_are_counted_once(tmp_path, two, capsys):
    few = domain(tmp_path / "few", 12)
    folders = (few.images, two[1].images, few.labels, two[1].labels)
    commands.prepare.folder(tmp_path / "data", *folders, processes=1)
    assert f"{few.images}: 12 frames, with labels\n  source/train       12" in capsys.readouterr().out


def test_C3_other_names_in_gta5_are_told_and_unlabeled_frames_can_be_kept(tmp_path):
    root = write_gta5(tmp_path / "gta5")
    png(photo(99), root / "images/fda_source.png")
    (root / "labels/00004.png").unlink()
    plan = prepare.gta5(root)
    assert "source: skipped 1 other file(s), for example images/fda_source.png" in plan.notes
    assert plan.left_out == [("source/train", "00004", "no label")]
    plan = prepare.gta5(root, extra=True)
    assert plan.left_out == []
    prepare.write([plan.sized((16, 32))], tmp_path / "data")
    assert (
        np.array(Image.open(tmp_path / "data/source/train/labels/00004.png", formats=("PNG",))) == 255
    ).all()


def test_C4_a_black_frame_with_an_empty_label_is_left_out_and_told(tmp_path, two):
    Image.new("RGB", (W, H)).save(two[0].images / "0007.png")
    Image.new("L", (W, H), 255).save(two[0].labels / "0007.png")
    assert "source: 1 frame(s) left out, see source/left_out.csv" in notes(tmp_path, *two)
    assert not list((tmp_path / "data/source").rglob("0007.png"))
    left_out = (tmp_path / "data/source/left_out.csv").read_text()
    assert re.fullmatch("split,name,reason\nsource/.*,0007,the label is blank: 255 throughout\n", left_out)


def test_D5_no_picture_may_be_larger_than_is_safe_to_read(tmp_path):
    data = corpus.rows(np.zeros((1, 300_000), np.uint8))
    (tmp_path / "wide.png").write_bytes(corpus.png(100_000, 1, data=data))
    with pytest.raises(ValueError, match=r"wide\.png is 1x100000 \(height x width\); pictures have sides"):
        pictures.image(tmp_path / "wide.png")


def test_D5_devices_pipes_and_sparse_files_are_refused_before_they_are_read(tmp_path):
    with open(tmp_path / "sparse.png", "wb") as handle:
        handle.truncate(20 * 2**30)
    os.mkfifo(tmp_path / "pipe.png")
    for path in (Path("/dev/zero"), tmp_path, tmp_path / "pipe.png"):
        with pytest.raises(ValueError, match=f"{path} is no file, but a folder, a device or a pipe"):
            pictures.image(path)
    with pytest.raises(ValueError, match=r"sparse\.png has 21,474,836,480 bytes"):
        pictures.image(tmp_path / "sparse.png")


def test_D5_a_picture_to_look_at_is_shrunk(tmp_path, capsys):
    x = images.shrunk(translate.image(picture_of(tmp_path, 80, 4000)))
    assert x.shape == (3, 20, 1024)
    assert "shrunk from 80x4000 to 20x1024" in capsys.readouterr().out
    with pytest.raises(ValueError, match="of 2x16000 .* is too narrow to show"):
        images.shrunk(translate.image(picture_of(tmp_path, 2, 16000)))
    assert images.shrunk(x) is x


def picture_of(root: Path, height: int, width: int) -> Path:
    Image.new("RGB", (width, height)).save(root / "long.png")
    return root / "long.png"


def test_C_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write_cityscapes(tmp_path)
    listed, closed = os.scandir, next((tmp_path / "leftImg8bit/train").iterdir())

    def scandir(folder):
        if Path(folder) == closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    for read in (
        lambda: prepare.cityscapes(tmp_path),
        lambda: pictures.images_in(tmp_path / "leftImg8bit", below=True),
    ):
        with pytest.raises(PermissionError, match=closed.name):
            read()


def test_C_cities_that_are_links_are_scored(tmp_path):
    write_cityscapes(tmp_path)
    city = tmp_path / "gtFine/val/lindau"
    city.rename(tmp_path / "disk")
    city.symlink_to(tmp_path / "disk", target_is_directory=True)
    assert evaluate.frames.scored(tmp_path / "gtFine/val", tmp_path / "gtFine/val")[1] == 4


def test_C_labels_without_an_image_are_told(tmp_path):
    write_cityscapes(tmp_path)
    next((tmp_path / "leftImg8bit/val/lindau").iterdir()).unlink()
    (told,) = [note for note in prepare.cityscapes(tmp_path).notes if "without an image" in note]
    assert re.match(
        r"target: 1 label\(s\) without an image, not used, for example gtFine/val/lindau/lindau_0", told
    )


def test_D5_a_city_whose_name_is_not_utf_8_is_named(tmp_path, semcg):
    write_cityscapes(tmp_path / "C")
    for kind in ("leftImg8bit", "gtFine"):
        city = min((tmp_path / "C" / kind / "train").iterdir())
        for path in list(city.iterdir()):
            path.rename(path.with_name(path.name.replace(city.name, os.fsdecode(b"city\xff"))))
    ended = semcg(
        "prepare",
        "cityscapes",
        tmp_path / "C",
        "--out",
        tmp_path / "data",
        "--size",
        "16x32",
        "--processes",
        1,
    )
    assert ended.returncode == 2
    assert re.search(r"city\\\\?udcff' is not UTF-8; rename", ended.stderr), ended.stderr


def test_C_what_score_passes_over_is_told(tmp_path, two):
    (tmp_path / "A/i/notes.txt").touch()
    told = CliRunner().invoke(app, ["score", str(tmp_path / "A/l"), str(tmp_path / "A/l")]).output
    assert "skipped" not in told
    (tmp_path / "A/l/notes.txt").touch()
    told = CliRunner().invoke(app, ["score", str(tmp_path / "A/l"), str(tmp_path / "B/l")]).output
    assert "skipped in l: 1 not PNG or JPEG, for example notes.txt" in told


@pytest.mark.parametrize("about", ["", "[]", "{}", '{"made_by": "translate folder"}'])
def test_D1_an_odd_record_of_translations_is_named(tmp_path, two, about):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/about.json").write_text(about)
    (tmp_path / "out/0000.png").write_bytes((tmp_path / "A/i/0000.png").read_bytes())
    with pytest.raises(FileExistsError, match=r"out holds 1 images made by .*remove it or name another one"):
        list(translate.folder(translate.identity, tmp_path / "A/i", tmp_path / "out"))


def test_D5_an_error_of_the_disk_gets_the_name_of_the_file(tmp_path):
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*frames\.jsonl'"),
        files.naming(tmp_path / "frames.jsonl"),
    ):
        raise OSError(28, "No space left on device")


def test_D5_a_disk_that_cannot_read_names_the_file(tmp_path, monkeypatch):
    path = picture_of(tmp_path, 4, 4)

    def fails(self):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(OSError, match=r"Input/output error.*long\.png"):
        pictures.image(path)


@pytest.mark.parametrize("letters", [200, 230, 251])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_D5_long_names_are_written(tmp_path, letters, letter):
    name = letter * (letters // len(letter.encode())) + ".png"
    with files.atomic(tmp_path / name) as partial:
        partial.write_bytes(b"whole")
        assert partial.suffix == ".png"
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_D5_what_a_terminal_would_obey_is_shown_as_text(monkeypatch, capsys):
    def fails():
        raise ValueError("\x1b[2Jx.png: bad\x07\nnext \u202e line")

    monkeypatch.setattr(command_line, "app", fails)
    with pytest.raises(SystemExit):
        command_line.main()
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "\\x1b[2Jx.png: bad\\x07\nnext \\u202e line" in told


def test_D5_commands_print_no_terminal_codes_and_a_warning_once(monkeypatch, capsys):
    def warns():
        for _ in range(2):
            logging.getLogger("semcg").warning("%s is damaged", "\x1b[2Jrecord")
        commands.say("\x1b]0;title\x07x.png\tand\nmore")

    monkeypatch.setattr(command_line, "app", warns)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    command_line.main()
    shown = capsys.readouterr()
    assert shown.out == "\\x1b]0;title\\x07x.png\tand\nmore\n"
    assert shown.err == "\\x1b[2Jrecord is damaged\n"


@pytest.mark.parametrize("path", [*Path(commands.__file__).parent.glob("*.py")], ids=lambda path: path.stem)
def test_D5_commands_print_by_say_alone(path):
    assert len(re.findall(r"\bprint\(", path.read_text())) == (path.stem == "__init__")


@pytest.mark.parametrize("size", ["²x²", "٣x٣", "0x5", "12", "x", "-1x5", "1e3x5", " 5x5", "5x5x5"])
def test_D5_odd_sizes_are_refused_by_name(tmp_path, size):
    done = CliRunner().invoke(
        app, ["prepare", "gta5", str(write_gta5(tmp_path)), "--out", "x", "--size", size]
    )
    assert isinstance(done.exception, ValueError)
    assert f"size = {size!r}: write HEIGHTxWIDTH" in str(done.exception)


def test_D6_as_many_processes_as_cores_may_be_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert system.cores() == 1
    command = ["prepare", "gta5", str(write_gta5(tmp_path / "g")), "--out", str(tmp_path / "d"), "--dry-run"]
    assert "with 1 process(es)" in CliRunner().invoke(app, [*command, "--size", "16x32"]).output


def test_D8_text_of_other_systems_is_read(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbfValue;Train_ID\r\n3;0\r\n")
    assert mappings.mapping(tmp_path / "m.csv").train_ids.tolist() == [0]
    (tmp_path / "m.csv").write_bytes(b"value,train_id\n1,0\n\xff,3\n")
    with pytest.raises(ValueError, match=r"m\.csv, line 3: .* not UTF-8"):
        mappings.mapping(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_bytes("value,train_id\n1,0\n".encode("utf-16"))
    with pytest.raises(ValueError, match="is UTF-16; save it as UTF-8"):
        mappings.mapping(tmp_path / "m.csv")


def test_E1_what_is_there_is_named_beside_what_is_missing(tmp_path, two):
    for path in sorted(two[0].labels.iterdir()):
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    with pytest.raises(
        ValueError, match=r"source: no label in .* for 24 of 24 .*: 0000, .* holds 0000_mask\.png"
    ):
        prepare.plans(*two)


@pytest.mark.parametrize("ending", ["_gtFine_labelTrainIds", "_labelTrainIds"])
def test_E1_the_endings_of_cityscapes_pair(tmp_path, two, ending):
    for path in two[0].labels.iterdir():
        path.rename(path.with_name(f"{path.stem}{ending}.png"))
    if "gtFine" in ending:
        for path in two[0].images.iterdir():
            path.rename(path.with_name(f"{path.stem}_leftImg8bit.png"))
    judge = segmenters.SmallUNet(width=4).eval()
    counts = evaluate.counts_of_folders(judge, two[0].images, two[0].labels, fabric=fabric_for("cpu"))
    assert counts.sum() == 24 * H * W
    assert len(prepare.plans(*two)[0].frames) == 24


def test_E1_names_pair_in_either_unicode_form(two):
    for form, folder in (("NFC", two[0].images), ("NFD", two[0].labels)):
        (folder / "0000.png").rename(folder / unicodedata.normalize(form, "Straße é.png"))
    assert "Straße é" in {frame.name for frame in prepare.plans(*two)[0].frames}


def test_E2_a_picture_is_what_it_is_whatever_its_name_says(tmp_path):
    root = write_gta5(tmp_path / "gta5")
    photo(5).save(root / "images/00005.png", "JPEG", quality=95)
    photo(6).save(root / "images/00006.png", "GIF")
    assert prepare.write([prepare.gta5(root).sized((26, 48))], tmp_path / "data") == ["target"]
    assert (tmp_path / "data/source/train/images/00005.png").is_file()
    left_out = (tmp_path / "data/source/left_out.csv").read_text()
    assert "00006.png does not decode: it is a GIF, not a PNG or JPEG" in left_out
    palette(ids_of(7)).convert("RGB").convert("L").save(root / "labels/00007.png", "JPEG")
    with pytest.raises(ValueError, match=r"00007\.png is a gray JPEG, which does not keep values"):
        prepare.write([prepare.gta5(root).sized((26, 48))], tmp_path / "new")


def test_images_that_exif_data_turn_are_refused_where_they_have_a_label(tmp_path, two):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(street(4)[0]).save(two[0].images / "0004.png", exif=exif)
    with pytest.raises(ValueError, match=r"0004\.png is turned by its EXIF data \(orientation 3\)"):
        written(tmp_path, two)
    out = written(tmp_path, (prepare.Domain(two[0].images), two[1]), few=100)
    upright = np.array(Image.open(out / "source/train/images/0004.png", formats=("PNG",)))
    assert np.array_equal(upright, street(4)[0][::-1, ::-1])


@pytest.mark.parametrize("how", ["RGBA", "LA", "color key", "palette"])
def test_transparency_is_found_however_the_file_says_it(tmp_path, how):
    x, path = street(0)[0], tmp_path / "x.png"
    if how == "color key":
        x[0, 0] = 1, 2, 3
        Image.fromarray(x).save(path, transparency=(1, 2, 3))
    elif how == "palette":
        Image.fromarray(x).quantize(8).save(path, transparency=0)
    else:
        picture = Image.fromarray(x).convert(how)
        picture.putalpha(
            Image.fromarray(np.where(np.arange(H * W).reshape(H, W) == 5, 254, 255).astype(np.uint8))
        )
        picture.save(path)
    read = pictures.stored if how == "palette" else pictures.image
    with pytest.raises(ValueError, match=r"x\.png is partly transparent"):
        read(path)
