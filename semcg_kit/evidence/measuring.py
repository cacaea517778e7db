"""What a sweep measures of each trained run, kept as counts that anybody can compute the numbers from.

evidence/counts/<run>.csv     pixels counted, plates read, edges measured
evidence/records/<run>.json   which condition and seed, what trained it, what judged it, the digest of its counts
"""

import itertools
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import nn

from semcg import canary, evaluate, files, losses, training, translate
from semcg import config as configs
from semcg.config import Config
from semcg.data import Scenes
from semcg.evaluate.parts import table_part
from semcg.evaluate.reading import notes
from semcg.instruments import load_instrument
from semcg.protocol import CEILING, UNTRAINED
from semcg.reader import DigitReader
from semcg.report import FLOOR
from semcg.runs import recipes, trained
from semcg.runs.checkpoint import sha256
from semcg.runs.datasets import about, data, scored
from semcg.runs.store import load
from semcg.world import Scene, render
from semcg_kit.evidence.oracles import ORACLES, oracles

__all__ = ["evidence_folder", "measure", "references", "untrained", "write_floor"]

_COLORS, _FRAMES = 200_000, 200  # pixels that a color table is made of, and frames that they are from
_PAIRS = 7_000_000  # drawn streets from here on are in no data

_COPIED = ("fingerprint", "commit", "uncommitted_changes", "device", "threads", "seconds", "steps")


def evidence_folder(config: Config) -> Path:
    """Return where the measurements of a profile lie."""
    return files.results_folder(config.data, config.profile) / "evidence"


def measure(
    config: Config, fabric: Fabric, *, condition: str, translates: bool = True, learns: bool = True
) -> dict[tuple[str, str], float]:
    """Measure one trained condition at one seed, unless that is done, and return its numbers.

    Parameters
    ----------
    config : Config
        That it was trained with.
    condition : str
        Its name in the protocol.
    translates, learns : bool
        As in `notebooks/sweep/train.ipynb`: without a generator there is nothing new to measure in the frames, and
        without a segmenter that learned from them nothing downstream.

    Raises
    ------
    FileNotFoundError, ValueError
        If the trainings are missing or other ones; says which command makes them.
    """
    if learns and config.guided == "another":
        raise ValueError(
            "guided = 'another' is a control of measures: nothing learns from it; learns = false"
        )
    found, reads = {}, condition
    if translates:
        recipe = recipes.translation(config, baseline=not config.lambda_s)
        reads = recipe.fingerprint
        run = recipe.name + _reading(config)
        found |= _measured(config, fabric, run, condition, config.seed, recipe)
    if learns:
        recipe = recipes.downstream(config, condition, reads)
        if _open(config, recipe.name, recipe.fingerprint) is None:
            net = training.network_for(config, "downstream")
            load(recipe, net=net)
            net = net.to(fabric.device).eval()
            frames = Scenes(scored(config) / "target" / "test")
            parts = {"downstream": table_part(evaluate.segmentation_counts(net, frames, fabric=fabric))}
            _keep(config, recipe.name, parts, recipe.fingerprint, condition, config.seed)
        found |= evaluate.values(_open(config, recipe.name, recipe.fingerprint))
    return found


def references(config: Config, fabric: Fabric) -> None:
    """Measure what needs no training: frames as they are, with matched histograms, and, where it is drawn, the oracle.

    And the oracle with one thing spoiled, which shows what each measure sees. "identity" also holds what the reader
    makes of source frames; what it makes of target frames, the most that it can be asked for, is `CEILING`.
    """
    drawn = ORACLES if about(config)["oracle"] else ()
    for name in (*(UNTRAINED if drawn else UNTRAINED[:-1]), *drawn):
        _measured(config, fabric, recipes.slug(name), name, None, None)
    _ceiling(config, fabric)


