"""Quizzes and exercises of the notebooks: read from `notebooks/exercises`, and checked on the spot.

A sheet (one TOML file per notebook; the README there explains every field) has questions and exercises. An exercise has a
solution, samples on which an answer is compared with it, and mistakes: slips in the solution, each with the reply that names
it. An answer that gives on the samples what a slip gives, or two slips together, gets the reply of that slip.
"""

import ast
import itertools
import linecache
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semcg import files

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

WAITS = "Not answered yet: replace the ... and run the cell again."
"""The reply to a starter that was not changed."""
_NONE = (
    "Not yet. Your function returns None: its last line should begin with return (print only shows a value)."
)
_LETTERS = "abcdefgh"


# ---------------------------------------------------------------- sheets


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Exercise:
    """A number to find or a function to write. All fields but the texts are Python."""

    id: str
    title: str
    task: str
    solution: str
    hints: Sequence[str]
    why: str
    samples: str = "[()]"
    gradient: Sequence[str] = ()
    mistakes: Sequence[Sequence[str]] = ()
    check: str = ""
    package: str = ""

    @property
    def name(self) -> str:
        """The name that the answer gets."""
        node = ast.parse(self.solution).body[0]
        return node.name if isinstance(node, ast.FunctionDef) else node.targets[0].id

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the function's arguments; none for a number."""
        node = ast.parse(self.solution).body[0]
        return tuple(a.arg for a in node.args.args) if isinstance(node, ast.FunctionDef) else ()

    @property
    def starter(self) -> str:
        """Python that the learner begins with."""
        head = self.solution.splitlines()[:2]
        return "\n".join([*head, "    return ..."]) if self.arguments else f"{self.name} = ..."

    def answer(self, *slips: str) -> Any:
        """Return the solution, or with slips of `mistakes` in it; None if an edit does not fit (any more)."""
        source, name = self.solution, self.name
        for slip in slips:
            if "=>" not in slip:
                head = f"def slip({', '.join(self.arguments)}):\n    return " if self.arguments else "slip = "
                source, name = f"{source}\n{head}{slip}", "slip"
                continue
            for edit in slip.split(" ; "):
                old, _, new = (part.strip() for part in edit.partition("=>"))
                docstring, end, body = source.rpartition('"""')
                if old not in body:
                    return None
                source = docstring + end + body.replace(old, new)
        return _run(source)[name]


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
    roots = (Path(__file__).resolve().parent.parent / "notebooks", files.home() / "notebooks", Path.cwd())
    folder = next((root / "exercises" for root in roots if (root / "exercises").is_dir()), None)
    if folder is None:
        raise FileNotFoundError(
            f"no exercises in {roots[0]}: they are part of the repository, so install semcg from a clone of it "
            "(pip install -e .), or set SEMCG_HOME to one"
        )
    return {path.name[:2]: _read(path) for path in sorted(folder.glob("[0-9]*.toml"))}


def _read(path: Path) -> Sheet:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    for fields in (*content["exercise"], content["open"]):
        fields |= {key: value.strip() for key, value in fields.items() if isinstance(value, str)}
    return Sheet(
        notebook=path.stem,
        questions=[Question(**q) for q in content["question"]],
        exercises=[Exercise(id=f"{path.name[:2]}.{n}", **e) for n, e in enumerate(content["exercise"], 1)],
        open=content["open"],
    )


# ---------------------------------------------------------------- what a notebook calls


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
        lines += [
            f"   {letter}) {choice}" for letter, choice in zip(_LETTERS, question.choices, strict=False)
        ]
        lines += [f"   -> {graded(question, answer, values) or 'No letter yet: write one into answers.'}", ""]
    return "\n".join(lines)


# ---------------------------------------------------------------- the reply to an answer


