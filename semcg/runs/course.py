"""The notebooks in their order, and which of them are stale."""

import ast
from collections.abc import Callable, Iterable
from pathlib import Path

import nbformat

from semcg import files
from semcg.runs.clock import clock
from semcg.runs.execute import execute, parameters_of
from semcg.runs.recipes import room_digest
from semcg.training.devices import place

__all__ = [
    "REPORT",
    "SEQUENCE",
    "code_digest",
    "course",
    "key_of",
    "notebook_path",
    "output_of",
    "reusable",
    "rooms_reached",
    "run",
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

_PACKAGE = Path(__file__).resolve().parent.parent


def notebook_path(name: str) -> Path:
    """Return the path of a notebook of the course, by its file name with or without the ending, or any path.

    Raises
    ------
    FileNotFoundError
        If there is none; lists those that there are.
    """
    folder = Path(__file__).resolve().parents[2] / "notebooks"
    for candidate in (Path(name), folder / name, folder / f"{name}.ipynb"):
        if candidate.is_file():
            return candidate.resolve()
    raise FileNotFoundError(
        f"no notebook {name}; there are {', '.join(p.stem for p in sorted(folder.glob('*.ipynb')))}"
    )


def output_of(notebook: Path, given: dict[str, object]) -> Path:
    """Return where the executed copy of a notebook goes: by profile, data and, if it takes one, seed."""
    folder = files.results_folder(str(given.get("data") or "world"), str(given["profile"]))
    seed = f"-s{given.get('seed', 0)}" if "seed" in parameters_of(notebook) else ""
    return folder / "notebooks" / f"{notebook.stem}{seed}.ipynb"


def run(
    notebook: Path,
    given: dict[str, object],
    *,
    kernel: str = "",
    fresh: bool = False,
    cell_timeout: int | None = None,
    say: Callable[[str], None],
) -> tuple[dict, bool]:
    """Execute a notebook unless an execution with the same outcome is stored, and return its record.

    Parameters
    ----------
    notebook : Path
    given : dict
        Parameters. "profile", "data", "seed" and "device" are passed on only where the notebook has them.

    Returns
    -------
    dict
        The record of `execute`.
    bool
        Whether it was reused.
    """
    has = parameters_of(notebook)
    common = ("profile", "data", "seed", "device")
    parameters = {name: value for name, value in given.items() if name in has or name not in common}
    output = output_of(notebook, given)
    key = key_of(notebook, parameters, kernel)
    if not fresh and (stored := reusable(output, key)):
        say(f"{notebook.stem}: reused, nothing it depends on has changed")
        return stored, True
    say(f"{notebook.stem}: running")
    record = execute(
        notebook, output, parameters, kernel=kernel, fresh=fresh, cell_timeout=cell_timeout, say=say
    )
    record["key"] = key
    if place().rank == 0:
        files.write_json(output.with_suffix(".json"), record)
    return record, False


def course(*, given: dict[str, object], kernel: str, fresh: bool, say: Callable[[str], None]) -> Path:
    """Run the whole sequence, note where its minutes went, and return the folder of its results. Parameters as in `run`."""
    records = {}
    for name in SEQUENCE:
        records[name], _ = run(notebook_path(name), given, kernel=kernel, fresh=fresh, say=say)
    folder = files.results_folder(str(given.get("data") or "world"), str(given["profile"]))
    if place().rank == 0:
        files.write_json(folder / f"course-s{given.get('seed', 0)}.json", clock(folder, records))
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
