"""The cost of a training step under the protocol's conditions, measured on this machine and kept for the ledger."""

from semcg import files
from semcg.config import Config
from semcg.evaluate.cost import operations, seconds
from semcg.protocol import Protocol
from semcg.runs.measuring import folder_of
from semcg.runs.origin import machine, origin
from semcg.runs.stages import begin
from semcg.training import fabric_for, precision_for

__all__ = ["write"]


def write(config: Config, decided: Protocol, *, device: str = "auto") -> tuple[object, dict]:
    """Time the conditions of `decided.cost` in turn and write `cost.json` into the evidence folder.

    Untrained networks cost what trained ones do, so nothing needs to be trained.

    Returns
    -------
    path
        Of the file.
    dict
        "seconds" and "operations" by condition, and what machine it was.
    """
    config = config.model_copy(update={"precision": precision_for(config.precision, device)})
    fabric = fabric_for(device, config.precision)
    steps = {}
    for name in (decided.cost.a, decided.cost.b):
        parameters = decided.condition(name).parameters
        known = {k: v for k, v in parameters.items() if k in Config.model_fields}
        steps[name], batch = begin("translation", config.model_copy(update=known), fabric)
    found = {
        "operations": {name: operations(step, batch) for name, step in steps.items()},
        "seconds": seconds(steps, batch, rounds=decided.cost.rounds),
        "crop": config.crop,
        "batch": config.batch,
        "precision": config.precision,
        "profile": config.profile,
        **machine(),
        "commit": origin()["commit"],
    }
    path = folder_of(config) / "cost.json"
    files.write_json(path, found)
    return path, found
