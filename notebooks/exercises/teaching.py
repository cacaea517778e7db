"""What the authors of the course commit: notebooks with exercises, outputs and measured minutes, and the README's tables."""

import json
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from notebooks import exercises
from semcg import files, report
from semcg.config import Config
from semcg.protocol import REFERENCE, Protocol
from semcg_kit.evidence import seal
from semcg_kit.execution import course as courses

FOLDER = courses.NOTEBOOKS


def update() -> list[Path]:
    """Write quizzes, starters and folded solutions into the notebooks, and return those that changed."""
    changed = []
    for sheet in exercises.sheets().values():
        path = FOLDER / f"{sheet.notebook}.ipynb"
        old = nbformat.read(path, as_version=4)
        new = filled(old, sheet)
        if new != old:
            _write(path, new)
            changed.append(path)
    return changed


def _write(path: Path, notebook: NotebookNode) -> None:
    with files.atomic(path) as partial:
        nbformat.write(notebook, partial)


# ---------------------------------------------------------------- a sheet as notebook cells


def generated(cell: NotebookNode) -> bool:
    """Whether a notebook cell is written from a sheet, and overwritten by `semcg student`."""
    return cell.id.startswith(("quiz", "exercises"))


def filled(notebook: NotebookNode, sheet: exercises.Sheet) -> NotebookNode:
    """Return a notebook with the quiz and the exercises of its sheet, in their old place or before its last cell.

    Other cells stay unchanged, except for their execution counts, which run from 1.
    """
    fresh = nbformat.from_dict(notebook)
    places = [i for i, cell in enumerate(fresh.cells) if generated(cell)]
    at = places[0] if places else len(fresh.cells) - 1
    kept = [cell for cell in fresh.cells if not generated(cell)]
    fresh.cells = [*kept[:at], *_cells(sheet), *kept[at:]]
    for count, cell in enumerate((c for c in fresh.cells if c.cell_type == "code"), 1):
        cell.execution_count = count
    return fresh


_IMPORT = "from notebooks import exercises"
_QUIZ = """## Check yourself

Run the cell to see the questions. Put a letter for each into `answers` and run it again: you get an explanation for \
every choice, including the wrong ones."""
_EXERCISES = """## Exercises

Replace each `...` and run the cell: it tries your code on examples and says what is wrong with it. \
`exercises.hint("{0}")` gives a hint, `exercises.hint("{0}", 2)` a stronger one. The solutions are folded away below."""


def _cells(sheet: exercises.Sheet) -> Iterator[NotebookNode]:
    yield new_markdown_cell(_QUIZ, id="quiz-text")
    yield _code("quiz", _quiz_code(sheet), exercises.quiz_text(sheet.questions, [], {}) + "\n")
    numbered = list(enumerate(sheet.exercises, 1))
    for part, start in enumerate(range(0, len(numbered), 2), 1):  # two in a cell, to keep notebooks short
        group = numbered[start : start + 2]
        texts = [_EXERCISES.format(sheet.exercises[0].id)] if part == 1 else []
        texts += [f"**{n}. {e.title}**\n\n{e.task}" for n, e in group]
        yield new_markdown_cell("\n\n".join(texts), id=f"exercises-text-{part}")
        waiting = "".join(f'{e.id}  {exercises.WAITS} Stuck? exercises.hint("{e.id}")\n' for _, e in group)
        yield _code(f"exercises-{part}", "\n".join([_IMPORT, *(_starter(e) for _, e in group)]), waiting)
        shown = [_folded(f"Solution of {n}", f"```python\n{e.solution}\n```\n\n{e.why}") for n, e in group]
        yield new_markdown_cell("\n\n".join(shown), id=f"exercises-solutions-{part}")
    title, task, good = (sheet.open[key] for key in ("title", "task", "good"))
    text = f"**{len(numbered) + 1}. {title}** *(open: no check)*\n\n{task}\n\n"
    yield new_markdown_cell(text + _folded("What a good answer mentions", good), id="exercises-open")


