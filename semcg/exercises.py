"""Quizzes and exercises of the notebooks: read from `notebooks/exercises`, checked on the spot, written as cells.

A sheet (one TOML file per notebook; its README explains the format) holds questions and exercises. An exercise has a
solution, examples to try an answer on, and mistakes: slips in the solution, each with the reply that names it. An answer
that gives on the examples what a slip gives (or two slips together) gets the reply of that slip.
"""

import ast
import itertools
import linecache
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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

    Parameters
    ----------
    text : str
        The question, plain text.
    choices : mapping of str to str, or list of str
        Choice -> why it is right or wrong; a list if the answer depends on the run.
    right : str
        The right choice; if the answer depends on the run, a Python expression of the run's values `v`.
    values : str
        Python expression in the notebook that gives these values, a mapping; "" if the answer does not depend on the run.
    reason : str
        Python expression of `v`: the reason for each choice, if the answer depends on the run.
    """

    text: str
    choices: Mapping[str, str] | Sequence[str]
    right: str
    values: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Exercise:
    """A value to find or a function to write.

    Parameters
    ----------
    id : str
        Notebook and number, for example "03.2".
    title, task : str
        Heading, and what is asked, in Markdown.
    solution : str
        Python: an assignment, or a function whose docstring is part of the starter.
    hints : list of str
        Two: a nudge, and a stronger one; neither gives the answer away.
    why : str
        A sentence or two below the solution.
    samples : str
        Python expression: a list of argument tuples on which answers are compared. Random numbers are seeded.
    gradient : list of str
        Arguments (tensors or modules) for which the answer has to pass on the same gradient as the solution.
    mistakes : list of (reply, code, ...)
        `code` is an edit of the solution, "old => new" (several: separated by " ; "), or an expression of the arguments.
    check : str
        Python: a function check(answer) that returns what is wrong, "" if nothing, in place of samples where many answers
        are right.
    package : str
        The package's own function that does the same, if there is one.
    """

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
        """Names of the function's arguments; none for a value."""
        node = ast.parse(self.solution).body[0]
        return tuple(a.arg for a in node.args.args) if isinstance(node, ast.FunctionDef) else ()

    @property
    def starter(self) -> str:
        """Python that the learner begins with."""
        if not self.arguments:
            return f"{self.name} = ..."
        return "\n".join([*self.solution.strip().splitlines()[:2], "    return ..."])

    def slip(self, code: str) -> Any:
        """Return the answer with a mistake (see `mistakes`), None if its edit does not fit the solution."""
        source = _variant(self, code)
        return source and _defined(self, source)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The quiz and the exercises of one notebook."""

    notebook: str
    questions: Sequence[Question]
    exercises: Sequence[Exercise]
    open: Mapping[str, str]
    """A question without a check: title, task, and what a good answer mentions."""

    @property
    def number(self) -> str:
        """For example "03" for 03_cyclegan."""
        return self.notebook[:2]


@cache
def sheets() -> dict[str, Sheet]:
    """Return the sheets by the number of their notebook, for example "03"."""
    repository = Path(__file__).resolve().parent.parent
    folders = [root / "notebooks" / "exercises" for root in (repository, files.home())]
    folders += [Path.cwd() / "exercises"]
    folder = next((f for f in folders if f.is_dir()), None)
    if folder is None:
        raise FileNotFoundError(
            f"no exercises in {folders[0]}: they are part of the repository, so install semcg from a clone of it "
            "(pip install -e .), or set SEMCG_HOME to one"
        )
    return {path.name[:2]: _read(path) for path in sorted(folder.glob("[0-9]*.toml"))}


def _read(path: Path) -> Sheet:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    stripped = [
        {k: v.strip() if isinstance(v, str) else v for k, v in e.items()} for e in content["exercise"]
    ]
    return Sheet(
        notebook=path.stem,
        questions=[Question(**q) for q in content["question"]],
        exercises=[Exercise(id=f"{path.name[:2]}.{n}", **e) for n, e in enumerate(stripped, 1)],
        open={k: v.strip() for k, v in content["open"].items()},
    )


# ---------------------------------------------------------------- what a notebook calls


def check(which: str, answer: object) -> None:
    """Say whether an answer to an exercise is right, and if not, what is wrong with it.

    Parameters
    ----------
    which : str
        Notebook and number, for example "03.2".
    answer : value or callable
        What the learner wrote; `...` is not answered yet.
    """
    exercise = _exercise(which)
    reply = feedback(exercise, answer)
    _print(f"{which}  {reply}" + ("" if reply.startswith("Right") else f' Stuck? exercises.hint("{which}")'))


def hint(which: str, step: int = 1) -> None:
    """Print a hint for an exercise, for example "03.2"; step 2 is a stronger one."""
    exercise = _exercise(which)
    step = min(max(step, 1), len(exercise.hints))
    more = "" if step == len(exercise.hints) else f'  (A stronger one: exercises.hint("{which}", {step + 1}))'
    _print(f"Hint for {which}: {exercise.hints[step - 1]}{more}")


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
    number, _, n = str(which).partition(".")
    exercises = _sheet(number).exercises
    if not n.isdigit() or not 1 <= int(n) <= len(exercises):
        raise ValueError(
            f"no exercise {which!r}; notebook {number} has {number}.1 to {number}.{len(exercises)}"
        )
    return exercises[int(n) - 1]


def _print(text: str) -> None:
    print(text)  # noqa: T201  what it prints is a notebook's output


# ---------------------------------------------------------------- replies to a quiz


def graded(question: Question, answer: object, values: Mapping) -> str:
    """Return the reply to a letter, with the reason for that choice; "" if there is no letter."""
    choices = list(question.choices)
    given = "" if answer in (..., None) else str(answer).strip().strip("()[].:,'\"").strip().lower()
    if not given:
        return ""
    given = next((x for x, c in zip(_LETTERS, choices, strict=False) if given == c.lower()), given)
    if len(given) != 1 or given not in _LETTERS[: len(choices)]:
        return f"{answer!r} is not one of the letters {', '.join(_LETTERS[: len(choices)])}."
    choice = choices[_LETTERS.index(given)]
    if not question.values:
        right, reason = question.right, question.choices[choice]
    elif not values or any(isinstance(x, float) and math.isnan(x) for x in values.values()):
        return "This run does not have the numbers for this question (they need other data), so it has no answer here."
    else:
        right, reason = (eval(e, {"v": values}) for e in (question.right, question.reason))
    return f"{given}: {'Right.' if choice == right else 'No.'} {reason}"


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


# ---------------------------------------------------------------- replies to an exercise


def feedback(exercise: Exercise, answer: object) -> str:
    """Return the reply to an answer. Nothing that the answer does can raise here, other than an interrupt."""
    if answer is ...:
        return WAITS
    if not exercise.arguments:
        return _value_feedback(exercise, answer)
    if not callable(answer):
        return f"Not yet. {exercise.name} should be a function of ({', '.join(exercise.arguments)}), it is {_short(answer)}."
    if exercise.check:
        return _checked(exercise, answer)
    tried, expected = _tried(exercise, answer), _tried(exercise, _solution(exercise))
    values = [t.value for t in tried]
    if values[0] is ...:
        return WAITS
    if all(v is None for v in values):
        return _NONE
    wrong = [n for n, (t, e) in enumerate(zip(tried, expected, strict=True)) if not _same(t.value, e.value)]
    if not wrong:
        return _gradient(exercise, tried, expected) or _right(exercise)
    error = next((v for v in values if isinstance(v, Exception)), None)
    known = _known(exercise, values, wrong)
    if error is not None:
        return _raised(exercise, error, known)
    n = wrong[0]
    seen = _difference(values[n], expected[n].value) + _example(exercise, n) + "."
    guess = known or _guess(values, [e.value for e in expected])
    return f"Not yet. {guess} ({seen})" if guess else f"Not yet. {seen} {exercise.hints[0]}"


def _right(exercise: Exercise) -> str:
    return "Right." + (f" The package has it as {exercise.package}." if exercise.package else "")


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
        reply = f"Not yet. {wrong}" if wrong else _right(exercise)
    except Exception as error:
        reply = _raised(exercise, error)
    return WAITS if given and given[0] is ... else _NONE if given and given[0] is None else reply


def _value_feedback(exercise: Exercise, answer: Any) -> str:
    right = float(_solution(exercise)())
    if isinstance(answer, str) or answer is None or callable(answer):
        why = (
            ": leave out the quotes"
            if isinstance(answer, str)
            else ": print shows a value and returns none"
            if answer is None
            else ""
        )
        return f"Not yet. {exercise.name} should be a number, it is {_short(answer)}{why}."
    try:
        given = float(answer)
    except (TypeError, ValueError, RuntimeError):
        return f"Not yet. {exercise.name} should be one number, it is {_short(answer)}."
    if _near(given, right):
        return (
            _right(exercise)
            if math.isclose(given, right, rel_tol=1e-6)
            else f"Right, rounded. Exactly it is {right:.6g}."
        )
    for close in (lambda a, b: math.isclose(a, b, rel_tol=1e-6), _near):
        for (reply,), tried in _slips(exercise):
            if close(given, float(tried[0])):
                return f"Not yet. {reply}"
    known = {
        "That is right as a percentage; write it as a plain number.": right * 100,
        "The sign is flipped.": -right,
        "Upside down: that is 1 divided by the right number.": 1 / right,
    }
    for reply, value in known.items():
        if _near(given, value):
            return f"Not yet. {reply}"
    if math.isclose(given, right, rel_tol=0.05):
        return f"Not yet. {_short(given)} is close, but not right: check the counting, or round to at least two digits."
    return f"Not yet. {_short(given)} is not it. {exercise.hints[0]}"


def _near(given: float, exact: float) -> bool:
    """Whether a number is another one, or that one rounded to at least two significant digits."""
    if math.isclose(given, exact, rel_tol=1e-6, abs_tol=1e-12):
        return True
    return exact != round(exact) and any(
        math.isclose(given, float(f"{exact:.{d}g}"), rel_tol=1e-9) for d in range(2, 7)
    )


@dataclass
class _Try:
    """What an answer made of one example: its value (or what it raised), and the gradients of each argument asked for."""

    value: Any
    gradients: dict[str, list] = field(default_factory=dict)


def _run(source: str) -> dict[str, Any]:
    space: dict[str, Any] = {
        "torch": torch,
        "np": np,
        "nn": torch.nn,
        "F": torch.nn.functional,
        "math": math,
        "cache": cache,
        "same": _same,
    }
    exec(compile(source, "<exercises>", "exec"), space)
    return space


def _solution(exercise: Exercise) -> Callable:
    value = _defined(exercise, exercise.solution)
    return value if exercise.arguments else lambda: value


def _tried(exercise: Exercise, function: Callable) -> list[_Try]:
    """Try a function on fresh examples."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        samples = eval(exercise.samples, _run(""))
        return [
            _one(exercise, function, dict(zip(exercise.arguments, sample, strict=True))) for sample in samples
        ]


