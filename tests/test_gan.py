"""Generators, discriminator, bundle and pool: counts, wiring, what a logit sees, what stays frozen, what resumes."""

import dataclasses
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from semcg import gan
from semcg.gan import CycleGAN, ImagePool, PatchGAN, Recolor, ResNet9, UNet, recolored
from semcg.segmenters import DRN26


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def images(*size: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.rand(*size, generator=torch.Generator().manual_seed(seed)) - 1


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts():
    """The first three as CycleGAN's public code counts them, with instance normalization."""
    assert parameters(UNet(width=64, depth=8, skip="half")) == 54_409_603
    assert parameters(PatchGAN(width=64)) == 2_764_737
    assert parameters(ResNet9(width=64)) == 11_378_179
    assert parameters(UNet(width=16, depth=5)) == 1_043_299
    # The outermost up-convolution gives 16 instead of 3 channels, then 19 -> 16 and 16 -> 3 with biases.
    more = 13 * (32 * 16 + 1) + (9 * 19 * 16 + 16) + (9 * 16 * 3 + 3)
    assert parameters(UNet(width=16, depth=5, skip="full")) == 1_043_299 + more


@pytest.mark.parametrize("skip", ["half", "full"])
def test_unet_equals_its_nested_definition(skip):
    """pix2pix defines the U-Net from the inside out, each level around the next; here so, with the same weights."""
    depth = 4
    net = UNet(width=4, depth=depth, skip=skip).double()
    gan.initialize(net, std=0.3)
    down = [[m for m in block if isinstance(m, nn.Conv2d)][0] for block in net.downs]
    up = [[m for m in block if isinstance(m, nn.ConvTranspose2d)][0] for block in net.ups][::-1]

    def level(x, k):
        y = F.conv2d(F.leaky_relu(x, 0.2) if k else x, down[k].weight, down[k].bias, 2, 1)
        if k < depth - 1:
            y = F.instance_norm(y) if k else y
            y = torch.cat([y, level(y, k + 1)], dim=1)
        y = F.conv_transpose2d(F.relu(y), up[k].weight, up[k].bias, 2, 1)
        return F.instance_norm(y) if k else y

    x = images(2, 3, 32, 48).double()
    y = level(x, 0)
    if skip == "full":
        first, last = net.join[0], net.join[2]
        y = F.relu(F.conv2d(torch.cat([x, y], dim=1), first.weight, first.bias, padding=1))
        y = F.conv2d(y, last.weight, last.bias, padding=1)
    torch.testing.assert_close(net(x), y.tanh(), rtol=1e-12, atol=1e-12)


def test_full_skip_carries_single_pixels():
    """With nothing coming up from below, "full" still sees the image, through two 3 x 3 convolutions; "half" does not."""
    for skip, seen in [("full", 25), ("half", 0)]:
        net = UNet(width=16, depth=3, skip=skip)
        for up in net.ups:
            nn.init.zeros_(up[1].weight)
        x = images(1, 3, 16, 16).requires_grad_()
        net(x)[0, 0, 8, 8].backward()
        assert x.grad.abs().sum((0, 1)).count_nonzero() == seen


def test_recoloring_by_hand():
    """y = x + A x + b at (0.5, 0, -0.5), and how a map of two values is raised over eight pixels."""
    x = torch.tensor([0.5, 0.0, -0.5]).view(1, 3, 1, 1).expand(1, 3, 4, 8)
    maps = torch.zeros(1, 12, 1, 2)
    maps[:, 0], maps[:, 2], maps[:, 10] = 0.2, 0.4, 0.1  # A[0, 0], A[0, 2] and b[1]
    expected = torch.tensor([0.5 + 0.2 * 0.5 - 0.4 * 0.5, 0.1, -0.5]).view(1, 3, 1, 1).expand(1, 3, 4, 8)
    torch.testing.assert_close(recolored(x, maps), expected)
    maps = torch.zeros(1, 12, 1, 2)
    maps[0, 9, 0, 1] = 1
    raised = torch.tensor([0, 0, 1, 3, 5, 7, 8, 8]) / 8
    torch.testing.assert_close(recolored(x, maps)[0, 0, 0], 0.5 + raised)


def test_recolor_starts_near_its_input_and_keeps_strokes():
    """A stroke on a plain ground keeps its contrast up to 1 + A, even where the trunk has never seen it."""
    for grain, more in ((0.0, 0), (0.25, (64 * 16 + 16) + (9 * 19 * 16 + 16) + (9 * 16 * 3 + 3))):
        net = Recolor(width=16, depth=5, grain=grain)
        # The trunk of a U-Net less its last two up-convolutions, and twelve numbers from its 64 features.
        trunk = parameters(UNet(width=16, depth=5)) - (64 * 16 * 16 + 16) - (32 * 3 * 16 + 3)
        assert parameters(net) == trunk + (64 * 12 + 12) + more
        x = images(1, 3, 64, 64)
        off = net(x) - x
        assert 0 < off.abs().mean() < 0.2
    for module in (net.color, net.lift, net.join[2]):
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)
    assert torch.equal(net(x), x)
    nn.init.constant_(net.join[2].bias, 100.0)  # however much the residual wants, it gets a quarter
    torch.testing.assert_close(net(x), x + 0.25)
    assert net.eval()(x).max() == 1
    with pytest.raises(ValueError, match="depth of 3 or more"):
        Recolor(depth=2)


