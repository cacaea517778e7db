"""Your own two folders of images: every file is looked at before anything is written."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from semcg import files, mappings, pictures
from semcg.system import each
from semcg_kit.prepare.archive import Entry
from semcg_kit.prepare.frames import Frame, Look, Recipe, checked_size, look, reshaped
from semcg_kit.prepare.plans import LABEL_LIKE, Plan, Progress, divide
from semcg_kit.prepare.records import check_made_by

__all__ = ["MADE_BY", "Domain", "plans"]

MADE_BY = "prepare folder"


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
    coding, max_color_distance
        As in `semcg.mappings.decode`.
    sequence : str, optional
        Regular expression whose first group, found in a stem, names the sequence that a frame is from. A
        sequence is never divided between what the judge reads and what it does not.
    """

    images: Path | str
    labels: Path | str | None = None
    mapping: Path | str | None = None
    coding: str = "auto"
    max_color_distance: float = 30.0
    sequence: str | None = None


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
    processes: int = 1,
    progress: Progress | None = None,
) -> list[Plan]:
    """Look at every file of two folders, and deal their frames to splits.

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
        If an input is missing; if `out` is something else than data written by this function.
    ValueError
        If an input is not as `Domain` describes, or too little to divide; if a picture is in both domains or in two
        splits. The message names the file.
    """
    for given in (path for d in (source, target) for path in (d.images, d.labels, d.mapping) if path and out):
        if Path(given).resolve().is_relative_to(Path(out).resolve()):
            raise ValueError(f"{given} is in {out}, which would be replaced; write elsewhere")
    if out:
        check_made_by(Path(out), MADE_BY)
    shares = {"val_share": val_share, "test_share": test_share, "judge_share": judge_share}
    for name, share in shares.items():
        if not 0 < share < 1:  # nan is neither
            raise ValueError(f"{name} = {share}: a share of the frames is between 0 and 1, for example 0.2")
    if val_share + test_share >= 1:
        raise ValueError(
            f"val_share = {val_share} and test_share = {test_share} leave nothing to train on; lower one"
        )
    if size is not None:
        checked_size(size)
    elif keep_aspect:
        raise ValueError("keep_aspect needs a size; without one frames stay unchanged anyway")
    domains = {"source": source, "target": target}
    for name, domain in domains.items():
        if not 0 <= domain.max_color_distance < float("inf"):
            raise ValueError(
                f"max_color_distance = {domain.max_color_distance} ({name}): a distance is 0 or more, and finite"
            )
    if Path(source.images).resolve() == Path(target.images).resolve():
        raise ValueError(f"source and target are the same folder, {source.images}; name two different ones")
    used = {Path(path).resolve() for d in domains.values() for path in (d.images, d.labels) if path}
    made, seen = [], {}
    for name, domain in domains.items():
        recipe = _recipe(name, domain)._replace(size=size, keep_aspect=keep_aspect)
        frames, looks = _look_at(name, domain, recipe, processes, progress)
        _check_palettes(frames, looks)
        for path, digest in zip(
            (f.image.name for f in frames), (found.pixels for found in looks), strict=True
        ):
            if seen.get(digest, (name,))[0] != name:
                raise ValueError(
                    f"{seen[digest][1]} (source) and {path} (target) are the same picture; remove one"
                )
            seen.setdefault(digest, (name, path))
        good = {frame.name: frame for frame, found in zip(frames, looks, strict=True) if not found.fault}
        left_out = [("", f.name, found.fault) for f, found in zip(frames, looks, strict=True) if found.fault]
        divided = name == "target" or len(good) >= few
        if divided:
            share = judge_share if name == "target" else None
            how = {"val_share": val_share, "test_share": test_share, "judge_share": share}
            splits, dealt = divide(list(good), name, sequence=domain.sequence, **how)
            _check_apart(splits, good, {f.name: found.pixels for f, found in zip(frames, looks, strict=True)})
        else:
            splits = {f"{name}/{split}": sorted(good) for split in files.SPLITS}
            dealt = [f"{name}: only {len(good)} frame(s), so val and test are the frames of train"]
        notes = _notes(name, domain, recipe, looks, used) + dealt
        if left_out:
            notes.append(
                f"{name}: left out {len(left_out)} frame(s), for example {left_out[0][1]}: {left_out[0][2]}"
            )
        made.append(
            Plan(
                root=Path(domain.images),
                domain=name,
                made_by=MADE_BY,
                frames=[
                    good[stem]._replace(split=split) for split in sorted(splits) for stem in splits[split]
                ],
                splits=tuple(splits),
                recipe=recipe,
                settings=shares | {"few": few, "divided": divided} | _settings(domain, recipe),
                checked=True,
                left_out=left_out,
                notes=notes,
            )
        )
    return made