def _one(exercise: Exercise, function: Callable, sample: dict) -> _Try:
    leaves = {}
    for name in exercise.gradient:
        given = sample[name]
        leaves[name] = (
            list(given.parameters()) if isinstance(given, torch.nn.Module) else [given.requires_grad_()]
        )
    try:
        value = function(*sample.values())
    except Exception as error:
        return _Try(error)
    if not (isinstance(value, torch.Tensor) and value.requires_grad and value.numel() == 1):
        return _Try(value)
    flat = torch.autograd.grad(value.sum(), list(itertools.chain(*leaves.values())), allow_unused=True)
    rest = iter(flat)
    return _Try(value.detach(), {name: [next(rest) for _ in those] for name, those in leaves.items()})


def _gradient(exercise: Exercise, tried: list[_Try], expected: list[_Try]) -> str:
    """Return what is wrong with the gradients of an answer whose values are right, "" if nothing."""
    for t, e in zip(tried, expected, strict=True):
        for name in exercise.gradient:
            given, right = (
                [g if g is not None and g.any() else None for g in x.gradients.get(name, [None])]
                for x in (t, e)
            )
            if not any(g is not None for g in right):
                if any(g is not None for g in given):
                    return f"Not yet. The number is right, but its gradient reaches {name}, where none may arrive: detach it."
            elif not any(g is not None for g in given):
                return (
                    f"Not yet. The number is right, but no gradient reaches {name}, so nothing can learn from it: return a "
                    "tensor, without .item(), float(), NumPy, no_grad or .detach() on the way."
                )
            elif len(given) != len(right) or not all(_same(g, r) for g, r in zip(given, right, strict=True)):
                return f"Not yet. The number is right, but a part of the gradient of {name} is missing: is a term detached?"
    return ""


