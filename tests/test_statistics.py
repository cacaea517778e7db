"""Intervals, tests and verdicts: against other formulations, and against simulated sweeps."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from semcg import statistics
from semcg.statistics import detectable, holm, interval, paired, sign_flip, summary, verdict

# The primary rows over which Holm's correction runs: row -> claim.
ROWS = {
    "miou": "C1",
    "vehicle": "C2",
    "building": "C2",
    "sign": "C2",
    "downstream": "C3",
    "boundary building": "C4",
    "boundary road": "C4",
    "plates": "C5",
    "edge width": "C6",
    "kid": "C8",
}
CLAIMS = sorted(set(ROWS.values()))


def test_paired_signs_orders_and_shifts():
    a, b = {3: 1.0, 4: 2.0}, {4: 2.25, 3: 1.5}
    assert paired(a, b).tolist() == [0.5, 0.25]
    assert paired(a, b, better="lower").tolist() == [-0.5, -0.25]
    assert paired(a, b, better="lower", margin=0.5).tolist() == [0.0, 0.25]


@pytest.mark.parametrize(
    ("a", "b", "more", "seen"),
    [
        ({3: 1.0}, {3: 1.0}, {}, "two pairs are needed, not 1"),
        ({}, {}, {}, "two pairs are needed, not 0"),
        ({3: 1.0, 4: 1.0}, {3: 1.0, 5: 1.0}, {}, r"only in a \[4\], only in b \[5\]"),
        ({3: 1.0, 4: math.nan}, {3: 1.0, 4: 1.0}, {}, r"seeds \[4\]"),
        ({3: 1.0, 4: 1.0}, {3: math.inf, 4: 1.0}, {}, r"seeds \[3\]"),
        ({3: 1.0, 4: 1.0}, {3: 1.0, 4: 1.0}, {"margin": -0.1}, "-0.1"),
        ({3: 1.0, 4: 1.0}, {3: 1.0, 4: 1.0}, {"margin": math.nan}, "nan"),
        ({3: 1.0, 4: 1.0}, {3: 1.0, 4: 1.0}, {"better": "more"}, "'more'"),
    ],
)
def test_paired_says_what_is_wrong(a, b, more, seen):
    with pytest.raises(ValueError, match=seen):
        paired(a, b, **more)


@pytest.mark.parametrize("function", [interval, sign_flip, summary])
@pytest.mark.parametrize(
    ("d", "seen"), [([0.1], "not 1"), (0.1, "not 1"), ([], "not 0"), ([0.1, math.nan], "1 of 2")]
)
def test_differences_are_checked(function, d, seen):
    with pytest.raises(ValueError, match=seen):
        function(d)


def ideal_bca(d, level=0.95):
    """BCa by Efron's formulas over all n^n resamples: no random number."""
    n = len(d)
    means = np.sort(np.array(list(itertools.product(d, repeat=n))).mean(1))
    below = (np.sum(means < d.mean() - 1e-12) + np.sum(means <= d.mean() + 1e-12)) / 2 / len(means)
    z0 = stats.norm.ppf(below)
    leave_one_out = np.array([np.delete(d, i).mean() for i in range(n)])
    pull = leave_one_out.mean() - leave_one_out
    acceleration = np.sum(pull**3) / (6 * np.sum(pull**2) ** 1.5)
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = z0 + stats.norm.ppf(tail)
        ends.append(np.quantile(means, stats.norm.cdf(z0 + z / (1 - acceleration * z))))
    return ends


@pytest.mark.parametrize("d", [[0.3, 1.1, -0.4, 0.9, 5.2, 0.1], [-2.0, 0.5, 0.7, 1.0, 1.6, 1.7]])
def test_interval_is_bca(d):
    """Skewed on purpose: the plain percentile interval of the same differences would not pass."""
    d = np.array(d)
    slack = 0.02 * d.std(ddof=1)
    found = interval(d, resamples=99_999)
    assert found == pytest.approx(ideal_bca(d), abs=slack)
    plain = stats.bootstrap((d,), np.mean, method="percentile", n_resamples=99_999, rng=0).confidence_interval
    assert max(abs(np.subtract(plain, found))) > 3 * slack


def test_interval_moves_with_the_differences_and_repeats():
    d = np.random.default_rng(0).normal(size=(3, 4, 12))
    low, high = interval(d)
    assert low.shape == high.shape == (3, 4)
    assert (low < d.mean(-1)).all()
    assert (d.mean(-1) < high).all()
    assert interval(d[1, 2]) == (low[1, 2], high[1, 2]), "a row depends on its neighbors"
    # Not to the last digit: whether a resampled mean equals the mean is decided by rounding.
    assert interval(d[1, 2] + 0.5) == pytest.approx((low[1, 2] + 0.5, high[1, 2] + 0.5), abs=1e-3)
    assert interval(-d[1, 2]) == pytest.approx((-high[1, 2], -low[1, 2]), abs=0.05)


