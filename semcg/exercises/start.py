"""Exercises of notebook 00."""

import torch

from semcg import labels
from semcg.exercises.feedback import WAITS
from semcg.exercises.kinds import Exercise, Open, Question, Sheet

__all__ = ["SHEET"]


def my_lambda_s():
    return 10 * 0.2 / 1.5


def my_share_of_sky(label):
    """label (H, W), train ids 0..18 or 255 -> share of the labelled pixels that are sky (10)"""
    return (label == 10).sum() / (label != 255).sum()


def my_cycle_loss(x_s, x_sts, x_t, x_tst):
    """images and what came back of them, each (3, H, W) -> Eq. (3), both directions"""
    return (x_sts - x_s).abs().mean() + (x_tst - x_t).abs().mean()


def my_generators(x):
    """x (3, H, W) in [-1, 1] -> its translation, and what comes back of that translation"""
    there = -x
    back = -there
    return there, back


def _maps() -> list[tuple]:
    label = torch.tensor([[10, 10, 0, 255], [8, 13, 2, 255]])
    return [(label.numpy(),), (torch.tensor([[10, 0], [255, 255]]).numpy(),)]


def _images() -> list[tuple]:
    draw = torch.Generator().manual_seed(0)
    return [tuple(torch.rand(3, 4, n, generator=draw) * 2 - 1 for _ in range(4)) for n in (4, 6)]


def _closed_but_changed(answer) -> str:
    x = torch.linspace(-0.95, 0.95, 3 * 4 * 6).reshape(3, 4, 6)[:, :, torch.tensor([2, 0, 5, 1, 4, 3])]
    given = answer(x.clone())
    if given is ...:
        return WAITS
    if not (isinstance(given, tuple | list) and len(given) == 2):
        return "Give back two pictures: the translation, and what came back of it."
    there, back = given
    if (there - x).abs().min() < 1e-3:
        return "Some pixels of the translation are as they were: an identity has a cycle loss of 0 too, but destroys nothing."
    if there.abs().max() > 1 + 1e-6:
        return "The translation leaves [-1, 1], the range of a picture."
    if (back - x).abs().mean() > 1e-5:
        return "The cycle is not closed: what comes back is not the picture that went in."
    order = x.flatten().argsort()
    values = there.flatten()[order]
    if not (values.diff().sign() == values.diff()[0].sign()).all():
        return "Something moved. Leave every pixel where it is and change only its value."
    again = answer(x.clone() * 0.5)
    if (again[1] - 0.5 * x).abs().mean() > 1e-5:
        return "It works for one picture only. The way back may use nothing but the translation."
    return ""


