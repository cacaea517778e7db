"""Exercises of notebook 03."""

import torch
from torch import nn

from semcg.exercises.feedback import WAITS
from semcg.exercises.kinds import Exercise, Open, Question, Sheet

__all__ = ["SHEET"]


def my_patch():
    return (((((1 - 1) * 1 + 4) - 1) * 1 + 4 - 1) * 2 + 4 - 1) * 2 + 4


def my_generator_loss(fake):
    """logits of translated patches, any shape -> what the generator descends, -log D"""
    return -torch.sigmoid(fake).log().mean()


def my_generators_loss(x_s, x_t, G_st, G_ts, D_s, D_t, lambda_c):
    """images of both domains, the four networks (each a function), lambda_c -> the generators' sum"""
    x_st, x_ts = G_st(x_s), G_ts(x_t)
    gan = -torch.sigmoid(D_t(x_st)).log().mean() - torch.sigmoid(D_s(x_ts)).log().mean()
    cycle = (G_ts(x_st) - x_s).abs().mean() + (G_st(x_ts) - x_t).abs().mean()
    return gan + lambda_c * cycle


def my_discriminator_loss(x_t, x_st, D_t):
    """real images, translations as they left G_st, and D_t -> what D_t descends; G_st must not feel it"""
    real, fake = D_t(x_t), D_t(x_st.detach())
    return -torch.sigmoid(real).log().mean() - (1 - torch.sigmoid(fake)).log().mean()


def _logits() -> list[tuple]:
    return [(torch.tensor([-1.0, 0.2]),), (torch.tensor([[[0.5, -2.0], [3.0, 0.0]]]),)]


def _games() -> list[tuple]:
    draw = torch.Generator().manual_seed(0)
    nets = (
        lambda x: 0.9 * x + 0.05,
        lambda x: 0.8 * x.flip(-1),
        lambda x: 2 * x[:, :1],
        lambda x: x[:, 1:2] - 0.5,
    )
    return [
        (*(torch.rand(1, 3, 4, 6, generator=draw) * 2 - 1 for _ in range(2)), *nets, weight)
        for weight in (10.0, 3.0)
    ]


def _teaches_only_D(answer) -> str:
    draw = torch.Generator().manual_seed(0)
    G_st, D_t = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 1, 1)
    for p in (*G_st.parameters(), *D_t.parameters()):
        nn.init.normal_(p, generator=draw)
    x_s, x_t = (torch.rand(1, 3, 4, 6, generator=draw) * 2 - 1 for _ in range(2))
    given = answer(x_t, G_st(x_s), D_t)
    if given is ...:
        return WAITS
    right = my_discriminator_loss(x_t, G_st(x_s), D_t)
    if not isinstance(given, torch.Tensor) or given.ndim:
        return "It should give back one number, as a tensor, so that it can be differentiated."
    known = {
        "The sign is flipped: D_t wants Eq. (1) large, so it descends its negative.": -right,
        "Real and translated are exchanged: D_t should say real to x_t.": my_discriminator_loss(
            G_st(x_s), x_t, D_t
        ),
        "The real images are missing: Eq. (1) has two terms.": -(1 - torch.sigmoid(D_t(G_st(x_s))))
        .log()
        .mean(),
        "The translations are missing: Eq. (1) has two terms.": -torch.sigmoid(D_t(x_t)).log().mean(),
        "You halved the sum, as CycleGAN's public code does; Eq. (1) adds the two terms.": right / 2,
    }
    for sentence, value in known.items():
        if torch.isclose(given, value):
            return sentence
    if not torch.isclose(given, right):
        return f"It gives {given.item():.4f}, it should give {right.item():.4f}. It is Eq. (1) with its sign turned."
    if not given.requires_grad:
        return "No gradient reaches D_t: do not detach its output, nor the loss."
    given.backward()
    if G_st.weight.grad is not None:
        return "The number is right, but its gradient runs on into G_st, which would learn to be caught: detach x_st."
    return "" if D_t.weight.grad is not None else "No gradient reaches D_t."


def _detached_too_much(x_t, x_st, D_t):
    return my_discriminator_loss(x_t, x_st, D_t).detach()


def _not_detached(x_t, x_st, D_t):
    return -torch.sigmoid(D_t(x_t)).log().mean() - (1 - torch.sigmoid(D_t(x_st))).log().mean()


