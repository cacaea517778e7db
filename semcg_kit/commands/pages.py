"""Commands about the course itself: its site, its last runs, and whether this machine is ready for it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from semcg import files
from semcg.system import duration

__all__ = ["doctor", "site", "status"]

_ROOT = Path(__file__).resolve().parents[2]


def site(
    out: Annotated[Path | None, typer.Option(help="Default: site/ in the repository.")] = None,
) -> None:
    """Build the course as pages that work offline."""
    from semcg_kit import site as pages

    out = (out or _ROOT / "site").resolve()
    for warning in pages.build(out):
        print(warning)
    print(f"open {out / pages.FIRST_PAGE}")


def status(
    results: Annotated[
        Path | None, typer.Option(help="Folder with the results of each profile; default: your own.")
    ] = None,
) -> None:
    """Show how the last run of each notebook ended, how long it took and on what."""
    folder = results or files.home() / "results"
    rows = [_row(path) for path in sorted(folder.glob("*/notebooks/*.json"))]
    for path in sorted(folder.glob("*/notebooks/*.partial.ipynb")):
        name = path.name.removesuffix(".partial.ipynb")
        rows.append(((path.parents[1].name, name, "unfinished", "-", "-", "-", "-"), ""))
    if not rows:
        print("No notebook has been run here; `make course` runs them all.")
        return
    head = ("profile", "notebook", "state", "ended (UTC)", "min:s", "peak GiB", "device")
    widths = [max(map(len, column)) for column in zip(head, *(cells for cells, _ in rows), strict=True)]
    for cells in (head, *(cells for cells, _ in rows)):
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())
    for reason in filter(None, (reason for _, reason in rows)):
        print(reason)


def _row(path: Path) -> tuple[tuple[str, ...], str]:
    """Return the cells of a record's row, and why that run ended early."""
    name = (path.parents[1].name, path.stem)
    try:
        record = files.read_json(path)
        machine = record.get("machine") or {}
        gib = f"{machine['peak_memory_bytes'] / 2**30:.1f}" if "peak_memory_bytes" in machine else "-"
        ended = f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d %H:%M}"
        spent = (duration(record["seconds"]), gib, str(machine.get("device", "-")))
        reason = f"{path.stem}, {path.parents[1].name}: {record['reason']}" if "reason" in record else ""
        return (*name, str(record["status"]), ended, *spent), reason
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return (*name, "damaged", "-", "-", "-", "-"), f"{path} cannot be read; run the notebook again"


def doctor() -> None:
    """Check this machine: what is missing or slow, and what to do. Fails if something is missing."""
    from semcg_kit.doctor import examine, report

    findings = examine()
    print(report(findings))
    if any(finding.state == "MISSING" for finding in findings):
        raise typer.Exit(1)
