"""What decides a run's result, and the digest of it: a run is reused only when its recipe is unchanged.

A recipe is the version of the stage (`semcg.canary`: what the code computes), the part of the config that the stage
reads, the digest of the data, the runs it starts from, and the source of a step that a notebook defined. It leaves out
the device, the number of threads, and every number of other stages.
"""

import hashlib
import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from semcg import canary, files, instruments
from semcg import config as configs
from semcg.config import Config
from semcg.devices import gather, precision_for
from semcg.loop import BatchOf


@dataclass(frozen=True)
class Recipe:
    """A run's name, the notebook that makes it, its config and everything that decides its result."""

    name: str
    made_by: str
    config: Config
    parts: dict
    instrument: str = ""
    """Name of the shipped instrument that stands in the place of a run (`semcg.instruments`)."""
    file: str = ""
    """Weights, or a run's folder, that a user gave in the place of a run."""

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ when any part does."""
        return files.digest(self.parts)


def _parts(config: Config, stage: str, part: str, **more) -> dict:
    fields = config.part(part)
    if "precision" in fields:
        fields["precision"] = precision_for(config.precision)
    return {
        "stage": canary.version(stage),
        "config": fields,
        "data": files.data_digest(files.data_folder(config.data, config.profile)),
        **more,
    }


def world(config: Config) -> dict:
    """Return what decides the drawn data of `config`."""
    return {"stage": canary.version("world"), "config": config.part("data")}


def control_folder(config: Config) -> Path:
    """Return the folder of the control: the synthetic world with target streets that are built like the source's."""
    return files.data_folder(f"world-source_layout-{config.profile}", config.profile)


def segmenter(config: Config, domain: str) -> Recipe:
    """Return the recipe of Sem_s ("source") or Sem_t ("target")."""
    if given := config.sem_s if domain == "source" else config.sem_t:
        return _user_network(config, f"sem_{domain[0]}", given)
    if shipped := instrument(config, f"Sem_{domain[0]}"):
        return shipped
    name = f"sem_{domain[0]}-s{config.segmenter_seed}"
    return Recipe(name, "02_segmenters", config, _parts(config, "segmenter", "segmenter", domain=domain))


def judge(config: Config, *, second: bool = False, plain: bool = False) -> Recipe:
    """Return the recipe of a judge, which no loss ever sees.

    Parameters
    ----------
    second : bool
        The second one, of yet another architecture.
    plain : bool
        One that was trained on frames without the marks of networks (`semcg.data.Scenes`, artifacts=False), so that its
        features see them.
    """
    name = "second_judge" if second else "plain_judge" if plain else "judge"
    if config.judge and name == "judge":
        return _user_network(config, name, config.judge)
    if shipped := instrument(config, name):
        return shipped
    parts = _parts(config, "segmenter", "judge", second=second, **({"plain": True} if plain else {}))
    return Recipe(f"{name}-s{config.segmenter_seed}", "02_segmenters", config, parts)


def instrument(config: Config, name: str) -> Recipe | None:
    """Return the recipe of the shipped instrument that a config uses: its file. None where the config trains its own.

    It is used on the synthetic world of profile mini, with the numbers that it was trained with; its precision is its own, float32.
    """
    if config.instruments == "trained" or config.data != "world":
        return None
    record, asked = instruments.recorded().get(name, {}), config.model_dump(mode="json")
    trained = {key: value for key, value in record.get("config", {}).items() if key != "precision"}
    same_world = config.part("data") == configs.make("mini").part("data")
    if not record or not same_world or any(asked.get(key) != value for key, value in trained.items()):
        return None
    return Recipe(name, "02_segmenters", config, {"sha256": record["sha256"]}, instrument=name)


def _user_network(config: Config, name: str, path: str) -> Recipe:
    """Return the recipe of a network that a user gave: what its tensors are, whatever file holds them."""
    from semcg.runs.trained import tensor_digest, user_segmenter  # which asks this module for recipes

    digest = tensor_digest(user_segmenter(path))
    return Recipe(f"{name}-{digest[:6]}", "02_segmenters", config, {"tensors": digest}, file=path)


