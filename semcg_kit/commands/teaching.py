"""Commands for the authors of the course."""

from semcg import files
from semcg_kit.commands.options import Profile

__all__ = ["student", "times"]


def student() -> None:
    """Write quizzes, starters and folded solutions into the notebooks, from notebooks/exercises."""
    from semcg_kit import teaching

    changed = teaching.update()
    for path in changed:
        print(f"written: {path}")
    if not changed:
        print("every notebook has the exercises of notebooks/exercises")


def times(profile: Profile = "mini") -> None:
    """Write into each notebook how long it takes: to read, from its words; to run, from its saved executions.

    The shipped report is one of them as Markdown, and is written again.
    """
    from semcg import protocol
    from semcg_kit import evidence, site, teaching
    from semcg_kit.execution import course, refresh

    results = files.results_folder("world", profile)
    for line in teaching.write_minutes(teaching.FOLDER, teaching.names(), results):
        print(line)
    shipped = protocol.REFERENCE
    print(f"written: {site.markdown(course.notebook_path(course.REPORT), shipped / 'report')}")
    report = [path.relative_to(shipped).as_posix() for path in shipped.glob("report/**/*.*")]
    evidence.seal(shipped, [*refresh.COPIED, *report])
