"""The shipped instruments: the recorded files, small, loadable, trained with the profile's numbers, and trainable again."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from semcg import config, files, runs, segmenters
from semcg.instruments import FOLDER, HOME, SEGMENTERS, load_instrument, recorded
from semcg_kit.commands import images
from semcg_kit.instruments import train, write_instrument

REPOSITORY = Path(__file__).parent.parent / FOLDER
RECORDS = files.read_json(REPOSITORY / "instruments.json")
TOLERANCE = 0.025
"""How far the mIoU of a fresh training may be from the recorded one: another processor rounds differently, and the
trainings then part as those of two seeds do."""


@pytest.mark.parametrize("name", HOME)
def test_every_instrument_loads_as_recorded(name):
    net = load_instrument(name, REPOSITORY)
    assert not net.training
    assert {v.dtype for v in net.state_dict().values()} <= {torch.float32, torch.int64}
    stored = load_file(REPOSITORY / f"{name}.safetensors")
    assert {v.dtype for v in stored.values()} <= {torch.float16, torch.int64}
    x = torch.rand(
        2, *((14, 12) if name == "reader" else (3, 64, 64)), generator=torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        scores = net(x)
    assert torch.isfinite(scores).all()
    assert scores.std() > 0
    assert scores.shape[1] == (10 if name == "reader" else 19)


def test_they_stay_small():
    sizes = {path.name: path.stat().st_size for path in REPOSITORY.iterdir()}
    assert sum(sizes.values()) < 8e6, sizes
    assert {f"{name}.safetensors" for name in HOME} == {
        name for name in sizes if name.endswith("safetensors")
    }


@pytest.mark.parametrize("name", SEGMENTERS)
def test_they_were_trained_with_the_numbers_of_the_profile(name):
    """A changed number asks for new instruments."""
    stage = "judge" if "judge" in name else "segmenter"
    now, then = config.make("mini", precision="fp32").part(stage), RECORDS[name]["config"]
    assert {key: now[key] for key in then if key in now} == {key: then[key] for key in then if key in now}
    assert then[f"{stage}_steps"] == RECORDS[name]["steps"]


@pytest.mark.parametrize(
    ("name", "least"),
    [("Sem_s", 0.45), ("Sem_t", 0.45), ("judge", 0.55), ("second_judge", 0.33), ("reader", 0.95)],
)
def test_they_are_good_enough(name, least):
    assert RECORDS[name]["score"][HOME[name]] >= least
    if name == "judge":
        assert RECORDS[name]["score"]["oracle"] >= 0.557, "the ceiling of the first edition"


@pytest.fixture
def small(tmp_path):
    net = segmenters.build("unet", width=4)
    about = {"score": {}, "config": {}}
    write_instrument("judge", net, network="unet", options={"width": 4}, about=about, folder=tmp_path)
    return tmp_path, net


def test_what_is_written_is_read(small):
    folder, net = small
    read = load_instrument("judge", folder).state_dict()
    for key, value in net.state_dict().items():
        torch.testing.assert_close(read[key], value, rtol=1e-3, atol=1e-6)


def test_another_file_is_refused_by_name(small):
    folder, _ = small
    path = folder / "judge.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"judge\.safetensors has SHA-256 .*git checkout"):
        load_instrument("judge", folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"judge\.safetensors"):
        load_instrument("judge", folder)
    with pytest.raises(ValueError, match="no record of Sem_t"):
        load_instrument("Sem_t", folder)
    with pytest.raises(ValueError, match="there are Sem_s, Sem_t"):
        load_instrument("jugde", folder)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", '{"judge": []}', '{"judge": {"network": "unet", "options": [], "sha256": ""}}'],
)
def test_a_damaged_list_is_as_none(small, content):
    folder, _ = small
    (folder / "instruments.json").write_text(content)
    assert recorded(folder) == {}
    with pytest.raises(ValueError, match=r"instruments\.json has no record of judge: .*git checkout"):
        load_instrument("judge", folder)


def test_a_record_with_another_option_is_named(small):
    folder, _ = small
    listed = files.read_json(folder / "instruments.json")
    listed["judge"]["options"] = {"height": 4}
    files.write_json(folder / "instruments.json", listed)
    with pytest.raises(ValueError, match=r"does not fit unet: .*height"):
        load_instrument("judge", folder)


@pytest.mark.parametrize(
    ("change", "words"), [("infinite", "is not finite"), ("missing", "does not fit unet: .*")]
)
def test_weights_that_cannot_be_used_are_refused(small, change, words):
    """Even where the digest is that of the file."""
    folder, net = small
    tensors = {k: v.clone() for k, v in net.state_dict().items()}
    if change == "infinite":
        tensors["score.bias"][0] = torch.inf
        broken = segmenters.build("unet", width=4)
        broken.load_state_dict(tensors)
        with pytest.raises(ValueError, match=r"score\.bias is not finite as float16"):
            write_instrument("judge", broken, network="unet", options={}, about={}, folder=folder)
    else:
        del tensors["score.bias"]
    save_file(tensors, folder / "judge.safetensors")
    records = files.read_json(folder / "instruments.json")
    records["judge"]["sha256"] = hashlib.sha256((folder / "judge.safetensors").read_bytes()).hexdigest()
    files.write_json(folder / "instruments.json", records)
    with pytest.raises(ValueError, match=rf"judge\.safetensors.*{words}"):
        load_instrument("judge", folder)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_one_function_trains_any_segmenter_and_writes_it(home, name):
    few = {"train_scenes": 4, "val_scenes": 2, "test_scenes": 2, "judge_scenes": 4}
    cfg = config.make("smoke", **few, segmenter_steps=1, judge_steps=1)
    runs.draw(cfg, processes=1)
    about = train(name, cfg, home / "instruments")
    assert set(about["score"]) >= {HOME[name], "oracle"}
    assert about["data"] == files.manifest_digest(runs.data(cfg))
    assert about["steps"] == 1
    assert isinstance(load_instrument(name, home / "instruments"), segmenters.Segmenter)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_shipped_segmenter_scores_pictures_by_its_name(name, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SEMCG_HOME", raising=False)
    for folder, shape in (("images", (32, 64, 3)), ("labels", (32, 64))):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full(shape, 10, np.uint8)).save(tmp_path / folder / "0.png")
    images.evaluate(tmp_path / "images", tmp_path / "labels", judge=Path(name), size="none", device="cpu")
    assert "1 frames, 1 of 19 classes present" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError):
        images.evaluate(
            tmp_path / "images", tmp_path / "labels", judge=Path("reader"), size="none", device="cpu"
        )


@pytest.mark.slow
def test_a_fresh_training_of_sem_t_scores_as_the_shipped_one(home):
    cfg = config.make("mini", precision="fp32")
    runs.draw(cfg)
    again = train("Sem_t", cfg, home / "instruments")["score"]
    assert again == pytest.approx(RECORDS["Sem_t"]["score"], abs=TOLERANCE)


def test_a_home_on_another_disk_uses_the_same_instruments_unless_it_has_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCG_HOME", str(tmp_path))
    assert recorded() == RECORDS
    assert isinstance(load_instrument("judge"), segmenters.Segmenter)
    (tmp_path / FOLDER).mkdir(parents=True)
    assert recorded() == {}
