"""Your own two folders of images: every file is inspected before anything is written."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from semcg import files, mappings, pictures
from semcg.system import each
from semcg_kit.prepare.archive import Entry
from semcg_kit.prepare.frames import Frame, Inspection, Recipe, inspect, reshaped
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
        Regular expression whose first group in a stem, names the sequence that a frame is from. A
        sequence is never divided between what the judge reads and what it does not.
    """

    images: Path | str
    labels: Path | str | None = None
    mapping: Path | str | None = None
    coding: str = "auto"
    max_color_distance: float = 30.0
    sequence: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_color_distance < float("inf"):
            raise ValueError(
                f"max_color_distance = {self.max_color_distance}: a distance is 0 or more, and finite"
            )


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
    """Inspect every file of two folders, and deal their frames to splits.

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
    domains = {"source": source, "target": target}
    shares = {"val_share": val_share, "test_share": test_share, "judge_share": judge_share}
    _check_shares(shares)
    recipes = {name: _recipe(name, domain).sized(size, keep_aspect) for name, domain in domains.items()}
    _check_places(domains, out)
    used = {Path(path).resolve() for d in domains.values() for path in (d.images, d.labels) if path}
    inspected = {
        name: _inspect_all(name, d, recipes[name], processes, progress) for name, d in domains.items()
    }
    _check_domains(**inspected)
    made = []
    for name, domain in domains.items():
        good = {
            frame.name: (frame, inspection) for frame, inspection in inspected[name] if not inspection.fault
        }
        left_out = [
            ("", frame.name, inspection.fault) for frame, inspection in inspected[name] if inspection.fault
        ]
        notes = _notes(name, domain, recipes[name], [inspection for _, inspection in inspected[name]], used)
        divided = name == "target" or len(good) >= few
        if divided:
            how = shares | {"judge_share": judge_share if name == "target" else None}
            splits, dealt = divide(list(good), name, sequence=domain.sequence, **how)
            _check_splits(splits, good)
        else:
            splits = {f"{name}/{split}": sorted(good) for split in files.SPLITS}
            dealt = [f"{name}: only {len(good)} frame(s), so val and test are the frames of train"]
        if left_out:
            dealt.append(
                f"{name}: left out {len(left_out)} frame(s), for example {': '.join(left_out[0][1:])}"
            )
        frames = [good[stem][0]._replace(split=split) for split in sorted(splits) for stem in splits[split]]
        made.append(
            Plan(
                root=Path(domain.images),
                domain=name,
                made_by=MADE_BY,
                frames=frames,
                splits=tuple(splits),
                recipe=recipes[name],
                settings=shares | {"few": few, "divided": divided} | _settings(domain, recipes[name]),
                checked=True,
                left_out=left_out,
                notes=notes + dealt,
            )
        )
    return made


def _check_places(domains: dict[str, Domain], out: Path | str | None) -> None:
    if out:
        for given in (path for d in domains.values() for path in (d.images, d.labels, d.mapping) if path):
            if Path(given).resolve().is_relative_to(Path(out).resolve()):
                raise ValueError(f"{given} is in {out}, which would be replaced; write elsewhere")
        check_made_by(Path(out), MADE_BY)
    source, target = (domain.images for domain in domains.values())
    if Path(source).is_dir() and Path(source).resolve() == Path(target).resolve():
        raise ValueError(f"source and target are the same folder, {source}; name two different ones")


def _check_shares(shares: dict[str, float]) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:  # nan is neither
            raise ValueError(f"{name} = {share}: a share of the frames is between 0 and 1, for example 0.2")
    if (taken := shares["val_share"] + shares["test_share"]) >= 1:
        raise ValueError(
            f"val_share and test_share are {taken:g} together, and leave nothing to train on; lower one"
        )


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


def _inspect_all(
    name: str, domain: Domain, recipe: Recipe, processes: int, progress: Progress | None
) -> list[tuple[Frame, Inspection]]:
    """Pair the files of a domain, and inspect each."""
    try:
        if domain.labels is None:
            pairs = {stem: (path, None) for stem, path in pictures.by_stem(domain.images).items()}
        else:
            pairs = pictures.pairs(domain.images, domain.labels)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    frames = [
        Frame(stem, "", *(path and Entry.of(path) for path in pair), ()) for stem, pair in pairs.items()
    ]
    inspections = {}
    for inspection in each(partial(inspect, recipe), frames, processes):
        inspections[inspection.name] = inspection
        if progress:
            progress(f"{name} files inspected", len(inspections), len(frames))
    return [
        (frame._replace(made_of=inspections[frame.name].made_of), inspections[frame.name]) for frame in frames
    ]


def _check_domains(source: list[tuple[Frame, Inspection]], target: list[tuple[Frame, Inspection]]) -> None:
    """Refuse a picture that is in both, and palettes of one domain that give one value two colors."""
    seen = {inspection.pixels: frame for frame, inspection in source if not inspection.fault}
    for frame, inspection in target:
        if inspection.pixels in seen:
            raise ValueError(
                f"{seen[inspection.pixels].image} (source) and {frame.image} (target) are the same picture; remove one"
            )
    for inspected in (source, target):
        first: dict[int, tuple] = {}
        for frame, (value, color) in (
            (f, item) for f, inspection in inspected for item in inspection.colors.items()
        ):
            other, path = first.setdefault(value, (color, frame.label))
            if other != color:
                raise ValueError(
                    f"value {value} has the color {other} in {path} and {color} in {frame.label}: an editor numbered the "
                    "colors of each file anew, so that values mean nothing. Save them as RGB, and map colors"
                )


def _check_splits(splits: dict[str, list[str]], inspected: dict[str, tuple[Frame, Inspection]]) -> None:
    """Refuse a picture that is in two splits."""
    first: dict[str, tuple[str, Entry]] = {}
    for split, frame, inspection in (
        (split, *inspected[stem]) for split, stems in splits.items() for stem in stems
    ):
        other, image = first.setdefault(inspection.pixels, (split, frame.image))
        if other != split:
            raise ValueError(
                f"{image} ({other}) and {frame.image} ({split}) are the same picture; remove one, or name sequences "
                "(--source-sequence, --target-sequence) that keep them together"
            )


def _notes(
    name: str, domain: Domain, recipe: Recipe, inspections: list[Inspection], used: set[Path]
) -> list[str]:
    notes = [files.images_in(path).passed_over() for path in (domain.images, domain.labels) if path]
    notes += sorted({reshaped(inspection.size, recipe) for inspection in inspections})[-1:]
    if domain.labels is None:
        notes.append("no labels, so nothing that is trained or scored on them")
        beside = sorted(
            p for p in Path(domain.images).resolve().parent.iterdir() if p.is_dir() and p not in used
        )
        if unused := [path.name for path in beside if LABEL_LIKE.search(path.name)]:
            notes.append(f"not used, though it may hold labels: {', '.join(unused[:3])}")
    else:
        counts = np.sum([inspection.counts for inspection in inspections], axis=0)
        notes.append("" if domain.mapping else "no mapping: values are taken as train ids")
        notes.append(
            f"shares of the classes: {', '.join(f'{k} {v:.1%}' for k, v in mappings.shares(counts).items())}"
        )
        if odd := mappings.unlikely(counts):
            notes.append(
                f"warning: implausible for streets: {odd}; is another mapping needed? (--{name}-mapping)"
            )
        if ignored := sum(inspection.ignored for inspection in inspections):
            example = max(inspections, key=lambda inspection: inspection.ignored).example
            notes.append(
                f"{ignored / max(counts.sum(), 1):.2%} of the label pixels have no color of {recipe.mapping.name} "
                f"(exactly in PNG, within {recipe.max_color_distance:g} in JPEG) and are ignored, for example {example}"
            )
    return [f"{name}: {note}" for note in notes if note]


def _settings(domain: Domain, recipe: Recipe) -> dict:
    """Return a domain as about.json has it: names instead of paths, which differ between machines."""
    given = asdict(domain)
    for key in ("images", "labels", "mapping"):
        given[key] = Path(given[key]).resolve().name if given[key] else None
    to = recipe.mapping
    return given | {"mapped": files.digest([to.keys.tolist(), to.train_ids.tolist()]) if to else None}
