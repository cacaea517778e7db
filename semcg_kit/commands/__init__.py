"""The commands of the command line, one module per kind of work, and the options that they share.

torch, papermill and the config with its pandas are imported inside the commands, so that --help answers at once.
"""

import json
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from semcg.config import Config

Profile = Annotated[
    str, typer.Option(help="One of paper, gpu, mini, smoke; default: $SEMCG_PROFILE, then mini.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="Initial weights, order, augmentation; default: 0.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0, ...")]
Data = Annotated[
    str,
    typer.Option(help="A folder that `semcg prepare` wrote; default: synthetic.", show_default=False),
]


def plain(text: str) -> str:
    """Return a text without what a terminal would take for a command: a file's name or a record may contain one."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def say(line: object = "") -> None:
    """Print a line in `plain` text, at once also when the output goes into a file; commands print in no other way."""
    print(plain(str(line)), flush=True)


def settings_of(texts: Sequence[str] | None, file: Path | None = None) -> dict[str, object]:
    """Return name -> value from a TOML file and from name=value texts, which come before the file.

    Raises
    ------
    ValueError
        If the file is not TOML or has tables, or a text has no "=".
    """
    settings: dict[str, object] = {}
    if file is not None:
        try:
            settings = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError) as error:  # also of other bytes than UTF-8
            raise ValueError(f"{file} is not TOML: {error}") from None
        if tables := [name for name, value in settings.items() if isinstance(value, dict)]:
            raise ValueError(
                f"{file}: [{tables[0]}] is a table; write lines such as lambda_c = 5.0 without tables"
            )
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (equals and name):
            raise ValueError(f"{text!r}: write name=value, for example lambda_c=5")
        settings[name.strip()] = _value(value.strip())
    return {name: value for name, value in settings.items() if value != ""}  # empty: the profile's


def _value(text: str) -> object:
    if sides := re.fullmatch(r"(\d+)x(\d+)", text):
        return [int(side) for side in sides.groups()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def resolved(text: str) -> str:
    """Return the full path of a file or folder that a value names, seen from the working folder; others unchanged."""
    named = text not in ("", "world", "reference", "own") and os.path.exists(text)
    return str(Path(text).resolve()) if named else text


def checked(
    profile: str, data: str, seed: int | None, device: str, settings: dict[str, object] | None = None
) -> tuple["Config", dict[str, object]]:
    """Check what every notebook takes, before any kernel starts. An option comes before a setting of the same name.

    Returns
    -------
    Config
    dict
        The settings as the config reads them, without those that are options.
    """
    from semcg import config as configs

    options = {"profile": profile, "data": data, "seed": seed}
    fields = (settings or {}) | {name: value for name, value in options.items() if value not in ("", None)}
    fields |= {"data": resolved(str(fields["data"]))} if "data" in fields else {}
    config = configs.make(**fields)
    if device != "auto":
        from semcg.devices import fabric_for

        fabric_for(device)
    if config.data != "world":
        from semcg.runs import datasets

        datasets.data(config)
    values = config.model_dump(mode="json")
    return config, {name: values[name] for name in fields if name not in options}


def height_width(text: str) -> tuple[int, int] | None:
    """Return (H, W) from HEIGHTxWIDTH, None from "none"."""
    if text == "none":
        return None
    sides = re.fullmatch(r"([0-9]+)x([0-9]+)", text)
    if not sides or not all(map(int, sides.groups())):
        raise ValueError(f"size = {text!r}: write HEIGHTxWIDTH, for example 128x256, or none")
    return int(sides[1]), int(sides[2])
