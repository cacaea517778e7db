"""Turn a protocol into tasks: one per condition and seed, and before them what all of them share (data, segmenters, judges)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import torch

from semcg import config as configs
from semcg import files, locks
from semcg.config import Config
from semcg.devices import fabric_for, with_precision
from semcg.protocol import Protocol
from semcg.runs import budget, datasets, recipes
from semcg.runs.store import load
from semcg_kit.evidence.collect import is_collected
from semcg_kit.execution.course import code_digest, notebook_path, reusable
from semcg_kit.execution.execute import parameters_of
from semcg_kit.sweep.attempt import Task

__all__ = [
    "config_of",
    "estimate_seconds",
    "finished",
    "keeps",
    "key_of",
    "missing",
    "overview",
    "settings_at",
    "shared",
    "states",
    "tasks",
]

_PER_TASK = 25.0
"""Seconds of a task that are not training: two kernels start, 120 frames are translated and measured."""

_NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks" / "sweep"


def tasks(
    protocol: Protocol,
    *,
    profile: str = "",
    data: str = "",
    device: str = "auto",
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
    exploratory: bool = False,
    notebooks: Path | None = None,
    threads: int = 1,
    settings: Mapping[str, object] | None = None,
    kept_with: Path | None = None,
) -> list[Task]:
    """Return the tasks of a protocol in the order in which they are to be done.

    The main conditions come seed by seed, so that after every seed all of them can be compared; the exploratory ones
    condition by condition, so that a curve grows point by point.

    Parameters
    ----------
    profile, data : str
        "" means the protocol's.
    only : sequence of str
        Names of conditions, main or exploratory; empty means all the main ones.
    seeds : sequence of int
        Empty means all that the protocol names for a condition.
    exploratory : bool
        Include the exploratory conditions.
    notebooks : Path, optional
        Folder of `train.ipynb` and, if tasks measure, `measure.ipynb`.
    settings : mapping, optional
        Fields of Config that differ from the profile in every task, beside the protocol's.
    kept_with : path, optional
        A protocol whose folder takes the evidence of every task (`semcg_kit.evidence.collect`).

    Raises
    ------
    ValueError
        On a condition or seed that the protocol does not name, a parameter that the notebook does not take, or a
        setting that a condition sets itself.
    """
    folder = Path(notebooks or _NOTEBOOKS).resolve()
    books = [folder / name for name in ("train.ipynb", "measure.ipynb")]
    if not books[0].is_file():
        raise FileNotFoundError(f"no {books[0]}: it is what a sweep executes")
    books = [book for book in books if book.is_file()]
    wanted = [protocol.condition(name) for name in dict.fromkeys(only)]
    wanted = wanted or [c for c in protocol.conditions if exploratory or not c.exploratory]
    settings = dict(settings or {})
    known = {seed for condition in wanted for seed in condition.seeds}
    if strange := sorted(set(seeds) - known):
        listed, there = (",".join(map(str, numbers)) for numbers in (strange, sorted(known)))
        raise ValueError(f"seeds = {listed}: not in the protocol; it has {there} here")
    for condition in wanted:
        if both := sorted(settings.keys() & condition.parameters.keys()):
            raise ValueError(f"{', '.join(both)}: condition {condition.name!r} sets this itself")
    common = {"profile": profile or protocol.profile, "data": data or protocol.data, "device": device}
    rank = {seed: n for n, seed in enumerate(protocol.seeds)}
    pairs = [(c, seed) for c in wanted for seed in c.seeds if not seeds or seed in seeds]
    # The main conditions seed by seed; then the exploratory ones condition by condition, since the sort is stable.
    pairs.sort(key=lambda p: (True, 0) if p[0].exploratory else (False, rank.get(p[1], len(rank))))
    made, evidence = [], str(kept_with.resolve()) if kept_with else ""
    decided = settings_at(protocol, common["profile"])
    for condition, seed in pairs:
        name = f"{recipes.slug(condition.name)}-s{seed}"
        own = {k: v for k, v in decided.items() if k not in condition.parameters} | settings
        declared = {field: value for field, value in own.items() if field in _declared(books[0])}
        parameters = common | {"seed": seed, "condition": condition.name} | declared | condition.parameters
        for book in books:
            if unknown := sorted(parameters.keys() - _declared(book)):
                lacks = f"{book.name} has no parameter {', '.join(unknown)}"
                has = ", ".join(sorted(_declared(book)))
                raise ValueError(f"condition {condition.name!r}: {lacks}; it has {has}")
        paths, home = tuple(map(str, books)), str(files.home())
        made.append(Task(name, parameters, paths, home, threads, settings=own, protocol=evidence))
        config_of(made[-1])  # refuses an impossible value now, and not in the third hour
    if len({task.name for task in made}) < len(made):
        raise ValueError("two conditions of the protocol have the same name as part of a file name")
    return made


def settings_at(protocol: Protocol, profile: str) -> dict[str, object]:
    """Return the protocol's settings; none at another profile than its own, which has its own numbers."""
    return dict(protocol.settings) if profile in ("", protocol.profile) else {}


