"""Tiles: what they share with the whole frame, what they cannot, and what a frame needs in memory."""

import math

import pytest
import torch
from torch import nn

from semcg.cost import check, free_bytes, needed_bytes, peak_bytes
from semcg.gan import Recolor, ResNet9, UNet
from semcg.translate import Compiled, Guided, Padded, Tiled, difference, fingerprint
from semcg.translate.frames import norms_of, starts


class Local(nn.Module):
    """A generator without normalization: a pixel depends on its neighborhood of 7 x 7, on a grid of 4."""

    multiple = 4

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 4, stride=2, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4, 2, 1)
        )
        self.seen = []

    def forward(self, x):
        self.seen.append(tuple(x.shape[-2:]))
        return torch.tanh(self.layers(x))


class Normed(nn.Module):
    """Instance normalization alone, whose statistics are worked by hand."""

    multiple = 1

    def __init__(self):
        super().__init__()
        self.norm = nn.InstanceNorm2d(3)

    def forward(self, x):
        return self.norm(x)


def smooth(*shape, seed=0):
    """Frames whose brightness and contrast change from place to place, as those of a street do."""
    coarse = torch.randn(shape[0], 3, 3, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, shape[-2:], mode="bicubic", align_corners=False).clamp(-1, 1)


def test_where_tiles_begin():
    assert starts(100, 40, 10) == [0, 30, 60]
    assert starts(105, 40, 10) == [0, 30, 60, 65]  # the last ends with the frame
    assert starts(40, 40, 20) == starts(9, 40, 0) == [0]
    assert starts(80, 40, 0) == [0, 40]
    assert starts(112, 48, 10, multiple=16) == [0, 32, 64]  # a step of 38 becomes 32
    assert starts(512, 256, 64, multiple=256) == [0, 192, 256]  # no room for the grid


