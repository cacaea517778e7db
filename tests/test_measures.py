"""Measures of a translation: by hand, on their axis, the same in any batch and order, and from their file again."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from semcg import world
from semcg.data import Scenes
from semcg.evaluate import (
    Pictures,
    collect,
    counts_of,
    read_parts,
    read_scenes,
    target_features,
    train_reader,
    values,
)
from semcg.evaluate.parts import contradictions, frame_counts, write_parts
from semcg.evaluate.reading import marking_contrast, marking_sums
from semcg.labels import names
from semcg.translate import BorrowedColors, Guided, identity, to_bytes
from semcg_kit.evidence.oracles import oracles

ROAD, BUILDING, SKY, CAR = (names().index(n) for n in ("road", "building", "sky", "car"))
FRAMES = 6


class Judge(nn.Module):
    """Counts which class has which color at which height in the target; it is fitted at once and errs a lot."""

    def __init__(self, scenes):
        super().__init__()
        table = torch.ones(8 * 512, 19)
        for i in range(len(scenes)):
            x, y = scenes.frame(i)
            kept = y < 19
            table.index_put_((self._bins(x[None])[0][kept], y[kept]), torch.ones(()), accumulate=True)
        self.register_buffer("scores", table / table.sum(0))
        self.down4 = nn.Sequential(nn.Conv2d(3, 12, 5, stride=4), nn.ReLU())
        draw = torch.Generator().manual_seed(0)
        for p in self.down4.parameters():
            p.data = torch.randn(p.shape, generator=draw) / 4

    @staticmethod
    def _bins(x):
        color = (to_bytes(x).long() // 32 * torch.tensor([64, 8, 1]).view(3, 1, 1)).sum(1)
        return color + 512 * (torch.arange(x.shape[-2]) * 8 // x.shape[-2])[:, None]

    def forward(self, x):
        assert not self.training
        self.down4(x)
        return self.scores[self._bins(x)].permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "world"
    return world.write(root, size=(128, 256), train=14, val=0, test=FRAMES, judge_train=0, judge_val=0)


@pytest.fixture(scope="module")
def judge(streets):
    return Judge(Scenes(streets / "target" / "train")).train()


@pytest.fixture(scope="module")
def reader(streets):
    return train_reader(streets, steps=120, batch=64)


@pytest.fixture(scope="module")
def axis(streets, judge, reader):
    short = {
        "oracle, blurred 1 px": "blur 1",
        "oracle, blurred 2 px": "blur 2",
        "oracle, shuffled": "shuffled",
        "oracle, checkered": "checkers",
    }
    short |= {"oracle": "oracle", "oracle, sky and buildings swapped": "swap"}
    translations = {"identity": identity} | {short[name]: way for name, way in oracles(streets).items()}
    target = target_features(judge, streets)
    return {
        name: values(collect(t, folder=streets, nets={"judge": judge}, reader=reader, target=target))
        for name, t in translations.items()
    }


def order(axis, measure, kind="all"):
    return {name: found[measure, kind] for name, found in axis.items()}


@pytest.mark.parametrize("measure", ["judge mIoU", "pixel accuracy", "boundary F", "oracle SSIM"])
def test_the_axis_of_what_the_judge_reads(axis, measure):
    at = order(axis, measure)
    assert at["oracle"] > at["blur 2"]
    for wrong in ("identity", "swap", "shuffled"):
        assert at["oracle"] > at[wrong] + 0.02


def test_the_axis_of_the_sky(axis):
    kept, built = order(axis, "sky kept"), order(axis, "sky to building")
    assert kept["oracle"] > kept["shuffled"] > kept["swap"]
    assert built["swap"] > built["shuffled"] > built["oracle"]
    assert axis["oracle"]["judge IoU", "building"] > axis["swap"]["judge IoU", "building"] + 0.1


def test_the_axis_of_edges(axis):
    at = order(axis, "edge width")
    assert at["identity"] == 1
    assert 1.2 < at["oracle"] < at["blur 1"] < at["blur 2"], "the camera is softer than the game"
    f = order(axis, "boundary F", "building")
    assert f["oracle"] > f["shuffled"]
    assert f["oracle"] > f["swap"]


def test_the_axis_of_plates_and_markings(axis):
    digits, contrast = order(axis, "plate digits read"), order(axis, "marking contrast")
    assert digits["oracle"] >= digits["blur 1"] > digits["blur 2"]
    assert digits["oracle"] > digits["shuffled"] + 0.2
    assert order(axis, "plates read")["shuffled"] <= 0.1
    kept = order(axis, "markings kept")
    assert kept["identity"] == 1
    assert kept["oracle"] > 0.75
    assert kept["oracle"] > kept["blur 1"] > kept["blur 2"] > kept["shuffled"]
    assert contrast["identity"] == pytest.approx(1)
    assert 1 > contrast["oracle"] > contrast["blur 1"] > contrast["blur 2"] > contrast["shuffled"]


def test_the_axis_of_distances(axis):
    kid, l1, psnr = (order(axis, m) for m in ("KID", "oracle L1", "oracle PSNR"))
    assert kid["identity"] > 5 * abs(kid["oracle"])
    assert kid["shuffled"] == pytest.approx(kid["oracle"], abs=1e-6), "KID knows no pairs"
    assert (l1["oracle"], psnr["oracle"]) == (0, math.inf)
    assert l1["blur 1"] < l1["blur 2"] < l1["swap"] < l1["identity"]
    assert psnr["blur 1"] > psnr["blur 2"] > psnr["shuffled"]
    assert all(found["KID error", "all"] > 0 for found in axis.values())


def test_the_axis_of_the_grid(axis):
    """A checkerboard added to frames of the target's style moves the index far, and KID by less than its error."""
    grid, kid = order(axis, "grid index"), order(axis, "KID")
    assert grid["checkers"] > 10 * grid["oracle"]
    assert grid["oracle"] == pytest.approx(1, abs=0.3)
    assert abs(kid["checkers"] - kid["oracle"]) < axis["oracle"]["KID error", "all"]


