"""What decides a run's result, and the digest of it: a run is reused only when its recipe is unchanged.

A recipe is the part of the config that the stage reads, the data, the rooms of the package that compute it (their
code without docstrings and comments), the runs it starts from, and the source of a step that a notebook defined.
What it leaves out on purpose: the device, the number of threads, and every number of other stages.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from semcg import config as configs
from semcg import files
from semcg.config import Config

__all__ = [
    "Recipe",
    "conditions",
    "control_folder",
    "difference",
    "downstream",
    "judge",
    "room_digest",
    "segmenter",
    "slug",
    "translation",
    "world",
]

_PACKAGE = Path(__file__).resolve().parent.parent
_SEGMENTER_ROOMS = ("labels", "data", "segmenters", "training/loop", "training/segmentation")
_TRANSLATION_ROOMS = (
    "labels",
    "data",
    "segmenters",
    "gan",
    "losses",
    "training/loop",
    "training/translation",
)


@dataclass(frozen=True)
class Recipe:
    """A run's name, the notebook that makes it, its config and everything that decides its result."""

    name: str
    made_by: str
    config: Config
    parts: dict

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ when any part does."""
        return files.digest(self.parts)


@cache
def room_digest(room: str) -> str:
    """Return a digest of the code of a room of this package, blind to comments, docstrings and layout.

    Parameters
    ----------
    room : str
        A module or a folder of modules, relative to the package: "losses", "training/loop", "world".
    """
    path = _PACKAGE / room
    modules = sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return files.digest([_bare(module.read_text(encoding="utf-8")) for module in modules])


def _bare(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _parts(config: Config, stage: str, rooms: tuple[str, ...], **more) -> dict:
    data = files.manifest_digest(files.data_folder(config.data, config.profile))
    return {
        "config": config.part(stage),
        "data": data,
        "rooms": {room: room_digest(room) for room in rooms},
        "torch": torch.__version__.partition("+")[0],
        **more,
    }


def world(config: Config) -> dict:
    """Return what decides the drawn data of `config`."""
    return {
        "config": config.part("data"),
        "rooms": {"world": room_digest("world"), "labels": room_digest("labels")},
    }


def control_folder(config: Config) -> Path:
    """Return where the control lies: the drawn world with target streets that are built like the source's."""
    return files.data_folder(f"world-source_layout-{config.profile}", config.profile)


def segmenter(config: Config, domain: str) -> Recipe:
    """Return the recipe of Sem_s ("source") or Sem_t ("target")."""
    name = f"sem_{domain[0]}-s{config.segmenter_seed}"
    return Recipe(name, "02_segmenters", config, _parts(config, "segmenter", _SEGMENTER_ROOMS, domain=domain))


def judge(config: Config, *, second: bool = False, plain: bool = False) -> Recipe:
    """Return the recipe of a judge, which no loss ever sees.

    Parameters
    ----------
    second : bool
        The second one, of yet another architecture.
    plain : bool
        One that was trained on frames without the marks of networks (`semcg.data.Scenes`, artefacts=False), so that its
        features see them.
    """
    name = "second_judge" if second else "plain_judge" if plain else "judge"
    parts = _parts(config, "judge", _SEGMENTER_ROOMS, second=second, **({"plain": True} if plain else {}))
    return Recipe(f"{name}-s{config.segmenter_seed}", "02_segmenters", config, parts)


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
    parts = _parts(config, "translation", _TRANSLATION_ROOMS)
    usual = configs.make(config.profile).part("translation")
    ours = {
        "seed",
        "lambda_s",
        "semantic_loss",
        "precision",
    }  # in the name already, or settled by the machine
    for field, value in parts["config"].items():
        if field not in ours and value != usual[field]:
            name += f"-{field}={value}"
    if config.lambda_s:
        parts["reads"] = {d: segmenter(config, d).fingerprint for d in files.DOMAINS}
    else:  # an unweighted loss decides nothing
        del parts["config"]["semantic_loss"]
    if config.target_layout != "own":
        parts["control"] = files.manifest_digest(control_folder(config))
    if own := _notebook_source(step):
        parts["step"] = own
    made_by = "03_cyclegan" if baseline else "04_semantic_cyclegan"
    return Recipe(f"{name}-s{config.seed}", made_by, config, parts)


def conditions(config: Config) -> dict[str, Config]:
    """Return the CycleGANs that the course compares, by name; the baseline is the one without a semantic loss."""
    readings = {"semantic (paper)": ("scores_l2", 1.0), "semantic (ours)": ("softmax_l2", 10.0)}
    return {"CycleGAN": config.model_copy(update={"lambda_s": 0.0})} | {
        name: config.model_copy(update={"semantic_loss": kind, "lambda_s": weight})
        for name, (kind, weight) in readings.items()
    }


def slug(condition: str) -> str:
    """Return the name of a condition as part of a file name: "semantic (paper)" -> "semantic_paper"."""
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
    rooms = (*_SEGMENTER_ROOMS, "translate/translations")  # how frames are filed shows in the first batch
    parts = _parts(config, "downstream", rooms, condition=condition, reads=reads)
    return Recipe(f"downstream-{slug(condition)}-s{config.seed}", "05_evaluation", config, parts)


def _notebook_source(step: Callable | None) -> str:
    """Return the source of a step that was defined in a notebook (or a script), "" for the package's own."""
    while hasattr(step, "func"):
        step = step.func
    return inspect.getsource(step) if getattr(step, "__module__", "semcg") == "__main__" else ""


def beginning(state: dict[str, object], batch: Callable[[int], Iterable[Tensor]]) -> dict[str, str]:
    """Return what a training begins with, as digests: networks, optimisers and the like, and its first batch.

    A recipe knows what the config says; this knows what a notebook really did with it, so that an edited cell
    (another learning rate, another augmentation) is not answered with the run of the cell before.
    """
    return {
        **{name: _digest_of(part.state_dict()) for name, part in state.items()},
        "first batch": _digest_of(list(batch(0))),
    }


def _digest_of(value: object) -> str:
    """Return a digest of nested dicts, lists, tensors and plain values."""
    seen = hashlib.sha256()

    def take(value: object) -> None:
        if isinstance(value, Tensor):
            seen.update(f"{value.dtype}{tuple(value.shape)}".encode())
            seen.update(value.detach().cpu().contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key in value:
                seen.update(f"{key}:".encode())
                take(value[key])
        elif isinstance(value, list | tuple):
            seen.update(f"[{len(value)}".encode())
            for item in value:
                take(item)
        elif not callable(value):  # a schedule's function has no state, and its name holds an address
            seen.update(f"{value!r};".encode())

    take(value)
    return seen.hexdigest()[:16]


def difference(old: dict, new: dict, prefix: str = "") -> list[str]:
    """Return the names of the parts in which two recipes differ, such as "config.lambda_s" or "rooms.losses"."""
    names = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            names += difference(a, b, f"{prefix}{key}.")
        elif a != b:
            names.append(f"{prefix}{key}")
    return names
