"""From an executed notebook to one that is committed: same cells, same outputs, nothing that differs between runs."""

from pathlib import Path

import nbformat

from semcg import files
from semcg.runs.course import SEQUENCE, code_digest, notebook_path, output_of

__all__ = ["cleaned", "refresh"]


def cleaned(executed: nbformat.NotebookNode, *, source: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the source notebook with the outputs of its executed copy.

    Left out are the injected parameters, all timings, widget state and whatever else papermill notes down. Cells
    tagged "timing" keep no output. Execution counts run from 1, since nbval compares only cells that have one.

    Raises
    ------
    ValueError
        If the executed notebook does not have the cells of the source.
    """
    ran = {cell.id: cell for cell in executed.cells}
    fresh = nbformat.from_dict(source)
    count = 0
    for cell in fresh.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k == "tags"}
        if cell.cell_type != "code":
            continue
        if cell.id not in ran or ran[cell.id].source != cell.source:
            raise ValueError(f"cell {cell.id} is not in the executed notebook; run it again")
        count += 1
        cell.execution_count = count
        outputs = [] if "timing" in cell.metadata.get("tags", []) else ran[cell.id].outputs
        cell.outputs = [_without_count(output) for output in outputs]
    fresh.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return fresh


def _without_count(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    if "execution_count" in output:
        output.execution_count = None
    return output


def refresh(given: dict[str, object]) -> list[Path]:
    """Replace the outputs of the committed notebooks by those of a stored execution, and return their paths.

    Parameters
    ----------
    given : dict
        Parameters that the course ran with: "profile", "data", "seed".
    """
    written = []
    for name in SEQUENCE:
        path = notebook_path(name)
        executed = output_of(path, given)
        fresh = cleaned(nbformat.read(executed, as_version=4), source=nbformat.read(path, as_version=4))
        fresh.metadata["semcg"] = {k: given[k] for k in ("profile", "seed")} | {"code": code_digest(path)}
        with files.atomic(path) as partial:
            nbformat.write(fresh, partial)
        written.append(path)
    return written
