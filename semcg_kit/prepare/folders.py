"""Your own two folders of images, and how frames are dealt to splits."""

import re
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from semcg import files, mappings, pictures
from semcg_kit.prepare.frames import FOLDERS, Entry, Frame, Plan, Recipe
from semcg_kit.prepare.writing import check_place

__all__ = ["Domain", "divide", "plans"]

BLOCKS = 10  # without sequences, a domain is dealt out in about so many blocks of consecutive files
LABEL_LIKE = re.compile(r"label|annot|mask|(^|[/_])(gt|seg)", re.IGNORECASE)  # names of what may hold labels


@dataclass(frozen=True)
class Domain:
    """One domain as it is on disk.

    Attributes
    ----------
    images : path
        Folder of images, as `semcg.pictures` takes them. Those that EXIF data turn are written upright; with labels
        they are refused.
    labels : path, optional
        Folder of label files with the same stems and sizes.
    mapping : path, optional
        CSV or TOML file for `semcg.mappings.mapping`. Without one the labels hold train ids already.
    max_color_distance : float
        As in `semcg.mappings.decode`.
    sequence : str
        Regular expression whose first group in a stem names the sequence that a frame is from; "" if there is none. A
        sequence is never divided between what the judge reads and what it does not.
    """

    images: Path | str
    labels: Path | str | None = None
    mapping: Path | str | None = None
    max_color_distance: float = 30.0
    sequence: str = ""

    def __post_init__(self) -> None:
        if not 0 <= (limit := self.max_color_distance) < float("inf"):
            raise ValueError(f"max_color_distance = {limit}: a distance is 0 or more, and finite")
        if self.mapping and not self.labels:
            raise ValueError(f"a mapping ({self.mapping}) is given, but no folder of labels")

    @property
    def paths(self) -> dict[str, Path]:
        """What is read: "images", "labels" and "mapping", as far as they are given."""
        given = {"images": self.images, "labels": self.labels, "mapping": self.mapping}
        return {part: Path(path).resolve() for part, path in given.items() if path}


def plans(
    source: Domain,
    target: Domain,
    *,
    out: Path | str | None = None,
    size: tuple[int, int] | None = None,
    keep_aspect: bool = False,
    val_share: float = 0.1,
    test_share: float = 0.2,
    judge_share: float = 0.25,
    few: int = 20,
) -> list[Plan]:
    """Pair the files of two folders, and deal the frames to splits.

    Frames are dealt out by name, in whole sequences or blocks of consecutive files, spread evenly: the target first
    between the judge and everything else, then each part to its splits. A source of fewer than `few` frames is not
    divided: train, val and test are then the same frames, and about.json names val and test "seen_in_training".
    Nothing else is in two splits.

    Parameters
    ----------
    source, target : Domain
        The two domains. Labels are optional; what needs them later will say so.
    out : path, optional
        Where the data will be written, refused now if it holds something else or an input.
    size, keep_aspect
        As in `Recipe`.
    val_share, test_share : float
        Shares of the frames (of the target: of those that are not the judge's) in val and test.
    judge_share : float
        Share of the target frames that only the judge reads.
    few : int
        Number of source frames from which the source is divided.

    Raises
    ------
    FileNotFoundError, FileExistsError
        If an input is missing; if `out` is something else than data of your own folders.
    ValueError
        If files do not pair, or are too few to divide.
    """
    shares = {"val_share": val_share, "test_share": test_share, "judge_share": judge_share}
    for name, share in shares.items():
        if not 0 < share < 1:  # nan is neither
            raise ValueError(f"{name} = {share}: a share of the frames is between 0 and 1, for example 0.2")
    if val_share + test_share >= 1:
        raise ValueError(
            f"val_share and test_share are {val_share + test_share:g} together, and leave nothing to train on; lower one"
        )
    recipe = Recipe(size, keep_aspect, strict=True)
    used = [*source.paths.values(), *target.paths.values()]
    if out:
        check_place(Path(out), FOLDERS, used)
    if source.paths["images"] == target.paths["images"] and source.paths["images"].is_dir():
        raise ValueError(f"source and target are the same folder, {source.images}; name two different ones")
    planned = []
    for name, domain in {"source": source, "target": target}.items():
        mapping = mappings.mapping(domain.mapping) if domain.mapping else None
        frames, notes = _frames(name, domain), _notes(domain, used)
        divided = name == "target" or len(frames) >= few
        if divided:
            how = shares if name == "target" else shares | {"judge_share": None}
            splits, dealt = divide(list(frames), name, sequence=domain.sequence, **how)
        else:
            splits = {f"{name}/{split}": list(frames) for split in files.SPLITS}
            dealt = [f"{name}: only {len(frames)} frame(s), so val and test are the frames of train"]
        # Names instead of paths, which differ between machines.
        names = {part: path.name for part, path in domain.paths.items()}
        settings = shares | {"few": few, "divided": divided} | vars(domain) | names
        limit = domain.max_color_distance
        how = replace(recipe, labeled=bool(domain.labels), mapping=mapping, max_color_distance=limit)
        placed = sorted(frames[stem]._replace(split=split) for split in splits for stem in splits[split])
        told = [f"{name}: {note}" for note in notes] + dealt
        plan = Plan(Path(domain.images), name, placed, tuple(splits), how, FOLDERS, settings, notes=told)
        planned.append(plan.sized(size, keep_aspect=keep_aspect))
    return planned