def feedback(exercise: Exercise, answer: Any) -> str:
    """Return the reply to an answer. Nothing that the answer does can raise here, other than an interrupt."""
    if answer is ...:
        return WAITS
    function = answer if exercise.arguments else _constant(answer)
    if not callable(function):
        wanted = f"a function of ({', '.join(exercise.arguments)})"
        if not exercise.arguments:
            wanted = "one number (without quotes; print only shows a number)"
        return f"Not yet. {exercise.name} should be {wanted}, it is {_short(answer)}."
    if exercise.check:
        return _checked(exercise, function)
    equal = _same if exercise.arguments else _near
    (values, gradients), (right, right_gradients) = (
        _tried(exercise, function),
        _tried(exercise, exercise.answer()),
    )
    if values[0] is ... or values[0] is None:
        return _NONE if values[0] is None else WAITS
    wrong = [n for n, pair in enumerate(zip(values, right, strict=True)) if not equal(*pair)]
    if not wrong:
        rounded = "" if _same(values[0], right[0]) else f" (Rounded. Exactly it is {_short(right[0])}.)"
        package = f" The package has it as {exercise.package}." if exercise.package else ""
        return _gradient(exercise, gradients, right_gradients) or f"Right.{rounded}{package}"
    known = _known(exercise, values, wrong, equal)
    error = next((v for v in values if isinstance(v, Exception)), None)
    if error is not None:
        return _raised(exercise, error, known)
    guess = known or _rounded(values, right) or _guess(values, right)
    if not exercise.arguments:
        return f"Not yet. {guess or f'{_short(answer)} is not it. {exercise.hints[0]}'}"
    seen = _difference(values[wrong[0]], right[wrong[0]]) + _example(exercise, wrong[0]) + "."
    return (
        f"Not yet. {guess} ({seen})" if guess else f"Not yet. {seen[0].upper()}{seen[1:]} {exercise.hints[0]}"
    )


def _constant(answer: Any) -> Callable[[], float] | None:
    try:
        number = None if isinstance(answer, str) else float(answer)
    except (TypeError, ValueError, RuntimeError):
        return None
    return None if number is None else lambda: number


@cache
def _checker(exercise: Exercise) -> Callable[[Callable], str]:
    return _run(exercise.check)["check"]


def _checked(exercise: Exercise, answer: Callable) -> str:
    given = []

    def watched(*arguments: Any) -> Any:
        given.append(answer(*arguments))
        return given[-1]

    try:
        wrong = _checker(exercise)(watched)
        reply = f"Not yet. {wrong}" if wrong else "Right."
    except Exception as error:
        reply = _raised(exercise, error)
    return WAITS if given and given[0] is ... else _NONE if given and given[0] is None else reply


def _run(source: str) -> dict[str, Any]:
    """Run the code of a sheet and return its names."""
    space = {"torch": torch, "np": np, "nn": torch.nn, "F": torch.nn.functional, "math": math}
    space |= {"cache": cache, "same": _same}
    exec(compile(source, "<exercises>", "exec"), space)
    return space


def _samples(exercise: Exercise) -> list[tuple]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return eval(exercise.samples, _run(""))


def _tried(exercise: Exercise, answer: Any) -> tuple[list, list[dict[str, list]]]:
    """Return what an answer gives (or raises) for each sample, and the gradients of the arguments that need one."""
    values, gradients = [], []
    for sample in _samples(exercise):
        leaves = {name: sample[exercise.arguments.index(name)] for name in exercise.gradient}
        parts = {
            name: list(x.parameters()) if isinstance(x, torch.nn.Module) else [x.requires_grad_()]
            for name, x in leaves.items()
        }
        grads: dict[str, list] = {}
        try:
            with torch.enable_grad():
                value = answer(*sample) if callable(answer) else answer
        except Exception as error:
            value = error
        if isinstance(value, torch.Tensor):
            if value.requires_grad and value.numel() == 1:
                flat = torch.autograd.grad(value.sum(), sum(parts.values(), []), allow_unused=True)
                one = iter(None if g is None or not g.any() else g for g in flat)
                grads = {name: [next(one) for _ in those] for name, those in parts.items()}
            value = value.detach()
        values.append(value)
        gradients.append({name: grads.get(name, [None] * len(those)) for name, those in parts.items()})
    return values, gradients


