"""Segmenters that a user gives: known by their tensors, in every layout, and never judge and loss at once."""

import pytest
import torch
from safetensors.torch import save_file
from test_published import parallel, wrapped

from semcg import segmenters
from semcg.config import make
from semcg.devices import fabric_for
from semcg.runs import recipes, trained

FABRIC = fabric_for("cpu")


@pytest.fixture(scope="module")
def drn():
    torch.manual_seed(0)
    return segmenters.DRN26().eval()


@pytest.fixture
def saved(drn, tmp_path):
    """The same weights in three files."""
    paths = [tmp_path / name for name in ("kit.safetensors", "wrapped.pth", "parallel.pth")]
    save_file(drn.state_dict(), paths[0])
    torch.save(wrapped(drn.state_dict()), paths[1])
    torch.save({"state_dict": parallel(drn.state_dict())}, paths[2])
    return [str(path) for path in paths]


def test_every_file_of_the_same_weights_is_the_same_network(home, drn, saved):
    (home / "data" / "world-smoke").mkdir(parents=True)
    recipe = [recipes.segmenter(make("smoke", sem_t=path), "target") for path in saved]
    assert len({r.fingerprint for r in recipe}) == 1
    assert recipe[0].parts == {"tensors": trained.tensor_digest(drn)}
    loaded = trained.segmenter(make("smoke", sem_t=saved[1]), "target", FABRIC)
    x = torch.zeros(1, 3, 32, 32)
    torch.testing.assert_close(loaded(x), drn(x), rtol=0, atol=0)
    assert recipes.segmenter(make("smoke", sem_t=saved[0]), "source").file == "", "Sem_s is not given"


def test_what_translates_is_another_run_with_another_segmenter(home, saved, tmp_path):
    (home / "data" / "world-smoke").mkdir(parents=True)
    torch.manual_seed(1)
    save_file(segmenters.DRN26().state_dict(), tmp_path / "other.safetensors")
    files = (*saved, str(tmp_path / "other.safetensors"))
    first, again, _, other = (recipes.translation(make("smoke", sem_s=f, sem_t=f)) for f in files)
    assert first.parts["reads"] == again.parts["reads"] != other.parts["reads"]


def test_a_network_of_the_loss_is_never_the_judge(home, saved):
    with pytest.raises(ValueError, match="the judge has the weights of Sem_s, a network in the loss"):
        trained.judge(make("smoke", sem_s=saved[2], sem_t=saved[0], judge=saved[1]), FABRIC)


def test_imagenet_missing_and_foreign_files_are_refused(home, tmp_path):
    torch.save(segmenters.DRN26(classes=1000).state_dict(), tmp_path / "imagenet.pth")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    for name, said in (
        ("imagenet.pth", "1000 classes of ImageNet"),
        ("none.pth", "none.pth"),
        ("other.safetensors", "other.safetensors"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=said):
            trained.user_segmenter(str(tmp_path / name))


def test_a_recipe_says_which_precision_auto_came_to(home):
    (home / "data" / "world-smoke").mkdir(parents=True)
    made = recipes.translation(make("smoke", precision="auto", lambda_s=0.0), baseline=True)
    assert made.parts["config"]["precision"] in ("fp32", "bf16")
    settled = make("smoke", precision=made.parts["config"]["precision"], lambda_s=0.0)
    assert recipes.translation(settled, baseline=True).fingerprint == made.fingerprint