def untrained(config: Config, condition: str) -> translate.Translator:
    """Return a translation that no training makes: one of `UNTRAINED`, one of `ORACLES`, or none for `CEILING`."""
    root = data(config)
    if condition in ORACLES:
        return oracles(scored(config))[condition]
    if condition in ("identity", CEILING):
        return translate.identity
    source, target = (Scenes(root / domain / "train", labels=False) for domain in files.DOMAINS)
    if condition == "histogram matching":
        return translate.HistogramMatching.of(target, frames=_FRAMES)
    if condition == "color transfer":
        colors = (translate.pixels_of(scenes, count=_COLORS, frames=_FRAMES) for scenes in (source, target))
        return translate.ColorTable.transport(*colors)
    if condition == "paired color table":
        return translate.ColorTable.fit(*_paired_colors(config.size))
    known = ", ".join((*UNTRAINED, CEILING, *ORACLES))
    raise ValueError(f"condition = {condition!r} translates without training: allowed: {known}")


def _paired_colors(size: tuple[int, int], *, streets: int = 60) -> list[np.ndarray]:
    """Return colors (n, 3) of drawn streets in the source's style, and of the same pixels in the target's."""
    draw, pairs = np.random.default_rng(0), []
    for street in range(streets):
        scene = Scene.sample(_PAIRS + street, "source")
        frames = [render(scene, style, size)[0].reshape(-1, 3) / 127.5 - 1 for style in ("game", "camera")]
        chosen = draw.integers(len(frames[0]), size=_COLORS // streets)
        pairs.append([frame[chosen] for frame in frames])
    return [np.concatenate(colors) for colors in zip(*pairs, strict=True)]


def _ceiling(config: Config, fabric: Fabric) -> None:
    """Keep what the reader reads in the target's test frames, where the data say what is written there."""
    root, run = scored(config), recipes.slug(CEILING)
    key = files.digest(
        {"read": CEILING, "data": files.data_digest(root), "stage": canary.version("measures")}
    )
    if not notes(root, "target", "test") or _open(config, run, key) is not None:
        return
    reader, _ = _reader_and_target(config, fabric, trained.judge(config, fabric))
    if reader is not None:
        _keep(config, run, evaluate.read_scenes(reader.cpu(), root, "target", "test"), key, CEILING, None)


def _measured(config: Config, fabric: Fabric, run: str, condition: str, seed: int | None, recipe) -> dict:
    root, plain = scored(config), None
    with suppress(FileNotFoundError):
        plain = trained.judge(config, fabric, plain=True)
    judges = [{}, {"second": True}] + [{"plain": True}] * (plain is not None)
    key = files.digest(
        {
            "translation": recipe.fingerprint if recipe else condition,
            "reading": config.part("evaluation") if recipe else {},
            "judges": [recipes.judge(config, **kind).fingerprint for kind in judges],
            "Sem_t": recipes.segmenter(config, "target").fingerprint,
            "data": files.data_digest(root),
            "stage": canary.version("measures"),
        }
    )
    parts = _open(config, run, key)
    if parts is None:
        if recipe:
            way, back = trained.generators(config, fabric, baseline=not config.lambda_s)
            if config.guided == "another":
                way, back = translate.BorrowedColors(way, root / "source" / "test"), None
        else:
            way, back = untrained(config, condition), None
        nets = {
            "judge": trained.judge(config, fabric),
            "second judge": trained.judge(config, fabric, second=True),
            "Sem_t": trained.segmenter(config, "target", fabric),
        }
        if plain is not None:
            nets["plain"] = plain
        reader, target = _reader_and_target(config, fabric, nets["judge"])
        parts = evaluate.collect(
            way, folder=root, nets=nets, reader=reader, back=back, fabric=fabric, target=target
        )
        _keep(config, run, parts, key, condition, seed, trained_as=recipe.name if recipe else "")
    return evaluate.values(parts)


def _reader_and_target(config: Config, fabric: Fabric, judge: nn.Module) -> tuple[nn.Module | None, object]:
    """Return the plate reader and the judge's features of target frames, from the last run that needed them."""
    root, shipped = scored(config), bool(recipes.instrument(config, "reader"))
    of = [files.data_digest(root), recipes.judge(config).fingerprint, canary.version("measures"), shipped]
    kept, reader = evidence_folder(config) / f"judging-{files.digest(of)}.safetensors", None
    if kept.is_file():
        tensors = load_file(kept)
        target = tensors.pop("target")
        if tensors:
            reader = DigitReader()
            reader.load_state_dict(tensors)
    else:
        if shipped:
            reader = load_instrument("reader")
        elif notes(data(config), "target", "train"):
            reader = evaluate.train_reader(data(config))
        target = evaluate.target_features(judge, root, fabric=fabric)
        with files.atomic(kept) as partial:
            weights = {} if reader is None else reader.state_dict()
            save_file({k: v.contiguous() for k, v in weights.items()} | {"target": target}, partial)
    return (None if reader is None else reader.to(fabric.device).eval()), target


def _open(config: Config, run: str, key: str) -> dict | None:
    """Return the parts of a measurement with this key, None if there is none."""
    record, counts = (evidence_folder(config) / name for name in (f"records/{run}.json", f"counts/{run}.csv"))
    written = files.read_record(record) if counts.is_file() else {}
    same = written.get("key") == key and written.get("counts") == sha256(counts)
    return evaluate.read_parts(counts) if same else None


def _reading(config: Config) -> str:
    """Return what tells two measurements of one training apart: weights other than the profile's, and guided."""
    weights = config.generator_weights
    other = weights != configs.make(config.profile).generator_weights
    return f"-{weights}" * other + f"-guided_{config.guided}" * bool(config.guided)


def _keep(
    config: Config, run: str, parts: dict, key: str, condition: str, seed: int | None, *, trained_as: str = ""
) -> None:
    counts = evidence_folder(config) / "counts" / f"{run}.csv"
    evaluate.parts.write_parts(counts, parts)
    folder = files.results_folder(config.data, config.profile) / (trained_as or run)
    made = files.read_record(folder / "provenance.json")
    record = {"run": run, "condition": condition, "seed": seed, "key": key, "counts": sha256(counts)}
    record |= {"data": files.data_digest(scored(config))}
    record |= {name: made[name] for name in _COPIED if name in made}
    stage = str(made.get("recipe", {}).get("stage", ""))
    if "unreleased" in stage:
        raise ValueError(
            f"{run} was trained by {stage}, which is no released version of the code: it is no evidence. "
            "Take the change back, or release it (python -m semcg.canary), and train again"
        )
    record |= {"stage": stage} if stage else {}
    if "versions" in made:
        record |= {"torch": made["versions"]["torch"], "precision": made["config"]["precision"]}
    files.write_json(evidence_folder(config) / "records" / f"{run}.json", record)


def write_floor(config: Config, fabric: Fabric, folder: Path) -> bool:
    """Write what each reading of Eq. (4) charges for no translation and for the perfect one, on source/test.

    Returns
    -------
    bool
        False where there is nothing to measure: data without an oracle, or segmenters that are not trained.
    """
    try:
        test = Scenes(data(config) / "source" / "test")
        Sem_s, Sem_t = (trained.segmenter(config, domain, fabric) for domain in files.DOMAINS)
    except (FileNotFoundError, ValueError):
        return False
    oracle = test.folder / "oracle"
    if not oracle.is_dir():
        return False
    charged = {of: dict.fromkeys(losses.SEMANTIC_KINDS, 0.0) for of in ("identity", "oracle")}
    with torch.inference_mode():
        for i, name in enumerate(test.names):
            x, y = (v[None].to(fabric.device) for v in test.frame(i))
            perfect = translate.image(oracle / f"{name}.png")[None].to(fabric.device)
            before, after = Sem_s(x), {"identity": Sem_t(x), "oracle": Sem_t(perfect)}
            for of, kind in itertools.product(charged, losses.SEMANTIC_KINDS):
                charge = float(losses.semantic(before, after[of], kind=kind, labels=y))
                charged[of][kind] += charge / len(test.names)
    files.write_json(folder / FLOOR, {"frames": len(test.names), "charged": charged})
    return True
