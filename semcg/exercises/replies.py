"""An exercise, and the reply to an answer: right, the mistake that it makes, or what is visible in its results.

An answer that gives on the samples what a slip of the sheet gives, or two slips together, gets the reply of that slip.
"""

import ast
import itertools
import linecache
import math
import re
import tomllib
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semcg import files

__all__ = ["WAITS", "Exercise", "feedback", "folder"]

WAITS = "Not answered yet: replace the ... and run the cell again."
"""The reply to a starter that was not changed."""
_NONE = (
    "Not yet. Your function returns None: its last line should begin with return (print only shows a value)."
)


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
        return re.match(r"(?:def )?(\w+)", self.solution)[1]

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

    def drawn(self) -> list[list]:
        """Return the samples, lists of arguments, the same at each call."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return [list(sample) for sample in eval(self.samples, _run(""))]


def folder() -> Path:
    """Return the folder of the sheets: in the repository, or a clone of it."""
    roots = (Path(__file__).resolve().parents[2] / "notebooks", files.home() / "notebooks", Path.cwd())
    for root in roots:
        if (root / "exercises").is_dir():
            return root / "exercises"
    raise FileNotFoundError(
        f"no exercises in {roots[0]}: they are part of the repository, so install semcg from a clone of it "
        "(pip install -e .), or set SEMCG_HOME to one"
    )


@cache
def _common() -> dict[str, list[list[str]]]:
    """Return the replies that fit every exercise."""
    return tomllib.loads((folder() / "common.toml").read_text(encoding="utf-8"))


@cache
def _run(source: str) -> dict[str, Any]:
    """Run the code of a sheet and return its names; `torch`, `np`, `nn`, `F`, `math` and `cache` are there."""
    space = {"torch": torch, "np": np, "nn": torch.nn, "F": torch.nn.functional, "math": math}
    space["cache"] = cache
    exec(compile(source, "<exercises>", "exec"), space)
    return space


def feedback(exercise: Exercise, answer: Any) -> str:
    """Return the reply to an answer. Nothing that the answer does can raise here, other than an interrupt."""
    if answer is ...:
        return WAITS
    arguments = ", ".join(exercise.arguments)
    tried = answer if arguments else _number(answer)
    if tried is None or (arguments and not callable(answer)):
        wanted = f"a function of ({arguments})" if arguments else "one number (no quotes, no print)"
        return f"Not yet. {exercise.name} should be {wanted}, it is {_short(answer)}."
    if exercise.check:
        try:
            wrong = _run(exercise.check)["check"](answer)
        except Exception as error:
            return _raised(exercise, error)
        if wrong is ... or wrong is None:
            return WAITS if wrong is ... else _NONE
        return f"Not yet. {wrong}" if wrong else "Right."
    equal = _same if arguments else _near
    values, gradients = _tried(exercise, tried)
    right, right_gradients = _tried(exercise, exercise.answer())
    if values[0] is ... or values[0] is None:
        return WAITS if values[0] is ... else _NONE
    wrong = [n for n, pair in enumerate(zip(values, right, strict=True)) if not equal(*pair)]
    if not wrong:
        rounded = "" if _same(values[0], right[0]) else f" (Rounded. Exactly it is {_short(right[0])}.)"
        package = f" The package has it as {exercise.package}." if exercise.package else ""
        return _gradient(exercise, gradients, right_gradients) or f"Right.{rounded}{package}"
    known = _known(exercise, values, right, wrong, equal)
    error = next((v for v in values if isinstance(v, Exception)), None)
    if error is not None:
        return _raised(exercise, error, known)
    known = known or _guess(values, right)
    if not arguments:
        return f"Not yet. {known or f'{_short(answer)} is not it. {exercise.hints[0]}'}"
    seen = _difference(values[wrong[0]], right[wrong[0]]) + _example(exercise, wrong[0]) + "."
    return "Not yet. " + (
        f"{known} ({seen})" if known else f"{seen[0].upper()}{seen[1:]} {exercise.hints[0]}"
    )


def _number(answer: Any) -> float | None:
    try:
        return None if isinstance(answer, str) else float(answer)
    except (TypeError, ValueError, RuntimeError):
        return None


def _tried(exercise: Exercise, answer: Any) -> tuple[list, list]:
    """Return what an answer gives (or raises) for each sample, and the gradients of the arguments that need one."""
    values, gradients = [], []
    for sample in exercise.drawn():
        parts = []
        for n in map(exercise.arguments.index, exercise.gradient):
            if isinstance(sample[n], torch.nn.Module):
                parts.append(list(sample[n].parameters()))
            else:  # a copy may be changed in place, a tensor that collects gradients may not
                parts.append([sample[n].requires_grad_()])
                sample[n] = sample[n].clone()
        try:
            with torch.enable_grad():
                value = answer(*sample) if callable(answer) else answer
        except Exception as error:
            value = error
        one = isinstance(value, torch.Tensor) and value.requires_grad and value.numel() == 1
        gradients.append([_slope(value, part) if one else torch.zeros(1) for part in parts])
        values.append(value.detach() if isinstance(value, torch.Tensor) else value)
    return values, gradients


def _slope(value: torch.Tensor, part: list[torch.Tensor]) -> torch.Tensor:
    options = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    return torch.cat([slope.flatten() for slope in torch.autograd.grad(value.sum(), part, **options)])


def _gradient(exercise: Exercise, given: list, right: list) -> str:
    """Return what is wrong with the gradients of an answer whose values are right, "" if nothing."""
    for g, r in zip(given, right, strict=True):
        for name, arrives, should in zip(exercise.gradient, g, r, strict=True):
            if _same(arrives, should) or not (arrives.any() or should.any()):
                continue
            if not should.any():
                wrong = f"its gradient reaches {name}, where none may arrive: detach it."
            elif arrives.any():
                wrong = f"a part of the gradient of {name} is missing: is a term detached?"
            else:
                wrong = f"no gradient reaches {name}, so nothing can learn from it: return a tensor, without "
                wrong += ".item(), float(), NumPy, no_grad or .detach() on the way."
            return f"Not yet. The number is right, but {wrong}"
    return ""


# ---------------------------------------------------------------- which mistake it is


@cache
def _slips(exercise: Exercise, count: int) -> list[tuple[list[str], list]]:
    """Return the replies of each mistake (of each two mistakes at once), and what it gives for the samples."""
    codes = [(reply, code) for reply, *codes in exercise.mistakes for code in codes]
    if count == 2:  # one edit for each reply
        codes = list({reply: code for reply, code in reversed(codes) if "=>" in code}.items())
    slipped = []
    for group in itertools.combinations(codes, count):
        replies, slips = zip(*group, strict=True)
        try:
            answer = exercise.answer(*slips) or exercise.answer(*slips[::-1])
        except SyntaxError:  # the two do not fit together
            continue
        if answer is None:
            continue
        with warnings.catch_warnings(action="ignore"):
            values = _tried(exercise, answer)[0]
        if count == 1 or not any((x := _double(v)) is not None and x.isnan().any() for v in values):
            slipped.append((list(replies), values))  # two slips that give nan could be any two
    return slipped


def _known(exercise: Exercise, values: list, right: list, wrong: list[int], equal: Callable) -> str:
    """Return the reply of the mistake that gives the same as an answer for every sample, else for the wrong ones, else ""."""
    one, every = _slips(exercise, 1), range(len(values))

    def first(slips: list, where: Iterable[int], equal: Callable = _same) -> list[str]:
        fits = (replies for replies, gives in slips if all(equal(values[n], gives[n]) for n in where))
        return next(fits, [])

    if replies := first(one, every) or first(one, every, equal):
        return replies[0]
    if (relation := _relation(values, right)) or not exercise.arguments:
        return relation
    if replies := first(one, every, lambda value, gives: _same(value, _negative(gives))):
        return f"Two slips: (1) The sign is flipped. (2) {replies[0]}"
    if isinstance(values[wrong[0]], str | Exception):
        return " ".join(first(one, wrong))
    two = _slips(exercise, 2)
    if replies := first(two, every):
        return f"Two slips: (1) {replies[0]} (2) {replies[1]}"
    return " ".join(first(one, wrong) or first(two, wrong) or first(one, wrong[:1]) or first(two, wrong[:1]))


def _negative(value: Any) -> Any:
    return value if (x := _double(value)) is None else -x


def _relation(given: list, right: list) -> str:
    """Return how results relate to what is right, if all of them do in the same simple way, else ""."""
    pairs = [(_double(g), _double(r)) for g, r in zip(given, right, strict=True)]
    if any(g is None or r is None or g.shape != r.shape for g, r in pairs):
        return ""
    a, b = (torch.cat([pair[i].flatten() for pair in pairs]) for i in (0, 1))
    if not a.isfinite().all() or _same(a, b):
        return ""
    factor = (a / b)[b.abs() > 1e-6]
    several = len(factor) > 1
    for reply, *codes in _common()["results"]:
        for value in (eval(code, {"b": b}) for code in codes):
            if _same(a, value) or (not several and _near(a, value)):
                return reply
    if torch.allclose(a, b, rtol=0.05 if several else 0.1, atol=0):
        return "That is close, but not right: is something rounded (to less than two digits), or counted differently?"
    if several and _same(a, b * factor[0]):
        return f"It is {factor[0]:.4g} times what it should be: a factor is missing, or one is too many."
    if several and _same(a - b, (a - b)[:1].expand_as(a)):
        return f"It is off by the same amount everywhere, {(a - b)[0]:+.4g}."
    return ""


def _guess(given: list, right: list) -> str:
    """Return what is wrong with the form of results, "" if nothing."""
    if any(g is None for g in given):
        return "For some samples your function returns None: is a return missing?"
    if isinstance(right[0], str) and not isinstance(given[0], str):
        return "A word is asked for: return a string."
    for g, r in zip(map(_double, given), map(_double, right), strict=True):
        if g is None or r is None:
            return ""
        if g.shape != r.shape and r.numel() == 1:
            return f"One number is asked for, it gives {_short(g)}: is a mean or a sum missing?"
        if g.shape != r.shape:
            return f"The shape is {tuple(g.shape)}, it should be {tuple(r.shape)}."
        if not g.isfinite().all():
            return "It gives nan or inf: is there a division by 0, or the logarithm of 0 or of a negative number?"
    return ""


def _raised(exercise: Exercise, error: Exception, known: str = "") -> str:
    """Say what raised and where in the learner's code, in place of a traceback."""
    step, where = error.__traceback__, ""
    while step is not None:  # the last frame that is in a notebook's cell, not in a library or a sheet
        code = step.tb_frame.f_code
        if "ipykernel" in code.co_filename or re.match("<(?!exercises)", code.co_filename):
            line = linecache.getline(code.co_filename, step.tb_lineno).strip()
            where = f", in its line {step.tb_lineno - code.co_firstlineno + 1}"
            where += f" ({line})" if line else ""
        step = step.tb_next
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    if not where and isinstance(error, TypeError) and "argument" in text:
        call = f"{exercise.name}({', '.join(exercise.arguments)})"
        return f"Not yet. Your function cannot be called: {error}. It is called as {call}."
    advice = (reply for reply, pattern in _common()["errors"] if re.search(pattern, text))
    return f"Not yet. Your code raises {text}{where}. {known or next(advice, exercise.hints[0])}"


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
    pairs = zip(exercise.arguments, exercise.drawn()[n], strict=True)
    text = ", ".join(f"{name} = {_short(value)}" for name, value in pairs)
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
