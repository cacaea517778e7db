"""What a kernel tells the process that runs its notebook: one JSON line per run that it starts, reads or completes."""

import json
import os
from pathlib import Path

__all__ = ["VARIABLE", "note", "summary"]

VARIABLE = "SEMCG_EVENTS"
"""Environment variable with the path of the file that events are appended to; unset, nobody listens."""


def note(event: str, **fields: object) -> None:
    """Append one event to the file that $SEMCG_EVENTS names, if it is set."""
    if path := os.environ.get(VARIABLE):
        with open(path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps({"event": event, **fields}) + "\n")


def summary(events: Path) -> dict:
    """Collect what a kernel reported: runs and data it used, seconds it trained, its machine and most memory."""
    lines = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
    runs = {e["run"]: e["fingerprint"] for e in lines if e["event"] in ("run", "read")}
    data = {e["data"]: e["digest"] for e in lines if e["event"] == "data"}
    trained = {e["run"]: round(e["seconds"], 1) for e in lines if e["event"] == "done"}
    clock: dict[str, float] = {}
    for e in lines:
        if e["event"] == "clock":
            clock[e["what"]] = round(clock.get(e["what"], 0.0) + e["seconds"], 1)
    why = {e["run"]: e["why"] for e in lines if e["event"] == "run"}
    machine: dict = {}  # as the kernel found it after its last cell
    for e in lines:
        if e["event"] == "machine":
            machine = {key: value for key, value in e.items() if key != "event"}
    return {"runs": runs, "data": data, "trained": trained, "clock": clock, "why": why, "machine": machine}
