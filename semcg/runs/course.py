"""The notebooks in their order, and which of them are stale."""

import ast
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import nbformat

from semcg import files
from semcg.runs.clock import clock
from semcg.runs.execute import execute, parameters_of
from semcg.runs.recipes import room_digest
from semcg.training.devices import place

__all__ = [
    "NOTEBOOKS",
    "REPORT",
    "SEQUENCE",
    "clock_file",
    "code_digest",
    "course",
    "key_of",
    "notebook_path",
    "output_of",
    "reusable",
    "rooms_reached",
    "run",
    "settles",
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
_PACKAGE = Path(__file__).resolve().parent.parent


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
        return path.resolve()
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


def output_of(notebook: Path, given: dict[str, object]) -> Path:
    """Return where the executed copy of a notebook goes: by profile, data, seed and what differs from its defaults."""
    folder = files.results_folder(str(given.get("data") or "world"), str(given["profile"]))
    has = parameters_of(notebook)
    changed = {n: v for n, v in given.items() if not (n in _COMMON or n in has and has[n].is_default(v))}
    seed = f"-s{given.get('seed', 0)}" if "seed" in has else ""
    return folder / "notebooks" / f"{notebook.stem}{_in_name(changed)}{seed}.ipynb"


def clock_file(given: dict[str, object], settings: Mapping[str, object] | None = None) -> Path:
    """Return the file that says where the minutes of a course went."""
    folder = files.results_folder(str(given.get("data") or "world"), str(given["profile"]))
    return folder / f"course{_in_name(settings or {})}-s{given.get('seed', 0)}.json"


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
    """Return a digest of a notebook's code cells and of the code of every room that they can reach."""
    cells = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    rooms = rooms_reached(cells)
    if "runs" in rooms:  # most of it is about how a notebook is executed, which does not decide what it says
        rooms = rooms - {"runs"} | {f"runs/{part}" for part in ("datasets", "figures", "recipes", "trained")}
    return files.digest([cells, {room: room_digest(room) for room in sorted(rooms)}])


def rooms_reached(sources: Iterable[str]) -> set[str]:
    """Return the rooms of this package that some Python sources import, directly or through other rooms."""
    reached: set[str] = set()
    waiting = _imported(sources)
    while waiting:
        room = waiting.pop()
        reached.add(room)
        path = _PACKAGE / room
        modules = path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]
        waiting |= _imported(module.read_text(encoding="utf-8") for module in modules) - reached
    return reached


def _imported(sources: Iterable[str]) -> set[str]:
    rooms = set()
    for node in (
        n for source in sources for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)
    ):
        package, _, room = (node.module or "").partition(".")
        if package == "semcg":
            rooms |= {room.split(".")[0]} if room else {alias.name for alias in node.names}
    return rooms


def key_of(notebook: Path, parameters: dict[str, object], kernel: str = "") -> dict:
    """Return what must be equal for a stored execution to stand for a new one."""
    return {"code": code_digest(notebook), "parameters": parameters, "kernel": kernel}


def reusable(output: Path, key: dict) -> dict | None:
    """Return the record of an execution with this key whose runs and data are still what they were, else None."""
    record_path = output.with_suffix(".json")
    if not (output.is_file() and record_path.is_file()):
        return None
    record = files.read_json(record_path)
    if record.get("status") != "ok" or record.get("key") != key:
        return None
    for run_name, fingerprint in record["runs"].items():
        provenance = output.parent.parent / run_name / "provenance.json"
        if not provenance.is_file() or files.read_json(provenance)["fingerprint"] != fingerprint:
            return None
    for data, digest in record["data"].items():
        folder = files.data_folder(data, str(key["parameters"]["profile"]))
        if not (folder / "manifest.csv").is_file() or files.manifest_digest(folder) != digest:
            return None
    return record
