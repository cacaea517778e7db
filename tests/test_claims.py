"""Verdicts follow from measures and protocol: signs, margins, correction and what was not measured, by hand."""

import numpy as np
import pandas as pd
import pytest

from semcg import claims, protocol
from semcg.plots import scores as drawn

SECOND = protocol.REFERENCE.with_name("second") / "protocol.toml"
SEEDS = tuple(range(3, 15))


def decided(rows, **more) -> protocol.Protocol:
    conditions = [
        {"name": name, "parameters": {}, "seeds": SEEDS, "exploratory": False}
        for name in ("A", "B", "weak", "strong")
    ]
    return protocol.Protocol(
        profile="mini",
        development_seeds=(0, 1, 2),
        seeds=SEEDS,
        least_seeds=10,
        alpha=0.05,
        correction=("C1", "C2", "C8"),
        conditions=conditions,
        rows=rows,
        **more,
    )


def row(id, claim="C1", measure="m", better="higher", primary=True, smallest=0.01, **more):
    return {
        "id": id, "claim": claim, "primary": primary, "measure": measure, "class": "all", "a": "A", "b": "B",
        "better": better, "smallest_effect": smallest, **more,
    }  # fmt: skip


def table(**values) -> pd.DataFrame:
    """`A_m=[...]` gives condition A's measure m at the seeds 3, 4, ..."""
    rows = []
    for key, numbers in values.items():
        condition, _, measure = key.partition("_")
        rows += [
            (condition, s, measure, "all", v, f"{condition}-s{s}")
            for s, v in zip(SEEDS, numbers, strict=False)
        ]
    return pd.DataFrame(rows, columns=["condition", "seed", "measure", "class", "value", "run"])


NOISE = np.array([1, -1, 2, -2, 1, -1, 2, -2, 1, -1, 2, -2]) * 0.002


def test_a_sure_gain_is_confirmed_and_its_numbers_are_plain():
    (found,) = claims.protocol_rows(table(A_m=np.full(12, 0.2), B_m=0.25 + NOISE), decided([row("r")]))
    assert found["difference"] == pytest.approx(0.05)
    assert found["mean_a"] == pytest.approx(0.2)
    assert found["low"] < 0.05 < found["high"]
    assert found["p"] == pytest.approx(2 / 2**12)
    assert found["p_holm"] == pytest.approx(2 / 2**12)  # the only claim of the three that has a row
    assert (found["seeds"], found["verdict"]) == (12, "holds here")


def test_better_lower_turns_the_sign_back():
    falls = table(A_m=np.full(12, 0.25), B_m=0.2 + NOISE)
    (found,) = claims.protocol_rows(falls, decided([row("r", better="lower")]))
    assert found["difference"] == pytest.approx(-0.05)
    assert found["low"] < -0.05 < found["high"] < 0
    assert found["verdict"] == "holds here"
    (found,) = claims.protocol_rows(falls, decided([row("r", better="higher")]))
    assert found["verdict"] == "does not hold here"


def test_a_surely_positive_but_tiny_gain_is_refuted():
    (found,) = claims.protocol_rows(table(A_m=np.full(12, 0.2), B_m=0.204 + NOISE / 10), decided([row("r")]))
    assert found["low"] > 0
    assert found["verdict"] == "does not hold here"


def test_a_margin_is_a_share_of_the_untranslated_frames():
    kid = row("r", "C8", better="lower", smallest=0.0, margin={"share": 0.1, "of": "identity"})
    worse = table(A_m=np.full(12, 0.30), B_m=0.33 + NOISE)
    untouched = pd.DataFrame(
        [("identity", pd.NA, "m", "all", 0.5, "identity")], columns=worse.columns
    )  # margin 0.05: 0.03 worse is no worse
    (found,) = claims.protocol_rows(pd.concat([worse, untouched]), decided([kid]))
    assert found["margin"] == pytest.approx(0.05)
    assert found["difference"] == pytest.approx(0.03)
    assert found["verdict"] == "holds here"
    untouched["value"] = 0.1  # margin 0.01
    (found,) = claims.protocol_rows(pd.concat([worse, untouched]), decided([kid]))
    assert found["verdict"] == "does not hold here"
    (found,) = claims.protocol_rows(worse, decided([kid]))
    assert found["difference"] is None
    assert found["verdict"] != "holds here"


