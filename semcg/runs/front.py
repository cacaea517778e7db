"""The verdicts as the front page of the repository prints them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from semcg import config as configs
from semcg.protocol import Protocol
from semcg.runs.report import why

__all__ = ["front"]


def front(ledger: Sequence[Mapping], measures: pd.DataFrame, decided: Protocol) -> str:
    """Return the verdicts as a table for the front page: a line per primary row, and where they hold."""
    heading = f"{'row':<4}{'measure':<32}{'CycleGAN':>9}{'semantic':>9}{'difference':>12}  {'95 % interval':<18}{'p (Holm)':>9}  "
    said = [heading + "verdict"]
    for row in ledger:
        if not row["primary"]:
            continue
        what = f"{row['measure']}" + ("" if row["class"] == "all" else f", {row['class']}")
        line = f"{row['claim']:<4}{what:<32}"
        if row["difference"] is None:
            said.append(f"{line}{'-':>9}{'-':>9}{'-':>12}  {'-':<18}{'-':>9}  {row['verdict']}")
            continue
        ratio = "rounds" in row
        difference = f"x {row['difference']:.2f}" if ratio else f"{row['difference']:+.3f}"
        ends = (
            f"[{row['low']:.2f}, {row['high']:.2f}]" if ratio else f"[{row['low']:+.3f}, {row['high']:+.3f}]"
        )
        p = "-" if row.get("p_holm") is None else f"{row['p_holm']:.4f}"
        said.append(
            f"{line}{row['mean_a']:>9.3f}{row['mean_b']:>9.3f}{difference:>12}  {ends:<18}{p:>9}  {row['verdict']}"
        )
    seeds = sorted({row["seeds"] for row in ledger if row["primary"] and row.get("seeds")})
    counted = " to ".join(dict.fromkeys(str(n) for n in (seeds[0], seeds[-1]))) if seeds else "0"
    size = "x".join(map(str, configs.make(decided.profile).size))
    said += [
        "",
        f"{counted} of the protocol's {len(decided.seeds)} paired seeds, profile {decided.profile}: {size}, drawn world.",
    ]
    said.append("Semantic: the paper's wording of Eq. (4). C7: a ratio of seconds per training step.")
    said.append(
        "A claim with several rows holds only if each row does; p is then the largest of theirs, in all of them."
    )
    for row in ledger:
        if row["id"] == "C3 against CycleGAN" and row["difference"] is not None:
            ends = f"[{row['low']:+.3f}, {row['high']:+.3f}]"
            said.append(
                "C3 compares with a segmenter that learned from frames as they are (its first column); against one that"
            )
            said.append(
                f"learned from CycleGAN's translations the difference is {row['difference']:+.3f} {ends}."
            )
    if explained := why(measures, decided):
        said += ["", *explained]
    return "\n".join(said)
