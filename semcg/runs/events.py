"""What a kernel tells the process that runs its notebook: one JSON line per run that it starts, reads or completes."""

import json
import os

__all__ = ["VARIABLE", "note"]

VARIABLE = "SEMCG_EVENTS"
"""Environment variable with the path of the file that events are appended to; unset, nobody listens."""


def note(event: str, **fields: object) -> None:
    """Append one event to the file that $SEMCG_EVENTS names, if it is set."""
    if path := os.environ.get(VARIABLE):
        with open(path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps({"event": event, **fields}) + "\n")
