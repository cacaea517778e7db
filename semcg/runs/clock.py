"""Where the minutes of a course went."""

import sys
from pathlib import Path

from semcg import files
from semcg.terminal import duration

__all__ = ["COURSE", "TRAINING", "clock", "table"]

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
        Name of a notebook -> record of its execution (`semcg.runs.execute`).

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
