"""Each equation against numbers worked by hand, and against an independent reference in float64."""

import math

import numpy as np
import pytest
import torch

from semcg import losses
from semcg.losses import GAN_KINDS, SEMANTIC_KINDS, semantic

LN2, LN3 = math.log(2), math.log(3)


def scores(*size: int, seed: int) -> torch.Tensor:
    return 3 * torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pixel(*values: float) -> torch.Tensor:
    """Scores (1, C, 1, 1) of one position."""
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1)


def test_log_loss_by_hand():
    """sigmoid(ln 3) = 3/4 and sigmoid(0) = 1/2."""
    real, fake = torch.tensor([LN3, 0.0]), torch.tensor([0.0, -LN3])
    # -(ln 3/4 + ln 1/2) / 2 - (ln 1/2 + ln 3/4) / 2 = ln 8/3: a sum of two means, not halved
    assert losses.discriminator(real, fake, kind="log").item() == pytest.approx(math.log(8 / 3))
    # -(ln 1/2 + ln 1/4) / 2 = ln 8 / 2
    assert losses.generator(fake, kind="log").item() == pytest.approx(math.log(8) / 2)


def test_least_squares_by_hand():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.5, -1.0])
    # (0 + 4) / 2 + (1/4 + 1) / 2
    assert losses.discriminator(real, fake, kind="lsgan").item() == pytest.approx(2.625)
    # (1/4 + 4) / 2
    assert losses.generator(fake, kind="lsgan").item() == pytest.approx(2.125)


def test_the_generator_does_not_saturate():
    """Where D is sure that an image is fake, log(1 - D) is flat; the non-saturating form still pulls with slope 1."""
    fake = torch.tensor([-50.0], requires_grad=True)
    losses.generator(fake, kind="log").backward()
    assert fake.grad.item() == pytest.approx(-1)


def test_cycle_and_identity_by_hand():
    x = torch.zeros(1, 3, 1, 2)
    back = torch.tensor([1.0, -1.0, 0.5, 0.0, 0.0, -0.5]).view(1, 3, 1, 2)
    assert losses.cycle(x, back).item() == pytest.approx(0.5)  # 3 / 6
    assert losses.identity(x, back).item() == pytest.approx(0.5)


def test_score_losses_by_hand():
    """Two images, two classes, one position: differences (3, 4) and (0, 0)."""
    before = torch.zeros(2, 2, 1, 1)
    after = torch.tensor([[3.0, 4.0], [0.0, 0.0]]).view(2, 2, 1, 1)
    assert semantic(before, after, kind="scores_l2").item() == pytest.approx(25 / 4)
    # Norms 5 and 0, each over sqrt(2), averaged: the root is taken per image, not over the batch.
    assert semantic(before, after, kind="scores_norm").item() == pytest.approx(5 / math.sqrt(2) / 2)


def test_probability_losses_by_hand():
    """Scores (ln 3, 0) are probabilities (3/4, 1/4), scores (0, 0) are (1/2, 1/2)."""
    before, after = pixel(LN3, 0), pixel(0, 0)
    # (1/4)^2 + (1/4)^2, summed over classes
    assert semantic(before, after, kind="softmax_l2").item() == pytest.approx(1 / 8)
    # 3/4 ln(3/4 / 1/2) + 1/4 ln(1/4 / 1/2) = 3/4 ln 3 - ln 2
    assert semantic(before, after, kind="kl").item() == pytest.approx(0.75 * LN3 - LN2)
    # The other direction differs: 1/2 ln(2/3) + 1/2 ln 2
    assert semantic(after, before, kind="kl").item() == pytest.approx(0.5 * math.log(4 / 3))
    # Class 0 is what `before` names; `after` gives it 1/2.
    assert semantic(before, after, kind="ce_pseudo").item() == pytest.approx(LN2)
    # Here `after` gives 3/4 to class 0 but `before` names class 1: -ln 1/4.
    assert semantic(pixel(0, 1), before, kind="ce_pseudo").item() == pytest.approx(2 * LN2)


