"""The whole ledger: a row for everything that the paper claims, measured or not."""

from collections.abc import Mapping, Sequence

import pandas as pd

from semcg.claims.curve import weight_rows
from semcg.claims.rows import blank, cost_row, ledger
from semcg.claims.words import UNMEASURED
from semcg.protocol import Protocol

__all__ = ["whole"]


def whole(
    measures: pd.DataFrame, protocol: Protocol, rounds: Mapping[str, Sequence[float]] | None = None
) -> list[dict]:
    """Compute the ledger: the protocol's rows, then time, then the weight, then what nothing here can measure.

    Parameters
    ----------
    measures : DataFrame
        As in `series`.
    rounds : dict, optional
        As in `cost_row`; without it the claim about time is "not measured".

    Returns
    -------
    list of dict
        Each with every column of `blank`. Those of `UNMEASURED` have a "reason" beside their "not measured".
    """
    rows = ledger(measures, protocol)
    if protocol.cost:
        rows.append(cost_row(rounds, protocol))
    if protocol.curve:
        rows += weight_rows(measures, protocol)
    return rows + [blank(what, reason=reason) for what, reason in UNMEASURED.items()]
