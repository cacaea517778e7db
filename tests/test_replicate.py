"""The prediction region of another seed: against scipy's by hand, its coverage, and a planted lambda_s = 0."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from semcg import config
from semcg.protocol import REFERENCE, read
from semcg_kit.evidence import replicate

DECIDED = read()
ROWS, CONFIDENCE = replicate.rows_of(DECIDED, REFERENCE / "replicate.toml")


@pytest.mark.parametrize(
    "text", ["", "rows = 'C1'\nconfidence = 0.9", "rows = ['C1']\nconfidence = 1.5", "rows = ["]
)
def test_a_damaged_list_of_rows_is_named(tmp_path, text):
    (tmp_path / "replicate.toml").write_text(text)
    with pytest.raises(ValueError, match=r"replicate\.toml is damaged"):
        replicate.rows_of(DECIDED, tmp_path / "replicate.toml")


def measures(differences):
    """As measures.csv would hold them: CycleGAN at .3, the semantic CycleGAN above it by the differences (seeds, rows)."""
    rows = []
    for seed, of in zip(DECIDED.seeds, differences, strict=False):
        for row, d in zip(ROWS, of, strict=True):
            rows += [
                (row.a, seed, row.measure, row.of_class, 0.3),
                (row.b, seed, row.measure, row.of_class, 0.3 + d),
            ]
    return pd.DataFrame(rows, columns=["condition", "seed", "measure", "class", "value"])


def draws(n, seed=0):
    means, spread = np.array([0.096, 0.103, 0.139, -0.021]), np.diag([0.019, 0.032, 0.034, 0.0055])
    return means + np.random.default_rng(seed).normal(size=(n, 4)) @ spread


def test_one_row_is_the_usual_prediction_interval():
    d = draws(12)[:, :1]
    table = measures(np.repeat(d, 4, axis=1))
    of = replicate.region(table, DECIDED, ROWS[:1], CONFIDENCE, without=99)
    half = stats.t.ppf(0.975, 11) * d.std(ddof=1) * np.sqrt(1 + 1 / 12)
    assert of.distance(d.mean() + np.array([half])) == pytest.approx(of.limit)


def test_another_seed_is_inside_in_95_of_100_cases_and_a_planted_zero_is_not():
    inside, zero = 0, 0
    for seed in range(400):
        d = draws(13, seed)
        of = replicate.region(measures(d[:12]), DECIDED, ROWS, CONFIDENCE, without=99)
        inside += of.distance(d[12]) <= of.limit
        zero += of.distance(np.zeros(4)) <= of.limit
    assert 0.92 <= inside / 400 <= 0.98
    assert zero / 400 <= 0.05


def test_the_seed_itself_does_not_count_and_too_few_are_refused():
    d = draws(12)
    assert replicate.region(measures(d), DECIDED, ROWS, CONFIDENCE, without=31).seeds == 11
    with pytest.raises(ValueError, match="5 seeds with all of C1, .*: at least 6 are needed"):
        replicate.region(measures(d[:5]), DECIDED, ROWS, CONFIDENCE, without=99)


def test_it_trains_what_the_protocol_says():
    made = config.make(DECIDED.profile, seed=31, **DECIDED.settings)
    made = made.changed(DECIDED.condition("semantic").parameters)
    assert (made.seed, made.lambda_s, made.steps, made.precision) == (31, 1.0, 1000, "fp32")
    assert made.test_streets == "report"


def test_the_shipped_region_holds_each_of_its_seeds_left_out_and_no_zero():
    """What `make replicate` prints for a seed of the evidence, and for a loss of weight 0, from the shipped measures."""
    table = pd.read_csv(REFERENCE / "measures.csv")
    whole = replicate.region(table, DECIDED, ROWS, CONFIDENCE, without=99)
    assert whole.seeds >= DECIDED.least_seeds
    assert whole.distance(np.zeros(len(ROWS))) > whole.limit
    for seed in sorted(set(table["seed"].dropna()) & set(DECIDED.seeds)):
        of = table[table["seed"] == seed].set_index(["measure", "class", "condition"])["value"]
        found = [of[r.measure, r.of_class, r.b] - of[r.measure, r.of_class, r.a] for r in ROWS]
        left_out = replicate.region(table, DECIDED, ROWS, CONFIDENCE, without=seed)
        assert left_out.distance(np.array(found)) < left_out.limit, seed