def translation(config: Config, *, baseline: bool = False, step: Callable | None = None) -> Recipe:
    """Return the recipe of a CycleGAN.

    Parameters
    ----------
    baseline : bool
        The run of notebook 03, called "cyclegan"; others are called by their semantic loss and its weight.
    step : callable, optional
        The training step, if it may be one that a notebook defines; its source is then part of the recipe.
    """
    if baseline and config.lambda_s:
        raise ValueError(f"lambda_s = {config.lambda_s}: the baseline has none; allowed: 0")
    name = "cyclegan" if baseline else f"semantic-{config.semantic_loss}-{config.lambda_s:g}"
    parts = _parts(config, "translation", "translation")
    usual = configs.make(config.profile).part("translation")
    for field, value in parts["config"].items():
        if field not in ("seed", "lambda_s", "semantic_loss", "precision") and value != usual[field]:
            name += f"-{field}={value}"
    if config.lambda_s:
        parts["reads"] = {d: segmenter(config, d).fingerprint for d in files.DOMAINS}
    else:  # an unweighted loss decides nothing
        del parts["config"]["semantic_loss"]
    if config.target_layout != "own":
        parts["control"] = files.data_digest(control_folder(config))
    if own := notebook_source(step):
        parts["step"] = own
    made_by = "03_cyclegan" if baseline else "04_semantic_cyclegan"
    return Recipe(f"{name}-s{config.seed}", made_by, config, parts)


def conditions(config: Config) -> dict[str, Config]:
    """Return the CycleGANs that the course compares, by name: without the semantic loss, and with the config's reading of it."""
    weights = {"CycleGAN": 0.0, "semantic": config.lambda_s or 1.0}
    return {name: config.model_copy(update={"lambda_s": weight}) for name, weight in weights.items()}


def slug(condition: str) -> str:
    """Return the name of a condition as part of a file name: "semantic, half skip" -> "semantic_half_skip"."""
    return "_".join(condition.translate({ord(c): None for c in "(),"}).split())


def downstream(config: Config, condition: str, reads: str) -> Recipe:
    """Return the recipe of a segmenter trained on translated frames.

    Parameters
    ----------
    condition : str
        Name of the translation.
    reads : str
        Fingerprint of what translated the frames.
    """
    parts = _parts(config, "segmenter", "downstream", condition=condition, reads=reads)
    return Recipe(f"downstream-{slug(condition)}-s{config.seed}", "05_evaluation", config, parts)


def notebook_source(step: Callable | None) -> str:
    """Return the source of a step that was defined in a notebook (or a script), "" for the package's own."""
    while hasattr(step, "func"):
        step = step.func
    return inspect.getsource(step) if getattr(step, "__module__", "semcg") == "__main__" else ""


def initial_values(state: dict[str, object], batch: BatchOf) -> dict[str, list]:
    """Return the values that a training begins with: of networks, optimizers and the like, and of its first batch.

    A recipe knows what the config says; this knows what a notebook really did with it, so that an edited cell
    (another learning rate, another augmentation) is not answered with the run of the cell before. Processors round
    differently, so floating-point tensors appear as shape, mean and norm, which `difference` compares with a
    tolerance; integers, labels for example, appear as a digest.
    """
    shares = gather([part.cpu() for part in batch(0)])  # joined, they are equal in any number of processes
    first = [torch.cat(parts) for parts in zip(*shares, strict=True)]
    parts = {name: part.state_dict() for name, part in state.items()} | {"first batch": first}
    return {name: list(_plain_values(value)) for name, value in parts.items()}


def _plain_values(value: object) -> Iterable:
    """Yield the plain values in nested dicts and lists; a network's tensors as one number, their norm."""
    if isinstance(value, Tensor):
        yield list(value.shape)
        if value.is_floating_point():
            yield from (float(value.double().mean()), float(value.double().norm()))
        else:
            yield hashlib.sha256(value.cpu().contiguous().numpy().tobytes()).hexdigest()[:16]
    elif isinstance(value, dict) and value and all(isinstance(v, Tensor) for v in value.values()):
        tensors = [v.double() for v in value.values()]
        yield sum(v.numel() for v in tensors)
        yield math.sqrt(sum(float(v.square().sum()) for v in tensors))
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _plain_values(item)
    elif not callable(value):  # a schedule's function has no state, and its name holds an address
        yield value


def difference(old: object, new: object, name: str = "") -> list[str]:
    """Return the names of the parts in which two recipes differ, such as "config.lambda_s" or "data".

    Floats are equal within 1e-4 of themselves; the rounding of a mean near 0 counts for nothing either.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        names = {key: f"{name}.{key}".lstrip(".") for key in sorted(old.keys() | new.keys())}
        return [part for key in names for part in difference(old.get(key), new.get(key), names[key])]
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return [name] if len(old) != len(new) or any(map(difference, old, new)) else []
    if isinstance(old, float) and isinstance(new, float):
        return [] if math.isclose(old, new, rel_tol=1e-4, abs_tol=1e-12) else [name]
    return [] if old == new else [name]
