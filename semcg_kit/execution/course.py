"""The notebooks in their order, and which of them are stale."""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nbformat

from semcg import canary, files
from semcg.contents import data_digest
from semcg.system import duration
from semcg.training.devices import place
from semcg_kit.execution.execute import execute, parameters_of

__all__ = [
    "COURSE",
    "NOTEBOOKS",
    "REPORT",
    "SEQUENCE",
    "TRAINING",
    "clock",
    "clock_file",
    "code_digest",
    "course",
    "evaluation_folder",
    "key_of",
    "notebook_path",
    "output_of",
    "reusable",
    "run",
    "settles",
    "table",
]

SEQUENCE = (
    "00_start_here",
    "01_data",
    "02_segmenters",
    "03_cyclegan",
    "04_semantic_cyclegan",
    "05_evaluation",
)

REPORT = "06_report"
"""It reads measurements that lie there and trains nothing, so that it stands outside of the sequence."""

_COMMON = ("profile", "data", "seed", "device")


NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
"""The notebooks of the course, in the repository that this package was installed from."""


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
    """
    path = Path(name)
    if ("/" in name or path.suffix == ".ipynb") and path.is_file():
        return _checked(path)
    if len(path.parts) == 1 and (ours := NOTEBOOKS / f"{path.name.removesuffix('.ipynb')}.ipynb").is_file():
        return ours
    if not NOTEBOOKS.is_dir():
        raise FileNotFoundError(
            f"{NOTEBOOKS} does not exist: this semcg was installed without the course. Clone the repository and run "
            "`make setup` there"
        )
    there = ", ".join(p.stem for p in sorted(NOTEBOOKS.glob("*.ipynb")))
    raise FileNotFoundError(f"no notebook {name}; the course has {there}")


def settles(notebook: Path) -> bool:
    """Return whether a notebook makes a Config (`semcg.notebook.settle`), so that settings reach it."""
    return any("settle(" in cell.source for cell in nbformat.read(notebook, as_version=4).cells)


def _checked(path: Path) -> Path:
    try:
        nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises anything
        raise ValueError(f"{path} is not a notebook: {type(error).__name__}: {str(error)[:200]}") from None
    return path.resolve()


def output_of(notebook: Path, given: dict[str, object]) -> Path:
    """Return where the executed copy of a notebook goes: by profile, data, seed and what differs from its defaults."""
    folder = files.results_folder(str(given.get("data") or "world"), str(given["profile"]))
    has = parameters_of(notebook)
    changed = {n: v for n, v in given.items() if not (n in _COMMON or n in has and has[n].is_default(v))}
    seed = f"-s{given.get('seed', 0)}" if "seed" in has else ""
    return folder / "notebooks" / f"{notebook.stem}{_in_name(changed)}{seed}.ipynb"


def clock_file(given: dict[str, object], settings: Mapping[str, object] | None = None) -> Path:
    """Return the file that says where the minutes of a course went."""
    return evaluation_folder(given, settings, "course").with_suffix(".json")


def evaluation_folder(
    given: dict[str, object], settings: Mapping[str, object] | None = None, name: str = "evaluation"
) -> Path:
    """Return where the tables of notebook 05 are: with other settings than the profile's, in a folder of their own."""
    folder = files.results_folder(str(given.get("data") or "world"), str(given["profile"]))
    return folder / f"{name}{_in_name(settings or {})}-s{given.get('seed', 0)}"


@contextmanager
def _own_evaluation(given: dict[str, object], settings: Mapping[str, object]) -> Iterator[None]:
    """Move what notebook 05 writes with settings into a folder of its own, and leave the profile's as it was."""
    usual = evaluation_folder(given)
    aside, own = usual.with_name(f".{usual.name}.usual"), evaluation_folder(given, settings)
    if place().rank or own == usual:
        yield
        return
    if usual.exists() and not aside.exists():
        usual.rename(aside)
    shutil.rmtree(usual, ignore_errors=True)  # there are both after a kill: then the one with settings
    try:
        yield
    finally:
        if usual.exists():
            shutil.rmtree(own, ignore_errors=True)
            usual.rename(own)
        if aside.exists():
            aside.rename(usual)


def _in_name(values: Mapping[str, object]) -> str:
    """Return values as part of a file name, in the form -name=value, or a digest where that is too long."""
    text = "".join(f"-{name}={value}" for name, value in sorted(values.items())).replace(" ", "")
    return f"-{files.digest(text)[:8]}" if len(text) > 80 or "/" in text else text


def run(
    notebook: Path,
    given: dict[str, object],
    *,
    kernel: str = "",
    fresh: bool = False,
    cell_timeout: int | None = None,
    say: Callable[[str], None],
    settings: Mapping[str, object] | None = None,
) -> tuple[dict, bool]:
    """Execute a notebook unless an execution with the same outcome is stored, and return its record.

    Parameters
    ----------
    notebook : Path
    given : dict
        Parameters. "profile", "data", "seed" and "device" are passed on only where the notebook has them.
    settings : mapping, optional
        Fields of `semcg.config.Config` that differ from the profile; those that the notebook declares are passed as
        its parameters too.

    Returns
    -------
    dict
        The record of `execute`.
    bool
        Whether it was reused.
    """
    has = parameters_of(notebook)
    settings = dict(settings or {})
    parameters = {name: value for name, value in given.items() if name in has or name not in _COMMON}
    parameters |= {name: value for name, value in settings.items() if name in has}
    output = output_of(notebook, given | settings)
    key = key_of(notebook, parameters, kernel) | ({"settings": settings} if settings else {})
    if not fresh and (stored := reusable(output, key)):
        say(f"{notebook.stem}: reused, nothing it depends on has changed")
        return stored, True
    say(f"{notebook.stem}: running")
    with _own_evaluation(given, settings if notebook.stem == SEQUENCE[-1] else {}):
        record = execute(
            notebook,
            output,
            parameters,
            kernel=kernel,
            fresh=fresh,
            cell_timeout=cell_timeout,
            say=say,
            settings=settings,
        )
    record["key"] = key
    if place().rank == 0:
        files.write_json(output.with_suffix(".json"), record)
    return record, False


