"""Exercises and quizzes of the notebooks: stated once, checked on the spot, and written into the notebooks from here.

kinds         what an exercise and a question are
start, data, segmenters, cyclegan, semantic, evaluation, report, real_time    the sheets, one per notebook
feedback      what to say to an answer
cells         a sheet as notebook cells (`semcg student`)
minutes       how long a notebook takes (`semcg times`)
"""

from collections.abc import Mapping, Sequence

from semcg.exercises import cyclegan, data, evaluation, real_time, report, segmenters, semantic, start
from semcg.exercises.feedback import WAITS, feedback, quiz_text
from semcg.exercises.kinds import Exercise, Sheet

__all__ = ["SHEETS", "check", "hint", "quiz"]

SHEETS: dict[str, Sheet] = {
    module.SHEET.number: module.SHEET
    for module in (start, data, segmenters, cyclegan, semantic, evaluation, report, real_time)
}
"""The number of a notebook -> its sheet."""


def check(which: str, answer: object) -> None:
    """Say whether an answer to an exercise is right, and if not, what is wrong with it.

    Parameters
    ----------
    which : str
        Notebook and number, "03.2" say.
    answer : value or callable
        What the learner wrote; `...` has not been answered yet.
    """
    exercise = _exercise(which)
    said = feedback(exercise, answer)
    stuck = f' Stuck? exercises.hint("{which}")' if said == WAITS else ""
    _say(f"{which}  {said}{stuck}")


def hint(which: str) -> None:
    """Print the hint of an exercise, "03.2" say."""
    _say(f"Hint for {which}: {_exercise(which).hint}")


def quiz(number: str, answers: Sequence[str], values: Mapping[str, float] | None = None) -> None:
    """Print a notebook's questions with their choices, and what there is to say to each answer.

    Parameters
    ----------
    number : str
        Of the notebook, "03" say.
    answers : list of str
        A letter for each question; "" where none is given yet.
    values : mapping, optional
        Numbers of this run, for the question whose answer depends on them.
    """
    _say(quiz_text(_sheet(number).questions, answers, values or {}))


def _exercise(which: str) -> Exercise:
    number, _, n = which.partition(".")
    exercises = _sheet(number).exercises
    if not n.isdigit() or not 1 <= int(n) <= len(exercises):
        raise ValueError(
            f"no exercise {which!r}; notebook {number} has {number}.1 to {number}.{len(exercises)}"
        )
    return exercises[int(n) - 1]


def _sheet(number: str) -> Sheet:
    if number not in SHEETS:
        raise ValueError(f"no exercises of notebook {number!r}; there are {', '.join(SHEETS)}")
    return SHEETS[number]


def _say(text: str) -> None:
    print(text)  # noqa: T201  what it prints is a notebook's output