def _gradient(exercise: Exercise, given: list[dict], right: list[dict]) -> str:
    """Return what is wrong with the gradients of an answer whose values are right, "" if nothing."""
    for n, name in itertools.product(range(len(given)), exercise.gradient):
        arrives, should = (any(g is not None for g in x[n][name]) for x in (given, right))
        if arrives and not should:
            return f"Not yet. The number is right, but its gradient reaches {name}, where none may arrive: detach it."
        if should and not arrives:
            return (
                f"Not yet. The number is right, but no gradient reaches {name}, so nothing can learn from it: return "
                "a tensor, without .item(), float(), NumPy, no_grad or .detach() on the way."
            )
        if not all(map(_same, given[n][name], right[n][name])):
            return f"Not yet. The number is right, but a part of the gradient of {name} is missing: is a term detached?"
    return ""


# ---------------------------------------------------------------- which mistake it is


@cache
def _slips(exercise: Exercise, count: int) -> list[tuple[list[str], list]]:
    """Return the replies of each mistake (of each two mistakes at once), and what it gives for the samples."""
    codes = [(reply, code) for reply, *codes in exercise.mistakes for code in codes]
    if count == 2:  # one edit for each reply
        codes = list({reply: code for reply, code in reversed(codes) if "=>" in code}.items())
    made = []
    for group in itertools.combinations(codes, count):
        replies, slips = zip(*group, strict=True)
        try:
            answer = exercise.answer(*slips) or exercise.answer(*slips[::-1])
        except SyntaxError:  # the two do not fit together
            continue
        if answer is None:
            continue
        values = _tried(exercise, answer)[0]
        if count == 1 or not any((x := _double(v)) is not None and x.isnan().any() for v in values):
            made.append((list(replies), values))  # two slips that give nan could be any two
    return made


def _known(exercise: Exercise, values: list, wrong: list[int], equal: Callable) -> str:
    """Return the reply of the mistake that gives the same as an answer, else "".

    The same for every sample if there is such a mistake; then two mistakes at once, or one and a flipped sign; else the same
    for the samples that are wrong, or for the first of them.
    """
    one, every = _slips(exercise, 1), range(len(values))

    def first(
        slips: list, where: Sequence[int], equal: Callable = _same, change: Callable = lambda v: v
    ) -> list[str]:
        fits = (replies for replies, made in slips if all(equal(values[n], change(made[n])) for n in where))
        return next(fits, [])

    if found := first(one, every) or first(one, every, equal):
        return found[0]
    if not exercise.arguments or isinstance(values[wrong[0]], Exception):
        return " ".join(first(one, wrong))
    flipped = (["The sign is flipped."], _tried(exercise, exercise.answer())[0])
    if found := first([flipped], every, _same, _negative):
        return found[0]
    if found := first(one, every, _same, _negative):
        return f"Two slips: (1) The sign is flipped. (2) {found[0]}"
    two = _slips(exercise, 2)
    if found := first(two, every):
        return f"Two slips: (1) {found[0]} (2) {found[1]}"
    if rounded := _rounded(values, flipped[1]):
        return rounded
    if isinstance(values[wrong[0]], str):
        return " ".join(first(one, wrong))
    return " ".join(first(one, wrong) or first(two, wrong) or first(one, wrong[:1]) or first(two, wrong[:1]))


def _negative(value: Any) -> Any:
    x = _double(value)
    return value if x is None else -x


def _rounded(given: list, right: list) -> str:
    pairs = [(_double(g), _double(r)) for g, r in zip(given, right, strict=True)]
    if not any(g is None or r is None or g.shape != r.shape for g, r in pairs):
        a, b = (torch.cat([pair[i].flatten() for pair in pairs]) for i in (0, 1))
        for digits in range(0 if _same(a, b) else 3):
            if any(_same(a, way(b * 10**digits) / 10**digits) for way in (torch.round, torch.floor)):
                return "It is rounded: return the exact value."
    return ""