@pytest.mark.parametrize("value", [0.0, 0.25, -0.1])
def test_equal_differences_have_a_point_for_an_interval(value):
    steps = np.cumsum(np.full(13, value))  # 0.1, 0.2, 0.30000000000000004 ...
    row = summary(np.diff(steps))
    assert row["low"] == row["high"] == row["difference"] == pytest.approx(value)
    assert row["p"] == (1.0 if value == 0 else 2 / 2**12)
    assert row["detectable"] == pytest.approx(0, abs=1e-12)
    low, high = interval([[value] * 12, np.arange(12.0)])
    assert low[0] == high[0] == pytest.approx(value)
    assert low[1] < 5.5 < high[1]


def brute_force(d):
    signs = np.array(list(itertools.product((1, -1), repeat=len(d))))
    return np.mean(np.abs(signs @ d) >= abs(np.sum(d)) - 1e-9)


@pytest.mark.parametrize("n", [2, 3, 7, 12, 14])
def test_sign_flip_is_exact(n):
    rng = np.random.default_rng(n)
    for d in (rng.normal(0.4, 1, n), rng.integers(-3, 5, n), rng.exponential(1, n), np.zeros(n)):
        assert sign_flip(d) == pytest.approx(brute_force(d), abs=1e-12)
        assert sign_flip(-d) == pytest.approx(sign_flip(d), abs=1e-12)
    assert sign_flip(np.arange(1, n + 1)) == 2 / 2**n


def test_sign_flip_beyond_fourteen_pairs_is_close_to_exact():
    d = np.random.default_rng(1).normal(0.2, 1, 16)
    exact = brute_force(d)
    assert 0.01 < exact < 0.5, "an easy case proves nothing"
    assert sign_flip(d) == pytest.approx(exact, abs=4 * math.sqrt(2 * exact / 2**14))


def test_sign_flip_of_many_rows_is_that_of_each():
    d = np.random.default_rng(2).normal(size=(2, 3, 10))
    assert sign_flip(d).tolist() == [[sign_flip(x) for x in row] for row in d]


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    p = {"x": 0.001, "y": 0.02, "z": 0.5, "w": 0.015}
    claim = {"x": "C2", "y": "C2", "z": "C5", "w": "C1"}
    # largest per claim: C1 0.015, C2 0.02, C5 0.5 -> 3 * 0.015, max(2 * 0.02, 0.045), 0.5
    assert holm(p, claim) == pytest.approx({"x": 0.045, "y": 0.045, "z": 0.5, "w": 0.045})
    assert list(holm(p, claim)) == list(p)
    assert holm({}) == {}


def closed(p):
    """Holm as closed testing: a hypothesis falls if Bonferroni rejects every intersection with it."""
    subsets = [s for k in range(1, len(p) + 1) for s in itertools.combinations(p, k)]
    return {i: max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in p}


def test_holm_is_closed_bonferroni():
    rng = np.random.default_rng(3)
    for _ in range(20):
        p = {c: float(x) for c, x in zip(CLAIMS, rng.uniform(0, 1, len(CLAIMS)) ** 3, strict=True)}
        p["C8"] = p["C1"]  # a tie
        assert holm(p) == pytest.approx(closed(p))


def test_holm_refuses_what_is_no_p_value():
    with pytest.raises(ValueError, match="nan"):
        holm({"a": math.nan, "b": 0.1})
    with pytest.raises(ValueError, match=r"1\.5"):
        holm({"a": 1.5})
    with pytest.raises(ValueError, match=r"\['b'\]"):
        holm({"a": 0.1, "b": 0.1}, {"a": "C1"})


@pytest.mark.parametrize("n", [3, 10, 12, 40])
@pytest.mark.parametrize("power", [0.8, 0.95])
def test_detectable_has_the_power_it_says(n, power):
    critical = stats.t.ppf(0.975, n - 1)

    # The other tail is left out: below 0.000002 here, and scipy's value of it is NaN at some places.
    nc = optimize.brentq(lambda nc: stats.nct.sf(critical, n - 1, nc) - power, 1, 9)
    effect = nc / math.sqrt(n)  # in standard deviations
    assert detectable(1.0, n, power=power) == pytest.approx(effect, rel=1e-5)
    assert detectable(0.02, n, power=power) == pytest.approx(0.02 * effect, rel=1e-5)

    def given(s):  # power once the sample's standard deviation is s, times the density of s
        density = stats.chi.pdf(s * math.sqrt(n - 1), n - 1) * math.sqrt(n - 1)
        return stats.norm.sf(critical * s - nc) * density

    assert integrate.quad(given, 0, 10)[0] == pytest.approx(power, abs=1e-4)


