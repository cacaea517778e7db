"""Commands about the course itself: its last runs, whether this machine is ready, its site, and what its authors need."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from semcg import files
from semcg.system import duration
from semcg_kit.commands import Profile, Seed, checked, say

__all__ = ["doctor", "status", "site", "student", "times", "refresh"]

_ROOT = Path(__file__).resolve().parents[2]


def site(
    out: Annotated[Path | None, typer.Option(help="Default: site/ in the repository.")] = None,
) -> None:
    """Build the course as pages that work offline."""
    folder, out = _ROOT / "docs", (out or _ROOT / "site").resolve()
    if not (folder / "conf.py").is_file():
        raise ValueError(f"no docs/conf.py in {_ROOT}: the site is built from a checkout of the repository")
    sys.path.insert(0, str(folder))  # what builds the pages is not installed
    import build_site

    for warning in build_site.build(out):
        say(warning)
    say(f"open {out / build_site.FIRST_PAGE}")


def status(
    results: Annotated[
        Path | None, typer.Option(help="Folder with the results of each profile; default: your own.")
    ] = None,
) -> None:
    """Show how the last run of each notebook ended, how long it took and on what."""
    folder = results or files.home() / "results"
    rows = [("profile", "notebook", "state", "ended (UTC)", "min:s", "peak GiB", "device")]
    reasons = []
    for path in sorted(folder.glob("*/notebooks/*.json")):
        cells, reason = _ending(path)
        rows.append((path.parents[1].name, path.stem, *cells))
        reasons += [reason] if reason else []
    for path in sorted(folder.glob("*/notebooks/*.partial.ipynb")):
        name = path.name.removesuffix(".partial.ipynb")
        rows.append((path.parents[1].name, name, "unfinished", "-", "-", "-", "-"))
    if len(rows) == 1:
        say("No notebook has been run here; `make course` runs them all.")
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        say("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())
    for reason in reasons:
        say(reason)


def _ending(path: Path) -> tuple[tuple[str, ...], str]:
    """Return the cells of a record's row, and why that run ended early."""
    try:
        record = files.read_json(path)
        machine = record.get("machine") or {}
        gib = f"{machine['peak_memory_bytes'] / 2**30:.1f}" if "peak_memory_bytes" in machine else "-"
        ended = f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d %H:%M}"
        reason = f"{path.stem}, {path.parents[1].name}: {record['reason']}" if "reason" in record else ""
        spent = duration(record["seconds"])
        return (str(record["status"]), ended, spent, gib, str(machine.get("device", "-"))), reason
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return ("damaged", "-", "-", "-", "-"), f"{path} cannot be read; run the notebook again"


def doctor() -> None:
    """Check this machine: what is missing or slow, and what to do. Fails if something is missing."""
    from semcg_kit.doctor import examine, report

    findings = examine()
    say(report(findings))
    if any(finding.state == "MISSING" for finding in findings):
        raise typer.Exit(1)


def student() -> None:
    """Write quizzes, starters and folded solutions into the notebooks, from notebooks/exercises."""
    from notebooks.exercises import teaching

    changed = teaching.update()
    for path in changed:
        say(f"written: {path}")
    if not changed:
        say("every notebook has the exercises of notebooks/exercises")


def times(profile: Profile = "mini") -> None:
    """Write into each notebook how long it takes: to read, from its words; to run, from its saved executions."""
    from notebooks.exercises import teaching

    for line in teaching.write_times(profile):
        say(line)


def refresh(profile: Profile = "mini", seed: Seed = None) -> None:
    """Run the course and replace the committed notebooks by its executed ones, cleaned and with their minutes."""
    from notebooks.exercises import teaching
    from semcg_kit.execution import course

    config, _ = checked(profile, "world", seed, "auto")
    course.course(config, {}, say=say)
    for path in teaching.refresh(config):
        say(f"refreshed {path}")
    times(profile)
