"""Exercises of notebook 01."""

import numpy as np
import torch

from semcg.exercises.feedback import WAITS
from semcg.exercises.kinds import Exercise, Open, Question, Sheet
from semcg.world import Scene, render

__all__ = ["SHEET"]


def my_count():
    return 19 + 1


def my_bytes(x):
    """x, floats in [-1, 1] of any shape -> the bytes 0..255 they came from, as uint8"""
    return ((x * 0.5 + 0.5) * 255).round().to(torch.uint8)


def my_mirror(x, y):
    """image (3, H, W), label map (H, W) -> both, mirrored left to right"""
    return x.flip(-1), y.flip(-1)


def my_number(y):
    """label map (H, W) -> one number, large in one domain and small in the other"""
    top = y[: len(y) // 3]
    return ((top == 2) | (top == 8)).double().mean()


def _bytes() -> list[tuple]:
    v = torch.arange(256, dtype=torch.float32)
    return [((v / 255 - 0.5) / 0.5,), (((v / 255 - 0.5) / 0.5).reshape(4, 64)[:2],)]


def _frames() -> list[tuple]:
    draw = torch.Generator().manual_seed(0)
    return [(torch.rand(3, 3, n, generator=draw), torch.arange(3 * n).reshape(3, n)) for n in (3, 4)]


def _tells_apart(answer) -> str:
    if answer(torch.zeros(6, 6, dtype=torch.int64)) is ...:
        return WAITS
    maps = {
        domain: [
            torch.from_numpy(render(Scene.sample(900 + n, domain), "game", (32, 64))[1].astype(np.int64))
            for n in range(40)
        ]
        for domain in ("source", "target")
    }
    renamed = [torch.where(y == 10, 16, y) for y in maps["source"][:10]]  # the sky is called a train
    if any(
        abs(float(answer(a)) - float(answer(b))) > 1e-9 for a, b in zip(maps["source"], renamed, strict=False)
    ):
        return "It still looks at the sky: your number changes when the sky's pixels get another name."
    a, b = (np.array([float(answer(y)) for y in maps[d]]) for d in ("source", "target"))
    if len(set(a) | set(b)) == 1:
        return "It gives the same number for every label map."
    right = [((a > t).mean() + (b <= t).mean()) / 2 for t in np.concatenate([a, b])]
    best = max(*right, *(1 - r for r in right))
    if best < 0.65:
        return f"With the best threshold it is right in {best:.0%} of 80 fresh frames; 65% are asked for."
    return ""


SHEET = Sheet(
    notebook="01_data",
    questions=(
        Question(
            text="A label map is made half as large. How?",
            choices={
                "like the image, bilinearly": "Between sky (10) and car (13) that invents a person (11) and a rider (12).",
                "by the nearest pixel": "Train ids are names: there is nothing between two names.",
                "bilinearly, then rounded": "Rounding only makes the invented class a whole number.",
            },
            right="by the nearest pixel",
        ),
        Question(
            text="In these training frames: which domain has more sky in the top third of the picture?",
            choices={
                "source": lambda v: (
                    f"The shares are {v['source']:.0%} (source) and {v['target']:.0%} (target)."
                ),
                "target": lambda v: (
                    f"The shares are {v['source']:.0%} (source) and {v['target']:.0%} (target)."
                ),
                "about the same, within 2 percentage points": lambda v: (
                    f"The shares are {v['source']:.0%} (source) and {v['target']:.0%} (target)."
                ),
            },
            right=lambda v: (
                "about the same, within 2 percentage points"
                if abs(v["source"] - v["target"]) < 0.02
                else max(("source", "target"), key=v.get)
            ),
            values="{d: float(shares_by_height(s, 3)[0, 10]) for d, s in labelled.items() if len(labelled) == 2}",
        ),
        Question(
            text="A training was killed at step 700. What must be known to go on with the very same batches?",
            choices={
                "the state of the random number generator": "Nothing is drawn in a row here, so there is no state to restore.",
                "which frames were already used": "The order of a pass is computed from the seed and the number of the pass.",
                "the seed, and the number 700": "A batch is a function of these two, whatever happened before.",
            },
            right="the seed, and the number 700",
        ),
    ),
    exercises=(
        Exercise(
            title="There and back",
            task=(
                "Send all 256 byte values through `to_train_ids` and back through `to_label_ids`. How many "
                "come back as they were? "
                "Think before you count: it is not 19. (A number.)"
            ),
            solution=my_count,
            wrong={
                "19 classes come back, and one value more: what does 255 become on the way back?": lambda: 19,
                "Only 19 of the 256 values have a train id; the others all become 255.": lambda: 256,
                "Not all label ids: 15 of the 34 have no train id.": lambda: 34,
                "Train id 255 comes back as one single label id. Does the value 255 itself return?": lambda: (
                    21
                ),
            },
            hint="Try labels.to_label_ids on 255, and follow that label id.",
            why="Everything that is not scored becomes 255, and 255 goes back to label id 0, *unlabeled*. So the value 0 returns as well.",
        ),
        Exercise(
            title="Back to bytes",
            task=(
                "Section 3 turned bytes into numbers in [-1, 1]. Write the way back, exact for all 256 "
                "values. It gets a float tensor and gives "
                "back a tensor of bytes (`torch.uint8`)."
            ),
            solution=my_bytes,
            wrong={
                "You cut off where you should round: float32 puts some values a hair below the whole number.": lambda x: (
                    ((x * 0.5 + 0.5) * 255).to(torch.uint8)
                ),
                "You have the scale but not the shift: x = -1 should become 0.": lambda x: (
                    (x * 127.5).round().to(torch.uint8)
                ),
                "You forgot the factor 255: the bytes run from 0 to 255, not from 0 to 1.": lambda x: (
                    (x * 0.5 + 0.5).round().to(torch.uint8)
                ),
                "Scale and shift are in the wrong order: first times 0.5, then plus 0.5.": lambda x: (
                    ((x + 0.5) * 0.5 * 255).round().to(torch.uint8)
                ),
            },
            hint="Solve x = (v / 255 - 0.5) / 0.5 for v, and round before you convert.",
            samples=_bytes,
            why="`frames.pixels` does this for every figure of the course.",
        ),
        Exercise(
            title="Mirror both",
            task="Mirror an image (3, H, W) *and* its label map (H, W) left to right, and give back both.",
            solution=my_mirror,
            wrong={
                "The label did not follow: the car now stands beside the car.": lambda x, y: (x.flip(-1), y),
                "The image did not follow its label.": lambda x, y: (x, y.flip(-1)),
                "You turned them upside down: the last axis runs from left to right.": lambda x, y: (
                    x.flip(-2),
                    y.flip(-2),
                ),
                "The image is upside down; its axes are (3, H, W), so the width is axis 2 and -1.": lambda x, y: (
                    x.flip(1),
                    y.flip(1),
                ),
                "You exchanged the colours: axis 0 of the image is red, green, blue.": lambda x, y: (
                    x.flip(0),
                    y.flip(-1),
                ),
            },
            hint="x.flip(-1) reverses the last axis. Which axis is that in either?",
            samples=_frames,
            why="Counting axes from the end means the same for both: -1 is the width, with or without channels.",
        ),
        Exercise(
            title="Another one-number discriminator",
            task=(
                "Section 5 told the domains apart by the sky in the top third. Invent one that does *not* "
                "look at the sky. It gets a label map (H, W) of "
                "train ids and gives back one number; the check draws 80 fresh frames and takes the best "
                "threshold, and asks for 65 % right."
            ),
            solution=my_number,
            wrong={
                "It still looks at the sky": lambda y: (y[: len(y) // 3] == 10).double().mean(),
                "the same number for every label map": lambda y: 1.0,
                "65% are asked for": lambda y: (y == 18).double().sum() % 3,
            },
            judge=_tells_apart,
            hint="What stands where the sky is not? The train ids are in the table of section 2.",
            why="Whatever is not sky up there is facade or tree. A discriminator is free to use any of this.",
        ),
    ),
    open=Open(
        title="Your own two piles",
        task=(
            "Think of two piles of pictures that you would like to translate into each other (summer and "
            "winter, drawings and photographs). Name two "
            "differences that are style and two that are content. Which of the latter would a generator "
            "have to change to please its discriminator?"
        ),
        good=(
            "A good answer looks for *statistics*: which things are more frequent in one pile, and where in "
            "the picture. (Winter pictures have fewer "
            "leaves, but also fewer people and lower suns.) It says which of these one would want changed, "
            "and how to balance the piles for the others."
        ),
    ),
)
