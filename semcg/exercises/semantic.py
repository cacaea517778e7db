"""Exercises of notebook 04."""

import torch

from semcg.exercises.kinds import Exercise, Open, Question, Sheet

__all__ = ["SHEET"]


def my_passes():
    return 2 * 2


def my_softmax_l2(before, after):
    """scores (B, C, h, w) of the images and of their translations -> softmax_l2"""
    difference = after.softmax(dim=1) - before.softmax(dim=1)
    return difference.square().sum(dim=1).mean()


def my_pseudo_label_loss(before, after):
    """scores (B, C, h, w) of the images and of their translations -> ce_pseudo"""
    named = before.argmax(dim=1, keepdim=True)  # (B, 1, h, w): the class that was seen before
    return -after.log_softmax(dim=1).gather(1, named).mean()


def my_semantic_loss(x_s, x_t, G_st, G_ts, Sem_s, Sem_t, lambda_s):
    """images, generators and segmenters (functions), lambda_s -> lambda_s times Eq. (4), read as scores_l2"""
    there = (Sem_t(G_st(x_s)) - Sem_s(x_s)).square().mean()
    back = (Sem_s(G_ts(x_t)) - Sem_t(x_t)).square().mean()
    return lambda_s * (there + back)


def _scores() -> list[tuple]:
    draw = torch.Generator().manual_seed(0)
    return [tuple(2 * torch.randn(b, 4, 2, 3, generator=draw) for _ in range(2)) for b in (1, 2)]


def _worlds() -> list[tuple]:
    draw = torch.Generator().manual_seed(0)
    nets = (
        lambda x: 0.9 * x + 0.05,
        lambda x: 0.7 * x - 0.1,
        lambda x: torch.cat([2 * x, 1 - x], 1),
        lambda x: torch.cat([x + 0.5, 3 * x], 1),
    )
    return [
        (*(torch.rand(1, 3, 4, 6, generator=draw) * 2 - 1 for _ in range(2)), *nets, w) for w in (1.0, 10.0)
    ]


def _l2(a, b):
    return (b - a).square().mean()


_FOUR = ("scores_l2", "scores_norm", "softmax_l2", "ce_pseudo")

