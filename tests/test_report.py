"""What the report's notebook builds on: seeds that are alike, one difference at a time, and both outcomes of the control."""

import pandas as pd
import pytest

from semcg import claims, protocol, report
from semcg.report import front

DECIDED = protocol.read()
CONTROL = ("CycleGAN", "CycleGAN, equal layouts", "semantic (paper)")


@pytest.fixture(scope="module")
def shipped():
    return report.tables(protocol.REFERENCE, DECIDED)


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
    assert report.common(measures, shown) == [3, 4, 5]
    mean = report.comparable(measures, shown).groupby("condition")["value"].mean()
    assert mean.to_dict() == pytest.approx({"CycleGAN": 0.14, "lambda_s 3": 0.14, "oracle": 0.5})
    assert report.common(measures, ["CycleGAN", "oracle"]) == list(many)


def test_seeds_in_words():
    assert report.seed_range([]) == "no seed in common"
    assert report.seed_range([4]) == "seed 4"
    assert report.seed_range([3, 4, 5]) == "seeds 3, 4, 5"
    assert report.seed_range([*range(3, 15)]) == "seeds 3 to 14"
    assert report.seed_range([3, 4, 5, 9]) == "seeds 3, 4, 5, 9"


def test_development_seeds_are_in_no_table(tmp_path):
    for name in ("measures.csv", "curves.csv"):
        (tmp_path / name).write_text("condition,seed\nCycleGAN,0\nCycleGAN,3\noracle,\n")
    (tmp_path / "ledger.json").write_text("[]")
    measures, _, curves = report.tables(tmp_path, DECIDED)
    assert measures["seed"].dropna().tolist() == curves["seed"].tolist() == [3]
    assert "oracle" in set(measures["condition"]), "it needs no seed"


# ---------------------------------------------------------------- one difference


def test_conditions_are_compared_with_the_one_of_their_kind():
    assert report.pair(DECIDED) == ("CycleGAN", "semantic (paper)")
    apart = report.settings_apart(DECIDED)
    assert apart["CycleGAN"] == apart["semantic (paper)"] == {}
    assert apart["semantic (ours)"] == {"lambda_s": 10.0, "semantic_loss": "softmax_l2"}
    assert apart["CycleGAN, half skip"] == apart["semantic (paper), half skip"] == {"generator_skip": "half"}
    assert apart["ce_labels x 1"] == {"semantic_loss": "ce_labels"}
    assert "identity" not in apart


def test_nothing_depends_on_the_names_of_conditions(shipped):
    """The same evidence and protocol with all conditions renamed: the same lines, with the new names."""
    measures, rows, _ = shipped
    names = {
        c.name: c.name.replace("CycleGAN", "Plain").replace("semantic (paper)", "loss (A)")
        for c in DECIDED.conditions
    }
    names |= {"identity": "identity"}
    text = DECIDED.model_dump_json(by_alias=True)
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(f'"{name}"', f'"{names[name]}"')
    other = protocol.Protocol.model_validate_json(text)
    renamed = measures.assign(condition=measures["condition"].replace(names))
    of_rows = [row | {k: names.get(row[k], row[k]) for k in ("condition_a", "condition_b")} for row in rows]
    lines = front.front(of_rows, renamed, other, protocol.REFERENCE).splitlines()
    first = front.front(rows, measures, DECIDED, protocol.REFERENCE).splitlines()
    assert lines[1:12] == first[1:12], "the numbers"
    assert lines[0].split()[2:5] == ["identity", "Plain", "loss"]
    assert any(line.startswith("from Plain's translations") for line in lines)
    assert any(line.startswith("loss Plain 74%") for line in lines)


# ---------------------------------------------------------------- the control


def kept(*shares: float) -> pd.DataFrame:
    made = zip(CONTROL, shares, strict=True)
    return table({(name, "sky kept"): by_seed(share, range(3, 6), 0.001) for name, share in made})


def test_the_control_is_said_to_explain_only_what_it_explains():
    explains = "\n".join(front.why(kept(0.6, 0.9, 0.85), DECIDED))
    assert "Why: the control keeps more at each of these seeds" in explains
    assert "76%" in explains
    no_better = "\n".join(front.why(kept(0.6, 0.58, 0.85), DECIDED))
    assert "does not explain it" in no_better
    assert "not at each of these seeds" in no_better
    assert "Why:" not in no_better
    a_little = "\n".join(front.why(kept(0.6, 0.65, 0.85), DECIDED))
    assert "does not explain it: it keeps more at each of these seeds, and 13%" in a_little
    assert front.why(kept(0.6, 0.9, 0.85).query("condition != 'CycleGAN, equal layouts'"), DECIDED) == []


def test_the_control_is_compared_at_common_seeds():
    measures = kept(0.6, 0.9, 0.85)
    lucky = table({("CycleGAN", "sky kept"): dict.fromkeys(range(6, 15), 1.0)})
    assert front.why(pd.concat([measures, lucky]), DECIDED) == front.why(measures, DECIDED)


# ---------------------------------------------------------------- the front page


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
    assert "all of it below" in front.hidden(row_of(rows, "C3 rider", **rider), measures, DECIDED)[0]
    assert (
        "which reaches"
        in front.hidden(row_of(rows, "C3 rider", **rider | {"high": 0.02}), measures, DECIDED)[0]
    )
    (as_is,) = claims.series_of(measures, "identity", "plates read", "all")
    for share, words in (
        (0.3, "70%: most of them are lost"),
        (0.8, "some are lost"),
        (0.95, "they are kept"),
    ):
        said = front.hidden(row_of(rows, "C5", mean_b=share * as_is), measures, DECIDED)
        assert words in said[-1]
    assert front.hidden(row_of(rows, "C5", mean_b=as_is), measures, DECIDED) == []


def test_a_row_without_numbers_and_a_claim_that_nothing_measures_do_no_harm(shipped):
    measures, rows, _ = shipped
    empty = dict.fromkeys(rows[0]) | {"id": "C1", "claim": "C1", "primary": True, "measure": "judge mIoU"}
    nobody = dict.fromkeys(rows[0]) | {"id": "taste", "claim": "taste", "primary": False}
    empty |= {"class": "all", "verdict": "not measured", "seeds": 0}
    said = front.front([empty, nobody | {"verdict": "not measured"}, *rows[1:]], measures, DECIDED)
    assert next(line for line in said.splitlines() if line.startswith("C1 ")).endswith("not measured")
    assert "taste" not in said


# ---------------------------------------------------------------- the labels


def test_labeled_pixels_are_counted_by_class_and_domain(shipped):
    pixels = report.labeled_pixels(protocol.REFERENCE)
    assert list(pixels) == ["source/test", "target/test"]
    assert len(pixels) == 19
    assert (
        pixels.loc["sky", "source/test"]
        > pixels.loc["sky", "target/test"]
        > pixels.loc["rider", "target/test"]
        > 0
    )