def test_the_axis_of_edges_has_two_sides(axis):
    off = order(axis, "edge width off oracle")
    assert off["oracle"] == off["shuffled"] - off["shuffled"] == 0
    assert 0 < off["blur 1"] < off["blur 2"]
    assert off["identity"] > 0.05, "too sharp is off as well"


def test_colors_of_another_street_are_a_control(streets, judge):
    """A generator that adds a frame's mean: the control adds that of the next street, the first after the last."""

    class Brighter(nn.Module):
        multiple = 4

        def forward(self, x):
            return x + x.mean((1, 2, 3), keepdim=True)

    scenes = Scenes(streets / "source" / "test")
    control = BorrowedColors(Guided(Brighter()), scenes.folder)
    x, other = (scenes.frame(i)[0][None] for i in (FRAMES - 1, 0))
    got = control(x, [scenes.names[-1]])
    assert got.shape == x.shape
    expected = (x + other.mean()).clamp(-1, 1)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
    assert abs(float(x.mean() - other.mean())) > 0.01, "the frame's own brightness would give another picture"
    found = collect(control, folder=streets, nets={"judge": judge}, frames=scenes.names[:2], batch=1)
    assert found["grid"].keys() == set(scenes.names[:2])


def test_frames_add_up_to_the_judges_table(streets, judge):
    found = collect(identity, folder=streets, nets={"judge": judge, "second judge": judge})
    hits, unions = frame_counts(found)
    assert hits.shape == unions.shape == (FRAMES, 19)
    iou = values(found)
    sky = hits[:, SKY].sum() / unions[:, SKY].sum()
    assert sky == pytest.approx(iou["judge IoU", "sky"])
    assert contradictions(found) == []
    found["second judge"]["sky"]["sky"] += 1
    first = next(iter(found["judge frames"].values()))
    first["hits"] = "1" + first["hits"]
    assert [line.partition(" ")[0] for line in contradictions(found)] == ["second", "the"]


def test_the_reader_has_a_ceiling_and_a_floor(streets, reader):
    ceiling, floor = (
        values(read_scenes(reader, streets, domain, "test"))["plate digits read", "all"]
        for domain in ("target", "source")
    )
    assert ceiling > 0.7, "a tenth by chance"
    assert floor > 0.2


def test_batches_and_order_change_nothing(streets, judge, reader, tmp_path):
    draw = torch.Generator().manual_seed(1)
    there, back = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
    for net in (there, back):
        net.weight.data = torch.randn(net.weight.shape, generator=draw) / 5
        net.bias.data.zero_()
    given = {"nets": {"judge": judge, "Sem_t": judge}, "reader": reader, "back": back}
    frames = Scenes(streets / "source" / "test").names
    first = collect(there, folder=streets, **given)
    assert judge.training, "networks are left in the mode they were in"
    for batch, chosen in ((1, frames[::-1]), (4, [frames[i] for i in (3, 0, 5, 1, 4, 2)])):
        other = collect(there, folder=streets, batch=batch, frames=chosen, **given)
        assert list(other) == list(first)
        for part, items in first.items():
            assert list(other[part]) == list(items)
            for item, entries in items.items():
                for key, value in entries.items():
                    seen = other[part][item][key]
                    assert type(seen) is type(value)
                    assert seen == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)
    path = tmp_path / "counts" / "run.csv"
    write_parts(path, first)
    assert read_parts(path) == first
    assert values(read_parts(path)) == values(first)
    assert path.stat().st_size < 300_000 * FRAMES / 120 + 30_000
    some = collect(there, folder=streets, frames=frames[:2], **given)
    assert set(some["edges"]) == set(frames[:2])
    assert counts_of(some).sum() < counts_of(first).sum()
    with pytest.raises(ValueError, match="no frame 77"):
        collect(there, folder=streets, nets={"judge": judge}, frames=["77"])