@pytest.mark.parametrize("size", [(64, 96), (61, 90), (33, 100), (20, 70)])
def test_tiles_of_a_local_generator_are_the_whole_frame(size):
    """Without normalization, and with margins that hold what a pixel depends on, nothing may be lost or shifted."""
    G, x = Local().eval(), smooth(2, 3, *size)
    with torch.no_grad():
        tiled, whole = Tiled(G, tile=32, overlap=16)(x), Padded(G)(x)
    assert tiled.shape == x.shape
    seen = (tiled - whole).abs()
    # Zeros around a tile reach 2 pixels into it, where its share of the blend is below 3 %.
    assert seen.max() < 0.02
    assert G.seen[0] == (min(32, -(-size[0] // 4) * 4), 32)
    inside = Tiled(G, tile=32, overlap=0)
    with torch.no_grad():
        hard = (inside(x) - whole).abs()
    assert hard[..., 8:24, 8:24].max() < 1e-5, "away from the seams it is the whole frame"
    assert hard.max() > 2 * seen.max(), "seams that are not blended show"


def test_blending_of_constant_tiles_by_hand():
    class Counter(nn.Module):
        multiple, n = 1, -1

        def forward(self, x):
            self.n += 1
            return torch.full_like(x, float(self.n))

    y = Tiled(Counter(), tile=8, overlap=4)(torch.zeros(1, 3, 8, 12))[0, 0]  # two tiles: columns 0-7, 4-11
    share = [
        math.sin((k + 0.5) / 4 * math.pi / 2) ** 2 for k in range(4)
    ]  # of the second; the first has the rest
    assert y[5].tolist() == pytest.approx([0] * 4 + share + [1] * 4, abs=1e-6)
    assert torch.equal(y[0], y[7])


def test_statistics_of_the_whole_frame_hold_in_every_tile():
    x = smooth(2, 3, 24, 24)
    G = Normed()
    whole = G(x)
    with norms_of(G, x):
        torch.testing.assert_close(G(x[..., :8, 4:16]), whole[..., :8, 4:16])
    assert not torch.allclose(G(x[..., :8, 4:16]), whole[..., :8, 4:16], atol=0.1), "the hooks are gone"
    affine = Normed()
    affine.norm = nn.InstanceNorm2d(3, affine=True)
    nn.init.constant_(affine.norm.weight, 2.0)
    nn.init.constant_(affine.norm.bias, 0.5)
    with norms_of(affine, x):
        torch.testing.assert_close(affine(x), 2 * whole + 0.5)
    assert not affine.norm._forward_hooks
    assert not affine.norm._forward_pre_hooks


@pytest.mark.parametrize(
    "G",
    [
        UNet(width=4, depth=3, skip="full"),
        ResNet9(width=2),
        Recolor(width=4, depth=3),
        Guided(UNet(width=4, depth=3)),
    ],
    ids=["unet", "resnet9", "recolor", "guided"],
)
def test_tiles_differ_from_the_whole_and_less_with_its_statistics(G):
    torch.manual_seed(0)
    for p in G.parameters():
        nn.init.normal_(p, std=0.2)
    x = smooth(1, 3, 64, 96)
    with torch.no_grad():
        whole = Padded(G.eval())(x)
        tiled = difference(Tiled(G, tile=32, overlap=8)(x), whole)
        fixed = difference(Tiled(G, tile=32, overlap=8, norm_from_whole=True)(x), whole)
        alone = Tiled(G, tile=96, overlap=8, norm_from_whole=True)(x)
    assert tiled["mean"] > 1, "there is something to mend"
    assert fixed["mean"] < tiled["mean"]
    assert torch.equal(alone, whole), "a frame that fits is translated whole"


def test_differences_are_gray_levels():
    x = torch.zeros(1, 3, 10, 10)
    y = x.clone()
    y[0, 0, 0, 0] = 2 / 255
    assert difference(x, x) == {"mean": 0, "p99": 0, "largest": 0}
    off = difference(x, y)
    assert off["largest"] == pytest.approx(1)
    assert off["mean"] == pytest.approx(1 / 300)
    assert off["p99"] == 0


def test_what_does_not_fit_is_refused():
    G = UNet(width=4, depth=3)
    for options, words in (
        ({"tile": 20}, "tile = 20: UNet takes multiples of 8, as 16"),
        ({"tile": 0}, "multiples of 8, as 8"),
        ({"tile": 16, "overlap": 9}, r"overlap = 9: tiles of 16 overlap by 0\.\.8"),
        ({"tile": 16, "overlap": -1}, "overlap = -1"),
    ):
        with pytest.raises(ValueError, match=words):
            Tiled(G, **options)
    with pytest.raises(ValueError, match="no InstanceNorm2d"):
        Tiled(Local(), tile=16, norm_from_whole=True)
    with pytest.raises(ValueError, match="compiled code has no InstanceNorm2d"):
        Tiled(Compiled(G), tile=16, norm_from_whole=True)


def test_tiles_and_precision_are_part_of_the_fingerprint():
    G = UNet(width=4, depth=3)
    plain = fingerprint(Padded(G))
    seen = [
        fingerprint(run)
        for run in (
            Padded(G),
            Tiled(G, tile=16),
            Tiled(G, tile=16, overlap=8),
            Tiled(G, tile=16, overlap=8, norm_from_whole=True),
            Padded(Compiled(G)),
            Tiled(Compiled(G), tile=16),
        )
    ]
    assert all(one != other for k, one in enumerate(seen) for other in seen[:k])
    assert all(plain.items() <= one.items() for one in seen)


def test_living_bytes_by_hand():
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 2, 3, padding=1)
    )
    # (3 + 8 + 2) channels of 10 x 10 floats: the caller holds the input, and the last layer reads 8 and writes 2.
    assert peak_bytes(layers, (1, 3, 10, 10)) == 4 * 100 * (3 + 8 + 2)
    assert peak_bytes(layers, (5, 3, 10, 10)) == 5 * 4 * 100 * (3 + 8 + 2)
    assert peak_bytes(nn.Sequential(*layers, nn.Flatten()), (1, 3, 10, 10)) == 4 * 100 * 13, "a view is free"
    freed = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(9)))
    assert peak_bytes(freed, (1, 3, 10, 10)) == 4 * 100 * 9, "input, read, written; the others are gone"
    assert next(freed.parameters()).device.type == "cpu"


def test_frames_that_will_not_fit_are_told_beforehand():
    G = UNet(width=8, depth=3)
    needed = needed_bytes(G, height=1052, width=1914)
    assert needed > peak_bytes(G, (1, 3, 1056, 1920))
    assert needed_bytes(G, height=1052, width=1914, tile=256) < needed
    check(G, height=1052, width=1914, free=needed)
    with pytest.raises(ValueError, match=r"whole frame of 1914x1052 would need about 0\.\d GB.*--tile 1024"):
        check(G, height=1052, width=1914, free=needed - 1)
    with pytest.raises(ValueError, match=r"1914x1052, 4 at a time, .*--batch 1, or .*--tile 1024"):
        check(G, height=1052, width=1914, batch=4, free=needed)
    with pytest.raises(ValueError, match=r"tiles of 512 would need .* --tile 256"):
        check(G, height=1052, width=1914, tile=512, free=0)
    with pytest.raises(ValueError, match="smaller frames"):
        check(G, height=100, width=100, free=0)
    assert free_bytes(torch.device("cpu")) > 10**7
