"""A task of a sweep, in plain values. Nothing heavy is imported here: Dask's workers need no more than this."""

from dataclasses import dataclass
from pathlib import Path

from semcg import files

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """One thing to do, in plain values, so that it travels to another process or machine.

    The machines must share a file system: a task carries paths, no files.

    Attributes
    ----------
    name : str
        Condition and seed as part of a file name.
    parameters : dict
        Of all its notebooks.
    notebooks : tuple of str
        Paths, executed in this order.
    home : str
        What `semcg.files.home` is to be.
    threads : int
        Threads of its kernel.
    layouts : tuple of str
        Only for what all share: the target layouts whose data must exist.
    """

    name: str
    parameters: dict[str, object]
    notebooks: tuple[str, ...]
    home: str
    threads: int = 1
    layouts: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the executed notebooks of the sweep lie, with their records."""
        return files.results_folder(str(self.parameters["data"]), str(self.parameters["profile"])) / "sweep"

    @property
    def outputs(self) -> dict[Path, Path]:
        """Notebook -> its executed copy: called like the task; further ones have their own name behind it."""
        first, *others = map(Path, self.notebooks)
        return {first: self.folder / f"{self.name}.ipynb"} | {
            other: self.folder / f"{self.name}-{other.stem}.ipynb" for other in others
        }

    @property
    def lock(self) -> Path:
        """The file that whoever carries it out has locked; `.lock` is that of the execution of its notebook."""
        return self.folder / f".{self.name}.task"