def test_detectable_by_simulation():
    n, runs = 12, 20_000
    d = np.random.default_rng(4).normal(detectable(0.5, n), 0.5, (runs, n))
    found = (stats.ttest_1samp(d, 0, axis=-1).pvalue <= 0.05).mean()
    assert found == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / runs))
    by_flips = (sign_flip(d[:2000]) <= 0.05).mean()
    assert by_flips == pytest.approx(0.8, abs=0.04), "the t test stands for the sign-flip test"


def test_detectable_refuses():
    for sd, n, more in [(1, 1, {}), (1, 2.5, {}), (-1, 12, {}), (math.nan, 12, {}), (1, 12, {"power": 0.01})]:
        with pytest.raises(ValueError, match="not"):
            detectable(sd, n, **more)


def test_summary_of_one_row():
    d = np.array([0.5, 0.1, 0.4, -0.1, 0.3, 0.2])
    row = summary(d)
    assert row["difference"] == pytest.approx(0.2333333333)
    assert (row["low"], row["high"]) == interval(d)
    # The sum is 1.4; turning -0.1 gives 1.6, turning both -0.1 and 0.1 gives 1.4; and all signs turned.
    assert row["p"] == pytest.approx(6 / 64)
    assert row["detectable"] == pytest.approx(detectable(np.std(d, ddof=1), 6))
    assert row["seeds"] == 6
    assert all(type(value) in (int, float) for value in row.values()), "to be written as JSON"
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        summary(d.reshape(2, 3))


@pytest.mark.parametrize(
    ("low", "high", "p", "smallest", "seeds", "said"),
    [
        (0.1, 0.3, 0.05, 0.05, 12, "holds here"),
        (0.1, 0.3, 0.051, 0.05, 12, "undecided"),
        (0.0, 0.3, 0.01, 0.05, 12, "undecided"),
        (0.01, 0.04, 0.01, 0.05, 12, "does not hold here"),  # significant, and too small to matter
        (0.01, 0.05, 0.01, 0.05, 12, "holds here"),  # the end lies at the effect, not below it
        (-0.3, -0.1, 0.01, 0.0, 12, "does not hold here"),
        (-0.3, 0.04, 1.0, 0.05, 12, "does not hold here"),
        (-0.3, 0.0, 1.0, 0.0, 12, "undecided"),
        (0.1, 0.3, 0.01, 0.05, 10, "holds here"),
        (0.1, 0.3, 0.01, 0.05, 9, "undecided (9 seeds)"),
        (-0.3, -0.1, 0.01, 0.05, 3, "undecided (3 seeds)"),
    ],
)
def test_verdict(low, high, p, smallest, seeds, said):
    assert verdict(low, high, p, smallest_effect=smallest, seeds=seeds) == said


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"low": math.nan}, "nan"),
        ({"low": 0.5}, r"0\.5 to 0\.3"),
        ({"p_holm": math.nan}, "nan"),
        ({"p_holm": 7.0}, r"7\.0"),
        ({"smallest_effect": -0.1}, r"-0\.1"),
    ],
)
def test_verdict_refuses(change, seen):
    with pytest.raises(ValueError, match=seen):
        verdict(**{"low": 0.1, "high": 0.3, "p_holm": 0.01, "smallest_effect": 0.1, "seeds": 12} | change)


def test_with_eight_seeds_nothing_could_be_confirmed_within_seven_claims():
    """The reason for ten: the best possible eight pairs fail in a family of seven, ten pass."""
    for seeds, possible in [(8, False), (statistics.LEAST_SEEDS, True)]:
        best = float(sign_flip(np.arange(1.0, seeds + 1)))
        assert (holm({c: best for c in CLAIMS})["C1"] <= 0.05) is possible


