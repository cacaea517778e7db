"""What to say to an answer: nothing given yet, right, a known mistake, an unknown one, or code that raises."""

import copy
import linecache
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from semcg.exercises.kinds import Exercise, Question

__all__ = ["WAITS", "feedback", "graded", "quiz_text", "same"]

WAITS = "Not answered yet: replace the ... and run the cell again."
"""What is said to a starter that nobody has touched."""


def feedback(exercise: Exercise, answer: object) -> str:
    """Return what to say to an answer to an exercise, without its number.

    Nothing that the answer does can raise here, other than an interrupt.
    """
    if answer is ...:
        return WAITS
    if exercise.arguments and not callable(answer):
        return f"Not yet. {exercise.name} should be a function of ({', '.join(exercise.arguments)}), it is {_short(answer)}."
    if exercise.judge:
        return _by_judge(exercise, answer)
    samples = exercise.samples() if exercise.samples else [()]
    run = answer if exercise.arguments else lambda: answer
    expected = [exercise.solution(*copy.deepcopy(s)) for s in samples]
    try:
        given = [run(*copy.deepcopy(s)) for s in samples]
    except Exception as error:
        return _raised(exercise, error)
    if given[0] is ...:
        return WAITS
    if given[0] is None:
        return "Not yet. Your function gives back None: its last line should begin with return."
    fits = [same(g, e) for g, e in zip(given, expected, strict=True)]
    if all(fits):
        return _right(exercise)
    n = fits.index(False)
    said = _known(exercise, samples, given, n) or _guess(given, expected)
    if not exercise.arguments:
        return f"Not yet. {said or f'{_short(answer)} is not it. {exercise.hint}'}"
    example = (
        f"(It gives {_short(given[n])} where {_short(expected[n])} is right{_at(exercise, samples[n])}.)"
    )
    return f"Not yet. {said or exercise.hint} {example}"


def graded(question: Question, letter: str, values: Mapping) -> str:
    """Return what to say to a letter: whether it is right, and the reason; "" if none is given."""
    letters = "abcdefgh"[: len(question.choices)]
    given = "" if letter in (..., None) else str(letter).strip().lower()
    if not given:
        return ""
    if given not in letters or len(given) != 1:
        return f"{letter!r} is not one of the letters {', '.join(letters)}."
    if question.values and not _measured(values):
        return "The run has no such numbers (not in this data), so this question has no answer here."
    choice = list(question.choices)[letters.index(given)]
    right = question.right(values) if callable(question.right) else question.right
    reason = question.choices[choice]
    reason = reason(values) if callable(reason) else reason
    return f"{given}: {'Right.' if choice == right else 'No.'} {reason}"


def quiz_text(questions: Sequence[Question], answers: Sequence[str], values: Mapping) -> str:
    """Return questions with their choices, and below each what there is to say to its answer."""
    lines = []
    for n, question in enumerate(questions):
        said = graded(question, answers[n] if n < len(answers) else "", values)
        lines += [f"{n + 1}. {question.text}"]
        lines += [f"   {name}) {choice}" for name, choice in zip("abcdefgh", question.choices, strict=False)]
        lines += [f"   -> {said or 'No letter yet: write one into answers.'}", ""]
    return "\n".join(lines)


def same(a: object, b: object) -> bool:
    """Whether two answers are equal: numbers, arrays and tensors by shape and within 1e-4, the rest by ==."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and any(map(_is_tensor, (*a, *b))):
        return len(a) == len(b) and all(map(same, a, b))
    try:
        a, b = (torch.as_tensor(v).detach().double() for v in (a, b))
    except (TypeError, ValueError, RuntimeError):
        return type(a) is type(b) and a == b
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)


def _by_judge(exercise: Exercise, answer: object) -> str:
    try:
        wrong = exercise.judge(answer)
    except Exception as error:
        return _raised(exercise, error)
    if wrong == WAITS:
        return WAITS
    return f"Not yet. {wrong}" if wrong else _right(exercise)


def _right(exercise: Exercise) -> str:
    same_as = f" The package has it as {exercise.package}." if exercise.package else ""
    return f"Right.{same_as}"


def _known(exercise: Exercise, samples: Sequence[tuple], given: list, wrong: int) -> str:
    """Return the sentence of the planted mistake that gives the same as the answer, else "".

    On every sample if there is one; else on the first sample that the answer gets wrong, since two slips may meet.
    """
    for where in (range(len(samples)), [wrong]):
        for sentence, mistake in exercise.wrong.items():
            try:
                if all(same(given[i], mistake(*copy.deepcopy(samples[i]))) for i in where):
                    return sentence
            except Exception:  # a mistake may be one that raises on some samples
                continue
    return ""


def _guess(given: list, expected: list) -> str:
    """Name a slip that can be seen from the numbers alone: sign, factor, shape."""
    try:
        pairs = [
            (torch.as_tensor(g).double(), torch.as_tensor(e).double())
            for g, e in zip(given, expected, strict=True)
        ]
    except (TypeError, ValueError, RuntimeError):
        return ""
    for g, e in pairs:
        if g.shape != e.shape:
            return f"The shape is {tuple(g.shape)}, it should be {tuple(e.shape)}."
    g, e = (torch.cat([p[i].flatten() for p in pairs]) for i in (0, 1))
    if not g.isfinite().all():
        return "It gives nan or inf: is there a division by 0, or the logarithm of 0?"
    if same(g, -e):
        return "The sign is flipped."
    seen = e.abs() > 1e-6
    ratios = g[seen] / e[seen]
    if len(ratios) > 1 and same(ratios, ratios[:1].expand_as(ratios)) and same(g, e * ratios[0]):
        return f"It is {ratios[0]:.4g} times what it should be, everywhere: a factor is missing or too many."
    return ""


def _raised(exercise: Exercise, error: Exception) -> str:
    """Say what raised and where in the learner's code, in place of a traceback."""
    step, where = error.__traceback__, ""
    while step is not None:  # the last frame that is in a notebook's cell, not in a library
        code = step.tb_frame.f_code
        if "ipykernel" in code.co_filename or code.co_filename.startswith("<"):
            line = linecache.getline(code.co_filename, step.tb_lineno).strip()
            where = f", in its line {step.tb_lineno - code.co_firstlineno + 1}" + (
                f": {line}" if line else ""
            )
        step = step.tb_next
    takes = (
        f" It is called as {exercise.name}({', '.join(exercise.arguments)})."
        if isinstance(error, TypeError)
        else ""
    )
    return f"Not yet. Your code raises {type(error).__name__}: {error}{where}.{takes} Hint: {exercise.hint}"


def _at(exercise: Exercise, sample: tuple) -> str:
    shown = [f"{name} = {_short(v)}" for name, v in zip(exercise.arguments, sample, strict=True)]
    text = ", ".join(shown)
    return f", for {text}" if len(text) <= 120 else ""


def _short(value: object) -> str:
    if _is_tensor(value):
        value = torch.as_tensor(value).detach()
        if value.ndim == 0:
            return f"{value.item():.4g}" if value.is_floating_point() else str(value.item())
        if value.numel() > 8:
            return f"values of shape {tuple(value.shape)}"
        return str(np.array(value.tolist()).round(4).tolist())
    if isinstance(value, float):
        return f"{value:.4g}"
    if callable(value):
        return f"the function {getattr(value, '__name__', 'without a name')}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor | np.ndarray | np.generic)


def _measured(values: Mapping) -> bool:
    return bool(values) and not any(isinstance(v, float) and math.isnan(v) for v in values.values())
