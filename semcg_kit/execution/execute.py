"""How a notebook is executed: papermill, in a fresh kernel of this very environment, with its outcome in a file.

The executed notebook lies in `results/<profile>/notebooks/`, with a JSON file of the same name beside it that says
how it ended. That file is written by this module and not read off the notebook, whose own metadata call a run
"completed" that was killed. While a notebook runs, its text is in `<name>.partial.ipynb`; one that failed is kept
as `<name>.failed.ipynb`.

Under torchrun or Slurm every process executes the notebook, with a kernel of its own that inherits its place among
them. The first keeps what is described above and reports; the others execute in their scratch folder, which holds the
kernel's temporary files too. Its name follows from the output's, so that the next execution removes the files of a killed one.
"""

import json
import logging
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpecManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config as TraitletsConfig

from semcg import files
from semcg.devices import Place, place
from semcg.runs.store import EVENTS_VARIABLE
from semcg_kit.execution import Failed, Stopped, with_remedy
from semcg_kit.execution.kernels import Installed, Own, Watch, last_words, passing_signals, scratch

__all__ = ["execute", "parameters_of", "typed"]


def parameters_of(notebook: Path) -> dict[str, dict[str, str]]:
    """Return the parameters that a notebook declares: name -> "inferred_type_name", "default" and "help", its comment."""
    logging.getLogger("papermill").setLevel(logging.ERROR)  # ours says the same in fewer words
    book = nbformat.read(notebook, as_version=4)
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}  # where it names none
    book.metadata.kernelspec = python | (book.metadata.get("kernelspec") or {})
    return papermill.inspect_notebook(book)


def _known(notebook: Path, given: Iterable[str]) -> dict[str, dict[str, str]]:
    known = parameters_of(notebook)
    if unknown := sorted(set(given) - known.keys()):
        raise ValueError(f"{notebook.stem} has no parameter {', '.join(unknown)}; it has {', '.join(known)}")
    return known


_TRUE = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_KINDS = {"int": int, "float": float, "bool": lambda text: _TRUE[text.lower()]}


