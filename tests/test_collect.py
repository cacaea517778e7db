"""Evidence goes run by run to its protocol: only a committed protocol's, only its own runs, and a finished task stays finished."""

import subprocess

import pytest

from semcg import canary, files
from semcg.protocol import read
from semcg.runs.checkpoint import sha256
from semcg_kit.evidence import tables
from semcg_kit.evidence.collect import collect, committed, is_collected
from semcg_kit.sweep import plan

TEXT = """
profile = "smoke"
development_seeds = [0]
seeds = [5, 6]
least_seeds = 2
alpha = 0.05
correction = []
test_frames = "aa"
settings = { precision = "fp32", steps = 3 }
rows = []
[conditions."identity"]
translates = false
[conditions."CycleGAN"]
lambda_s = 0.0
[conditions."long"]
lambda_s = 0.0
steps = 7
learns = false
"""


@pytest.fixture
def protocol(tmp_path):
    """A committed protocol."""
    path = tmp_path / "evidence-of" / "protocol.toml"
    files.write_text(path, TEXT)
    git(path, "init", "-q")
    commit(path)
    return path


def git(path, *arguments):
    named = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", "-C", str(path.parent), *named, *arguments], check=True, capture_output=True
    )
    return done.stdout.decode().strip()


def commit(path):
    git(path, "add", "-A")
    git(path, "commit", "-qm", "protocol")


def measured(folder, run, condition, seed, data="aa"):
    """Write what a sweep would have measured."""
    files.write_text(folder / "counts" / f"{run}.csv", "part,item,key,value\n")
    counts = sha256(folder / "counts" / f"{run}.csv")
    record = {"run": run, "condition": condition, "seed": seed, "data": data, "counts": counts}
    files.write_json(folder / "records" / f"{run}.json", record)


def test_a_run_is_copied_once_with_commit_digest_and_date(protocol, tmp_path):
    own = tmp_path / "evidence"
    measured(own, "cyclegan-s5", "CycleGAN", 5)
    measured(own, "oracle", "oracle", None)
    measured(own, "cyclegan-s7", "CycleGAN", 7)  # no seed of the protocol
    measured(own, "other-s5", "other", 5)
    rows = "".join(f"{n},{n / 4}\n" for n in range(1, 61))
    files.write_text(own.parent / "cyclegan-s5" / "history.csv", "step,gan\n" + rows)
    assert collect(protocol, own) == ["cyclegan-s5", "oracle"]
    curve = (protocol.parent / "curves" / "cyclegan-s5.csv").read_text()
    assert curve == "step,term,value\n50,gan,6.375\n60,gan,13.875\n", (
        "means of fifty steps and of the last ten"
    )
    record = files.read_json(protocol.parent / "records" / "cyclegan-s5.json")
    assert record["protocol"] == committed(protocol)
    assert record["protocol"]["commit"] == git(protocol, "rev-parse", "HEAD")
    assert record["date"][:2] == "20"
    assert len(record["date"]) == 10
    assert (protocol.parent / "counts" / "cyclegan-s5.csv").read_text() == "part,item,key,value\n"
    assert collect(protocol, own) == []


def test_a_protocol_that_can_still_change_is_refused(protocol, tmp_path):
    files.write_text(protocol, TEXT + "# changed\n")
    with pytest.raises(ValueError, match="not committed as it is"):
        collect(protocol, tmp_path / "evidence")


def test_frames_or_code_that_the_protocol_does_not_name_are_refused(protocol, tmp_path):
    own = tmp_path / "evidence"
    measured(own, "cyclegan-s5", "CycleGAN", 5, data="bb")
    with pytest.raises(ValueError, match="measured on the frames bb, not on the protocol's aa"):
        collect(protocol, own)
    files.write_text(protocol, TEXT.replace("rows = []", 'rows = []\nstages = { world = "world-0" }'))
    commit(protocol)
    with pytest.raises(ValueError, match="world: the protocol names world-0, here it is world-1"):
        collect(protocol, own)


