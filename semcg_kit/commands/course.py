"""Commands that execute notebooks: one, all in order, those of a sweep, or all to be committed."""

from contextlib import closing
from pathlib import Path
from textwrap import indent
from typing import Annotated

import typer

from semcg import files
from semcg import protocol as protocols
from semcg_kit.commands.options import (
    ConfigFile,
    Data,
    Device,
    Fresh,
    Kernel,
    Profile,
    Seed,
    Set,
    given_of,
    say,
    settings_of,
)

__all__ = ["course", "draw", "refresh", "run", "sweep"]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print steps, memory and time, measured here, and train nothing.")
]


def course(
    profile: Profile = "",
    seed: Seed = None,
    device: Device = "auto",
    data: Data = "",
    set_: Set = None,
    config: ConfigFile = None,
    kernel: Kernel = "",
    fresh: Fresh = False,
    dry_run: DryRun = False,
) -> None:
    """Run every notebook in order. What is up to date is reused, and what was interrupted is resumed."""
    from semcg_kit.execution import course as courses

    given, settings = given_of(profile, data, seed, device, settings_of(set_, config))
    if dry_run:
        print(_budget(given, settings))
        return
    folder = courses.course(given=given, kernel=kernel, fresh=fresh, say=say, settings=settings)
    print("\n" + (courses.evaluation_folder(given, settings) / "table.txt").read_text(encoding="utf-8"))
    print("Where the minutes went (min:s)")
    print(indent(courses.table(files.read_json(courses.clock_file(given, settings))), "  "))
    print(f"\nWhere to look\n  the executed notebooks  {folder / 'notebooks'}")
    print(f"  the runs                {folder}\n  read and change them    make lab")


def draw(
    profile: Profile = "", processes: Annotated[int, typer.Option(min=0, help="0: one per core.")] = 0
) -> None:
    """Draw the synthetic street world of a profile, unless it exists already."""
    from semcg import config as configs
    from semcg.runs import datasets
    from semcg.system import progress

    config = configs.make(profile)
    with progress() as show:
        folder = datasets.draw(config, processes=processes, progress=lambda done, of: show("drawn", done, of))
    print(f"the world of profile {config.profile} is in {folder}")


