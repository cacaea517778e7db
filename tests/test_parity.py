"""Our counts and scores are those of cityscapesScripts, the published scoring, on maps that hold every trap."""

import math
import os
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from semcg import evaluate, metrics
from semcg.data import Scenes
from semcg.devices import fabric_for
from semcg.labels import CLASSES, IGNORE, names
from semcg.runs import shipped

FABRIC = fabric_for("cpu")


@pytest.fixture(scope="module")
def scripts():
    """The module that scores, told not to score instances: on numpy 2.4 that part calls what is gone."""
    pytest.importorskip("cityscapesscripts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its source
        import cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling as scripts
    before = vars(scripts.args).copy()
    scripts.args.evalInstLevelScore, scripts.args.JSONOutput, scripts.args.quiet = False, False, True
    yield scripts
    vars(scripts.args).update(before)


def label_ids(scripts, train_ids):
    """Train ids as label ids, which the published scoring reads; 255 and other values as "unlabeled" (0)."""
    table = np.zeros(256, np.uint8)
    for train_id in range(19):
        table[train_id] = scripts.trainId2label[train_id].id
    return table[train_ids]


def published(scripts, folder, pred, label):
    """Return what the published scoring says of maps (N, H, W): IoU by class, mean, and its confusion matrix."""
    pairs = []
    for k, maps in enumerate(zip(pred, label, strict=True)):
        pairs.append([str(folder / f"{k}_{what}.png") for what in ("pred", "gtFine_labelIds")])
        for path, values in zip(pairs[-1], maps, strict=True):
            Image.fromarray(label_ids(scripts, values)).save(path)
    args = scripts.args
    kept = {}

    def keep(confusion, *rest):
        kept["matrix"] = confusion.copy()
        return original(confusion, *rest)

    # The call that makes the result is handed the matrix; its own JSON rounds nothing, but leaves the matrix out.
    original, scripts.createResultDict = scripts.createResultDict, keep
    try:
        result = scripts.evaluateImgLists([p for p, _ in pairs], [t for _, t in pairs], args)
    finally:
        scripts.createResultDict = original
    return result, kept["matrix"]


def drawn(case, seed, shape=(3, 24, 31)):
    draw = np.random.default_rng(seed)
    label = draw.choice([*range(19), IGNORE], shape).astype(np.uint8)
    pred = np.where(draw.random(shape) < 0.5, label, draw.integers(0, 19, shape)).astype(np.uint8)
    if case == "absent classes":
        for gone in (3, 15, 16):
            label[label == gone] = 2
            pred[pred == gone] = 13
    elif case == "ignored ids predicted on valid pixels":
        pred[draw.random(shape) < 0.2] = IGNORE
    elif case == "classes predicted only on void":
        label[label == 17] = IGNORE
        pred[pred == 17] = 0
        pred[label == IGNORE] = 17
    elif case == "a class predicted, never labeled":
        label[label == 14] = 13
    elif case == "an all-void frame":
        label[1] = IGNORE
    elif case == "only void":
        label[:] = IGNORE
    return pred, label


CASES = [
    "every class",
    "absent classes",
    "ignored ids predicted on valid pixels",
    "classes predicted only on void",
    "a class predicted, never labeled",
    "an all-void frame",
    "only void",
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_scores_are_the_published_ones(scripts, tmp_path, case, seed):
    pred, label = drawn(case, seed)
    result, matrix = published(scripts, tmp_path, pred, label)
    counts = metrics.confusion(pred, label)

    ids = [scripts.trainId2label[k].id for k in range(19)]
    valid = matrix[ids].astype(np.int64)  # (19, 35)
    np.testing.assert_array_equal(counts[:, :19], valid[:, ids])
    np.testing.assert_array_equal(counts[:, 19], valid.sum(1) - valid[:, ids].sum(1))

    theirs = np.array([result["classScores"][name] for name in names()])
    np.testing.assert_allclose(metrics.iou(counts), theirs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(metrics.mean_iou(counts), result["averageScoreClasses"], rtol=0, atol=1e-12)
    ours = metrics.category_iou(counts)
    theirs = {name: score for name, score in result["categoryScores"].items() if name != "void"}
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-12)

    # Its package prints no frequency-weighted IoU and no pixel accuracy: both follow from its matrix.
    pixels = valid.sum(1)
    if not pixels.sum():
        assert math.isnan(metrics.frequency_weighted_iou(counts))
        assert math.isnan(metrics.pixel_accuracy(counts))
        return
    scores = np.array([result["classScores"][name] for name in names()])
    weighted = float((pixels / pixels.sum() * np.nan_to_num(scores)).sum())
    assert metrics.frequency_weighted_iou(counts) == pytest.approx(weighted, abs=1e-12)
    accuracy = float(np.trace(valid[:, ids])) / float(pixels.sum())
    assert metrics.pixel_accuracy(counts) == pytest.approx(accuracy, abs=1e-12)


def test_the_cases_are_what_they_are_called(scripts, tmp_path):
    """The traps are in the maps: a careless rule gives other numbers on them."""
    pred, label = drawn("ignored ids predicted on valid pixels", 0)
    kept = pred != IGNORE
    careless = metrics.confusion(pred[kept], label[kept])
    assert (metrics.iou(metrics.confusion(pred, label)) - metrics.iou(careless)).abs().max() > 0.05
    pred, label = drawn("classes predicted only on void", 0)
    assert (pred == 17).sum() > 100
    assert metrics.iou(metrics.confusion(pred, label))[17].isnan()
    pred, label = drawn("a class predicted, never labeled", 0)
    assert metrics.iou(metrics.confusion(pred, label))[14] == 0


class Coarse(nn.Module):
    """Scores at half the size of the frame, drawn once per pixel of a frame: red says which class is likely."""

    def forward(self, x):
        red = nn.functional.avg_pool2d(x[:, :1], 2)
        return -((red - torch.linspace(-1, 1, 19).view(1, 19, 1, 1)) ** 2)


@pytest.fixture
def half(tmp_path):
    """Frames of 12 x 20 whose labels are 24 x 40, as frames at half the size of a benchmark's labels."""
    draw = np.random.default_rng(3)
    for kind, shape in (("images", (12, 20, 3)), ("labels", (24, 40))):
        (tmp_path / kind).mkdir()
        for k in range(3):
            values = draw.integers(0, 256, shape) if kind == "images" else draw.integers(0, 19, shape)
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / kind / f"{k}.png")
    return tmp_path


def test_scored_at_the_size_of_the_published_labels(scripts, tmp_path, half):
    counts = evaluate.counts_of_folders(
        Coarse(), half / "images", half / "labels", score_size=(24, 40), batch=2, fabric=FABRIC
    )
    pred, label = [], []
    for k in range(3):
        x = torch.from_numpy(np.array(Image.open(half / "images" / f"{k}.png"))).permute(2, 0, 1)
        scores = Coarse()((x[None].float() / 127.5) - 1)  # (1, 19, 6, 10)
        up = nn.functional.interpolate(scores, (24, 40), mode="bilinear", align_corners=False)
        pred.append(up.argmax(1)[0].numpy().astype(np.uint8))
        label.append(np.array(Image.open(half / "labels" / f"{k}.png")))
    result, _ = published(scripts, tmp_path, np.stack(pred), np.stack(label))
    assert counts.sum() == 3 * 24 * 40
    np.testing.assert_allclose(
        metrics.iou(counts), [result["classScores"][name] for name in names()], rtol=0, atol=1e-12
    )
    first = nn.functional.interpolate(scores, (12, 20), mode="bilinear").argmax(1)[0]
    assert (
        first.repeat_interleave(2, 0).repeat_interleave(2, 1).numpy() != pred[-1]
    ).any()  # not the same thing
    with pytest.raises(ValueError, match=r"0\.png is 12x20, .*0\.png is 24x40; name a size"):
        evaluate.counts_of_folders(Coarse(), half / "images", half / "labels", fabric=FABRIC)
    with pytest.raises(ValueError, match="1 or more"):
        evaluate.counts_of_folders(
            Coarse(), half / "images", half / "labels", score_size=(0, 40), fabric=FABRIC
        )


class Odd(Coarse):
    multiple = 8


def test_the_stated_size_of_scenes_may_need_other_labels(tmp_path):
    """Labels go to the stated size by the nearest pixel: no class appears that was not there."""
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    label = np.full((10, 14), 3, np.uint8)
    label[:, 7:], label[5:] = 11, IGNORE
    Image.fromarray(np.zeros((10, 14, 3), np.uint8)).save(tmp_path / "images" / "0.png")
    Image.fromarray(label).save(tmp_path / "labels" / "0.png")
    scenes = Scenes(tmp_path)
    counts = evaluate.segmentation_counts(Odd(), scenes, score_size=(20, 28), fabric=FABRIC)
    assert counts.sum(1)[[3, 11]].tolist() == [140, 140]
    assert counts.sum() == 280, "the ignored half stays ignored"
    same = evaluate.segmentation_counts(Odd(), scenes, score_size=(10, 14), fabric=FABRIC)
    assert torch.equal(same, evaluate.segmentation_counts(Odd(), scenes, fabric=FABRIC))


def test_published_rows_agree_with_themselves():
    table = shipped.published()
    assert list(table.columns[3:22]) == names()
    assert len(table) >= 20
    assert set(table["mark"]) <= {"read", "recalled"}
    assert not table.duplicated(["method", "network"]).any()
    whole = table[table[names()].notna().all(axis=1)]
    assert len(whole) == 9
    # Class scores are printed with one decimal, and so are the means: their average is off by 0.05 at most, and the
    # printed mean by 0.05 again.
    off = (whole[names()].mean(axis=1) - whole["mIoU"]).abs()
    assert off.max() <= 0.001 + 1e-9, whole.loc[off.idxmax(), "method"]
    partly = table[names()].notna().any(axis=1)
    assert (table.loc[partly, names()].notna().all(axis=1)).all(), "a row has all classes or none"
    assert table.loc[partly, "classes_mark"].isin(["read", "recalled"]).all()
    assert table.loc[~partly, "classes_mark"].isna().all()
    scores = table[[*names(), "mIoU", "fwIoU", "pixel accuracy"]].to_numpy()
    assert np.nanmin(scores) >= 0
    assert 0.9 < np.nanmax(scores) <= 1
    assert table["source"].str.startswith("https://").all()


def test_a_planted_error_in_a_published_row_is_found(tmp_path, monkeypatch):
    text = shipped.PUBLISHED.read_text(encoding="utf-8")
    copy = tmp_path / "published.csv"
    copy.write_text(text.replace("42.7,26.3", "72.7,26.3"), encoding="utf-8")
    table = shipped.published(copy)
    whole = table[table[names()].notna().all(axis=1)]
    assert (whole[names()].mean(axis=1) - whole["mIoU"]).abs().max() > 0.01
    copy.write_text(text.replace("fwIoU", "weighted"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"published\.csv .*fwIoU"):
        shipped.published(copy)
    assert os.path.isfile(shipped.PUBLISHED)
    assert len(CLASSES) == 19
