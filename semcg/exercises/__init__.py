"""Quizzes and exercises of the notebooks, checked on the spot: one TOML file of `notebooks/exercises` per notebook.

The README there explains every field; `replies` has an exercise and the reply to an answer.
"""

import itertools
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from semcg.exercises.replies import WAITS, Exercise, feedback, folder

__all__ = [
    "WAITS",
    "Exercise",
    "Question",
    "Sheet",
    "check",
    "feedback",
    "hint",
    "quiz",
    "quiz_text",
    "sheets",
]

_LETTERS = "abcdefgh"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with choices, each of which is answered with a reason.

    If the answer depends on the run, `values` is a notebook's expression of the numbers `v`, and `right` and `reason` are
    expressions of `v`; otherwise `choices` maps each choice to its reason.
    """

    text: str
    choices: Mapping[str, str] | Sequence[str]
    right: str
    values: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The quiz and the exercises of one notebook, and a question without a check: title, task, what a good answer mentions."""

    notebook: str
    questions: Sequence[Question]
    exercises: Sequence[Exercise]
    open: Mapping[str, str]

    @property
    def number(self) -> str:
        """For example "03" for 03_cyclegan."""
        return self.notebook[:2]


@cache
def sheets() -> dict[str, Sheet]:
    """Return the sheets by the number of their notebook, for example "03"."""
    return {path.name[:2]: _sheet_of(path) for path in sorted(folder().glob("[0-9]*.toml"))}


def _sheet_of(path) -> Sheet:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    for fields in (*content["exercise"], content["open"]):
        fields |= {key: value.strip() for key, value in fields.items() if isinstance(value, str)}
    return Sheet(
        notebook=path.stem,
        questions=[Question(**q) for q in content["question"]],
        exercises=[Exercise(id=f"{path.name[:2]}.{n}", **e) for n, e in enumerate(content["exercise"], 1)],
        open=content["open"],
    )


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
    stuck = "" if reply.startswith("Right") else f' Stuck? exercises.hint("{which}")'
    print(f"{which}  {reply}{stuck}")


def hint(which: str, step: int = 1) -> None:
    """Print a hint for an exercise, for example "03.2"; step 2 is a stronger one."""
    hints = _exercise(which).hints
    more = f'  (A stronger one: exercises.hint("{which}", 2))' if step < 2 else ""
    print(f"Hint for {which}: {hints[0 if step < 2 else 1]}{more}")


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
    print(quiz_text(_sheet(number).questions, answers, values or {}))


def quiz_text(questions: Sequence[Question], answers: Sequence[str], values: Mapping) -> str:
    """Return questions with their choices, and below each the reply to its answer."""
    lines = []
    for n, (question, answer) in enumerate(itertools.zip_longest(questions, answers[: len(questions)]), 1):
        lines += [f"{n}. {question.text}"]
        lines += [f"   {x}) {choice}" for x, choice in zip(_LETTERS, question.choices, strict=False)]
        lines += [f"   -> {graded(question, answer, values) or 'No letter yet: write one into answers.'}", ""]
    return "\n".join(lines)


def graded(question: Question, answer: object, values: Mapping) -> str:
    """Return the reply to a letter, with the reason for that choice; "" if there is no letter."""
    choices = dict(zip(_LETTERS, question.choices, strict=False))
    letter = "" if answer in (..., None) else str(answer).strip("()[].:, ").lower()
    letter = next((x for x, choice in choices.items() if letter == choice.lower()), letter)
    if not letter:
        return ""
    if letter not in choices:
        return f"{answer!r} is not one of the letters {', '.join(choices)}."
    if not question.values:
        right, reason = question.right, question.choices[choices[letter]]
    elif not values or any(isinstance(x, float) and math.isnan(x) for x in values.values()):
        return "This run does not have the numbers for this question (they need other data), so it has no answer here."
    else:
        right, reason = (eval(e, {"v": values}) for e in (question.right, question.reason))
    return f"{letter}: {'Right.' if choices[letter] == right else 'No.'} {reason}"
