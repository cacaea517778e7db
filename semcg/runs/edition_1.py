"""Runs and data of the first edition: their records as this version would write them.

That edition knew its code by digests of its source files, recorded what a training began with in a form that other machines
cannot compare, and kept no averages of the generators. Its finished runs are still recognized, by what is in this file.
"""

from pathlib import Path

from semcg import files
from semcg.runs.recipes import Recipe

CODE = {
    "labels": "3f4a96b60013254f",
    "data": "62d9fe94f35bd1a6",
    "segmenters": "7c1ab1e96d752241",
    "gan": "1fe0ec89349baa80",
    "losses": "41fd7337d1be7886",
    "training/loop": "0fe9a1f560ebd08d",
    "training/segmentation": "2671f5849c8bfb8d",
    "training/translation": "c290654f81b86645",
    "translate/translations": "cc35a9bad4c49b90",
    "world": "e416dd5a15a37062",
}
"""Digests of its source files. Runs with these are runs of version 1 of their stage.

The first edition has no canary numbers of its own, so this is assumed. It was tested on one run: cyclegan-s3, a CycleGAN without
the semantic loss, trained again by code that computes translation-1, had the losses that were shipped then."""

_LATER = ("generator_grain", "generator_ema")  # fields of the config that it did not have


def convert_record(record: dict, wanted: Recipe, runs: Path) -> dict:
    """Return the record of a run as this version would write it; those of later editions are returned unchanged.

    What a run of the first edition began with is unknown: its "begins" is empty.

    Parameters
    ----------
    record : dict
        Of a run's `provenance.json`.
    wanted : Recipe
        The run that is asked for.
    runs : Path
        The folder of the run's folder, and of those of the runs that it read.
    """
    if "rooms" not in record["recipe"]:
        return record
    data = files.data_folder(wanted.config.data, wanted.config.profile)
    recipe = convert_recipe(record["recipe"], wanted.parts, runs, data)
    # Fields that came later decide nothing else where the averages of generators are not needed.
    if wanted.config.generator_weights != "ema" and "lambda_c" in recipe["config"]:
        later = {name: value for name, value in wanted.parts["config"].items() if name in _LATER}
        recipe["config"] = later | recipe["config"]
    return record | {"recipe": recipe, "begins": {}}


def convert_recipe(stored: dict, wanted: dict, runs: Path, data: Path) -> dict:
    """Return a stored recipe, of a run or of a synthetic world, as this version would write it.

    Parameters
    ----------
    stored, wanted : dict
        The recipe as it was written, and the one that is asked for, which has the name of the stage.
    runs, data : Path
        The folder of the runs that it may have read, and the data, whose manifest the first edition digested.
    """
    recipe = dict(stored)
    code = recipe.pop("rooms", None)
    if not code:
        return recipe
    recipe.pop("torch", None)
    if all(CODE.get(module) == digest for module, digest in code.items()):
        recipe["stage"] = f"{str(wanted.get('stage')).partition('-')[0]}-1"
    if (data / "manifest.csv").is_file() and recipe.get("data") == files.manifest_digest(data):
        recipe["data"] = files.data_digest(data)
    if "reads" in recipe:
        recipe["reads"] = _convert_reads(recipe["reads"], runs, data)
    return recipe


def _convert_reads(reads: dict | str, runs: Path, data: Path) -> dict | str:
    """Return the fingerprints of the runs that a run read, as this version would compute them."""
    if isinstance(reads, dict):
        return {domain: _convert_reads(fingerprint, runs, data) for domain, fingerprint in reads.items()}
    for path in runs.glob("*/provenance.json"):
        record = files.read_record(path)
        if record.get("fingerprint") == reads:
            stage = "translation" if "lambda_s" in record["recipe"]["config"] else "segmenter"
            return files.digest(convert_recipe(record["recipe"], {"stage": f"{stage}-1"}, runs, data))
    return reads


def with_averages(state: dict) -> dict:
    """Return the parts of a saved state; generators without averages are taken for their own."""
    return {f"{name}_ema": state[name] for name in ("G_st", "G_ts") if name in state} | state
