"""Segmenters: counts and names of the published weights, what a score sees, sizes, gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from semcg import segmenters
from semcg.segmenters import DRN26, NETWORKS, DeepLabV3, SegNet, SmallUNet, build, upsample

NARROW = {"drn26": {"width": 1 / 16}, "deeplabv3": {}, "segnet": {"width": 1 / 16}, "unet": {"width": 4}}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def images(*size: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.rand(*size, generator=torch.Generator().manual_seed(seed)) - 1


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts():
    assert parameters(DRN26()) == 20_623_331  # Yu's and CyCADA's code, with 19 classes
    assert parameters(DRN26(classes=1000)) == 21_126_584  # the published classifier, 21.1 M
    # SegNet by hand: the 13 convolutions of VGG-16 and their mirror, each k x k x in x out with a bias and two numbers
    # per normalized channel; then the scores.
    down = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512)]
    down += 5 * [(512, 512)]
    up = [(outside, inside) for inside, outside in reversed(down[1:])]
    by_hand = sum(9 * i * o + 3 * o for i, o in down + up) + 9 * 64 * 19 + 19
    assert parameters(SegNet()) == by_hand == 29_453_971
    assert parameters(SmallUNet(width=16)) == 439_699
    assert parameters(SmallUNet(width=12)) == 247_699


def test_drn_state_dict_has_the_published_names():
    state = {name: tuple(value.shape) for name, value in DRN26().state_dict().items()}
    assert len(state) == 182
    assert state["conv1.weight"] == (16, 3, 7, 7)
    assert state["bn1.num_batches_tracked"] == ()
    assert state["layer2.0.downsample.0.weight"] == (32, 16, 1, 1)
    assert state["layer5.0.conv1.weight"] == (256, 128, 3, 3)
    assert state["layer6.0.downsample.1.running_var"] == (512,)
    assert state["layer6.1.bn2.weight"] == (512,)
    assert state["layer8.0.conv2.weight"] == (512, 512, 3, 3)
    assert (state["fc.weight"], state["fc.bias"]) == ((19, 512, 1, 1), (19,))
    shortcuts = {name.split(".")[0] for name in state if "downsample" in name}
    assert shortcuts == {"layer2", "layer3", "layer4", "layer5", "layer6"}
    assert DRN26(width=1 / 16, stride=4).state_dict().keys() == state.keys()


def test_drn_width_keeps_eight_channels_at_least():
    state = DRN26(width=0.25).state_dict()
    assert [state[f"layer{k}.0.conv1.weight"].shape[0] for k in range(1, 9)] == [
        8,
        8,
        16,
        32,
        64,
        128,
        128,
        128,
    ]


# Layer, blocks, stride, dilation, and whether something is added: the table of DRN-C-26.
TABLE = [(1, 1, 1, 1, True), (2, 1, 2, 1, True), (3, 2, 2, 1, True), (4, 2, 2, 1, True), (5, 2, 1, 2, True)]
TABLE += [(6, 2, 1, 4, True), (7, 1, 1, 2, False), (8, 1, 1, 1, False)]


def test_drn_equals_its_table():
    """The scores again, from the table, the names in the state dict and torch's functions alone."""
    drn = DRN26(width=1 / 8).double().eval()
    for module in drn.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
    state = drn.state_dict()

    def normalized(x, conv, norm, stride=1, padding=0, dilation=1):
        x = F.conv2d(x, state[f"{conv}.weight"], None, stride, padding, dilation)
        moments = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return F.batch_norm(x, *moments, state[f"{norm}.weight"], state[f"{norm}.bias"])

    x = images(1, 3, 40, 56).double()
    y = normalized(drn.normalize(x), "conv1", "bn1", padding=3).relu()
    for layer, blocks, stride, d, adds in TABLE:
        for block in range(blocks):
            name, s = f"layer{layer}.{block}", stride if block == 0 else 1
            z = normalized(y, f"{name}.conv1", f"{name}.bn1", s, d, d).relu()
            z = normalized(z, f"{name}.conv2", f"{name}.bn2", 1, d, d)
            if f"{name}.downsample.0.weight" in state:
                y = normalized(y, f"{name}.downsample.0", f"{name}.downsample.1", s)
            y = (z + y if adds else z).relu()
    y = F.conv2d(y, state["fc.weight"], state["fc.bias"])
    torch.testing.assert_close(drn(x), y, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("stride", "field"), [(8, 581), (4, 317)])
