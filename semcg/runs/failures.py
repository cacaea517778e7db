"""How the execution of a notebook can end badly."""

__all__ = ["Failed", "Stopped"]


class Failed(RuntimeError):
    """A notebook that did not run to its end; the message says in one line where, why, and what is left of it."""

    exit_code = 1


class Stopped(Failed):
    """A notebook that a signal ended; the exit code is the shell's for it: 130 for SIGINT, 143 for SIGTERM."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.exit_code = 128 + number
