"""Eqs. (1)-(4), one function each, and the other readings of Eq. (4).

Every function returns one number, a mean over everything it sees, so that weights hold for any size and batch. Each
computes in float32 at least, whatever precision the networks ran in. An equation with two directions is two
calls: `cycle(x_s, x_sts) + cycle(x_t, x_tst)` is Eq. (3).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from semcg.labels import IGNORE

GAN_KINDS = ("log", "lsgan")
"""Kinds of `discriminator` and `generator`: the log loss of Eqs. (1)-(2), and least squares."""


def discriminator(real: Tensor, fake: Tensor, *, kind: str) -> Tensor:
    """Loss of one discriminator, Eq. (1) or (2) with its sign turned: real -> 1, fake -> 0.

    "log" is what the equations say: -E log D(x) - E log(1 - D(G(x))), D being the sigmoid of the logits.
    "lsgan" is E (D(x) - 1)^2 + E D(G(x))^2 (Mao et al., ICCV 2017), which most CycleGAN code uses. The two terms
    are added, as the equations read; CycleGAN's public code halves the sum.

    Parameters
    ----------
    real, fake : any shape, float
        Logits of real images and of translations; the caller detaches the translations.
    kind : str
        One of `GAN_KINDS`.

    Returns
    -------
    () float

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    return _gan_loss(real, 1.0, kind) + _gan_loss(fake, 0.0, kind)


def generator(fake: Tensor, *, kind: str) -> Tensor:
    """Loss of one generator against its discriminator: fake -> 1.

    Eqs. (1)-(2) give the game, not the generator's share in it. "log" is -E log D(G(x)), the non-saturating form
    (Goodfellow et al., 2014), because log(1 - D) has no slope where D is sure; "lsgan" is E (D(G(x)) - 1)^2.

    Parameters
    ----------
    fake : any shape, float
        Logits of translations.
    kind : str
        One of `GAN_KINDS`.

    Returns
    -------
    () float

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    return _gan_loss(fake, 1.0, kind)


def cycle(x: Tensor, back: Tensor) -> Tensor:
    """Cycle consistency, one direction of Eq. (3): E || G'(G(x)) - x ||_1, as a mean over all values.

    Parameters
    ----------
    x, back : (B, 3, H, W) float
        Images, and the same taken to the other domain and back.

    Returns
    -------
    () float
        In the unit of the images: 2 is black against white.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    x, back = _float32("images", x, back)
    return (back - x).abs().mean()