def test_means_are_over_positions_not_classes():
    """Two positions, of which only the first differs: half of the loss of one position."""
    before = torch.cat([pixel(LN3, 0), pixel(LN3, 0)], dim=3)
    after = torch.cat([pixel(0, 0), pixel(LN3, 0)], dim=3)
    assert semantic(before, after, kind="softmax_l2").item() == pytest.approx(1 / 16)
    assert semantic(before, after, kind="kl").item() == pytest.approx((0.75 * LN3 - LN2) / 2)
    assert semantic(before, after, kind="ce_pseudo").item() == pytest.approx((LN2 + math.log(4 / 3)) / 2)


def test_instance_normalized_scores_by_hand():
    """(0, 2) and (10, 30) are both (-1, 1) once normalized; (2, 0) is (1, -1), a squared difference of 4."""
    row = torch.tensor([[0.0, 2.0], [5.0, 1.0]], dtype=torch.float64).view(1, 2, 1, 2)
    scaled = torch.tensor([[10.0, 30.0], [9.0, 1.0]], dtype=torch.float64).view(1, 2, 1, 2)
    flipped = torch.tensor([[2.0, 0.0], [5.0, 1.0]], dtype=torch.float64).view(1, 2, 1, 2)
    assert semantic(row, scaled, kind="scores_in").item() == pytest.approx(0, abs=1e-9)
    assert semantic(row, flipped, kind="scores_in").item() == pytest.approx(
        2, rel=1e-4
    )  # one of two channels


def test_labels_by_hand():
    """Scores 1 x 2, labels 2 x 4: position 0 takes pixel (0, 0), position 1 takes pixel (0, 2)."""
    after = torch.cat([pixel(LN3, 0), pixel(0, 0)], dim=3)
    labels = torch.full((1, 2, 4), 99)  # no class: an error if it were looked at
    labels[0, 0, 0], labels[0, 0, 2] = 1, 0
    value = semantic(after, after, kind="ce_labels", labels=labels)
    assert value.item() == pytest.approx((math.log(4) + LN2) / 2)
    labels[0, 0, 2] = 255  # does not count, neither above nor below the line
    assert semantic(after, after, kind="ce_labels", labels=labels).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("size", [(16, 24), (13, 21), (5, 7), (2, 3)])
def test_labels_are_taken_as_torch_takes_the_nearest(size):
    labels = torch.randint(3, (2, *size), generator=torch.Generator().manual_seed(0))
    after = scores(2, 3, 5, 7, seed=1)
    taken = torch.nn.functional.interpolate(labels[:, None].double(), size=(5, 7), mode="nearest")[
        :, 0
    ].long()
    expected = torch.nn.functional.cross_entropy(after, taken)
    torch.testing.assert_close(semantic(after, after, kind="ce_labels", labels=labels), expected)


def test_nothing_labeled_is_zero_not_nan():
    after = scores(1, 3, 2, 2, seed=0).requires_grad_()
    value = semantic(after, after, kind="ce_labels", labels=torch.full((1, 4, 4), 255))
    value.backward()
    assert value.item() == 0
    assert after.grad.abs().max() == 0


def test_against_loops_in_numpy():
    """All kinds on random scores, position by position in plain float64."""
    before, after = scores(2, 4, 3, 5, seed=1), scores(2, 4, 3, 5, seed=2)
    labels = torch.randint(4, (2, 3, 5), generator=torch.Generator().manual_seed(3))
    labels[0, 1] = 255
    b, a = before.numpy(), after.numpy()

    def softmax(v):
        return np.exp(v) / np.exp(v).sum()

    soft, pseudo, divergence, labeled = [], [], [], []
    for n, i, j in np.ndindex(2, 3, 5):
        p, q = softmax(b[n, :, i, j]), softmax(a[n, :, i, j])
        soft.append(sum((p - q) ** 2))
        pseudo.append(-math.log(q[p.argmax()]))
        divergence.append(sum(p * np.log(p / q)))
        if labels[n, i, j] != 255:
            labeled.append(-math.log(q[labels[n, i, j]]))

    def z(v):
        return (v - v.mean((2, 3), keepdims=True)) / np.sqrt(v.var((2, 3), keepdims=True) + 1e-5)

    expected = {
        "scores_l2": ((a - b) ** 2).sum() / (2 * 4 * 3 * 5),
        "scores_norm": sum(np.sqrt(((a[n] - b[n]) ** 2).sum() / (4 * 3 * 5)) for n in range(2)) / 2,
        "softmax_l2": np.mean(soft),
        "ce_pseudo": np.mean(pseudo),
        "ce_labels": np.mean(labeled),
        "kl": np.mean(divergence),
        "scores_in": ((z(a) - z(b)) ** 2).mean(),
    }
    assert set(expected) == set(SEMANTIC_KINDS)
    for kind, value in expected.items():
        assert semantic(before, after, kind=kind, labels=labels).item() == pytest.approx(value, rel=1e-12), (
            kind
        )