def _recipe(name: str, domain: Domain) -> Recipe:
    if domain.labels is None and domain.mapping is not None:
        raise ValueError(f"{name}: a mapping ({domain.mapping}) is given, but no folder of labels")
    return Recipe(
        labeled=domain.labels is not None,
        mapping=mappings.mapping(domain.mapping) if domain.mapping else None,
        coding=domain.coding,
        max_color_distance=domain.max_color_distance,
        strict=True,
    )


def _look_at(
    name: str, domain: Domain, recipe: Recipe, processes: int, progress: Progress | None
) -> tuple[list[Frame], list[Look]]:
    """Pair the files of a domain, and look at each."""
    try:
        if domain.labels is None:
            pairs = {stem: (path, None) for stem, path in pictures.by_stem(domain.images).items()}
        else:
            pairs = pictures.pairs(domain.images, domain.labels)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    entries = {stem: [path and Entry.of(path) for path in pair] for stem, pair in pairs.items()}
    frames, looks = [Frame(stem, "", *pair, ()) for stem, pair in entries.items()], {}
    for found in each(partial(look, recipe), frames, processes):
        looks[found.name] = found
        if progress:
            progress(f"{name} files looked at", len(looks), len(frames))
    return [f._replace(made_of=looks[f.name].made_of) for f in frames], [looks[f.name] for f in frames]


def _check_palettes(frames: list[Frame], looks: list[Look]) -> None:
    """Refuse two palettes that give one value two colors: an editor numbered the colors of each file anew."""
    first: dict[int, tuple] = {}
    for frame, found in zip(frames, looks, strict=True):
        for value, color in found.colors.items():
            other, path = first.setdefault(value, (color, frame.label))
            if other != color:
                raise ValueError(
                    f"value {value} has the color {other} in {path} and {color} in {frame.label}: an editor numbered the "
                    "colors of each file anew, so that values mean nothing. Save them as RGB, and map colors"
                )


def _check_apart(splits: dict[str, list[str]], frames: dict[str, Frame], digests: dict[str, str]) -> None:
    """Refuse a picture that is in two splits."""
    where: dict[str, tuple[str, str]] = {}
    for split, stems in splits.items():
        for stem in stems:
            other, first = where.setdefault(digests[stem], (split, stem))
            if other != split:
                raise ValueError(
                    f"{frames[first].image} ({other}) and {frames[stem].image} ({split}) are the same picture; remove "
                    "one, or name sequences (--source-sequence, --target-sequence) that keep them together"
                )


def _notes(name: str, domain: Domain, recipe: Recipe, looks: list[Look], used: set[Path]) -> list[str]:
    notes = [
        f"{name}: {files.images_in(path).passed_over()}" for path in (domain.images, domain.labels) if path
    ]
    notes = [note for note in notes if not note.endswith(": ")]
    for own in sorted({found.size for found in looks}):
        if recipe.size and not recipe.keep_aspect and (warning := reshaped(own, recipe.size)):
            notes.append(f"{name}: {warning}")
            break
    if domain.labels is None:
        notes.append(f"{name}: no labels, so nothing that is trained or scored on them")
        beside = sorted(
            p for p in Path(domain.images).resolve().parent.iterdir() if p.is_dir() and p not in used
        )
        if unused := [path.name for path in beside if LABEL_LIKE.search(path.name)]:
            notes.append(f"{name}: not used, though it may hold labels: {', '.join(unused[:3])}")
        return notes
    counts = np.sum([found.counts for found in looks], axis=0)
    if domain.mapping is None:
        notes.append(f"{name}: no mapping: values are taken as train ids")
    told = ", ".join(f"{kind} {share:.1%}" for kind, share in mappings.shares(counts).items())
    notes.append(f"{name}: shares of the classes: {told}")
    if odd := mappings.unlikely(counts):
        notes.append(
            f"{name}: warning: implausible for streets: {odd}; is another mapping needed? (--{name}-mapping, "
            "data/mappings/)"
        )
    if ignored := sum(found.ignored for found in looks):
        worst = max(looks, key=lambda found: found.ignored)
        rule = (
            f"{recipe.max_color_distance:g} from a color of {recipe.mapping.name} in JPEG, other ones in PNG"
        )
        share = ignored / max(counts.sum(), 1)
        notes.append(
            f"{name}: {share:.2%} of the label pixels are ignored for their colors (further than {rule}), "
            f"for example {worst.example}"
        )
    return notes


def _settings(domain: Domain, recipe: Recipe) -> dict:
    """Return a domain as about.json has it: names instead of paths, which differ between machines."""
    paths = {key: getattr(domain, key) for key in ("images", "labels", "mapping")}
    plain = {key: getattr(domain, key) for key in ("coding", "max_color_distance", "sequence")}
    to = recipe.mapping
    return (
        {key: Path(path).resolve().name if path else None for key, path in paths.items()}
        | plain
        | {"mapped": files.digest([to.keys.tolist(), to.train_ids.tolist()]) if to else None}
    )
