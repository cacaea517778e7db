"""The report's tables and sentences: seeds that are alike, one difference at a time, and both outcomes of the control."""

import json

import numpy as np
import pandas as pd
import pytest

from semcg import claims, protocol, report
from semcg.report import beside, floors, front, means

DECIDED = protocol.read()
CONTROL = ("CycleGAN", "CycleGAN, equal layouts", "semantic (paper)")


def table(values: dict[tuple[str, str], dict[int | None, float]]) -> pd.DataFrame:
    """(condition, measure) -> seed -> value, as measures.csv has it."""
    rows = [
        (condition, seed, measure, "all", value, "run")
        for (condition, measure), by_seed in values.items()
        for seed, value in by_seed.items()
    ]
    made = pd.DataFrame(rows, columns=["condition", "seed", "measure", "class", "value", "run"])
    return made.astype({"seed": "Int64"})


def by_seed(base: float, seeds: range, offset: float = 0.01) -> dict[int, float]:
    """A measure that a seed moves more than any condition does."""
    return {seed: base + offset * seed for seed in seeds}


# ---------------------------------------------------------------- seeds


def test_means_that_stand_beside_each_other_are_over_the_same_seeds():
    many, few = range(3, 15), range(3, 6)
    measures = table(
        {
            ("CycleGAN", "KID"): by_seed(0.1, many),
            ("lambda_s 3", "KID"): by_seed(0.1, few),
            ("oracle", "KID"): {None: 0.5},
        }
    )
    shown = ["CycleGAN", "lambda_s 3", "oracle"]
    assert means.common(measures, DECIDED, shown) == [3, 4, 5]
    head, cyclegan, other, oracle, label, over_all = means.spread(measures, DECIDED, shown, ["KID"])
    assert "seeds 3, 4, 5" in head
    assert "KID 0.140 (0.130 to 0.150)" in cyclegan
    assert "KID 0.140 (0.130 to 0.150)" in other, "equal but for the seeds, so equal here"
    assert "KID 0.500" in oracle
    assert "not to be compared" in label
    assert "KID 0.185" in over_all
    assert "seeds 3 to 14" in over_all
    rows = means.summary(measures, DECIDED, {("KID", "all"): "KID"}, ["CycleGAN", "lambda_s 3"])
    assert rows.loc["CycleGAN", "KID"] == rows.loc["lambda_s 3", "KID"] == "0.140 ±0.010"


def test_seeds_in_words():
    assert means.seeds_said([]) == "no seed in common"
    assert means.seeds_said([4]) == "seed 4"
    assert means.seeds_said([3, 4, 5]) == "seeds 3, 4, 5"
    assert means.seeds_said([*range(3, 15)]) == "seeds 3 to 14"
    assert means.seeds_said([3, 4, 5, 9]) == "seeds 3, 4, 5, 9"


# ---------------------------------------------------------------- one difference


def test_readings_differ_in_the_loss_alone_and_the_others_say_in_what():
    alone = means.readings(DECIDED)
    base = DECIDED.condition("semantic (paper)").parameters
    assert alone[0] == "semantic (paper)"
    assert len(alone) > 3
    for name in alone:
        given = {k: v for k, v in DECIDED.condition(name).parameters.items() if k != "learns"}
        assert given | {"semantic_loss": base["semantic_loss"]} == base, name
    others = means.variants(DECIDED)
    assert others["semantic (ours)"] == "lambda_s = 10.0, semantic_loss = softmax_l2"
    assert others["CycleGAN, half skip"] == others["semantic (paper), half skip"] == "generator_skip = half"
    assert others["semantic (paper), one segmenter"] == "one_segmenter = True"
    assert not {*alone, "CycleGAN", "identity", *DECIDED.curve.points} & others.keys()


# ---------------------------------------------------------------- the control


def kept(*shares: float) -> pd.DataFrame:
    made = zip(CONTROL, shares, strict=True)
    return table({(name, "sky kept"): by_seed(share, range(3, 6), 0.001) for name, share in made})


