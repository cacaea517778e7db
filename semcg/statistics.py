"""Paired differences over seeds: how large, how certain, and what may be said of them.

Two conditions run with the same seeds; per seed one difference, so that whatever a seed brings to both cancels.
Seeds are the replicates; images of one run are not. Differences are signed so that the claim's direction is
positive, and a claim of being no worse than a margin is the same question once the margin has been added
(`paired`). The order of work: `paired`, `summary` of each row, `holm` over all primary rows, `verdict`.

The sign-flip test holds the error, the interval says how large the effect is; at twelve seeds a bootstrap
interval of a mean is somewhat short, so that a claim holds only by both. The test takes the differences to be
symmetric about 0 without an effect, as they are if the condition changes nothing. A mean of 0 made of many
small gains and a rare failure is taken for a sure one too often: look at the single differences as well.
"""

from collections.abc import Hashable, Mapping
from typing import Any, Literal

import numpy as np
from scipy import special, stats

HOLDS, FAILS = "holds here", "does not hold here"
LEAST_SEEDS = 10  # with eight pairs no p, at least 2 / 2^n, survives a correction for seven claims
_EXACT = 2**14  # all sign patterns of up to 14 pairs; as many random ones beyond
_MEMORY = 2**22  # numbers held at once while resampling


def paired(
    a: Mapping[Hashable, float],
    b: Mapping[Hashable, float],
    *,
    better: Literal["higher", "lower"] = "higher",
    margin: float = 0.0,
) -> np.ndarray:
    """Differences b - a per seed, signed so that a better b is positive.

    Parameters
    ----------
    a, b : mapping from seed to value
        The measure under the comparator and under the condition that the claim is about.
    better : "higher" or "lower"
        Which value of the measure speaks for b.
    margin : float, >= 0, in units of the measure
        0 asks whether b is better than a; above 0 whether it is worse by less than the margin
        (non-inferiority), which is added to each signed difference, before interval and test.

    Returns
    -------
    (n,) float64
        One difference per seed, in the order of `a`.

    Raises
    ------
    ValueError
        If the seeds differ or are fewer than two, a value is not finite, or an option is not as above.
    """
    if better not in ("higher", "lower"):
        raise ValueError(f"better is 'higher' or 'lower', not {better!r}")
    if not (np.isfinite(margin) and margin >= 0):
        raise ValueError(f"a margin is finite and at least 0, not {margin}")
    if a.keys() != b.keys():
        only_a, only_b = [s for s in a if s not in b], [s for s in b if s not in a]
        raise ValueError(f"the seeds are not the same: only in a {only_a}, only in b {only_b}")
    missing = [s for s in a if not (np.isfinite(a[s]) and np.isfinite(b[s]))]
    if missing:
        raise ValueError(f"no finite pair of values at seeds {missing}; leave out a seed in both, and say so")
    sign = 1.0 if better == "higher" else -1.0
    return _checked([sign * (b[s] - a[s]) + margin for s in a])


