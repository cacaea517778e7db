"""The two trainings that a sweep repeats for many seeds: a CycleGAN, and a segmenter that learns from its translations.

Notebooks 03-05 show these loops cell by cell; this is the same, for those who want a hundred of them.
"""

import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress

from lightning_fabric import Fabric
from torch import nn

from semcg import files, training, translate
from semcg.config import Config
from semcg.data import Batches, Scenes, Unpaired
from semcg.runs import recipes, trained
from semcg.runs.datasets import data, target_train
from semcg.runs.keeping import keep
from semcg.runs.measuring import CEILING
from semcg.runs.store import load, start

__all__ = ["downstream", "translation"]

Progress = Callable[[Iterable[dict], int], Iterable[dict]]


def _silent(records: Iterable[dict], steps: int) -> Iterable[dict]:
    return records


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
        Sem_t = Sem_s if config.one_segmenter else trained.segmenter(config, "target", fabric)
    augment = {"crop": config.crop, "flip": config.flip, "seed": config.seed}
    source = Scenes(data(config) / "source" / "train", **augment)
    pairs = Unpaired(source, Scenes(target_train(config), **augment))
    batches = Batches(pairs, **training.share(config.batch, fabric))
    steps = config.translation_steps(pairs.epoch)
    t = training.Translation.begin(config, steps=steps, fabric=fabric, Sem_s=Sem_s, Sem_t=Sem_t)
    knobs = ("lambda_c", "lambda_s", "semantic_loss", "gan_loss", "identity", "leaf_split")
    step = training.translation_step(t, fabric=fabric, **{name: getattr(config, name) for name in knobs})

    def batch(n: int) -> tuple:
        return fabric.to_device(batches(n))

    recipe = recipes.translation(config, baseline=not config.lambda_s)
    run = start(recipe, steps=steps, state=t.state(), batch=batch)
    history = list(progress(keep(run, training.fit(step, batch, steps, start=run.step)), steps))
    return *trained.translators(config, *t.translators(config.generator_weights)), history


def downstream(
    config: Config,
    condition: str,
    reads: str,
    translation: translate.Translation,
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
    net = trained.new_downstream(config)
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
    batches = Batches(crops, batch=config.judge_batch, workers=training.loaders(fabric))
    steps = config.downstream_steps
    t = training.Segmentation.begin(
        net,
        optimizer="adamw",
        lr=config.judge_lr,
        decay=config.judge_decay,
        schedule="poly",
        steps=steps,
        seed=config.seed,
        fabric=fabric,
    )
    step = training.segmentation_step(t, fabric=fabric, weights=training.class_weights(crops.frequencies()))

    def batch(n: int) -> tuple:
        return fabric.to_device(batches(n))

    run = start(recipe, steps=steps, state=t.state(), batch=batch)
    for _ in progress(keep(run, training.fit(step, batch, steps, start=run.step)), steps):
        pass
    shutil.rmtree(made)
    return t.net.eval()
