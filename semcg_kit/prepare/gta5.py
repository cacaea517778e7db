"""GTA5 as published: `images/00001.png`, `labels/00001.png` (a palette picture whose index is the label id), `split.mat`.

Richter, Vineet, Roth, Koltun, "Playing for Data: Ground Truth from Computer Games", ECCV 2016.
"""

import io
from pathlib import Path

import numpy as np

from semcg import files
from semcg_kit.prepare.archive import Entry, entries, find
from semcg_kit.prepare.frames import Frame
from semcg_kit.prepare.plans import Plan
from semcg_kit.prepare.splits import divide

__all__ = ["plan"]

FIELDS = {"train": "trainIds", "val": "valIds", "test": "testIds"}


def plan(root: Path | str) -> Plan:
    """Find the frames of GTA5, which become the source, and the splits of its publishers.

    Parameters
    ----------
    root : path
        The folder that holds `images/` and, if there are any, `labels/` and `split.mat`, at any depth; or the
        publishers' zip files `01_images.zip`, `01_labels.zip`, ...; or one zip file. Parts of the archive will do.

    Returns
    -------
    Plan
        Without `labels/`, one without labels. Without `split.mat` the frames are dealt out in blocks, in about its
        proportions, and a note says so.

    Raises
    ------
    FileNotFoundError
        If there is nothing in `root`.
    ValueError
        If there is no frame of GTA5, `split.mat` is not as published, a zip file is damaged or climbs out, or a split
        stays empty.
    """
    root = Path(root)
    listed = entries(root)
    images, labels = (
        {name: entry for (name,), entry in find(listed, rf"{kind}/([0-9]{{5}})\.png").items()}
        for kind in ("images", "labels")
    )
    if not images:
        cityscapes = any("leftImg8bit" in entry.name for entry in listed)
        hint = (
            "it looks like Cityscapes: semcg prepare cityscapes"
            if cityscapes
            else f"it has {listed[0].name}, say"
        )
        raise ValueError(f"{root} is not GTA5: there is no images/00001.png or other number; {hint}")
    splits, told = _splits(listed, sorted(images))
    if lone := len(labels.keys() - images):
        told.append(f"source: {lone} label(s) without an image, not used")
    frames, left_out = [], []
    for split, names in splits.items():
        for name in names:
            if labels and name not in labels:
                left_out.append((split, name, "no label"))
            else:
                frames.append(Frame(name, split, images[name], labels.get(name)))
    left_out += [
        ("", name, "in no split of split.mat") for name in images.keys() - set().union(*splits.values())
    ]
    return Plan(
        root=root,
        domain="source",
        frames=frames,
        splits=tuple(f"source/{split}" for split in files.SPLITS),
        labelled=bool(labels),
        plates=bool(labels),
        left_out=sorted(left_out),
        notes=told,
    )


def _splits(listed: list[Entry], names: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    found = list(find(listed, r"split\.mat").values())
    if not found:
        splits, told = divide(names, "source", sequence=None, val_share=0.25, test_share=0.25)
        return splits, ["source: no split.mat, so the splits are not the publishers'", *told]
    wanted = _read(found[0])
    there = set(names)
    splits = {f"source/{split}": [n for n in ids if n in there] for split, ids in wanted.items()}
    absent = sum(map(len, wanted.values())) - sum(map(len, splits.values()))
    told = [f"source: {absent} frame(s) of split.mat are not in the archive"] if absent else []
    return splits, told


def _read(entry: Entry) -> dict[str, list[str]]:
    """Return the names in each split of `split.mat`."""
    from scipy.io import (
        loadmat,
    )  # here, since it would double the time that every worker process takes to start

    content = io.BytesIO(entry.read())
    try:
        table = loadmat(content, variable_names=list(FIELDS.values()))
    except Exception as error:  # whatever a damaged file sets off in the reader
        raise ValueError(f"{entry} cannot be read: {error}") from error
    splits, split_of = {}, {}
    for split, field in FIELDS.items():
        ids = np.asarray(table.get(field, [])).ravel()
        if ids.size == 0 or ids.dtype.kind not in "uif" or (ids < 1).any() or (ids != ids.astype(int)).any():
            raise ValueError(f"{entry} has no frame numbers, from 1 on, in {field}")
        splits[split] = sorted({f"{int(number):05}" for number in ids})
        for name in splits[split]:
            if split_of.setdefault(name, split) != split:
                raise ValueError(f"{entry} has frame {name} in {split_of[name]} and in {split}")
    return splits
