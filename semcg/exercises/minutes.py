"""How long a notebook takes: minutes to read, from its text, and minutes to run, from the records of its executions.

The time stands in a notebook's first cell between invisible markers, which also hold what it was made from. The map of the
course in notebook 00 is a table between markers of its own.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from semcg import files
from semcg.exercises.cells import generated

__all__ = ["Minutes", "measured", "reading", "records", "stated", "with_map", "with_time", "write"]

_TIME = re.compile(r"<!-- time (\{.*?\}) -->(.*?)<!-- end of time -->", re.DOTALL)
_MAP = re.compile(r"<!-- map -->\n.*?<!-- end of map -->", re.DOTALL)

_WORDS = 170  # a minute, of prose that explains something new
_LINE = 4.0  # seconds for a line of code, to be understood
_FIGURE = 20.0  # seconds for a figure
_PREDICTION = 45.0  # seconds to think and write down what one expects


@dataclass(frozen=True)
class Minutes:
    """What a notebook says of its time.

    Parameters
    ----------
    read : int
        Minutes to read, quiz and exercises apart, in steps of 5.
    seconds : float or None
        Of its execution, trainings included; None if not measured.
    profile : str
        Under which that was measured.
    """

    read: int
    seconds: float | None
    profile: str

    @property
    def text(self) -> str:
        """Markdown for the first cell."""
        run = (
            "its time to run is not measured yet"
            if self.seconds is None
            else f"{spoken(self.seconds)} to run (measured, profile `{self.profile}`)"
        )
        return f"about {self.read} minutes to read, quiz and exercises apart; {run}."


def reading(notebook: NotebookNode) -> int:
    """Return the minutes that reading a notebook takes, quiz and exercises apart, in steps of 5."""
    seconds = 0.0
    for cell in notebook.cells:
        if generated(cell):
            continue
        if cell.cell_type == "code":
            seconds += _LINE * sum(bool(line.strip()) for line in cell.source.splitlines())
            seconds += _FIGURE * str(cell.source).count("notebook.show(")
        else:
            text = re.sub(r"<!--.*?-->", "", cell.source, flags=re.DOTALL)
            seconds += 60 * len(text.split()) / _WORDS
            seconds += _PREDICTION * len(re.findall(r"\*\*(?:Before you|Predict|Write down)", text))
    return max(5, 5 * round(seconds / 60 / 5))


def records(results: Path, name: str) -> list[Path]:
    """Return the records of a notebook's executions in a profile's folder, the newest first, whatever the seed."""
    folder = results / "notebooks"
    there = [*folder.glob(f"{name}.json"), *folder.glob(f"{name}-s*.json")]
    return sorted(there, key=lambda path: path.stat().st_mtime, reverse=True)


def measured(results: Path, name: str) -> float | None:
    """Return the seconds that a notebook takes when nothing is trained yet, from what its executions left.

    The last execution that ended well, less the trainings in it, plus the time of every run that it makes, whenever
    that was trained.

    Parameters
    ----------
    results : Path
        Folder of a profile's results.
    name : str
        Of the notebook, without ending.
    """
    record = next(filter(None, map(_well_ended, records(results, name))), None)
    if record is None:
        return None
    seconds = record["seconds"] - sum(record["trained"].values())
    for run in record["why"].keys() | record["trained"].keys():
        provenance = results / run / "provenance.json"
        if not provenance.is_file():
            return None
        seconds += files.read_json(provenance)["seconds"]
    return seconds


def _well_ended(path: Path) -> dict | None:
    try:
        record = files.read_json(path)
    except ValueError:  # damaged; the status says so
        return None
    return record if record.get("status") == "ok" else None


def spoken(seconds: float) -> str:
    """Return a time in the words of a first cell: a length that survives another machine's speed."""
    if seconds < 45:
        return "less than a minute"
    minutes = max(1, round(seconds / 60))
    return "about a minute" if minutes == 1 else f"about {minutes} minutes"


def stated(notebook: NotebookNode) -> Minutes:
    """Return what the first cell of a notebook says of its time.

    Raises
    ------
    ValueError
        If it has no place for it, or its words are not those of its numbers.
    """
    found = _TIME.search(notebook.cells[0].source)
    if not found:
        raise ValueError("the first cell has no place for the time: <!-- time {} --><!-- end of time -->")
    kept = json.loads(found[1])
    minutes = Minutes(kept.get("read", 0), kept.get("seconds"), kept.get("profile", ""))
    if found[2] != minutes.text and kept:
        raise ValueError(f"the first cell says {found[2]!r}, its numbers say {minutes.text!r}")
    return minutes


def with_time(notebook: NotebookNode, minutes: Minutes) -> NotebookNode:
    """Return a notebook whose first cell states these minutes."""
    fresh = nbformat.from_dict(notebook)
    kept = {
        "read": minutes.read,
        "seconds": minutes.seconds and round(minutes.seconds),
        "profile": minutes.profile,
    }
    stated(fresh)
    text = f"<!-- time {json.dumps(kept)} -->{minutes.text}<!-- end of time -->"
    fresh.cells[0].source = _TIME.sub(lambda _: text, fresh.cells[0].source)
    return fresh


def with_map(notebook: NotebookNode, course: Mapping[str, tuple[str, Minutes]]) -> NotebookNode:
    """Return notebook 00 with the map of the course: notebook -> its question and its minutes."""
    fresh = nbformat.from_dict(notebook)
    rows = ["| notebook | question | minutes to read | to run |", "|---|---|---|---|"]
    for name, (question, m) in course.items():
        run = "not measured" if m.seconds is None else spoken(m.seconds).removeprefix("about ")
        rows.append(f"| [{name}]({name}.ipynb) | {question} | {m.read} | {run} |")
    read = sum(m.read for _, m in course.values())
    seconds = [m.seconds for _, m in course.values()]
    run = "not measured" if None in seconds else spoken(sum(seconds)).removeprefix("about ")
    rows.append(f"| in all | | {read} | {run} |")
    text = "\n".join(["<!-- map -->", "", *rows, "", "<!-- end of map -->"])
    places = [cell for cell in fresh.cells if _MAP.search(cell.source)]
    if len(places) != 1:
        raise ValueError(f"{len(places)} cells hold a map; one should: <!-- map --> ... <!-- end of map -->")
    places[0].source = _MAP.sub(lambda _: text, places[0].source)
    return fresh


def write(folder: Path, names: Sequence[str], results: Path) -> list[str]:
    """Bring the stated times of a folder's notebooks up to date and return a line for each.

    Minutes to run stay as they were where these results hold no execution of a notebook.
    """
    lines, books, course = [], {}, {}
    for name in names:
        book = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        before, found = stated(book), measured(results, name)
        if found is None:
            minutes = Minutes(reading(book), before.seconds, before.profile)
        else:
            minutes = Minutes(reading(book), round(found), results.name)
        books[name] = with_time(book, minutes)
        course[name] = (question_of(book), minutes)
        note = "" if found is not None else f" (no execution in {results.name}: its time to run stays)"
        lines.append(f"{name}: {minutes.text}{note}")
    books[names[0]] = with_map(books[names[0]], course)
    for name, book in books.items():
        with files.atomic(folder / f"{name}.ipynb") as partial:
            nbformat.write(book, partial)
    return lines


def question_of(notebook: NotebookNode) -> str:
    """Return the question that a notebook asks: the line of its first cell that begins with "**The question:**"."""
    found = re.search(r"^\*\*The question:\*\* (.+)$", notebook.cells[0].source, re.MULTILINE)
    if not found:
        raise ValueError('the first cell has no line that begins with "**The question:**"')
    return found[1]
