"""Every numeric option of every command: a wrong type or an impossible value is told in a sentence, and nothing is written."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from chaos import corpus

from semcg_kit.__main__ import app, main

WRONG = ("x", "", "nan", "inf", "-1", "1.5", str(10**12))


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def kind(parameter: object) -> type:
    return parameter.type_descriptor.annotation


def numeric() -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield (command, option, value) for each value that the option cannot be."""
    for path, command in commands(typer.main.get_command(app)):
        for parameter in command.params:
            if kind(parameter) not in (int, float) or parameter.param_type_name != "option":
                continue
            for text in WRONG:
                try:
                    value = kind(parameter)(text)
                    low = -1 if parameter.opts[0] == "--overlap" else 0
                    share = parameter.opts[0].endswith("-share")
                    high = 1 if share else parameter.max if parameter.max is not None else float("inf")
                    possible = low <= value <= high and value != float("inf")
                except ValueError:
                    possible = False
                if not possible:
                    yield path, parameter.opts[0], text


CASES = list(numeric())


def required(command: object, home: Path) -> list[str]:
    """Return what a command wants besides: folders of good pictures, or names of what is not there yet."""
    given = []
    for parameter in command.params:
        if parameter.required:
            name = "03_cyclegan" if parameter.name == "notebook" else str(home.parent / parameter.name)
            given += [name] if parameter.param_type_name == "argument" else [parameter.opts[0], name]
            if parameter.name in ("source", "target") and not Path(name).exists():
                Path(name).mkdir()
                for i in range(12):
                    (Path(name) / f"{i:02}.png").write_bytes(corpus.encoded(corpus.colors(i)))
    return given


@pytest.mark.parametrize(
    ("path", "option", "text"), CASES, ids=lambda v: v if isinstance(v, str) else " ".join(v)
)
def test_a_number_that_cannot_be_is_told_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, path, option, text
):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("SEMCG_HOME", str(home))
    monkeypatch.chdir(home)
    command = dict(commands(typer.main.get_command(app)))[path]
    arguments = [*path, *required(command, home), option, text]
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["semcg", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    assert left.value.code == 2, said
    assert option in said or option.strip("-").replace("-", "_") in said, said
    assert "Traceback" not in said
    assert sorted(tmp_path.rglob("*")) == before


def test_no_numeric_option_is_left_out():
    assert len({path for path, _, _ in CASES}) >= 10
    assert {"--seed", "--processes", "--val-share", "--max-color-distance", "--tile"} <= {
        o for _, o, _ in CASES
    }
    assert len(CASES) >= 100