SHEET = Sheet(
    notebook="04_semantic_cyclegan",
    questions=(
        Question(
            text="Sem_t is frozen. What does the gradient of the semantic loss do there?",
            choices={
                "it stops": "Then the loss could teach nobody. Section 3 shows that it arrives at G_st.",
                "it passes through to the picture": "And from the picture into the generator; the segmenter's weights stay.",
                "it changes Sem_t a little": "Then both could agree by seeing nothing, and the loss would be 0 for free.",
            },
            right="it passes through to the picture",
        ),
        Question(
            text="In this run: which of these four readings charges the perfect translation the smallest share of what it charges no translation?",
            choices={
                name: lambda v: "Shares: " + ", ".join(f"{n} {v[n]:.0%}" for n in _FOUR) + "."
                for name in _FOUR
            },
            right=lambda v: min(_FOUR, key=v.get),
            values="{k: oracle / none for k, (none, oracle) in floor.items()}",
        ),
        Question(
            text="Suppose that the semantic loss falls during training. What does that show?",
            choices={
                "cars stay cars": "It shows that Sem_t says so. Whether it is true is asked of a judge that was never in a loss.",
                "the optimiser works": "And no more: the segmenters inside the loss cannot also be its witnesses.",
                "the translations look like the target": "That is the adversarial loss's business; the identity has it low, too, if the segmenters agree.",
            },
            right="the optimiser works",
        ),
    ),
    exercises=(
        Exercise(
            title="What it costs",
            task="How often is a segmenter run in one training step with the semantic loss, both directions together? (A number: count the uses in Eq. (4).)",
            solution=my_passes,
            wrong={
                "That is one direction; Eq. (4) has two.": lambda: 2,
                "There are two networks, but each is used more than once.": lambda: 1,
                "G is run as well, but it is no segmenter.": lambda: 6,
            },
            hint="Each direction compares what is seen before with what is seen after.",
            why="Two of the four need a gradient with respect to the picture. Notebook 05 prints what a step costs in time.",
        ),
        Exercise(
            title="softmax_l2",
            task=(
                "Write the reading `softmax_l2` of section 2: the squared difference of the class "
                "*probabilities*, summed over the classes and averaged over images "
                "and places."
            ),
            solution=my_softmax_l2,
            wrong={
                "You averaged over the classes too: sum over axis 1, then take the mean.": lambda a, b: (
                    (b.softmax(1) - a.softmax(1)).square().mean()
                ),
                "You forgot to square, so gains and losses of probability cancel.": lambda a, b: (
                    (b.softmax(1) - a.softmax(1)).sum(1).mean()
                ),
                "You took absolute values instead of squares.": lambda a, b: (
                    (b.softmax(1) - a.softmax(1)).abs().sum(1).mean()
                ),
                "You compare scores: the softmax is missing.": lambda a, b: (b - a).square().sum(1).mean(),
                "You compare scores, and averaged over the classes: that is scores_l2.": lambda a, b: (
                    (b - a).square().mean()
                ),
                "The softmax runs along the wrong axis: the classes are axis 1.": lambda a, b: (
                    (b.softmax(-1) - a.softmax(-1)).square().sum(1).mean()
                ),
                "You summed over the places too: the loss then grows with the picture.": lambda a, b: (
                    (b.softmax(1) - a.softmax(1)).square().sum()
                ),
            },
            hint="after.softmax(dim=1) - before.softmax(dim=1), then square, then sum(dim=1), then mean.",
            samples=_scores,
            package="losses.softmax_l2",
            why="It lies between 0 and 2: two sure and different predictions give $(1-0)^2 + (0-1)^2$.",
        ),
        Exercise(
            title="Asking for a class, not for scores",
            task=(
                "Write `ce_pseudo`: the class that the first segmenter names *before* is the label, and the "
                "second one pays the cross-entropy $-\\log p$ of it *after*; "
                "a mean over images and places. (`log_softmax` and `gather` help.)"
            ),
            solution=my_pseudo_label_loss,
            wrong={
                "You asked `after` for its own opinion: a network always agrees with itself.": lambda a, b: (
                    -b.log_softmax(1).gather(1, b.argmax(1, keepdim=True)).mean()
                ),
                "Before and after are exchanged: what was seen before is the label.": lambda a, b: (
                    -a.log_softmax(1).gather(1, b.argmax(1, keepdim=True)).mean()
                ),
                "The sign is flipped: a log of a probability is negative, a loss is not.": lambda a, b: (
                    b.log_softmax(1).gather(1, a.argmax(1, keepdim=True)).mean()
                ),
                "The logarithm is missing.": lambda a, b: (
                    -b.softmax(1).gather(1, a.argmax(1, keepdim=True)).mean()
                ),
                "You took the score, not the log of the probability: log_softmax.": lambda a, b: (
                    -b.gather(1, a.argmax(1, keepdim=True)).mean()
                ),
                "You summed over the places: take the mean.": lambda a, b: (
                    -b.log_softmax(1).gather(1, a.argmax(1, keepdim=True)).sum()
                ),
                "That is the cross-entropy against all probabilities of before; ce_pseudo takes the named class alone.": lambda a, b: (
                    -(a.softmax(1) * b.log_softmax(1)).sum(1).mean()
                ),
            },
            hint="before.argmax(dim=1, keepdim=True) has the shape that gather(1, ...) wants.",
            samples=_scores,
            package="losses.ce_pseudo",
            why="It forgets how sure the first network was, which is why unsure scores did not shrink it in section 2.",
        ),
        Exercise(
            title="Eq. (4), both directions",
            task=(
                "Write $\\lambda_s L_{sem}$ with the reading `scores_l2` (squared, averaged over "
                "everything), for one image of each domain. Mind which segmenter looks at what: "
                "each sees only the style it knows. Networks come as functions."
            ),
            solution=my_semantic_loss,
            wrong={
                "You look at the translation with the segmenter of its old domain; G_st(x_s) is in the target's style, so Sem_t reads it.": lambda a, b, G_st, G_ts, S, T, w: (
                    w * (_l2(S(a), S(G_st(a))) + _l2(T(b), T(G_ts(b))))
                ),
                "The segmenters are exchanged: Sem_s knows the source's style, Sem_t the target's.": lambda a, b, G_st, G_ts, S, T, w: (
                    w * (_l2(T(a), S(G_st(a))) + _l2(S(b), T(G_ts(b))))
                ),
                "One direction is missing: Eq. (4) has a term for each domain.": lambda a, b, G_st, G_ts, S, T, w: (
                    w * _l2(S(a), T(G_st(a)))
                ),
                "lambda_s is missing.": lambda a, b, G_st, G_ts, S, T, w: (
                    _l2(S(a), T(G_st(a))) + _l2(T(b), S(G_ts(b)))
                ),
                "You forgot to square.": lambda a, b, G_st, G_ts, S, T, w: (
                    w * ((T(G_st(a)) - S(a)).mean() + (S(G_ts(b)) - T(b)).mean())
                ),
                "You compare pictures that went there and back; Eq. (4) looks at the translation.": lambda a, b, G_st, G_ts, S, T, w: (
                    w * (_l2(S(a), S(G_ts(G_st(a)))) + _l2(T(b), T(G_st(G_ts(b)))))
                ),
                "You summed: take the mean, so that the size of the picture does not matter.": lambda a, b, G_st, G_ts, S, T, w: (
                    w * ((T(G_st(a)) - S(a)).square().sum() + (S(G_ts(b)) - T(b)).square().sum())
                ),
            },
            hint="First direction: Sem_s(x_s) against Sem_t(G_st(x_s)). Then exchange s and t everywhere.",
            samples=_worlds,
            why='Each direction is `losses.semantic(before, after, kind="scores_l2")`.',
        ),
    ),
    open=Open(
        title="A reading of your own choice",
        task=(
            "Train one more reading, `semcg run 04_semantic_cyclegan -p semantic_loss=ce_labels` say. "
            "Before you look at its translations, place it in the table of section 4 "
            "and write down where its sky should lie. Which readings need labels of the source, and is that "
            "allowed?"
        ),
        good=(
            "A good answer notes that `ce_labels` uses the source's labels, which the setting does have "
            "(`Sem_s` was trained on them), that it can say nothing in the direction from "
            "target to source without the target's, and that a low floor promises room to teach, not a good "
            "translation."
        ),
    ),
)
