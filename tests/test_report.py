"""What notebook 06 and the pages build on: seeds that are alike, one difference at a time, tables of verdicts."""

import pandas as pd
import pytest

from semcg import claims, protocol, report
from semcg_kit.evidence import measures_of, pack

DECIDED = protocol.read()


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
        (tmp_path / name).write_text("condition,seed\nCycleGAN,0\nCycleGAN,30\noracle,\n")
    (tmp_path / "ledger.json").write_text("[]")
    measures, _, curves = report.tables(tmp_path, DECIDED)
    assert measures["seed"].dropna().tolist() == curves["seed"].tolist() == [30]
    assert "oracle" in set(measures["condition"]), "it needs no seed"


# ---------------------------------------------------------------- one difference


def test_conditions_are_compared_with_the_one_of_their_kind():
    assert report.pair(DECIDED) == ("CycleGAN", "semantic")
    apart = report.settings_apart(DECIDED)
    assert apart["CycleGAN"] == apart["semantic"] == {}
    assert apart["probabilities x 10"] == {"lambda_s": 10.0, "semantic_loss": "softmax_l2"}
    assert apart["CycleGAN, half skip"] == apart["semantic, half skip"] == {"generator_skip": "half"}
    assert apart["pseudo labels x 1"] == {"semantic_loss": "ce_pseudo"}
    assert "identity" not in apart


# ---------------------------------------------------------------- the pages


def cells(text: str) -> list[list[str]]:
    """The rows of Markdown tables, without their heads."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    lines = [row[0].startswith("---") for row in rows]
    return [row for row, *line in zip(rows, lines, [*lines[1:], False], strict=True) if not any(line)]


def test_the_front_page_has_every_claim_and_each_deciding_row_its_own_p(shipped):
    _, rows, _ = shipped
    named = [row[0] for row in cells(report.claims_table(rows, DECIDED))]
    assert [claim.id for claim in claims.CLAIMS if claim.id in named] == named
    assert set(DECIDED.correction) <= set(named)
    listed = {row[0]: row for row in cells(report.rows_table(rows, DECIDED))}
    assert len([id for id in listed if id.startswith("C")]) <= 20
    beside = {row["id"] for row in rows if "half skip" in row["claim"]}
    for row in rows:
        if row["primary"] and row["p"] is not None and row["id"] not in beside:
            assert listed[row["id"]][5:7] == [f"{row['p']:.4f}", f"{row['p_holm']:.4f}"]


def test_a_verdict_stands_below_where_it_holds(shipped):
    _, rows, _ = shipped
    first = report.rows_table(rows, DECIDED).splitlines()[0]
    assert "128x256" in first
    fewest = min(row["seeds"] for row in rows if row["primary"] and row["seeds"])
    assert f"{fewest} of 12 paired seeds" in first or f"{fewest} to " in first
    assert "GTA5" in first


def test_nothing_depends_on_the_names_of_conditions(shipped):
    """The same evidence with all conditions renamed: the same numbers."""
    _, rows, _ = shipped
    text = DECIDED.model_dump_json(by_alias=True).replace('"CycleGAN', '"Plain')
    other = protocol.Protocol.model_validate_json(text)
    renamed = [
        row | {k: (row[k] or "").replace("CycleGAN", "Plain") for k in ("condition_a", "condition_b")}
        for row in rows
    ]
    first, second = (report.rows_table(*of) for of in ((rows, DECIDED), (renamed, other)))
    assert "Plain" in second
    assert second.replace("Plain", "CycleGAN") == first


def test_the_half_skip_stands_beside_the_same_measure_and_what_goes_beyond_below(shipped):
    _, rows, _ = shipped
    listed = {row[0]: row for row in cells(report.rows_table(rows, DECIDED))}
    twin = next(row for row in rows if row["id"] == "C5, half skip: plates")
    assert listed["C5 plates"][1] == "plates read"
    assert listed["C5 plates"][8] == f"{twin['difference']:+.3f}"
    assert listed["B1 plates"][2] == "0.9"
    assert "semantic recolor: " in listed["B1 plates"][3]
    assert not any(id.startswith("C") and "half" in id for id in listed)


def test_a_row_without_numbers_does_no_harm(shipped):
    _, rows, _ = shipped
    empty = dict.fromkeys(rows[0]) | {"id": "C1", "claim": "C1", "primary": True, "measure": "judge mIoU"}
    empty |= {"class": "all", "verdict": "not measured", "seeds": 0}
    said = report.rows_table([empty, *rows[1:]], DECIDED)
    assert cells(said)[0][7] == "not measured"
    assert "not measured" in report.claims_table([empty, *rows[1:]], DECIDED)


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


# ---------------------------------------------------------------- packed runs


def test_packed_runs_say_what_loose_ones_say(tmp_path):
    for part in ("records", "counts"):
        (tmp_path / part).mkdir()
        for place in [*report.stored(protocol.REFERENCE, part).values()][:4]:
            (tmp_path / part / place.name).write_bytes(place.read_bytes())
    loose, records = measures_of(tmp_path), report.records(tmp_path)
    packed = pack(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [report.PACKED]
    pd.testing.assert_frame_equal(measures_of(tmp_path), loose)
    assert report.records(tmp_path) == records
    first = packed.read_bytes()
    assert pack(tmp_path).read_bytes() == first, "equal runs, equal bytes"
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "later-s3.json").write_text('{"run": "later-s3", "condition": "a", "seed": 3}')
    assert [*report.records(tmp_path)] == sorted([*records, "later-s3"])