def _guess(given: list, right: list) -> str:
    """Name a slip that is visible in the results alone, "" if there is none."""
    if any(g is None for g in given):
        return "For some samples your function returns None: is a return missing?"
    if isinstance(right[0], str) and not isinstance(given[0], str):
        return "A word is asked for: return a string."
    pairs = [(_double(g), _double(r)) for g, r in zip(given, right, strict=True)]
    for g, r in pairs:
        if g is None or r is None:
            return ""
        if g.shape != r.shape and r.numel() == 1:
            return f"One number is asked for, it gives {_short(g)}: is a mean or a sum missing?"
        if g.shape != r.shape:
            return f"The shape is {tuple(g.shape)}, it should be {tuple(r.shape)}."
    a, b = (torch.cat([pair[i].flatten() for pair in pairs]) for i in (0, 1))
    if not a.isfinite().all():
        return "It gives nan or inf: is there a division by 0, or the logarithm of 0 or of a negative number?"
    factor = (a / b)[b.abs() > 1e-6]
    several = len(factor) > 1
    for reply, value in (
        ("", b),
        ("It gives 0 everywhere.", 0 * b),
        ("The sign is flipped.", -b),
        ("Upside down: that is 1 divided by what it should be.", 1 / b),
        ("That is right as a percentage: write it as a plain number.", 100 * b),
        ("That is the square of what it should be.", b.square()),
    ):
        if _same(a, value) or (not several and _near(a, value)):
            return reply
    if torch.allclose(a, b, rtol=0.1 if len(a) == 1 else 0.05, atol=0):
        return "That is close, but not right: is something rounded (to less than two digits), or counted differently?"
    if several and _same(a, b * factor[0]):
        return f"It is {factor[0]:.4g} times what it should be: a factor is missing, or one is too many."
    if several and _same(a, a[:1].expand_as(a)):
        return "It gives the same for every sample: it has to depend on what the function gets."
    if several and _same(a - b, (a - b)[:1].expand_as(a)):
        return f"It is off by the same amount everywhere, {(a - b)[0]:+.4g}."
    return ""


_ADVICE = {
    "return_types": "With a dim, torch's max, min, sort and median return values and indices: take .values.",
    "Can't call numpy|__array__": "NumPy cuts the gradient: use torch's functions.",
    "'numpy.* has no attribute|not numpy": "The function gets NumPy arrays, which have no torch methods: use NumPy's.",
    "'Tensor' object has no attribute": "Torch's tensors have other methods than NumPy's arrays.",
    "' object has no attribute": "That is a plain Python value, not a tensor: use math or np.",
    "truth value": "Comparisons joined by & need parentheses: (a == 1) & (b != 2).",
    "step must be": "Torch has no negative steps: use flip.",
    "must match the size|broadcast": "The shapes do not fit together: keepdim=True keeps an axis that you reduced.",
    "^(NameError|UnboundLocalError)": "Is the name spelled as in the arguments, or not imported?",
    "KeyError|out of (bounds|range)": "It looks for an entry that is not there: not every key or index exists.",
    "must be Tensor|got (float|int|numpy)": "Torch's functions want tensors: for plain numbers use math or np.",
}  # fmt: skip
"""Pattern in an error's text -> what to do about it."""


def _raised(exercise: Exercise, error: Exception, known: str = "") -> str:
    """Say what raised and where in the learner's code, in place of a traceback."""
    step, where = error.__traceback__, ""
    while step is not None:  # the last frame that is in a notebook's cell, not in a library or a sheet
        code = step.tb_frame.f_code
        if "ipykernel" in code.co_filename or re.match("<(?!exercises)", code.co_filename):
            line = linecache.getline(code.co_filename, step.tb_lineno).strip()
            where = f", in its line {step.tb_lineno - code.co_firstlineno + 1}" + (
                f" ({line})" if line else ""
            )
        step = step.tb_next
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    if not where and isinstance(error, TypeError) and "argument" in text:
        call = f"{exercise.name}({', '.join(exercise.arguments)})"
        return f"Not yet. Your function cannot be called: {error}. It is called as {call}."
    advice = next(
        (advice for pattern, advice in _ADVICE.items() if re.search(pattern, text)), exercise.hints[0]
    )
    return f"Not yet. Your code raises {text}{where}. {known or advice}"


