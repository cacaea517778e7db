"""Commands about the course itself: its pages, its status, and whether this machine is ready for it."""

from pathlib import Path
from typing import Annotated

import typer

from semcg import files

__all__ = ["doctor", "site", "status"]

_ROOT = Path(__file__).resolve().parents[2]

Results = Annotated[
    Path | None, typer.Option(help="Folder with the results of each profile; default: your own.")
]


def site(
    out: Annotated[
        Path | None, typer.Option(help="Folder of the pages; default: site/ in the repository.")
    ] = None,
    results: Results = None,
) -> None:
    """Render the course into pages that work offline; fail once they are written where a stated time is wrong."""
    from semcg import pages

    notebooks, found = _notebooks(), _rows(results)
    reports = (_ROOT / "results" / "reference" / "report.ipynb", _ROOT / "notebooks" / "06_report.ipynb")
    made = pages.build(
        (out or _ROOT / "site").resolve(),
        notebooks=notebooks,
        report=next((path for path in reports if path.is_file()), None),
        documents=sorted((_ROOT / "docs").glob("*.md")),
        status=found,
    )
    print(f"{len(made)} pages; open {made[0]}")
    if wrong := [pages.sentence(row) for row in found if row.off]:
        print("\n" + "\n".join(wrong))
        print(
            "The pages are whole, and their page Status says the same. A machine that is slower or busier than the\n"
            "one that the notebooks' times come from ends here too: its pages are as good."
        )
        raise typer.Exit(1)


def status(results: Results = None) -> None:
    """Say how each notebook's last run ended, how long it took and on what; fail where a stated time is wrong."""
    from semcg import pages

    found = _rows(results)
    print(pages.table(found))
    if any(row.off for row in found):
        raise typer.Exit(1)


def doctor() -> None:
    """Check this machine: what is missing or slow, and what to do. Fails if something is missing."""
    from semcg_kit.doctor import examine, report

    findings = examine()
    print(report(findings))
    if any(finding.state == "MISSING" for finding in findings):
        raise typer.Exit(1)


def _notebooks() -> list[Path]:
    from semcg.runs.course import REPORT, SEQUENCE, notebook_path
    from semcg.runs.refresh import BESIDE

    return [notebook_path(name) for name in (*SEQUENCE, *BESIDE) if name != REPORT]


def _rows(results: Path | None) -> list:
    from semcg import pages
    from semcg.runs.course import REPORT

    notebooks = _notebooks()
    names = sorted([*(path.stem for path in notebooks), REPORT])
    return pages.rows(results or files.home() / "results", notebooks[0].parent, names)
