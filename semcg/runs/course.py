"""The notebooks in their order, and which of them are stale."""

from collections.abc import Callable
from pathlib import Path

import nbformat

from semcg import canary, files
from semcg.contents import data_digest
from semcg.runs.clock import clock
from semcg.runs.execute import execute, parameters_of
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
