"""From an executed course to what is committed of it: notebooks, the comparison, one figure, the README's table."""

import shutil
from pathlib import Path

import nbformat

from semcg import config as configs
from semcg import files
from semcg.runs.figures import save_figures
from semcg_kit.execution.course import REPORT, SEQUENCE, code_digest, notebook_path, output_of, run

__all__ = ["BESIDE", "COPIED", "LEDGER", "cleaned", "refresh", "table_in"]

BESIDE = (REPORT, "07_real_time", "08_beyond")
"""Notebooks outside of the sequence, which `refresh` executes itself; 08 uses the CycleGAN of 03 where it is trained."""

_BEGIN, _END = "<!-- table: written by `make notebooks` -->\n", "<!-- end of table -->\n"


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
        cell.outputs = [_without_count(o) for o in outputs if _WIDGET not in o.get("data", {})]
    fresh.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return fresh


_WIDGET = (
    "application/vnd.jupyter.widget-view+json"  # dead without its kernel; a still picture stands beside it
)


def _without_count(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    if "execution_count" in output:
        output.execution_count = None
    return output


def table_in(readme: str, table: str, *, begin: str = _BEGIN, end: str = _END) -> str:
    """Return the text of the README with a table in its place: the comparison's, or another between other marks.

    Raises
    ------
    ValueError
        If the README has not exactly one place for it.
    """
    before, found, rest = readme.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"README.md has no place for the table: {begin.strip()} ... {end.strip()}")
    table = table.strip("\n")  # not the blanks: a heading may begin with them
    return f"{before}{begin}```\n{table}\n```\n{end}{after}"


COPIED = ("table.txt", "table.csv", "figure_3.png")
"""Names of what of a course goes into `results/reference/`."""

LEDGER = ("<!-- ledger: written by `semcg ledger --ship` -->\n", "<!-- end of ledger -->\n")
"""Marks of the place of the verdicts."""


def refresh(given: dict[str, object]) -> list[Path]:
    """Replace what is committed of a course by what a stored execution of it left, and return the paths.

    The notebooks' outputs, those beside the sequence executed first; `results/reference/` with the comparison and
    Figure 3; the table in the README.

    Parameters
    ----------
    given : dict
        Parameters that the course ran with: "profile", "seed", and "data" = "world".
    """
    written = []
    for name in (*SEQUENCE, *BESIDE):
        path = notebook_path(name)
        if name in BESIDE:
            run(path, given, say=lambda line: None)
        executed = output_of(path, given)
        fresh = cleaned(nbformat.read(executed, as_version=4), source=nbformat.read(path, as_version=4))
        fresh.metadata["semcg"] = {k: given[k] for k in ("profile", "seed")} | {"code": code_digest(path)}
        with files.atomic(path) as partial:
            nbformat.write(fresh, partial)
        written.append(path)
    config = configs.make(str(given["profile"]), seed=given["seed"])
    save_figures(config)
    results = files.results_folder(config.data, config.profile)
    reference = path.parent.parent / "results" / "reference"
    evaluation = results / f"evaluation-s{given['seed']}"
    folders = (evaluation, evaluation, results / "figures")
    for made in (folder / name for folder, name in zip(folders, COPIED, strict=True)):
        with files.atomic(reference / made.name) as partial:
            shutil.copyfile(made, partial)
        written.append(reference / made.name)
    readme = path.parent.parent / "README.md"
    files.write_text(
        readme, table_in(readme.read_text(encoding="utf-8"), (reference / "table.txt").read_text())
    )
    return [*written, readme]
