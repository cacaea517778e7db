"""How notebooks are executed: papermill in a kernel of this environment, the course's order, and how it can end badly."""

import errno
import re

__all__ = ["Failed", "Stopped", "with_remedy"]

_ELSEWHERE = "or let SEMCG_HOME name a folder elsewhere"
_REMEDIES = {
    errno.ENOSPC: "Make room on that disk",
    errno.EDQUOT: "Make room within your quota on that disk",
    errno.EROFS: f"That disk is read-only: mount it for writing, {_ELSEWHERE}",
    errno.EACCES: f"Your account lacks the permission: change the permissions, {_ELSEWHERE}",
    errno.EMFILE: "Too many files are open: raise the limit (ulimit -n)",
}


class Failed(RuntimeError):
    """A notebook that did not run to its end; the message says in one line where, why, and what is left of it."""

    exit_code = 1


class Stopped(Failed):
    """A notebook that a signal ended; the exit code is the shell's for it: 130 for SIGINT, 143 for SIGTERM."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.exit_code = 128 + number


def with_remedy(message: str) -> str:
    """Return an error message of the operating system without its number, and with what to do; others unchanged."""
    numbered = re.search(r"\[Errno (\d+)\] ", message)
    remedy = _REMEDIES.get(int(numbered[1])) if numbered else None
    return f"{message.replace(numbered[0], '', 1)}. {remedy}; the same command resumes" if remedy else message