def sweeps(count, *, effect, shared=0.0, smallest=0.0, pairs=12, corrected=True, noise="normal", seed=0):
    """Share of claims confirmed in simulated sweeps: (count, claims) bool, a claim's rows all confirmed.

    `effect` maps a claim to its true difference in standard deviations of the paired difference, beyond the
    margin for C8, whose row is a measure that is better when lower. `shared` is the correlation of the rows,
    which come from the same runs. The difference of a seed has standard deviation 1.
    """
    rng = np.random.default_rng(seed)
    draw = {
        "normal": lambda *shape: rng.normal(size=shape),
        "heavy": lambda *shape: rng.standard_t(3, size=shape) / math.sqrt(3),
        "lopsided": lambda *shape: 1 - rng.exponential(size=shape),  # a few seeds that fail badly
    }[noise]
    common, own = draw(count, 1, pairs), draw(count, len(ROWS), pairs)
    d = math.sqrt(shared) * common + math.sqrt(1 - shared) * own
    d += np.array([effect.get(claim, 0.0) for claim in ROWS.values()])[:, None]
    margin = 1.7
    for sweep in d:
        a = dict(enumerate(rng.normal(5, 3, pairs)))
        b = {s: a[s] - (gain - margin) for s, gain in enumerate(sweep[-1])}
        sweep[-1] = paired(a, b, better="lower", margin=margin)
    low, high = interval(d, resamples=999)
    p = sign_flip(d)
    confirmed = np.ones((count, len(CLAIMS)), bool)
    for n in range(count):
        each = dict(zip(ROWS, p[n], strict=True))
        p_holm = holm(each, ROWS) if corrected else each
        for k, (row, claim) in enumerate(ROWS.items()):
            said = verdict(low[n, k], high[n, k], p_holm[row], smallest_effect=smallest, seeds=pairs)
            confirmed[n, CLAIMS.index(claim)] &= said == "holds here"
    return confirmed


COUNTS = [200, pytest.param(1000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("shared", "noise"), [(0.0, "normal"), (0.7, "normal"), (0.0, "heavy")])
def test_without_an_effect_few_sweeps_confirm_anything(count, shared, noise):
    """At most 5 % of the sweeps, no slack added. About 2.5 % are expected at most, as only one of the two
    tails confirms; the standard error is then 1.1 points in 200 sweeps and 0.5 in 1000, so that a method at
    2.5 % passes almost surely and one at twice the 5 % fails almost surely. A smallest effect of 0 is the
    worst case: a larger one turns confirmations into refutations."""
    assert sweeps(count, effect={}, shared=shared, noise=noise).any(1).mean() <= 0.05


def test_a_missing_correction_would_be_seen():
    assert sweeps(200, effect={}, corrected=False).any(1).mean() > 0.05


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("claim", ["C1", "C2", "C8"])
def test_an_effect_of_two_standard_deviations_is_confirmed(count, claim):
    """By at least 80 % of the sweeps, where it stands alone (Holm then asks the most), in a claim of one row,
    of three independent rows, and beyond a margin; the other claims stay within the 5 %."""
    confirmed = sweeps(count, effect={claim: 2.0}, smallest=0.5)
    at = CLAIMS.index(claim)
    assert confirmed[:, at].mean() >= 0.8
    assert np.delete(confirmed, at, 1).any(1).mean() <= 0.05


def curves(count, *, others, effect, pairs=12, seed=0):
    """Share of simulated curves over lambda_s that confirm their chosen weight on one measure.

    The difference of the chosen weight to each other one has standard deviation 1 at a seed and the mean `effect`
    beyond the margin for the best of them, and a larger one for the rest, by what `others` says. The best is looked
    for on the same seeds, as `claims.weight_rows` does.
    """
    rng = np.random.default_rng(seed)
    margin, chosen = 1.7, rng.normal(size=(count, pairs)) / math.sqrt(2)
    rest = rng.normal(size=(count, len(others), pairs)) / math.sqrt(2) - np.array(others)[:, None]
    rest += margin - effect
    best = np.take_along_axis(rest, rest.mean(-1).argmax(-1)[:, None, None], axis=1)[:, 0]
    d = chosen - best + margin
    low, high = interval(d, resamples=999)
    p = sign_flip(d)
    said = [
        verdict(low[n], high[n], p[n], smallest_effect=0.0, seeds=pairs) == "holds here" for n in range(count)
    ]
    return np.mean(said)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("others", [(0.0, 9.0, 9.0, 9.0, 9.0), (0.0, 0.0, 0.0, 0.0, 0.0)])
def test_a_weight_that_is_worse_by_the_margin_is_rarely_confirmed(count, others):
    """At the margin to the one best weight, and to five weights that are alike, of which luck chooses one (C9)."""
    assert curves(count, others=others, effect=0.0) <= 0.05


@pytest.mark.parametrize("count", COUNTS)
def test_a_weight_that_is_no_worse_is_confirmed(count):
    """By at least 80 % on each of two independent measures together, two deviations beyond the margin (C9)."""
    for others in ((0.0, 9.0, 9.0, 9.0, 9.0), (0.0, 0.0, 0.0, 0.0, 0.0)):
        assert curves(count, others=others, effect=2.0) ** 2 >= 0.8


def test_the_limit_that_the_room_names():
    """Mean 0, but lopsided: many small gains, a rare bad failure that twelve seeds often miss."""
    assert sweeps(200, effect={}, noise="lopsided").any(1).mean() > 0.05


def test_seven_seeds_confirm_nothing_however_large_the_effect():
    assert not sweeps(20, effect={claim: 20.0 for claim in CLAIMS}, pairs=7).any()
