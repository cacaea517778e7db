"""The archives as published: GTA5 becomes the source, Cityscapes the target and what the judge learns from.

GTA5 has `images/00001.png`, `labels/00001.png` (a palette picture whose index is the label id) and `split.mat`: Richter,
Vineet, Roth, Koltun, "Playing for Data: Ground Truth from Computer Games", ECCV 2016. Cityscapes has
`leftImg8bit/<split>/<city>/..._leftImg8bit.png` and `gtFine/.../..._gtFine_labelIds.png`: Cordts et al., "The Cityscapes
Dataset for Semantic Urban Scene Understanding", CVPR 2016.
"""

import io
import re
from collections import Counter
from pathlib import Path

import numpy as np

from semcg import files, mappings
from semcg_kit.prepare.archive import Entry, entries, find
from semcg_kit.prepare.frames import Frame, Recipe
from semcg_kit.prepare.plans import LABEL_LIKE, Plan, divide
from semcg_kit.prepare.records import ARCHIVES

__all__ = ["CITYSCAPES_SPLITS", "cityscapes", "divide_cities", "gta5"]

CITYSCAPES_SPLITS = ("target/train", "target/val", "target/test", "judge/train", "judge/val")
NINTH = 9
"""Every ninth city is kept back, which is about a tenth of the frames."""
FIELDS = {"train": "trainIds", "val": "valIds", "test": "testIds"}


