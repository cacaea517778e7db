"""How a notebook is executed: papermill, in a fresh kernel of this very environment, with its outcome in a file.

The executed notebook lies in `results/<profile>/notebooks/`, with a JSON file of the same name beside it that says
how it ended. That file is written by this module and not read off the notebook, whose own metadata call a run
"completed" that was killed. While a notebook runs, its text is in `<name>.partial.ipynb`; one that failed is kept
as `<name>.failed.ipynb`.

Under torchrun or Slurm every process executes the notebook, with a kernel of its own that inherits its place among
them. The first keeps what is described above and reports; the others execute in their scratch folder, which holds the
kernel's temporary files too. Its name follows from the output's, so that the next execution removes what a kill left.
"""

import ast
import json
import logging
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import papermill
from jupyter_client.kernelspec import KernelSpecManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config as TraitletsConfig

from semcg import files, locks
from semcg.runs.record import VARIABLE, summary
from semcg.training.devices import Place, place
from semcg_kit.execution import kernels
from semcg_kit.execution.failures import Failed, Stopped, with_remedy
from semcg_kit.execution.kernels import lock_of, scratch
from semcg_kit.execution.watch import Watch

__all__ = ["execute", "parameters_of", "typed"]


_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class _Parameter:
    type: str
    help: str
    default: str = ""

    def is_default(self, value: object) -> bool:
        """Return whether a value is the one that the notebook has itself."""
        try:
            return ast.literal_eval(self.default) == value
        except (ValueError, SyntaxError):
            return self.default == str(value)


def parameters_of(notebook: Path) -> dict[str, _Parameter]:
    """Return the parameters that a notebook declares: name -> its type and its comment."""
    with _quiet():
        found = papermill.inspect_notebook(str(notebook))
    return {name: _Parameter(p["inferred_type_name"], p["help"], p["default"]) for name, p in found.items()}


def typed(notebook: Path, given: dict[str, str]) -> dict[str, object]:
    """Turn `name=value` texts into values of the types that the notebook declares.

    Raises
    ------
    ValueError
        On a name that the notebook does not declare, or a text that is not of its type.
    """
    known = parameters_of(notebook)
    if unknown := sorted(given.keys() - known.keys()):
        raise ValueError(f"{notebook.stem} has no parameter {', '.join(unknown)}; it has {', '.join(known)}")
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    values = {}
    for name, text in given.items():
        kind = known[name].type
        try:
            if kind == "bool":
                values[name] = words[str(text).lower()]
            else:
                values[name] = {"int": int, "float": float}.get(kind, str)(text)
        except (ValueError, KeyError):
            raise ValueError(
                f"{name} = {text!r}: {notebook.stem} wants {kind} ({known[name].help})"
            ) from None
    return values


def execute(
    notebook: Path,
    output: Path,
    parameters: dict[str, object],
    *,
    kernel: str = "",
    fresh: bool = False,
    cell_timeout: int | None = None,
    say: Callable[[str], None] | None = None,
    settings: Mapping[str, object] | None = None,
) -> dict:
    """Execute a notebook and return what it did.

    In several processes (`semcg.training.devices.place`) all must call this; `output` and the files beside it are the
    first one's, and only that one says anything.

    Parameters
    ----------
    notebook, output : Path
        The notebook, and where its executed copy goes.
    parameters : dict
        Values for the notebook's parameters cell; a name it does not declare is refused before the kernel starts.
    kernel : str
        Name of an installed Jupyter kernel; "" is this interpreter.
    fresh : bool
        Runs inside start over instead of being reused or resumed.
    cell_timeout : int, optional
        Seconds that one cell may take.
    say : callable, optional
        Is shown progress lines while the notebook runs.
    settings : mapping, optional
        Further fields of `semcg.config.Config` for `semcg.notebook.settle`; they become part of the record.

    Returns
    -------
    dict
        "seconds", "cells" (seconds within cells), "runs" (name -> fingerprint) and "data" (name -> digest) that it made or read, "trained"
        (run -> seconds of training in this execution), "machine" (device, threads and the most memory that its kernel
        held, where it called `semcg.notebook.settle`), "status" = "ok".

    Raises
    ------
    ValueError
        On an unknown parameter or kernel, or a notebook whose training several processes cannot share.
    Failed, Stopped
        If it did not run to its end; its outputs so far are in `<name>.failed.ipynb`.
    """
    known, here = parameters_of(notebook), place()
    if unknown := sorted(parameters.keys() - known.keys()):
        raise ValueError(f"{notebook.stem} has no parameter {', '.join(unknown)}; it has {', '.join(known)}")
    if here.ranks > 1 and "batch" not in known:
        raise ValueError(
            f"{notebook.stem} has no parameter batch that {here.ranks} processes could share; run it in one process"
        )
    if kernel and kernel not in (installed := KernelSpecManager().find_kernel_specs()):
        raise ValueError(f"kernel = {kernel!r}: not installed; there are {', '.join(sorted(installed))}")
    lock = lock_of(output, here.rank)
    locks.hold(lock, f"the execution of {notebook.stem}")
    try:
        return _executed(notebook, output, parameters, kernel, fresh, cell_timeout, say, here, settings)
    finally:
        locks.release(lock)