# ---------------------------------------------------------------- comparing and showing values


def _same(a: Any, b: Any) -> bool:
    """Whether two results are the same: shape and values within 1e-4, bytes and errors also by type."""
    if isinstance(a, Exception) or isinstance(b, Exception):
        return type(a) is type(b) and str(a) == str(b)
    if isinstance(b, tuple) and isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(b, torch.Tensor) and b.ndim and not isinstance(a, torch.Tensor):
        return False
    if getattr(b, "dtype", None) == torch.uint8 != getattr(a, "dtype", None):
        return False
    x, y = _double(a), _double(b)
    if x is None or y is None:
        return x is y and type(a) is type(b) and bool(a == b)
    if x.numel() == y.numel() == 1:
        x, y = x.reshape(()), y.reshape(())
    return x.shape == y.shape and torch.allclose(x, y, rtol=1e-4, atol=1e-6, equal_nan=True)


def _near(given: Any, exact: Any) -> bool:
    """Whether a number is another one, or that one rounded to at least two significant digits."""
    given, exact = float(given), float(exact)
    rounded = [] if exact == round(exact) else [float(f"{exact:.{digits}g}") for digits in range(2, 7)]
    return any(math.isclose(given, number, rel_tol=1e-6) for number in (exact, *rounded))


def _double(value: Any) -> torch.Tensor | None:
    if isinstance(value, list | tuple):
        value = [v.detach() if isinstance(v, torch.Tensor) else v for v in value]
    try:
        return torch.as_tensor(value, dtype=torch.float64).detach()
    except (TypeError, ValueError, RuntimeError):
        return None


def _difference(given: Any, right: Any) -> str:
    """Return the first difference of two results, in words."""
    if isinstance(right, tuple):
        if not isinstance(given, list | tuple) or len(given) != len(right):
            return f"it gives {_short(given)} where {len(right)} results are asked for"
        n = next(n for n, pair in enumerate(zip(given, right, strict=True)) if not _same(*pair))
        return f"in result {n + 1}, {_difference(given[n], right[n])}"
    g, r = _double(given), _double(right)
    if g is None or r is None or g.shape != r.shape or g.numel() == 1:
        return f"it gives {_short(given)} where {_short(right)} is right"
    wrong = ~torch.isclose(g, r, rtol=1e-4, atol=1e-6, equal_nan=True)
    if not wrong.any():
        kinds = [f"{type(x).__name__} of {getattr(x, 'dtype', 'numbers')}" for x in (given, right)]
        return f"the values are right, but not their type: it gives {kinds[0]}, not {kinds[1]}"
    at = wrong.nonzero()[0].tolist()
    first = f"at {at} it gives {_short(g[tuple(at)])} where {_short(r[tuple(at)])} is right"
    return f"{first}; {int(wrong.sum())} of {wrong.numel()} values differ"


def _example(exercise: Exercise, n: int) -> str:
    shown = [
        f"{name} = {_short(x)}" for name, x in zip(exercise.arguments, _samples(exercise)[n], strict=True)
    ]
    text = ", ".join(shown)
    return f", for {text}" if len(text) <= 120 and "of shape" not in text else ""


def _short(value: Any) -> str:
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        if value.ndim and np.prod(value.shape) > 8:
            return f"values of shape {tuple(value.shape)}"
        value = value.tolist()
    if isinstance(value, list | tuple) and len(value) <= 8:
        return "[" + ", ".join(map(_short, value)) + "]"
    if isinstance(value, float):
        return f"{value:.4g}"
    if callable(value):
        return f"the function {getattr(value, '__name__', 'without a name')}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
