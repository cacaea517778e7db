"""What the commands share: the options that every notebook takes, and how a command reports."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Data",
    "Device",
    "Fresh",
    "Kernel",
    "Profile",
    "Seed",
    "counter",
    "given_of",
    "height_width",
    "say",
]

# torch, papermill and the config with its pandas are imported inside the commands, so that --help answers at once.

Profile = Annotated[
    str, typer.Option(help="One of paper, gpu, mini, smoke; default: $SEMCG_PROFILE, then mini.")
]
Seed = Annotated[int, typer.Option(min=0, help="Initial weights, order, augmentation.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0, ...")]
Data = Annotated[str, typer.Option(help='"world", or a folder that `semcg prepare` wrote.')]
Kernel = Annotated[str, typer.Option(help="Another installed Jupyter kernel; default: this interpreter.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over instead of reusing or resuming.")]


def say(line: str) -> None:
    """Print a line at once, also when the output goes into a file."""
    print(line, flush=True)


def given_of(profile: str, data: str, seed: int, device: str) -> dict[str, object]:
    """Check what every notebook takes, before any kernel starts."""
    from semcg import config as configs

    if data != "world" and Path(data).is_dir():
        data = str(Path(data).resolve())
    config = configs.make(profile, data=data, seed=seed)
    if device != "auto":
        from semcg.training import fabric_for

        fabric_for(device)
    if data != "world":
        from semcg.runs import datasets

        datasets.data(config)
    return {"profile": config.profile, "data": data, "seed": seed, "device": device}


def counter(what: str) -> Callable[[int, int], None]:
    """Return a callback (done, of) that keeps one line of a terminal up to date, and says little elsewhere."""

    def count(done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what} {done}/{of}", end="\n" if done == of else "", file=sys.stderr, flush=True)
        elif done == of:
            print(f"{what} {done}/{of}", file=sys.stderr)

    return count


def height_width(text: str) -> tuple[int, int] | None:
    """Return (H, W) of an option HEIGHTxWIDTH, None for "none"."""
    if text == "none":
        return None
    height, _, width = text.partition("x")
    if not (text.isascii() and height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise ValueError(f"size = {text!r}: write HEIGHTxWIDTH, for example 128x256, or none")
    return int(height), int(width)
