"""What the history of this repository says of an evidence folder: what stood when, and what changed since.

Everything is asked of git when the report is executed. Where there is no git, or no history (an unpacked download),
that is what is said.
"""

import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from semcg.protocol import DEFAULT

__all__ = ["MEASURES", "TRAINS", "provenance"]

PROTOCOL = "results/protocol.toml"
LEDGER = "results/reference/ledger.json"
TRAINS = ("labels", "config", "world", "data", "segmenters", "gan", "losses", "training")
"""Rooms of the package that decide what a training ends with."""
MEASURES = (
    *("metrics", "edges", "distances", "reader", "statistics", "evaluate", "translate", "claims"),
    *("runs/measuring", "runs/evidence"),
)
"""Rooms, and modules of `runs`, that turn a trained generator into numbers and verdicts."""


class _Git:
    """Questions to the history of the repository at `root`."""

    def __init__(self, root: Path):
        self.root = root

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess | None:
        if shutil.which("git") is None:
            return None
        return subprocess.run(["git", "-C", str(self.root), *arguments], capture_output=True, text=True)

    def lines(self, *arguments: str) -> list[str]:
        """Return what git prints, line by line; nothing if it fails."""
        done = self(*arguments)
        return done.stdout.splitlines() if done and done.returncode == 0 else []

    def commits(self, *arguments: str) -> list[tuple[str, str]]:
        """Return (hash, date) of the commits that `git log` lists, newest first."""
        listed = self.lines("log", "--format=%H %cd", "--date=format:%Y-%m-%d %H:%M", *arguments)
        return [tuple(line.split(" ", 1)) for line in listed]

    def knows(self, commit: str) -> bool:
        return bool(self.lines("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"))

    def follows(self, later: str, earlier: str) -> bool:
        """Tell whether `later` is `earlier` or has it among its ancestors."""
        done = self("merge-base", "--is-ancestor", earlier, later)
        return done is not None and done.returncode == 0

    def changed(self, a: str, b: str) -> list[str]:
        """Return the files of the package that differ between two commits, relative to it."""
        found = self.lines("diff", "--name-only", "--no-renames", a, b, "--", "semcg")
        return [name.removeprefix("semcg/") for name in found]

    def added(self, *arguments: str) -> dict[str, str]:
        """Return file -> hash of the commit that first had it, for the files that `git log` lists."""
        found, commit = {}, ""
        asked = ("log", "--diff-filter=A", "--no-renames", "--name-only", "--format=commit %H")
        for line in self.lines(*asked, *arguments):
            if line.startswith("commit "):
                commit = line.split()[1]
            elif line:
                found[line] = commit
        return found


def provenance(folder: Path, root: Path = DEFAULT.parent.parent) -> list[str]:
    """Return lines on the commits of protocol, trainings and measuring code, and on what changed between them.

    Parameters
    ----------
    folder : path
        Of the evidence; its runs.csv names the commit of each training.
    root : path
        Of the repository.
    """
    runs = pd.read_csv(folder / "runs.csv")
    trained = runs[runs["commit"].notna()]
    commits = list(map(str, trained["commit"].unique()))
    dirty = int(trained["uncommitted_changes"].astype(str).eq("True").sum())
    said = [
        f"{len(trained)} trainings from the commits {', '.join(c[:10] for c in commits) or '(none is named)'}",
        f"{dirty} of them with uncommitted changes",
    ]
    for column, what in (("device", "devices"), ("torch", "torch"), ("precision", "precision")):
        said.append(f"{what}: {', '.join(sorted(map(str, trained[column].dropna().unique())))}")
    git = _Git(root)
    wrote = git.commits("--", PROTOCOL)
    if not wrote:
        return [
            *said,
            "no git, or no clone with its history (an unpacked download has none): when the protocol was written and "
            "what was changed after it cannot be said",
        ]
    known = [c for c in commits if git.knows(c)]
    if missing := [c[:10] for c in commits if c not in known]:
        said.append(f"of the commits {', '.join(missing)} this clone knows nothing: nothing is said of them")
    return said + _protocol(git, wrote, known) + _code(git, wrote, known)