def typed(notebook: Path, given: dict[str, str]) -> dict[str, object]:
    """Turn `name=value` texts into values of the types that the notebook declares.

    Raises
    ------
    ValueError
        On a name that the notebook does not declare, or a text that is not of its type.
    """
    known, values = _known(notebook, given), {}
    for name, text in given.items():
        kind, comment = known[name]["inferred_type_name"], known[name]["help"]
        try:
            values[name] = _KINDS.get(kind, str)(text)
        except (ValueError, KeyError):
            raise ValueError(f"{name} = {text!r}: {notebook.stem} expects {kind} ({comment})") from None
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

    In several processes (`semcg.devices.place`) all must call this; `output` and the files beside it are the
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
    known, here = _known(notebook, parameters), place()
    if here.ranks > 1 and "batch" not in known:
        raise ValueError(
            f"{notebook.stem} has no parameter batch that {here.ranks} processes could share; run it in one process"
        )
    if kernel and kernel not in (installed := KernelSpecManager().find_kernel_specs()):
        raise ValueError(f"kernel = {kernel!r}: not installed; there are {', '.join(sorted(installed))}")
    with scratch(output, here, notebook.stem) as folder:
        # With our number: the kernel of a killed runner outlives it by a second, and must not tell us anything.
        events = folder / f"events.{os.getpid()}.jsonl"
        environment = {EVENTS_VARIABLE: str(events), "TMPDIR": str(folder)}
        # Threads that spin while they wait take the cores from other programs; read when torch is imported.
        environment["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "passive")
        if fresh:
            environment["SEMCG_FRESH"] = "1"
        if settings:
            environment["SEMCG_SETTINGS"] = json.dumps(dict(settings))
        # The environment may know another copy of the repository.
        if not kernel and (files.repository() / "notebooks").is_dir():
            paths = [str(files.repository()), os.environ.get("PYTHONPATH")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        manager = {"environment": environment, "connection_file": str(folder / "kernel.json")}
        options = {
            "parameters": parameters,
            "kernel_name": kernel or "python3",
            "language": None if kernel else "python",
            "kernel_manager_class": Installed if kernel else Own,
            "config": TraitletsConfig({"KernelManager": manager | {"transport_encryption": "auto"}}),
            "cwd": str(notebook.parent),
            "progress_bar": False,
            "execution_timeout": cell_timeout,
        }
        output = folder / output.name if here.rank else output
        watch = Watch(events, say) if say and not here.rank else nullcontext()
        return _executed(notebook, output, options, watch, events, settings)


def _executed(notebook: Path, output: Path, options: dict, watch, events: Path, settings) -> dict:
    """Execute a notebook by papermill with these options, write its record, and return or raise what it says."""
    begun, here = time.time(), place()
    given = {"parameters": options["parameters"]} | ({"settings": dict(settings)} if settings else {})
    output.parent.mkdir(parents=True, exist_ok=True)
    partial, failed = output.with_suffix(".partial.ipynb"), output.with_suffix(".failed.ipynb")
    record = output.with_suffix(".json")
    record.unlink(missing_ok=True)
    try:
        with watch, passing_signals() as arrived:
            executed = papermill.execute_notebook(str(notebook), str(partial), **options)
    except (PapermillExecutionError, CellTimeoutError, RuntimeError) as error:
        # For a kernel that dies before its first answer nbclient has no class.
        died = isinstance(error, DeadKernelError) or "Kernel died" in str(error)
        if isinstance(error, RuntimeError) and not died:
            raise
        if partial.exists():
            os.replace(partial, failed)
        if here.ranks > 1 and not arrived and getattr(error, "ename", "") == "KeyboardInterrupt":
            arrived.append(signal.SIGTERM)  # that another process got; they stopped together
        status, sentence = _sentence(error, notebook, arrived, here, last_words(events.parent))
        outcome = {"status": status, "reason": sentence, "seconds": round(time.time() - begun, 1)}
        files.write_json(record, outcome | given)
        if arrived:
            raise Stopped(sentence, arrived[0]) from None
        raise Failed(sentence if here.rank else f"{sentence}\nIts outputs so far: {failed}") from None
    except (KeyboardInterrupt, OSError) as error:  # before the first cell, or of papermill's own files
        partial.unlink(missing_ok=True)
        if arrived:
            why = f"was stopped by {signal.Signals(arrived[0]).name} before its first cell"
            raise Stopped(f"{notebook.stem} {why}; the same command starts it", arrived[0]) from None
        if isinstance(error, KeyboardInterrupt):
            raise
        why = f"{error.filename or partial} could not be written: {error.strerror}"
        raise OSError(f"{notebook.stem} stopped because {why}; fix that and run it again") from error
    # The rest of an execution is a kernel that starts and ends.
    in_cells = sum(cell.metadata.get("papermill", {}).get("duration") or 0.0 for cell in executed.cells)
    outcome = {"status": "ok", "seconds": round(time.time() - begun, 1)} | given
    outcome |= {"cells": round(in_cells, 1)} | _summary(events)
    os.replace(partial, output)
    failed.unlink(missing_ok=True)
    files.write_json(record, outcome)
    return outcome


def _summary(events: Path) -> dict:
    """Return what a kernel reported: runs and data it used, seconds it trained, its machine and most memory."""
    lines = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
    found: dict[str, dict] = {name: {} for name in ("runs", "data", "trained", "clock", "why", "machine")}
    for e in lines:
        event = e.pop("event")
        if event in ("run", "read"):
            found["runs"][e["run"]] = e["fingerprint"]
        if event == "run":
            found["why"][e["run"]] = e["why"]
        elif event == "data":
            found["data"][e["data"]] = e["digest"]
        elif event == "done":
            found["trained"][e["run"]] = round(e["seconds"], 1)
        elif event == "clock":
            found["clock"][e["what"]] = round(found["clock"].get(e["what"], 0.0) + e["seconds"], 1)
        elif event == "machine":  # the last one counts, as the kernel saw it after its last cell
            found["machine"] = e
    return found


def _sentence(
    error: Exception, notebook: Path, arrived: list[int], here: Place, stderr: str
) -> tuple[str, str]:
    """Return one word and one sentence on why a notebook ended early."""
    resumes = "the same command resumes from the last saved state"
    if here.ranks > 1 and (lost := _loss_of_another(error)):
        return "lost", (
            f"process {here.rank} of {here.ranks} stopped {notebook.stem}: it lost another process, whose own message says "
            f"why ({lost}). The same command resumes from the last saved state"
        )
    if arrived:
        reason = getattr(error, "evalue", "") or "what is finished stays; the same command resumes from there"
        return "stopped", f"{notebook.stem} was stopped by {signal.Signals(arrived[0]).name}: {reason}"
    if isinstance(error, CellTimeoutError):
        return "timeout", (
            f"a cell of {notebook.stem} took longer than allowed; {resumes}; a larger --cell-timeout may help"
        )
    if isinstance(error, RuntimeError):
        return "killed", (
            f"the kernel of {notebook.stem} died; most often it ran out of memory. "
            f"Close other programs or use a smaller profile; {resumes}"
            + (f". Its last output: {stderr}" if stderr else "")
        )
    return "failed", with_remedy(f"{notebook.stem}, cell {error.exec_count}: {error.ename}: {error.evalue}")


def _loss_of_another(error: Exception) -> str:
    """Return what torch.distributed said if it no longer reaches another process, "" for any other error."""
    name, message = getattr(error, "ename", ""), getattr(error, "evalue", "")
    lost = name == "RuntimeError" and re.search(r"gloo/transport|NCCL|c10d", message)
    lost = lost or (name.startswith("Dist") and "EADDRINUSE" not in message)
    return re.sub(r"^\[\S+\] ", "", message).splitlines()[0].partition(". ")[0] if lost else ""
