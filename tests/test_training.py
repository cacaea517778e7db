"""The package's step is Eq. (5): equal to the equations as they read, finite or stopped, and resumable."""

import copy
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from semcg import config, devices, loop, losses, notebook, segmenters, training
from semcg.gan import CycleGAN
from semcg.loop import linear_decay, warm_poly

EXTRA = {"gradient G", "gradient D", "pull gan", "pull cycle"}


def segmenter(seed: int, double: bool = False):
    """A segmenter whose batch normalization does something, as after training."""
    net, draw = segmenters.build("drn26", width=0.0625, stride=8), torch.Generator().manual_seed(seed)
    segmenters.initialize(net, generator=draw)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=draw)
            module.running_var.uniform_(0.5, 2, generator=draw)
    return net.double().eval() if double else net.eval()


def small(seed: int = 0, double: bool = False, **changes):
    cfg = config.make("smoke", seed=seed, pool=0, **changes)
    fabric = devices.fabric_for("cpu")
    sems = {f"Sem_{d}": segmenter(s, double) for d, s in (("s", 1), ("t", 2))}
    t = training.CycleGANTraining.create(cfg, steps=8, fabric=fabric, **sems)
    if double:
        for net in (t.m.G_st, t.m.G_ts, t.m.D_s, t.m.D_t):
            net.double()
    return t, fabric, cfg


