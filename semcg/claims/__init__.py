"""The paper's sentences, the comparison that tests each, and the verdict that follows from saved measures.

Nothing here knows a result. A verdict follows from a table of measures (condition, seed, measure, class, value) and
the protocol that was decided before; whoever has both can compute it again.
"""

from semcg.claims.rows import (
    cost_row,
    curve_rows,
    ledger,
    overall,
    series,
    series_of,
    weight_rows,
    whole,
)
from semcg.claims.words import CLAIMS, UNMEASURED, Claim

__all__ = [
    "CLAIMS",
    "UNMEASURED",
    "Claim",
    "cost_row",
    "curve_rows",
    "ledger",
    "overall",
    "series",
    "series_of",
    "weight_rows",
    "whole",
]
