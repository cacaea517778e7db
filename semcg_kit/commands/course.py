"""Commands that execute notebooks: one, all in order, or those of a sweep."""

from contextlib import closing
from pathlib import Path
from textwrap import indent
from typing import Annotated

import typer

from semcg import protocol as protocols
from semcg.system import duration
from semcg_kit.commands import Data, Device, Profile, Seed, checked, resolved, say, settings_of

__all__ = ["course", "draw", "run", "sweep"]

SET = "Change a setting of the profile (any field of Config); with `run`, also a notebook parameter. Repeatable."
DRY_RUN = "Measure and print steps, memory and time; train nothing."

Set = Annotated[list[str] | None, typer.Option("--set", "-p", metavar="NAME=VALUE", help=SET)]
ConfigFile = Annotated[Path | None, typer.Option(help="TOML file of such settings; --set overrides it.")]
Kernel = Annotated[str, typer.Option(help="Another installed Jupyter kernel; default: this interpreter.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over instead of reusing or resuming.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help=DRY_RUN)]


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
    """Run notebooks 00 to 05 in order. What is up to date is reused, and what was interrupted is resumed."""
    from semcg_kit.execution import course as courses

    made, settings = checked(profile, data, seed, device, settings_of(set_, config))
    if dry_run:
        say(_budget(made, device))
        return
    clock = courses.course(made, settings, device=device, kernel=kernel, fresh=fresh, say=say)
    evaluation = courses.evaluation_folder(made, settings)
    say("\n" + (evaluation / "table.txt").read_text(encoding="utf-8"))
    say(f"Where the minutes went (min:s)\n{indent(courses.table(clock), '  ')}")
    say(f"\nWhere to look\n  the executed notebooks  {evaluation.parent / 'notebooks'}")
    say(f"  the runs                {evaluation.parent}\n  read and change them    make lab")


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
    say(f"the world of profile {config.profile} is in {folder}")


def run(
    notebook: Annotated[str, typer.Argument(help="03_cyclegan, or a path such as ./mine.ipynb.")],
    profile: Profile = "",
    seed: Seed = None,
    device: Device = "auto",
    data: Data = "",
    set_: Set = None,
    config: ConfigFile = None,
    kernel: Kernel = "",
    fresh: Fresh = False,
    cell_timeout: Annotated[int | None, typer.Option(min=1, help="Seconds that one cell may take.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Execute one notebook with parameters, through papermill."""
    from semcg import config as configs
    from semcg.devices import place
    from semcg_kit.execution import course as courses
    from semcg_kit.execution.execute import parameters_of, typed

    path, values = courses.notebook_path(notebook), settings_of(set_, config)
    fields = configs.fields(values)
    if "settle(" not in path.read_text(encoding="utf-8"):  # settings do not reach it
        if config is not None:
            raise ValueError(f"--config {config}: {path.stem} takes no settings; leave --config out")
        fields = {name: values[name] for name in ("profile", "data", "seed") if name in values}
    if "data" not in parameters_of(path) and (unused := data or fields.get("data")):
        raise ValueError(f"{path.stem} has no parameter data, so it cannot use {unused}: leave --data out")
    made, changes = checked(profile, data, seed, device, fields)
    others = typed(path, {name: str(value) for name, value in values.items() if name not in fields})
    # A kernel has another working folder.
    changes |= {name: resolved(v) if isinstance(v, str) else v for name, v in others.items()}
    device = str(changes.pop("device", device))
    here = place()
    if dry_run:
        if here.rank == 0:  # of several processes one prints, and times its share alone
            say(_budget(made, device, notebook=path.stem, ranks=here.ranks))
        return
    tell = say if here.rank == 0 else lambda line: None
    options = {"device": device, "kernel": kernel, "fresh": fresh, "cell_timeout": cell_timeout}
    record = courses.run(path, made, changes, **options, say=tell)
    tell(f"done in {record['seconds']:.0f} s: {courses.output_of(path, made, changes)}")


def sweep(
    profile: Annotated[str, typer.Option(help="Default: the protocol's.")] = "",
    protocol: Annotated[Path, typer.Option(help="What to train, with which seeds.")] = protocols.DEFAULT,
    data: Annotated[str, typer.Option(help="A prepared folder; default: the protocol's.")] = "",
    workers: Annotated[int, typer.Option(min=0, help="Processes; default: one per GPU, or one.")] = 0,
    local: Annotated[int, typer.Option(min=0, help="Number of Dask workers on this machine.")] = 0,
    scheduler: Annotated[str, typer.Option(help="Dask scheduler, tcp://host:8786; needs shared files.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="Threads of each run.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Only this condition; repeatable.")] = None,
    seeds: Annotated[str, typer.Option(help="3,4,5; default: all of the protocol.")] = "",
    few: Annotated[bool, typer.Option("--few", help="Also the further conditions, at few seeds.")] = False,
    device: Device = "auto",
    set_: Set = None,
    config: ConfigFile = None,
    notebooks: Annotated[Path | None, typer.Option(help="Folder with your own train.ipynb.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be done.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Show how far the sweep is.")] = False,
) -> None:
    """Train the main conditions of results/reference/protocol.toml at every seed; the same command resumes a stopped sweep.

    In a terminal, a live table shows progress. With several GPUs, each trains one seed at a time.
    """
    if sum((workers > 0, local > 0, bool(scheduler))) > 1:
        raise ValueError("give at most one of --workers, --local and --scheduler")
    parts = [part.strip() for part in seeds.split(",") if part.strip()]
    if wrong := [part for part in parts if not part.isdecimal()]:
        raise ValueError(f"--seeds {seeds}: {wrong[0]!r} is not a seed; write --seeds 3,4,5")
    read = protocols.read(protocol)
    from semcg_kit.sweep import plan, pool

    if table:
        measured = notebooks is None or (notebooks / "measure.ipynb").is_file()
        runs = plan.states(read, profile, data=resolved(data), exploratory=few, measured=measured)
        say(plan.overview(runs).to_string())
        for (condition, seed), reason in runs.loc[runs["reason"] != "", "reason"].items():
            say(f"{condition}, seed {seed}: {reason}")
        return
    fields = settings_of(set_, config)
    made, settings = checked(profile or read.profile, data or read.data, None, device, fields)
    tasks = plan.tasks(
        read,
        profile=made.profile,
        data=made.data,
        device=device,
        only=only or (),
        seeds=[int(part) for part in parts],
        exploratory=few,
        notebooks=notebooks,
        threads=threads,
        settings=settings,
        kept_with=protocol if plan.keeps(read, profile, data) and not settings else None,
    )
    first = plan.shared(tasks) if notebooks is None else []
    if dry_run:
        for name in (name for task in first for name in plan.missing(task)):
            say(f"{'first':<16}  {name}")
        todo = [task for task in tasks if not plan.finished(task)]
        for task in tasks:
            say(f"{'to do' if task in todo else 'finished':<16}  {task.name}")
        if todo and notebooks is None:  # what another notebook trains is not known
            seconds = plan.estimate_seconds(todo, device)
            say(f"about {duration(seconds)} for what is to do, one after the other; from steps timed now")
        return
    if settings:
        say(
            "These settings are not the protocol's. To keep their evidence apart, set SEMCG_HOME to another folder."
        )
    with closing(_pool(workers, local, scheduler, device)) as workplace:
        pool.run(tasks, workplace, first=first, say=say)
    say(f"{len(tasks)} tasks are finished: {tasks[0].folder}")


def _budget(config, device: str, *, notebook: str = "", ranks: int = 1) -> str:
    """Return the budget of the course or of one notebook, for one of the processes that share each batch."""
    from semcg.devices import fabric_for, with_precision
    from semcg.runs import budget

    config = with_precision(config, device)
    fabric = fabric_for(device, config.precision)
    rows = budget.estimate(config, fabric, notebook=notebook, ranks=ranks)
    return budget.as_text(rows, config, fabric, ranks=ranks)


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