def course(
    *,
    given: dict[str, object],
    kernel: str,
    fresh: bool,
    say: Callable[[str], None],
    settings: Mapping[str, object] | None = None,
) -> Path:
    """Run the whole sequence, note where its minutes went, and return the folder of its results. Parameters as in `run`."""
    records = {}
    for name in SEQUENCE:
        path = notebook_path(name)
        records[name], _ = run(path, given, kernel=kernel, fresh=fresh, say=say, settings=settings)
    folder = files.results_folder(str(given.get("data") or "world"), str(given["profile"]))
    if place().rank == 0:
        files.write_json(clock_file(given, settings), clock(folder, records))
    return folder


def code_digest(notebook: Path) -> str:
    """Return a digest of a notebook's code cells and of the versions of all stages (`semcg.canary`).

    What only shows numbers, plots for example, is not part of it: `--fresh` executes a notebook again.
    """
    cells = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    return files.digest([cells, [canary.version(stage) for stage in canary.STAGES]])


def key_of(notebook: Path, parameters: dict[str, object], kernel: str = "") -> dict:
    """Return what must be equal for a stored execution to stand for a new one."""
    return {"code": code_digest(notebook), "parameters": parameters, "kernel": kernel}


def reusable(output: Path, key: dict) -> dict | None:
    """Return the record of an execution with this key whose runs and data are still what they were, else None."""
    record = files.read_record(output.with_suffix(".json"))
    if record.get("status") != "ok" or record.get("key") != key or not _is_notebook(output):
        return None
    for run_name, fingerprint in record["runs"].items():
        made = files.read_record(output.parent.parent / run_name / "provenance.json")
        if made.get("fingerprint") != fingerprint:
            return None
    for data, digest in record["data"].items():
        folder = files.data_folder(data, str(key["parameters"]["profile"]))
        if not (folder / "manifest.csv").is_file() or data_digest(folder) != digest:
            return None
    return record


def _is_notebook(path: Path) -> bool:
    try:
        return bool(nbformat.read(path, as_version=4).cells)
    except (OSError, ValueError, AttributeError):
        return False


_BY_NAME = {  # run names begin so -> the line of the clock that their training belongs to
    "sem_": "segmenters and judge",
    "judge": "segmenters and judge",
    "cyclegan": "baseline CycleGAN",
    "semantic": "semantic CycleGANs",
    "downstream": "downstream segmenters",
}
TRAINING = tuple(dict.fromkeys(_BY_NAME.values()))
"""Lines that are training; the course's aim is that they are most of it."""
COURSE = "course"
INSTALL, DRAW, EVALUATION, CELLS, KERNELS = (
    "install (once)",
    "drawing the world",
    "evaluation",
    "other cells",
    "notebooks starting and ending",
)
_EVALUATES = "05_evaluation"


def clock(results: Path, records: dict[str, dict]) -> dict[str, float]:
    """Return the seconds that a course takes when nothing is stored, by kind of work.

    Notebooks count with their last execution, trainings with the time that they took whenever that was. A course that
    reuses everything therefore says the same as the one that did the work.

    Parameters
    ----------
    results : Path
        Folder of the profile's results.
    records : dict
        Name of a notebook -> record of its execution (`semcg_kit.execution.execute`).

    Returns
    -------
    dict
        The install, which is not part of the sum, stands first where the Makefile noted it; the sum, "course", last.
    """
    spent = {DRAW: 0.0, **dict.fromkeys(TRAINING, 0.0), EVALUATION: 0.0, CELLS: 0.0, KERNELS: 0.0}
    for name, record in records.items():
        in_cells = record.get("cells", record["seconds"])  # of an earlier version: not told apart
        apart = sum(record["trained"].values()) + sum(record["clock"].values())
        spent[DRAW] += record["clock"].get("draw", 0.0)
        spent[EVALUATION if name == _EVALUATES else CELLS] += in_cells - apart
        spent[KERNELS] += record["seconds"] - in_cells
        for run in record["why"].keys() | record["trained"].keys():
            line = next(line for start, line in _BY_NAME.items() if run.startswith(start))
            spent[line] += files.read_json(results / run / "provenance.json")["seconds"]
    spent = {line: round(seconds, 1) for line, seconds in spent.items()}
    install = Path(sys.prefix) / ".ready"  # the Makefile writes there how long it took
    noted = install.read_text().partition(" ")[0].strip() if install.is_file() else ""
    begun = {INSTALL: float(noted)} if noted.isdigit() else {}
    return begun | spent | {COURSE: round(sum(spent.values()), 1)}


def table(seconds: dict[str, float]) -> str:
    """Return what `clock` found as text, min:s, with the share of each line and of all training."""
    whole = seconds[COURSE]
    lines = []
    for what, spent in seconds.items():
        share = "" if what in (INSTALL, COURSE) else f"{spent / whole:>6.0%}"
        lines.append(f"{what:<30}{duration(int(spent)):>6}{share}")
    training = sum(seconds[line] for line in TRAINING)
    return "\n".join([*lines, f"of which training {training / whole:.0%}"])
