"""Read by every Python that starts with this folder on PYTHONPATH: the fault that $SEMCG_FAULT describes, once.

Every call by which a process changes a file below $SEMCG_HOME is an event, "<call> <path>", seen through an audit
hook before it happens. `at` is the event at which the fault strikes, in a process of the given `role`; with no
`at` events are only written down. A fault that has struck leaves the file `struck`, and does not strike again.
"""

import importlib.util
import json
import os
import re
import resource
import signal
import sys
import threading
import time
from pathlib import Path

_offline = Path(__file__).parents[2] / "offline" / "sitecustomize.py"
_spec = importlib.util.spec_from_file_location("offline", _offline)
_spec.loader.exec_module(importlib.util.module_from_spec(_spec))

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_REFUSED = {
    "full": (28, "No space left on device"),
    "read-only": (30, "Read-only file system"),
    "no permission": (13, "Permission denied"),
}
_NUMBER = re.compile(r"[.]\d+(?:-[0-9a-f]+)?[.](partial|jsonl)")


def _role() -> str:
    command = Path("/proc/self/cmdline").read_bytes()
    if b"ipykernel" in command:
        return "kernel"
    return "runner" if b"\0semcg_kit\0" in command else "other"


class _Fault:
    def __init__(self, told: dict):
        self.home, self.log, self.struck = os.environ["SEMCG_HOME"], told["log"], told["struck"]
        self.at, self.do, self.delay = told.get("at"), told.get("do"), told.get("delay", 0.0)
        self.role = _role()
        self.mine = told.get("role") in (None, self.role)
        self.busy, self.refuses = False, None

    def __call__(self, event: str, arguments: tuple) -> None:
        if self.busy or not (path := self.changed(event, arguments)):
            return
        self.busy = True
        try:
            told = " ".join([event.removeprefix("os."), _NUMBER.sub(r".N.\1", path)])
            self.write(self.log, f"{self.role} {told}\n")
            if self.mine and told == self.at and not os.path.exists(self.struck):
                self.write(self.struck, told)
                self.strike()
        finally:
            self.busy = False
        if self.refuses:
            raise OSError(*self.refuses, os.path.join(self.home, path))

    def changed(self, event: str, arguments: tuple) -> str:
        """Return the path below the home that an event changes, "" if none."""
        if event == "open":
            path, _, flags = arguments
            if not (isinstance(flags, int) and flags & _WRITES):
                return ""
        elif event == "os.rename":
            path = arguments[1]
        elif event in ("os.remove", "os.mkdir", "os.rmdir"):
            path = arguments[0]
        else:
            return ""
        if not isinstance(path, str | os.PathLike):
            return ""
        path = os.path.abspath(os.fspath(path))
        return os.path.relpath(path, self.home) if path.startswith(self.home + os.sep) else ""

    @staticmethod
    def write(path: str, text: str) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, text.encode())
        os.close(handle)

    def strike(self) -> None:
        runner = os.getppid() if self.role == "kernel" else os.getpid()
        if self.do == "kill" and self.delay:
            threading.Timer(self.delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
        elif self.do == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.do == "kill runner":
            os.kill(runner, signal.SIGKILL)
        elif self.do in ("SIGTERM", "SIGINT"):
            os.kill(runner, getattr(signal, self.do))
        elif self.do in _REFUSED:
            self.refuses = _REFUSED[self.do]
        elif self.do == "small files":  # what is written past the limit is cut off in the middle
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
        elif self.do == "hang":
            time.sleep(3600)
        elif self.do in ("nan", "memory"):
            self.spoil()
        elif self.do == "inf":
            self.spoil_weights()
        else:
            raise ValueError(f"no such fault: {self.do}")

    def spoil(self) -> None:
        import torch

        from semcg import losses

        real = losses.cycle

        def cycle(*arguments, **options):
            if self.do == "memory":
                torch.empty(2**50, dtype=torch.uint8)
            return real(*arguments, **options) * float("nan")

        losses.cycle = cycle

    @staticmethod
    def spoil_weights() -> None:
        """Put an infinity into a weight after a step whose losses were finite: the next save meets it."""
        import torch

        from semcg.runs import store

        real = store.Run.save

        def save(run: store.Run) -> None:
            with torch.no_grad():
                next(run._state["G_st"].parameters()).view(-1)[0] = float("inf")
            real(run)

        store.Run.save = save


if told := os.environ.get("SEMCG_FAULT"):
    sys.addaudithook(_Fault(json.loads(told)))
