"""The protocol: the committed one holds together, and a mistake in one is named by its key."""

import re

import pytest

from semcg import protocol

GOOD = """
profile = "smoke"
development_seeds = [0]
seeds = [3, 4]
least_seeds = 2
alpha = 0.05
correction = ["C1"]
[conditions."CycleGAN"]
lambda_s = 0.0
[conditions."semantic"]
lambda_s = 1.0
semantic_loss = "scores_l2"
seeds = [4]
[few]
seeds = [3]
learns = false
[few.conditions."lambda_s 3"]
lambda_s = 3.0
[few.conditions."learns after all"]
learns = true
[[rows]]
id = "C1 cars"
claim = "C1"
primary = true
measure = "judge IoU"
class = "car"
a = "CycleGAN"
b = "semantic"
better = "higher"
smallest_effect = 0.01
margin = { share = 0.1, of = "CycleGAN" }
[curve]
claim = "C9"
points = ["CycleGAN", "lambda_s 3"]
weights = [0.0, 3.0]
chosen = "lambda_s 3"
measures = ["judge mIoU"]
"""


def read(tmp_path, text: str) -> protocol.Protocol:
    path = tmp_path / "p.toml"
    path.write_text(text)
    return protocol.read(path)


def test_conditions_keep_their_order_their_parameters_and_their_seeds(tmp_path):
    p = read(tmp_path, GOOD)
    assert [(c.name, c.parameters, c.seeds, c.exploratory) for c in p.conditions] == [
        ("CycleGAN", {"lambda_s": 0.0}, (3, 4), False),
        ("semantic", {"lambda_s": 1.0, "semantic_loss": "scores_l2"}, (4,), False),
        ("lambda_s 3", {"learns": False, "lambda_s": 3.0}, (3,), True),
        ("learns after all", {"learns": True}, (3,), True),
    ]
    (row,) = p.rows
    assert (row.of_class, row.margin.share, row.better) == ("car", 0.1, "higher")
    assert p.cost is None
    assert p.curve.chosen == "lambda_s 3"
    with pytest.raises(ValueError, match=r"condition 'x': not in the protocol; there are CycleGAN, semantic"):
        p.condition("x")


def test_it_cannot_be_changed_after_it_was_read(tmp_path):
    p = read(tmp_path, GOOD)
    with pytest.raises(ValueError, match="frozen"):
        p.alpha = 0.5
    with pytest.raises(ValueError, match="frozen"):
        p.rows[0].b = "CycleGAN"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("alpha = 0.05", "alpha = 5", "alpha = 5: input should be less than 1"),
        ("alpha = 0.05", "", "alpha: missing"),
        ("alpha = 0.05", "alpha = 0.05\nbeta = 1", "beta = 1: no such key"),
        ("seeds = [3, 4]", 'seeds = [3, "4"]', r"seeds.1 = '4': input should be a valid integer"),
        ("seeds = [3, 4]", "seeds = [3, 3]", "seeds: 3 occurs 2 times"),
        ("development_seeds = [0]", "development_seeds = [3]", r"conditions.CycleGAN.seeds: \[3\] were looked at"),
        ('b = "semantic"', 'b = "another"', "rows.C1 cars.b = 'another': no main condition; there are"),
        ('b = "semantic"', 'b = "lambda_s 3"', "rows.C1 cars.b = 'lambda_s 3': no main condition"),
        ('of = "CycleGAN"', 'of = "nothing"', "rows.C1 cars.margin.of = 'nothing'"),
        ('better = "higher"', 'better = "more"', "rows.C1 cars.better = 'more': input should be 'higher' or 'lower'"),
        ('class = "car"', "", "rows.C1 cars.class: missing"),
        ("smallest_effect = 0.01", "smallest_effect = -1", "rows.C1 cars.smallest_effect = -1"),
        ("smallest_effect = 0.01", "smallest_effect = nan", "rows.C1 cars.smallest_effect = nan"),
        ('correction = ["C1"]', 'correction = ["C2"]', "correction: C2 has no primary row"),
        ('correction = ["C1"]', "correction = []", "correction: C1 has a primary row and is not in it"),
        ("lambda_s = 1.0", "lambda_s = [1.0]", r"conditions.semantic.lambda_s = \[1.0\]"),
        ("lambda_s = 3.0", "lambda_s = {}", "few.conditions.lambda_s 3.lambda_s = {}"),
        ("seeds = [4]", "seeds = [4, 4]", r"conditions.semantic.seeds = \[4, 4\]: a seed occurs twice"),
        ("seeds = [3]\n", "", "few.seeds: missing"),
        ('[few.conditions."lambda_s 3"]', '[few.conditions."CycleGAN"]', "conditions: 'CycleGAN' occurs 2 times"),
        ("weights = [0.0, 3.0]", "weights = [0.0]", "curve.weights: 1 for 2 points"),
        ('chosen = "lambda_s 3"', 'chosen = "CycleGun"', "curve.chosen = 'CycleGun': not one of curve.points"),
        ('points = ["CycleGAN", ', 'points = ["CycleGun", ', "curve.points: no condition 'CycleGun'"),
        ("[curve]", '[cost]\nclaim = "C7"\na = "x"\nb = "CycleGAN"\nratio = 2\nrounds = 2\n[curve]', "cost.a = 'x'"),
        ("alpha = 0.05", "alpha = ", "is not TOML"),
        ("alpha = 0.05", f"alpha = {'[' * 100_000}", "is not TOML"),
        ('[few.conditions."lambda_s 3"]', "[[few.conditions]]", "few.conditions: must be a table, got"),
        ('[conditions."CycleGAN"]', "[[conditions]]", "conditions: must be a table, got"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_its_key_and_file(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(ValueError, match=words) as raised:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert all(line.startswith(str(tmp_path / "p.toml")) for line in str(raised.value).splitlines()[:1])
    assert not re.search(r"pydantic|For further information", str(raised.value))


def test_a_mark_of_the_byte_order_is_passed_over(tmp_path):
    """Some editors write one."""
    assert read(tmp_path, "\ufeff" + GOOD) == read(tmp_path, GOOD)


def test_no_file_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no protocol .*none.toml"):
        protocol.read(tmp_path / "none.toml")


def test_the_committed_protocol_holds_together():
    p = protocol.read()
    assert {"CycleGAN", "semantic", "semantic recolor"} <= {c.name for c in p.conditions if not c.exploratory}
    assert len(p.seeds) >= p.least_seeds
    assert {row.claim for row in p.rows if row.primary} == {
        claim for family in (p.correction, *p.families.values()) for claim in family
    }
