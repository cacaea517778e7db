"""What a person sees while something runs: in a terminal lines that are renewed, elsewhere plain ones."""

import io

import pandas as pd
import pytest

from semcg import system
from semcg_kit.sweep import plan
from semcg_kit.sweep.attempt import Task
from semcg_kit.sweep.pool import Board


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (3725, "1:02:05")]
)
def test_durations(seconds, text):
    assert system.duration(seconds) == text


def test_a_terminal_is_renewed_in_place_and_cleared(monkeypatch):
    shown = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", shown)
    monkeypatch.setattr("sys.stderr", shown)
    with system.progress() as show:
        show("drawn", 1, 4)
        show("drawn", 4, 4)
    assert "drawn 4/4" in shown.getvalue()
    assert shown.getvalue().endswith("\033[2K"), "the last line is cleared"


def test_a_file_gets_plain_lines_and_few(monkeypatch):
    kept = io.StringIO()
    monkeypatch.setattr("sys.stderr", kept)
    with system.progress() as show:
        for done in range(1, 1001):
            show("drawn", done, 1000)
    assert kept.getvalue() == "drawn 1000/1000\n"
    monkeypatch.setattr(system, "_EVERY", -1.0)
    with system.progress() as show:
        show("read", 1, 3)
        show("read", 2, 3)
    last = kept.getvalue().splitlines()[-1]
    assert last.startswith("read 2/3, ")
    assert last.endswith(" left")


class Two:
    capacity = 2


def test_the_table_of_a_sweep_has_a_row_for_each_running_task(monkeypatch):
    monkeypatch.setattr("semcg_kit.sweep.pool.time.monotonic", lambda: 0.0)
    lines: list[str] = []
    first, second = (
        Task(name, {"data": "world", "profile": "smoke"}, ("train.ipynb",), "/nowhere")
        for name in ("first-s3", "second-s3")
    )
    board = Board(Two(), waiting=3, done=1, say=lines.append)
    board.began(first)
    board.began(second)
    assert [line.split() for line in board.text().splitlines()] == [
        ["1", "done,", "2", "running,", "0", "failed,", "1", "waiting"],
        ["first-s3", "0:00"],
        ["second-s3", "0:00"],
    ]
    board.ended(first, "ok", "", 125.0)
    assert lines == ["first-s3: done in 2:05"]
    counts, row = board.text().splitlines()
    assert counts.startswith("2 done, 1 running, 0 failed, 1 waiting; about 2:0")
    assert row.split() == ["second-s3", "0:00", "of", "about", "2:05"]


def test_the_table_of_all_runs_has_a_row_per_condition_and_a_column_per_seed():
    rows = [
        ("b", 3, "ok", 1.25),
        ("b", 4, "failed", 0.5),
        ("b", 10, "waiting", 0.0),
        ("a", 3, "running", 0.0),
    ]
    runs = pd.DataFrame(rows, columns=["condition", "seed", "status", "minutes"])
    wide = plan.overview(runs.set_index(["condition", "seed"]))
    assert list(wide.index) == ["b", "a"]
    assert list(wide.columns) == [3, 4, 10]
    assert wide.to_numpy().tolist() == [["1.2", "failed", "-"], ["running", "", ""]]
