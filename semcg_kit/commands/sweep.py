"""The command that repeats the trainings of the protocol for its conditions and seeds."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from semcg import protocol as protocols
from semcg_kit.commands.options import Device, say

__all__ = ["sweep"]


def sweep(
    profile: Annotated[str, typer.Option(help="Default: the protocol's.")] = "",
    protocol: Annotated[Path, typer.Option(help="What to train, with which seeds.")] = protocols.DEFAULT,
    workers: Annotated[int, typer.Option(min=0, help="Processes beside this one; default: 1.")] = 0,
    local: Annotated[int, typer.Option(min=0, help="So many Dask workers on this machine.")] = 0,
    scheduler: Annotated[str, typer.Option(help="A Dask scheduler, tcp://host:8786; files are shared.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="Of each run.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="A condition, as often as you like.")] = None,
    seeds: Annotated[str, typer.Option(help="3,4,5; default: all of the protocol.")] = "",
    few: Annotated[
        bool, typer.Option("--few", help="The further conditions as well, at their few seeds.")
    ] = False,
    device: Device = "auto",
    notebooks: Annotated[
        Path | None, typer.Option(help="Folder of a train.ipynb of your own; what it reads must exist.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    table: Annotated[bool, typer.Option("--table", help="Show how far it is, and do nothing.")] = False,
) -> None:
    """Train the main conditions of results/protocol.toml at every seed; the same command goes on where it stopped.

    With --few also the further ones. In a terminal a table of what runs stays up to date.
    """
    if sum((workers > 0, local > 0, bool(scheduler))) > 1:
        raise ValueError("--workers, --local and --scheduler: one of them at most")
    read, numbers = protocols.read(protocol), _numbers(seeds)
    from semcg import sweep as sweeps
    from semcg.sweep import plan

    if table:
        runs = sweeps.table(profile, protocol=protocol, few=few, notebooks=notebooks)
        print(sweeps.overview(runs).to_string())
        for (condition, seed), reason in runs.loc[runs["reason"] != "", "reason"].items():
            print(f"{condition}, seed {seed}: {reason}")
        return
    tasks = sweeps.tasks(
        read,
        profile=profile,
        device=device,
        only=only or (),
        seeds=numbers,
        few=few,
        notebooks=notebooks,
        threads=threads,
    )
    first = plan.shared(tasks) if notebooks is None else []
    if dry_run:
        for name in (name for task in first for name in plan.missing(task)):
            say(f"{'to be made first':<16}  {name}")
        for task in tasks:
            say(f"{'finished' if plan.finished(task) else 'to do':<16}  {task.name}")
        return
    with closing(_pool(workers, local, scheduler)) as pool:
        sweeps.run(tasks, pool, first=first, say=say)
    say(f"{len(tasks)} tasks are finished: {tasks[0].folder}")


def _pool(workers: int, local: int, scheduler: str):
    if local or scheduler:
        from semcg.sweep.cluster import Dask

        return Dask(local=local, scheduler=scheduler)
    from semcg.sweep.processes import Processes

    return Processes(workers or 1)


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if wrong := [part for part in parts if not part.isdigit()]:
        raise ValueError(f"--seeds {text}: {wrong[0]!r} is no seed; write --seeds 3,4,5")
    return [int(part) for part in parts]