@pytest.mark.parametrize("axis", [2, 3])
def test_receptive_field_by_gradient(stride, field, axis):
    """How far the gradient of one score reaches. All weights are positive, so that nothing cancels; float64, so that
    nothing vanishes; a strip, since the field is a square."""
    drn = DRN26(classes=1, width=1 / 16, stride=stride).double().eval()
    for module in drn.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    size = [1, 3, 8, 8]
    size[axis] = 640
    x = torch.ones(size, dtype=torch.float64, requires_grad=True)
    center = 320 // stride
    drn(x).select(axis, center).sum().backward()
    reached = x.grad.abs().sum([d for d in range(4) if d != axis]).nonzero().flatten()
    assert len(reached) == field
    assert (reached[0] + reached[-1]) / 2 == 320  # score i is centered on pixel stride * i


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_and_gradient_of_every_network(name):
    net = build(name, classes=5, **NARROW[name]).eval().requires_grad_(False)
    x = images(2, 3, 64, 96).requires_grad_()
    scores = net(x)
    assert scores.shape == ((2, 5, 8, 12) if name in ("drn26", "deeplabv3") else (2, 5, 64, 96))
    scores.square().mean().backward()
    assert x.grad.abs().max() > 0
    assert all(p.grad is None for p in net.parameters())
    assert not any("image_" in key for key in net.state_dict())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns(name):
    """A small step against the gradient brings the loss down, and each parameter has one.

    In float64 and with the dropout of one seed, so that the loss is a smooth function on every processor.
    """
    net = build(name, classes=3, **NARROW[name]).double().train()
    x, y = images(2, 3, 32, 32).double(), torch.randint(3, (2, 32, 32))

    def loss() -> torch.Tensor:
        torch.manual_seed(0)
        return F.cross_entropy(upsample(net(x), (32, 32)), y)

    before = loss()
    before.backward()
    assert all(p.grad is not None for p in net.parameters())
    torch.optim.SGD(net.parameters(), lr=1e-6).step()
    assert loss() < before


def test_odd_sizes_are_rounded_up():
    drn = DRN26(width=1 / 16).eval()
    assert drn(images(1, 3, 65, 70)).shape[-2:] == (9, 9)
    assert DRN26(width=1 / 16, stride=4).eval()(images(1, 3, 65, 70)).shape[-2:] == (17, 18)
    assert DeepLabV3().eval()(images(1, 3, 33, 40)).shape[-2:] == (5, 5)