def _quiz_code(sheet: exercises.Sheet) -> str:
    blanks = ", ".join(['""'] * len(sheet.questions))
    values = "".join(q.values for q in sheet.questions)
    call = f'exercises.quiz("{sheet.number}", answers, {values})'
    if len(call) > 110:
        call = f'of_this_run = {values}\nexercises.quiz("{sheet.number}", answers, of_this_run)'
    return f'{_IMPORT}\n\nanswers = [{blanks}]  # for example ["a", "c", "b"]\n{call}'


def _starter(exercise: exercises.Exercise) -> str:
    gap = "\n\n" if exercise.arguments else ""
    return f'\n{gap[1:]}{exercise.starter}\n{gap}exercises.check("{exercise.id}", {exercise.name})'


def _folded(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def _code(name: str, source: str, output: str) -> NotebookNode:
    return new_code_cell(source, id=name, outputs=[new_output("stream", name="stdout", text=output)])


# ---------------------------------------------------------------- minutes

_TIME = re.compile(r"<!-- time (\{.*?\}) -->(.*?)<!-- end of time -->", re.DOTALL)
_MAP = ("<!-- map -->\n", "<!-- end of map -->")


@dataclass(frozen=True)
class Minutes:
    """What a notebook's first cell says about its time.

    Parameters
    ----------
    read : int
        Minutes to read, without quiz and exercises, in steps of 5.
    seconds : float or None
        To execute it, trainings included; None if not measured.
    profile : str
        Under which that was measured.
    """

    read: int
    seconds: float | None
    profile: str

    @property
    def text(self) -> str:
        """Markdown for the first cell."""
        run = "its time to run is not measured yet"
        if self.seconds is not None:
            run = f"{_spoken(self.seconds)} to run (measured, profile `{self.profile}`)"
        return f"about {self.read} minutes to read, without quiz and exercises; {run}."


def reading(notebook: NotebookNode) -> int:
    """Return the minutes to read a notebook without quiz and exercises, in steps of 5.

    170 words of prose a minute, 4 s for a line of code, 20 s for a figure, 45 s to write down a prediction.
    """
    seconds = 0.0
    for cell in notebook.cells:
        if generated(cell):
            continue
        if cell.cell_type == "code":
            seconds += 4 * sum(bool(line.strip()) for line in cell.source.splitlines())
            seconds += 20 * cell.source.count("notebook.show(")
        else:
            text = re.sub(r"<!--.*?-->", "", cell.source, flags=re.DOTALL)
            seconds += 60 * len(text.split()) / 170
            seconds += 45 * len(re.findall(r"\*\*(?:Before you|Predict|Write down)", text))
    return max(5, 5 * round(seconds / 60 / 5))


def measured(results: Path, name: str) -> float | None:
    """Return the seconds that a notebook takes when nothing is trained yet; None if its executions do not say.

    The newest execution that ended well, whatever its seed, minus the trainings in it, plus the time of every run that it
    trains, whenever that was trained.
    """
    folder = results / "notebooks"
    paths = [*folder.glob(f"{name}.json"), *folder.glob(f"{name}-s*.json")]
    newest_first = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
    record = next((r for r in map(files.read_record, newest_first) if r.get("status") == "ok"), None)
    if record is None:
        return None
    provenance = [results / run / "provenance.json" for run in record["why"] | record["trained"]]
    if not all(path.is_file() for path in provenance):
        return None
    own = record["seconds"] - sum(record["trained"].values())
    return own + sum(files.read_json(path)["seconds"] for path in provenance)


def _spoken(seconds: float) -> str:
    if seconds < 45:
        return "less than a minute"
    return f"about {minutes} minutes" if (minutes := round(seconds / 60)) > 1 else "about a minute"


def stated(notebook: NotebookNode) -> Minutes:
    """Return what the first cell of a notebook says about its time.

    Raises
    ------
    ValueError
        If it has no place for it, or its words do not fit its numbers.
    """
    time = _TIME.search(notebook.cells[0].source)
    if not time:
        raise ValueError("the first cell has no place for the time: <!-- time {} --><!-- end of time -->")
    numbers = json.loads(time[1])
    minutes = Minutes(**{"read": 0, "seconds": None, "profile": ""} | numbers)
    if numbers and time[2] != minutes.text:
        raise ValueError(f"the first cell says {time[2]!r}, its numbers say {minutes.text!r}")
    return minutes


def with_map(notebook: NotebookNode, course: Mapping[str, tuple[str, Minutes]]) -> NotebookNode:
    """Return notebook 00 with the map of the course: notebook -> its question and its minutes."""

    def run(seconds: list[float | None]) -> str:
        return "not measured" if None in seconds else _spoken(sum(seconds)).removeprefix("about ")

    rows = ["| notebook | question | minutes to read | to run |", "|---|---|---|---|"]
    for name, (asks, of) in course.items():
        rows.append(f"| [{name}]({name}.ipynb) | {asks} | {of.read} | {run([of.seconds])} |")
    minutes = [of for _, of in course.values()]
    rows.append(f"| in all | | {sum(m.read for m in minutes)} | {run([m.seconds for m in minutes])} |")
    fresh = nbformat.from_dict(notebook)
    cell = next((cell for cell in fresh.cells if _MAP[0] in cell.source), fresh.cells[0])
    cell.source = between(cell.source, "\n".join(["", *rows, "", ""]), _MAP)
    return fresh


def write_minutes(folder: Path, names: list[str], results: Path) -> list[str]:
    """Bring the stated times of a folder's notebooks up to date and return a line for each.

    Minutes to run stay unchanged where these results have no execution of a notebook.
    """
    lines, books, course = [], {}, {}
    for name in names:
        book = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        before, seconds = stated(book), measured(results, name)
        kept = (before.seconds, before.profile) if seconds is None else (round(seconds), results.name)
        minutes = Minutes(reading(book), *kept)
        text = f"<!-- time {json.dumps(vars(minutes))} -->{minutes.text}<!-- end of time -->"
        book.cells[0].source = _TIME.sub(lambda _, text=text: text, book.cells[0].source)
        books[name], course[name] = book, (question(book), minutes)
        note = f" (no execution in {results.name}: its time to run is unchanged)" if seconds is None else ""
        lines.append(f"{name}: {minutes.text}{note}")
    books[names[0]] = with_map(books[names[0]], course)
    for name, book in books.items():
        _write(folder / f"{name}.ipynb", book)
    return lines


def write_times(profile: str) -> list[str]:
    """Write the minutes of a profile into the course's notebooks, and return a line for each."""
    names = [sheet.notebook for sheet in exercises.sheets().values()]
    return write_minutes(FOLDER, names, files.results_folder("world", profile))


def question(notebook: NotebookNode) -> str:
    """Return the question that a notebook asks: the line of its first cell that begins with "**The question:**"."""
    line = re.search(r"^\*\*The question:\*\* (.+)$", notebook.cells[0].source, re.MULTILINE)
    if not line:
        raise ValueError('the first cell has no line that begins with "**The question:**"')
    return line[1]


# ---------------------------------------------------------------- from an executed course to what is committed

OUTSIDE = (courses.EVIDENCE, "07_real_time", "08_beyond")
"""Notebooks outside of the sequence, which `refresh` executes itself; 08 uses the CycleGAN of 03 where it is trained."""

TABLE = ("<!-- table: written by `make notebooks` -->\n", "<!-- end of table -->\n")
LEDGER = ("<!-- ledger: written by `semcg ship` -->\n", "<!-- end of ledger -->\n")
"""Marks of the places of the comparison and of the verdicts in pages."""

RESULTS = Path("docs", "results.md")
"""The page with the table of one run and the verdicts, below the repository's folder."""

COPIED = ("table.txt", "table.csv")
"""Names of what of a course goes into `results/reference/`."""

_WIDGET = "application/vnd.jupyter.widget-view+json"  # dead without its kernel; a picture accompanies it


def cleaned(executed: NotebookNode, *, source: NotebookNode) -> NotebookNode:
    """Return the source notebook with the outputs of its executed copy.

    Left out are the injected parameters, all timings, widget state and whatever else papermill notes down. Cells
    tagged "timing" keep no output. Execution counts run from 1, since nbval compares only cells that have one.

    Raises
    ------
    ValueError
        If the executed notebook does not have the cells of the source.
    """
    executed_cells = {cell.id: cell for cell in executed.cells}
    fresh = nbformat.from_dict(source)
    count = 0
    for cell in fresh.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k == "tags"}
        if cell.cell_type != "code":
            continue
        ran = executed_cells.get(cell.id)
        if ran is None or ran.source != cell.source:
            raise ValueError(f"cell {cell.id} is not in the executed notebook; run it again")
        count += 1
        cell.execution_count = count
        outputs = [] if "timing" in cell.metadata.get("tags", []) else ran.outputs
        cell.outputs = [output for output in outputs if _WIDGET not in output.get("data", {})]
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = None
    fresh.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    # Where a kernel cuts its text into streams depends on the load of the machine.
    return CoalesceStreamsPreprocessor().preprocess(fresh, {})[0]


