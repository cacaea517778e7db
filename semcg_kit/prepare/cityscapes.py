"""Cityscapes as published: `leftImg8bit/<split>/<city>/..._leftImg8bit.png`, `gtFine/.../..._gtFine_labelIds.png`.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.
"""

from collections import Counter
from pathlib import Path

from semcg_kit.prepare.archive import Entry, entries, find
from semcg_kit.prepare.frames import Frame
from semcg_kit.prepare.plans import Plan

__all__ = ["divide_cities", "plan"]

SPLITS = ("target/train", "target/val", "target/test", "judge/train", "judge/val")
NINTH = 9
"""Every ninth city is kept back, which is about a tenth of the frames."""


def plan(root: Path | str, *, extra: bool = False) -> Plan:
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
        gta5 = any(entry.name.startswith("images/") or "/images/" in entry.name for entry in listed)
        hint = "it looks like GTA5: semcg prepare gta5" if gta5 else f"it has {listed[0].name}, say"
        raise ValueError(f"{root} is not Cityscapes: there is no leftImg8bit/<split>/<city>/; {hint}")
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
            frames.append(Frame(name, where, image, label))
    notes = []
    for split in ("target/val", "judge/train", "judge/val"):
        notes.append(f"{split}: {', '.join(city for city in sorted(of_city) if of_city[city] == split)}")
    if counts["test"]:
        notes.append(f"target: the {counts['test']} frames of the test split are not used: {test}")
    if extra:
        unlabelled = f"target/train: {counts['train_extra']} frames are of train_extra"
        notes.append(f"{unlabelled}, without a label: every pixel is 255, ignored" if labels else unlabelled)
    frames.sort(key=lambda frame: (frame.split, frame.name))
    return Plan(
        root=root,
        domain="target",
        frames=frames,
        splits=SPLITS,
        labelled=bool(labels),
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
