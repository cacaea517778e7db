"""The process that executes one task: `python -m semcg_kit.sweep.worker TASK`, started by `semcg_kit.sweep.attempt`.

It exits with 0 when the task is finished, 1 when it failed (the task's record says why), 75 when its kernel died, and
128 + n when signal n stopped it. A pipe connects it to the process that started it: when that one is gone, for
whatever reason, it stops as if it had been asked to, so the training is saved and the kernel ends too.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from semcg import files, locks
from semcg.runs import datasets
from semcg.system import stop_signals
from semcg_kit.evidence import measuring
from semcg_kit.evidence.collect import collect
from semcg_kit.execution import Failed, Stopped
from semcg_kit.execution.course import reusable
from semcg_kit.execution.execute import execute
from semcg_kit.sweep import plan
from semcg_kit.sweep.attempt import DIED, Task, take_gpu, write_failure

__all__ = ["main"]


def main(task: Task) -> int:
    """Execute a task, in the main thread of a process of its own, and return the exit code."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with stop_signals(interrupt=True) as stopped:
        try:
            return _locked(task)
        except Stopped as error:
            return error.exit_code
        except KeyboardInterrupt:
            return 128 + (stopped[0] if stopped else signal.SIGINT)


def _locked(task: Task) -> int:
    scratch = task.scratch
    locks.hold(task.lock, task.name, patience=-1)
    try:
        shutil.rmtree(scratch, ignore_errors=True)  # of a worker that was killed
        scratch.mkdir(mode=0o700)
        take_gpu(str(task.parameters["device"]))
        tempfile.tempdir = os.environ["TMPDIR"] = os.environ["JUPYTER_RUNTIME_DIR"] = str(scratch)
        return _execute(task)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        locks.release(task.lock)


def _execute(task: Task) -> int:
    before: dict | None = None
    for notebook, output in task.outputs.items():
        try:
            key = plan.key_of(notebook, task, before)
            if task.layouts and not _share(task):
                return 0
            before = reusable(output, key)
            if before is None:
                before = execute(notebook, output, task.parameters, settings=task.settings)
                files.write_json(output.with_suffix(".json"), before | {"key": key})
            if task.protocol and notebook == [*task.outputs][-1]:
                collect(Path(task.protocol), measuring.evidence_folder(plan.config_of(task)))
        except Stopped:
            raise
        except Failed:  # the record says why
            return DIED if files.read_record(output.with_suffix(".json")).get("status") == "killed" else 1
        except Exception as error:  # any error is this task's alone: the other tasks continue
            write_failure(task, output, f"{notebook.stem}: {type(error).__name__}: {error}")
            return 1
    return 0


def _share(task: Task) -> bool:
    """Draw the data that all tasks share, and return whether networks are missing too."""
    config = plan.config_of(task)
    if config.data == "world":
        datasets.draw(config)
    if "source" in task.layouts:
        datasets.target_train(config.model_copy(update={"target_layout": "source"}))
    return bool(plan.missing(task))


def _end_with_parent() -> None:
    while os.read(0, 1):  # nothing is ever written; it ends when the other end of the pipe is closed
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    task = Task(**given | {name: tuple(given[name]) for name in ("notebooks", "layouts")})
    os.environ["SEMCG_HOME"] = task.home
    sys.exit(main(task))
