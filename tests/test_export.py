"""The exported generator, run outside torch, gives the pictures that torch gives."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from semcg import export
from semcg.gan import Recolor, ResNet9, UNet
from semcg.translate import Guided, Padded, to_bytes

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def unet():
    torch.manual_seed(0)
    return UNet(width=4, depth=3, skip="full").eval()


def pictures(seed, *shape):
    return torch.randint(
        0, 256, (*shape, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def run(path, images):
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["translated", "values"], {"images": images.numpy()})


def expected(G, images):
    with torch.no_grad():
        y = Padded(G)(images.permute(0, 3, 1, 2).float() / 127.5 - 1)
    return to_bytes(y).permute(0, 2, 3, 1).numpy(), y.permute(0, 2, 3, 1).numpy()


def agree(path, G, images):
    (bytes_, values), (bytes_torch, values_torch) = run(path, images), expected(G, images)
    assert bytes_.dtype == np.uint8
    assert bytes_.shape == tuple(images.shape)
    np.testing.assert_allclose(values, values_torch, rtol=0, atol=1e-5)
    off = np.abs(bytes_.astype(int) - bytes_torch)
    assert off.max() <= 1, "a value that lies between two levels may go either way"
    assert (off > 0).mean() < 1e-3


@pytest.mark.parametrize(
    "G", [unet(), UNet(width=4, depth=2).eval(), ResNet9(width=2).eval()], ids=["unet", "unet4", "resnet9"]
)
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (5, 2), (16, 24), (17, 23)])
def test_the_margin_is_that_of_padded(G, size):
    images = pictures(0, 2, *size)
    with torch.no_grad():
        translated, values = export.BytesGenerator(G)(images)
    np.testing.assert_array_equal(values.numpy(), expected(G, images)[1])
    np.testing.assert_array_equal(translated.numpy(), expected(G, images)[0])


def test_a_file_for_one_size(tmp_path, capfd, recwarn):
    G = unet()
    path = export.onnx(G, tmp_path / "g", size=(17, 30), about={"run": "semantic-s0", "direction": "st"})
    assert capfd.readouterr() == ("", ""), "the exporter is silent"
    assert not recwarn.list
    assert path == tmp_path / "g.onnx"
    assert [p.name for p in tmp_path.iterdir()] == ["g.onnx"]
    agree(path, G, pictures(1, 1, 17, 30))
    agree(path, G, pictures(2, 3, 17, 30))
    told = runtime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert told["run"] == "semantic-s0"
    assert told["direction"] == "st"


@pytest.mark.parametrize("G", [Recolor(width=4, depth=3).eval(), Guided(unet())], ids=["recolor", "guided"])
def test_color_maps_are_exported(G, tmp_path):
    agree(export.onnx(G, tmp_path / "g", size=(17, 30)), G, pictures(1, 2, 17, 30))


@pytest.mark.slow  # sizes that are free are traced as symbols
def test_a_file_for_any_size(tmp_path):
    torch.manual_seed(1)
    for G in (UNet(width=2, depth=2), Recolor(width=2, depth=3), Guided(UNet(width=2, depth=2))):
        path = export.onnx(G.eval(), tmp_path / "g.onnx")
        for k, shape in enumerate([(1, 8, 12), (2, 13, 7), (3, 1, 1), (1, 40, 3)]):
            agree(path, G, pictures(k, *shape))


def test_what_cannot_be_exported_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"something\.onnx"):
        export.onnx(unet(), tmp_path / "g.pt")

    class Broken(UNet):
        def forward(self, images):
            raise RuntimeError("no graph of this")

    with pytest.raises(Exception, match="no graph of this"):
        export.onnx(Broken(width=4, depth=2).eval(), tmp_path / "g.onnx", size=(8, 8))
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ValueError, match="needs onnxscript .*pip install"):
        export.onnx(unet(), tmp_path / "g.onnx")
    assert not list(tmp_path.iterdir())


def test_the_room_is_entered_without_onnx():
    code = "import sys, semcg.export; print([n for n in ('onnx', 'onnxscript', 'onnxruntime') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