def test_what_was_not_measured_counts_in_the_correction():
    both = decided([row("r"), row("s", "C2", measure="other")])
    first, second = claims.protocol_rows(table(A_m=np.full(12, 0.2), B_m=0.25 + NOISE), both)
    assert first["p_holm"] == pytest.approx(2 * first["p"])
    assert (second["seeds"], second["verdict"], second["p_holm"]) == (0, "not measured", None)


def test_a_claim_of_several_rows_needs_all_of_them():
    rows = [row("r", "C2"), row("s", "C2", measure="n")]
    good = {"A_m": np.full(12, 0.2), "B_m": 0.25 + NOISE, "A_n": np.full(12, 0.2)}
    found = claims.protocol_rows(table(**good, B_n=0.25 + NOISE), decided(rows))
    assert claims.claim_verdict(found, "C2") == "holds here"
    found = claims.protocol_rows(table(**good, B_n=0.2 + 10 * NOISE), decided(rows))
    assert [r["verdict"] for r in found] == ["undecided", "undecided"]  # the claim's p is its largest
    assert claims.claim_verdict(found, "C2") == "undecided"
    found = claims.protocol_rows(table(**good, B_n=0.15 + NOISE), decided(rows))
    assert claims.claim_verdict(found, "C2") == "does not hold here"


def test_few_seeds_and_development_seeds_give_no_verdict():
    few = table(A_m=np.full(9, 0.2), B_m=(0.25 + NOISE)[:9])
    (found,) = claims.protocol_rows(few, decided([row("r")]))
    assert found["verdict"] == "undecided (9 seeds)"
    development = few.assign(seed=few["seed"] - 3)  # seeds 0..8: three of them are for development
    (found,) = claims.protocol_rows(development, decided([row("r")]))
    assert found["seeds"] == 6
    (found,) = claims.protocol_rows(table(), decided([row("r")]))
    assert found["verdict"] == "not measured"


def test_a_seed_that_lacks_one_side_is_left_out_and_said():
    values = 0.25 + NOISE
    values[4] = np.nan
    (found,) = claims.protocol_rows(table(A_m=np.full(12, 0.2), B_m=values), decided([row("r")]))
    assert (found["seeds"], found["left_out"]) == (11, [7])


def test_a_value_that_stands_there_twice_is_an_error():
    twice = pd.concat([table(A_m=[0.2], B_m=[0.3])] * 2)
    with pytest.raises(ValueError, match="more than one value at seeds"):
        claims.protocol_rows(twice, decided([row("r")]))


def test_the_cost_is_a_ratio_of_rounds():
    cost = {"claim": "C7", "a": "A", "b": "B", "ratio": 1.25, "rounds": 12}
    asked = decided([], cost=cost)
    a = 0.1 + NOISE
    assert claims.cost_row({"A": a, "B": 1.6 * a}, asked)["difference"] == pytest.approx(1.6)
    assert claims.cost_row({"A": a, "B": 1.6 * a}, asked)["verdict"] == "does not hold here"
    assert claims.cost_row({"A": a, "B": 1.1 * a}, asked)["verdict"] == "holds here"
    assert claims.cost_row({"A": a, "B": a * (1.25 + 50 * NOISE)}, asked)["verdict"] == "undecided"
    with pytest.raises(ValueError, match="12 rounds of each, not 5 and 5"):
        claims.cost_row({"A": a[:5], "B": a[:5]}, asked)
    found = claims.cost_row({"A": a, "B": a}, asked)
    assert (found["rounds"], found["limit"]) == (12, 1.25)
    assert all(found[key] is None for key in ("p", "p_holm", "detectable", "seeds", "margin"))
    assert claims.cost_row(None, asked)["verdict"] == "not measured"


CURVE = {
    "claim": "C9", "points": ("A", "weak", "B", "strong"), "weights": (0.0, 0.1, 1.0, 3.0), "chosen": "B",
    "measures": ("m",),
}  # fmt: skip


def test_the_curve_counts_its_seeds():
    rows = claims.curve_rows(table(A_m=[0.2, 0.4], B_m=[0.5]), decided([], curve=CURVE))
    assert [(r["weight"], r["mean"], r["seeds"]) for r in rows] == [
        (0, 0.2, 1),  # of the seed that every measured point has
        (0.1, None, 0),
        (1, 0.5, 1),
        (3, None, 0),
    ]
    assert (rows[0]["sd"], rows[0]["seeds_all"], rows[0]["mean_all"]) == (None, 2, pytest.approx(0.3))
    assert rows[0]["sd_all"] == pytest.approx(np.std([0.2, 0.4], ddof=1))


