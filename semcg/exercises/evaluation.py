"""Exercises of notebook 05."""

import torch

from semcg.exercises.kinds import Exercise, Open, Question, Sheet

__all__ = ["SHEET"]


def my_p():
    return 2 / 2**6


def my_flip_share(counts, a, b):
    """confusion table (C, C + 1), rows are the source's classes -> share of a's pixels that are now read as b"""
    return counts[a, b] / counts[a].sum()


def my_psnr(x, oracle):
    """two images in [-1, 1] -> peak signal-to-noise ratio in dB"""
    return 10 * torch.log10(2**2 / (x - oracle).square().mean())


def my_match(source, target):
    """two lists of N grey values, as tensors -> the source with the target's distribution"""
    rank = source.argsort().argsort()  # the k-th darkest has rank k
    return target.sort().values[rank]


def _tables() -> list[tuple]:
    counts = torch.tensor([[7, 2, 0, 1], [4, 10, 3, 2], [2, 1, 8, 0]])
    return [(counts, 0, 1), (counts, 1, 0), (counts, 2, 0)]


def _pictures() -> list[tuple]:
    draw = torch.Generator().manual_seed(0)
    return [tuple(torch.rand(3, 4, n, generator=draw) * 2 - 1 for _ in range(2)) for n in (4, 6)]


def _greys() -> list[tuple]:
    return [
        (torch.tensor([30, 10, 40, 20]), torch.tensor([150, 100, 200, 110])),
        (torch.tensor([5, 9, 1, 7, 3]), torch.tensor([90, 10, 50, 30, 70])),
    ]


_NAMES = ("CycleGAN", "semantic (paper)", "semantic (ours)")