def crops(seed: int, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    x_s, x_t = (torch.rand(1, 3, 64, 64, generator=g, dtype=dtype) * 2 - 1 for _ in range(2))
    y_s, y_t = (torch.randint(0, 19, (1, 64, 64), generator=g) for _ in range(2))
    return x_s, y_s, x_t, y_t


def literal(m: CycleGAN, x_s, y_s, x_t, *, kind: str, gan: str, lambda_c: float, lambda_s: float):
    """Eqs. (1)-(5), term by term, every network called where the equation names it."""
    x_st, x_ts = m.G_st(x_s), m.G_ts(x_t)
    L_gan = losses.generator(m.D_t(x_st), kind=gan) + losses.generator(m.D_s(x_ts), kind=gan)
    L_cyc = losses.cycle(x_s, m.G_ts(x_st)) + losses.cycle(x_t, m.G_st(x_ts))
    back = "ce_pseudo" if kind == "ce_labels" else kind
    L_sem = losses.semantic(m.Sem_s(x_s), m.Sem_t(x_st), kind=kind, labels=y_s)
    L_sem = L_sem + losses.semantic(m.Sem_t(x_t), m.Sem_s(x_ts), kind=back)
    L_G = L_gan + lambda_c * L_cyc + lambda_s * L_sem
    L_D_t = losses.discriminator(m.D_t(x_t), m.D_t(x_st.detach()), kind=gan)
    L_D_s = losses.discriminator(m.D_s(x_s), m.D_s(x_ts.detach()), kind=gan)
    return {"gan": L_gan, "cycle": L_cyc, "semantic": L_sem, "D_s": L_D_s, "D_t": L_D_t}, L_G, L_D_s + L_D_t


@pytest.mark.parametrize(
    ("kind", "gan"), [*((kind, "log") for kind in losses.SEMANTIC_KINDS), ("scores_l2", "lsgan")]
)
def test_gradients_and_losses_equal_the_literal_step(kind, gan):
    """Float64, four steps of Adam on either side: gradients to 1e-12 in relative L2 at each, losses to 1e-9.

    The literal side has networks of its own, its segmenters as they were trained, not folded and not frozen, and torch's
    plain Adam. Biases in front of an instance norm are left out: their true gradient is zero.
    """
    t, fabric, cfg = small(double=True, gan_loss=gan, semantic_loss=kind)
    step = training.translation_step(
        t, fabric=fabric, lambda_c=10, lambda_s=2, semantic_loss=kind, gan_loss=gan
    )
    ours = [t.m.G_st, t.m.G_ts, t.m.D_s, t.m.D_t]
    theirs = [copy.deepcopy(net) for net in ours]
    m = CycleGAN(*theirs, segmenter(1, double=True), segmenter(2, double=True))
    assert any(isinstance(x, torch.nn.BatchNorm2d) for x in m.Sem_s.modules())
    pairs = {"G": (0, 1), "D": (2, 3)}
    adams = {
        what: torch.optim.Adam([p for i in which for p in theirs[i].parameters()], lr=cfg.lr, betas=cfg.betas)
        for what, which in pairs.items()
    }
    began = [p.detach().clone() for p in theirs[0].parameters()]
    for seed in range(4):
        x_s, y_s, x_t, y_t = crops(seed, torch.float64)
        terms = step(x_s, y_s, x_t, y_t)
        words, L_G, L_D = literal(m, x_s, y_s, x_t, kind=kind, gan=gan, lambda_c=10, lambda_s=2)
        for name, value in ((k, float(v.detach())) for k, v in words.items()):
            assert abs(float(terms[name]) - value) <= 1e-9 * max(1, abs(value)), (name, seed)
        for what, total in (("G", L_G), ("D", L_D)):
            parameters = [p for group in adams[what].param_groups for p in group["params"]]
            wanted = torch.autograd.grad(total, parameters, retain_graph=what == "G")
            for p, gradient in zip(parameters, wanted, strict=True):
                p.grad = gradient
            got, expected = (
                torch.cat(
                    [
                        p.grad.flatten()
                        for i in pairs[what]
                        for name, p in nets[i].named_parameters()
                        if not name.endswith("bias")
                    ]
                )
                for nets in (ours, theirs)
            )
            assert float((got - expected).norm() / expected.norm()) <= 1e-12, (what, seed)
        for adam in adams.values():
            adam.step()
    moved = max(
        float((a - b).detach().abs().max()) for a, b in zip(began, theirs[0].parameters(), strict=True)
    )
    assert moved > 3 * cfg.lr, "weights that do not move prove nothing about steps"


def parameters_after(leaf_split: bool, **changes) -> tuple[dict, torch.Tensor]:
    t, fabric, _ = small(double=True, **changes)
    step = training.translation_step(
        t, fabric=fabric, lambda_s=2, semantic_loss="softmax_l2", identity=0.5, leaf_split=leaf_split
    )
    terms = [step(*crops(seed, torch.float64)) for seed in range(3)]
    weights = [
        p.detach().flatten()
        for net in (t.m.G_st, t.m.G_ts, t.m.D_s, t.m.D_t)
        for name, p in net.named_parameters()
        if not name.endswith("bias")  # their true gradient is zero, and Adam makes steps of its rounding
    ]
    return terms, torch.cat(weights)


@pytest.mark.parametrize("generator", ["unet", "recolor"])
def test_cutting_at_the_translation_changes_no_gradient(generator):
    """Float64, three steps of Adam, every loss on."""
    (cut, weights), (whole, same) = (parameters_after(leaf, generator=generator) for leaf in (True, False))
    assert float((weights - same).norm() / same.norm()) < 1e-10
    for a, b in zip(cut, whole, strict=True):
        assert {k for k in a if k not in b} == {"pull gan", "pull cycle", "pull semantic"}
        for name in b:
            assert float(a[name]) == pytest.approx(float(b[name]), rel=1e-9), name


def test_the_pulls_add_up_to_the_gradient_of_the_translation():
    """By hand for one term: the pull of the cycle loss is the norm of its gradient at x_st."""
    t, fabric, _ = small(double=True)
    x_s, y_s, x_t, y_t = crops(0, torch.float64)
    x_st = t.m.G_st(x_s).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(10 * losses.cycle(x_s, t.m.G_ts(x_st)), x_st)
    terms = training.translation_step(t, fabric=fabric, lambda_s=0)(x_s, y_s, x_t, y_t)
    assert float(terms["pull cycle"]) == pytest.approx(float(gradient.norm()), rel=1e-9)


def taken(t, fabric, seeds) -> None:
    step = training.translation_step(t, fabric=fabric, lambda_s=0)
    for seed in seeds:
        step(*crops(seed))


def weights(net) -> list[torch.Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def test_the_average_of_the_weights_by_hand():
    """average <- 0.9 average + 0.1 weights after each step, also of a step of your own; the averages never feed back."""
    t, fabric, _ = small(generator_ema=0.9)
    averages = weights(t.m.G_ts)
    for seed in range(3):
        taken(t, fabric, [seed])
        averages = [0.9 * a + 0.1 * w for a, w in zip(averages, weights(t.m.G_ts), strict=True)]
    for mine, by_hand in zip(weights(t.G_ts_ema), averages, strict=True):
        torch.testing.assert_close(mine, by_hand)
    other, fabric, _ = small(generator_ema=0.0)
    taken(other, fabric, range(3))
    for raw, same, latest in zip(
        weights(t.m.G_ts), weights(other.m.G_ts), weights(other.G_ts_ema), strict=True
    ):
        assert torch.equal(raw, same)
        assert torch.equal(latest, same)
    assert t.generators("ema") == (t.G_st_ema, t.G_ts_ema)
    assert t.generators("raw") == (t.m.G_st, t.m.G_ts)


def test_a_resumed_training_has_the_same_averages_to_the_bit(tmp_path):
    through, fabric, _ = small()
    taken(through, fabric, range(4))
    stopped, fabric, _ = small()
    taken(stopped, fabric, range(2))
    torch.save({name: part.state_dict() for name, part in stopped.state().items()}, tmp_path / "state.pt")
    resumed, fabric, _ = small(seed=1)
    for name, state in torch.load(tmp_path / "state.pt", weights_only=True).items():
        resumed.state()[name].load_state_dict(state)
    taken(resumed, fabric, range(2, 4))
    for name in ("G_st_ema", "G_ts_ema"):
        one, other = (getattr(t, name).state_dict() for t in (through, resumed))
        assert all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("lambda_s", [0.0, 1.0])
def test_a_step_costs_no_more_than_the_formula(lambda_s):
    """12 F_G + 16 F_D + 6 F_Sem: four generator passes and their gradients, twice; see the docstring's counting.

    Each of four generator passes costs its forward and twice that backward. Each discriminator judges one translation
    (forward, gradient of the image) and two images of its own step (forward, twice backward): 2 + 6. Each segmenter
    reads a real and a translated image (two forward, one gradient of the image): 3.
    """
    t, fabric, _ = small()
    step = training.translation_step(t, fabric=fabric, lambda_s=lambda_s)
    batch = crops(0)

    def flops(run) -> int:
        with FlopCounterMode(display=False) as counter:
            run()
        return counter.get_total_flops()

    with torch.no_grad():
        F_G, F_D, F_Sem = (flops(lambda net=net: net(batch[0])) for net in (t.m.G_st, t.m.D_s, t.m.Sem_s))
    formula = 12 * F_G + 16 * F_D + (6 * F_Sem if lambda_s else 0)
    counted = flops(lambda: step(*batch))
    assert 0.97 * formula < counted <= formula  # the first layers owe no gradient to a real image


def test_no_gradient_is_left_where_none_is_owed():
    t, fabric, _ = small()
    step = training.translation_step(t, fabric=fabric, lambda_s=1, semantic_loss="softmax_l2")
    step(*crops(0))
    assert all(
        p.grad is None and not p.requires_grad for net in (t.m.Sem_s, t.m.Sem_t) for p in net.parameters()
    )
    assert not t.m.Sem_s.training
    assert not t.m.Sem_t.training


def test_equal_seeds_differ_in_the_loss_alone():
    one, _, _ = small(seed=3)
    other, _, _ = small(seed=3, lambda_s=0.0)
    another, _, _ = small(seed=4)
    for name in ("G_st", "G_ts", "D_s", "D_t"):
        mine, same, new = (getattr(x.m, name).state_dict() for x in (one, other, another))
        assert all(torch.equal(mine[k], same[k]) for k in mine)
        assert any(not torch.equal(mine[k], new[k]) for k in mine)


@pytest.mark.parametrize(("term", "net"), [("cycle", "G_ts"), ("semantic", "Sem_t")])
def test_a_loss_that_is_not_finite_stops_before_the_optimizer(term, net):
    t, fabric, _ = small()
    module = getattr(t.m, net)
    module.register_forward_hook(lambda m, i, out: out * float("nan"))
    before = copy.deepcopy(t.m.G_st.state_dict())
    step = training.translation_step(t, fabric=fabric, lambda_s=1)
    with pytest.raises(FloatingPointError, match=rf"step 1: the loss term .*{term}.* is not finite"):
        list(notebook.progress(loop.fit(step, lambda n: crops(n), 2), 2))
    assert all(torch.equal(before[k], v) for k, v in t.m.G_st.state_dict().items())


def test_a_gradient_that_is_not_finite_stops_before_the_optimizer():
    t, fabric, _ = small()
    weight = next(t.m.G_st.parameters())
    weight.register_hook(lambda g: g * float("inf"))
    before = weight.detach().clone()
    step = training.translation_step(t, fabric=fabric, lambda_s=0)
    with pytest.raises(FloatingPointError, match="step 1: the gradient of G is not finite"):
        list(notebook.progress(loop.fit(step, lambda n: crops(n), 1), 1))
    assert torch.equal(before, weight)


def test_the_semantic_loss_needs_both_segmenters():
    cfg, fabric = config.make("smoke"), devices.fabric_for("cpu")
    t = training.CycleGANTraining.create(cfg, steps=4, fabric=fabric)
    with pytest.raises(ValueError, match="needs both segmenters"):
        training.translation_step(t, fabric=fabric, lambda_s=1)
    terms = training.translation_step(t, fabric=fabric, lambda_s=0)(*crops(0))
    assert set(terms) == {"gan", "cycle", "D_s", "D_t"} | EXTRA


def test_the_identity_loss_is_added():
    t, fabric, _ = small(identity=5.0)
    terms = training.translation_step(t, fabric=fabric, lambda_s=0, identity=5.0)(*crops(0))
    assert set(terms) == {"gan", "cycle", "identity", "D_s", "D_t"} | EXTRA
    assert float(terms["identity"]) > 0


def test_a_segmenter_learns_and_ignores_void():
    cfg, fabric = config.make("smoke"), devices.fabric_for("cpu")
    net = segmenters.build("drn26", width=0.0625, stride=8)
    t = training.SegmenterTraining.create(
        net, optimizer="adamw", lr=1e-2, decay=0.0, steps=30, schedule="constant", seed=0, fabric=fabric
    )
    step = training.segmentation_step(t, fabric=fabric)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = torch.full((2, 32, 32), 10)
    y[:, 16:] = 0
    losses_seen = [float(r["cross_entropy"]) for r in loop.fit(step, lambda n: (x, y), 30)]
    assert losses_seen[-1] < 0.3 * losses_seen[0]
    void = torch.full_like(y, 255)
    assert float(step(x, void)["cross_entropy"]) == 0.0
    assert cfg.segmenter_steps == 10


def test_class_weights_by_hand():
    """Frequencies 0.25 and 0.75: weights 1/sqrt(0.251), 1/sqrt(0.751), scaled so that pixels weigh 1 on average."""
    weights = training.class_weights(torch.tensor([0.25, 0.75]))
    raw = torch.tensor([0.251, 0.751]) ** -0.5
    torch.testing.assert_close(weights, raw / (0.25 * raw[0] + 0.75 * raw[1]))
    assert float(0.25 * weights[0] + 0.75 * weights[1]) == pytest.approx(1)


def test_learning_rates_by_hand():
    decay = linear_decay(1000)
    assert [decay(n) for n in (0, 499, 500, 750, 999)] == [1, 1, 1, 0.5, 0.002]
    poly = warm_poly(1000)
    assert poly(0) == pytest.approx(1 / 50)
    assert poly(500) == pytest.approx(0.5**0.9)
    assert poly(999) == pytest.approx(0.001**0.9)


def test_a_batch_script_of_slurm_with_several_tasks_computes_alone(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    assert devices.fabric_for("cpu").world_size == 1


def test_devices_are_checked():
    for wrong in ("gpu", "cuda:x", "tpu", "auto:7", "cpu:3"):
        with pytest.raises(ValueError, match="allowed: auto, cpu, cuda"):
            devices.fabric_for(wrong)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="0 CUDA devices"):
            devices.fabric_for("cuda")
    assert devices.precision_for("fp32") == "fp32"
    assert devices.precision_for("auto", "cpu") in ("fp32", "bf16")


def test_a_processor_that_plays_a_lesser_one_computes_as_that_does():
    """In bf16 without the instructions for it a step took many times as long."""
    code = "from semcg import devices; print(devices.precision_for('auto', 'cpu'))"
    lesser = os.environ | {"ATEN_CPU_CAPABILITY": "avx2"}
    assert subprocess.run([sys.executable, "-c", code], env=lesser, capture_output=True).stdout == b"fp32\n"


def test_frames_are_read_ahead_beside_a_gpu_and_never_beside_a_cpu(monkeypatch):
    fabric = devices.fabric_for("cpu")
    assert devices.share(2, fabric) == {"batch": 2, "rank": 0, "ranks": 1, "workers": 0}

    def workers(cores: int, gpus: int, device: str = "cuda") -> int:
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        faked = SimpleNamespace(device=torch.device(device), world_size=1, global_rank=0)
        return devices.share(1, faked)["workers"]

    assert [workers(cores, 1) for cores in (1, 2, 3, 5, 64)] == [1, 1, 2, 4, 4]
    assert workers(16, 8) == 1  # two cores a GPU: one for the training, one to read
    assert workers(32, 8) == 3
    assert workers(64, 1, "cpu") == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_step_on_the_gpu_gives_the_losses_of_the_cpu():
    batch = crops(0)
    results = []
    for device in ("cpu", "cuda"):
        fabric = devices.fabric_for(device)
        cfg = config.make("smoke")
        t = training.CycleGANTraining.create(cfg, steps=4, fabric=fabric)
        step = training.translation_step(t, fabric=fabric, lambda_s=0)
        results.append({k: float(v) for k, v in step(*(fabric.to_device(b) for b in batch)).items()})
    assert results[0] == pytest.approx(results[1], rel=1e-3)