def interval(
    differences: np.ndarray, *, resamples: int = 9999, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """95 % bootstrap interval of the mean difference, bias corrected and accelerated (Efron, JASA 1987).

    Parameters
    ----------
    differences : (..., n) float
        Differences over n >= 2 seeds, on the last axis.
    resamples, seed : int
        Number and seed of the resamples: the same differences have the same interval, alone or among others.

    Returns
    -------
    low, high : (...) float64 each
        Its ends. Where all differences are equal, both are their mean: BCa is not defined without a spread.
        ValueError if there are fewer than two differences, or one is not finite.
    """
    d = _checked(differences)
    rows = d.reshape(-1, d.shape[-1])
    low, high = rows.mean(-1), rows.mean(-1)
    spread = np.ptp(rows, axis=-1) > 1e-9 * np.abs(rows).max(-1)  # 0.3 - 0.2 is not quite 0.2 - 0.1
    if spread.any():
        how = {"method": "BCa", "n_resamples": resamples, "batch": max(1, _MEMORY // rows.size), "rng": seed}
        found = stats.bootstrap((rows[spread],), np.mean, axis=-1, confidence_level=0.95, **how)
        low[spread], high[spread] = found.confidence_interval
    return low.reshape(d.shape[:-1])[()], high.reshape(d.shape[:-1])[()]


def sign_flip(differences: np.ndarray) -> np.ndarray:
    """Two-sided p of the mean difference, were the sign of each difference a coin's (Fisher, 1935).

    Parameters
    ----------
    differences : (..., n) float
        Differences over n >= 2 seeds, on the last axis.

    Returns
    -------
    (...) float64
        Share of sign patterns whose mean is at least as far from 0: exact over all 2^n patterns for n <= 14,
        and from 2^14 random ones (fixed seed; the observed one counted in) beyond. Never below 2 / 2^n.
        ValueError if there are fewer than two differences, or one is not finite.
    """
    d = _checked(differences)
    how = {"permutation_type": "samples", "n_resamples": _EXACT, "batch": max(1, _MEMORY // d.size), "rng": 0}
    return stats.permutation_test(
        (d,), np.mean, axis=-1, vectorized=True, alternative="two-sided", **how
    ).pvalue


def holm(p: Mapping[Hashable, float], claim: Mapping[Hashable, Hashable] | None = None) -> dict:
    """p values corrected for the number of claims (Holm, Scand. J. Statist. 1979).

    A claim with several rows holds only if all of them do: it enters once, with the largest p of its rows
    (an intersection-union test), and each of its rows gets the claim's corrected value.

    Parameters
    ----------
    p : mapping from row to p value, 0..1
        Every primary row decided on beforehand; one without a measurement enters with p = 1, as leaving it
        out would make the correction milder for the others.
    claim : mapping from row to claim, optional
        Without it each row is a claim.

    Returns
    -------
    dict from row to float
        Corrected p values, 0..1. ValueError if one of `p` is NaN or outside 0..1, or a row has no claim.
    """
    wrong = {row: value for row, value in p.items() if not 0 <= value <= 1}
    if wrong:
        raise ValueError(f"p values lie in 0..1, but these occur: {wrong}; a missing one enters as 1")
    claim = {row: row for row in p} if claim is None else claim
    lost = [row for row in p if row not in claim]
    if lost:
        raise ValueError(f"these rows belong to no claim: {lost}")
    largest: dict[Hashable, float] = {}
    for row, value in p.items():
        largest[claim[row]] = max(value, largest.get(claim[row], 0.0))
    corrected, floor = {}, 0.0
    for rank, name in enumerate(sorted(largest, key=largest.__getitem__)):
        floor = max(floor, min(1.0, (len(largest) - rank) * largest[name]))
        corrected[name] = floor
    return {row: corrected[claim[row]] for row in p}


def detectable(sd: float, n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest true mean difference that n pairs find with the given power, by the paired t test.

    It is nc sd / sqrt(n), where nc is the noncentrality at which the noncentral t of n - 1 degrees of freedom
    exceeds the two-sided critical value with probability `power`; the other tail is no finding.

    Parameters
    ----------
    sd : float, >= 0
        Standard deviation of the paired differences (n - 1 in the denominator).
    n : int, >= 2
        Number of pairs, made or planned.
    power, alpha : float, 0..1
        Probability of finding the effect, and the two-sided level; Holm begins at alpha / m for m claims.

    Returns
    -------
    float
        In units of `sd`. ValueError if n < 2, sd is negative or not finite, or power <= alpha / 2.
    """
    if n < 2 or n != int(n):
        raise ValueError(f"a spread needs at least two pairs, not {n}")
    if not (np.isfinite(sd) and sd >= 0):
        raise ValueError(f"a standard deviation is finite and at least 0, not {sd}")
    if not 0 < alpha / 2 < power < 1:
        raise ValueError(f"0 < alpha / 2 < power < 1 is needed, not alpha {alpha} and power {power}")
    critical = stats.t.ppf(1 - alpha / 2, n - 1)
    return float(special.nctdtrinc(n - 1, 1 - power, critical) * sd / np.sqrt(n))


def summary(differences: np.ndarray) -> dict[str, Any]:
    """What one row of the ledger needs from its (n,) paired differences, keyed as there.

    Mean, its interval, the uncorrected p, the effect detectable at their own spread, and n. Where `paired`
    added a margin, the first three are shifted by it. Raises ValueError as `interval`, and for a second axis.
    """
    d = _checked(differences)
    if d.ndim != 1:
        raise ValueError(f"one row has one axis of differences, not shape {d.shape}")
    low, high = interval(d)
    return {
        "difference": float(d.mean()),
        "low": float(low),
        "high": float(high),
        "p": float(sign_flip(d)),
        "detectable": detectable(d.std(ddof=1), len(d)),
        "seeds": len(d),
    }


def verdict(
    low: float, high: float, p_holm: float, *, smallest_effect: float, seeds: int, alpha: float = 0.05
) -> str:
    """Say of one row whether its claim holds here, does not, or is undecided.

    Parameters
    ----------
    low, high, p_holm : float
        Interval of the signed difference, and its corrected two-sided p.
    smallest_effect : float, >= 0
        Smallest effect of interest, fixed beforehand; 0 for non-inferiority, once the margin is added.
    seeds : int
        Number of pairs.
    alpha : float, 0..1
        Level that `p_holm` must not exceed.

    Returns
    -------
    str
        "undecided (n seeds)" below `LEAST_SEEDS`; else `FAILS` if `high` lies below the smallest effect, even
        if the effect is surely positive; else `HOLDS` if low > 0 and p_holm <= alpha; else "undecided".

    Raises
    ------
    ValueError
        If a number is NaN, low exceeds high, p lies outside 0..1, or the smallest effect is negative.
    """
    if not low <= high:
        raise ValueError(f"an interval runs from low to high, not from {low} to {high}")
    if not 0 <= p_holm <= 1:
        raise ValueError(f"a p value lies in 0..1, not {p_holm}")
    if not (np.isfinite(smallest_effect) and smallest_effect >= 0):
        raise ValueError(f"a smallest effect of interest is finite and at least 0, not {smallest_effect}")
    if seeds < LEAST_SEEDS:
        return undecided(seeds)
    if high < smallest_effect:
        return FAILS
    return HOLDS if low > 0 and p_holm <= alpha else "undecided"


def undecided(seeds: int) -> str:
    """Return the verdict on too few seeds, which names their number."""
    return f"undecided ({seeds} seed{'' if seeds == 1 else 's'})"


def _checked(differences: np.ndarray) -> np.ndarray:
    d = np.asarray(differences, np.float64)
    if d.ndim == 0 or d.shape[-1] < 2:
        raise ValueError(f"at least two pairs are needed, not {d.shape[-1] if d.ndim else 1}")
    if not np.isfinite(d).all():
        raise ValueError(f"differences are finite, but {int((~np.isfinite(d)).sum())} of {d.size} are not")
    return d