# ---------------------------------------------------------------- which mistake it is


def _variant(exercise: Exercise, *codes: str) -> str | None:
    """Return the source of a solution with slips, None if one does not fit (another one took its place)."""
    source = exercise.solution
    for code in codes:
        if "=>" not in code:
            head = (
                f"def slip({', '.join(exercise.arguments)}):\n    return "
                if exercise.arguments
                else f"{exercise.name} = "
            )
            return f"{source}\n{head}{code}"
        for edit in code.split(" ; "):
            old, _, new = (part.strip() for part in edit.partition("=>"))
            head, docstring, body = source.rpartition('"""')
            if old not in body:
                return None
            source = head + docstring + body.replace(old, new)
    return source


def _defined(exercise: Exercise, source: str) -> Any:
    space = _run(source)
    return space.get("slip", space[exercise.name])


def _outcome(exercise: Exercise, source: str) -> list:
    answer = _defined(exercise, source)
    return [t.value for t in _tried(exercise, answer if exercise.arguments else lambda: answer)]


@cache
def _slips(exercise: Exercise) -> list[tuple[tuple[str, ...], list]]:
    """Return what each mistake gives on the examples: (its reply,), values."""
    variants = ((reply, _variant(exercise, code)) for reply, *codes in exercise.mistakes for code in codes)
    return [((reply,), _outcome(exercise, source)) for reply, source in variants if source]