def _sum(x_s, x_t, G_st, G_ts, D_s, D_t, lambda_c, *, gan=None, cycle=None):
    """The right sum with one of its parts exchanged for another, for the planted mistakes."""
    right = -torch.sigmoid(D_t(G_st(x_s))).log().mean() - torch.sigmoid(D_s(G_ts(x_t))).log().mean()
    back = (G_ts(G_st(x_s)) - x_s).abs().mean() + (G_st(G_ts(x_t)) - x_t).abs().mean()
    return (right if gan is None else gan) + lambda_c * (back if cycle is None else cycle)


SHEET = Sheet(
    notebook="03_cyclegan",
    questions=(
        Question(
            text="Why does the generator descend -log D instead of log(1 - D)?",
            choices={
                "because the paper says so": "The paper gives Eqs. (1) and (2) and does not say what the generator descends.",
                "because log(1 - D) has another minimum": "Both want D as large as it gets. They differ in their slopes.",
                "because log(1 - D) is flat where D is sure": "And D is sure at the start, when there is most to learn.",
            },
            right="because log(1 - D) is flat where D is sure",
        ),
        Question(
            text="In this run: what did the cycle loss do, first tenth of the steps against the last?",
            choices={
                name: lambda v: f"It went from {v['first']:.3f} to {v['last']:.3f}."
                for name in (
                    "it rose",
                    "it fell, to more than half of what it was",
                    "it fell to less than half of what it was",
                )
            },
            right=lambda v: (
                "it rose"
                if v["last"] >= v["first"]
                else "it fell, to more than half of what it was"
                if v["last"] > v["first"] / 2
                else "it fell to less than half of what it was"
            ),
            values='{"first": mean("cycle", slice(tenth)), "last": mean("cycle", slice(-tenth, None))}',
        ),
        Question(
            text="Suppose that a translation shows houses where the sky was, and the cycle loss is low. Which of these explains both?",
            choices={
                "the training is broken": "Nothing has to be broken for that: the two losses are content.",
                "the generators agree on a code that both know": "G_ts has learnt to take the houses away again, so nothing is lost and D_t is pleased.",
                "the cycle loss was weighted too little": "A larger lambda_c makes the way back more exact, but sets no price on what a pixel means.",
            },
            right="the generators agree on a code that both know",
        ),
    ),
    exercises=(
        Exercise(
            title="A smaller patch",
            task=(
                "How wide is the patch that a PatchGAN with four convolutions judges: kernel 4 each, "
                "strides 2, 2, 1, 1 in the order from "
                "the image to the output? (A number; walk as in section 2.)"
            ),
            solution=my_patch,
            wrong={
                "You walked from the image to the output, or left out a convolution; start at the output and walk back.": lambda: (
                    16
                ),
                "That is the patch of the paper's five layers, with three strides of 2.": lambda: 70,
                "You left out the strides: they stretch every step that lies behind them.": lambda: 13,
            },
            hint="Start with a field of 1 pixel and apply (r - 1) s + k four times: twice with s = 1, then twice with s = 2.",
            why="1, 4, 7, 16, 34.",
        ),
        Exercise(
            title="The generator's loss",
            task=(
                "Write the non-saturating loss $-\\log D$ of section 3 from the logits $\\ell$ of "
                "translated patches, $D = \\sigma(\\ell)$, as a mean. "
                "Use `torch.sigmoid`, not `semcg.losses`."
            ),
            solution=my_generator_loss,
            wrong={
                "The sign is flipped: the loss should fall when D is fooled.": lambda f: (
                    torch.sigmoid(f).log().mean()
                ),
                "That is log(1 - D), the term of Eq. (1) that is flat where D is sure.": lambda f: (
                    (1 - torch.sigmoid(f)).log().mean()
                ),
                "That is the discriminator's share: it rewards saying fake.": lambda f: (
                    -(1 - torch.sigmoid(f)).log().mean()
                ),
                "You forgot the logarithm.": lambda f: -torch.sigmoid(f).mean(),
                "You summed over the patches: take the mean.": lambda f: -torch.sigmoid(f).log().sum(),
                "You took the logarithm of the mean; first the log of each patch, then the mean.": lambda f: (
                    -torch.sigmoid(f).mean().log()
                ),
            },
            hint="Three calls: sigmoid, log, mean, and a minus in front.",
            samples=_logits,
            package='losses.generator(fake, kind="log")',
            why="For logits below about -100 the sigmoid is 0 in float32 and its log -inf; the package computes the same from the logit itself.",
        ),
        Exercise(
            title="What both generators descend",
            task=(
                "Write the sum that the two generators descend in one step: $L_{GAN}^{S \\to T} + "
                "L_{GAN}^{T \\to S} + \\lambda_c L_{cyc}$, with $-\\log D$ for "
                "the adversarial terms. The four networks come as functions."
            ),
            solution=my_generators_loss,
            wrong={
                "lambda_c is missing: it weights the whole cycle term.": lambda *a: _sum(*a[:6], 1.0),
                "The discriminators are exchanged: x_st has to please D_t, not D_s.": lambda a, b, G_st, G_ts, D_s, D_t, c: (
                    _sum(a, b, G_st, G_ts, D_t, D_s, c)
                ),
                "One direction of the cycle is missing.": lambda a, b, G_st, G_ts, D_s, D_t, c: _sum(
                    a, b, G_st, G_ts, D_s, D_t, c, cycle=(G_ts(G_st(a)) - a).abs().mean()
                ),
                "One adversarial term is missing: each generator has a discriminator to please.": lambda a, b, G_st, G_ts, D_s, D_t, c: (
                    _sum(a, b, G_st, G_ts, D_s, D_t, c, gan=-torch.sigmoid(D_t(G_st(a))).log().mean())
                ),
                "You compare the translation itself with its source; the cycle compares what comes *back*.": lambda a, b, G_st, G_ts, D_s, D_t, c: (
                    _sum(
                        a,
                        b,
                        G_st,
                        G_ts,
                        D_s,
                        D_t,
                        c,
                        cycle=(G_st(a) - a).abs().mean() + (G_ts(b) - b).abs().mean(),
                    )
                ),
                "The way back takes the same generator again; back from T goes G_ts.": lambda a, b, G_st, G_ts, D_s, D_t, c: (
                    _sum(
                        a,
                        b,
                        G_st,
                        G_ts,
                        D_s,
                        D_t,
                        c,
                        cycle=(G_st(G_st(a)) - a).abs().mean() + (G_ts(G_ts(b)) - b).abs().mean(),
                    )
                ),
                "You squared in the cycle: Eq. (3) has the absolute difference.": lambda a, b, G_st, G_ts, D_s, D_t, c: (
                    _sum(
                        a,
                        b,
                        G_st,
                        G_ts,
                        D_s,
                        D_t,
                        c,
                        cycle=(G_ts(G_st(a)) - a).square().mean() + (G_st(G_ts(b)) - b).square().mean(),
                    )
                ),
                "lambda_c weights the cycle term alone, not the adversarial ones.": lambda *a: (
                    a[6] * _sum(*a[:6], 1.0)
                ),
            },
            hint="Translate both images first; then two adversarial terms, two cycle terms. Section 5 has it, in the package's words.",
            samples=_games,
            why="With $\\lambda_s L_{sem}$ added this is what notebook 04 trains.",
        ),
        Exercise(
            title="The discriminator learns alone",
            task=(
                "Write what $D_t$ descends: Eq. (1) with its sign turned, from real images and from "
                "translations *as they left* $G_{st}$. "
                "While $D_t$ learns, no gradient may reach $G_{st}$; the check looks."
            ),
            solution=my_discriminator_loss,
            wrong={
                "detach x_st": _not_detached,
                "No gradient reaches D_t: do not detach": _detached_too_much,
                "The sign is flipped": lambda *a: -my_discriminator_loss(*a),
                "Real and translated are exchanged": lambda x_t, x_st, D_t: my_discriminator_loss(
                    x_st, x_t, D_t
                ),
                "The real images are missing": lambda x_t, x_st, D_t: (
                    -(1 - torch.sigmoid(D_t(x_st.detach()))).log().mean()
                ),
                "The translations are missing": lambda x_t, x_st, D_t: -torch.sigmoid(D_t(x_t)).log().mean(),
                "You halved the sum": lambda *a: my_discriminator_loss(*a) / 2,
                "one number, as a tensor": lambda *a: my_discriminator_loss(*a).item(),
            },
            judge=_teaches_only_D,
            hint="x.detach() is x, cut off from whatever made it.",
            why="Without `detach` the generator would be asked to help the detective.",
        ),
    ),
    open=Open(
        title="One more skip",
        task=(
            "What does the full-size skip of section 1 do for licence plates? Predict, then run `semcg run "
            "03_cyclegan -p generator_skip=half`, look at the plates "
            "in the executed copy, and let `semcg compare` tell you in which numbers the two runs differ. "
            "(A few minutes under profile `mini`.)"
        ),
        good=(
            "A good answer separates two things: whether a one-pixel stroke *can* pass (section 1 shows "
            "that it is easier with the full-size skip) and whether it *does* "
            "in training, where nothing rewards a plate in particular. Three frames show, they do not "
            "prove; say what you would count instead."
        ),
    ),
)
