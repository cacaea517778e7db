"""Many runs on many machines: conditions x seeds of the protocol, each the execution of a notebook or two.

    task      one thing to do, in plain values
    plan      what is to be done, and what is done already
    locks     one process per run and one run per GPU, by locks that a crash releases
    worker    the process that carries out one task
    attempts  how such a process is started, watched and stopped; the same for a loop and for Dask
    processes, cluster   where attempts are made: beside this process, or on Dask's workers
    drive     the order of things, from the first task to the exit code
    board     what is said meanwhile, the live table, and the table of all tasks

Nothing is remembered but what lies in `results/`: a task is finished when its executed notebook, the notebook's code,
its parameters and the runs it made all fit together. So a sweep is stopped at any time, and the same command goes on.
"""

from importlib import import_module

__all__ = ["Task", "overview", "run", "table", "tasks"]

_LIES_IN = {"Task": "task", "overview": "board", "run": "drive", "table": "board", "tasks": "plan"}


def __getattr__(name: str) -> object:
    # Looked up when first used: a worker of Dask imports this room, and has no use for torch.
    if name not in _LIES_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LIES_IN[name]}"), name)
