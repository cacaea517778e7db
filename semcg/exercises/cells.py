"""A sheet as notebook cells, and into its notebook: starters, folded solutions, the quiz.

The cells are known by their ids, "quiz..." and "exercises...". What a learner has typed into them is overwritten.
"""

from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from semcg import files
from semcg.exercises.feedback import WAITS, quiz_text
from semcg.exercises.kinds import Exercise, Sheet

__all__ = ["PER_CELL", "cells_of", "filled", "generated", "write"]

PER_CELL = 2
"""Exercises in one code cell, so that a notebook stays within its number of cells."""

_IMPORT = "from semcg import exercises"


def cells_of(sheet: Sheet) -> list[NotebookNode]:
    """Return the quiz and the exercises of a notebook as fresh cells, with the output of untouched starters."""
    made = [
        _markdown("quiz-text", _quiz_text(sheet)),
        _code("quiz", _quiz_code(sheet), quiz_text(sheet.questions, [], {}) + "\n"),
    ]
    numbered = list(enumerate(sheet.exercises, 1))
    for part, start in enumerate(range(0, len(numbered), PER_CELL), 1):
        group = numbered[start : start + PER_CELL]
        opening = [_opening(sheet)] if part == 1 else []
        made += [
            _markdown(f"exercises-text-{part}", "\n\n".join([*opening, *(_task(n, e) for n, e in group)])),
            _code(
                f"exercises-{part}",
                "\n".join([_IMPORT, *(_starter(sheet, n, e) for n, e in group)]) + "\n",
                "".join(
                    f'{sheet.number}.{n}  {WAITS} Stuck? exercises.hint("{sheet.number}.{n}")\n'
                    for n, _ in group
                ),
            ),
            _markdown(f"exercises-solutions-{part}", "\n\n".join(_solution(n, e) for n, e in group)),
        ]
    last = len(numbered) + 1
    text = f"**{last}. {sheet.open.title}** *(open: no check)*\n\n{sheet.open.task}"
    text += _folded("What a good answer touches", sheet.open.good)
    return [*made, _markdown("exercises-open", text)]


def generated(cell: NotebookNode) -> bool:
    """Whether a cell is one of those that `cells_of` makes."""
    return cell.id.startswith(("quiz", "exercises"))


def filled(notebook: NotebookNode, sheet: Sheet) -> NotebookNode:
    """Return a notebook with its quiz and exercises as the sheet has them, in their old place or before its last cell.

    Other cells stay as they are, but for their execution counts, which run from 1.
    """
    fresh = nbformat.from_dict(notebook)
    places = [i for i, cell in enumerate(fresh.cells) if generated(cell)]
    at = places[0] if places else len(fresh.cells) - 1
    kept = [cell for cell in fresh.cells if not generated(cell)]
    fresh.cells = [*kept[:at], *cells_of(sheet), *kept[at:]]
    count = 0
    for cell in fresh.cells:
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
    return fresh


def write(folder: Path, sheets: Sequence[Sheet]) -> list[Path]:
    """Bring the notebooks of a folder up to date with their sheets, and return those that had to change."""
    changed = []
    for sheet in sheets:
        path = folder / f"{sheet.notebook}.ipynb"
        old = nbformat.read(path, as_version=4)
        new = filled(old, sheet)
        if new != old:
            with files.atomic(path) as partial:
                nbformat.write(new, partial)
            changed.append(path)
    return changed


def _quiz_text(sheet: Sheet) -> str:
    return (
        "## Check yourself\n\nRun the cell to see the questions. Put a letter for each into `answers` and "
        "run it again: "
        "every choice, also each wrong one, gets a reason."
    )


def _quiz_code(sheet: Sheet) -> str:
    blanks = ", ".join(['""'] * len(sheet.questions))
    values = "".join(f", {q.values}" for q in sheet.questions if q.values)
    call = f'exercises.quiz("{sheet.number}", answers{values})'
    if len(call) > 110:
        name = "of_this_run"
        call = f'{name} = {values[2:]}\nexercises.quiz("{sheet.number}", answers, {name})'
    return f'{_IMPORT}\n\nanswers = [{blanks}]  # ["a", "c", "b"] say\n{call}'


def _opening(sheet: Sheet) -> str:
    return (
        "## Exercises\n\nReplace each `...` and run the cell: it tries your code on examples and says what "
        "is wrong with it. "
        f'`exercises.hint("{sheet.number}.1")` helps on; the solutions are folded away below.'
    )


def _task(n: int, exercise: Exercise) -> str:
    return f"**{n}. {exercise.title}**\n\n{exercise.task}"


def _starter(sheet: Sheet, n: int, exercise: Exercise) -> str:
    gap = "\n\n" if exercise.arguments else ""
    return f'\n{gap[1:]}{exercise.starter}\n{gap}exercises.check("{sheet.number}.{n}", {exercise.name})'


def _solution(n: int, exercise: Exercise) -> str:
    return _folded(f"Solution of {n}", f"```python\n{exercise.shown}\n```\n\n{exercise.why}").strip()


def _folded(summary: str, text: str) -> str:
    return f"\n\n<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def _markdown(name: str, text: str) -> NotebookNode:
    return new_markdown_cell(text, id=name)


def _code(name: str, source: str, output: str) -> NotebookNode:
    outputs = [new_output("stream", name="stdout", text=output)]
    return new_code_cell(source.rstrip("\n"), id=name, outputs=outputs)
