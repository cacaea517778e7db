"""Quizzes and exercises of the notebooks, checked on the spot.

sheet      what `notebooks/exercises` says
replies    the reply to an answer
"""

import itertools
import math
from collections.abc import Mapping, Sequence

from semcg.exercises.replies import WAITS, feedback
from semcg.exercises.sheet import Exercise, Question, Sheet, sheets

__all__ = [
    "WAITS",
    "Exercise",
    "Question",
    "Sheet",
    "check",
    "feedback",
    "graded",
    "hint",
    "quiz",
    "quiz_text",
    "sheets",
]

_LETTERS = "abcdefgh"


def check(which: str, answer: object) -> None:
    """Say whether an answer to an exercise is right, and if not, what is wrong with it.

    Parameters
    ----------
    which : str
        Notebook and number, for example "03.2".
    answer : number or callable
        What the learner wrote; `...` is not answered yet.
    """
    reply = feedback(_exercise(which), answer)
    _print(f"{which}  {reply}" + ("" if reply.startswith("Right") else f' Stuck? exercises.hint("{which}")'))


def hint(which: str, step: int = 1) -> None:
    """Print a hint for an exercise, for example "03.2"; step 2 is a stronger one."""
    hints = _exercise(which).hints
    more = f'  (A stronger one: exercises.hint("{which}", 2))' if step < 2 else ""
    _print(f"Hint for {which}: {hints[0 if step < 2 else 1]}{more}")


def quiz(number: str, answers: Sequence[str], values: Mapping[str, float] | None = None) -> None:
    """Print a notebook's questions with their choices, and a reply to each answer.

    Parameters
    ----------
    number : str
        Of the notebook, for example "03".
    answers : list of str
        A letter for each question; "" where none is given yet.
    values : mapping, optional
        Numbers of this run, for the question whose answer depends on them.
    """
    _print(quiz_text(_sheet(number).questions, answers, values or {}))


def _sheet(number: str) -> Sheet:
    if number not in sheets():
        raise ValueError(f"no exercises for notebook {number!r}; there are {', '.join(sheets())}")
    return sheets()[number]


def _exercise(which: str) -> Exercise:
    number = str(which).partition(".")[0]
    by_id = {e.id: e for e in _sheet(number).exercises}
    if which not in by_id:
        raise ValueError(f"no exercise {which!r}; notebook {number} has {min(by_id)} to {max(by_id)}")
    return by_id[which]


def _print(text: str) -> None:
    print(text)  # noqa: T201  what it prints is a notebook's output


def graded(question: Question, answer: object, values: Mapping) -> str:
    """Return the reply to a letter, with the reason for that choice; "" if there is no letter."""
    choices = dict(zip(_LETTERS, question.choices, strict=False))
    given = "" if answer in (..., None) else str(answer).strip("()[].:, ").lower()
    if not given:
        return ""
    given = next((letter for letter, choice in choices.items() if given == choice.lower()), given)
    if given not in choices:
        return f"{answer!r} is not one of the letters {', '.join(choices)}."
    if not question.values:
        right, reason = question.right, question.choices[choices[given]]
    elif not values or any(isinstance(x, float) and math.isnan(x) for x in values.values()):
        return "This run does not have the numbers for this question (they need other data), so it has no answer here."
    else:
        right, reason = (eval(e, {"v": values}) for e in (question.right, question.reason))
    return f"{given}: {'Right.' if choices[given] == right else 'No.'} {reason}"


def quiz_text(questions: Sequence[Question], answers: Sequence[str], values: Mapping) -> str:
    """Return questions with their choices, and below each the reply to its answer."""
    lines = []
    for n, (question, answer) in enumerate(itertools.zip_longest(questions, answers[: len(questions)]), 1):
        lines += [f"{n}. {question.text}"]
        lines += [f"   {x}) {choice}" for x, choice in zip(_LETTERS, question.choices, strict=False)]
        lines += [f"   -> {graded(question, answer, values) or 'No letter yet: write one into answers.'}", ""]
    return "\n".join(lines)