def uneven(points: dict[str, float], *, of_seed: float = 0.01) -> dict[str, np.ndarray]:
    """Values of each point, at 3 seeds or 12, with what a seed adds to all of them: more, the later the seed."""
    return {
        f"{name}_m": value + of_seed * np.arange(12 if name in "AB" else 3) for name, value in points.items()
    }


def test_unlike_seeds_do_not_turn_the_curve_round():
    """B is the lowest at every seed; over all of its seeds its mean is the second highest."""
    points = {"A": 0.30, "weak": 0.28, "B": 0.27, "strong": 0.29}
    rows = claims.curve_rows(table(**uneven(points)), decided([], curve=CURVE))
    assert {r["seeds"] for r in rows} == {3}
    assert [r["seeds_all"] for r in rows] == [12, 3, 12, 3]
    assert [r["mean"] for r in rows] == [pytest.approx(points[r["condition"]] + 0.01) for r in rows]
    order = [sorted(rows, key=lambda r, key=key: r[key]) for key in ("mean", "mean_all")]
    assert [[r["condition"] for r in by] for by in order] == [
        ["B", "weak", "strong", "A"],
        ["weak", "strong", "B", "A"],
    ]


def lacking(seed: int) -> dict[str, np.ndarray]:
    values = uneven(dict.fromkeys(("A", "B"), 0.3))
    values["A_m"][SEEDS.index(seed)] = np.nan
    return values


def test_a_seed_that_one_point_lacks_is_left_out_of_the_curve():
    rows = claims.curve_rows(table(**lacking(5)), decided([], curve=CURVE))
    assert [r["seeds"] for r in rows] == [11, 0, 11, 0]
    development = table(**lacking(7)).assign(seed=lambda t: t["seed"] - 3)
    assert [r["seeds"] for r in claims.curve_rows(development, decided([], curve=CURVE))] == [8, 0, 8, 0]


def weights(margin=None, better="higher", **points) -> dict:
    """The row of C9, of a protocol whose row on the same measure has `better` and 0.01 or a margin."""
    asked = row("C1", better=better, **({"margin": margin} if margin else {}))
    values = {f"{name}_m": v for name, v in points.items()}
    (found,) = claims.weight_rows(table(**values), decided([asked], curve=CURVE))
    assert (found["id"], found["claim"], found["primary"], found["p_holm"]) == ("C9 m", "C9", False, None)
    assert found["exploratory"]
    return found


def test_the_chosen_weight_is_compared_with_the_best_other():
    flat = np.full(12, 0.2)
    found = weights(A=flat, weak=flat + 0.1, B=flat + 0.095 + NOISE / 4, strong=flat + 0.05)
    assert (found["condition_a"], found["condition_b"], found["margin"]) == ("weak", "B", 0.01)
    assert found["difference"] == pytest.approx(-0.005)
    assert (found["seeds"], found["verdict"]) == (12, "holds here")  # worse, by less than would matter
    assert (
        weights(A=flat, weak=flat + 0.1, B=flat + 0.05 + NOISE, strong=flat)["verdict"]
        == "does not hold here"
    )
    best = weights(A=flat, weak=flat, B=flat + 0.1 + NOISE, strong=flat + 0.05)
    assert (best["condition_a"], best["verdict"]) == ("strong", "holds here")
    lower = weights(better="lower", A=flat + 0.3, weak=flat, B=flat + 0.1 + NOISE, strong=flat + 0.2)
    assert (lower["condition_a"], lower["verdict"]) == ("weak", "does not hold here")
    assert claims.claim_verdict([lower], "C9") == "does not hold here"


def test_the_weight_has_no_verdict_below_the_least_seeds():
    few = weights(**{k[:-2]: v for k, v in uneven({"A": 0.1, "weak": 0.2, "B": 0.3, "strong": 0.2}).items()})
    assert (few["seeds"], few["verdict"]) == (3, "undecided (3 seeds)")
    assert few["left_out"] == list(range(6, 15))
    assert few["difference"] == pytest.approx(0.1)
    assert claims.claim_verdict([few], "C9") == "undecided (3 seeds)"
    (none,) = claims.weight_rows(table(A_m=[0.2]), decided([row("C1")], curve=CURVE))
    assert (none["verdict"], none["seeds"]) == ("not measured", 0)


