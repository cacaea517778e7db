"""The command line: `semcg`, or `python -m semcg_kit`."""

import signal
import sys
from pathlib import Path

from semcg_kit import doctor

try:
    import typer

    from semcg_kit.commands import evidence, look, notebooks, pages, prepare, sweep, teaching, tools
except ImportError as error:  # an installation that is not whole; the doctor asks for Python alone
    found = doctor.examine(Path(__file__).resolve().parents[1])
    print(f"semcg: {error}\n\n{doctor.report(found)}", file=sys.stderr)
    sys.exit(1)

app = typer.Typer(
    help="CycleGAN with a semantic consistency loss: a course and reproducibility kit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    look.first_look,
    notebooks.course,
    notebooks.draw,
    notebooks.run,
    sweep.sweep,
    evidence.ledger,
    evidence.verify,
    evidence.report,
    evidence.cost,
    tools.translate,
    tools.export,
    tools.evaluate,
    tools.compare,
    tools.figures,
    pages.site,
    pages.status,
    pages.doctor,
    teaching.student,
    teaching.times,
    notebooks.refresh,
):
    app.command()(command)
app.add_typer(prepare.app, name="prepare")


def main() -> None:
    """Run the command line; what a user can mend is one line and exit code 2, a stopped run 130 or 143."""
    arrived: list[int] = []

    def stop(number: int, frame: object) -> None:
        arrived.append(number)
        raise KeyboardInterrupt  # whatever is open is closed on the way out, at SIGTERM as at Ctrl-C

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        app()
    except (KeyboardInterrupt, SystemExit):  # Typer makes the second of the first
        if not arrived:
            raise
        name = signal.Signals(arrived[0]).name
        print(
            f"semcg: stopped by {name}; what is written stays, and the same command goes on", file=sys.stderr
        )
        sys.exit(128 + arrived[0])
    except Exception as error:
        from semcg.runs.failures import Failed, with_remedy

        said = str(error)
        if not isinstance(error, Failed) and _is_memory(error):
            said = (
                "the memory was used up; close other programs, or give the command less to hold at a time: a lower "
                f"--size, --processes, --batch or --tile, or a smaller profile ({said or 'MemoryError'})"
            )
        elif not isinstance(error, ValueError | OSError | Failed):
            raise  # a fault of ours, which deserves its traceback
        said = said if isinstance(error, Failed) else with_remedy(said)
        print(f"semcg: {_plain(said)}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))


def _plain(text: str) -> str:
    """Return a text without what a terminal would take for a command, as a file's name or a record may hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _is_memory(error: Exception) -> bool:
    """Whether memory was used up, in Python's words or in torch's; numpy and Pillow use Python's."""
    words = ("out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


if __name__ == "__main__":
    main()