def run(
    notebook: Annotated[str, typer.Argument(help="03_cyclegan, or a path such as ./mine.ipynb.")],
    profile: Profile = "",
    seed: Seed = None,
    device: Device = "auto",
    data: Data = "",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-p",
            metavar="NAME=VALUE",
            help="A parameter of the notebook or a field of Config, repeatable.",
        ),
    ] = None,
    config: ConfigFile = None,
    kernel: Kernel = "",
    fresh: Fresh = False,
    cell_timeout: Annotated[int | None, typer.Option(min=1, help="Seconds that one cell may take.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Execute one notebook with parameters, through papermill."""
    from semcg.config import Config
    from semcg.training.devices import place
    from semcg_kit.execution import course as courses
    from semcg_kit.execution.execute import parameters_of, typed

    path = courses.notebook_path(notebook)
    has, values = parameters_of(path), settings_of(set_, config)
    own = {name: value for name, value in values.items() if name not in Config.model_fields}
    if not courses.settles(path):
        if config is not None:
            raise ValueError(f"--config {config}: {path.stem} reads no Config")
        own |= {name: value for name, value in values.items() if name not in ("profile", "data", "seed")}
    fields = {name: value for name, value in values.items() if name not in own}
    if "data" not in has and (unused := data or fields.get("data")):
        raise ValueError(f"{path.stem} has no parameter data, so it cannot use {unused}: leave --data out")
    given, settings = given_of(profile, data, seed, device, fields)
    given |= typed(path, {name: str(value) for name, value in own.items()})
    here = place()
    if dry_run:
        if here.rank == 0:  # of several processes one prints, and times its share alone
            print(_budget(given, settings, notebook=path.stem, ranks=here.ranks))
        return
    tell = say if here.rank == 0 else lambda line: None
    record, _ = courses.run(
        path, given, kernel=kernel, fresh=fresh, cell_timeout=cell_timeout, say=tell, settings=settings
    )
    tell(f"done in {record['seconds']:.0f} s: {courses.output_of(path, given | settings)}")


def sweep(
    profile: Annotated[str, typer.Option(help="Default: the protocol's.")] = "",
    protocol: Annotated[Path, typer.Option(help="What to train, with which seeds.")] = protocols.DEFAULT,
    data: Annotated[str, typer.Option(help="A prepared folder; default: the protocol's.")] = "",
    workers: Annotated[int, typer.Option(min=0, help="Processes; default: one per GPU, or one.")] = 0,
    local: Annotated[int, typer.Option(min=0, help="So many Dask workers on this machine.")] = 0,
    scheduler: Annotated[str, typer.Option(help="A Dask scheduler, tcp://host:8786; files are shared.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="Of each run.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="A condition, repeatable.")] = None,
    seeds: Annotated[str, typer.Option(help="3,4,5; default: all of the protocol.")] = "",
    few: Annotated[bool, typer.Option("--few", help="The further conditions too, at few seeds.")] = False,
    device: Device = "auto",
    set_: Set = None,
    config: ConfigFile = None,
    notebooks: Annotated[Path | None, typer.Option(help="Folder of a train.ipynb of your own.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be done.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Show how far the sweep is.")] = False,
) -> None:
    """Train the main conditions of results/protocol.toml at every seed; the same command resumes a stopped sweep.

    In a terminal, a live table shows progress. With several GPUs, each trains one seed at a time.
    """
    if sum((workers > 0, local > 0, bool(scheduler))) > 1:
        raise ValueError("--workers, --local and --scheduler: give one of them at most")
    read, numbers = protocols.read(protocol), _numbers(seeds)
    from semcg import report
    from semcg_kit.sweep import plan, pool

    if table:
        measured = notebooks is None or (notebooks / "measure.ipynb").is_file()
        runs = report.progress(read, profile, data=data, few=few, measured=measured)
        print(report.overview(runs).to_string())
        for (condition, seed), reason in runs.loc[runs["reason"] != "", "reason"].items():
            print(f"{condition}, seed {seed}: {reason}")
        return
    given, settings = given_of(
        profile or read.profile, data or read.data, None, device, settings_of(set_, config)
    )
    common = {name: given[name] for name in ("profile", "data", "device")}
    chosen = {"only": only or (), "seeds": numbers, "few": few}
    kept = protocol if read.test_frames and not settings else None
    tasks = plan.tasks(
        read, **common, **chosen, notebooks=notebooks, threads=threads, settings=settings, kept_with=kept
    )
    first = plan.shared(tasks) if notebooks is None else []
    if dry_run:
        for name in (name for task in first for name in plan.missing(task)):
            say(f"{'first':<16}  {name}")
        for task in tasks:
            say(f"{'finished' if plan.finished(task) else 'to do':<16}  {task.name}")
        return
    if settings:
        say(
            "These settings are not the protocol's. To keep their evidence apart, set SEMCG_HOME to another folder."
        )
    with closing(_pool(workers, local, scheduler, device)) as workplace:
        pool.run(tasks, workplace, first=first, say=say)
    say(f"{len(tasks)} tasks are finished: {tasks[0].folder}")


def refresh(profile: Profile = "mini", seed: Seed = None) -> None:
    """Run the course and replace the committed notebooks by its executed ones, cleaned and with their minutes."""
    from semcg_kit.commands.teaching import times
    from semcg_kit.execution import course as courses
    from semcg_kit.execution import refresh as refreshing

    given, _ = given_of(profile, "world", seed, "auto")
    courses.course(given=given, kernel="", fresh=False, say=say)
    courses.run(courses.notebook_path(courses.REPORT), given, say=say)
    for path in refreshing.refresh(given):
        print(f"refreshed {path}")
    times(profile)


def _budget(
    given: dict[str, object], settings: dict[str, object], *, notebook: str = "", ranks: int = 1
) -> str:
    """Return the budget of the course or of one notebook, for one of the processes that share each batch."""
    from semcg import config as configs
    from semcg.runs import budget
    from semcg.training import fabric_for, precision_for

    fields = {name: value for name, value in given.items() if name in configs.Config.model_fields}
    config, device = configs.make(**settings | configs.chosen(fields)), str(given["device"])
    config = config.model_copy(update={"precision": precision_for(config.precision, device)})
    fabric = fabric_for(device, config.precision)
    rows = budget.of(config, fabric, notebook=notebook, ranks=ranks)
    return budget.table(rows, config, fabric, ranks=ranks)


def _pool(workers: int, local: int, scheduler: str, device: str):
    from semcg_kit.sweep import attempt, pool

    if not (local or scheduler):
        return pool.Processes(workers or max(1, len(attempt.gpus(device))))
    try:
        from semcg_kit.sweep.cluster import Dask
    except ImportError:
        raise ValueError(
            "--local and --scheduler need Dask: .venv/bin/pip install -e '.[cluster]'; --workers works without it"
        ) from None
    return Dask(local=local, scheduler=scheduler)


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if wrong := [part for part in parts if not part.isdecimal()]:
        raise ValueError(f"--seeds {text}: {wrong[0]!r} is not a seed; write --seeds 3,4,5")
    return [int(part) for part in parts]
