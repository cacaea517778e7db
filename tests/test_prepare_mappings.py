"""The mapping files that come with the kit, on tiny pictures in the genuine colors of CamVid and CARLA."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from semcg import labels, mappings
from semcg.data import Scenes
from semcg_kit.__main__ import app
from semcg_kit.prepare import mapping

MAPPINGS = Path(__file__).parent.parent / "data" / "mappings"
CLASSES = {c.name: c.train_id for c in labels.CLASSES} | {"ignored": labels.IGNORE}
CAMVID = {  # some of label_colors.txt
    (128, 64, 128): "road",
    (0, 0, 192): "sidewalk",
    (128, 0, 0): "building",
    (192, 192, 128): "pole",
    (0, 64, 64): "traffic light",
    (128, 128, 0): "vegetation",
    (128, 128, 128): "sky",
    (64, 64, 0): "person",
    (64, 0, 128): "car",
    (192, 128, 192): "ignored",
    (0, 0, 0): "ignored",
}
SEGNET = [
    "sky",
    "building",
    "pole",
    "road",
    "sidewalk",
    "vegetation",
    "traffic sign",
    "fence",
    "car",
    "person",
]
SEGNET += ["rider", "ignored"]


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def stripes(values, *, dtype=np.uint8):
    """(8, 8 n) or (8, 8 n, 3): a stripe eight pixels wide for each value or color."""
    return np.repeat(np.array(values, dtype)[None], 8, axis=0).repeat(8, axis=1)


@pytest.fixture
def camvid(tmp_path):
    """24 photographs in three sequences, with labels in both of CamVid's forms; 20 game frames of CARLA."""
    draw = np.random.default_rng(0)
    for n in range(24):
        stem = f"{('0001TP', '0006R0', '0016E5')[n // 8]}_{n:06}"
        for kind, label in (("colors", stripes(list(CAMVID))), ("values", stripes(range(12)))):
            save(tmp_path / kind / "annot" / f"{stem}.png", label)
            photo = draw.integers(0, 256, (*label.shape[:2], 3), np.uint8)
            save(tmp_path / kind / "photos" / f"{stem}.png", photo)
    tags = stripes([c.color for c in labels.CLASSES] + [(157, 234, 50)])
    for n in range(20):
        save(tmp_path / "carla" / "rgb" / f"Frame_{n:04}.png", draw.integers(0, 256, tags.shape, np.uint8))
        save(tmp_path / "carla" / "tags" / f"Frame_{n:04}.jpg", tags, quality=95)
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [("colors", "camvid", list(CAMVID.values())), ("values", "camvid-segnet", SEGNET)],
)
def test_the_command_of_the_readme_on_both_forms_of_camvid(camvid, kind, name, expected):
    command = ["prepare", "folder", "--out", str(camvid / "data"), "--source", str(camvid / "carla" / "rgb")]
    command += [
        "--source-labels",
        str(camvid / "carla" / "tags"),
        "--source-mapping",
        f"{MAPPINGS}/carla.toml",
    ]
    command += ["--target", str(camvid / kind / "photos"), "--target-labels", str(camvid / kind / "annot")]
    command += ["--target-mapping", f"{MAPPINGS}/{name}.toml", "--target-sequence", "^([^_]+)_"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "judge's frames are chosen in whole sequences" in done.output

    y = Scenes(camvid / "data" / "target" / "train").frame(0)[1]
    assert y[0, 4::8].tolist() == [CLASSES[n] for n in expected]
    assert (y == y[0]).all()
    y = Scenes(camvid / "data" / "source" / "train").frame(0)[1]  # JPEG: exact inside a stripe only
    assert y[0, 4::8].tolist() == [*range(19), 0], "19 classes, then the road's lines"
    judged = {p.name.split("_")[0] for p in (camvid / "data" / "judge").rglob("*.png")}
    others = {p.name.split("_")[0] for p in (camvid / "data" / "target").rglob("*.png")}
    assert len(judged) == 1
    assert not judged & others


def test_values_of_another_coding_are_refused_by_name(camvid):
    command = ["prepare", "folder", "--out", str(camvid / "data"), "--source", str(camvid / "carla" / "rgb")]
    command += ["--target", str(camvid / "colors" / "photos"), "--target-labels"]
    command += [str(camvid / "colors" / "annot"), "--target-mapping", f"{MAPPINGS}/camvid-segnet.toml"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code
    assert "is a color picture, and should hold values of camvid-segnet.toml" in str(done.exception)
    assert not (camvid / "data").exists()


def test_each_file_says_where_its_colors_come_from():
    found = sorted(path.stem for path in MAPPINGS.iterdir())
    assert found == ["camvid", "camvid-segnet", "carla", "cityscapes-labelids"]
    for name in found:
        path = MAPPINGS / f"{name}.toml"
        assert re.search(r"^# .*https?://\S+", path.read_text(encoding="utf-8"), re.MULTILINE), name
    whole = mapping(MAPPINGS / "camvid.toml")
    assert whole.keys.shape == (32, 3)
    apart = np.abs(whole.keys[:, None].astype(int) - whole.keys[None]).sum(2)
    assert apart[~np.eye(32, dtype=bool)].min() >= 60  # no rounding takes one color for another
    ids = mapping(MAPPINGS / "cityscapes-labelids.toml")
    assert np.array_equal(ids.keys, mappings.LABEL_IDS.keys)
    assert np.array_equal(ids.train_ids, mappings.LABEL_IDS.train_ids)
    cityscapes = {c.color: c.train_id for c in labels.CLASSES}
    carla = mapping(MAPPINGS / "carla.toml")
    by_color = {tuple(k): v for k, v in zip(carla.keys.tolist(), carla.train_ids.tolist(), strict=True)}
    assert {color: by_color[color] for color in cityscapes} == cityscapes