SHEET = Sheet(
    notebook="05_evaluation",
    questions=(
        Question(
            text="In this run: which trained translation keeps most of the sky, as the judge reads it?",
            choices={
                name: lambda v: "Sky kept: " + ", ".join(f"{n} {x:.1%}" for n, x in v.items()) + "."
                for name in _NAMES
            },
            right=lambda v: max(v, key=v.get),
            values="{n: evaluate.sky_kept(counts[n]) for n in nets}",
        ),
        Question(
            text="Suppose that at one seed the judge's mIoU is higher with the semantic loss. Which sentence may you write?",
            choices={
                "The semantic loss improves mIoU.": "For that you need several seeds: another seed may turn the sign.",
                "At this seed the judge's mIoU was higher with the semantic loss.": "True, and no more than that. A verdict needs paired seeds.",
                "The difference is significant, since it was counted on a million pixels.": "Pixels of one run are not independent runs. What varies is the training.",
            },
            right="At this seed the judge's mIoU was higher with the semantic loss.",
        ),
        Question(
            text="A class occurs in no frame and is read in none. What is its part in the mean IoU?",
            choices={
                "0": "Then a perfect reader would be punished for what is not there.",
                "1": "Then a score would rise by leaving classes out of the data.",
                "none, it is left out": "As cityscapesScripts does; and say how many classes were there.",
            },
            right="none, it is left out",
        ),
    ),
    exercises=(
        Exercise(
            title="How small can p be?",
            task=(
                "Six paired seeds all favour the semantic loss. A *sign-flip test* asks how often "
                "differences at least as extreme come about if the sign of each pair is "
                "a coin toss. What is the smallest two-sided p that six pairs can give? (A number or an "
                "expression.)"
            ),
            solution=my_p,
            wrong={
                "That is one-sided: all six against it is just as extreme.": lambda: 1 / 2**6,
                "There are 2^6 patterns of six signs, not 6^2.": lambda: 2 / 6**2,
                "That is the p of five pairs; there are six.": lambda: 2 / 2**5,
                "That is the number of patterns; p is the share of those that are as extreme.": lambda: 2**6,
            },
            hint="How many patterns of six signs are there, and how many of them are as extreme as all six alike?",
            why="Five pairs cannot get below 0.05, however large the differences: the reason why a verdict asks for six seeds at least.",
        ),
        Exercise(
            title="Where did it go?",
            task=(
                "Write the share of class `a`'s pixels that are read as class `b` after translation, from a "
                "confusion table whose rows are the source's classes. The last column "
                "holds pixels that are read as none of the classes; they were `a` too."
            ),
            solution=my_flip_share,
            wrong={
                "You divided by the column: that asks where b's pixels come from.": lambda t, a, b: (
                    t[a, b] / t[:, b].sum()
                ),
                "That is the share of *all* pixels; divide by those of class a.": lambda t, a, b: (
                    t[a, b] / t.sum()
                ),
                "Row and column are exchanged: the row is what the source had.": lambda t, a, b: (
                    t[b, a] / t[b].sum()
                ),
                "You left out the last column: those pixels were a as well.": lambda t, a, b: (
                    t[a, b] / t[a, :-1].sum()
                ),
                "You divide by the pixels that flipped; the ones that stayed count too.": lambda t, a, b: (
                    t[a, b] / (t[a].sum() - t[a, a])
                ),
                "That is a count: divide by the pixels of class a.": lambda t, a, b: t[a, b],
            },
            hint="counts[a] is the whole row of class a.",
            samples=_tables,
            why="`metrics.flips` divides every row by its sum at once.",
        ),
        Exercise(
            title="PSNR",
            task=(
                "Write the peak signal-to-noise ratio of section 4 for two images in [-1, 1]: $10 "
                "\\log_{10}(2^2 / \\text{mean squared difference})$."
            ),
            solution=my_psnr,
            wrong={
                "The span from black to white is 2 here, not 1: its square is missing.": lambda x, o: (
                    10 * torch.log10(1 / (x - o).square().mean())
                ),
                "You took bytes' span of 255, but the images lie in [-1, 1].": lambda x, o: (
                    10 * torch.log10(255**2 / (x - o).square().mean())
                ),
                "The span has to be squared, as the difference is.": lambda x, o: (
                    10 * torch.log10(2 / (x - o).square().mean())
                ),
                "You took the natural logarithm: dB need log10.": lambda x, o: (
                    10 * torch.log(4 / (x - o).square().mean())
                ),
                "You took the absolute difference instead of the square.": lambda x, o: (
                    10 * torch.log10(4 / (x - o).abs().mean())
                ),
                "The sign is flipped: a nearer image should have more dB.": lambda x, o: -my_psnr(x, o),
                "The factor 10 is missing: that is bel, not decibel.": lambda x, o: torch.log10(
                    4 / (x - o).square().mean()
                ),
                "The mean is missing: you divide by the sum of squares.": lambda x, o: (
                    10 * torch.log10(4 / (x - o).square().sum())
                ),
            },
            hint="(x - oracle).square().mean() below the fraction, torch.log10 around it.",
            samples=_pictures,
            why="For [0, 1] images the span is 1, for bytes 255: the same pictures, the same dB, if the span fits the scale.",
        ),
        Exercise(
            title="Histogram matching",
            task=(
                "Give a list of N grey values the distribution of another list of N values (section 2): the "
                "k-th darkest becomes the k-th darkest of the target, and everything stays "
                "*in its place*."
            ),
            solution=my_match,
            wrong={
                "You sorted the target, but left out where the source's values stand.": lambda s, t: (
                    t.sort().values
                ),
                "One argsort tells which value is the k-th darkest; a second one tells the rank of each.": lambda s, t: (
                    t.sort().values[s.argsort()]
                ),
                "The target is not sorted: rank k must take its k-th darkest.": lambda s, t: t[
                    s.argsort().argsort()
                ],
                "Light and dark are exchanged.": lambda s, t: t.sort(descending=True).values[
                    s.argsort().argsort()
                ],
                "You gave back the source itself.": lambda s, t: s,
            },
            hint="source.argsort().argsort() is the rank of each value; use it to pick from the sorted target.",
            samples=_greys,
            why="It knows no place and no object. That is its charm, and its limit.",
        ),
    ),
    open=Open(
        title="A second seed",
        task=(
            "Take out your note of notebook 00. Then run `semcg course --seed 1` and let `semcg compare` "
            "put the two tables side by side. Which of the sentences that you would have "
            "written after seed 0 would you still write?"
        ),
        good=(
            "A good answer keeps to comparisons whose sign holds at both seeds, says how far the same "
            "condition moved from seed to seed, and compares that with the difference "
            "between conditions. Two seeds still give no verdict: the smallest two-sided p of two pairs is "
            "$2/2^2$."
        ),
    ),
)