def gta5(root: Path | str, *, extra: bool = False) -> Plan:
    """Find the frames of GTA5, which become the source, and the splits of its publishers.

    Parameters
    ----------
    root : path
        The folder that holds `images/` and, if there are any, `labels/` and `split.mat`, at any depth; or the
        publishers' zip files `01_images.zip`, `01_labels.zip`, ...; or one zip file. Parts of the archive will do.
    extra : bool
        Keep frames without a label in `source/train`: every pixel is 255, ignored.

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
        _refuse(
            root, listed, "GTA5", "images/00001.png or other number", other="Cityscapes", sign="leftImg8bit"
        )
    splits, notes = _splits(listed, sorted(images))
    if lone := len(labels.keys() - images):
        notes.append(f"source: {lone} label(s) without an image, not used")
    frames, left_out, unlabeled = [], [], 0
    for split, names in splits.items():
        for name in names:
            label = labels.get(name)
            if labels and not label and not (extra and split == "source/train"):
                left_out.append((split, name, "no label"))
                continue
            unlabeled += bool(labels and not label)
            frames.append(_frame(name, split, images[name], label))
    if unlabeled:
        notes.append(f"source/train: {unlabeled} frames without a label: every pixel is 255, ignored")
    left_out += [
        ("", name, "in no split of split.mat") for name in images.keys() - set().union(*splits.values())
    ]
    notes += _passed_over("source", listed, [*images.values(), *labels.values()], r"split\.mat$", labels)
    return Plan(
        root=root,
        domain="source",
        made_by=ARCHIVES,
        frames=frames,
        splits=tuple(f"source/{split}" for split in files.SPLITS),
        recipe=Recipe(labeled=bool(labels), plates=bool(labels), mapping=mappings.LABEL_IDS),
        left_out=sorted(left_out),
        notes=notes,
    )


def cityscapes(root: Path | str, *, extra: bool = False) -> Plan:
    """Find the frames of Cityscapes, which become the target and what the judge learns from.

    The publishers' val is `target/test`, on which the literature scores. Their train is divided by city, since frames
    of one drive are alike: every ninth city is `target/val`; of the others every second is the judge's, which no other
    network ever reads. Their test is not used: its labels are not published, and the files in `gtFine/test` hold
    placeholders, so nothing can be scored on it here.

    Parameters
    ----------
    root : path
        The folder that holds `leftImg8bit/` and, if there are any, labels in `gtFine/`, at any depth; or the
        publishers' zip files `leftImg8bit_trainvaltest.zip`, `gtFine_trainvaltest.zip`; or one zip file.
    extra : bool
        Add the images of `leftImg8bit/train_extra` to `target/train`. They have no fine label: every pixel is 255,
        ignored.

    Raises
    ------
    FileNotFoundError
        If there is nothing in `root`.
    ValueError
        If there is no frame of Cityscapes, or only its test split; labels of another kind stand in for labelIds; a zip
        file is damaged or climbs out; or there are too few cities.
    """
    root = Path(root)
    listed = entries(root)
    images = find(listed, r"leftImg8bit/(train|val|test|train_extra)/([^/]+)/([^/]+)_leftImg8bit\.png")
    labels = find(listed, r"gtFine/(train|val|test)/([^/]+)/([^/]+)_gtFine_labelIds\.png")
    counts = Counter(split for split, *_ in images)
    if not images:
        _refuse(root, listed, "Cityscapes", "leftImg8bit/<split>/<city>/", other="GTA5", sign="images/")
    test = "their labels are not published (gtFine/test holds placeholders), so nothing can be scored on them"
    if counts["test"] and not counts["val"]:
        raise ValueError(
            f"{root} has {counts['test']} frames of the test split and none of val: {test}. Evaluation is on val, from "
            "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip"
        )
    if extra and not counts["train_extra"]:
        raise ValueError(f"{root} has no leftImg8bit/train_extra; it is in leftImg8bit_trainextra.zip")
    _refuse_other_labels(root, listed, labels)
    of_city = divide_cities({city for split, city, _ in images if split == "train"}, root)
    frames, left_out = [], []
    for (split, city, name), image in sorted(images.items()):
        if split == "test" or (split == "train_extra" and not extra):
            continue
        where = {"train": of_city.get(city), "val": "target/test", "train_extra": "target/train"}[split]
        label = labels.get((split, city, name)) if split != "train_extra" else None
        if labels and not label and split != "train_extra":
            left_out.append((where, name, "no gtFine_labelIds"))
        else:
            frames.append(_frame(name, where, image, label))
    notes = []
    for split in ("target/val", "judge/train", "judge/val"):
        notes.append(f"{split}: {', '.join(city for city in sorted(of_city) if of_city[city] == split)}")
    if counts["test"]:
        notes.append(f"target: the {counts['test']} frames of the test split are not used: {test}")
    if extra:
        unlabeled = f"target/train: {counts['train_extra']} frames are of train_extra"
        notes.append(f"{unlabeled}, without a label: every pixel is 255, ignored" if labels else unlabeled)
    usual = r"gtFine/.*_gtFine_(color|instanceIds|polygons|labelTrainIds|labelIds)\.(png|json)$"
    notes += _passed_over("target", listed, [*images.values(), *labels.values()], usual, labels)
    frames.sort(key=lambda frame: (frame.split, frame.name))
    return Plan(
        root=root,
        domain="target",
        made_by=ARCHIVES,
        frames=frames,
        splits=CITYSCAPES_SPLITS,
        recipe=Recipe(labeled=bool(labels), mapping=mappings.LABEL_IDS),
        left_out=sorted(left_out),
        notes=notes,
    )


def divide_cities(cities: set[str], root: Path | str = "train") -> dict[str, str]:
    """Return where the frames of each city of train go.

    Parameters
    ----------
    cities : set of str
        Their names; 18 in Cityscapes.
    root : path
        For the message.

    Raises
    ------
    ValueError
        If there are fewer than five: val, train, the judge's train and val need one each, and the judge every second.
    """
    if len(cities) < 5:
        raise ValueError(
            f"{root} has {len(cities)} cities in leftImg8bit/train ({', '.join(sorted(cities)) or 'none'}); at least 5 "
            "are needed, so that val and the judge have cities of their own"
        )
    val, rest = _ninths(sorted(cities))
    judge_val, judge_train = _ninths(rest[1::2])
    parts = {
        "target/val": val,
        "target/train": rest[0::2],
        "judge/val": judge_val,
        "judge/train": judge_train,
    }
    return {city: split for split, members in parts.items() for city in members}


def _ninths(cities: list[str]) -> tuple[list[str], list[str]]:
    chosen = cities[min(NINTH // 2, len(cities) - 1) :: NINTH]
    return chosen, [city for city in cities if city not in chosen]


def _refuse_other_labels(root: Path, listed: list[Entry], labels: dict) -> None:
    if any(split != "test" for split, *_ in labels):
        return
    for kind in ("color", "instanceIds", "labelTrainIds", "polygons"):
        if others := find(listed, rf"gtFine/(train|val)/([^/]+)/([^/]+)_gtFine_{kind}\.(?:png|json)"):
            raise ValueError(
                f"{root} has gtFine_{kind} ({next(iter(others.values()))}) but no gtFine_labelIds; these hold the label "
                "ids, and are in gtFine_trainvaltest.zip"
            )


def _frame(name: str, split: str, image: Entry, label: Entry | None) -> Frame:
    return Frame(name, split, image, label, tuple(entry.size for entry in (image, label) if entry))


def _refuse(root: Path, listed: list[Entry], archive: str, lacks: str, *, other: str, sign: str) -> None:
    looks_other = any(sign in f"/{entry.name}" for entry in listed)
    hint = (
        f"it looks like {other}: semcg prepare {other.lower()}" if looks_other else f"it has {listed[0].name}"
    )
    raise ValueError(f"{root} is not {archive}: there is no {lacks}; {hint}")


def _passed_over(domain: str, listed: list[Entry], used: list[Entry], usual: str, labels: dict) -> list[str]:
    """Return a note about files that are neither used nor usual, and one about labels that were not taken for such."""
    known = set(used)
    rest = [entry.name for entry in listed if entry not in known and not re.search(usual, entry.name)]
    likely = [name for name in rest if LABEL_LIKE.search(name)]
    notes = [f"{domain}: passed over {len(rest)} other file(s), for example {rest[0]}"] if rest else []
    if likely and not labels:
        notes.append(
            f"{domain}: not used, though they may hold labels: {len(likely)} file(s), for example {likely[0]}"
        )
    return notes


def _splits(listed: list[Entry], names: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    tables = list(find(listed, r"split\.mat").values())
    if not tables:
        splits, notes = divide(names, "source", sequence=None, val_share=0.25, test_share=0.25)
        return splits, ["source: no split.mat, so the splits are not the publishers'", *notes]
    wanted = _read(tables[0])
    there = set(names)
    splits = {f"source/{split}": [n for n in ids if n in there] for split, ids in wanted.items()}
    absent = sum(map(len, wanted.values())) - sum(map(len, splits.values()))
    notes = [f"source: {absent} frame(s) of split.mat are not in the archive"] if absent else []
    return splits, notes


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
