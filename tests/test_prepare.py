"""Your own two folders: every coding, the splits, every bad input by name, and nothing half-written."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semcg import files
from semcg.data import Scenes
from semcg.files import CACHE
from semcg_kit import prepare as preparing
from semcg_kit.prepare import Domain
from semcg_kit.prepare.folders import divide

H, W = 8, 16
VALUES = "value,train_id,name\n3,0,road\n200,10,sky\n7,255,nothing\n"
COLORS = "r,g,b,train_id\n128,64,128,0\n70,130,180,10\n0,0,0,255\n"


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def picture(number):
    draw = np.random.default_rng(number)
    return draw.integers(0, 256, (H, W, 3), np.uint8)


def halves(left, right):
    return np.hstack([np.full((H, W // 2), left, np.uint8), np.full((H, W // 2), right, np.uint8)])


@pytest.fixture
def here(tmp_path):
    """Three source frames with labels by value, ten target frames without."""
    (tmp_path / "values.csv").write_text(VALUES)
    (tmp_path / "colors.csv").write_text(COLORS)
    for i in range(3):
        save(tmp_path / "renders" / f"r{i}.png", picture(i))
        save(tmp_path / "masks" / f"r{i}.png", halves(3, 200))
    for i in range(10):
        save(tmp_path / "photos" / f"p{i:02}.jpg", picture(100 + i), quality=95)
    return tmp_path


def source(here, **changes):
    return Domain(
        **{"images": here / "renders", "labels": here / "masks", "mapping": here / "values.csv"} | changes
    )


def prepare(here, source_changes=None, **changes):
    given = {"source": source(here, **(source_changes or {})), "target": Domain(images=here / "photos")}
    return folder(**{"out": here / "data" / "mine"} | given | changes)


def folder(out, *, source, target, **options):
    preparing.write(preparing.plans(source, target, out=out, **options), out)
    return out


def refused(here, error, message, source_changes=None, **changes):
    """The call fails with this message, and there are no data."""
    with pytest.raises(error, match=message):
        prepare(here, source_changes, **changes)
    assert not (here / "data" / "mine").exists()


def tree(root):
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name != CACHE
    }


# --- what is written
# ---------------------------------------------------------------------------------------------


def test_the_common_layout_is_written(here):
    out = prepare(here)
    files.check_manifest(out, contents=True)
    about = json.loads((out / "about.json").read_text())
    assert about["data"] == "mine"
    assert about["made_by"] == "prepare folder"
    assert about["oracle"] is False
    assert about["labels"] == {"source": True, "target": False}
    assert about["size"] == [H, W]
    assert about["counts"] == {s: len(list((out / s / "images").iterdir())) for s in about["counts"]}
    assert set(about["counts"]) == {
        *(f"{d}/{s}" for d in files.DOMAINS for s in files.SPLITS),
        *("judge/train", "judge/val"),
    }
    assert str(here) not in json.dumps(about)
    for split in files.SPLITS:
        scenes = Scenes(out / "source" / split)
        assert scenes.names == ["r0", "r1", "r2"]
        x, y = scenes.frame(1)
        np.testing.assert_allclose((x.permute(1, 2, 0) + 1) * 127.5, picture(1), atol=1e-3)
        np.testing.assert_array_equal(y, halves(0, 10))
    assert not Scenes(out / "target" / "train").labeled
    assert any("target: no labels" in note for note in about["notes"])
    assert os.listdir(here / "data") == ["mine"]


def test_few_source_frames_are_not_divided_and_it_is_said(here):
    about = json.loads((prepare(here) / "about.json").read_text())
    assert about["seen_in_training"] == ["source/val", "source/test"]
    assert any("only 3 frame(s)" in note for note in about["notes"])
    about = json.loads((prepare(here, few=3) / "about.json").read_text())
    assert about["seen_in_training"] == []
    assert [about["counts"][f"source/{s}"] for s in files.SPLITS] == [1, 1, 1]


def test_no_frame_is_in_two_splits(here):
    out = prepare(here, few=1)
    for domains in (["source"], ["target", "judge"]):
        names = [p.name for d in domains for p in (out / d).rglob("images/*.png")]
        assert len(names) == len(set(names)) == {"source": 3, "target": 10}[domains[0]]


def test_sizes_and_no_invented_label(here):
    draw = np.random.default_rng(0)
    label = draw.choice(np.array([3, 200, 7], np.uint8), (H, W))
    save(here / "masks" / "r1.png", label)
    out = prepare(here, size=(5, 7))
    with (
        Image.open(out / "source/train/images/r1.png") as image,
        Image.open(out / "source/train/labels/r1.png") as y,
    ):
        assert image.size == y.size == (7, 5)
        assert image.mode == "RGB"
        assert y.mode == "L"
        expected = Image.fromarray(picture(1)).resize((7, 5), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(image, expected)
        wanted = Image.fromarray(np.vectorize({3: 0, 200: 10, 7: 255}.get)(label).astype(np.uint8))
        np.testing.assert_array_equal(y, wanted.resize((7, 5), Image.Resampling.NEAREST))
        assert set(np.unique(y)) == {0, 10, 255}


def test_images_of_every_accepted_kind(here):
    rgb, gray = picture(0), picture(0)[..., 0]
    save(here / "renders" / "r0.png", np.dstack([rgb, np.full((H, W), 255, np.uint8)]))
    save(here / "renders" / "r1.png", gray)
    (here / "renders" / "r2.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    save(here / "renders" / "r2.jpg", np.rot90(gray), exif=exif, quality=100)
    refused(here, ValueError, r"r2\.jpg is turned by its EXIF data")  # and its label is not
    out = prepare(here, {"labels": None, "mapping": None})
    read = [np.asarray(Image.open(out / f"source/train/images/r{i}.png")) for i in range(3)]
    np.testing.assert_array_equal(read[0], rgb)
    np.testing.assert_array_equal(read[1], np.dstack([gray] * 3))
    np.testing.assert_allclose(read[2], np.dstack([gray] * 3), atol=3)


def test_the_same_call_writes_nothing_and_another_replaces_the_data(here):
    out = prepare(here)
    before, stamp = tree(out), (out / "manifest.csv").stat().st_mtime_ns
    prepare(here)
    assert (out / "manifest.csv").stat().st_mtime_ns == stamp
    assert tree(prepare(here, size=(4, 8))) != before
    assert tree(prepare(here)) == before
    save(here / "renders" / "r1.png", picture(77))  # other contents, same settings
    assert tree(prepare(here)) != before
    save(here / "renders" / "r1.png", picture(1))
    assert tree(prepare(here)) == before
    (out / "source/train/labels/r0.png").unlink()
    assert tree(prepare(here)) == before


def test_a_killed_call_goes_on_and_ends_with_the_same_files(here, monkeypatch):
    expected = tree(prepare(here))
    shutil.rmtree(here / "data")
    atomic, calls = files.atomic, []

    def killed(path):
        calls.append(path)
        if len(calls) == 13:
            raise KeyboardInterrupt
        return atomic(path)

    monkeypatch.setattr(files, "atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(here)
    monkeypatch.undo()
    partial = here / "data" / "mine.partial"
    (partial / "source/train/images/.torn.1.partial.png").write_bytes(b"half")
    noted = [json.loads(line) for line in (partial / "source/frames.jsonl").read_text().splitlines()]
    done = {
        partial / name: (partial / name).stat().st_mtime_ns for record in noted for name in record["files"]
    }
    assert os.listdir(here / "data") == ["mine.partial"]
    assert len(done) >= 6
    out = prepare(here)
    assert tree(out) == expected
    assert all((out / p.relative_to(partial)).stat().st_mtime_ns == stamp for p, stamp in done.items())
    assert os.listdir(here / "data") == ["mine"]


def test_a_disk_error_names_the_file_and_keeps_the_old_data(here, monkeypatch):
    before = tree(prepare(here))
    real = Path.write_bytes

    def full(self, content):
        if self.name.startswith(".p03."):
            raise OSError(28, "No space left on device")
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device.*mine\.partial.*p03\.png"):
        prepare(here, size=(4, 8))
    assert tree(here / "data" / "mine") == before
    monkeypatch.undo()
    assert os.listdir(here / "data" / "mine.partial" / "target" / "train" / "images") != []
    assert tree(prepare(here, size=(6, 12))) == tree(prepare(here, size=(6, 12), out=here / "new" / "mine"))
    assert sorted(os.listdir(here / "data")) == ["mine"]


def test_a_folder_that_is_something_else_is_left_alone(here):
    (here / "data" / "mine").mkdir(parents=True)
    (here / "data" / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="mine exists and is not data that"):
        prepare(here)
    assert tree(here / "data") == {"mine/thesis.txt": b"years of work"}
    with pytest.raises(ValueError, match="one of .* and .*renders contains the other; write elsewhere"):
        folder(here, source=source(here), target=Domain(images=here / "photos"))


# --- bad inputs
# --------------------------------------------------------------------------------------------------


def test_missing_folders_and_files(here):
    refused(here, FileNotFoundError, "no folder .*nowhere", {"images": here / "nowhere"})
    refused(here, FileNotFoundError, "no folder .*nowhere", {"labels": here / "nowhere"})
    refused(here, FileNotFoundError, "no mapping file .*nowhere.csv", {"mapping": here / "nowhere.csv"})
    (here / "empty").mkdir()
    refused(here, FileNotFoundError, "no PNG or JPEG file in .*empty", target=Domain(images=here / "empty"))
    refused(here, ValueError, "a mapping .* is given, but no folder of labels", {"labels": None})


def test_files_that_do_not_pair(here):
    (here / "masks" / "r1.png").unlink()
    refused(here, ValueError, r"source: no label in .*masks for 1 of 3 file\(s\): r1\. It holds r0\.png")
    save(here / "masks" / "r1.png", halves(3, 3))
    save(here / "masks" / "r9.png", halves(3, 3))
    refused(here, ValueError, r"source: no image in .*renders for 1 of 4 file\(s\): r9\. It holds r0\.png")
    (here / "masks" / "r9.png").unlink()
    save(here / "renders" / "r0.jpg", picture(0))
    refused(here, ValueError, r"r0\.jpg and .*r0\.png have the same stem")


def test_image_and_label_of_different_size(here):
    save(here / "masks" / "r2.png", halves(3, 200)[:, :-1])
    refused(here, ValueError, r"renders.r2\.png is 8x16, .*masks.r2\.png is 8x15")


@pytest.mark.parametrize("where", ["renders/r1.png", "masks/r1.png", "photos/p03.jpg"])
def test_files_that_do_not_decode(here, where):
    whole = (here / where).read_bytes()
    for broken in (b"", b"text", whole[: len(whole) * 2 // 3]):
        (here / where).write_bytes(broken)
        refused(here, ValueError, rf"{os.path.basename(where)} does not decode")


def test_images_of_other_kinds(here):
    see_through = np.dstack([picture(0), halves(255, 254)])
    save(here / "renders" / "r0.png", see_through)
    refused(here, ValueError, r"r0\.png is partly transparent")
    Image.new("P", (W, H)).save(here / "renders" / "r0.png")
    refused(here, ValueError, r"r0\.png is a picture of mode P")
    save(here / "renders" / "r0.png", np.zeros((H, W), np.uint16))
    refused(here, ValueError, r"r0\.png has 16 bits a channel")


def test_unknown_values_name_file_value_and_share(here):
    label = halves(3, 200)
    label[0, :2] = 99
    save(here / "masks" / "r1.png", label)
    refused(
        here, ValueError, r"r1\.png holds values that are not in values\.csv: 99 \(1\.56% of its pixels\)$"
    )
    refused(
        here, ValueError, r"r0\.png holds values that are no train id, .*: 200 \(50\.00%", {"mapping": None}
    )


def test_labels_of_another_coding_than_the_mapping(here):
    refused(
        here,
        ValueError,
        r"r0\.png is a gray picture, and should hold colors of colors\.csv",
        {"mapping": here / "colors.csv"},
    )
    save(here / "masks" / "r0.png", picture(0))
    refused(here, ValueError, r"r0\.png is a color picture, and should hold values of values\.csv")
    refused(here, ValueError, r"r0\.png is a color picture, and should hold train ids", {"mapping": None})


def test_labels_that_only_their_header_gives_away(here):
    save(here / "masks" / "r0.png", halves(3, 200).astype(np.uint16))
    refused(here, ValueError, r"r0\.png has 16 bits")
    exif = Image.Exif()
    exif[0x0112] = 6
    save(here / "masks" / "r0.png", halves(3, 200), exif=exif)
    refused(here, ValueError, r"r0\.png is turned by its EXIF data")


def test_shares_and_sizes_out_of_range(here):
    refused(here, ValueError, r"judge_share = 0\.0: a share .* between 0 and 1", judge_share=0.0)
    refused(here, ValueError, "leave nothing to train on", val_share=0.5, test_share=0.5)
    refused(here, ValueError, r"size is \(height, width\)", size=(0, 8))


def test_too_few_target_frames(here):
    for path in sorted((here / "photos").iterdir())[4:]:
        path.unlink()
    refused(here, ValueError, r"target: of 4 frame\(s\) 1 would go to judge, which needs 2")


# --- splits
# ------------------------------------------------------------------------------------------------------

SHARES = {"val_share": 0.1, "test_share": 0.2}


def test_blocks_hold_the_shares_and_spread_over_the_film():
    stems = [f"{i:03}" for i in range(200)]
    dealt, notes = divide(stems, "target", judge_share=0.25, **SHARES)
    assert sorted(sum(dealt.values(), [])) == stems
    judged = sorted(dealt["judge/train"] + dealt["judge/val"])
    assert 40 <= len(judged) <= 60
    assert notes == [
        "target: the judge's frames are chosen in 10 blocks of up to 20 consecutive files by name, numbers by value",
        "target: splits are chosen in 10 blocks of up to 16 consecutive files by name, numbers by value",
        "judge: splits are chosen in 10 blocks of up to 4 consecutive files by name, numbers by value",
    ]
    blocks = {i // 20 for i in map(int, judged)}
    assert judged == [s for s in stems if int(s) // 20 in blocks]
    assert max(blocks) - min(blocks) > 2
    assert len(dealt["target/train"]) > len(dealt["target/test"]) >= len(dealt["target/val"]) > 0


def test_whole_sequences_go_one_way():
    stems = sorted(f"{city}_{i}" for city in "abcdefgh" for i in range(9))
    dealt, notes = divide(stems, "target", sequence=r"^(\w)_", judge_share=0.25, **SHARES)
    assert sorted(sum(dealt.values(), [])) == stems
    of = {split: {stem[0] for stem in members} for split, members in dealt.items()}
    assert sum(map(len, of.values())) == 8
    assert all("whole sequences" in note for note in notes)


def test_the_judge_has_its_own_sequence_even_where_there_are_two():
    stems = sorted(f"{city}_{i}" for city in "ab" for i in range(12))
    dealt, notes = divide(stems, "target", sequence=r"^(\w)_", judge_share=0.25, **SHARES)
    assert {s[0] for s in dealt["judge/train"] + dealt["judge/val"]} == {"b"}
    assert {s[0] for split in files.SPLITS for s in dealt[f"target/{split}"]} == {"a"}
    assert all(dealt.values())
    assert ["sequences" in note for note in notes] == [True, False, False]
    assert len(dealt["judge/train"]) > 4 * len(dealt["judge/val"])


def test_sequences_that_cannot_be_found():
    with pytest.raises(ValueError, match=r"'\^\(x\)' finds no sequence in the name 'a'"):
        divide(["a"], "source", sequence="^(x)", **SHARES)
    with pytest.raises(ValueError, match=r"finds no sequence in the name 'a'; it needs one \(group\)"):
        divide(["a"], "source", sequence="a", **SHARES)
    with pytest.raises(ValueError, match="the judge needs one of its own"):
        divide(["a1", "a2"], "target", sequence="^(a)", judge_share=0.25, **SHARES)
