"""What an archive holds and where each frame goes, known from file names alone."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from semcg import files
from semcg_kit.prepare.frames import Frame, made_of

__all__ = ["Plan", "shown"]


@dataclass(frozen=True)
class Plan:
    """What an archive holds, by its file names.

    Attributes
    ----------
    root : Path
        Of the archive.
    domain : "source" or "target"
        Which it becomes; the target brings the judge's frames.
    frames : list of Frame
        By split and name.
    splits : tuple of str
        That must not stay empty.
    labelled, plates : bool
        Whether labels, and masks of licence plates, are written.
    left_out : list of (split, name, reason)
        Frames that lack a file.
    notes : list of str
        What a reader of the data must know.
    """

    root: Path
    domain: str
    frames: list[Frame]
    splits: tuple[str, ...]
    labelled: bool
    plates: bool = False
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
    def inputs(self) -> str:
        """What stands for the files of the archive, by name and size: to read all of them takes as long as the work."""
        return files.digest(
            [[frame.split, frame.name, made_of(frame)] for frame in self.frames] + self.left_out
        )


def shown(left_out: list[tuple[str, str, str]]) -> str:
    """Return the first few frames that were left out, with their reasons, for a message."""
    if not left_out:
        return "nothing is there for it"
    shown = "; ".join(f"{name}: {reason}" for _, name, reason in left_out[:3])
    return f"left out: {shown}{f'; and {len(left_out) - 3} more' if left_out[3:] else ''}"
