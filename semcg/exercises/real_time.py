"""Exercises of notebook 07."""

import torch

from semcg.exercises.kinds import Exercise, Open, Question, Sheet

__all__ = ["SHEET"]


def my_scale():
    return (1024 * 2048) / (256 * 256)


def my_operations(h, w, c_in, c_out, k, stride):
    """input of h x w pixels and c_in channels, kernel of k x k -> operations of a convolution with c_out channels"""
    return 2 * (h // stride) * (w // stride) * c_out * c_in * k**2


def my_frames(read, compute, write):
    """milliseconds a frame of three stages that work at the same time -> frames per second"""
    return 1000 / max(read, compute, write)


def my_gain(share, faster):
    """share of the time, 0..1, that is made `faster` times as fast -> how many times as fast the whole becomes"""
    return 1 / ((1 - share) + share / faster)


def my_ratio(base, taken):
    """two tensors of seconds, entry k of round k -> how many times as fast the second is, robust to a busy round"""
    return (base / taken).median()


def _layers() -> list[tuple]:
    return [(256, 256, 3, 64, 4, 2), (64, 32, 8, 16, 3, 1), (30, 20, 5, 7, 1, 2)]


def _stages() -> list[tuple]:
    return [(10, 40, 30), (8.0, 5.0, 20.0), (50, 20, 30)]


def _shares() -> list[tuple]:
    return [(0.5, 2.0), (0.9, 10.0), (0.2, 100.0)]


def _rounds() -> list[tuple]:
    return [
        (torch.tensor([4.0, 10.0, 6.0]), torch.tensor([2.0, 2.0, 4.0])),
        (torch.tensor([3.0, 9.0, 4.0]), torch.tensor([1.0, 4.0, 1.0])),
    ]


_COST = "of four"

SHEET = Sheet(
    notebook="07_real_time",
    questions=(
        Question(
            text="On this machine: what does a frame of a batch of four cost, compared with a frame alone?",
            choices={
                name: lambda v: (
                    f"A frame of four took {v[_COST] / v['alone']:.2f} times as long as a frame alone."
                )
                for name in (
                    "less than three quarters of it",
                    "between three quarters and five quarters of it",
                    "more than five quarters of it",
                )
            },
            right=lambda v: (
                "less than three quarters of it"
                if v[_COST] < 0.75 * v["alone"]
                else "more than five quarters of it"
                if v[_COST] > 1.25 * v["alone"]
                else "between three quarters and five quarters of it"
            ),
            values='{"alone": ms[1], "of four": ms[4]}',
        ),
        Question(
            text="A translation takes 200 ms. Ten machines take the frames in turn. How old is the picture when it is shown?",
            choices={
                "20 ms": "That is the time between two pictures: 50 of them appear in a second.",
                "200 ms": "More machines give more pictures per second; each one still takes its time.",
                "2 s": "No frame waits for the ten others: each machine begins as soon as its frame is there.",
            },
            right="200 ms",
        ),
        Question(
            text="The generator that was timed here has learned nothing. What does its time say of a trained one?",
            choices={
                "nothing": "The same layers do the same additions and products, whatever the numbers are.",
                "it is the same": "Time depends on shapes, not on values: convolutions skip nothing.",
                "a trained one is slower": "Training changes the weights' values, not their number.",
            },
            right="it is the same",
        ),
    ),
    exercises=(
        Exercise(
            title="A larger frame",
            task=(
                "A frame of 256 x 256 pixels costs some number of operations. How many times as many does one of "
                "1024 x 2048 cost, through the same generator? (A number or an expression.)"
            ),
            solution=my_scale,
            wrong={
                "That is one side of the frame; both grow.": lambda: 2048 / 256,
                "The sides' factors multiply: the pixels count.": lambda: 1024 / 256 + 2048 / 256,
                "That is a square frame of 1024; this one is twice as wide.": lambda: (
                    (1024 * 1024) / (256 * 256)
                ),
                "That is a square frame of 2048; this one is half as high.": lambda: (
                    (2048 * 2048) / (256 * 256)
                ),
                "The factor of pixels must not be squared: every pixel costs the same.": lambda: 32**2,
            },
            hint="A convolution does the same work at every pixel: how many times as many pixels are there?",
            why="Every layer sees that many times as many pixels, and the weights stay the same.",
        ),
        Exercise(
            title="Operations of a convolution",
            task=(
                "Count the operations of one convolution as section 2 does, two for each product with its addition. "
                "The sides are multiples of the stride, and the padding is such that the output has a side divided by the "
                "stride. Biases do not count."
            ),
            solution=my_operations,
            wrong={
                "A product and its addition are two operations.": lambda h, w, i, o, k, s: (
                    (h // s) * (w // s) * o * i * k**2
                ),
                "The kernel is applied at the output's pixels, which the stride thins out.": lambda h, w, i, o, k, s: (
                    2 * h * w * o * i * k**2
                ),
                "The kernel has k times k places.": lambda h, w, i, o, k, s: (
                    2 * (h // s) * (w // s) * o * i * k
                ),
                "Every output channel looks at every input channel: a product, not a sum.": (
                    lambda h, w, i, o, k, s: 2 * (h // s) * (w // s) * (o + i) * k**2
                ),
                "The stride thins out rows and columns, both.": lambda h, w, i, o, k, s: (
                    2 * (h * w // s) * o * i * k**2
                ),
                "The input's channels are missing.": lambda h, w, i, o, k, s: (
                    2 * (h // s) * (w // s) * o * k**2
                ),
            },
            hint="Output pixels, times output channels, times the numbers that each of them is the sum of, times two.",
            samples=_layers,
            why="An up-convolution costs the same, counted at its *input's* pixels.",
        ),
        Exercise(
            title="A stream",
            task=(
                "Reading, computing and writing work at the same time, each on another frame (section 8). Given the "
                "milliseconds that each needs for a frame, how many frames per second come out?"
            ),
            solution=my_frames,
            wrong={
                "That is one after the other: while one frame is computed, the next is read.": lambda r, c, w: (
                    1000 / (r + c + w)
                ),
                "That is the stages' mean; the slowest holds the others up.": lambda r, c, w: (
                    3000 / (r + c + w)
                ),
                "The fastest stage has to wait for the slowest, not the other way round.": lambda r, c, w: (
                    1000 / min(r, c, w)
                ),
                "The times are milliseconds: 1000 of them are a second.": lambda r, c, w: 1 / max(r, c, w),
                "That is the time between two frames; frames per second are its inverse.": lambda r, c, w: (
                    max(r, c, w) / 1000
                ),
                "The computing need not be the slowest stage.": lambda r, c, w: 1000 / c,
            },
            hint="When the stream flows, a frame leaves whenever the slowest stage has finished one.",
            samples=_stages,
            why="How long a single frame is on its way, the latency, is still the sum.",
        ),
        Exercise(
            title="What a faster part brings",
            task=(
                "A part of the work, `share` of its time, is made `faster` times as fast; the rest stays. How many "
                "times as fast does the whole become?"
            ),
            solution=my_gain,
            wrong={
                "The rest of the time, 1 - share, is still there.": lambda s, f: f / s,
                "That would be the whole made faster; only a part is.": lambda s, f: f,
                "That is the new time; how many times as fast is its inverse.": lambda s, f: (1 - s) + s / f,
                "That is the limit for a part that takes no time at all.": lambda s, f: 1 / (1 - s),
                "You averaged speeds; the times add up.": lambda s, f: (1 - s) + s * f,
            },
            hint="Let the whole take 1. The part then takes share / faster. What does the whole take?",
            samples=_shares,
            why="Amdahl's law (1967). A part of a fifth cannot bring more than a quarter, however fast it becomes.",
        ),
        Exercise(
            title="A fair ratio",
            task=(
                "Two ways were timed in turn, round after round, on a machine that was busy in some rounds. Write how many "
                "times as fast the second way is: compare within each round, and let no single round decide."
            ),
            solution=my_ratio,
            wrong={
                "First compare within a round, then take the median: a busy round falls on both.": lambda b, t: (
                    b.median() / t.median()
                ),
                "Sums give a busy round more weight than the others.": lambda b, t: b.sum() / t.sum(),
                "A mean lets one odd round decide; the median does not.": lambda b, t: (b / t).mean(),
                "Upside down: if the second takes half as long, it is twice as fast.": lambda b, t: (
                    t / b
                ).median(),
                "The best round is no typical one.": lambda b, t: (b / t).max(),
                "The worst round is no typical one.": lambda b, t: (b / t).min(),
            },
            hint="base / taken is a ratio for each round. Which middle of them does one odd round not move?",
            samples=_rounds,
            why="Every figure of `make bench` is made so. Its spread, least and largest, stands beside it.",
        ),
    ),
    open=Open(
        title="Your own machine",
        task=(
            "Up to which frame size could *this* machine translate a camera's 10 frames per second, with the fastest way "
            "that you would accept? Use the timings above, say what you would give up for it (size, grey levels, "
            "width of the generator), and how you would find out what that costs."
        ),
        good=(
            "A good answer scales the time by pixels from a size that was timed, leaves room for reading and writing or "
            "lets them overlap, tells frames per second from latency, and says that a narrower generator must be "
            "trained and judged anew (notebook 05), since its time says nothing of its translations."
        ),
    ),
)
