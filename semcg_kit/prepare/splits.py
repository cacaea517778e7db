"""Which frame goes to which split: by sorted name, in whole sequences or blocks of consecutive files."""

import re
from collections import defaultdict

__all__ = ["divide"]

BLOCKS = 10
"""Without sequences, the files of a domain are dealt out in about this many blocks of consecutive files."""


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

    Neighbouring frames of a film are nearly the same picture. So whole sequences are dealt where they are
    known, and blocks of consecutive files where not; a block border is the only place where neighbours may
    part.

    Parameters
    ----------
    stems : list of str
        Names of the frames, sorted.
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
        whole = sequence is not None and len(held) >= len(shares)
        if not whole:
            # A few large blocks would miss the shares by far, so they are cut anew within a part.
            held = _blocks(sorted(stem for unit in held for stem in unit))
        notes.append(f"{part}: splits are chosen in {_by(held, sequence if whole else None)}")
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
        found = pattern.search(stem)
        if not (found and found.re.groups and found[1]):
            raise ValueError(
                f"{domain}: {sequence!r} finds no sequence in the name {stem!r}; it needs one (group)"
            )
        groups[found[1]].append(stem)
    return [groups[name] for name in sorted(groups)]


def _blocks(stems: list[str]) -> list[list[str]]:
    length = -(-len(stems) // BLOCKS)
    return [stems[i : i + length] for i in range(0, len(stems), length)]


def _by(units: list[list[str]], sequence: str | None) -> str:
    if sequence is not None:
        return f"whole sequences, named by {sequence!r}; there are {len(units)}"
    return f"{len(units)} blocks of up to {max(map(len, units))} consecutive files by sorted name"


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
