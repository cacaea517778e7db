"""The notebooks in their order, which of them are stale, and where the minutes of a course went."""

import ast
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import nbformat

from semcg import canary, files, locks
from semcg import config as configs
from semcg.config import Config
from semcg.devices import place
from semcg.protocol import REFERENCE
from semcg.runs import checkpoint
from semcg.system import duration
from semcg_kit.doctor import setup_seconds
from semcg_kit.execution.execute import execute, parameters_of

SEQUENCE = (
    "00_start_here",
    "01_data",
    "02_segmenters",
    "03_cyclegan",
    "04_semantic_cyclegan",
    "05_evaluation",
)
EVALUATION = SEQUENCE[-1]
EVIDENCE = "06_evidence"
"""It reads measurements that exist already and trains nothing, so that it stands outside of the sequence."""

NOTEBOOKS = files.repository() / "notebooks"
REPORT = NOTEBOOKS / "sweep" / "report.ipynb"


def notebook_path(name: str) -> Path:
    """Return the path of a notebook: one of the course by its name, any other one by a path.

    Parameters
    ----------
    name : str
        "03_cyclegan"; or a path, which has a slash or ends in .ipynb. A name never means a file of the working folder.

    Raises
    ------
    FileNotFoundError
        If there is none; lists those of the course.
    ValueError
        If the file is not a notebook.
    """
    path = Path(name)
    if ("/" in name or path.suffix == ".ipynb") and path.is_file():
        try:
            nbformat.read(path, as_version=4)
        except Exception as error:  # nbformat raises anything
            text = f"{type(error).__name__}: {str(error)[:200]}"
            raise ValueError(f"{path} is not a notebook: {text}") from None
        return path.resolve()
    if len(path.parts) == 1 and (ours := NOTEBOOKS / f"{name.removesuffix('.ipynb')}.ipynb").is_file():
        return ours
    course = ", ".join(p.stem for p in sorted(NOTEBOOKS.glob("*.ipynb")))
    raise FileNotFoundError(f"no notebook {name}; the course has {course or f'none in {NOTEBOOKS}'}")


def _in_name(values: Mapping[str, object]) -> str:
    """Return values as part of a file name, in the form -name=value, or a digest where that is too long."""
    text = "".join(f"-{name}={value}" for name, value in sorted(values.items())).replace(" ", "")
    return f"-{files.digest(text)[:8]}" if len(text) > 80 or "/" in text else text


def output_of(notebook: Path, config: Config, changes: Mapping[str, object]) -> Path:
    """Return where the executed copy of a notebook goes: by profile, data, seed and what differs from its defaults.

    The name of one that is not the repository's also has digits of its path, so that no two of one name share a copy.
    """
    declared = parameters_of(notebook)
    usual = {n for n in changes.keys() & declared.keys() if _is_default(changes[n], declared[n]["default"])}
    changes = {name: value for name, value in changes.items() if name not in usual}
    path = "" if notebook.parent in (NOTEBOOKS, REPORT.parent) else f"-{files.digest(str(notebook))[:6]}"
    name = notebook.stem + path + _in_name(changes) + (f"-s{config.seed}" if "seed" in declared else "")
    return files.results_folder(config.data, config.profile) / "notebooks" / f"{name}.ipynb"


def _is_default(value: object, source: str) -> bool:
    try:
        return ast.literal_eval(source) == value
    except (ValueError, SyntaxError):
        return source == str(value)


def evaluation_folder(config: Config, settings: Mapping[str, object]) -> Path:
    """Return where the tables of notebook 05 are: with other settings than the profile's, in a folder of their own."""
    name = f"evaluation{_in_name(settings)}-s{config.seed}"
    return files.results_folder(config.data, config.profile) / name


@contextmanager
def own_evaluation(config: Config, settings: Mapping[str, object]) -> Iterator[None]:
    """Move what notebook 05 writes with settings into a folder of its own, and leave the profile's as it was."""
    own, usual = evaluation_folder(config, settings), evaluation_folder(config, {})
    aside = usual.with_name(f".{usual.name}.usual")
    locks.hold(lock := usual.with_name(f".{usual.name}.lock"), f"the evaluation in {usual}")
    try:
        if aside.exists():  # a call with settings was killed: what lies there is its own
            shutil.rmtree(usual, ignore_errors=True)
            aside.rename(usual)
        if own != usual and usual.exists():
            usual.rename(aside)
        yield
    finally:
        if own != usual and usual.exists():
            shutil.rmtree(own, ignore_errors=True)
            usual.rename(own)
        if aside.exists():
            aside.rename(usual)
        locks.release(lock)


