"""One fault at a time for a command of semcg: how it is injected, and what must hold afterwards."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load_file

from semcg import files

HERE = Path(__file__).parent
LIMIT = 1800  # seconds that a command may take before it counts as hanging


@dataclass(frozen=True)
class End:
    """How a command ended."""

    code: int
    said: str
    """What it wrote to stderr."""
    events: list[str]
    """Each change of a file, "<role> <call> <path below the home>"."""
    struck: str
    """The event at which the fault struck, "" if it did not."""
    seconds: float
    """From the strike to the end."""


def temporaries(home: Path) -> Path:
    """Return the folder for temporary files of all commands that work in this home and its neighbors."""
    # A short path: sockets are made in there, whose paths may have about 100 characters.
    folder = home.resolve().parent / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def semcg(home: Path, *arguments: str, threads: int = 1, **fault: object) -> End:
    """Run a command of semcg in a home, with or without a fault (see `inject/sitecustomize.py`)."""
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    log, struck = home.parent / f"{home.name}.events", home.parent / f"{home.name}.struck"
    log.unlink(missing_ok=True)
    struck.unlink(missing_ok=True)
    paths = [str(HERE / "inject"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "SEMCG_HOME": str(home),
        "SEMCG_FAULT": json.dumps({"log": str(log), "struck": str(struck), **fault}),
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),  # torch takes the lower of the two
        "TMPDIR": str(temporaries(home)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "semcg_kit", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT,
    )
    since = time.time() - struck.stat().st_mtime if struck.exists() else 0.0
    return End(
        done.returncode,
        done.stderr,
        log.read_text().splitlines() if log.exists() else [],
        struck.read_text() if struck.exists() else "",
        since,
    )


def sentence(end: End) -> str:
    """Return what a command said at its end, which must be a sentence and no traceback."""
    assert "Traceback" not in end.said, end.said
    said = end.said[end.said.rfind("semcg: ") :].strip()
    assert said.startswith("semcg: "), f"nothing was said: {end.said!r}"
    assert len(said.splitlines()) <= 2, said  # the second names the notebook with the outputs so far
    return said.removeprefix("semcg: ")


def damaged(home: Path) -> list[str]:
    """Return the files of a home that do not read to their end; temporaries, which have no final name, aside."""
    found = []
    for path in sorted(p for p in home.rglob("*") if p.is_file() and not temporary(p, home)):
        try:
            if path.suffix in (".json", ".jsonl"):
                for text in [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines():
                    json.loads(text)
            elif path.suffix == ".ipynb":
                nbformat.validate(nbformat.read(path, as_version=4))
            elif path.suffix == ".safetensors":
                load_file(path)
            elif path.suffix == ".pt":
                torch.load(path, weights_only=True)
            elif path.suffix == ".png":
                Image.open(path).load()
            elif path.suffix == ".csv":
                rows = list(csv.reader(path.read_text().splitlines(keepends=True)))
                assert rows, "empty"
                assert {len(row) for row in rows} == {len(rows[0])}, "rows of different length"
                assert path.read_text().endswith("\n"), "the last row is cut"
        except Exception as error:
            found.append(f"{path.relative_to(home)}: {type(error).__name__}: {error}")
    return found


def temporary(path: Path, home: Path) -> bool:
    """Whether a path below a home is a temporary: hidden, or in the process of being written."""
    parts = path.relative_to(home).parts
    return any(part.startswith(".") or ".partial" in part for part in parts)


def left_behind(home: Path) -> list[str]:
    """Return the temporaries in a home, and what is in the folder for temporary files.

    The cache of the data's digests is hidden, but is no temporary.
    """
    found = [p.relative_to(home) for p in home.rglob("*") if temporary(p, home) and p.name != files.CACHE]
    return sorted(map(str, [*found, *temporaries(home).rglob("*")]))


def processes(home: Path, patience: float = 20.0) -> list[str]:
    """Return the commands of processes that work in a home and do not end within some seconds."""
    deadline = time.monotonic() + patience
    while (found := _working_in(home)) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


def _working_in(home: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if f"SEMCG_HOME={home.resolve()}\0".encode() in (entry / "environ").read_bytes():
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                    if state != "Z":
                        found.append(f"{entry.name} {command}")
            except OSError:
                continue
    return found


def contents(home: Path) -> dict[str, object]:
    """Return whatever a course leaves that must not depend on what happened to it."""
    found: dict[str, object] = {}
    for path in sorted((home / "results").rglob("*")):
        name = path.relative_to(home).as_posix()
        if path.suffix == ".safetensors" or path.name in ("history.csv", "metrics.json"):
            found[name] = path.read_bytes()
        elif path.name == "table.csv":  # the comparison, as text in table.txt too; a time differs each time
            found[name] = pd.read_csv(path, dtype=str).drop(columns="seconds per step").to_csv()
        elif path.name == "state.pt":  # optimisers, schedules, pools; beside it are the seconds, which differ
            content = torch.load(path, weights_only=True)
            found[name] = {key: content[key] for key in ("step", "state", "rng")}
    for manifest in sorted((home / "data").glob("*/manifest.csv")):
        found[manifest.relative_to(home).as_posix()] = manifest.read_bytes()
    return found


def differing(calm: Path, troubled: Path) -> list[str]:
    """Return the names of what two homes do not hold to the same bit."""
    a, b = contents(calm), contents(troubled)
    assert a, "the calm run left nothing to compare"
    return [
        name
        for name in sorted(a.keys() | b.keys())
        if name not in a or name not in b or not equal(a[name], b[name])
    ]


def equal(a: object, b: object) -> bool:
    """Whether two nested values are equal to the bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(equal, a, b))
    return a == b


def number(code: int) -> int:
    """Return an exit code as a shell shows it: 128 + n for a process that signal n ended."""
    return 128 - code if code < 0 else code


def moments(events: list[str], count: int, name: str) -> list[tuple[str, str, float]]:
    """Draw (role, event, delay) from the changes that a notebook made, in the order of their first occurrence.

    Every other kill comes some hundredths of a second after its event: within a training step, an evaluation, or
    a file that torch or safetensors write without asking Python.
    """
    draw = random.Random(name)
    once = [e for e in dict.fromkeys(events) if e.split()[0] in ("kernel", "runner")]
    places = sorted(draw.sample(range(len(once)), min(count, len(once))))
    return [
        (*once[place].split(" ", 1), draw.uniform(0.01, 0.3) if n % 2 else 0.0)
        for n, place in enumerate(places)
    ]


def copy_of(calm: Path, root: Path, name: str, *, without: tuple[str, ...]) -> Path:
    """Return a home like the calm one, in which some runs and notebooks are still to be made."""
    home = root / name
    shutil.copytree(calm, home)
    for pattern in without:
        for path in home.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return home


def told(said: str, home: Path, seconds: float) -> dict[str, object]:
    """Return what the page shows of a fault."""
    return {"said": said.strip().replace(str(home), "..."), "seconds": round(seconds, 1)}


def namespaces() -> bool:
    """Whether this user may mount file systems of his own."""
    if sys.platform != "linux" or not shutil.which("unshare"):
        return False
    return (
        subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True
        ).returncode
        == 0
    )


SIGNALS = {"SIGTERM": 128 + signal.SIGTERM, "SIGINT": 128 + signal.SIGINT}