def test_the_margin_of_the_weight_is_that_of_its_measure():
    flat = np.full(12, 0.2)
    values = table(A_m=flat, B_m=flat + NOISE)
    untouched = pd.DataFrame([("identity", pd.NA, "m", "all", 0.5, "identity")], columns=values.columns)
    asked = row("C8", better="lower", margin={"share": 0.1, "of": "identity"})
    (found,) = claims.weight_rows(pd.concat([values, untouched]), decided([asked], curve=CURVE))
    assert (found["margin"], found["better"]) == (pytest.approx(0.05), "lower")
    (found,) = claims.weight_rows(values, decided([asked], curve=CURVE))
    assert found["difference"] is None, "a margin that is a share of nothing"
    (found,) = claims.weight_rows(values, decided([], curve=CURVE))
    assert found["verdict"] == "not measured", "the protocol says of no row which direction is better"


def test_a_development_seed_moves_no_margin():
    values = table(A_m=0.10 + NOISE, B_m=0.15 + NOISE)
    asked = decided([row("C8", better="lower", margin={"share": 0.31, "of": "A"})])
    seen = pd.DataFrame([("A", s, "m", "all", 0.8, f"A-s{s}") for s in (0, 1, 2)], columns=values.columns)
    (without,), (among,) = (claims.protocol_rows(m, asked) for m in (values, pd.concat([values, seen])))
    assert among == without
    assert without["margin"] == pytest.approx(0.031)
    assert without["verdict"] == "does not hold here"


def test_every_claim_has_a_row_with_every_column():
    real = protocol.read()
    rows = claims.ledger(table(), real)
    assert {r["claim"] for r in rows} == {c.id for c in claims.CLAIMS} | set(claims.UNMEASURED) | set(
        real.hypotheses
    )
    assert {r["verdict"] for r in rows} == {"not measured"}
    assert len({r["id"] for r in rows}) == len(rows)
    common = set(rows[0])
    assert all(common <= set(r) for r in rows)
    assert {
        "id",
        "claim",
        "primary",
        "measure",
        "class",
        "condition_a",
        "condition_b",
        "difference",
    } <= common
    assert {"low", "high", "p", "p_holm", "detectable", "seeds", "verdict"} <= common
    assert [r["reason"] for r in rows[-2:]] == list(claims.UNMEASURED.values())


def test_an_added_row_changes_no_correction():
    """Rows of C9 stand outside: with and without them every p is the same."""
    values = table(A_m=np.full(12, 0.2), B_m=0.25 + NOISE)
    asked = [row("r"), row("s", "C2", measure="other")]
    without = claims.protocol_rows(values, decided(asked))
    assert claims.ledger(values, decided(asked, curve=CURVE))[: len(without)] == without


def test_every_claim_of_the_protocol_is_one_of_the_papers():
    ids = {claim.id for claim in claims.CLAIMS}
    real = protocol.read()
    claimed = {r.claim for r in real.rows} | {real.cost.claim, real.curve.claim}
    assert claimed - set(real.hypotheses) | {"C8b"} == ids
    assert {claim for family in (real.correction, *real.families.values()) for claim in family} == {
        r.claim for r in real.rows if r.primary
    }


def test_the_words_are_the_papers():
    """Short quotations, once each: none is repeated under another claim."""
    words = [claim.words for claim in claims.CLAIMS]
    assert len(set(words)) == len(words) == 11


def test_a_forest_shows_each_verdict_by_its_mark():
    verdicts = {"a": "holds here", "b": "does not hold here", "c": "undecided (3 seeds)"}
    rows = pd.DataFrame({"difference": 0.1, "low": 0.0, "high": 0.2, "verdict": verdicts, "smallest": 0.01})
    ax = drawn.forest(rows, xlabel="difference").axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "c"]
    assert {line.get_marker() for line in ax.get_lines()} >= {"o", "X", "s"}
    with pytest.raises(ValueError, match="nothing to draw"):
        drawn.forest(rows[:0], xlabel="")
