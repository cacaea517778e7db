"""The cost of a training step under the protocol's conditions, measured on this machine and kept for the ledger."""

from pathlib import Path

from pydantic import BaseModel

from semcg import config as configs
from semcg import files
from semcg.config import Config
from semcg.cost import count, operations, seconds
from semcg.devices import fabric_for, with_precision
from semcg.protocol import Protocol
from semcg.runs.budget import step_on_noise
from semcg.runs.store import machine, software

__all__ = ["Cost", "recount", "write"]


_FIELDS = ("segmenter_width", "segmenter_stride", "crop", "batch")
"""Of the config, those on which the operations depend."""


class Cost(BaseModel):
    """What the ledger and its check read in `cost.json`."""

    seconds: dict[str, list[float]]
    operations: dict[str, int]
    profile: str
    crop: int
    batch: int
    segmenter_width: float
    segmenter_stride: int


def write(config: Config, decided: Protocol, folder: Path, *, device: str = "auto") -> dict:
    """Time the conditions of `decided.cost` in turn and write `cost.json` into an evidence folder.

    Untrained networks cost what trained ones do, so nothing needs to be trained.

    Returns
    -------
    dict
        "seconds" and "operations" by condition, and what machine it was.
    """
    config = with_precision(config, device)
    fabric = fabric_for(device, config.precision)
    steps = {}
    for name in (decided.cost.a, decided.cost.b):
        own = config.changed(decided.condition(name).parameters)
        steps[name], batch = step_on_noise("translation", own, fabric)
    found = {
        "operations": {name: operations(step, batch) for name, step in steps.items()},
        "seconds": seconds(steps, batch, rounds=decided.cost.rounds),
        **{name: getattr(config, name) for name in _FIELDS},
        "precision": config.precision,
        "profile": config.profile,
        **machine(),
        "commit": software()["commit"],
    }
    files.write_json(folder / "cost.json", found)
    return found


def recount(found: Cost, decided: Protocol) -> dict[str, int]:
    """Count the operations of `write` again, of tensors without values: seconds on any machine, the same on all.

    Parameters
    ----------
    found : Cost
        What `write` wrote: its profile is used, with the fields on which the operations depend.

    Returns
    -------
    dict
        Condition -> operations of one step.
    """
    config = configs.make(found.profile, **{name: getattr(found, name) for name in _FIELDS})
    fabric = fabric_for("cpu", "fp32")  # the quickest; the number does not depend on the precision

    def counted(name: str) -> int:
        own = config.changed(decided.condition(name).parameters)
        return count(lambda: step_on_noise("translation", own, fabric))["operations"]

    return {name: counted(name) for name in (decided.cost.a, decided.cost.b)}
