"""Exercises of notebook 06."""

import numpy as np

from semcg.exercises.kinds import Exercise, Open, Question, Sheet

__all__ = ["SHEET"]


def my_least_p():
    return 7 * 2 / 2**8


def my_differences(a, b):
    """two mappings from seed to measure -> list of b - a over the seeds that both have, in the order of a"""
    return [b[seed] - a[seed] for seed in a if seed in b]


def my_holm(p):
    """list of m p values -> array of the m corrected ones, in the same order"""
    p, m = np.array(p), len(p)
    order = p.argsort()  # the smallest first
    steps = p[order] * (m - np.arange(m))  # the smallest times m, the next times m - 1, ...
    corrected = np.empty(m)
    corrected[order] = np.maximum.accumulate(steps).clip(max=1)
    return corrected


def my_verdict(low, high, p, smallest):
    """ends of the interval, corrected p, smallest effect -> one of the three words, "refuted" say, as a text"""
    if high < smallest:
        return "refuted"
    return "confirmed" if low > 0 and p <= 0.05 else "undecided"


def my_pairs(sd, effect):
    """spread of the paired differences, true mean difference -> number of pairs, a whole one"""
    return int(np.ceil(((1.96 + 0.84) * sd / effect) ** 2))


def _by_seed() -> list[tuple]:
    a = {3: 0.25, 4: 0.5, 5: 0.125, 6: 0.25}
    return [
        (a, {3: 0.5, 4: 0.625, 5: 0.375, 6: 0.25}),
        (a, {6: 0.75, 5: 0.5, 4: 0.375, 3: 0.75}),  # the same seeds in another order
        (a, {5: 0.25, 3: 0.375, 7: 1.0}),  # not all of them
    ]


def _p_values() -> list[tuple]:
    return [([0.04, 0.01, 0.03],), ([0.9, 0.001, 0.02, 0.6],)]


def _rows() -> list[tuple]:
    return [
        (0.02, 0.05, 0.01, 0.01),
        (-0.01, 0.03, 0.40, 0.01),
        (-0.02, 0.004, 0.30, 0.01),
        (0.002, 0.006, 0.01, 0.01),  # surely above 0, and too small
        (0.004, 0.02, 0.06, 0.01),  # above 0 by the interval alone
        (-0.05, -0.02, 0.01, 0.01),
        (0.004, 0.03, 0.02, 0.01),
    ]


def _spreads() -> list[tuple]:
    return [(0.02, 0.01), (0.05, 0.04), (0.03, 0.05)]


def _bonferroni(p):
    return (np.array(p) * len(p)).clip(max=1)


def _steps(p):
    return np.sort(p) * (len(p) - np.arange(len(p)))


def _put_back(p, corrected):
    back = np.empty(len(p))
    back[np.argsort(p)] = corrected
    return back


def _of_claims(v) -> str:
    return f"Confirmed are {v['confirmed']:.0f} of the {v['tested']:.0f} claims that are corrected together."


def _right_share(v) -> str:
    return {0: "none", v["tested"]: "all of them"}.get(v["confirmed"], "some, not all")


