"""Exercises of notebook 02."""

import torch

from semcg.exercises.kinds import Exercise, Open, Question, Sheet

__all__ = ["SHEET"]


def my_width():
    return 1 + (3 - 1) * 1 + (3 - 1) * 2 + (3 - 1) * 4


def my_softmax(z):
    """scores (B, C, h, w) -> probabilities of the C classes at each place, (B, C, h, w)"""
    e = (z - z.max(dim=1, keepdim=True).values).exp()
    return e / e.sum(dim=1, keepdim=True)


def my_cross_entropy(p, y, w):
    """probabilities (N, C), labels (N,) of which some are 255, class weights (C,) -> the weighted mean"""
    counted = y != 255
    p, y = p[counted], y[counted]
    terms = -p[torch.arange(len(y)), y].log()  # -log of the probability of the right class
    return (w[y] * terms).sum() / w[y].sum()


def my_iou(table, c):
    """confusion matrix (C, C + 1), rows are labels, and a class -> its intersection over union"""
    hits = table[c, c]
    return hits / (table[c].sum() + table[:, c].sum() - hits)


def _scores() -> list[tuple]:
    draw = torch.Generator().manual_seed(0)
    return [(3 * torch.randn(2, 4, 3, n, generator=draw),) for n in (4, 5)] + [
        (torch.full((1, 3, 1, 2), 200.0),)
    ]


def _pixels() -> list[tuple]:
    p = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]])
    w = torch.tensor([1.0, 2.0, 5.0])
    return [(p, torch.tensor([0, 2, 2, 255]), w), (p, torch.tensor([1, 0, 255, 1]), w)]


def _tables() -> list[tuple]:
    table = torch.tensor([[30, 5, 7, 3], [4, 20, 6, 0], [1, 9, 11, 2]])
    return [(table, 0), (table, 1), (table, 2)]