@cache
def _double_slips(exercise: Exercise) -> list[tuple[tuple[str, ...], list]]:
    """Return what two slips together give on the examples: their replies, values."""
    first = [(reply, next((c for c in codes if "=>" in c), "")) for reply, *codes in exercise.mistakes]
    edits = [(reply, code) for reply, code in first if code]
    made = []
    for (one, a), (two, b) in itertools.combinations(edits, 2):
        both = None if one == two else _variant(exercise, a, b) or _variant(exercise, b, a)
        if both:
            try:
                values = _outcome(exercise, both)
            except SyntaxError:  # the two do not fit together
                continue
            if all(
                (x := _double(v)) is None or x.isfinite().all() for v in values
            ):  # nan is too common to tell
                made.append(((one, two), values))
    return made


def _known(exercise: Exercise, values: list, wrong: list[int]) -> str:
    """Return the reply of the mistake that gives the same as an answer, else "".

    On every example if there is one; else of two slips at once, or of one with its sign flipped; else where the answer is wrong.
    """
    every = range(len(values))

    def agrees(made: list, where: Sequence[int], sign: int = 1) -> bool:
        return all(_same(values[n], made[n] if sign == 1 else _negative(made[n])) for n in where)

    for replies, made in _slips(exercise):
        if agrees(made, every):
            return replies[0]
    if agrees([e.value for e in _tried(exercise, _solution(exercise))], every, -1):
        return "The sign is flipped."
    for replies, made in _slips(exercise):
        if agrees(made, every, -1):
            return f"Two slips: (1) The sign is flipped. (2) {replies[0]}"
    for replies, made in _double_slips(exercise):
        if agrees(made, every):
            return f"Two slips: (1) {replies[0]} (2) {replies[1]}"
    informative = not isinstance(values[wrong[0]], str | Exception)
    for where in (wrong, wrong[:1]) if informative else (wrong,):
        for replies, made in [*_slips(exercise), *_double_slips(exercise)]:
            if agrees(made, where):
                return " ".join(replies)
    return ""


