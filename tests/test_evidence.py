"""What is shipped: every number follows from the counts beside it, and the front page says what the ledger says."""

import io
import json
import lzma
import re
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from notebooks.exercises import teaching
from semcg import claims, config, evaluate, protocol, report
from semcg_kit import evidence
from semcg_kit.evidence.oracles import ORACLES
from semcg_kit.execution import course

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "results" / "reference"
DECIDED = protocol.read()


@pytest.fixture
def copied(tmp_path) -> Path:
    """The shipped evidence, free to be spoiled: unpacked."""
    folder = tmp_path / "evidence"
    shutil.copytree(REFERENCE, folder)
    with lzma.open(folder / report.PACKED) as whole, zipfile.ZipFile(io.BytesIO(whole.read())) as packed:
        packed.extractall(folder)
    (folder / report.PACKED).unlink()
    evidence.seal(folder)
    return folder


def test_every_shipped_number_follows_from_its_counts():
    lines = list(evidence.verify(REFERENCE, DECIDED))
    assert [line.split()[0] for line in lines] == [
        "counts",
        "protocol:",
        "measures:",
        "ledger:",
        "files:",
        "cost:",
        "code:",
    ]


def one_line(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_first_broken_link_is_named(copied):
    def broken() -> str:
        with pytest.raises(ValueError, match=".") as error:
            list(evidence.verify(copied, DECIDED))
        return str(error.value)

    rows = json.loads((copied / "ledger.json").read_text())
    rows[0]["verdict"] = "holds here" if rows[0]["verdict"] != "holds here" else "does not hold here"
    (copied / "ledger.json").write_text(json.dumps(rows))
    assert f"ledger.json, {rows[0]['id']}, verdict" in broken()

    table = pd.read_csv(copied / "measures.csv", dtype={"seed": "Int64"})
    table.loc[3, "value"] += 0.01
    table.to_csv(copied / "measures.csv", index=False)
    assert f", {table.loc[3, 'run']}, {table.loc[3, 'measure']}, {table.loc[3, 'class']}, value: " in broken()

    counts = sorted((copied / "counts").glob("cyclegan-*.csv"))[0]
    counts.write_text(counts.read_text().replace("judge,road,road,", "judge,road,road,1", 1))
    assert f"{counts.name} is not what its record" in broken()
    counts.unlink()
    assert f"counts/{counts.name} is missing" in broken()
    (copied / "runs.csv").unlink()
    assert "lacks runs.csv" in broken()


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory) -> Path:
    """What a sweep keeps of two runs, and its tables."""
    folder = tmp_path_factory.mktemp("evidence")
    for part, ending in (("records", "json"), ("counts", "csv")):
        (folder / part).mkdir()
        for run in ("cyclegan-s30", "identity"):
            whole = report.stored(REFERENCE, part)[run].read_bytes()
            (folder / part / f"{run}.{ending}").write_bytes(whole)
    shutil.copy(REFERENCE / "cost.json", folder)
    evidence.gather(folder, DECIDED)
    return folder


@pytest.fixture
def own(tmp_path, two_runs) -> Path:
    """The same, free to be spoiled."""
    return shutil.copytree(two_runs, tmp_path / "own")


def test_a_changed_count_is_in_no_verdict(own):
    one_line(own / "counts" / "identity.csv", "judge,road,road,", "judge,road,road,1")
    with pytest.raises(ValueError, match=r"identity\.csv is not what its record says.* measures it again"):
        evidence.gather(own, DECIDED)
    (own / "counts" / "identity.csv").unlink()
    with pytest.raises(ValueError, match=r"counts/identity\.csv is missing"):
        evidence.gather(own, DECIDED)


WRONG = [b"", b"[]", b"{}", b"null", b"\xff\xfe\x00", b"[" * 100_000]
"""What is in no file that semcg writes."""


@pytest.mark.parametrize("content", [*WRONG, b'{"run": "identity", "condition": [], "seed": null}'])
def test_a_damaged_record_counts_as_not_stored_and_is_named(own, content, caplog):
    (own / "records" / "identity.json").write_bytes(content)
    evidence.gather(own, DECIDED)
    assert set(pd.read_csv(own / "measures.csv")["run"]) == {"cyclegan-s30"}
    assert "identity.json is damaged" in caplog.text


def test_other_files_beside_records_are_passed_over(own, caplog):
    for name in (".DS_Store", ".identity.12-ab.partial.json", "identity.json~", "Thumbs.db"):
        (own / "records" / name).write_bytes(b"\x00\xff")
    evidence.gather(own, DECIDED)
    assert set(pd.read_csv(own / "measures.csv")["run"]) == {"cyclegan-s30", "identity"}
    assert not caplog.text


READERS = {
    "cost.json": lambda folder: evidence.gather(folder, DECIDED),
    "digests.json": lambda folder: evidence.seal(folder, []),
    "runs.csv": report.labeled_pixels,
    **dict.fromkeys(("measures.csv", "curves.csv", "ledger.json"), lambda f: report.tables(f, DECIDED)),
}


