"""The verdicts as the pages of the repository print them, as Markdown."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from semcg import claims
from semcg import config as configs
from semcg.protocol import Protocol
from semcg.report import pair

__all__ = ["front", "limits", "summary"]


def limits(ledger: Sequence[Mapping], protocol: Protocol) -> str:
    """Return where the verdicts hold: data, size, seeds, and what none of it says."""
    counted = sorted({row["seeds"] for row in ledger if row["primary"] and row["seeds"]}) or [0]
    seeds = " to ".join(map(str, sorted({counted[0], counted[-1]})))
    size = "x".join(map(str, configs.make(protocol.profile, **protocol.settings).size))
    return (
        f"Here: synthetic streets at {size} (profile {protocol.profile}), {seeds} of {len(protocol.seeds)} paired seeds, one "
        "pair of segmenters, one world. Nothing below is measured on GTA5 or Cityscapes."
    )


def summary(ledger: Sequence[Mapping], protocol: Protocol) -> str:
    """Return a line per claim of the paper: its words, the numbers that test it, and the verdict, also with the half skip."""
    families = ["", *(f", {name}" for name in protocol.families if name.endswith("skip"))]
    rows = []
    for claim in claims.CLAIMS:
        ours = [row for row in ledger if row["claim"] == claim.id]
        deciding = [row for row in ours if row["primary"]] or ours[:1]
        verdicts = [claims.overall(ledger, claim.id + end) for end in families]
        if ours:
            rows.append([claim.id, f"“{claim.words}”", _changes(deciding), *verdicts])
    heads = ["", "the paper says", " → ".join(pair(protocol)), *(f"verdict{end}" for end in families)]
    return _table(heads, rows)


def _changes(rows: Sequence[Mapping]) -> str:
    """Return "measure a → b", or "measure: class a → b, class a → b"."""
    text = ""
    for measure in dict.fromkeys(row["measure"] for row in rows):
        ours = [row for row in rows if row["measure"] == measure]
        changes = [
            f"{'' if row['class'] == 'all' else row['class'].removesuffix(' (category)') + ' '}"
            + ("not measured" if row["mean_a"] is None else f"{row['mean_a']:.3f} → {row['mean_b']:.3f}")
            for row in ours
        ]
        text += f"{'; ' if text else ''}{measure} {', '.join(changes)}"
    return text


def front(ledger: Sequence[Mapping], measures: pd.DataFrame, protocol: Protocol) -> str:
    """Return every primary row with its own p: the claims of the paper, the same with the half skip, and what goes beyond.

    Parameters
    ----------
    ledger, measures
        As `semcg.report.tables` returns them.
    """
    plain, semantic = pair(protocol)
    order = [claim.id for claim in claims.CLAIMS]
    of_paper = [
        row for row in ledger if row["claim"] in order and (row["primary"] or row["id"] == row["claim"])
    ]
    of_paper.sort(key=lambda row: order.index(row["claim"]))
    heads = ["row", "measure", plain, semantic, "difference, 95 % interval", "p", "p (Holm)", "verdict"]
    skipped = {_asked(row): row for row in ledger if row["claim"].endswith(", half skip")}
    rows = [_cells(row, plain) for row in of_paper]
    if skipped:
        heads += ["half skip: difference", "p (Holm)", "verdict"]
        for cells, row in zip(rows, of_paper, strict=True):
            beside = _cells(skipped[_asked(row)], plain) if _asked(row) in skipped else [""] * len(cells)
            cells += [beside[4].partition(" ")[0], *beside[6:8]]
    text = [limits(ledger, protocol), "", _table(heads, rows)]
    further = [r for r in ledger if r["primary"] and r["claim"] in protocol.hypotheses and _asked(r)]
    further = [r for r in further if r not in of_paper and r not in skipped.values()]
    if further:
        heads = [
            "row",
            "measure",
            "compared with",
            "has",
            "difference, 95 % interval",
            "p",
            "p (Holm)",
            "verdict",
        ]
        beyond = [
            [*_cells(row, "")[:2], _side(row, "a"), _side(row, "b"), *_cells(row, "")[4:]] for row in further
        ]
        text += ["", _table(heads, beyond)]
    return "\n".join(text)


def _asked(row: Mapping) -> tuple:
    """Return the claim without its family, and what is measured: what a row with the half skip has in common with its twin."""
    return row["claim"].partition(",")[0], row["measure"], row["class"]


def _side(row: Mapping, side: str) -> str:
    name, mean = row[f"condition_{side}"], row[f"mean_{side}"]
    return name if mean is None or name == f"{mean:g}" else f"{name}: {mean:.3f}"


def _cells(row: Mapping, plain: str) -> list[str]:
    """Return a row of the ledger as the cells of a table; names the comparator where it is not the plain condition."""
    what = row["measure"] + ("" if row["class"] == "all" else f", {row['class']}")
    a, b = ("-" if row[f"mean_{side}"] is None else f"{row[f'mean_{side}']:.3f}" for side in "ab")
    if row["condition_a"] != plain:
        a += f" ({row['condition_a']})"
    difference = "-"
    if row["difference"] is not None:
        sign, form = ("x ", ".2f") if row.get("rounds") else ("", "+.3f")
        difference = f"{sign}{row['difference']:{form}} [{row['low']:{form}}, {row['high']:{form}}]"
    p, holm = ("-" if row[key] is None else f"{row[key]:.4f}" for key in ("p", "p_holm"))
    return [row["id"], what, a, b, difference, p, holm, row["verdict"]]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
