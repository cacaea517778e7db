"""The archives as published: GTA5 becomes the source, Cityscapes the target and what the judge learns from.

GTA5 has `images/00001.png`, `labels/00001.png` (a palette picture whose index is the label id) and `split.mat`: Richter,
Vineet, Roth, Koltun, "Playing for Data: Ground Truth from Computer Games", ECCV 2016. Cityscapes has
`leftImg8bit/<split>/<city>/..._leftImg8bit.png` and `gtFine/.../..._gtFine_labelIds.png`: Cordts et al., "The Cityscapes
Dataset for Semantic Urban Scene Understanding", CVPR 2016. Both are read unpacked or as their publishers' zip files; nothing
is ever unpacked to disk.
"""

import io
import itertools
import re
import stat
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from semcg import files, mappings, pictures
from semcg_kit.prepare.folders import LABEL_LIKE, divide
from semcg_kit.prepare.frames import Entry, Frame, Plan, Recipe, opened, read_label

__all__ = ["CITYSCAPES_SPLITS", "cityscapes", "divide_cities", "entries", "gta5"]

CITYSCAPES_SPLITS = ("target/train", "target/val", "target/test", "judge/train", "judge/val")
_NINTH = 9  # every ninth city is kept back, which is about a tenth of the frames
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_BYTES, _SMALL, _RATIO = 2**28, 2**24, 100
# A member of a zip file unpacks to at most 256 MB, more than the largest frame that can be written has without any
# compression; and one above 16 MB to at most a hundred times its packed bytes. A PNG, which is packed already, has a
# ratio of about 1, JSON one of 10; a decompression bomb comes near the 1032 that the method allows.


def gta5(root: Path | str, *, extra: bool = False) -> Plan:
    """List the frames of GTA5, which become the source, by the splits of its publishers.

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
        If there is no frame of GTA5, `split.mat` is not as published, labels are no label ids, a zip file is damaged or
        climbs out, or a split stays empty.
    """
    listed = entries(root)
    images, labels = (_matching(listed, rf"{kind}/([0-9]{{5}})\.png") for kind in ("images", "labels"))
    if not images:
        raise ValueError(f"{root} is not GTA5: it has no images/<number>.png, but {listed[0].name}")
    split_of, notes = _splits(listed, images)
    frames, left_out = [], []
    for name, image in images.items():
        split, label = split_of.get(name, ""), labels.get(name)
        if not split:
            left_out.append(("", name, "in no split of split.mat"))
        elif labels and not label and not (extra and split == "source/train"):
            left_out.append((split, name, "no label"))
        else:
            frames.append(_frame(split, name, image, label))
    if unlabeled := sum(bool(labels) and not frame.label for frame in frames):
        notes.append(f"source/train: {unlabeled} frames without a label: every pixel is 255, ignored")
    notes += _passed_over("source", listed, images, labels, r"split\.mat$")
    splits = tuple(f"source/{split}" for split in files.SPLITS)
    recipe = _recipe(root, frames, plates=True)
    return Plan(Path(root), "source", sorted(frames), splits, recipe, left_out=sorted(left_out), notes=notes)


def cityscapes(root: Path | str, *, extra: bool = False, by_frames: bool = False) -> Plan:
    """List the frames of Cityscapes, which become the target and what the judge learns from.

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
    by_frames : bool
        Divide blocks of consecutive frames in place of cities, for a part of the archive: one city, or val alone, which
        is then divided too. The judge then knows streets that others learn from, and a note says so.

    Raises
    ------
    FileNotFoundError
        If there is nothing in `root`.
    ValueError
        If there is no frame of Cityscapes, or only its test split; labels of another kind stand in for labelIds; a zip
        file is damaged or climbs out; or there are too few cities.
    """
    listed = entries(root)
    images = _matching(listed, r"leftImg8bit/((?:train|val|test|train_extra)/[^/]+/[^/]+)_leftImg8bit\.png")
    labels = _matching(listed, r"gtFine/((?:train|val)/[^/]+/[^/]+)_gtFine_labelIds\.png")
    counts = Counter(key.split("/")[0] for key in images)
    if not images:
        raise ValueError(f"{root} is not Cityscapes: it has no leftImg8bit/<split>/, but {listed[0].name}")
    test = "their labels are not published (gtFine/test holds placeholders), so nothing can be scored on them"
    if counts["test"] and not counts["val"]:
        raise ValueError(
            f"{root} has {counts['test']} frames of the test split and none of val: {test}. Evaluation is on val, from "
            "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip"
        )
    if extra and not counts["train_extra"]:
        raise ValueError(f"{root} has no leftImg8bit/train_extra; it is in leftImg8bit_trainextra.zip")
    kinds = "color|instanceIds|labelTrainIds|polygons"
    others = _matching(listed, rf"gtFine/(?:train|val)/[^/]+/([^/]+_gtFine_(?:{kinds}))\.(?:png|json)")
    if others and not labels:
        key, example = next(iter(others.items()))
        raise ValueError(
            f"{root} has gtFine_{key.split('_gtFine_')[1]} ({example}) but no gtFine_labelIds; these hold the label ids, "
            "and are in gtFine_trainvaltest.zip"
        )
    of_city, of_frame, notes = {}, {}, []
    if by_frames:
        of_frame, notes = _by_frames([key for key in images if key in labels or not labels])
    else:
        of_city = divide_cities({key.split("/")[1] for key in images if key.startswith("train/")}, root)
    frames, left_out = [], []
    for key, image in images.items():
        published, city, name = key.split("/")
        if published == "test" or (published == "train_extra" and not extra):
            continue
        split = {"train": of_city.get(city), "val": "target/test", "train_extra": "target/train"}[published]
        split = of_frame.get(key, split)
        if labels and key not in labels and published != "train_extra":
            left_out.append((split, name, "no gtFine_labelIds"))
        else:
            frames.append(_frame(split, name, image, labels.get(key)))
    for split in ("target/val", "judge/train", "judge/val") if of_city else ():
        notes.append(f"{split}: {', '.join(city for city in sorted(of_city) if of_city[city] == split)}")
    if counts["test"]:
        notes.append(f"target: the {counts['test']} frames of the test split are not used: {test}")
    if extra:
        unlabeled = f"target/train: {counts['train_extra']} frames are of train_extra"
        notes.append(f"{unlabeled}, without a label: every pixel is 255, ignored" if labels else unlabeled)
    usual = rf"gtFine/.*_gtFine_(labelIds|{kinds})\.(png|json)$"
    notes += _passed_over("target", listed, images, labels, usual)
    settings = {"split_by": "frames"} if by_frames else {}
    more = {"settings": settings, "left_out": sorted(left_out), "notes": notes}
    return Plan(Path(root), "target", sorted(frames), CITYSCAPES_SPLITS, _recipe(root, frames), **more)


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
            "are needed, so that val and the judge have cities of their own. With fewer: --split-by frames"
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


