"""Measures of translations, against numbers worked out by hand and faults planted on purpose."""

import math
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from semcg import evaluate, metrics, segmenters
from semcg.data import Scenes
from semcg.devices import fabric_for
from semcg.evaluate import parts
from semcg.labels import names
from semcg.plots import scores
from semcg.translate import identity, to_bytes

FABRIC = fabric_for("cpu")
SKY, BUILDING, CAR, TRUCK = (names().index(n) for n in ("sky", "building", "car", "truck"))


class Reader(nn.Module):
    """Reads the class that the red channel says, 10 levels a class; sees only every second pixel."""

    multiple = 4

    def forward(self, x):
        assert not self.training
        assert x.shape[-2] % 4 == x.shape[-1] % 4 == 0
        ids = (to_bytes(x[:, 0]).long() // 10).clamp(max=18)[:, ::2, ::2]
        return nn.functional.one_hot(ids, 19).permute(0, 3, 1, 2).float()


def write(root, frames):
    """Frames whose red channel says the class."""
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True, exist_ok=True)
    for k, label in enumerate(frames):
        label = np.asarray(label, np.uint8)
        shown = np.where(label == 255, 0, label) * 10 + 5
        picture = np.dstack([shown, np.zeros_like(label), np.zeros_like(label)]).astype(np.uint8)
        Image.fromarray(picture).save(root / "images" / f"{k}.png")
        Image.fromarray(label).save(root / "labels" / f"{k}.png")
    return root