def _negative(value: Any) -> Any:
    try:
        return [_negative(v) for v in value] if isinstance(value, list | tuple) else -value
    except (TypeError, RuntimeError):
        return value


def _guess(given: list, expected: list) -> str:
    """Name a slip that is visible in the numbers alone."""
    pairs = [(_double(a), _double(b)) for a, b in zip(given, expected, strict=True)]
    if any(a is None or b is None for a, b in pairs):
        return ""
    for a, b in pairs:
        if a.shape != b.shape and b.numel() == 1:
            return f"One number is asked for, it gives {_short(a)}: is a mean or a sum missing?"
        if a.shape != b.shape:
            return f"The shape is {tuple(a.shape)}, it should be {tuple(b.shape)}."
    a, b = (torch.cat([p[i].flatten() for p in pairs]) for i in (0, 1))
    if _equal(a, b):
        return ""
    if not a.isfinite().all():
        return "It gives nan or inf: is there a division by 0, or the logarithm of 0 or of a negative number?"
    if not a.any():
        return "It gives 0 everywhere."
    if len(a) > 1 and (a == a[0]).all() and not (b == b[0]).all():
        return "It gives the same for every example: it has to depend on what the function gets."
    if torch.allclose(a, b, rtol=0.02, atol=0):
        return "That is close, but not exact: is something rounded, or counted a little differently?"
    factor = (a / b)[b.abs() > 1e-6]
    if len(factor) > 1 and _equal(a, b * factor[0]):
        return f"It is {factor[0]:.4g} times what it should be: a factor is missing, or one is too many."
    if _equal(a * b, torch.ones_like(b)):
        return "It is upside down: 1 divided by what it should be."
    if len(a) > 1 and _equal(a - b, (a - b)[:1].expand_as(a)):
        return f"It is off by the same amount everywhere, {(a - b)[0]:+.4g}."
    if _equal(a, b.square()):
        return "It is the square of what it should be."
    if torch.allclose(a, b.round(), atol=1e-6) or torch.allclose(a, b.floor(), atol=1e-6):
        return "It is rounded to whole numbers: is there a // or an int()?"
    return ""


def _raised(exercise: Exercise, error: Exception, known: str = "") -> str:
    """Say what raised and where in the learner's code, in place of a traceback."""
    step, where = error.__traceback__, ""
    while step is not None:  # the last frame that is in a notebook's cell, not in a library
        code = step.tb_frame.f_code
        if "ipykernel" in code.co_filename or (
            code.co_filename.startswith("<") and code.co_filename != "<exercises>"
        ):
            line = linecache.getline(code.co_filename, step.tb_lineno).strip()
            where = f", in its line {step.tb_lineno - code.co_firstlineno + 1}" + (
                f" ({line})" if line else ""
            )
        step = step.tb_next
    call = f"{exercise.name}({', '.join(exercise.arguments)})"
    text = f"{type(error).__name__}: {error}"
    if not where and isinstance(error, TypeError) and "argument" in text:
        return f"Not yet. Your function cannot be called: {error}. It is called as {call}."
    advice = known or next((a for pattern, a in _ADVICE if re.search(pattern, text)), "")
    return f"Not yet. Your code raises {text.splitlines()[0]}{where}. {advice or exercise.hints[0]}"