def _executed(notebook, output, parameters, kernel, fresh, cell_timeout, say, here: Place, settings) -> dict:
    begun = time.time()
    given = {"parameters": parameters} | ({"settings": dict(settings)} if settings else {})
    with scratch(output, here) as folder:
        if here.rank:
            output, say = folder / output.name, None
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = output.with_suffix(".partial.ipynb")
        failed = output.with_suffix(".failed.ipynb")
        record = output.with_suffix(".json")
        record.unlink(missing_ok=True)
        # With our number: the kernel of a killed runner outlives it by a second, and must not tell us anything.
        events = folder / f"events.{os.getpid()}.jsonl"
        options = {"transport_encryption": "auto", "connection_file": str(folder / "kernel.json")}
        try:
            told = {VARIABLE: str(events), "TMPDIR": str(folder)} | ({"SEMCG_FRESH": "1"} if fresh else {})
            told |= {"SEMCG_SETTINGS": json.dumps(dict(settings))} if settings else {}
            # Threads that spin while they wait take the cores from other programs; read when torch is imported.
            told |= {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive")}
            if (
                not kernel and (_REPOSITORY / "notebooks").is_dir()
            ):  # where the environment knows another copy of it
                told |= {"PYTHONPATH": os.pathsep.join([str(_REPOSITORY), *_python_path()])}
            with (
                _environment(told),
                Watch(events, say),
                kernels.passing_signals() as arrived,
                _quiet(),
                kernels.dying(),
            ):
                executed = papermill.execute_notebook(
                    str(notebook),
                    str(partial),
                    parameters=parameters,
                    kernel_name=kernel or "python3",
                    kernel_manager_class=kernels.Named if kernel else kernels.Own,
                    config=TraitletsConfig({"KernelManager": options}),
                    cwd=str(notebook.parent),
                    progress_bar=False,
                    execution_timeout=cell_timeout,
                )
        except (PapermillExecutionError, DeadKernelError, CellTimeoutError) as error:
            if partial.exists():
                os.replace(partial, failed)
            if here.ranks > 1 and not arrived and getattr(error, "ename", "") == "KeyboardInterrupt":
                arrived.append(signal.SIGTERM)  # that another process got; they stopped together
            status, sentence = _sentence(error, notebook, arrived, here, kernels.last_words(folder))
            outcome = {"status": status, "reason": sentence, "seconds": round(time.time() - begun, 1)}
            files.write_json(record, outcome | given)
            if arrived:
                raise Stopped(sentence, arrived[0]) from None
            raise Failed(sentence if here.rank else f"{sentence}\nIts outputs so far: {failed}") from None
        except (KeyboardInterrupt, OSError) as error:  # before the first cell, or of papermill's own files
            partial.unlink(missing_ok=True)
            if arrived:
                why = f"was stopped by {signal.Signals(arrived[0]).name} before its first cell"
                raise Stopped(f"{notebook.stem} {why}; the same command begins it", arrived[0]) from None
            if isinstance(error, KeyboardInterrupt):
                raise
            why = f"{error.filename or partial} could not be written: {error.strerror}"
            raise OSError(f"{notebook.stem} was stopped, since {why}; mend that, and it goes on") from error
        outcome = {"status": "ok", "seconds": round(time.time() - begun, 1)} | given
        outcome |= {"cells": _in_cells(executed)} | summary(events)
        os.replace(partial, output)
        failed.unlink(missing_ok=True)
        files.write_json(record, outcome)
    return outcome


def _sentence(
    error: Exception, notebook: Path, arrived: list[int], here: Place, words: str
) -> tuple[str, str]:
    """Return one word and one sentence on why a notebook ended early; `words` are the last of its kernel."""
    if here.ranks > 1 and (lost := _loss_of_another(error)):
        return "lost", (
            f"process {here.rank} of {here.ranks} ends {notebook.stem}: it lost another process, whose own message says "
            f"why ({lost}). The same command goes on from the last saved state"
        )
    if arrived:
        reason = getattr(error, "evalue", "") or "what is finished stays; the same command goes on from there"
        return "stopped", f"{notebook.stem} was stopped by {signal.Signals(arrived[0]).name}: {reason}"
    if isinstance(error, DeadKernelError):
        return "killed", (
            f"the kernel of {notebook.stem} died; most often the memory was used up. "
            "Close other programs or use a smaller profile; the same command goes on from the last saved state"
            + (f". Its last words: {words}" if words else "")
        )
    if isinstance(error, CellTimeoutError):
        longer = "the same command goes on from the last saved state; a larger --cell-timeout may help"
        return "timeout", f"a cell of {notebook.stem} took longer than allowed; {longer}"
    return "failed", with_remedy(f"{notebook.stem}, cell {error.exec_count}: {error.ename}: {error.evalue}")


def _loss_of_another(error: Exception) -> str:
    """Return what torch.distributed said if it no longer reaches another process, "" for any other error."""
    name, said = getattr(error, "ename", ""), getattr(error, "evalue", "")
    told = name == "RuntimeError" and re.search(r"gloo/transport|NCCL|c10d", said)
    told = told or (name.startswith("Dist") and "EADDRINUSE" not in said)
    return re.sub(r"^\[\S+\] ", "", said).splitlines()[0].partition(". ")[0] if told else ""


def _in_cells(executed: NotebookNode) -> float:
    """Return the seconds that the cells took; the rest of an execution is a kernel that starts and ends."""
    return round(sum(cell.metadata.get("papermill", {}).get("duration") or 0.0 for cell in executed.cells), 1)


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep papermill's log lines below warnings out of the terminal; ours say the same in fewer words."""
    logger = logging.getLogger("papermill")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