def _by_frames(keys: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return where each frame of train goes, of val where there is no train, and what that means."""
    published = "train" if any(key.startswith("train/") for key in keys) else "val"
    of_name = {key.split("/")[2]: key for key in keys if key.startswith(f"{published}/")}
    dealt, notes = divide(list(of_name), "target", val_share=0.1, test_share=0.2, judge_share=0.25)
    if published == "train":  # the publishers' val is the test
        dealt["target/train"] += dealt.pop("target/test")
    notes.append(
        "judge: it learned from other frames of the cities that it scores; whole cities of its own would avoid that"
    )
    return {of_name[name]: split for split, names in dealt.items() for name in names}, notes


def _ninths(cities: list[str]) -> tuple[list[str], list[str]]:
    chosen = cities[min(_NINTH // 2, len(cities) - 1) :: _NINTH]
    return chosen, [city for city in cities if city not in chosen]


def _frame(split: str, name: str, image: Entry, label: Entry | None) -> Frame:
    return Frame(split, name, image, label, tuple(entry.size for entry in (image, label) if entry))


def _recipe(root: Path | str, frames: list[Frame], *, plates: bool = False) -> Recipe:
    """Return what is done with the frames, once a hundred labels all over the archive turned out to be label ids."""
    labeled = [frame for frame in frames if frame.label]
    if not labeled:
        return Recipe()
    recipe = Recipe(labeled=True, plates=plates, mapping=mappings.LABEL_IDS)
    tried, values = labeled[:: len(labeled) // 100 + 1], set()
    for frame in tried:
        try:
            values |= set(np.unique(read_label(recipe, frame).stored.values).tolist())
        except pictures.Damaged:
            continue  # `write` leaves it out
        except ValueError as error:
            raise ValueError(
                f"{error}. Take the label ids as published, not gtFine_color, instanceIds or a converted copy"
            ) from error
    if not values:
        raise ValueError(f"no label in {root} decodes; the first is {labeled[0].label}")
    if not values & set(range(19, 34)):
        raise ValueError(
            f"the labels of {root} hold train ids, not label ids: of {len(tried)} files none has a value in 19..33 "
            f"(they hold {', '.join(map(str, sorted(values)[:20]))}). Take the files as published; if they really hold "
            "train ids, `semcg prepare folder` reads them"
        )
    return recipe


def _passed_over(domain: str, listed: list[Entry], images: dict, labels: dict, usual: str) -> list[str]:
    """Return notes about labels without an image, files that are not usual, and labels that were not taken for such."""
    known, lone = (
        {*images.values(), *labels.values()},
        [labels[key].name for key in labels if key not in images],
    )
    rest = [entry.name for entry in listed if entry not in known and not re.search(usual, entry.name)]
    likely = [name for name in rest if LABEL_LIKE.search(name)]
    notes = (
        [f"{domain}: {len(lone)} label(s) without an image, not used, for example {lone[0]}"] if lone else []
    )
    notes += [f"{domain}: skipped {len(rest)} other file(s), for example {rest[0]}"] if rest else []
    if likely and not labels:
        unused = f"{len(likely)} file(s), for example {likely[0]}"
        notes.append(f"{domain}: not used, though they may hold labels: {unused}")
    return notes


def _splits(listed: list[Entry], images: dict[str, Entry]) -> tuple[dict[str, str], list[str]]:
    """Return the split of each frame of GTA5, and notes."""
    tables = _matching(listed, r"(split\.mat)")
    if not tables:
        splits, notes = divide(sorted(images), "source", val_share=0.25, test_share=0.25)
        split_of = {name: split for split, names in splits.items() for name in names}
        return split_of, ["source: no split.mat, so the splits are not the publishers'", *notes]
    from scipy.io import loadmat  # here, since it would double the time that every worker takes to start

    entry, split_of = tables["split.mat"], {}
    try:
        table = loadmat(io.BytesIO(entry.read()))
    except Exception as error:  # whatever a damaged file sets off in the reader
        advice = "take it as published (MATLAB 5), or remove it, and the frames are dealt out in blocks"
        raise ValueError(f"{entry} cannot be read: {error}; {advice}") from error
    for split in files.SPLITS:
        ids = np.asarray(table.get(f"{split}Ids", [])).ravel()
        if ids.size == 0 or ids.dtype.kind not in "uif" or (ids < 1).any() or (ids != ids.astype(int)).any():
            raise ValueError(f"{entry} has no frame numbers, from 1 on, in {split}Ids")
        for name in (f"{int(number):05}" for number in ids):
            first = split_of.setdefault(name, f"source/{split}")
            if first != f"source/{split}":
                raise ValueError(f"{entry} has frame {name} in {first.split('/')[1]} and in {split}")
    absent = len(split_of.keys() - images)
    return split_of, [f"source: {absent} frame(s) of split.mat are not in the archive"] if absent else []


def entries(root: Path | str) -> list[Entry]:
    """List the files of a folder and of the zip files directly in it, or of one zip file, by sorted name.

    What operating systems leave behind is no entry. A file that is there unpacked and, with the same size, in a zip
    file too is read unpacked.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file, or nothing in it.
    ValueError
        If a zip file does not open, or has an entry that climbs out of it, is a link, is there twice or would unpack to
        enormous size; or if two files of one name differ in size.
    """
    root = Path(root)
    if root.is_dir():
        paths = [path for path in files.walk(root) if path.is_file()]
        zips = [path for path in paths if path.suffix.lower() == ".zip" and path.parent == root]
        listed = [
            Entry(path.relative_to(root).as_posix(), str(path), "", path.stat().st_size)
            for path in paths
            if path.suffix.lower() != ".zip"
        ]
    elif root.is_file() and root.suffix.lower() == ".zip":
        listed, zips = [], [root]
    else:
        raise FileNotFoundError(f"{root} is neither a folder nor a zip file")
    by_name: dict[str, Entry] = {}
    for entry in itertools.chain(listed, *map(_zipped, zips)):
        first = by_name.setdefault(entry.name, entry)
        if first.size != entry.size:
            raise ValueError(
                f"{first} has {first.size} bytes and {entry} has {entry.size}: one of "
                "them is incomplete; remove it"
            )
    if not by_name:
        raise FileNotFoundError(f"no file in {root}")
    return [by_name[name] for name in sorted(by_name)]


def _matching(listed: list[Entry], pattern: str) -> dict[str, Entry]:
    """Return the entries whose last folders and name are as a pattern, by its group; refuse two with the same."""
    ending, matches = re.compile(rf"(?:^|/){pattern}$"), {}
    for entry in listed:
        if match := ending.search(entry.name):
            first = matches.setdefault(match[1], entry)
            if first is not entry:
                raise ValueError(
                    f"{first} and {entry} are the same file twice; name the folder of one of them"
                )
    return matches


def _zipped(path: Path) -> list[Entry]:
    """List the files of a zip file, once its table of contents was checked."""
    listed: dict[str, Entry] = {}
    for info in opened(str(path)).infolist():
        name = info.filename.replace("\\", "/")
        if harm := "occurs twice" if name in listed else _harm(info, name.split("/")):
            raise ValueError(
                f"{path}: the entry {info.filename!r} {harm}; nothing is read from it. Fetch the file from its publisher, "
                "or, if you trust it, unpack it and name the folder"
            )
        if not info.is_dir():
            listed[name] = Entry(name, str(path), info.filename, info.file_size)
    return [entry for name, entry in listed.items() if all(map(files.is_data, name.split("/")))]


def _harm(info: zipfile.ZipInfo, parts: list[str]) -> str:
    """Return what is wrong with an entry of a zip file, "" for a plain file or folder."""
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        return "points outside the archive"
    if info.flag_bits & 1 or info.compress_type not in _METHODS:
        return f"is {'encrypted' if info.flag_bits & 1 else 'packed by a method that Python lacks, as Deflate64'}"
    if (kind := stat.S_IFMT(info.external_attr >> 16)) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is a device or a pipe, not a file"
    if info.file_size > _BYTES:
        return f"would unpack to {info.file_size:,} bytes, more than {_BYTES:,}"
    if info.file_size > max(_SMALL, _RATIO * info.compress_size):
        return (
            f"would unpack {info.compress_size:,} bytes to {info.file_size:,}, as a decompression bomb does"
        )
    return ""