_ADVICE = (
    ("return_types", "With a dim, torch's max, min, sort and median return values and indices: take .values."),
    ("Can't call numpy|__array__", "NumPy cuts the gradient: use torch's functions."),
    ("'numpy.*' object has no attribute|not numpy", "The function gets NumPy arrays, which have no torch methods: use NumPy's."),
    ("'Tensor' object has no attribute", "Torch's tensors have other methods than NumPy's arrays: see torch's documentation."),
    ("'(float|int|str|list|tuple|dict|bool)' object has no attribute", "That is a plain Python value, not a tensor: use math or np."),
    ("must match the size|broadcast", "The shapes do not fit together: keepdim=True keeps an axis that you reduced."),
    ("^NameError|^UnboundLocalError", "A name is not defined: is it spelled as in the arguments, or not imported?"),
    ("KeyError|out of (bounds|range)", "It looks for an entry that is not there: not every key or index exists."),
    ("must be Tensor|got (float|int|numpy)|'float' and|not float", "Torch's functions want tensors: for plain numbers use math or np."),
)  # fmt: skip


# ---------------------------------------------------------------- comparing and showing values


def _same(a: Any, b: Any) -> bool:
    """Whether an answer is what it should be: shape and values within 1e-4; bytes and pairs also by type."""
    if isinstance(a, Exception) or isinstance(b, Exception):
        return type(a) is type(b) and str(a) == str(b)
    if isinstance(b, torch.Tensor) and b.dtype == torch.uint8 and getattr(a, "dtype", None) != torch.uint8:
        return False
    if isinstance(b, tuple) and isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return _equal(a, b)


def _equal(a: Any, b: Any) -> bool:
    x, y = _double(a), _double(b)
    if x is None or y is None:
        return type(a) is type(b) and x is y and bool(a == b)
    if x.numel() == y.numel() == 1:
        x, y = x.reshape(()), y.reshape(())
    return x.shape == y.shape and torch.allclose(x, y, rtol=1e-4, atol=1e-6, equal_nan=True)


def _double(value: Any) -> torch.Tensor | None:
    if isinstance(value, list | tuple):
        value = [v.detach() if isinstance(v, torch.Tensor) else v for v in value]
    try:
        return torch.as_tensor(value).detach().double()
    except (TypeError, ValueError, RuntimeError):
        return None


def _difference(given: Any, right: Any) -> str:
    """Return the first difference of two values, in words."""
    if isinstance(right, tuple):
        if not isinstance(given, list | tuple) or len(given) != len(right):
            return f"it gives {_short(given)}, where {len(right)} results are asked for"
        n = next(i for i, (g, r) in enumerate(zip(given, right, strict=True)) if not _same(g, r))
        return f"in result {n + 1}, {_difference(given[n], right[n])}"
    g, r = _double(given), _double(right)
    if g is None or r is None or g.shape != r.shape or g.numel() == 1:
        return f"it gives {_short(given)} where {_short(right)} is right"
    wrong = ~torch.isclose(g, r, rtol=1e-4, atol=1e-6, equal_nan=True)
    if not wrong.any():
        return f"the values are right, but not their type: it gives {_kind(given)} where {_kind(right)} is asked for"
    at = wrong.nonzero()[0].tolist()
    place = ", ".join(map(str, at))
    return f"at [{place}] it gives {_short(g[tuple(at)])} where {_short(r[tuple(at)])} is right; {int(wrong.sum())} of {wrong.numel()} values differ"


def _kind(value: Any) -> str:
    return str(getattr(value, "dtype", type(value).__name__))


def _example(exercise: Exercise, n: int) -> str:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sample = eval(exercise.samples, _run(""))[n]
    text = ", ".join(f"{name} = {_short(v)}" for name, v in zip(exercise.arguments, sample, strict=True))
    return f", for {text}" if len(text) <= 120 and "of shape" not in text else ""


def _short(value: Any) -> str:
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        tensor = torch.as_tensor(value).detach()
        if tensor.ndim == 0:
            return f"{tensor.item():.4g}" if tensor.is_floating_point() else str(tensor.item())
        if tensor.numel() > 8:
            return f"values of shape {tuple(tensor.shape)}"
        return str(np.array(tensor.tolist()).round(4).tolist())
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple) and len(value) <= 4:
        return (
            "(" * isinstance(value, tuple)
            + "[" * isinstance(value, list)
            + ", ".join(map(_short, value))
            + ("]" if isinstance(value, list) else ")")
        )
    if callable(value):
        return f"the function {getattr(value, '__name__', 'without a name')}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