PARTS = {
    "judge": {
        "sky": {"sky": 30, "building": 10},
        "car": {"truck": 20, "car": 60, "none": 20},
    },
    "Sem_t": {"sky": {"sky": 5}},
    "boundary": {
        "building": {"predicted": 10, "predicted matched": 5, "true": 4, "true matched": 4},
        "sky": {"predicted": 6, "predicted matched": 3, "true": 12, "true matched": 2},
    },
    "edges": {
        "a": {"points": 90, "measured": 50, "source": 0.5, "translated": 0.6}
        | {"compared": 50, "oracle": 0.8, "beside oracle": 0.6},
        "b": {"points": 90, "measured": 50, "source": 0.5, "translated": 1.0}
        | {"compared": 50, "oracle": 0.6, "beside oracle": 1.0},
        "c": {"points": 90, "measured": 50, "source": 0.4, "translated": 0.6}
        | {"compared": 5, "oracle": 0.6, "beside oracle": 4.0},
        "d": {"points": 90, "measured": 3, "source": 0.4, "translated": 4.0},
        "e": {"points": 90, "measured": 0},
    },
    "plates": {
        "a/0": {"text": "007", "read": "007", "confidence": 0.99, "digit_px": 6.0},
        "a/1": {"text": "123", "read": "124", "confidence": 0.95, "digit_px": 5.0},
        "b/0": {"text": "456", "read": "111", "confidence": 0.5, "digit_px": 4.5},
        "b/1": {"text": "789", "read": "789", "confidence": 0.4, "digit_px": 3.0},
    },
    "signs": {"a/0": {"text": "30", "read": "30", "confidence": 0.9, "digit_px": 7.0}},
    "markings": {
        "a": {"kept": 3, "markings": 4, "markings before": 3.2, "markings after": 2.4}
        | {"asphalt": 10, "asphalt before": 4.0, "asphalt after": 4.0},
        "b": {"kept": 4, "markings": 4, "markings before": 3.2, "markings after": 2.4}
        | {"asphalt": 10, "asphalt before": 4.0, "asphalt after": 4.0},
    },
    "grid": {"a": {"peak": 6.0, "around": 1.0}, "b": {"peak": 2.0, "around": 3.0}},
    "oracle": {
        "a": {"values": 100, "absolute": 10.0, "squared": 4.0, "ssim": 0.5},
        "b": {"values": 300, "absolute": 30.0, "squared": 12.0, "ssim": 0.7},
    },
    "cycle": {"a": {"values": 100, "absolute": 20.0, "squared": 40.0}},
    "KID": {"frames": {"all": 0.03}, "half": {"0": 0.02, "1": 0.04, "2": 0.03}},
}


def test_every_number_by_hand():
    found = values(PARTS)
    expected = {
        ("judge mIoU", "all"): (0.75 + 0.6 + 0 + 0) / 4,
        ("judge IoU", "sky"): 0.75,
        ("judge IoU", "car"): 0.6,
        ("judge IoU", "truck"): 0,
        ("judge IoU", "vehicle (category)"): 0.8,
        ("pixel accuracy", "all"): 90 / 140,
        ("sky kept", "all"): 0.75,
        ("sky to building", "all"): 0.25,
        ("Sem_t mIoU", "all"): 1,
        ("boundary F", "building"): 2 / 3,
        ("boundary F", "all"): 2 * 0.5 * 0.375 / 0.875,
        ("edge width", "all"): 1.5,  # of 1.2, 2 and 1.5; the others have too few points
        ("plates read", "all"): 1 / 3,
        ("plate digits read", "all"): 5 / 9,
        ("plates wrong but confident", "all"): 1 / 3,
        ("plates read", "2.5-3.5"): 1,
        ("plates read", "4.5-5.5"): 0,
        ("plates read", "5.5-6.5"): 1,
        ("sign numbers read", "all"): 1,
        ("marking contrast", "all"): (0.2 / 1.0) / (0.4 / 1.2),  # .6 on .4 where .8 stood on .4
        ("markings kept", "all"): 7 / 8,
        ("grid index", "all"): 2,
        ("edge width off oracle", "all"): 0.3,  # 0.2 too sharp, 0.4 too blurred; "c" has too few points
        ("KID", "all"): 0.03,
        ("KID error", "all"): 0.01,
        ("oracle L1", "all"): 0.1,
        ("oracle PSNR", "all"): 20,
        ("oracle SSIM", "all"): 0.6,
        ("cycle L1", "all"): 0.2,
        ("cycle PSNR", "all"): 10,
    }
    for key, value in expected.items():
        assert found[key] == pytest.approx(value), key
    assert math.isnan(found["judge IoU", "person"])
    assert math.isnan(found["boundary F", "road"])
    assert ("second judge mIoU", "all") not in found
    assert ("Sem_t IoU", "sky") not in found
    assert ("plates read", ">= 6.5") not in found
    assert values({}) == {}