SHEET = Sheet(
    notebook="00_start_here",
    questions=(
        Question(
            text="Which networks change their weights while a semantic CycleGAN trains?",
            choices={
                "all six": "Sem_s and Sem_t are frozen: if they learned, they could agree by seeing nothing.",
                "G_st, G_ts, D_s and D_t": "The two segmenters only pass the gradient on to the picture, and so to the generator.",
                "G_st and G_ts": "The discriminators learn as well: a critic that stands still is soon fooled for good.",
                "Sem_s and Sem_t": "They learned before, on labelled frames; now they are frozen.",
            },
            right="G_st, G_ts, D_s and D_t",
        ),
        Question(
            text="The cycle loss of a pair of generators is exactly 0 on every picture. What follows?",
            choices={
                "the translations look like the target": "That is the adversarial loss's business. The identity closes the cycle and looks like the source.",
                "every car is still a car": "Turning pictures upside down closes the cycle too, and moves every car.",
                "the picture can be recovered from its translation": "Nothing was lost. Whether anything kept its meaning is another question.",
            },
            right="the picture can be recovered from its translation",
        ),
        Question(
            text="Of the numbers in section 7 that this experiment needs, what share does the paper state?",
            choices={
                "more than half": lambda v: f"The last line of section 7 counts {v['stated']} of {v['all']}.",
                "between a quarter and a half": lambda v: (
                    f"The last line of section 7 counts {v['stated']} of {v['all']}."
                ),
                "less than a quarter": lambda v: (
                    f"The last line of section 7 counts {v['stated']} of {v['all']}."
                ),
            },
            right=lambda v: (
                "more than half"
                if v["stated"] > v["all"] / 2
                else "between a quarter and a half"
                if v["stated"] >= v["all"] / 4
                else "less than a quarter"
            ),
            values='{"stated": int(stated.sum()), "all": len(numbers)}',
        ),
    ),
    exercises=(
        Exercise(
            title="A weight that balances",
            task=(
                "Section 4 made up some losses: $L_{cyc} = 0.2$, $L_{sem} = 1.5$, with $\\lambda_c = "
                "10$<!-- =lambda_c -->. Which $\\lambda_s$ would make "
                "the semantic term of Eq. (5) exactly as large as the cycle term? (One line; an arithmetic "
                "expression will do.)"
            ),
            solution=my_lambda_s,
            wrong={
                "You left out lambda_c: the cycle's term in Eq. (5) is lambda_c * L_cyc.": lambda: 0.2 / 1.5,
                "Upside down: lambda_s * 1.5 should equal 10 * 0.2.": lambda: 1.5 / (10 * 0.2),
                "That is the cycle's term itself. Which lambda_s makes lambda_s * L_sem as large?": lambda: (
                    10 * 0.2
                ),
            },
            hint="Set lambda_s * L_sem = lambda_c * L_cyc and solve for lambda_s.",
            why="Equal size is not equal pull: what a term does to the weights is its gradient. Notebook 04 measures that.",
        ),
        Exercise(
            title="How much sky?",
            task=(
                "What share of the *labelled* pixels of a label map is sky? Sky has the train id 10, and "
                "pixels with 255 are not labelled. "
                "The function gets a NumPy array."
            ),
            solution=my_share_of_sky,
            wrong={
                "You divide by all pixels; those with label 255 do not count.": lambda y: (y == 10).mean(),
                "That is a count, not a share: divide by the number of labelled pixels.": lambda y: (
                    y == 10
                ).sum(),
                "You divide by the pixels that are not sky.": lambda y: (
                    (y == 10).sum() / ((y != 10) & (y != 255)).sum()
                ),
                "That is the share that is *not* sky.": lambda y: (
                    ((y != 10) & (y != 255)).sum() / (y != 255).sum()
                ),
            },
            hint="A comparison gives True or False per pixel, and .sum() counts the True: (label == 10).sum().",
            samples=_maps,
            why=f"In words instead of numbers: `labels.names()[10]` is {labels.names()[10]!r} and `labels.IGNORE` is {labels.IGNORE}.",
        ),
        Exercise(
            title="Eq. (3), both directions",
            task=(
                "Write the cycle loss of Eq. (3) for one image of each domain: $x_s$ and what came back of "
                "it, $x_{sts}$; $x_t$ and $x_{tst}$. "
                "As in section 2, $\\lVert\\cdot\\rVert_1$ is a mean over all values."
            ),
            solution=my_cycle_loss,
            wrong={
                "One direction is missing: Eq. (3) has a term for each domain.": lambda a, b, c, d: (
                    (b - a).abs().mean()
                ),
                "You forgot the absolute value: differences of either sign cancel.": lambda a, b, c, d: (
                    (b - a).mean() + (d - c).mean()
                ),
                "You squared: that is the L2 norm's square, Eq. (3) has the L1 norm.": lambda a, b, c, d: (
                    (b - a).square().mean() + (d - c).square().mean()
                ),
                "You summed over the pixels: the loss then grows with the picture. Take the mean.": lambda a, b, c, d: (
                    (b - a).abs().sum() + (d - c).abs().sum()
                ),
                "You averaged the two directions; Eq. (3) adds them.": lambda a, b, c, d: (
                    ((b - a).abs().mean() + (d - c).abs().mean()) / 2
                ),
                "You took the absolute value of the mean. First |.| of each value, then the mean.": lambda a, b, c, d: (
                    (b - a).mean().abs() + (d - c).mean().abs()
                ),
            },
            hint="One direction is (x_sts - x_s).abs().mean(); the other looks alike.",
            samples=_images,
            why="`losses.cycle` is one direction of it.",
        ),
        Exercise(
            title="Destroy everything, lose nothing",
            task=(
                'Find another "translation" whose cycle loss is 0 on *every* picture although *every* value changes (a value of exactly 0 may stay). '
                "It must not move anything, only change colours, and it must stay in [-1, 1]. Give back the "
                "translation *and* what comes back of it; "
                "the way back may use nothing but the translation."
            ),
            solution=my_generators,
            wrong={
                "an identity has a cycle loss of 0 too": lambda x: (x, x),
                "The cycle is not closed": lambda x: (-x, -x),
                "Something moved": lambda x: (-x.flip(-2), x),
                "leaves [-1, 1]": lambda x: (x + 1, x),
                "It works for one picture only": lambda x: (
                    -x,
                    torch.linspace(-0.95, 0.95, 72).reshape(3, 4, 6)[:, :, torch.tensor([2, 0, 5, 1, 4, 3])],
                ),
                "Give back two pictures": lambda x: -x,
            },
            judge=_closed_but_changed,
            hint="What does a photographic negative do, and what does it do when it is done twice?",
            why="A negative of the game closes the cycle perfectly. Only $D_t$ stands between us and it.",
        ),
    ),
    open=Open(
        title="What would change your mind?",
        task=(
            "Choose one row of the table in section 6. Write down, in two sentences and *before* you see "
            "any result, which outcome would convince "
            "you that the paper's sentence is wrong. Keep the note until notebook 05."
        ),
        good=(
            "A good answer names a number, on which frames it is measured, against what it is compared "
            "(plain CycleGAN? no translation?), and how large "
            "a difference would have to be to count. If no outcome could convince you, the sentence was not "
            "yet a claim."
        ),
    ),
)
