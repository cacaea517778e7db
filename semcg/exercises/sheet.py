"""The sheets: quizzes and exercises as written in `notebooks/exercises`, one TOML file per notebook.

The README there explains every field.
"""

import ast
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semcg import files

__all__ = ["Exercise", "Question", "Sheet", "common", "run", "sheets"]


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
        return run(source)[name]


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
    return {path.name[:2]: _sheet_of(path) for path in sorted(_folder().glob("[0-9]*.toml"))}


def _sheet_of(path: Path) -> Sheet:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    for fields in (*content["exercise"], content["open"]):
        fields |= {key: value.strip() for key, value in fields.items() if isinstance(value, str)}
    return Sheet(
        notebook=path.stem,
        questions=[Question(**q) for q in content["question"]],
        exercises=[Exercise(id=f"{path.name[:2]}.{n}", **e) for n, e in enumerate(content["exercise"], 1)],
        open=content["open"],
    )


@cache
def common() -> dict[str, list[list[str]]]:
    """Return the replies that fit every exercise."""
    return tomllib.loads((_folder() / "common.toml").read_text(encoding="utf-8"))


def _folder() -> Path:
    roots = (Path(__file__).resolve().parents[2] / "notebooks", files.home() / "notebooks", Path.cwd())
    for root in roots:
        if (root / "exercises").is_dir():
            return root / "exercises"
    raise FileNotFoundError(
        f"no exercises in {roots[0]}: they are part of the repository, so install semcg from a clone of it "
        "(pip install -e .), or set SEMCG_HOME to one"
    )


@cache
def run(source: str) -> dict[str, Any]:
    """Run the code of a sheet and return its names; `torch`, `np`, `nn`, `F`, `math` and `cache` are there."""
    space = {"torch": torch, "np": np, "nn": torch.nn, "F": torch.nn.functional, "math": math}
    space["cache"] = cache
    exec(compile(source, "<exercises>", "exec"), space)
    return space