@pytest.mark.parametrize("content", [b"", b"null", b"\xff\xfe\x00", b"[" * 100_000])
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_table_is_named(own, name, content):
    (own / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        READERS[name](own)


def test_a_history_without_a_row_has_no_curve(tmp_path):
    (tmp_path / "history.csv").write_text("")
    assert evidence.tables.binned(tmp_path / "history.csv").empty


def test_gathering_again_gives_the_same_tables(copied):
    before = {name: (copied / name).read_bytes() for name in ("measures.csv", "runs.csv")}
    rows = evidence.gather(copied, DECIDED)
    assert {name: (copied / name).read_bytes() for name in before} == before
    assert [row["id"] for row in rows][: len(DECIDED.rows)] == [row.id for row in DECIDED.rows]


def test_the_pages_say_what_the_ledger_says():
    """The README has a line per claim, docs/results.md a line per row."""
    _, rows, _ = report.tables(REFERENCE, DECIDED)
    short = f"{report.limits(rows, DECIDED)}\n\n{report.claims_table(rows, DECIDED)}"
    for name, shown in ("README.md", short), (teaching.RESULTS, report.rows_table(rows, DECIDED)):
        page = (ROOT / name).read_text(encoding="utf-8")
        assert teaching.between(page, f"{shown}\n", teaching.LEDGER) == page, "run: semcg ship"


def test_the_axis_of_each_measure_has_its_ends():
    """Identity and oracle stand on every measure that has a best and a worst end."""
    measures, _, _ = report.tables(REFERENCE, DECIDED)

    def value(condition: str, measure: str) -> float:
        (found,) = claims.values_of(measures, condition, measure, "all")
        return found

    for measure in ("judge mIoU", "second judge mIoU", "sky kept", "boundary F", "plates read"):
        assert value("oracle", measure) > value("identity", measure), measure
    for measure in ("KID",):
        assert value("oracle", measure) < value("identity", measure)


def test_development_seeds_are_in_no_shipped_run():
    runs = pd.read_csv(REFERENCE / "runs.csv")
    assert not set(runs["seed"].dropna()) & set(DECIDED.development_seeds)
    assert not runs["uncommitted_changes"].dropna().astype(str).eq("True").any()


def test_counts_are_a_round_trip(tmp_path):
    for place in [*report.stored(REFERENCE, "counts").values()][:3]:
        evaluate.parts.write_parts(tmp_path / "again.csv", evaluate.read_parts(place))
        assert (tmp_path / "again.csv").read_bytes() == place.read_bytes()


def test_each_measure_orders_what_is_known_as_it_should():
    """On the shipped judges: the perfect answer first, each spoiled one where its fault lies."""
    measures, _, _ = report.tables(REFERENCE, DECIDED)
    rows = measures[(measures["class"] == "all") & measures["seed"].isna()]
    at = rows.pivot(index="condition", columns="measure", values="value")
    best, soft, softer, checkered, swapped, shuffled = ORACLES
    for m in ("judge mIoU", "second judge mIoU", "boundary F"):
        assert at[m][best] > max(at[m][softer], at[m][swapped], at[m][shuffled], at[m]["identity"]), m
    assert at["sky kept"][best] > at["sky kept"][shuffled] > at["sky kept"][swapped]
    assert at["plates read"][best] > at["plates read"][softer] > at["plates read"][shuffled]
    assert (
        at["edge width"]["identity"]
        == 1
        < at["edge width"][best]
        < at["edge width"][soft]
        < at["edge width"][softer]
    )
    assert at["grid index"][checkered] > 10 * max(at["grid index"][best], at["grid index"][soft])
    assert at["KID"][best] == pytest.approx(at["KID"][shuffled], abs=1e-6)
    assert at["KID"][best] < at["KID"]["identity"]
    assert (
        at["oracle L1"][best]
        == 0
        < at["oracle L1"][soft]
        < at["oracle L1"][softer]
        < at["oracle L1"][shuffled]
    )


def test_the_report_is_what_its_notebook_says(home):
    """Executed anew; the figures are those that were written with the page."""
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    assert all((ROOT / "docs" / name).is_file() for name in re.findall(r"\]\((figures[^)]+)", text))
    given = config.make("mini"), {"evidence": "reference"}
    course.run(course.REPORT, *given, say=lambda line: None)
    executed = course.output_of(course.REPORT, *given)
    assert teaching.markdown(executed, home / "page").read_text(encoding="utf-8") == text, "run: make report"


def test_ledger_tells_data_without_a_measure_from_conditions_not_measured(monkeypatch, tmp_path, capsys):
    from semcg_kit.commands import evidence as commands
    from semcg_kit.evidence import measuring

    def row(name, measure, a, b, seeds, verdict="not measured", of="all"):
        sides = {"condition_a": a, "condition_b": b, "class": of}
        return {"id": name, "claim": name, "measure": measure, "seeds": seeds, "verdict": verdict} | sides

    rows = [
        row("C1", "judge mIoU", "CycleGAN", "semantic", 2, "undecided (2 seeds)"),
        row("C2", "judge IoU", "CycleGAN", "semantic", 0, of="traffic sign"),
        row("C5", "plates read", "CycleGAN", "semantic", 0),
        row("B1", "plates read", "0.9", "semantic recolor", 0),
        row("C7", "seconds per step, ratio", "CycleGAN", "semantic", None),
    ]
    made = config.make("smoke", precision="fp32")
    monkeypatch.setattr(commands, "_evidence", lambda *_: (DECIDED, made, tmp_path))
    monkeypatch.setattr(measuring, "write_floor", lambda *_: False)
    monkeypatch.setattr(evidence, "gather", lambda *_, **__: rows)
    monkeypatch.setattr(claims, "claim_verdict", lambda *_: "")
    commands.ledger()
    said = capsys.readouterr().out
    assert "undecided (2 seeds)" in said
    assert "no value of: judge IoU (traffic sign), plates read\n" in said
    assert "not measured here: 1\n" in said