SHEET = Sheet(
    notebook="02_segmenters",
    questions=(
        Question(
            text="You add 5 to all 19 scores of one place. What happens to the 19 probabilities?",
            choices={
                "each grows": "They add up to 1 before and after, so they cannot all grow.",
                "nothing": "exp(z + 5) = exp(5) exp(z), and exp(5) cancels. A loss on scores sees the drift, one on probabilities does not.",
                "the largest grows, the others shrink": "That is what multiplying the scores does; adding shifts them all alike.",
            },
            right="nothing",
        ),
        Question(
            text="In this run: which network reads the frames of target/val best, by mIoU?",
            choices={
                name: lambda v: "mIoU on target/val: " + ", ".join(f"{n} {x:.3f}" for n, x in v.items()) + "."
                for name in ("Sem_s", "Sem_t", "judge")
            },
            right=lambda v: max(("Sem_s", "Sem_t", "judge"), key=v.get),
            values='{n: float(gap.loc[n, "target/val"]) for n in ("Sem_s", "Sem_t", "judge")}',
        ),
        Question(
            text="Sem_t reads translated frames well. Why is that no evidence that the translation is good?",
            choices={
                "Sem_t is a weak network": "It may be strong. It is partial: the generator was trained to please it.",
                "the generator was trained to please Sem_t": "Section 7: a few invisible steps please Sem_t a lot and help nobody else.",
                "Sem_t has never seen target frames": "It has seen nothing else.",
            },
            right="the generator was trained to please Sem_t",
        ),
    ),
    exercises=(
        Exercise(
            title="Three dilated layers",
            task="Three 3 x 3 convolutions follow each other, with dilation 1, 2 and 4, all with stride 1. How wide is the receptive field? (A number.)",
            solution=my_width,
            wrong={
                "You forgot where you start: one pixel sees itself before any convolution.": lambda: 14,
                "You left out the dilation: a kernel of 3 with dilation d reaches over 2 d + 1 places.": lambda: (
                    7
                ),
                "That is the reach of the last layer alone.": lambda: 9,
                "You added the reaches, and so counted two middles twice.": lambda: 3 + 5 + 9,
            },
            hint="Start at 1; each convolution adds (k - 1) d, since the stride is 1.",
            why="Doubling the dilation doubles the reach per layer at the price of the same nine weights.",
        ),
        Exercise(
            title="Softmax",
            task=(
                "Write the softmax of section 1 for scores (B, C, h, w): the probabilities of the C classes "
                "at every place. One sample holds scores "
                "of 200, whose exponential is too large for float32: subtract the largest score first, "
                "which the probabilities do not notice."
            ),
            solution=my_softmax,
            wrong={
                "You normalised over all places and classes together: at each place the classes must add up to 1.": lambda z: (
                    z.flatten(1).softmax(1).view_as(z)
                ),
                "You normalised along the wrong axis: the classes are axis 1.": lambda z: z.softmax(dim=-1),
                "You forgot the exponential.": lambda z: z / z.sum(dim=1, keepdim=True),
                "It overflows for large scores: subtract the largest score of each place before exp.": lambda z: (
                    z.exp() / z.exp().sum(dim=1, keepdim=True)
                ),
                "These are the exponentials; divide them by their sum over the classes.": lambda z: (
                    z - z.max(dim=1, keepdim=True).values
                ).exp(),
            },
            hint="z.exp() / z.exp().sum(dim=1, keepdim=True), and one subtraction before.",
            samples=_scores,
            why="`z.softmax(dim=1)` is the same, subtraction included.",
        ),
        Exercise(
            title="The weighted cross-entropy",
            task=(
                "Write the loss of section 4: the weighted mean of $-\\log p_y$ over the pixels whose label "
                "$y$ is not 255. You get the probabilities "
                "(N, C) of N pixels, their labels (N,) and the weights (C,) of the classes."
            ),
            solution=my_cross_entropy,
            wrong={
                "You divide by the number of pixels; a weighted mean divides by the sum of the weights.": lambda p, y, w: (
                    -(w[y[y != 255]] * p[y != 255].gather(1, y[y != 255][:, None])[:, 0].log()).mean()
                ),
                "The weights are missing.": lambda p, y, w: (
                    -p[y != 255].gather(1, y[y != 255][:, None]).log().mean()
                ),
                "The sign is flipped: log of a probability is negative, a loss is not.": lambda p, y, w: (
                    -my_cross_entropy(p, y, w)
                ),
                "You forgot the logarithm.": lambda p, y, w: (
                    (w[y[y != 255]] * -p[y != 255].gather(1, y[y != 255][:, None])[:, 0]).sum()
                    / w[y[y != 255]].sum()
                ),
                "You forgot the mean: divide by the sum of the weights.": lambda p, y, w: (
                    -(w[y[y != 255]] * p[y != 255].gather(1, y[y != 255][:, None])[:, 0].log()).sum()
                ),
                "Pixels labelled 255 count for nothing, but you gave them a class.": lambda p, y, w: (
                    my_cross_entropy(p, y.clamp(max=2), w)
                ),
            },
            hint="First keep the pixels with y != 255. p[torch.arange(len(y)), y] picks from each row the probability of its label.",
            samples=_pixels,
            why="`F.cross_entropy(z, y, w, ignore_index=255)` does it from scores, in one call and without the overflow.",
        ),
        Exercise(
            title="IoU from a table",
            task=(
                "Write the intersection over union of class `c` from a confusion matrix as in section 6: "
                "rows are labels, columns are predictions, and the "
                "last column counts predictions outside the classes."
            ),
            solution=my_iou,
            wrong={
                "That is the recall: hits over the pixels that are the class. Those wrongly read as it belong below the line too.": lambda t, c: (
                    t[c, c] / t[c].sum()
                ),
                "That is the precision: hits over the pixels read as the class. The missed ones belong below the line too.": lambda t, c: (
                    t[c, c] / t[:, c].sum()
                ),
                "You count the hits twice below the line: they lie in the row and in the column.": lambda t, c: (
                    t[c, c] / (t[c].sum() + t[:, c].sum())
                ),
                "You left out the last column: a pixel read as none of the classes is a miss as well.": lambda t, c: (
                    t[c, c] / (t[c, :-1].sum() + t[:, c].sum() - t[c, c])
                ),
                "The hits belong to the union too.": lambda t, c: (
                    t[c, c] / (t[c].sum() + t[:, c].sum() - 2 * t[c, c])
                ),
            },
            hint="Union = row sum + column sum - hits.",
            samples=_tables,
            why="`metrics.iou` does it for all classes at once, and says NaN where a class does not occur.",
        ),
    ),
    open=Open(
        title="The trap without an oracle",
        task=(
            "Section 7 used the oracle to find out whether `Sem_t` reads a perfect translation as well as "
            "frames from home. With real archives there is no "
            "oracle. Which experiment could warn you there that `Sem_t` has learnt *where* things stand?"
        ),
        good=(
            "Some ways in: show `Sem_t` target frames that are shifted, mirrored top to bottom or pasted "
            "into another layout, and watch which classes stay where they were; "
            "look at its answers to a frame of noise; or score it apart on those target frames whose layout "
            "is most like the source's. Each tests the position, "
            "none tests the style: say which you test."
        ),
    ),
)
