"""The process that carries out one task: `python -m semcg.sweep.worker TASK`, which `semcg.sweep.attempts` starts.

It ends with 0 when the task is finished, 1 when it failed (why is in the task's record), 75 when its kernel died, and
128 + n when signal n stopped it. It is held by a pipe: when the process that started it is gone, however that came
about, it stops as if it had been told to: the training is saved, and the kernel leaves with it.
"""

import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from semcg import files
from semcg.runs import datasets
from semcg.runs.course import reusable
from semcg.runs.execute import execute
from semcg.runs.failures import Failed, Stopped
from semcg.sweep import locks, plan
from semcg.sweep.task import Task

__all__ = ["DIED", "main"]

DIED = 75
"""Exit code of a worker whose kernel died: another attempt may go better."""


def main(task: Task) -> int:
    """Carry out a task, in the main thread of a process of its own, and return the exit code."""
    stopped: list[int] = []

    def stop(number: int, frame: object) -> None:
        stopped.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        held = locks.held(task.lock, os.environ[locks.MARK])
        with held as scratch, locks.gpu(str(task.parameters["device"])):
            # What a killed process leaves in there is removed by the next one that takes the lock.
            tempfile.tempdir = os.environ["TMPDIR"] = os.environ["JUPYTER_RUNTIME_DIR"] = str(scratch)
            return _carry_out(task)
    except Stopped as error:
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + (stopped[0] if stopped else signal.SIGINT)


def _carry_out(task: Task) -> int:
    before: dict | None = None
    for notebook, output in task.outputs.items():
        try:
            key = plan.key_of(notebook, task.parameters, before)
            if task.layouts and not _share(task):
                return 0
            before = reusable(output, key)
            if before is None:
                before = execute(notebook, output, task.parameters)
                files.write_json(output.with_suffix(".json"), before | {"key": key})
        except Stopped:
            raise
        except Failed:  # the record says why
            return DIED if files.read_json(output.with_suffix(".json"))["status"] == "killed" else 1
        except Exception as error:  # whatever it was, it is this task's, and the others go on
            reason = f"{notebook.stem}: {type(error).__name__}: {error}"
            plan.write_failure(output, task.parameters, reason=reason, seconds=0.0)
            return 1
    return 0


def _share(task: Task) -> bool:
    """Make the data that all tasks share, and tell whether networks are missing as well."""
    config = plan.config_of(task.parameters)
    if config.data == "world":
        datasets.draw(config)
    if "source" in task.layouts:
        datasets.target_train(plan.config_of(task.parameters, target_layout="source"))
    return bool(plan.missing(task))


def _leave_with_parent() -> None:
    while os.read(0, 1):  # nothing is ever written; it ends when the other end of the pipe is closed
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    lists = {name: tuple(told[name]) for name in ("notebooks", "layouts")}
    os.environ["SEMCG_HOME"] = str(Path(told["home"]))
    sys.exit(main(Task(**told | lists)))
