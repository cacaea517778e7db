"""The trained networks of a config, by the names of the paper, loaded from their runs and ready to look at images."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from semcg import files, segmenters
from semcg.config import Config
from semcg.devices import fabric_for
from semcg.runs import checkpoint, recipes
from semcg.runs.store import load
from semcg.training import generator_for, network_for
from semcg.translate import Guided, Translator

_KINDS = {
    "sem_s": "segmenter",
    "sem_t": "segmenter",
    "judge": "judge",
    "plain_judge": "judge",
    "second_judge": "second judge",
    "downstream": "downstream",
}
"""How a run of a segmenter is called -> the kind of its network (`semcg.training.network_for`)."""


def segmenter(config: Config, domain: str, fabric: Fabric) -> nn.Module:
    """Return Sem_s ("source") or Sem_t ("target"), trained, in evaluation mode. Raises as `semcg.runs.load` does."""
    return _load_recipe(recipes.segmenter(config, domain), network_for(config, "segmenter"), fabric)


def judge(config: Config, fabric: Fabric, *, second: bool = False, plain: bool = False) -> nn.Module:
    """Return the judge, or the second or the plain one, trained, in evaluation mode.

    Raises as `semcg.runs.load` does, and as `check_judge_differs` where a user supplies a network.
    """
    recipe = recipes.judge(config, second=second, plain=plain)
    net = _load_recipe(recipe, network_for(config, "second judge" if second else "judge"), fabric)
    if config.judge or config.sem_s or config.sem_t:
        check_judge_differs(net, config, fabric)
    return net


def check_judge_differs(judge: nn.Module, config: Config, fabric: Fabric) -> None:
    """Raise ValueError if a judge has the weights of a segmenter in the loss, whatever files they are in."""
    for domain in files.DOMAINS:
        if tensor_digest(segmenter(config, domain, fabric)) == tensor_digest(judge):
            raise ValueError(
                f"the judge has the weights of Sem_{domain[0]}, a network in the loss: its score would not be "
                "independent. Give another one with judge=FILE, or none"
            )


def user_segmenter(path: str) -> nn.Module:
    """Return a segmenter that a user gave, in evaluation mode: a run of this kit, or DRN-26 in a published layout.

    Parameters
    ----------
    path : str
        A run's folder, its weights, or a file of published weights; from `semcg.files.home()` unless absolute.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it fits no such network, or it is ImageNet's, which reads no streets.
    """
    where = files.home() / path
    if where.is_dir() or (where.parent / "provenance.json").is_file():
        return segmenter_from(where, fabric_for("cpu"))
    net = segmenters.DRN26()
    if any("ImageNet" in line for line in segmenters.load_published(net, where)):
        raise ValueError(
            f"{where} ends in the 1000 classes of ImageNet: a segmenter of the 19 classes is needed"
        )
    return net.eval()


def tensor_digest(net: nn.Module) -> str:
    """Return the SHA-256 of a network's tensors by name, in float32: the same for every file that holds them."""
    seen = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        seen.update(f"{name}{tuple(value.shape)}".encode())
        seen.update(value.cpu().float().contiguous().numpy().tobytes())
    return seen.hexdigest()


def _load_recipe(recipe: recipes.Recipe, net: nn.Module, fabric: Fabric) -> nn.Module:
    """Return a run's network, loaded into `net`; your own weights bring a network of their own."""
    if recipe.file:
        net = user_segmenter(recipe.file)
    else:
        load(recipe, net=net)
    return net.to(fabric.device).eval()


def generators(config: Config, fabric: Fabric, *, baseline: bool = False) -> tuple[nn.Module, nn.Module]:
    """Return the trained G_st and G_ts in evaluation mode: the semantic CycleGAN's, or with `baseline` those of notebook 03.

    With the weights that `config.generator_weights` names, and in `semcg.translate.Guided` if `config.guided`. Raises as
    `semcg.runs.load` does.
    """
    G_st, G_ts = generator_for(config), generator_for(config)
    end = "_ema" if config.generator_weights == "ema" else ""
    load(recipes.translation(config, baseline=baseline), **{f"G_st{end}": G_st, f"G_ts{end}": G_ts})
    return maybe_guided(config, G_st.to(fabric.device).eval(), G_ts.to(fabric.device).eval())