def _protocol(git: _Git, wrote: Sequence[tuple[str, str]], commits: Sequence[str]) -> list[str]:
    latest, date = wrote[0]
    said = [
        f"{PROTOCOL}: {_plural(len(wrote), 'commit')} touched it, the last one {latest[:10]} of {date}",
        "it has uncommitted changes NOW: verdicts below may follow from another protocol"
        if git.lines("status", "--porcelain", "--", PROTOCOL)
        else "it has no uncommitted changes",
    ]
    before = [c for c in commits if not git.follows(c, latest)]
    if before:
        said.append(f"NOTE: trainings of {', '.join(c[:10] for c in before)} began before that last change")
    elif commits:
        said.append(
            "the code of every training contains that last change: no later commit touched the protocol"
        )
    return said


def _code(git: _Git, wrote: Sequence[tuple[str, str]], commits: Sequence[str]) -> list[str]:
    """Return which rooms changed between protocol, trainings and now, and when the measuring code came."""
    said, (protocol, _) = [], wrote[0]
    for commit in commits:
        for a, b, words in (
            (protocol, commit, f"from the protocol ({protocol[:10]}) to the trainings ({commit[:10]})"),
            (commit, "HEAD", f"from the trainings ({commit[:10]}) to this commit"),
        ):
            said.append(f"code changed {words}:")
            said += [f"  {line}" for line in _by_purpose(git.changed(a, b))]
    return said + _measuring(git, protocol, commits)


def _by_purpose(changed: Sequence[str]) -> list[str]:
    """Return a line for the files that train, that measure, and for all others: room and number of files."""
    kinds: dict[str, list[str]] = {"trains": [], "measures": [], "does neither": []}
    for name in changed:
        kind = (
            "trains" if _within(name, TRAINS) else "measures" if _within(name, MEASURES) else "does neither"
        )
        kinds[kind].append(name.partition("/")[0].removesuffix(".py"))
    said = []
    for kind, rooms in kinds.items():
        counted = ", ".join(f"{room} {n}" for room, n in sorted(Counter(rooms).items()))
        said.append(f"what {kind}: {counted or 'nothing'}{' (room and number of files)' if counted else ''}")
    return said


def _within(name: str, rooms: Sequence[str]) -> bool:
    return any(name == f"{room}.py" or name.startswith(f"{room}/") for room in rooms)


def _measuring(git: _Git, protocol: str, commits: Sequence[str]) -> list[str]:
    """Say which measuring files were first committed after protocol and trainings, and which after the first ledger."""
    paths = [f"semcg/{room}{end}" for room in MEASURES for end in ("", ".py")]
    there = git.lines("ls-tree", "-r", "--name-only", "HEAD", "--", *paths)
    named: dict[str, list[str]] = {}  # the files that came later -> later than what
    when: dict[str, str] = {}
    for what, since in (
        ("the protocol", protocol),
        *((f"the trainings' code ({c[:10]})", c) for c in commits),
    ):
        came = {n: c for n, c in git.added(f"{since}..HEAD", "--", *paths).items() if n in there}
        named.setdefault("\n".join(sorted(came)), []).append(what)
        when |= came
    said = []
    for those, later_than in named.items():
        what = " and ".join(later_than)
        if not those:
            said.append(
                f"all {len(there)} files of the measuring code were first committed with or before {what}"
            )
            continue
        files = those.splitlines()
        said.append(
            f"NOTE: {len(files)} of the {len(there)} files of the measuring code were first committed after {what}: "
            + _short(files)
        )
    if not when:
        return said
    said.append("so what is measured was named before, and how it is computed was first committed after;")
    said.append("that nobody had looked at a result by then, a history cannot show")
    if not (ledgers := git.commits("--diff-filter=A", "--", LEDGER)):
        return [*said, "no ledger was ever committed here: before or after it cannot be said"]
    ledger, date = ledgers[-1]
    late = [n for n, c in when.items() if not git.follows(ledger, c)]
    changed = [n for n in git.lines("diff", "--name-only", ledger, "HEAD", "--", *paths) if n not in late]
    said.append(
        f"the first ledger was committed in {ledger[:10]} of {date}: {len(when) - len(late)} of these files came before it"
        + (f", after it {_short(late)}" if late else "")
    )
    said.append(f"changed after that ledger: {_short(changed) or 'none of the others'}")
    return said


def _short(names: Sequence[str]) -> str:
    return ", ".join(name.removeprefix("semcg/") for name in sorted(names))


def _plural(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")