def halves(upper, lower, size=(8, 16)):
    label = np.full(size, upper)
    label[size[0] // 2 :] = lower
    return label


def builds_the_sky(x):
    """A phantom: whatever is sky becomes building in the left quarter of the frame."""
    x = x.clone()
    sky = (to_bytes(x[:, 0]) // 10) == SKY
    sky[..., x.shape[-1] // 4 :] = False
    x[:, 0][sky] = (BUILDING * 10 + 5) / 127.5 - 1
    return x


@pytest.fixture
def scenes(tmp_path):
    return Scenes(write(tmp_path / "test", [halves(SKY, 0), halves(SKY, CAR), halves(BUILDING, 255)]))


def test_counts_by_hand(scenes):
    net = Reader().train()
    counts = evaluate.segmentation_counts(net, scenes, fabric=FABRIC)
    assert (counts.shape, counts.dtype) == ((19, 20), torch.int64)
    expected = torch.zeros(19, 20, dtype=torch.int64)
    expected[SKY, SKY], expected[0, 0], expected[CAR, CAR], expected[BUILDING, BUILDING] = 128, 64, 64, 64
    assert torch.equal(counts, expected)
    assert net.training, "it is left in the mode it was in"


def test_a_phantom_is_counted(scenes):
    counts = evaluate.segmentation_counts(Reader(), scenes, translate=builds_the_sky, fabric=FABRIC)
    assert counts[SKY, BUILDING] == 32  # 2 frames x 4 rows x 4 columns
    assert parts.sky_kept(counts) == 0.75
    assert parts.flip_share(counts, "sky", "building") == 0.25
    assert parts.flip_share(counts, "sky", "vegetation") == 0
    assert parts.flip_share(counts) == pytest.approx(32 / 320)


def test_pixels_without_a_label_count_for_nothing(tmp_path):
    scenes = Scenes(write(tmp_path / "test", [halves(255, 0)]))
    assert evaluate.segmentation_counts(Reader(), scenes, fabric=FABRIC).sum() == 64


def test_the_batch_and_mixed_sizes_change_nothing(tmp_path):
    generator = torch.Generator().manual_seed(0)
    sizes = [(16, 24), (16, 24), (16, 24), (13, 30), (16, 24), (13, 30), (13, 30)]
    labels = [torch.randint(0, 19, s, generator=generator).numpy() for s in sizes]
    scenes = Scenes(write(tmp_path / "test", labels))
    torch.manual_seed(1)
    net = segmenters.build("drn26", width=0.125, stride=8)
    counts = [evaluate.segmentation_counts(net, scenes, batch=b, fabric=FABRIC) for b in (1, 2, 3, 8)]
    assert counts[0].sum() == sum(h * w for h, w in sizes)
    assert all(torch.equal(counts[0], other) for other in counts[1:])
    whole = sum(  # frame by frame, without any of this package's batching; these sizes fit the network
        metrics.confusion(segmenters.upsample(net.eval()(x[None]), y.shape).argmax(1), y[None])
        for x, y in (scenes.frame(i) for i in (0, 1, 2, 4))
    )
    fitting = Scenes(write(tmp_path / "fitting", [labels[i] for i in (0, 1, 2, 4)]))
    assert torch.equal(evaluate.segmentation_counts(net, fitting, fabric=FABRIC), whole)


def test_folders_give_the_same_counts_and_name_what_is_wrong(tmp_path, scenes):
    images, labels = scenes.folder / "images", scenes.folder / "labels"
    counts = evaluate.counts_of_folders(Reader(), images, labels, batch=2, fabric=FABRIC)
    assert torch.equal(counts, evaluate.segmentation_counts(Reader(), scenes, fabric=FABRIC))
    Image.fromarray(np.full((8, 16), 33, np.uint8)).save(labels / "1.png")  # a label id
    with pytest.raises(ValueError, match=r"1\.png holds values that are no train id.*33"):
        evaluate.counts_of_folders(Reader(), images, labels, fabric=FABRIC)
    Image.fromarray(np.zeros((9, 16), np.uint8)).save(labels / "1.png")
    with pytest.raises(ValueError, match=r"sizes differ .*1\.png is 8x16, .*1\.png is 9x16"):
        evaluate.counts_of_folders(Reader(), images, labels, fabric=FABRIC)
    (labels / "1.png").unlink()
    with pytest.raises(ValueError, match=r"no label in .*labels for 1 of 3 file.*: 1\."):
        evaluate.counts_of_folders(Reader(), images, labels, fabric=FABRIC)
    shutil.rmtree(labels)
    with pytest.raises(ValueError, match="no labels"):
        evaluate.segmentation_counts(Reader(), Scenes(scenes.folder), fabric=FABRIC)


def test_oracle_distance_by_hand(tmp_path, scenes):
    oracle = scenes.folder / "oracle"
    shutil.copytree(scenes.folder / "images", oracle)
    same = evaluate.oracle_distance(identity, scenes, oracle, fabric=FABRIC)
    assert same == {"l1": 0.0, "psnr": math.inf, "frames": 3}

    def brighter(x):  # by 0.5 in one of three channels of the left half
        x = x.clone()
        x[:, 2, :, : x.shape[-1] // 2] += 0.5
        return x

    off = evaluate.oracle_distance(brighter, scenes, oracle, batch=2, fabric=FABRIC)
    assert off["l1"] == pytest.approx(0.5 / 6)
    assert off["psnr"] == pytest.approx(10 * math.log10(4 / (0.25 / 6)))
    (oracle / "2.png").unlink()
    with pytest.raises(FileNotFoundError, match="no picture in .* for the frame 2"):
        evaluate.oracle_distance(identity, scenes, oracle, fabric=FABRIC)
    with pytest.raises(FileNotFoundError, match="no folder"):
        evaluate.oracle_distance(identity, scenes, tmp_path / "nowhere", fabric=FABRIC)


def counts_by_hand():
    counts = torch.zeros(19, 20, dtype=torch.int64)
    counts[SKY, SKY], counts[SKY, BUILDING] = 30, 10
    counts[CAR, TRUCK], counts[CAR, CAR], counts[CAR, 19] = 20, 60, 20
    return counts


def test_class_table_by_hand():
    table = evaluate.class_table(
        {"CycleGAN": counts_by_hand(), "none": torch.zeros(19, 20, dtype=torch.int64)}
    )
    column = table["CycleGAN"]
    assert list(table.index[:19]) == names()
    assert column["sky"] == 0.75
    assert column["car"] == 0.6
    assert column["truck"] == column["building"] == 0  # read where there is none
    assert math.isnan(column["person"])
    assert column["mIoU"] == pytest.approx((0.75 + 0.6) / 4)
    assert column["fwIoU"] == pytest.approx((40 * 0.75 + 100 * 0.6) / 140)
    assert column["pixel accuracy"] == pytest.approx(90 / 140)
    assert column["vehicle (category)"] == pytest.approx(0.8)  # a car taken for a truck is a vehicle
    assert column["classes present"] == 2
    assert table["none"].iloc[:23].isna().all()


def test_wrong_class_names_are_refused():
    for wrong in (("heaven", ""), ("sky", "house"), ("", "sky"), ("sky", "sky")):
        with pytest.raises(ValueError):
            parts.flip_share(counts_by_hand(), *wrong)
    assert math.isnan(parts.flip_share(counts_by_hand(), "person"))


def test_the_comparison_fits_and_says_what_is_missing():
    rows = {
        "identity": parts.judged(counts_by_hand()) | {"L1 to oracle": 0.25, "PSNR to oracle": 11.04},
        "semantic": dict.fromkeys(parts.COLUMNS, 0.1) | {"Sem_t mIoU": None},
        "oracle": {"PSNR to oracle": math.inf},
    }
    table = parts.comparison_table(rows)
    assert list(table.columns) == list(parts.COLUMNS)
    assert table.loc["identity", "sky to building"] == 0.25
    assert table.loc["identity", "vehicle IoU"] == pytest.approx(0.8)
    text = parts.comparison_text(table, size=(128, 256), frames=120, notes=["One seed: no verdict."])
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    numbers = next(line for line in lines if line.startswith("identity")).split()[1:]
    assert numbers == [
        "0.338",
        "0.643",
        "0.750",
        "0.250",
        "0.800",
        "-",
        "-",
        "-",
        "0.250",
        "11.0",
        "-",
        "-",
        "-",
    ]
    assert next(x for x in lines if x.startswith("semantic")).split()[-2:] == ["-", "0.100"]
    assert "120 frames, scored whole at 128x256" in text
    assert "circular" in text
    assert lines[-1] == "One seed: no verdict."
    with pytest.raises(ValueError, match="no column mIoU"):
        parts.comparison_table({"identity": {"mIoU": 0.1}})


def test_flips_are_drawn_as_numbers():
    drawn = scores.flips(metrics.flips(counts_by_hand()).numpy())
    (ax, _) = drawn.axes
    written = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts}
    assert written == {(SKY, SKY): "75", (SKY, BUILDING): "25", (CAR, CAR): "60", (CAR, TRUCK): "20"}
    with pytest.raises(ValueError, match="19, 19"):
        scores.flips(np.zeros((19, 20)))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        scores.flips(np.full((19, 19), 40.0))


def test_class_points_stand_where_the_scores_are():
    table = evaluate.class_table({"CycleGAN": counts_by_hand()})
    drawn = scores.class_points({"CycleGAN": table["CycleGAN"].to_numpy()[:19]})
    points = next(c for c in drawn.axes[0].collections if c.get_label() == "CycleGAN").get_offsets()
    assert points[SKY].tolist() == [75, SKY]
    assert np.ma.is_masked(points[11]) or math.isnan(points[11][0])
    drawn.canvas.draw()