def maybe_guided(config: Config, G_st: nn.Module, G_ts: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Return two generators as the config lets them translate: as they are, or guided."""
    return (Guided(G_st), Guided(G_ts)) if config.guided else (G_st, G_ts)


def translate_image(G: Translator, x: torch.Tensor, fabric: Fabric) -> torch.Tensor:
    """Return what a generator makes of one image (3, H, W), computed on the fabric's device, as float32 on the CPU."""
    with torch.inference_mode():
        return G(x[None].to(fabric.device))[0].float().cpu()


def generator_from(run: Path | str, direction: str, fabric: Fabric) -> nn.Module:
    """Return a trained generator from a run that lies anywhere, in evaluation mode.

    Parameters
    ----------
    run : path
        A run's folder, or a .safetensors file in one. `provenance.json` beside it says what network it is, and which of
        a folder's weights translate.
    direction : str
        "st" (source to target) or "ts".

    Raises
    ------
    FileNotFoundError
        If there are no such weights, or nothing beside them says what they are.
    ValueError
        For another direction, weights of the other one, or weights that are no generator of that config.
    """
    if direction not in ("st", "ts"):
        raise ValueError(f"direction = {direction!r}: allowed: st (source to target), ts (target to source)")
    path, made, config = _weights_of(run, f"G_{direction}")
    if path.stem.removesuffix("_ema") == f"G_{direction[::-1]}":
        raise ValueError(f"{path} is the generator of the direction {direction[::-1]}, not {direction}")
    averaged = Path(run) / f"G_{direction}_ema.safetensors"
    if config.generator_weights == "ema" and averaged.is_file():
        path = averaged
    return _load_checked(lambda: generator_for(config), path, made, fabric)


def segmenter_from(run: Path | str, fabric: Fabric) -> nn.Module:
    """Return a judge, Sem_s, Sem_t or a downstream segmenter from its run, in evaluation mode; as `generator_from`."""
    path, made, config = _weights_of(run, "net")
    name = str(made.get("run", ""))
    if (kind := _KINDS.get(name.partition("-")[0])) is None:
        raise ValueError(
            f"{path.parent} holds the run {name}, not a segmenter; take a judge, sem_ or downstream run"
        )
    return _load_checked(lambda: network_for(config, kind), path, made, fabric)


def _weights_of(run: Path | str, name: str) -> tuple[Path, dict, Config]:
    """Return the file of a run's weights, the record beside it, and the config in that, which says what network they fit."""
    run = Path(run)
    path = run if run.suffix == ".safetensors" else run / f"{name}.safetensors"
    checkpoint.require_weights(path)
    provenance = path.parent / "provenance.json"
    if not provenance.is_file():
        raise FileNotFoundError(
            f"no {provenance}: it says what network the weights belong to. Copy it from the run's folder as well"
        )
    made = files.read_json(provenance)
    if "config" not in made or not isinstance(made.get("weights", {}), dict):
        raise ValueError(f"{provenance} has no config or no weights: it is not the record of a complete run")
    try:
        return path, made, Config(**made["config"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"the config in {provenance} is not one of this version: {error}") from None


def _load_checked(build: Callable[[], nn.Module], path: Path, made: dict, fabric: Fabric) -> nn.Module:
    """Return a network with the weights in a file, once the file is known to fit it: a record may promise gigabytes."""
    with torch.device("meta"):
        checkpoint.check_weights(build(), path)
    net = checkpoint.load_weights(build(), path, made.get("weights", {}).get(path.name))
    return net.to(fabric.device).eval()
