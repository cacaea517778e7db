"""What there is to prepare: the frames of one domain, where each goes, and how frames are dealt to splits."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from semcg import files, pictures
from semcg_kit.prepare.frames import Frame, Recipe, reshaped

__all__ = ["LABEL_LIKE", "Plan", "Progress", "divide", "shown"]

BLOCKS = 10
"""Without sequences, the files of a domain are dealt out in about this many blocks of consecutive files."""
LABEL_LIKE = re.compile(r"label|annot|mask|(^|[/_])(gt|seg)", re.IGNORECASE)
"""Names of files and folders that may hold labels."""
Progress = Callable[[str, int, int], None]
"""Called with what is done, how many are done, and how many there are."""


@dataclass(frozen=True)
class Plan:
    """What is to be prepared of one domain.

    Attributes
    ----------
    root : Path
        Of the archive, or the folder of images.
    domain : "source" or "target"
        Which it becomes; the target brings the judge's frames.
    made_by : str
        The command, as about.json names it.
    frames : list of Frame
        By split and name.
    splits : tuple of str
        That must not stay empty.
    recipe : Recipe
        What is done with each frame.
    settings : dict
        Whatever else makes a difference, JSON-able.
    checked : bool
        Whether all frames were inspected already.
    left_out : list of (split, name, reason)
        Frames that cannot be used.
    notes : list of str
        What a reader of the data must know.
    """

    root: Path
    domain: str
    made_by: str
    frames: list[Frame]
    splits: tuple[str, ...]
    recipe: Recipe
    settings: dict = field(default_factory=dict)
    checked: bool = False
    left_out: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self):
        counts = self.counts
        if empty := [split for split in self.splits if not counts[split]]:
            raise ValueError(f"{self.root} has no frame for {', '.join(empty)}; {shown(self.left_out)}")

    @property
    def counts(self) -> Counter:
        """Frames per split."""
        return Counter(frame.split for frame in self.frames)

    @property
    def labeled(self) -> bool:
        """Whether labels are written."""
        return self.recipe.labeled

    @property
    def inputs(self) -> str:
        """What stands for all files: of an archive by name and size, since reading them takes as long as the work."""
        return files.digest([[f.split, f.name, f.made_of] for f in self.frames] + self.left_out)

    def sized(self, size: tuple[int, int] | None, *, keep_aspect: bool = False) -> "Plan":
        """Return the plan with frames of another size, as in `Recipe`, and a note if that distorts them badly."""
        recipe, notes = self.recipe.sized(size, keep_aspect), list(self.notes)
        with suppress(ValueError):  # `write` leaves it out
            own = pictures.image(self.frames[0].image.name, self.frames[0].image.read()).shape[:2]
            notes += [f"{self.domain}: {warning}"] if (warning := reshaped(own, recipe)) else []
        return replace(self, recipe=recipe, notes=notes)


def shown(left_out: list[tuple[str, str, str]]) -> str:
    """Return the first few frames that were left out, with their reasons, for a message."""
    if not left_out:
        return "nothing is there for it"
    first = "; ".join(f"{name}: {reason}" for _, name, reason in left_out[:3])
    return f"left out: {first}{f'; and {len(left_out) - 3} more' if left_out[3:] else ''}"


def divide(
    stems: list[str],
    domain: str,
    *,
    sequence: str | None,
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
    sequence : str, optional
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
    notes = []
    parts = {domain: units}
    if judge_share is not None:
        if len(units) < 2:
            raise ValueError(
                f"{domain}: {len(units)} sequence(s), but the judge needs one of its own; at least 2"
            )
        parts = _deal(units, {domain: 1 - judge_share, "judge": judge_share})
        notes.append(f"{domain}: the judge's frames are chosen in {_by(units, sequence)}")
    splits = {}
    for part, held in parts.items():
        shares = {"train": 1 - val_share - test_share, "val": val_share, "test": test_share}
        if part == "judge":
            shares = {"train": 1 - val_share, "val": val_share}
        if sum(map(len, held)) < len(shares):
            raise ValueError(
                f"{domain}: of {len(stems)} frame(s) {sum(map(len, held))} would go to {part}, which needs "
                f"{len(shares)}, one for each of {', '.join(shares)}; give more frames, or other shares"
            )
        by_sequence = sequence is not None and len(held) >= len(shares)
        if not by_sequence:
            # A few large blocks would miss the shares by far, so they are cut anew within a part.
            held = _blocks([stem for unit in held for stem in unit])
        notes.append(f"{part}: splits are chosen in {_by(held, sequence if by_sequence else None)}")
        for split, dealt in _deal(held, shares).items():
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
    return [groups[name] for name in sorted(groups, key=files.natural)]


def _blocks(stems: list[str]) -> list[list[str]]:
    stems = sorted(stems, key=files.natural)
    length = -(-len(stems) // BLOCKS)
    return [stems[i : i + length] for i in range(0, len(stems), length)]


def _by(units: list[list[str]], sequence: str | None) -> str:
    if sequence is not None:
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