SHEET = Sheet(
    notebook="06_report",
    questions=(
        Question(
            text="Of the claims that are corrected together, how many does this report confirm?",
            choices=dict.fromkeys(("none", "some, not all", "all of them"), _of_claims),
            right=_right_share,
            values='{"confirmed": len(confirmed), "tested": len(decided.correction)}',
        ),
        Question(
            text="A difference has the interval [-0.002, +0.030]; from 0.010 on it would matter. What may you write?",
            choices={
                "The semantic loss makes no difference.": "The interval holds 0.030 as well, three times what would matter. Not found is not absent.",
                "The semantic loss helps, if only a little.": "The interval holds 0, and values below it.",
                "These seeds do not tell.": "Undecided: neither no effect nor one that matters is ruled out. More seeds would narrow the interval.",
            },
            right="These seeds do not tell.",
        ),
        Question(
            text="Both conditions are run with the same seeds and compared seed by seed. What for?",
            choices={
                "What a seed brings to both of them cancels": "A lucky order of the frames lifts both; the difference does not see it, and its spread is smaller for that.",
                "It makes twice as many measurements": "There are as many runs as without pairs, and half as many differences as runs.",
                "The same seed makes the same generator": "Only the same initial weights and order of frames: the two losses pull the weights apart from the first step on.",
            },
            right="What a seed brings to both of them cancels",
        ),
    ),
    exercises=(
        Exercise(
            title="Eight pairs and seven claims",
            task=(
                "All eight of eight paired differences favour the semantic loss, so that p is as small as eight pairs "
                "can make it (section 3). Holm's correction begins with the smallest p of the seven claims and "
                "multiplies it by their number. How small can that corrected, two-sided p be? (A number or an "
                "expression.)"
            ),
            solution=my_least_p,
            wrong={
                "That is p before the correction: multiply by the number of claims.": lambda: 2 / 2**8,
                "That is one-sided: all eight against it is just as extreme.": lambda: 7 / 2**8,
                "You divided by the number of claims. Asking more questions makes luck likelier, so p must grow.": lambda: (
                    2 / 2**8 / 7
                ),
                "There are 2^8 patterns of eight signs, not 8^2.": lambda: 7 * 2 / 8**2,
                "Seven is the number of claims; there are eight pairs.": lambda: 7 * 2 / 2**7,
            },
            hint="How small is p if all 8 signs agree (two patterns of 2^8 are that extreme)? Then times 7.",
            why="It is above the level, however large the differences: this is why the protocol gives no verdict below ten pairs.",
        ),
        Exercise(
            title="Differences, seed by seed",
            task=(
                "Two conditions were measured, each at some seeds: two mappings from seed to value, perhaps in "
                "different orders, and perhaps not at all the same seeds. Give back the list of differences $b - a$ over the "
                "seeds that *both* have, in the order of `a`."
            ),
            solution=my_differences,
            wrong={
                "You paired by position. What belongs together has the same seed, wherever it stands.": lambda a, b: [
                    y - x for x, y in zip(a.values(), b.values(), strict=False)
                ],
                "The sign is flipped: b - a is above 0 where b is larger.": lambda a, b: [
                    a[s] - b[s] for s in a if s in b
                ],
                "A seed that only one condition has is no pair: leave it out, it was not 0 there.": lambda a, b: [
                    b.get(s, 0) - a[s] for s in a
                ],
                "That is the difference of the means. A test needs the difference of every pair.": lambda a, b: (
                    sum(b.values()) / len(b) - sum(a.values()) / len(a)
                ),
                "You took absolute values: then every difference favours b.": lambda a, b: [
                    abs(b[s] - a[s]) for s in a if s in b
                ],
                "That is the order of b.": lambda a, b: [b[s] - a[s] for s in b if s in a],
            },
            hint="Go through the seeds of a, and keep those that are also in b.",
            samples=_by_seed,
            why="`statistics.paired` refuses seeds that are not the same, so that nobody leaves one out without saying so.",
        ),
        Exercise(
            title="Holm's correction",
            task=(
                "Whoever tests $m$ claims at once gets $m$ chances to be fooled. Holm: go through the p values from the "
                "smallest to the largest; multiply the smallest by $m$, the next by $m - 1$, and so on, the largest by 1; "
                "no corrected value may be *smaller than the one before it*, and none is above 1. Give the corrected "
                "values back in the order in which the p values came."
            ),
            solution=my_holm,
            wrong={
                "That is Bonferroni: every p times m. Holm's factor falls from m to 1, and so loses less.": _bonferroni,
                "A larger p got a smaller corrected value: take the running maximum.": lambda p: _put_back(
                    p, _steps(p).clip(max=1)
                ),
                "They are sorted now: give them back in the order in which they came.": lambda p: (
                    np.maximum.accumulate(_steps(p)).clip(max=1)
                ),
                "Some are above 1: a probability ends there.": lambda p: _put_back(
                    p, np.maximum.accumulate(_steps(p))
                ),
                "The factors run the wrong way: the smallest p gets the largest, m.": lambda p: _put_back(
                    p, np.maximum.accumulate(np.sort(p) * (1 + np.arange(len(p)))).clip(max=1)
                ),
                "That is the rule of Benjamini and Hochberg, which bounds the share of false findings, not the chance of any.": lambda p: (
                    _put_back(
                        p,
                        np.minimum.accumulate((np.sort(p) * len(p) / (1 + np.arange(len(p))))[::-1])[::-1],
                    )
                ),
                "You gave back the p values as they were.": lambda p: np.array(p),
            },
            hint="argsort gives the order; np.maximum.accumulate is the running maximum; corrected[order] = ... puts values back.",
            samples=_p_values,
            why="`statistics.holm` does it, and lets a claim with several rows enter once, with its largest p.",
        ),
        Exercise(
            title="Confirmed, refuted, undecided",
            task=(
                "Write the rule of section 3 for one row with enough seeds: from the ends of its interval, its corrected p, "
                "and the smallest effect of interest. Ask for *refuted* first: an effect that is surely there and surely "
                "too small to matter refutes a claim of improvement too. The level of p is $0.05$."
            ),
            solution=my_verdict,
            wrong={
                "A large p refutes nothing: it may come from few seeds.": lambda low, high, p, least: (
                    "refuted" if high < least or p > 0.05 else "confirmed" if low > 0 else "undecided"
                ),
                "An interval that holds 0 refutes nothing if it reaches the smallest effect as well.": lambda low, high, p, least: (
                    "refuted" if high < least or low <= 0 else "confirmed" if p <= 0.05 else "undecided"
                ),
                "p says that something is there, not in which direction: the interval must lie above 0.": lambda low, high, p, least: (
                    "confirmed" if p <= 0.05 else "refuted" if high < least else "undecided"
                ),
                "Both are asked for, interval and p: at few seeds the interval alone is too short.": lambda low, high, p, least: (
                    "refuted" if high < least else "confirmed" if low > 0 else "undecided"
                ),
                "Ask for refuted first: an effect surely above 0 may be surely too small.": lambda low, high, p, least: (
                    "confirmed" if low > 0 and p <= 0.05 else "refuted" if high < least else "undecided"
                ),
                "You ask that the whole interval exceed the smallest effect; the rule asks that it lie above 0 and reach it.": lambda low, high, p, least: (
                    "refuted" if high < least else "confirmed" if low >= least and p <= 0.05 else "undecided"
                ),
                "You never refute. A claim that nothing can refute says nothing.": lambda low, high, p, least: (
                    "confirmed" if high >= least and low > 0 and p <= 0.05 else "undecided"
                ),
            },
            hint="Three returns: high < smallest, then low > 0 and p <= 0.05, then the rest.",
            samples=_rows,
            why="`statistics.verdict` is this rule, with the number of seeds in front: below the protocol's least there is no verdict at all.",
        ),
        Exercise(
            title="How many seeds?",
            task=(
                "How many pairs find a true mean difference four times out of five? In the normal approximation "
                "$n = ((1.96 + 0.84)\\, \\mathrm{sd} / \\mathrm{effect})^2$, where sd is the standard deviation of the paired "
                "differences; $1.96$ belongs to the two-sided level of $0.05$ and $0.84$ to four out of five. Round *up* to a "
                "whole number of pairs."
            ),
            solution=my_pairs,
            wrong={
                "The square is missing: half the effect needs four times the pairs.": lambda sd, effect: (
                    np.ceil(2.8 * sd / effect)
                ),
                "Without the 0.84 you would find it only every other time.": lambda sd, effect: np.ceil(
                    (1.96 * sd / effect) ** 2
                ),
                "Spread and effect are exchanged: a larger effect needs fewer pairs.": lambda sd, effect: (
                    np.ceil((2.8 * effect / sd) ** 2)
                ),
                "You rounded down, or to the nearest: then it is found less often than asked.": lambda sd, effect: (
                    int((2.8 * sd / effect) ** 2)
                ),
                "That is for two unpaired groups: there each condition brings a spread of its own.": lambda sd, effect: (
                    np.ceil(2 * (2.8 * sd / effect) ** 2)
                ),
                "Pairs are whole: round up.": lambda sd, effect: (2.8 * sd / effect) ** 2,
            },
            hint="np.ceil rounds up; everything else is the formula.",
            samples=_spreads,
            why="`statistics.detectable` turns the question round, and takes Student's t, since the spread is estimated too: a few pairs more.",
        ),
    ),
    open=Open(
        title="A protocol of your own",
        task=(
            "Choose one row of the ledger whose verdict you do not trust, or a sentence of the paper that has no row. Write "
            "down, *before* you look at another number, how you would decide it: conditions, measure, direction, smallest "
            "effect of interest, number of seeds. Which outcome would make you say the opposite?"
        ),
        good=(
            "A good answer names a comparator that differs in one thing only, a measure that no loss has seen, and a "
            "smallest effect with a reason (not the one that these seeds happen to reach). It counts the seeds from a spread "
            "that was seen elsewhere (exercise 5), asks for *new* seeds, since those of this report have been looked at, and "
            "says what it will do with a run that fails."
        ),
    ),
)
