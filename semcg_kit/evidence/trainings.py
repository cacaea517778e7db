"""The trainings that are repeated: an instrument, a CycleGAN, and a segmenter that learns from its translations.

Notebooks 02-05 show these loops cell by cell; this is the same, for those who want a hundred of them.
"""

import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress

from lightning_fabric import Fabric
from torch import nn

from semcg import devices, files, loop, segmenters, training, translate
from semcg.config import Config
from semcg.data import Batches, Scenes, Unpaired
from semcg.protocol import CEILING
from semcg.runs import recipes, trained
from semcg.runs.datasets import data, target_train, with_labels
from semcg.runs.keeping import keep, with_snapshots
from semcg.runs.store import Run, load, open_run
from semcg.training import build_segmentation, build_translation

__all__ = ["downstream", "segmenter", "translation"]

Progress = Callable[[Iterable[dict], int], Iterable[dict]]


def _silent(records: Iterable[dict], steps: int) -> Iterable[dict]:
    return records


def _train(recipe, t, step, batches, *, steps, fabric, progress, watch=None) -> tuple[Run, list[dict]]:
    """Train from the last saved state to the end, and return the run with the history of this call."""

    def batch(n: int) -> tuple:
        return fabric.to_device(batches(n))

    run = open_run(recipe, steps=steps, state=t.state(), batch=batch)
    records = loop.fit(step, batch, steps, start=run.step)
    records = watch(run, t, fabric, records) if watch else records
    return run, list(progress(keep(run, records), steps))


def segmenter(config: Config, name: str, fabric: Fabric, *, progress: Progress = _silent) -> Run:
    """Train one of the segmenters that notebook 02 trains, or load it where it is trained already; never the shipped one.

    Parameters
    ----------
    name : str
        "Sem_s", "Sem_t", "judge", "second_judge" or "plain_judge".
    progress : callable, optional
        (records, steps) -> records, as in `translation`.

    Returns
    -------
    Run
        Complete; `semcg.runs.trained` loads its network.
    """
    config = config.model_copy(update={"instruments": "trained"})
    own = {"crop": config.crop, "flip": config.flip, "seed": config.segmenter_seed}
    if "judge" in name:
        second, plain = name == "second_judge", name == "plain_judge"
        recipe = recipes.judge(config, second=second, plain=plain)
        kind = "second judge" if second else "judge"
        crops = Scenes(data(config) / "judge" / "train", color=config.judge_color, artifacts=not plain, **own)
        size, steps = config.judge_batch, config.judge_steps
    else:
        domain = {"Sem_s": "source", "Sem_t": "target"}[name]
        recipe, kind = recipes.segmenter(config, domain), "segmenter"
        crops = Scenes(data(config) / domain / "train", color=config.segmenter_color, **own)
        size, steps = config.segmenter_batch, config.segmenter_steps
    crops = with_labels(crops)
    batches = Batches(crops, **devices.share(size, fabric))
    t, step = build_segmentation(config, kind, fabric, weights=training.class_weights(crops.frequencies()))
    if kind == "segmenter" and config.segmenter_start == "imagenet":
        segmenters.load_published(t.net, segmenters.fetch_imagenet(files.home() / "data" / "published"))
    run, _ = _train(recipe, t, step, batches, steps=steps, fabric=fabric, progress=progress)
    return run


def translation(
    config: Config, fabric: Fabric, *, progress: Progress = _silent
) -> tuple[nn.Module, nn.Module, list[dict]]:
    """Train the CycleGAN of a config, or load it where it is trained already.

    Parameters
    ----------
    config : Config
        With `lambda_s` 0 the segmenters are not read; otherwise they must be trained.
    progress : callable, optional
        (records, steps) -> records; `semcg.notebook.progress` prints them.

    Returns
    -------
    G_st, G_ts : Module
        In evaluation mode, on the device of `fabric`.
    list of dict
        Its history.
    """
    Sem_s = Sem_t = None
    if config.lambda_s:
        Sem_s = trained.segmenter(config, "source", fabric)
        Sem_t = None if config.one_segmenter else trained.segmenter(config, "target", fabric)
    augment = {"crop": config.crop, "flip": config.flip, "seed": config.seed}
    source = Scenes(data(config) / "source" / "train", **augment)
    pairs = Unpaired(source, Scenes(target_train(config), **augment))
    batches = Batches(pairs, **devices.share(config.batch, fabric))
    steps = config.translation_steps(pairs.epoch)
    t, step = build_translation(config, fabric, steps=steps, Sem_s=Sem_s, Sem_t=Sem_t)
    recipe = recipes.translation(config, baseline=not config.lambda_s)
    _, history = _train(
        recipe, t, step, batches, steps=steps, fabric=fabric, progress=progress, watch=with_snapshots
    )
    return *trained.maybe_guided(config, *t.generators(config.generator_weights)), history


def downstream(
    config: Config,
    condition: str,
    reads: str,
    translation: translate.Translator,
    fabric: Fabric,
    *,
    progress: Progress = _silent,
) -> nn.Module:
    """Train a segmenter on translated source frames with the source's labels, or load it.

    Under the condition `CEILING` it learns from target frames with their own labels: what a translation cannot exceed.

    Parameters
    ----------
    condition : str
        Name of the translation.
    reads : str
        Fingerprint of what translates.
    translation : callable
        From source images to target images. The frames it makes are removed once the segmenter has learned.

    Returns
    -------
    Module
        In evaluation mode.
    """
    recipe = recipes.downstream(config, condition, reads)
    net = training.network_for(config, "downstream")
    with suppress(FileNotFoundError, ValueError):  # not trained yet, or of another recipe
        load(recipe, net=net)
        return net.to(fabric.device).eval()
    made = files.results_folder(config.data, config.profile) / "translated" / recipe.name
    domain = "target" if condition == CEILING else "source"
    for _ in translate.split(
        translation, data(config) / domain / "train", made, frames=config.downstream_frames
    ):
        pass  # one frame after the other
    crops = Scenes(made, crop=config.crop, flip=config.flip, color=config.judge_color, seed=config.seed)
    batches = Batches(crops, batch=config.judge_batch, workers=devices.loaders(fabric))
    weights = training.class_weights(crops.frequencies())
    t, step = build_segmentation(config, "downstream", fabric, weights=weights)
    _train(recipe, t, step, batches, steps=config.downstream_steps, fabric=fabric, progress=progress)
    shutil.rmtree(made)
    return t.net.eval()