@pytest.mark.parametrize("kind", SEMANTIC_KINDS)
def test_only_after_is_differentiated(kind):
    before, after = scores(2, 4, 3, 5, seed=1).requires_grad_(), scores(2, 4, 3, 5, seed=2).requires_grad_()
    labels = torch.randint(4, (2, 3, 5))
    semantic(before, after, kind=kind, labels=labels).backward()
    assert before.grad is None
    assert after.grad.abs().min() > 0
    assert torch.autograd.gradcheck(lambda y: semantic(before, y, kind=kind, labels=labels), after)


@pytest.mark.parametrize("kind", ["scores_l2", "scores_norm", "softmax_l2", "kl", "scores_in"])
def test_equal_scores_cost_nothing_and_pull_nowhere(kind):
    before = scores(2, 4, 3, 5, seed=1)
    after = before.clone().requires_grad_()
    value = semantic(before, after, kind=kind)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-15)
    assert after.grad.abs().max() < 1e-15  # in particular no NaN at the corner of the norm


@pytest.mark.parametrize("kind", SEMANTIC_KINDS)
def test_batches_average(kind):
    """The loss of a batch is the mean of its images' losses, so weights do not depend on the batch size."""
    before, after = scores(3, 4, 3, 5, seed=1), scores(3, 4, 3, 5, seed=2)
    labels = torch.randint(4, (3, 3, 5))
    one = [semantic(before[[n]], after[[n]], kind=kind, labels=labels[[n]]) for n in range(3)]
    torch.testing.assert_close(semantic(before, after, kind=kind, labels=labels), torch.stack(one).mean())


def test_half_precision_is_computed_in_single_and_double_stays():
    x, y = scores(2, 4, 8, 8, seed=1), scores(2, 4, 8, 8, seed=2)
    labels = torch.randint(4, (2, 8, 8))
    low, high = (x.bfloat16(), y.bfloat16()), (x.bfloat16().double(), y.bfloat16().double())
    functions = [lambda a, b, k=k: semantic(a, b, kind=k, labels=labels) for k in SEMANTIC_KINDS]
    functions += [lambda a, b, k=k: losses.discriminator(a, b, kind=k) for k in GAN_KINDS]
    functions += [lambda a, b, k=k: losses.generator(b, kind=k) for k in GAN_KINDS]
    functions += [losses.cycle, losses.identity]
    for function in functions:
        assert function(*low).dtype == torch.float32
        assert function(*high).dtype == torch.float64
        assert function(*low).item() == pytest.approx(function(*high).item(), rel=1e-5)


def test_errors_name_what_was_seen():
    one, other = torch.zeros(1, 19, 4, 4), torch.zeros(1, 19, 4, 8)
    with pytest.raises(ValueError, match=r"scores differ in shape: \(1, 19, 4, 4\) and \(1, 19, 4, 8\)"):
        semantic(one, other, kind="scores_l2")
    with pytest.raises(ValueError, match=r"images differ in shape: \(1, 3, 4, 4\) and \(1, 1, 4, 4\)"):
        losses.cycle(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match="'l2'; known: scores_l2, scores_norm, softmax_l2, ce_pseudo, kl"):
        semantic(one, one, kind="l2")
    with pytest.raises(ValueError, match="needs labels"):
        semantic(one, one, kind="ce_labels")
    with pytest.raises(ValueError, match=r"\(2, 4, 4\) are not \(B, H, W\) for scores \(1, 19, 4, 4\)"):
        semantic(one, one, kind="ce_labels", labels=torch.zeros(2, 4, 4, dtype=torch.int64))
    for call in (
        lambda: losses.generator(one, kind="hinge"),
        lambda: losses.discriminator(one, one, kind="hinge"),
    ):
        with pytest.raises(ValueError, match="'hinge'; known: log, lsgan"):
            call()