def test_the_control_is_said_to_explain_only_what_it_explains():
    explains = "\n".join(beside.why(kept(0.6, 0.9, 0.85), DECIDED))
    assert "Why: the control keeps more at each of these seeds" in explains
    assert "76%" in explains
    no_better = "\n".join(beside.why(kept(0.6, 0.58, 0.85), DECIDED))
    assert "does not explain it" in no_better
    assert "not at each of these seeds" in no_better
    assert "Why:" not in no_better
    a_little = "\n".join(beside.why(kept(0.6, 0.65, 0.85), DECIDED))
    assert "does not explain it: it keeps more at each of these seeds, and 13%" in a_little
    assert beside.why(kept(0.6, 0.9, 0.85).query("condition != 'CycleGAN, equal layouts'"), DECIDED) == []


def test_the_control_is_compared_at_common_seeds():
    measures = kept(0.6, 0.9, 0.85)
    lucky = table({("CycleGAN", "sky kept"): dict.fromkeys(range(6, 15), 1.0)})
    assert beside.why(pd.concat([measures, lucky]), DECIDED) == beside.why(measures, DECIDED)


# ---------------------------------------------------------------- the front page


@pytest.fixture(scope="module")
def shipped():
    return report.tables(protocol.REFERENCE)


def test_the_front_page_has_every_claim_and_the_ends_of_each_measure(shipped):
    measures, rows, _ = shipped
    said = front.front(rows, measures, DECIDED, protocol.REFERENCE)
    table = said.partition("\n\n")[0].splitlines()
    assert {line.split()[0] for line in table[1:]} == {claim.id for claim in claims.CLAIMS}
    order = [int(line.split()[0][1:]) for line in table[1:]]
    assert order == sorted(order)
    plates = next(line for line in table if "plates read" in line).split()
    (identity,), (oracle,) = (
        claims.series_of(measures, name, "plates read", "all") for name in ("identity", "oracle")
    )
    assert plates[3] == f"{identity:.3f}"
    assert plates[6] == f"{oracle:.3f}"
    assert "our reading of Eq. (4)" in said
    assert "the paper's wording" not in said
    assert all(len(line) <= 140 for line in said.splitlines())


def row_of(rows: list[dict], id: str, **changes: object) -> list[dict]:
    return [row | changes for row in rows if row["id"] == id]


def test_what_a_verdict_hides_follows_from_the_numbers(shipped):
    measures, rows, _ = shipped
    rider = {"difference": 0.002, "low": 0.001, "high": 0.006, "smallest_effect": 0.01}
    assert "all of it below" in front.hidden(row_of(rows, "C3 rider", **rider), measures)[0]
    assert "which reaches" in front.hidden(row_of(rows, "C3 rider", **rider | {"high": 0.02}), measures)[0]
    (as_is,) = claims.series_of(measures, "identity", "plates read", "all")
    for share, words in (
        (0.3, "70%: most of them are lost"),
        (0.8, "some are lost"),
        (0.95, "they are kept"),
    ):
        said = front.hidden(row_of(rows, "C5", mean_b=share * as_is), measures)
        assert words in said[-1]
    assert front.hidden(row_of(rows, "C5", mean_b=as_is), measures) == []


def test_a_row_without_numbers_and_a_claim_that_nothing_measures_do_no_harm(shipped):
    measures, rows, _ = shipped
    empty = dict.fromkeys(rows[0]) | {"id": "C1", "claim": "C1", "primary": True, "measure": "judge mIoU"}
    nobody = dict.fromkeys(rows[0]) | {"id": "taste", "claim": "taste", "primary": False}
    empty |= {"class": "all", "verdict": "not measured", "seeds": 0}
    said = front.front([empty, nobody | {"verdict": "not measured"}, *rows[1:]], measures, DECIDED)
    assert next(line for line in said.splitlines() if line.startswith("C1 ")).endswith("not measured")
    assert "taste" not in said


# ---------------------------------------------------------------- beside the verdicts


