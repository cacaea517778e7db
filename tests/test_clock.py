"""Where the minutes of a course went: each second once, and the same whether the work was done now or reused."""

import pytest

from semcg import files
from semcg_kit.execution import course as clock

TRAINED = {
    "sem_s-s0": 100.0,
    "judge-s0": 50.0,
    "cyclegan-s0": 30.0,
    "semantic-paper-s0": 60.0,
    "downstream-x": 20.0,
}


def record(seconds: float, cells: float, *runs: str, trained: bool = True, draw: float = 0.0) -> dict:
    return {
        "seconds": seconds,
        "cells": cells,
        "why": dict.fromkeys(runs, "stale"),
        "trained": {run: TRAINED[run] for run in runs if trained},
        "clock": {"draw": draw} if draw else {},
    }


@pytest.fixture
def results(tmp_path, monkeypatch):
    for run, seconds in TRAINED.items():
        files.write_json(tmp_path / run / "provenance.json", {"seconds": seconds})
    monkeypatch.setattr(clock.sys, "prefix", str(tmp_path))
    (tmp_path / ".ready").write_text("120\n")
    return tmp_path


DONE = {
    "01_data": record(20, 16, draw=10),
    "02_segmenters": record(160, 155, "sem_s-s0", "judge-s0"),
    "03_cyclegan": record(38, 34, "cyclegan-s0"),
    "04_semantic_cyclegan": record(70, 66, "semantic-paper-s0"),
    "05_evaluation": record(53, 49, "downstream-x"),
}


def test_each_second_is_counted_once(results):
    found = clock.clock(results, DONE)
    assert found == {
        "install (once)": 120.0,
        "drawing the world": 10.0,
        "segmenters and judge": 150.0,
        "baseline CycleGAN": 30.0,
        "semantic CycleGANs": 60.0,
        "downstream segmenters": 20.0,
        "evaluation": 29.0,
        "other cells": 6.0 + 5.0 + 4.0 + 6.0,
        "notebooks starting and ending": 4.0 + 5.0 + 4.0 + 4.0 + 4.0,
        "course": 341.0,
    }
    assert found["course"] == sum(r["seconds"] for r in DONE.values())
    said = clock.table(found)
    assert "segmenters and judge            2:30   44%" in said
    assert said.endswith("of which training 76%")


def test_a_course_that_reuses_its_trainings_says_what_they_took(results):
    again = DONE | {
        "02_segmenters": record(10, 5, "sem_s-s0", "judge-s0", trained=False),
        "05_evaluation": record(33, 29, "downstream-x", trained=False),
    }
    assert clock.clock(results, again) == clock.clock(results, DONE)


def test_without_make_there_is_no_line_for_the_install(results):
    (results / ".ready").unlink()
    assert "install (once)" not in clock.clock(results, DONE)
