"""What a person sees while something runs: durations, and progress that is renewed in place in a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["duration", "live", "progress"]

_EVERY = 30.0  # seconds between two lines of progress where the output is no terminal

# rich is imported where it is used, since the doctor must start without it.


def duration(seconds: float) -> str:
    """Return seconds as minutes:seconds, or hours:minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


@contextmanager
def live(text: Callable[[], str]) -> Iterator[bool]:
    """Show what `text` returns below the other output of a terminal, renewed twice a second, while the block runs.

    Yields whether there is a terminal. Where there is none, nothing is shown.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    if not (console.is_terminal and sys.stdout.isatty()):
        yield False
        return
    shown = Live(
        get_renderable=lambda: Text(text(), no_wrap=True, overflow="ellipsis"),
        console=console,
        refresh_per_second=2,
        transient=True,
    )
    with shown:
        yield True


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function (what, done, of) that shows how far work is, with its rate and the time left."""
    now: dict[str, str] = {}
    begun: dict[str, tuple[float, int]] = {}
    written: dict[str, float] = {}

    def line(what: str, done: int, of: int) -> str:
        since, first = begun.setdefault(what, (time.monotonic(), done))
        rate = (done - first) / max(time.monotonic() - since, 1e-9)
        left = f", {rate:.1f} a second, {duration((of - done) / rate)} left" if rate and done < of else ""
        return f"{what} {done}/{of}{left}"

    def show(what: str, done: int, of: int) -> None:
        now[what] = line(what, done, of)
        since = time.monotonic() - written.setdefault(what, time.monotonic())
        if not in_terminal and (done == of or since > _EVERY):
            written[what] = time.monotonic()
            print(now[what], file=sys.stderr, flush=True)

    with live(lambda: "\n".join(now.values())) as in_terminal:
        yield show