def test_what_was_not_run_is_computed(shipped):
    measures, _, _ = shipped
    said = "\n".join(beside.not_run(measures, DECIDED))
    assert "kl, scores_in" in said
    assert "least squares" in said
    assert "human preference" in said
    gone = measures[(measures["condition"] != "lambda_s 3") & ~(measures["seed"] == 14)]
    said = beside.not_run(gone, DECIDED)
    assert "condition lambda_s 3: not measured" in said
    assert "condition CycleGAN: seed 14 not measured" in said
    tried = DECIDED.conditions[0].model_copy(update={"parameters": {"gan_loss": "lsgan"}})
    other = DECIDED.model_copy(update={"conditions": (tried, *DECIDED.conditions[1:])})
    assert "least squares" not in "\n".join(beside.not_run(measures, other))


def test_a_judge_is_called_blind_where_the_oracle_is_not_read():
    names = ("road", "person", "rider")
    rows = [("oracle", None, f"{judge} IoU", n, v, "r") for judge, values in (
        ("judge", (0.9, 0.2, 0.3)), ("second judge", (0.9, 0.01, 0.06))) for n, v in zip(names, values, strict=True)]  # fmt: skip
    measures = pd.DataFrame(rows, columns=["condition", "seed", "measure", "class", "value", "run"])
    *_, judge, second = beside.blind(measures)
    assert judge.endswith("judge: none")
    assert "second judge: person; what" in second


def test_the_two_uncertainties_of_kid_are_told_apart():
    measures = table(
        {
            ("CycleGAN", "KID"): {3: 0.02, 4: 0.04},
            ("CycleGAN", "KID error"): {3: 0.001, 4: 0.003},
        }
    )
    line = beside.kid_errors(measures, DECIDED, ["CycleGAN"])[1].split()
    assert line == ["CycleGAN", "0.0300", f"{np.std([0.02, 0.04], ddof=1):.4f}", "0.0020"]


def test_plates_have_their_ceiling_where_it_was_measured(shipped):
    measures, _, _ = shipped
    without = measures[measures["condition"] != "target frames"]
    said = beside.plates(protocol.REFERENCE, without, DECIDED, ["CycleGAN"])
    assert "is not in this evidence" in said[-1]
    found = without[(without["condition"] == "oracle")].assign(condition="target frames", value=0.8125)
    said = beside.plates(protocol.REFERENCE, pd.concat([without, found]), DECIDED, ["CycleGAN"])
    assert said[1].startswith("target frames (the reader's ceiling)")
    assert "0.812" in said[1]
    assert "is not in this evidence" not in "".join(said)


def test_cost_ratios(tmp_path):
    cost = {"operations": {"CycleGAN": 2e9, "semantic (paper)": 5e9}, "profile": "mini", "crop": 128}
    (tmp_path / "cost.json").write_text(json.dumps(cost))
    assert "= 2.50 (profile mini" in beside.costs(tmp_path, tmp_path / "none.json")[0]
    of = {"leaf split, semantic, bf16": 30, "leaf split, CycleGAN, bf16": 20}
    (tmp_path / "step.json").write_text(json.dumps({"memory": {"crop": 512, "wide": of}}))
    (line,) = beside.costs(tmp_path, tmp_path / "step.json")[1:]
    assert "wide networks" in line
    assert line.endswith("ratio 1.50")


def test_floors_are_read_where_they_are_stored(tmp_path):
    assert "notebook 04" in floors.lines(tmp_path)[0]
    charged = {"identity": {"scores_l2": 4.0}, "oracle": {"scores_l2": 3.0}}
    (tmp_path / floors.FILE).write_text(json.dumps({"frames": 7, "charged": charged}))
    assert floors.lines(tmp_path)[1].split() == ["scores_l2", "4.000", "3.000", "75%"]


def test_terms_are_weighted():
    rows = [("semantic (ours)", 3, step, "semantic", v) for step, v in ((50, 3.0), (100, 2.0), (150, 1.0))]
    curves = pd.DataFrame(rows, columns=["condition", "seed", "step", "term", "value"])
    (line,) = beside.scale(curves, DECIDED, "semantic (ours)")
    assert [float(v) for v in line.split() if "." in v] == [30.0, 20.0, 10.0]