def test_statistics_of_imagenet():
    """An image of ImageNet's mean color becomes 0, one a standard deviation brighter becomes 1."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = torch.stack([2 * mean - 1, 2 * (mean + std) - 1]).view(2, 3, 1, 1).expand(2, 3, 8, 8)
    normalized = DRN26(width=1 / 16).normalize(x)
    torch.testing.assert_close(normalized[0], torch.zeros(3, 8, 8), atol=1e-6, rtol=0)
    torch.testing.assert_close(normalized[1], torch.ones(3, 8, 8))


@pytest.mark.parametrize(("up", "field"), [("up1", 7), ("up2", 17), ("up3", 35)])
def test_small_unet_hands_every_level_across(up, field):
    """With nothing coming up from below a level, a score still sees what that level's skip saw.

    By hand, from the top: 5 pixels after two convolutions, 11 after two more at half resolution, 23 at a quarter; one
    convolution on the way up adds 2, 4 or 8; a score of an even pixel lies over two cells of each coarser grid.
    """
    net = SmallUNet(classes=1, width=2).double().eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    joined = getattr(net, up)[0]
    joined.weight.data[:, : -joined.out_channels] = 0
    x = torch.ones(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    net(x)[0, 0, 32, 32].backward()
    for axis in (1, 2):
        assert x.grad[0].sum([d for d in range(3) if d != axis]).count_nonzero() == field


def test_segnet_puts_maxima_back_where_they_lay():
    """With convolutions that pass maps on unchanged, one bright pixel comes out at its own place."""
    net = SegNet(classes=1, width=1 / 16).eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
            module.weight.data[:, 0, 1, 1] = 1  # all maps a copy of the first
    net.image_mean.zero_()
    net.image_std.fill_(1)
    x = torch.zeros(1, 3, 32, 64)
    x[0, 0, 21, 43] = 1
    scores = net(x)[0, 0]
    assert scores.argmax() == 21 * 64 + 43
    assert scores.count_nonzero() == 1


def test_upsample_takes_half_pixel_centers():
    """Scores 0, 1 to width 4: centers lie at -1/4, 1/4, 3/4, 5/4 of the old grid, and the border repeats."""
    row = torch.tensor([[[[0.0, 1.0]]]])
    torch.testing.assert_close(upsample(row, (1, 4)), torch.tensor([[[[0.0, 0.25, 0.75, 1.0]]]]))
    assert upsample(row, (1, 2)) is row


def test_initialization_is_a_function_of_the_generator():
    nets = [build("unet", width=4) for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        torch.rand(seed)  # the global stream plays no part
        segmenters.initialize(net, generator=torch.Generator().manual_seed(seed))
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["score.weight"], states[2]["score.weight"])


def test_initial_weights_follow_he():
    drn = DRN26()
    for module in (drn.conv1, drn.layer5[0].conv1, drn.layer6[0].downsample[0], drn.fc):
        k, outside = module.kernel_size[0], module.out_channels
        assert module.weight.std().item() == pytest.approx((2 / (k * k * outside)) ** 0.5, rel=0.05)
    assert drn.fc.bias.abs().max() == 0
    assert all((m.weight == 1).all() for m in drn.modules() if isinstance(m, nn.BatchNorm2d))


def test_errors_name_what_was_seen():
    with pytest.raises(ValueError, match="'drn38'; known: drn26, deeplabv3, segnet, unet"):
        build("drn38")
    with pytest.raises(TypeError, match="stride"):
        build("unet", stride=4)
    with pytest.raises(ValueError, match="4 or 8, not 16"):
        DRN26(stride=16)
    with pytest.raises(ValueError, match="above 0, not 0"):
        SegNet(width=0)
    with pytest.raises(ValueError, match=r"counts channels.*0\.25"):
        SmallUNet(width=0.25)
    with pytest.raises(ValueError, match="multiples of 8, not 60 x 64"):
        SmallUNet(width=4)(images(1, 3, 60, 64))
    with pytest.raises(ValueError, match="multiples of 32, not 64 x 48"):
        SegNet(width=1 / 16)(images(1, 3, 64, 48))
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), not \(1, 1, 8, 8\)"):
        DRN26(width=1 / 16)(images(1, 1, 8, 8))
    with pytest.raises(TypeError, match=r"not torch\.uint8"):
        DRN26(width=1 / 16)(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize("name", ["drn26", "segnet", "deeplabv3"])
def test_a_frozen_copy_reads_the_same_and_leaves_the_network_alone(name):
    net = segmenters.build(name, **({} if name == "deeplabv3" else {"width": 0.0625})).double()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as after a training
            module.running_mean.normal_(generator=torch.Generator().manual_seed(0))
            module.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(1))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    frozen = segmenters.frozen(net)
    x = torch.rand(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    one, other = (x.clone().requires_grad_() for _ in range(2))
    expected, scores = net.eval()(one), frozen(other)
    torch.testing.assert_close(scores, expected, rtol=1e-10, atol=1e-10)
    expected.square().sum().backward()
    scores.square().sum().backward()
    torch.testing.assert_close(other.grad, one.grad, rtol=1e-8, atol=1e-10)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in frozen.modules())
    assert not any(p.requires_grad for p in frozen.parameters())
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