def keeps(protocol: Protocol, profile: str, data: str) -> bool:
    """Return whether measurements go beside the protocol: it names their frames, and profile and data are its own."""
    own = profile in ("", protocol.profile) and data in ("", protocol.data)
    return bool(protocol.test_frames) and own


def shared(all_tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that make what all others need, to be done one by one before them.

    The first draws data and trains segmenters and judges; the second, if tasks measure, measures what needs no
    training: the untranslated frames, and the oracle.
    """
    some = all_tasks[0]
    common = {name: some.parameters[name] for name in ("profile", "data", "device")}
    layouts = sorted({str(task.parameters.get("target_layout", "own")) for task in all_tasks})
    book = notebook_path("02_segmenters")
    declared = {name: value for name, value in some.settings.items() if name in _declared(book)}
    wanted = common | declared | {"second_judge": True}
    first = replace(some, name=book.stem, parameters=wanted, notebooks=(str(book),), layouts=tuple(layouts))
    nothing = common | {"seed": 0, "condition": "identity", "translates": False, "learns": False}
    second = replace(some, name="references", parameters=nothing, notebooks=some.notebooks[1:])
    return [first, second] if second.notebooks else [first]


def config_of(task: Task) -> Config:
    """Return the config that a task's notebooks make of its parameters."""
    return configs.from_parameters(configs.fields(task.parameters), task.settings)


def missing(task: Task) -> list[str]:
    """Return what of a `shared` task does not exist yet, in words."""
    if not task.layouts:
        return [] if finished(task) else [task.name]
    config = with_precision(config_of(task), str(task.parameters["device"]))
    try:
        datasets.data(config)
    except (FileNotFoundError, ValueError):
        if config.data != "world":
            raise
        return ["the data", "the segmenters and judges"]
    absent = []
    if "source" in task.layouts:
        control = recipes.control_folder(config)
        if datasets.differs(control, recipes.world(config) | {"layout": "source"}):
            absent.append("the control's data")
    wanted = [recipes.segmenter(config, domain) for domain in files.DOMAINS]
    for recipe in (*wanted, *(recipes.judge(config, second=second) for second in (False, True))):
        try:
            load(recipe)
        except (FileNotFoundError, ValueError):
            absent.append(recipe.name)
    return absent


def estimate_seconds(todo: Sequence[Task], device: str) -> float:
    """Estimate the seconds that tasks take one after the other, from steps that are timed here: one of each shape."""
    torch.set_num_threads(max(task.threads for task in todo))
    trainings: dict[str, budget.Stage] = {}
    for task in todo:
        trainings |= _trainings(task, device)
    seconds, step_seconds = _PER_TASK * len(todo), {}
    for stage in trainings.values():
        numbers = stage.config.part(stage.kind)
        shape = files.digest([stage.kind, {n: v for n, v in numbers.items() if n not in ("seed", "steps")}])
        if shape not in step_seconds:
            step_seconds[shape] = budget.timed(stage, fabric_for(device, stage.config.precision))
        seconds += stage.steps * step_seconds[shape]
    return seconds


def _trainings(task: Task, device: str) -> dict[str, budget.Stage]:
    """Return what a task trains. Tasks whose CycleGANs are the same, translating in two ways, have the same key for it."""
    config, found = with_precision(config_of(task), device), {}
    if task.parameters.get("translates", True):
        steps = config.translation_steps(max(budget.frames(config)))
        key = files.digest(config.part("translation"))
        found[key] = budget.Stage("", "CycleGAN", "translation", config, 1, steps)
    if task.parameters.get("learns", True):
        steps = config.downstream_steps
        found[task.name] = budget.Stage("", "downstream", "downstream", config, 1, steps)
    return found


def finished(task: Task) -> bool:
    """Return whether all notebooks of a task are executed and up to date, or its results are in the protocol's folder."""
    if task.protocol and not task.layouts and is_collected(task, Path(task.protocol).parent):
        return True
    before: dict | None = None
    for notebook, output in task.outputs.items():
        before = reusable(output, key_of(notebook, task, before))
        if before is None:
            return False
    return True


def key_of(notebook: Path, task: Task, before: dict | None = None) -> dict:
    """Return what must be equal for a stored execution to stand for a new one.

    Parameters
    ----------
    before : dict, optional
        Record of the notebook that was executed before it in the same task, whose runs it reads.
    """
    key = {"code": code_digest(notebook), "parameters": task.parameters}
    key |= {"settings": task.settings} if task.settings else {}
    return key | ({"after": before["runs"]} if before else {})


@cache
def _declared(notebook: Path) -> frozenset[str]:
    return frozenset(parameters_of(notebook))


def states(
    protocol: Protocol, profile: str = "", *, data: str = "", exploratory: bool = True, measured: bool = True
) -> pd.DataFrame:
    """Return how far a sweep is; it may be running.

    Parameters
    ----------
    profile, data : str
        "" means the protocol's.
    exploratory : bool
        Include the exploratory conditions.
    measured : bool
        A task has two notebooks, one that trains and one that measures.

    Returns
    -------
    DataFrame
        A row per task, by condition and seed: "status" (waiting, running, ok, failed, stopped, killed), "minutes"
        of its last execution, and "reason", if it did not end well.
    """
    profile = configs.make(profile or protocol.profile).profile
    folder = files.results_folder(data or protocol.data, profile) / "sweep"
    wanted, rows = [c for c in protocol.conditions if exploratory or not c.exploratory], {}
    for condition, seed in ((c.name, seed) for c in wanted for seed in c.seeds):
        task = f"{recipes.slug(condition)}-s{seed}"
        parts = ("", "-measure") if measured else ("",)
        records = [files.read_record(folder / f"{task}{part}.json") for part in parts]
        spent = [r["seconds"] for r in records if isinstance(r.get("seconds"), int | float)]
        bad = next((record for record in records if record.get("status", "ok") != "ok"), {})
        status = bad.get("status") or ("ok" if all(records) else "waiting")
        rows[condition, seed] = {
            "status": "running" if locks.taken(folder / f".{task}.task") else status,
            "minutes": round(sum(spent) / 60, 1),
            "reason": bad.get("reason", ""),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["condition", "seed"])


def overview(runs: pd.DataFrame) -> pd.DataFrame:
    """Return `states` with a row per condition and a column per seed: the minutes of what ended well, else the status.

    "-" waits. Where the protocol gives a condition no such seed, there is nothing.
    """
    cells = runs["minutes"].map("{:.1f}".format).where(runs["status"] == "ok", runs["status"])
    wide = cells.replace("waiting", "-").unstack("seed")
    return wide.loc[runs.index.unique("condition")].fillna("").rename_axis(index=None)