def test_resnet_blocks_are_added():
    """Blocks of zero weights leave what they are added to."""
    net = ResNet9(width=2).double()
    assert len(net.blocks) == 9
    for parameter in net.blocks.parameters():
        nn.init.zeros_(parameter)
    x = images(1, 3, 12, 20).double()
    assert torch.equal(net(x), net.up(net.down(x)))


def test_resnet_reflects_at_the_border():
    """A constant image stays constant: zero padding would darken its border."""
    net = ResNet9(width=2).double()
    out = net.down[0](torch.full((1, 3, 12, 12), 0.5, dtype=torch.float64))
    assert (out - out[..., :1, :1]).abs().max() < 1e-15
    assert ResNet9(width=2)(images(1, 3, 12, 20)).shape == (1, 3, 12, 20)


def test_generators_stay_within_range_and_smallest_sizes_work():
    nets = (
        (UNet(width=2, depth=5), 32),
        (UNet(width=2, depth=1), 2),
        (ResNet9(width=2), 8),
        (Recolor(width=2, depth=3), 8),
    )
    for net, side in nets:
        gan.initialize(net, std=1.0)
        out = net.eval()(images(1, 3, side, side))
        assert out.shape == (1, 3, side, side)
        assert out.abs().max() <= 1
        assert side % net.multiple == 0


def test_networks_treat_each_image_by_itself():
    x = images(3, 3, 32, 32).double()
    for net in (UNet(width=4, depth=5), ResNet9(width=2), Recolor(width=4, depth=3), PatchGAN(width=4)):
        net = net.double()
        torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=1e-9, atol=1e-12)


def test_patchgan_shapes():
    net = PatchGAN(width=2)
    for side, patches in [(24, 1), (64, 6), (70, 6), (256, 30), (768, 94)]:
        assert net(images(1, 3, side, side)).shape == (1, 1, patches, patches)
        assert patches == side // 8 - 2


def test_patchgan_equals_its_definition():
    """Five 4 x 4 convolutions, the last two of stride 1; normalized are the three in the middle."""
    net = PatchGAN(width=4).double()
    gan.initialize(net, std=0.3)
    c1, c2, c3, c4, c5 = (m for m in net.layers if isinstance(m, nn.Conv2d))
    x = images(2, 3, 40, 48).double()
    y = F.leaky_relu(F.conv2d(x, c1.weight, c1.bias, 2, 1), 0.2)
    for c, stride in [(c2, 2), (c3, 2), (c4, 1)]:
        y = F.leaky_relu(F.instance_norm(F.conv2d(y, c.weight, c.bias, stride, 1)), 0.2)
    y = F.conv2d(y, c5.weight, c5.bias, 1, 1)
    torch.testing.assert_close(net(x), y, rtol=1e-10, atol=1e-10)