def table_in(page: str, table: str) -> str:
    """Return the text of a page with the comparison's table in its place."""
    table = table.strip("\n")  # not the blanks: a heading may begin with them
    return between(page, f"```\n{table}\n```\n", TABLE)


def write_verdicts(decided: Protocol, folder: Path = REFERENCE) -> None:
    """Write the verdicts of an evidence folder into README.md, a line per claim, and into `RESULTS`, a line per row."""
    _, rows, _ = report.tables(folder, decided)
    short = f"{report.limits(rows, decided)}\n\n{report.claims_table(rows, decided)}"
    for page, shown in (Path("README.md"), short), (RESULTS, report.rows_table(rows, decided)):
        path = FOLDER.parent / page
        files.write_text(path, between(path.read_text(encoding="utf-8"), f"{shown}\n", LEDGER))


def between(text: str, content: str, marks: tuple[str, str]) -> str:
    begin, end = marks
    before, begun, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise ValueError(f"there is no place for it: {begin.strip()} ... {end.strip()}")
    return f"{before}{begin}{content}{end}{after}"


def refresh(config: Config) -> list[Path]:
    """Replace what is committed of a course by what a stored execution of it left, and return the paths.

    The notebooks' outputs, those outside of the sequence executed first; the comparison in
    `results/reference/`; the table of `RESULTS`.

    Parameters
    ----------
    config : Config
        That the course ran with: a profile and a seed, on the world.
    """
    written = []
    for name in (*courses.SEQUENCE, *OUTSIDE):
        path = courses.notebook_path(name)
        if name in OUTSIDE:
            courses.run(path, config, {}, say=lambda line: None)
        executed = nbformat.read(courses.output_of(path, config, {}), as_version=4)
        fresh = cleaned(executed, source=nbformat.read(path, as_version=4))
        code = courses.code_digest(path)
        fresh.metadata["semcg"] = {"profile": config.profile, "seed": config.seed, "code": code}
        _write(path, fresh)
        written.append(path)
    for name in COPIED:
        with files.atomic(REFERENCE / name) as partial:
            shutil.copyfile(courses.evaluation_folder(config, {}) / name, partial)
        written.append(REFERENCE / name)
    page = FOLDER.parent / RESULTS
    table = (REFERENCE / "table.txt").read_text()
    files.write_text(page, table_in(page.read_text(encoding="utf-8"), table))
    seal(REFERENCE, COPIED)
    return [*written, page]


def markdown(notebook: Path, out: Path) -> Path:
    """Write what an executed notebook says and shows as `out/<name>.md`, with its figures in `out/figures/`, and return the text's path.

    Figures that an earlier call left in `out/figures/` are replaced.
    """
    from nbconvert import MarkdownExporter
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    exporter = MarkdownExporter(preprocessors=[CoalesceStreamsPreprocessor], exclude_input=True)
    text, _ = exporter.from_notebook_node(nbformat.read(notebook, as_version=4))
    figures = out / "figures"
    shutil.rmtree(figures, ignore_errors=True)

    def to_file(figure: re.Match) -> str:
        figures.mkdir(parents=True, exist_ok=True)
        path = figures / f"{notebook.stem}_{len(list(figures.iterdir())) + 1}.webp"
        path.write_bytes(b64decode(figure[2]))
        return f"![{figure[1]}](figures/{path.name})\n\n*{figure[3]}*"

    shown = r'<figure><img alt="([^"]*)" src="data:image/webp;base64,([^"]+)"><figcaption>(.*?)</figcaption></figure>'
    text = re.sub(shown, to_file, text)
    files.write_text(out / f"{notebook.stem}.md", text)
    return out / f"{notebook.stem}.md"