def identity(x: Tensor, same: Tensor) -> Tensor:
    """Identity loss of CycleGAN (Zhu et al., ICCV 2017, section 5.2): E || G_st(x_t) - x_t ||_1, a mean.

    Not part of Eq. (5), so its weight is 0 unless an ablation says otherwise.

    Parameters
    ----------
    x, same : (B, 3, H, W) float
        Images, and what the generator *into* their own domain makes of them.

    Returns
    -------
    () float

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    return cycle(x, same)


def semantic(before: Tensor, after: Tensor, *, kind: str, labels: Tensor | None = None) -> Tensor:
    """Semantic consistency, one direction of Eq. (4): E L[Sem(x), Sem'(G(x))].

    The equation leaves L open and the text says "L2-norm", without the quantity or its scale; each kind is one
    reading. `after` is differentiated, `before` is given: no gradient goes into it.

    Parameters
    ----------
    before, after : (B, C, h, w) float
        Class scores of the images and of their translations, at the segmenter's stride.
    kind : str
        One of `SEMANTIC_KINDS`, each a function of this module.
    labels : (B, H, W) int64, optional
        Labels of the images, for "ce_labels"; the other kinds do not look at them.

    Returns
    -------
    () float

    Raises
    ------
    ValueError
        For an unknown kind, scores of different shapes where they are compared, or "ce_labels" without fitting labels.
    """
    if kind not in SEMANTIC_KINDS:
        raise ValueError(f"unknown semantic loss {kind!r}; known: {', '.join(SEMANTIC_KINDS)}")
    if kind != "ce_labels":
        return _COMPARE[kind](before.detach(), after)
    if labels is None:
        instead = 'use "ce_pseudo" where there are none'
        raise ValueError(f'the semantic loss "ce_labels" needs labels (B, H, W); {instead}')
    return ce_labels(after, labels)


def scores_l2(before: Tensor, after: Tensor) -> Tensor:
    """|| after - before ||^2 / (C h w), averaged over the batch: the paper's words on score maps.

    Score maps, because hidden channels of two separately trained networks do not correspond. The form is that of
    BDL (Li, Yuan and Vasconcelos, CVPR 2019) without its instance normalization.
    """
    before, after = _float32("scores", before, after)
    return (after - before).square().mean()


def scores_norm(before: Tensor, after: Tensor) -> Tensor:
    """|| after - before || / sqrt(C h w) of each image, averaged over the batch: the norm itself, not its square.

    At after = before, where the norm has a corner, the gradient is 0.
    """
    before, after = _float32("scores", before, after)
    norms = torch.linalg.vector_norm(after - before, dim=(1, 2, 3))  # (B,); its backward pass gives 0 at 0
    return norms.mean() / after[0].numel() ** 0.5


def softmax_l2(before: Tensor, after: Tensor) -> Tensor:
    """Squared difference of the class probabilities, summed over classes, averaged over positions: 0 to 2."""
    before, after = _float32("scores", before, after)
    return (after.softmax(dim=1) - before.softmax(dim=1)).square().sum(dim=1).mean()


def ce_pseudo(before: Tensor, after: Tensor) -> Tensor:
    """Cross-entropy of `after` against the class that `before` names, averaged over positions.

    The loss of CyCADA's paper (Hoffman et al., ICML 2018), there with one network for both sides.
    """
    before, after = _float32("scores", before, after)
    return F.cross_entropy(after, before.argmax(dim=1), reduction="none").mean()


def ce_labels(after: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of `after` against the labels of the images before translation.

    As in Transfer-Learning-Library's CyCADA, there at full size. Here the labels come to the scores' grid:
    position i takes pixel floor(i H / h), which is where score i of a strided convolution is centered. Pixels of
    label 255 do not count; where none counts, loss and gradient are 0.

    Parameters
    ----------
    after : (B, C, h, w) float
    labels : (B, H, W) int64
        0..C-1, or 255.

    Raises
    ------
    ValueError
        If the labels are not (B, H, W) for the scores' B.
    """
    if labels.ndim != 3 or len(labels) != len(after):
        raise ValueError(f"labels {tuple(labels.shape)} are not (B, H, W) for scores {tuple(after.shape)}")
    (h, w), (H, W) = after.shape[-2:], labels.shape[-2:]
    rows, columns = (torch.arange(n, device=labels.device) * N // n for n, N in ((h, H), (w, W)))
    labels = labels[:, rows][:, :, columns].long()  # (B, h, w)
    # Summed here: the mean inside cross_entropy is 0 / 0 if nothing counts, and not deterministic on CUDA.
    (after,) = _float32("scores", after)
    losses = F.cross_entropy(after, labels, ignore_index=IGNORE, reduction="none")  # (B, h, w)
    return losses.sum() / (labels != IGNORE).sum().clamp(min=1)


def kl(before: Tensor, after: Tensor) -> Tensor:
    """KL(before || after) of the class probabilities, averaged over positions (MADAN: Zhao et al., NeurIPS 2019)."""
    before, after = _float32("scores", before, after)
    p, q = before.log_softmax(dim=1), after.log_softmax(dim=1)  # (B, C, h, w)
    return (p.exp() * (p - q)).sum(dim=1).mean()


def scores_in(before: Tensor, after: Tensor) -> Tensor:
    """`scores_l2` of maps that were instance-normalized, each channel by itself: BDL's own form (CVPR 2019)."""
    before, after = _float32("scores", before, after)
    return scores_l2(F.instance_norm(before), F.instance_norm(after))


_COMPARE = {loss.__name__: loss for loss in (scores_l2, scores_norm, softmax_l2, ce_pseudo, kl, scores_in)}

SEMANTIC_KINDS = (*_COMPARE, "ce_labels")
"""Kinds of `semantic`. "scores_l2" is the paper's wording as we read it; "kl" and "scores_in" are exploratory."""


def _gan_loss(logits: Tensor, aim: float, kind: str) -> Tensor:
    """How far logits are from saying `aim` (1 real, 0 fake), a mean."""
    if kind not in GAN_KINDS:
        raise ValueError(f"unknown GAN loss {kind!r}; known: {', '.join(GAN_KINDS)}")
    (logits,) = _float32("logits", logits)
    aims = torch.full_like(logits, aim)
    return F.binary_cross_entropy_with_logits(logits, aims) if kind == "log" else F.mse_loss(logits, aims)


def _float32(what: str, x: Tensor, *others: Tensor) -> list[Tensor]:
    """Return tensors of one shape in float32 at least."""
    for y in others:
        if x.shape != y.shape:  # broadcasting would hide it
            remedy = "; segmenters in one loss need one stride: give both sem_s and sem_t"
            remedy = remedy if what == "scores" else ""
            raise ValueError(f"{what} differ in shape: {tuple(x.shape)} and {tuple(y.shape)}{remedy}")
    return [v.to(torch.promote_types(v.dtype, torch.float32)) for v in (x, *others)]  # float64 stays