def run(
    notebook: Path,
    config: Config,
    changes: Mapping[str, object],
    *,
    device: str = "auto",
    kernel: str = "",
    fresh: bool = False,
    cell_timeout: int | None = None,
    say: Callable[[str], None],
) -> dict:
    """Execute a notebook unless an execution with the same outcome is stored, and return its record (`execute`).

    Parameters
    ----------
    notebook : Path
    config : Config
        Its profile, data and seed, and the device, are passed on where the notebook has such parameters.
    changes : mapping
        Fields of Config that differ from the profile, whether the notebook declares them or not, and parameters of the
        notebook that are no fields.
    """
    declared, settings = parameters_of(notebook), configs.fields(changes)
    common = {"profile": config.profile, "data": config.data, "seed": config.seed, "device": device}
    parameters = {name: value for name, value in (common | settings).items() if name in declared}
    parameters |= {name: value for name, value in changes.items() if name not in settings}
    output = output_of(notebook, config, changes)
    key = {"code": code_digest(notebook), "parameters": parameters, "kernel": kernel}
    key |= {"settings": settings} if settings else {}
    values = ({"evidence": "reference"} if "evidence" in declared else {}) | parameters | settings
    key |= {"contents": named} if (named := _contents(values, config.profile)) else {}
    options = {"kernel": kernel, "fresh": fresh, "cell_timeout": cell_timeout, "settings": settings}
    evaluates = notebook.stem == EVALUATION and place().rank == 0
    with own_evaluation(config, settings) if evaluates else nullcontext():
        if not fresh and (stored := reusable(output, key)):
            say(f"{notebook.stem}: reused, nothing it depends on has changed")
            return stored
        say(f"{notebook.stem}: running")
        record = execute(notebook, output, parameters, say=say, **options)
    if place().rank == 0:
        files.write_json(output.with_suffix(".json"), record | {"key": key})
    return record


def _contents(values: Mapping[str, object], profile: str) -> dict[str, str]:
    """Return name -> digest of the files that a value names; of data `reusable` looks at what was read."""
    evidence = {"reference": REFERENCE, "own": files.results_folder("world", profile) / "evidence"}
    found = {}
    for name, value in values.items():
        path = files.home() / (evidence if name == "evidence" else {}).get(str(value), str(value))
        if value and name != "data" and os.path.exists(path):
            inside = [p for p in sorted([path, *path.rglob("[!.]*")]) if p.is_file()]
            found[name] = files.digest([[str(p), checkpoint.sha256(p)] for p in inside])
    return found


def course(config: Config, settings: Mapping[str, object], **options) -> dict[str, float]:
    """Run the whole sequence and return where its minutes went (`clock`). Settings and options as in `run`."""
    records = {name: run(notebook_path(name), config, settings, **options) for name in SEQUENCE}
    return clock(files.results_folder(config.data, config.profile), records)


def code_digest(notebook: Path) -> str:
    """Return a digest of a notebook's code cells and of the versions of all stages (`semcg.canary`).

    What only shows numbers, plots for example, is not part of it: `--fresh` executes a notebook again.
    """
    cells = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    return files.digest([cells, [canary.version(stage) for stage in canary.STAGES]])


def reusable(output: Path, key: Mapping[str, object]) -> dict | None:
    """Return the record of an execution with this key whose runs and data are still what they were, else None."""
    record = files.read_record(output.with_suffix(".json"))
    if record.get("status") != "ok" or record.get("key") != key or "cells" not in files.read_record(output):
        return None
    made = {name: files.read_record(output.parents[1] / name / "provenance.json") for name in record["runs"]}
    if record["runs"] != {name: provenance.get("fingerprint") for name, provenance in made.items()}:
        return None
    for data, digest in record["data"].items():
        folder = files.data_folder(data, str(key["parameters"]["profile"]))
        if not (folder / "manifest.csv").is_file() or files.data_digest(folder) != digest:
            return None
    return record


# ---------------------------------------------------------------- minutes

_TRAININGS = {  # run names begin so -> the line of the clock that their training belongs to
    "sem_": "segmenters and judge",
    "judge": "segmenters and judge",
    "cyclegan": "baseline CycleGAN",
    "semantic": "semantic CycleGANs",
    "downstream": "downstream segmenters",
}
_WORK = ("drawing the world", "evaluation", "other cells", "notebooks starting and ending")
_INSTALL, _COURSE = "install (once)", "course"


def clock(results: Path, records: Mapping[str, dict]) -> dict[str, float]:
    """Return the seconds that a course takes when nothing is stored, by kind of work.

    Notebooks count with their last execution, trainings with the time that they took whenever that was. A course that
    reuses everything therefore says the same as the one that did the work.

    Parameters
    ----------
    results : Path
        Folder of the profile's results.
    records : mapping
        Name of a notebook -> record of its execution (`semcg_kit.execution.execute`).

    Returns
    -------
    dict
        The install, which is not part of the sum, stands first where the Makefile noted it; the sum, "course", last.
    """
    drawing, evaluation, others, kernels = _WORK
    spent = dict.fromkeys((drawing, *_TRAININGS.values(), evaluation, others, kernels), 0.0)
    for name, record in records.items():
        apart = sum(record["trained"].values()) + sum(record["clock"].values())
        spent[drawing] += record["clock"].get("draw", 0.0)
        spent[kernels] += record["seconds"] - record["cells"]
        spent[evaluation if name == EVALUATION else others] += record["cells"] - apart
        for run in record["why"].keys() | record["trained"].keys():
            line = next(line for start, line in _TRAININGS.items() if run.startswith(start))
            spent[line] += files.read_json(results / run / "provenance.json")["seconds"]
    spent = {line: round(seconds, 1) for line, seconds in spent.items()}
    install = setup_seconds(Path(sys.prefix))
    begun = {_INSTALL: float(install)} if install else {}
    return begun | spent | {_COURSE: round(sum(spent.values()), 1)}


def table(seconds: Mapping[str, float]) -> str:
    """Return what `clock` found as text, min:s, with the share of each line and of all training."""
    total, lines = seconds[_COURSE], []
    for what, spent in seconds.items():
        share = "" if what in (_INSTALL, _COURSE) else f"{spent / total:>6.0%}"
        lines.append(f"{what:<30}{duration(int(spent)):>6}{share}")
    training = sum(seconds[line] for line in set(_TRAININGS.values()))
    return "\n".join([*lines, f"of which training {training / total:.0%}"])
