"""What the history of this repository says of an evidence folder: what was committed when, and what changed since.

Everything is asked of git when the report is executed. Where there is no git, or no history (an unpacked download),
that is what is printed.
"""

import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from semcg.protocol import DEFAULT

__all__ = ["MEASURES", "TRAINS", "provenance"]

PROTOCOL = "results/protocol.toml"
LEDGER = "results/reference/ledger.json"
TRAINS = ("labels", "config", "world", "data", "segmenters", "gan", "losses", "training")
TRAINS += ("devices", "published")
"""Modules of the package that decide what a training ends with."""
MEASURES = ("metrics", "edges", "distances", "reader", "statistics", "evaluate", "translate", "claims")
MEASURES += ("cost", "semcg_kit/evidence/measuring", "semcg_kit/evidence/tables")
MEASURES += ("runs/measuring", "runs/evidence")
"""Modules that turn a trained generator into numbers and verdicts."""
_PATHS = [
    f"semcg/{m}{end}".replace("semcg/semcg_kit/", "semcg_kit/") for m in MEASURES for end in ("", ".py")
]


def provenance(commits: Sequence[str], root: Path = DEFAULT.parent.parent) -> list[str]:
    """Return lines on the commits of protocol, trainings and measuring code, and on what changed between them.

    Parameters
    ----------
    commits : sequence of str
        That the trainings ran from.
    root : path
        Of the repository.
    """
    git = partial(_git, root)
    wrote = _log(git, "--", PROTOCOL)
    if not wrote:
        return ["no git, or no history here (an unpacked download has none): what came first cannot be said"]
    protocol, date = wrote[0]
    known = [c for c in commits if git("rev-parse", "--verify", "--quiet", f"{c}^{{commit}}")]
    before = [c for c in known if protocol not in git("rev-list", c)]
    lines = [f"commit {c[:10]} is not in this clone" for c in commits if c not in known]
    state = "uncommitted changes NOW: verdicts below may follow from another protocol"
    if not git("status", "--porcelain", "--", PROTOCOL):
        state = "no uncommitted changes"
    lines.append(f"{PROTOCOL}: commits {len(wrote)}, the last one {protocol[:10]} of {date}; {state}")
    lines += [f"NOTE: trainings of {c[:10]} began before that last change" for c in before]
    if known and not before:
        lines.append("every training contains that last change: no later commit touched the protocol")
    for commit in known:
        lines.append(f"code changed from the protocol ({protocol[:10]}) to the trainings ({commit[:10]}):")
        lines += _by_purpose(_changed(git, protocol, commit, "semcg", *_PATHS))
        lines.append(f"code changed from the trainings ({commit[:10]}) to this commit:")
        lines += _by_purpose(_changed(git, commit, "HEAD", "semcg", *_PATHS))
    since = {"the protocol": protocol} | {f"the trainings' code ({c[:10]})": c for c in known}
    return lines + _measuring(git, since)


def _git(root: Path, *arguments: str) -> list[str]:
    """Return what git prints, line by line; nothing if it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def _log(git: Callable[..., list[str]], *arguments: str) -> list[list[str]]:
    """Return [hash, date] of commits, newest first."""
    listed = git("log", "--format=%H %cd", "--date=format:%Y-%m-%d %H:%M", *arguments)
    return [line.split(" ", 1) for line in listed]


def _changed(git: Callable[..., list[str]], a: str, b: str, *paths: str) -> list[str]:
    """Return the files that differ between two commits, those of semcg relative to it."""
    return [n.removeprefix("semcg/") for n in git("diff", "--name-only", "--no-renames", a, b, "--", *paths)]


def _added(git: Callable[..., list[str]], since: str) -> dict[str, str]:
    """Return measuring file -> commit that first had it, of those that came after `since` and are still there."""
    listed = ("log", "--diff-filter=A", "--no-renames", "--name-only", "--format=commit %H")
    there, commit, added = git("ls-files", "--", *_PATHS), "", {}
    for line in git(*listed, f"{since}..HEAD", "--", *_PATHS):
        if line.startswith("commit "):
            commit = line.split()[1]
        elif line in there:
            added[line.removeprefix("semcg/")] = commit
    return added


def _by_purpose(changed: Sequence[str]) -> list[str]:
    """Return a line for the files that train, that measure, and for all others: module and number of files."""
    lines, left = [], set(changed)
    for purpose, modules in (("trains", TRAINS), ("measures", MEASURES), ("does neither", None)):
        starts = "" if modules is None else tuple(f"{m}{end}" for m in modules for end in "/.")
        ours = {name for name in left if name.startswith(starts)}
        left -= ours
        counted = Counter(name.partition("/")[0].removesuffix(".py") for name in ours)
        files = ", ".join(f"{module} {n}" for module, n in sorted(counted.items()))
        lines.append(f"  what {purpose}: {files or 'nothing'}")
    return lines


def _measuring(git: Callable[..., list[str]], since: dict[str, str]) -> list[str]:
    """Name the measuring files that were first committed after protocol and trainings, and after the first ledger."""
    total, when, lines = len(git("ls-files", "--", *_PATHS)), {}, []
    for what, commit in since.items():
        late = _added(git, commit)
        when |= late
        lines.append(
            f"{len(late)} of the {total} files of the measuring code were first committed after {what}"
        )
    if not when:
        return lines
    lines += [
        f"NOTE: these are {', '.join(sorted(when))}",
        "so what is measured was named before, and how it is computed was first committed after;",
        "that nobody had looked at a result by then, a history cannot show",
    ]
    ledgers = _log(git, "--diff-filter=A", "--", LEDGER)
    if not ledgers:
        return [*lines, "no ledger was ever committed here: before or after it cannot be said"]
    ledger, date = ledgers[-1]
    earlier = git("rev-list", ledger)
    late = sorted(name for name, commit in when.items() if commit not in earlier)
    changed = sorted(set(_changed(git, ledger, "HEAD", *_PATHS)) - set(late))
    return [
        *lines,
        f"the first ledger was committed in {ledger[:10]} of {date}; after it came {', '.join(late) or 'none of these'}",
        f"changed after that ledger: {', '.join(changed) or 'none of the others'}",
    ]
