"""The command line: `semcg`, or `python -m semcg`."""

import sys

import typer

from semcg.commands import notebooks, prepare, tools

app = typer.Typer(
    help="CycleGAN with a semantic consistency loss: a course and reproducibility kit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    notebooks.course,
    notebooks.draw,
    notebooks.run,
    tools.translate,
    tools.evaluate,
    tools.compare,
    tools.figures,
    notebooks.refresh,
):
    app.command()(command)
app.add_typer(prepare.app, name="prepare")


def main() -> None:
    """Run the command line; what a user can mend is one line and exit code 2, a stopped run 130 or 143."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from semcg.runs.failures import Failed

        if not isinstance(error, ValueError | OSError | Failed):
            raise  # a fault of ours, which deserves its traceback
        print(f"semcg: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))


if __name__ == "__main__":
    main()
