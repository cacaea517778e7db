"""The command line: `semcg`, or `python -m semcg_kit`."""

import logging
import os
import signal
import sys

from semcg_kit import doctor

try:
    import typer

    from semcg import files
    from semcg.system import stop_signals
    from semcg_kit.commands import course, evidence, images, pages, plain, prepare
except ImportError as error:  # an incomplete installation; the doctor needs Python alone
    print(f"semcg: {error}\n\n{doctor.report(doctor.examine())}", file=sys.stderr)
    sys.exit(1)

_told: set[str] = set()
app = typer.Typer(
    help="CycleGAN with a semantic consistency loss: a course and reproducibility kit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (course, evidence, images, pages):
    for name in module.__all__:
        app.command()(getattr(module, name))
app.add_typer(prepare.app, name="prepare")


def main() -> None:
    """Run the command line; what a user can mend is one sentence and exit code 2, a stopped run 130 or 143."""
    logging.lastResort.addFilter(_plain_once)
    _told.clear()
    # Threads that spin while they wait take the cores from other programs; read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with stop_signals(interrupt=True) as arrived:  # what is open is closed on the way out
        try:
            app()
        except (KeyboardInterrupt, SystemExit):  # Typer makes the second of the first
            if not arrived:
                raise
            kept = "what is written is kept, and the same command resumes"
            _end(f"stopped by {signal.Signals(arrived[0]).name}; {kept}", 128 + arrived[0])
        except Exception as error:
            from semcg_kit.execution import Failed, with_remedy

            if isinstance(error, Failed):
                _end(str(error), error.exit_code)
            if _is_memory(error):
                _end(
                    "out of memory; close other programs, or use less at a time: a lower --size, --processes, "
                    f"--batch or --tile, or a smaller profile ({error or 'MemoryError'})",
                    2,
                )
            if not isinstance(error, ValueError | OSError):
                raise  # a fault of this program, which deserves its traceback
            message = str(error)
            if isinstance(error, UnicodeEncodeError):  # a name that no record can store
                seen = error.object[max(0, error.start - 60) : error.end]
                message = f"{seen!r} is not UTF-8; rename the file or folder of that name"
            _end(with_remedy(message) + _without_repository(message), 2)


def _without_repository(message: str) -> str:
    """Return what to add where a file is missing beside a package that was installed without its repository."""
    where = files.repository()
    if str(where) not in message or (where / "pyproject.toml").is_file():
        return ""
    return ". What is missing is in the repository, which was not installed: clone it, and run `make setup` there"


def _end(message: str, code: int) -> None:
    print(f"semcg: {plain(message)}", file=sys.stderr)
    sys.exit(code)


def _plain_once(record: logging.LogRecord) -> bool:
    """Let a warning pass once, in plain text: several steps of a command may read the same damaged record."""
    record.msg, record.args = plain(record.getMessage()), ()
    seen = record.msg in _told
    _told.add(record.msg)
    return not seen


def _is_memory(error: Exception) -> bool:
    """Tell whether memory was used up, in Python's words or in torch's; numpy and Pillow use Python's."""
    in_torch = any(words in str(error) for words in ("out of memory", "can't allocate memory"))
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and in_torch)


if __name__ == "__main__":
    main()