def _frames(name: str, domain: Domain) -> dict[str, Frame]:
    """Return the frames of a domain by stem, in no split yet."""
    try:
        pairs = pictures.pairs(domain.images, domain.labels)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    frames = {}
    for stem, pair in pairs.items():
        made_of = tuple(zlib.crc32(pictures.read(path)) for path in (*pair, domain.mapping) if path)
        image, label = (path and Entry(str(path), str(path)) for path in pair)
        frames[stem] = Frame("", stem, image, label, made_of)
    return frames


def _notes(domain: Domain, used: list[Path]) -> list[str]:
    notes = [pictures.images_in(path).passed_over() for path in (domain.images, domain.labels) if path]
    beside = sorted(path for path in domain.paths["images"].parent.iterdir() if path.is_dir())
    unused = [path.name for path in beside if path not in used and LABEL_LIKE.search(path.name)]
    if unused and not domain.labels:
        notes.append(f"not used, though it may hold labels: {', '.join(unused[:3])}")
    if domain.labels and not domain.mapping:
        notes.append("no mapping: values are taken as train ids")
    return [note for note in notes if note]


def divide(
    stems: list[str],
    domain: str,
    *,
    sequence: str = "",
    val_share: float,
    test_share: float,
    judge_share: float | None = None,
) -> tuple[dict[str, list[str]], list[str]]:
    """Deal the frames of a domain to its splits, and the judge's share to the judge before that.

    Neighboring frames of a film are nearly the same picture. So whole sequences are dealt where they are known, and
    blocks of consecutive files where not; a block border is the only place where neighbors may part.

    Parameters
    ----------
    stems : list of str
        Names of the frames.
    domain : str
        "source" or "target".
    sequence : str
        Regular expression whose first group names the sequence of a frame.
    val_share, test_share : float
        Shares of val and test; the judge has the same val share, and no test.
    judge_share : float, optional
        Share of the frames that only the judge reads.

    Returns
    -------
    splits : dict
        "<domain>/train" and so on, "judge/train", "judge/val" -> stems, sorted, none twice.
    notes : list of str
        How they were dealt.

    Raises
    ------
    ValueError
        If a stem has no sequence, or there are fewer frames than splits.
    """
    units = _sequences(stems, domain, sequence) if sequence else _blocks(stems)
    parts, notes, splits = {domain: units}, [], {}
    if judge_share is not None:
        if len(units) < 2:
            raise ValueError(
                f"{domain}: {len(units)} sequence(s), but the judge needs one of its own; give at least 2"
            )
        parts = _deal(units, {domain: 1 - judge_share, "judge": judge_share})
        notes.append(f"{domain}: the judge's frames are chosen in {_by(units, sequence)}")
    for part, units in parts.items():
        shares = {"train": 1 - val_share - test_share, "val": val_share, "test": test_share}
        if part == "judge":
            shares = {"train": 1 - val_share, "val": val_share}
        held = [stem for unit in units for stem in unit]
        if len(held) < len(shares):
            raise ValueError(
                f"{domain}: of {len(stems)} frame(s) {len(held)} would go to {part}, which needs {len(shares)}, one for "
                f"each of {', '.join(shares)}; give more frames, or other shares"
            )
        by = sequence if len(units) >= len(shares) else ""
        if not by:  # a few large blocks would miss the shares by far, so they are cut anew within a part
            units = _blocks(held)
        notes.append(f"{part}: splits are chosen in {_by(units, by)}")
        for split, dealt in _deal(units, shares).items():
            splits[f"{part}/{split}"] = sorted(stem for unit in dealt for stem in unit)
    return splits, notes


def _sequences(stems: list[str], domain: str, sequence: str) -> list[list[str]]:
    groups = defaultdict(list)
    try:
        pattern = re.compile(sequence)
    except re.error as error:
        raise ValueError(f"{domain}: {sequence!r} is no regular expression: {error}") from None
    for stem in stems:
        match = pattern.search(stem)
        if not (match and match.re.groups and match[1]):
            raise ValueError(
                f"{domain}: {sequence!r} finds no sequence in the name {stem!r}; it needs one (group)"
            )
        groups[match[1]].append(stem)
    return [groups[name] for name in sorted(groups, key=pictures.natural)]


def _blocks(stems: list[str]) -> list[list[str]]:
    length = max(1, -(-len(stems) // BLOCKS))
    stems = sorted(stems, key=pictures.natural)
    return [stems[i : i + length] for i in range(0, len(stems), length)]


def _by(units: list[list[str]], sequence: str) -> str:
    if sequence:
        return f"whole sequences, named by {sequence!r}; there are {len(units)}"
    return f"{len(units)} blocks of up to {max(map(len, units))} consecutive files by name, numbers by value"


def _deal(units: list[list[str]], shares: dict[str, float]) -> dict[str, list[list[str]]]:
    """Give each unit to the part that lacks most of its share by then; no part stays empty."""
    parts = {part: [] for part in shares}
    seen = 0
    for i, unit in enumerate(units):
        seen += len(unit)
        empty = [part for part, held in parts.items() if not held]
        open_to = empty if len(units) - i <= len(empty) else list(parts)
        lacking = {part: shares[part] * seen - sum(map(len, parts[part])) for part in open_to}
        parts[max(lacking, key=lacking.get)].append(unit)
    return parts