def test_patchgan_sees_70_pixels():
    """By gradient, with positive weights, and without the normalization, whose statistics see the whole image."""
    net = PatchGAN(width=2).double()
    net.layers = nn.Sequential(*(m for m in net.layers if not isinstance(m, nn.InstanceNorm2d)))
    for module in net.layers:
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.1)
    x = torch.ones(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    net(x)[0, 0, 7, 7].backward()
    for axis in (1, 2):
        reached = x.grad[0].abs().sum([d for d in range(3) if d != axis]).nonzero().flatten()
        assert len(reached) == reached[-1] - reached[0] + 1 == 70


@pytest.mark.parametrize(
    "build", [lambda: UNet(width=8, depth=4), lambda: PatchGAN(width=8), lambda: ResNet9(width=8)]
)
def test_initial_weights_are_a_function_of_the_seed(build):
    nets = [build() for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        torch.rand(seed)  # the global stream plays no part
        gan.initialize(net, generator=torch.Generator().manual_seed(seed))
    first, same, other = ([p for p in net.parameters() if p.ndim > 1] for net in nets)
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    for net in (nets[0], build()):  # the constructor draws from the same distribution
        weights = torch.cat([p.flatten() for p in net.parameters() if p.ndim > 1])
        assert weights.std().item() == pytest.approx(0.02, rel=0.02)
        assert abs(weights.mean().item()) < 0.001
        assert all(p.abs().max() == 0 for p in net.parameters() if p.ndim == 1)


def bundle(**segmenters) -> CycleGAN:
    return CycleGAN(
        UNet(width=2, depth=3), UNet(width=2, depth=3), PatchGAN(width=2), PatchGAN(width=2), **segmenters
    )


def test_segmenters_are_frozen_but_transparent():
    Sem_s, Sem_t = DRN26(width=1 / 16), DRN26(width=1 / 16)
    m = bundle(Sem_s=Sem_s, Sem_t=Sem_t)
    assert m.Sem_s is Sem_s
    assert not any(sem.training for sem in (*Sem_s.modules(), *Sem_t.modules()))
    statistics = {key: value.clone() for key, value in Sem_t.state_dict().items()}
    m.Sem_t(m.G_st(images(1, 3, 24, 24))).square().mean().backward()
    assert all(p.grad is None for p in Sem_t.parameters())
    assert all(torch.equal(value, statistics[key]) for key, value in Sem_t.state_dict().items())
    reached = [p.grad.abs().max() > 0 for p in m.G_st.parameters() if p.ndim > 1]
    assert all(reached)
    assert all(p.grad is None for net in (m.G_ts, m.D_s, m.D_t) for p in net.parameters())
    assert all(p.requires_grad for net in (m.G_st, m.G_ts, m.D_s, m.D_t) for p in net.parameters())


def test_bundle_is_frozen_and_wants_two_segmenters_or_none():
    m = bundle()
    assert m.Sem_s is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        m.G_st = m.G_ts
    with pytest.raises(ValueError, match="both Sem_s and Sem_t"):
        bundle(Sem_s=DRN26(width=1 / 16))


def frames(n: int, *, start: int = 0) -> torch.Tensor:
    """n images of one pixel that hold their own number."""
    return torch.arange(start, start + n, dtype=torch.float32).view(n, 1, 1, 1).expand(n, 3, 1, 1)


def numbers(batch: torch.Tensor) -> list[int]:
    return batch[:, 0, 0, 0].int().tolist()


def test_pool_fills_then_swaps_half():
    pool = ImagePool(50, seed=3)
    assert numbers(pool(frames(50))) == list(range(50))
    out = [numbers(pool(frames(1, start=n)))[0] for n in range(50, 1050)]
    kept = sum(n == o for n, o in zip(range(50, 1050), out, strict=True))
    assert 440 <= kept <= 560  # 1000 fair coins: 500 +- 16, four of them
    swapped = [o for n, o in zip(range(50, 1050), out, strict=True) if n != o]
    assert len(set(swapped)) == len(swapped)  # whatever is given out leaves the pool
    stored = {int(image[0, 0, 0]) for image in pool.images}
    assert len(stored) == 50
    assert stored | set(swapped) | {n for n, o in zip(range(50, 1050), out, strict=True) if n == o} == set(
        range(1050)
    )


def test_pool_takes_batches_detaches_and_keeps_copies():
    pool = ImagePool(3)
    x = torch.ones(5, 3, 2, 2, requires_grad=True)
    out = pool(2 * x)
    assert out.shape == (5, 3, 2, 2)
    assert not out.requires_grad
    assert len(pool.images) == 3
    y = torch.zeros(1, 3, 2, 2)
    pool = ImagePool(1)
    pool(y)
    y.add_(1)
    assert pool.images[0].abs().max() == 0


def test_pool_of_nothing_passes_through():
    x = images(2, 3, 4, 4)
    assert torch.equal(ImagePool(0)(x), x)


@pytest.mark.parametrize("before", [0, 3, 40])
def test_pool_resumes_exactly(before):
    """After a round through torch.save the pool has the same future, half filled or full."""
    pool = ImagePool(8, seed=1)
    for n in range(before):
        pool(frames(1, start=n))
    file = io.BytesIO()
    torch.save(pool.state_dict(), file)
    file.seek(0)
    again = ImagePool(8, seed=99)
    again.load_state_dict(torch.load(file, weights_only=True))
    for n in range(before, before + 60, 2):
        assert numbers(pool(frames(2, start=n))) == numbers(again(frames(2, start=n)))


def test_errors_name_what_was_seen():
    with pytest.raises(ValueError, match="multiples of 256 .* 400 x 512"):
        UNet(width=1)(images(1, 3, 400, 512))
    with pytest.raises(ValueError, match="multiples of 4 and 8 at least, .* 66 x 64"):
        ResNet9(width=2)(images(1, 3, 66, 64))
    with pytest.raises(ValueError, match="24 at least, .* 16 x 64"):
        PatchGAN(width=2)(images(1, 3, 16, 64))
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), not \(3, 32, 32\)"):
        UNet(width=2, depth=5)(images(3, 32, 32))
    with pytest.raises(ValueError, match='"half" or "full", not \'none\''):
        UNet(skip="none")
    with pytest.raises(ValueError, match="1 or more, not 0"):
        UNet(depth=0)
    with pytest.raises(ValueError, match="9 images, but this pool keeps 8"):
        ImagePool(8).load_state_dict(
            {"images": [torch.zeros(3, 1, 1)] * 9, "generator": torch.get_rng_state()}
        )
