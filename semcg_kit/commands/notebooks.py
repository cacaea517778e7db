"""Commands that execute notebooks: one, all in order, or all to be committed."""

from textwrap import indent
from typing import Annotated

import typer

from semcg import files
from semcg_kit.commands.options import Data, Device, Fresh, Kernel, Profile, Seed, counter, given_of, say

__all__ = ["course", "draw", "refresh", "run"]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print steps, memory and time, measured here, and train nothing.")
]


def course(
    profile: Profile = "",
    seed: Seed = 0,
    device: Device = "auto",
    data: Data = "world",
    kernel: Kernel = "",
    fresh: Fresh = False,
    dry_run: DryRun = False,
) -> None:
    """Run every notebook in order; what is not stale is reused, what was interrupted goes on."""
    from semcg.runs import clock
    from semcg.runs import course as courses

    given = given_of(profile, data, seed, device)
    if dry_run:
        print(_budget(given))
        return
    folder = courses.course(given=given, kernel=kernel, fresh=fresh, say=say)
    print("\n" + (folder / f"evaluation-s{seed}" / "table.txt").read_text(encoding="utf-8"))
    print("Where the minutes went (min:s)")
    print(indent(clock.table(files.read_json(folder / f"course-s{seed}.json")), "  "))
    print(f"\nWhere to look\n  the executed notebooks  {folder / 'notebooks'}")
    print(f"  the runs                {folder}\n  read and change them    make lab")


def draw(
    profile: Profile = "", processes: Annotated[int, typer.Option(min=0, help="0: one per core.")] = 0
) -> None:
    """Draw the miniature street world of a profile, unless it lies there already."""
    from semcg import config as configs
    from semcg.runs import datasets

    config = configs.make(profile)
    folder = datasets.draw(config, processes=processes, progress=counter("drawn"))
    print(f"the world of profile {config.profile} lies in {folder}")


def run(
    notebook: Annotated[str, typer.Argument(help="03_cyclegan, or a path.")],
    profile: Profile = "",
    seed: Seed = 0,
    device: Device = "auto",
    data: Data = "world",
    parameter: Annotated[
        list[str] | None, typer.Option("-p", help="name=value, as often as you like.")
    ] = None,
    kernel: Kernel = "",
    fresh: Fresh = False,
    cell_timeout: Annotated[int | None, typer.Option(min=1, help="Seconds that one cell may take.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Execute one notebook with parameters, through papermill."""
    from semcg.runs import course as courses
    from semcg.runs.execute import typed
    from semcg.training.devices import place

    path = courses.notebook_path(notebook)
    given = given_of(profile, data, seed, device) | typed(path, _pairs(parameter or []))
    if dry_run:
        if place().rank == 0:  # of several processes, one speaks, and times its share alone
            print(_budget(given, notebook=path.stem, ranks=place().ranks))
        return
    tell = say if place().rank == 0 else lambda line: None
    record, _ = courses.run(path, given, kernel=kernel, fresh=fresh, cell_timeout=cell_timeout, say=tell)
    tell(f"done in {record['seconds']:.0f} s: {courses.output_of(path, given)}")


def refresh(profile: Profile = "mini", seed: Seed = 0) -> None:
    """Run the course and put its executed notebooks, cleaned and with their minutes, in the place of the committed ones."""
    from semcg.runs import course as courses
    from semcg.runs import refresh as refreshing
    from semcg_kit.commands.teaching import times

    given = given_of(profile, "world", seed, "auto")
    courses.course(given=given, kernel="", fresh=False, say=say)
    report = courses.notebook_path(courses.REPORT)
    courses.run(report, given, say=say)
    for path in refreshing.refresh(given):
        print(f"refreshed {path}")
    times(profile)


def _budget(given: dict[str, object], *, notebook: str = "", ranks: int = 1) -> str:
    """Return the budget of the course or of one notebook, for one of the processes that share each batch.

    Raises
    ------
    ValueError
        If memory cannot suffice.
    """
    from semcg import config as configs
    from semcg.runs import budget
    from semcg.training import fabric_for, precision_for

    fields = {name: value for name, value in given.items() if name in configs.Config.model_fields}
    fields = {n: v for n, v in fields.items() if v != "" and not (n.endswith(("steps", "batch")) and v == 0)}
    config, device = configs.make(**fields), str(given["device"])
    config = config.model_copy(update={"precision": precision_for(config.precision, device)})
    fabric = fabric_for(device, config.precision)
    rows = budget.of(config, fabric, notebook=notebook, ranks=ranks)
    return budget.table(rows, config, fabric, ranks=ranks)


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if wrong := [text for text in texts if "=" not in text]:
        raise ValueError(f"-p {wrong[0]}: write -p name=value")
    return pairs
