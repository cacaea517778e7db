"""The live table of a sweep: in a terminal lines that are replaced, elsewhere plain ones."""

import io
import os
import re

import pandas as pd

from semcg import sweep
from semcg.sweep import board
from semcg.sweep.task import Task


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(written: str) -> list[str]:
    """What a terminal shows after it got this: carriage return, erase line, up one line, newline."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\033\[[AK]|[\r\n]|[^\033\r\n]+", written):
        if part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row - len(lines) + 1)
        elif part == "\033[K":
            lines[row] = lines[row][:column]
        elif part == "\033[A":
            row -= 1
            assert row >= 0
        else:
            lines[row] = lines[row][:column] + part + lines[row][column + len(part) :]
            column += len(part)
    return [line for line in lines if line]


def task(name: str) -> Task:
    return Task(name, {"data": "world", "profile": "smoke"}, ("train.ipynb",), "/nowhere")


def terminal_of(monkeypatch, columns: int = 80, rows: int = 24) -> Terminal:
    """Called by the test itself: pytest puts its own stdout there between a fixture and its test."""
    shown = Terminal()
    monkeypatch.setattr("sys.stdout", shown)
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setattr(board.shutil, "get_terminal_size", lambda: os.terminal_size((columns, rows)))
    return shown


def ready(shown: board.Board) -> board.Board:
    shown._shown = float("-inf")
    return shown


def test_a_terminal_shows_a_row_for_each_running_task_and_nothing_twice(monkeypatch):
    terminal = terminal_of(monkeypatch)
    b = board.Board(waiting=3, done=1, say=lambda line: terminal.write(line + "\n"))
    b.began(task("first-s3"))
    b.began(task("second-s3"))
    ready(b).show(2)
    first, second, counts = screen(terminal.getvalue())
    assert first.split() == ["first-s3", "0:00"]
    assert second.split() == ["second-s3", "0:00"]
    assert counts == "1 done, 2 running, 0 failed, 1 waiting"
    ready(b).show(2)
    assert len(screen(terminal.getvalue())) == 3
    b.ended(task("first-s3"), "ok", "", 125.0, capacity=2)
    ready(b).show(2)
    said, row, counts = screen(terminal.getvalue())
    assert said == "first-s3: done in 2:05"
    assert row.split() == ["second-s3", "0:00", "of", "about", "2:05"]
    assert counts.startswith("2 done, 1 running, 0 failed, 1 waiting; about")
    b.clear()
    assert screen(terminal.getvalue()) == ["first-s3: done in 2:05"]


def test_a_low_and_narrow_terminal_is_not_scrolled(monkeypatch):
    terminal = terminal_of(monkeypatch, columns=20, rows=6)
    b = board.Board(waiting=9, done=0, say=print)
    for n in range(9):
        b.began(task(f"a-rather-long-name-of-a-condition-s{n}"))
    ready(b).show(9)
    lines = screen(terminal.getvalue())
    assert len(lines) == 4
    assert lines[2].strip() == "and 7 more"
    assert max(map(len, lines)) < 20


def test_a_file_gets_plain_lines(monkeypatch):
    kept, errors = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stdout", kept)
    monkeypatch.setattr("sys.stderr", errors)
    b = board.Board(waiting=2, done=0, say=lambda line: kept.write(line + "\n"))
    b.began(task("first-s3"))
    ready(b).show(1)
    assert kept.getvalue() == errors.getvalue() == ""
    b.ended(task("first-s3"), "ok", "", 60.0, capacity=1)
    assert kept.getvalue().splitlines()[0] == "first-s3: done in 1:00"
    assert kept.getvalue().splitlines()[1].startswith("1 done, 0 running, 0 failed, 1 waiting; about 1:00")
    assert "\033" not in kept.getvalue() + errors.getvalue()


def test_the_table_of_all_runs_has_a_row_per_condition_and_a_column_per_seed():
    rows = [
        ("b", 3, "ok", 1.25),
        ("b", 4, "failed", 0.5),
        ("b", 10, "waiting", 0.0),
        ("a", 3, "running", 0.0),
    ]
    runs = pd.DataFrame(rows, columns=["condition", "seed", "status", "minutes"])
    wide = sweep.overview(runs.set_index(["condition", "seed"]))
    assert list(wide.index) == ["b", "a"]
    assert list(wide.columns) == [3, 4, 10]
    assert wide.to_numpy().tolist() == [["1.2", "failed", "-"], ["running", "", ""]]