def test_a_task_is_finished_when_all_its_records_are_there(protocol, tmp_path):
    own, tasks = tmp_path / "evidence", plan.tasks(read(protocol), kept_with=protocol, seeds=[5])
    identity, cyclegan, long = tasks
    measured(own, "downstream-identity-s5", "identity", 5)
    measured(own, "cyclegan-s5", "CycleGAN", 5)
    collect(protocol, own)
    assert [is_collected(task, protocol.parent) for task in tasks] == [True, False, False]
    assert plan.finished(identity)
    assert not plan.finished(cyclegan)
    measured(own, "downstream-CycleGAN-s5", "CycleGAN", 5)
    collect(protocol, own)
    assert plan.finished(cyclegan)
    assert not plan.finished(long)
    assert (plan.config_of(cyclegan).steps, plan.config_of(long).steps) == (3, 7), (
        "a condition's own number wins"
    )


def test_another_profile_or_data_have_their_own_numbers_and_folder(protocol):
    """The settings of a protocol at mini are not those of the paper's size, and its folder takes its own frames only."""
    decided = read(protocol)
    assert (
        plan.settings_at(decided, "")
        == plan.settings_at(decided, "smoke")
        == {"precision": "fp32", "steps": 3}
    )
    assert plan.settings_at(decided, "paper") == {}
    (first, *_) = plan.tasks(decided, profile="paper", data="mine")
    assert plan.config_of(first).steps == 0, "the epochs of the paper"
    assert plan.keeps(decided, "", "")
    assert not plan.keeps(decided, "paper", "")
    assert not plan.keeps(decided, "", "mine")


def test_the_protocol_names_this_code_and_fresh_seeds():
    decided = read()
    assert min(decided.seeds) >= 30
    assert len(decided.seeds) == 12
    assert decided.stages == {stage: canary.version(stage) for stage in decided.stages}
    assert not {"paper", "ours"} & {word for c in decided.conditions for word in c.name.split()}
    assert {row.claim for row in decided.rows if row.bar is not None} == {"B1", "B8"}
    further = {row.claim for row in decided.rows} - {"C10", *decided.correction}
    assert further | {"C8b"} == decided.hypotheses.keys()


def test_records_of_another_protocol_frames_or_history_are_found(protocol, tmp_path, monkeypatch):
    own, decided = tmp_path / "evidence", read(protocol)
    measured(own, "cyclegan-s5", "CycleGAN", 5)
    collect(protocol, own)
    monkeypatch.setattr(tables, "_verified_runs", lambda folder: "runs")
    for name in ("runs.csv", "measures.csv", "curves.csv", "ledger.json"):
        files.write_text(protocol.parent / name, "")
    files.write_json(protocol.parent / "digests.json", {})
    record = protocol.parent / "records" / "cyclegan-s5.json"
    kept = files.read_json(record)

    def second_line():
        lines = tables.verify(protocol.parent, decided, path=protocol)
        return [next(lines), next(lines)][1]

    assert second_line().startswith("protocol: every record names the committed protocol.toml")
    other = kept["protocol"] | {"sha256": "0"}
    for change, said in (
        ({"protocol": other}, "names another protocol"),
        ({"data": "bb"}, "measured on other frames"),
        ({"protocol": kept["protocol"] | {"commit": "0" * 40}}, "is not in the history"),
    ):
        files.write_json(record, kept | change)
        with pytest.raises(ValueError, match=said):
            second_line()
    files.write_json(record, {name: value for name, value in kept.items() if name != "date"})
    with pytest.raises(ValueError, match="has no date"):
        second_line()


def test_hours_are_estimated_from_steps_and_their_time(protocol, monkeypatch):
    monkeypatch.setattr(
        plan.budget, "timed", lambda stage, fabric: 2.0 if stage.kind == "translation" else 1.0
    )
    todo = plan.tasks(read(protocol), kept_with=protocol)
    learned = 4 * plan.config_of(todo[0]).downstream_steps * 1.0  # identity and CycleGAN at two seeds
    translated = 2 * (3 + 7) * 2.0
    assert plan.estimate_seconds(todo, "cpu") == pytest.approx(25.0 * len(todo) + learned + translated)