def test_parts_survive_their_file(tmp_path):
    path = tmp_path / "parts.csv"
    write_parts(path, PARTS)
    again = read_parts(path)
    assert again == PARTS
    assert again["plates"]["a/0"]["text"] == "007"
    assert type(again["edges"]["d"]["translated"]) is float
    text = path.read_text()
    for line, planted in (("a,b\n", "columns a, b"), (text + "judge,sky,sky,3\n", "twice")):
        path.write_text(line)
        with pytest.raises(ValueError, match=planted):
            read_parts(path)
    for entry, planted in (
        (b"judge,sky,sky,many", ".*'many'"),
        (b"a,\xff", ""),
        (b"a,\x00", ""),
        (b"a" * 200_000, ""),
    ):
        path.write_bytes(b"part,item,key,value\n" + entry)
        with pytest.raises(ValueError, match=rf"parts\.csv line \d: {planted}"):
            read_parts(path)


def test_markings_by_hand():
    label = np.full((9, 9), SKY)
    label[2:] = ROAD
    source = np.full((9, 9), 0.4)
    source[:2] = 1.0
    source[5, 4] = 0.8  # one marking; the asphalt within three steps of it, which the sky is not
    sums = marking_sums(label, source, source / 2)
    assert sums == {
        "kept": 1,
        "markings": 1,
        "markings before": 0.8,
        "markings after": 0.4,
        "asphalt": 24,
        "asphalt before": pytest.approx(24 * 0.4),
        "asphalt after": pytest.approx(24 * 0.2),
    }
    assert marking_contrast(sums) == pytest.approx(1), "an exposure is no contrast"
    assert marking_contrast(marking_sums(label, source, np.zeros_like(source))) == 0, "all is black"
    assert values({"grid": {"0": {"peak": 0.0, "around": 0.0}}}) == {}, "frames of one color"
    faded = np.where(source == 0.8, 0.4 * 1.1, 0.4)  # contrast .04 / .84, less than a quarter of .4 / 1.2
    assert marking_sums(label, source, faded)["kept"] == 0
    faded = np.where(source == 0.8, 0.4 * 1.3, 0.4)  # .12 / .92
    assert marking_sums(label, source, faded)["kept"] == 1
    assert marking_sums(label, np.full((9, 9), 0.4), source) == {}
    assert marking_sums(np.full((9, 9), SKY), source, source) == {}


def test_what_the_data_do_not_have_is_absent(streets, judge, reader, tmp_path):
    bare = tmp_path / "bare"
    for kind in ("images", "labels"):
        shutil.copytree(streets / "source" / "test" / kind, bare / "source" / "test" / kind)
    parts = collect(identity, folder=bare, nets={"judge": judge}, reader=reader)
    assert set(parts) == {"judge", "judge frames", "boundary", "edges", "grid", "markings"}
    assert not {m for m, _ in values(parts)} & {"KID", "plates read", "oracle L1", "cycle L1", "Sem_t mIoU"}
    shutil.rmtree(bare / "source" / "test" / "labels")
    with pytest.raises(ValueError, match="no labels"):
        collect(identity, folder=bare, nets={"judge": judge})


def test_wrong_translations_are_refused(streets, judge, tmp_path):
    with pytest.raises(ValueError, match="were translated to"):
        collect(lambda x: x[..., :64], folder=streets, nets={"judge": judge})
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "00000.png")
    with pytest.raises(ValueError, match=r"00000\.png is \(4, 4\)"):
        collect(Pictures(tmp_path), folder=streets, nets={"judge": judge}, frames=["00000"])
    with pytest.raises(FileNotFoundError, match="for the frame 00001"):
        collect(Pictures(tmp_path), folder=streets, nets={"judge": judge}, frames=["00001"])


def test_the_drawn_notes_are_read(streets, judge, reader):
    parts = collect(identity, folder=streets, nets={"judge": judge}, reader=reader)
    lines = [json.loads(line) for line in (streets / "scenes.jsonl").read_text().splitlines()]
    expected = {
        f"{line['name']}/{k}": plate["text"]
        for line in lines
        if (line["domain"], line["split"]) == ("source", "test")
        for k, plate in enumerate(p for p in line["plates"] if p["visible"] >= 0.97 and p["digit_px"] >= 2.5)
    }
    assert {item: plate["text"] for item, plate in parts["plates"].items()} == expected
