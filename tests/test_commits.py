"""What the report says of the history: which code stood when, from a repository made for the purpose."""

import subprocess
from pathlib import Path

import pytest

from semcg.report import commits

PROTOCOL, LEDGER = commits.PROTOCOL, commits.LEDGER


class Repository:
    """A history of a few commits, each of which writes files."""

    def __init__(self, root: Path):
        self.root = root
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", "-C", str(self.root), *who, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, **written: str) -> str:
        for name, text in written.items():
            path = self.root / name.replace("__", "/").replace("_toml", ".toml").replace("_json", ".json")
            path = path if path.suffix else path.with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def said(self, *commits_of_runs: str) -> str:
        return "\n".join(commits.provenance(commits_of_runs, self.root))


@pytest.fixture
def repository(tmp_path) -> Repository:
    (tmp_path / "there").mkdir()
    return Repository(tmp_path / "there")


def test_code_that_came_after_the_protocol_is_named(repository):
    first = repository.commit(results__protocol_toml="a", semcg__gan="a", semcg__metrics="a")
    trained = repository.commit(semcg__runs__recipes="a")
    repository.commit(semcg__edges="a", semcg__evaluate__parts="a", semcg__world__draw="a")
    repository.commit(results__reference__ledger_json="[]")
    repository.commit(semcg__evaluate__known="a", semcg__metrics="b")
    said = repository.said(trained)
    assert f"the last one {first[:10]}" in said
    assert "no uncommitted changes" in said
    assert "every training contains that last change" in said
    before, after = said.split("from the trainings")
    assert "what trains: nothing" in before
    assert "what measures: nothing" in before
    assert "what does neither: runs 1" in before
    assert "what trains: world 1" in after
    assert "what measures: edges 1, evaluate 2, metrics 1" in after
    assert "3 of the 4 files of the measuring code were first committed after the protocol" in said
    assert (
        f"3 of the 4 files of the measuring code were first committed after the trainings' code ({trained[:10]})"
        in said
    )
    assert "edges.py, evaluate/known.py, evaluate/parts.py" in said
    assert "after it came evaluate/known.py" in said
    assert "changed after that ledger: metrics.py" in said


def test_code_that_was_there_before_is_said_to_be(repository):
    repository.commit(semcg__metrics="a", semcg__gan="a")
    trained = repository.commit(results__protocol_toml="a")
    said = repository.said(trained)
    assert "0 of the 1 files of the measuring code were first committed after the protocol" in said
    assert "NOTE" not in said


def test_a_protocol_that_was_changed_later_is_noted(repository):
    trained = repository.commit(results__protocol_toml="a", semcg__gan="a")
    last = repository.commit(results__protocol_toml="b")
    said = repository.said(trained, last)
    assert "commits 2" in said
    assert f"NOTE: trainings of {trained[:10]} began before that last change" in said
    (repository.root / PROTOCOL).write_text("c")
    assert "uncommitted changes NOW" in repository.said(trained)


def test_an_unknown_commit_is_said_to_be_unknown(repository):
    repository.commit(results__protocol_toml="a")
    said = repository.said("0123456789abcdef0123456789abcdef01234567")
    assert "commit 0123456789 is not in this clone" in said
    assert "every training contains" not in said


def test_without_git_or_history_nothing_is_claimed(repository, tmp_path, monkeypatch):
    trained = repository.commit(results__protocol_toml="a")
    (tmp_path / "unpacked").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert "an unpacked download has none" in commits.provenance([trained], tmp_path / "unpacked")[-1]
    monkeypatch.setenv("PATH", "")
    assert "no git" in commits.provenance([trained], repository.root)[-1]
