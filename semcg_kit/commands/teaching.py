"""Commands for those who write the course: exercises into the notebooks, and the minutes that each takes."""

from pathlib import Path

import typer

from semcg import files
from semcg_kit.commands.options import Profile

__all__ = ["student", "times"]


def student() -> None:
    """Write quizzes, starters and folded solutions into the notebooks, from where they are checked."""
    from semcg.exercises import SHEETS, cells

    changed = cells.write(_notebooks(), list(SHEETS.values()))
    for path in changed:
        print(f"written: {path}")
    if not changed:
        print("every notebook has the exercises of semcg/exercises")


def times(profile: Profile = "mini") -> None:
    """Write into each notebook how long it takes: to read, from its words; to run, from its saved executions.

    The shipped report is one of them as Markdown, and is written again.
    """
    from semcg import protocol
    from semcg.exercises import SHEETS, minutes
    from semcg.runs import course, evidence, refresh
    from semcg_kit import site

    names = [sheet.notebook for sheet in SHEETS.values()]
    for line in minutes.write(_notebooks(), names, files.results_folder("world", profile)):
        print(line)
    shipped = protocol.REFERENCE
    print(f"written: {site.markdown(course.notebook_path(course.REPORT), shipped / 'report')}")
    report = [path.relative_to(shipped).as_posix() for path in shipped.glob("report/**/*.*")]
    evidence.seal(shipped, [*refresh.COPIED, *report])


def _notebooks() -> Path:
    folder = Path(__file__).resolve().parents[2] / "notebooks"
    if not folder.is_dir():
        raise typer.BadParameter(
            f"no folder {folder}: this command works on a checkout, not on an installed package"
        )
    return folder
