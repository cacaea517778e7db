"""One look at the machine each: from plain values to a sentence, and to advice where there is something to do."""

import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "AGAIN",
    "ANEW",
    "COURSE_DISK",
    "COURSE_MEMORY",
    "Finding",
    "compiler",
    "existing",
    "fonts",
    "graphics",
    "kernel",
    "processor",
    "python",
    "report",
    "space",
    "threads",
    "torch_build",
    "writable",
]

GIB = 2**30
COURSE_MEMORY, COURSE_DISK = 3 * GIB, 2 * GIB
"""What profile mini needs at its peak, and what its data and runs take on disk, both rounded up."""

# make takes an environment for whole as long as .venv/.ready is there.
AGAIN, ANEW = "rm -f .venv/.ready && make setup", "rm -rf .venv && make setup"
"""What installs the packages that are missing, and what installs all of them anew."""


@dataclass(frozen=True)
class Finding:
    """One thing about the machine.

    Parameters
    ----------
    what : str
        A word or two: "Python".
    state : str
        "good"; "slow": the course runs, but not as it could; "missing": something fails without it.
    words : str
        What was seen.
    advice : str
        What to do; "" where there is nothing to do.
    """

    what: str
    state: str
    words: str
    advice: str = ""


def python(version: Sequence[int], *, in_environment: bool) -> Finding:
    """Say whether this Python will do."""
    words = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if tuple(version[:2]) < (3, 11):
        return Finding(
            "Python", "missing", words, "Install Python 3.11 or newer, then `make PYTHON=python3.11 setup`."
        )
    if not in_environment:
        return Finding(
            "Python",
            "slow",
            f"{words}, outside an environment",
            "Run .venv/bin/semcg, or `make setup` first.",
        )
    return Finding("Python", "good", words)


def torch_build(version: str, cuda: str | None, *, card: bool, usable: bool) -> Finding:
    """Say whether torch fits the machine: a graphics card that it cannot use is the commonest waste."""
    words = f"{version}, {f'built for CUDA {cuda}' if cuda else 'built for the CPU'}"
    if card and not usable:
        advice = (
            "Update the NVIDIA driver, or install a torch for the CUDA version that `nvidia-smi` shows."
            if cuda
            else "Install a torch with CUDA: remove .venv and `make setup`, without the CPU index."
        )
        return Finding("torch", "slow", f"{words}; there is an NVIDIA card that it cannot use", advice)
    return Finding("torch", "good", words)


def processor(capability: str, *, bf16: bool, gain: float) -> Finding:
    """Say how fast the processor's arithmetic is; `gain` is how many times as fast as in fp32 a small step is in bf16."""
    words = f"a small step measured now is {gain:.1f} times as fast in bf16 as in fp32"
    if bf16:
        state, advice = (
            ("good", "") if gain > 1 else ("slow", "bf16 does not pay now: other programs may compute too.")
        )
        return Finding("processor", state, f"{capability} with bf16 instructions, so bf16; {words}", advice)
    advice = (
        "Nothing is wrong: steps take 1.3 to 1.9 times as long. Profile smoke shows everything in minutes."
    )
    if capability in ("DEFAULT", "NO AVX"):
        return Finding(
            "processor",
            "slow",
            f"{capability}: no AVX2, no bf16 instructions; {words}",
            f"{advice} Expect hours.",
        )
    return Finding("processor", "slow", f"{capability} without bf16 instructions, so fp32; {words}", advice)


def threads(number: int, *, cores: float, load: float) -> Finding:
    """Say whether torch's threads fit the cores, and whether others use them; `load` is the mean of a minute."""
    words = f"torch computes with {number}, there are {cores:g} cores, load {load:.1f}"
    if number > cores:
        advice = f"Threads that wait for each other are slow: export OMP_NUM_THREADS={max(1, int(cores))}."
        return Finding("threads", "slow", words, advice)
    if load > cores + 0.5:
        return Finding(
            "threads", "slow", words, "Other programs compute too: close them, or export OMP_NUM_THREADS=1."
        )
    if number < cores / 2:
        return Finding(
            "threads", "slow", words, f"Most of the cores are idle: export OMP_NUM_THREADS={int(cores)}."
        )
    return Finding("threads", "good", words)


def space(what: str, free: float, needed: float) -> Finding:
    """Say whether there is memory or disk enough for the course under profile mini, in bytes."""
    words = f"{free / GIB:.1f} GiB free; the course needs about {needed / GIB:.0f}"
    if free >= needed:
        return Finding(what, "good", words)
    advice = {
        "memory": "Close other programs, or use --profile smoke. A kernel that dies without a word had too little.",
        "disk": "Free some, or let SEMCG_HOME name a folder on another disk.",
    }
    return Finding(what, "missing", words, advice[what])


def graphics(name: str | None, memory: int | None) -> Finding:
    """Say what graphics card is used."""
    if name is None:
        return Finding("GPU", "good", "none that torch can use; the course is made for the CPU")
    words = f"{name}, {(memory or 0) / GIB:.0f} GiB"
    return Finding("GPU", "good", f"{words}: used by default; `make course PROFILE=gpu` is made for it")


def compiler(name: str, *, found: bool, headers: bool) -> Finding:
    """Say whether torch.compile can work on this processor: it writes C++ that includes Python's headers.

    Parameters
    ----------
    name : str
        What torch.compile would call: $CXX, else the system's usual one.
    """
    use = "which `semcg translate --fast`, `make bench` and `make test-slow` alone need"
    if not found:
        return Finding(
            "compiler",
            "slow",
            f"no C++ compiler {name}, {use}",
            "Install one (Debian, Ubuntu: apt install g++; macOS: xcode-select --install), or name yours in CXX.",
        )
    if not headers:
        return Finding(
            "compiler",
            "slow",
            f"{name}, but not the file Python.h, {use}",
            "Install this Python's headers (Debian, Ubuntu: apt install python3-dev).",
        )
    return Finding("compiler", "good", f"{name}, for `semcg translate --fast`")


def kernel(argv: Sequence[str] | None, executable: str) -> Finding:
    """Say whether Jupyter's kernel "python3", which JupyterLab offers, is this Python.

    Parameters
    ----------
    argv : list of str, optional
        What Jupyter starts for it; None if it knows no such kernel.
    executable : str
        This Python.
    """
    if argv is None:
        return Finding(
            "kernel", "missing", "Jupyter knows no kernel python3", f"`{ANEW}` installs it (ipykernel)."
        )
    started = shutil.which(argv[0]) or argv[0]
    # The folders decide: the Pythons of two environments are links to the same file.
    same = Path(started).parent.resolve() == Path(executable).parent.resolve()
    if (
        argv[0] in ("python", "python3") or same
    ):  # jupyter_client puts this Python in the place of a bare name
        return Finding("kernel", "good", "JupyterLab's python3 is this Python")
    return Finding(
        "kernel",
        "slow",
        f"JupyterLab's python3 is {argv[0]}, another Python",
        "Notebooks that you open may lack semcg. `jupyter kernelspec list` shows where it lies; "
        "`jupyter kernelspec remove python3` removes it. `semcg run` is not affected.",
    )


def fonts(folder: Path | None) -> Finding:
    """Say whether the font of the figures is there; it comes with matplotlib."""
    if folder is not None and (folder / "DejaVuSans.ttf").is_file():
        return Finding("fonts", "good", "DejaVu Sans, which comes with matplotlib")
    return Finding(
        "fonts",
        "missing",
        "matplotlib's own fonts are gone",
        f"`{ANEW}` brings them.",
    )


def writable(folders: Sequence[Path]) -> Finding:
    """Say whether files can be made in each folder, or in the nearest one above it that exists."""
    refused = []
    for folder in folders:
        try:
            with tempfile.TemporaryFile(dir=existing(folder)):
                pass
        except OSError as error:
            refused.append(f"{folder} ({error.strerror})")
    if refused:
        return Finding(
            "writing",
            "missing",
            f"not allowed: {', '.join(refused)}",
            "Let SEMCG_HOME name a folder of yours; MPLCONFIGDIR does the same for matplotlib's cache.",
        )
    return Finding("writing", "good", f"allowed in {', '.join(map(str, folders))}")


def report(findings: Sequence[Finding]) -> str:
    """Return findings as text, a line each, with the advice below, and a sentence at the end."""
    marks = {"good": "ok", "slow": "slow", "missing": "MISSING"}
    lines = []
    for f in findings:
        lines.append(f"{marks[f.state]:<8}{f.what:<11}{f.words}")
        if f.advice:
            lines.append(f"{'':<19}{f.advice}")
    missing = [f.what for f in findings if f.state == "missing"]
    slow = [f.what for f in findings if f.state == "slow"]
    if missing:
        lines.append(f"\nNot ready: {', '.join(missing)}.")
    elif slow:
        lines.append(f"\nReady; it will run, but not as it could: {', '.join(slow)}.")
    else:
        lines.append("\nReady: `make course`.")
    return "\n".join(lines)


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(p for p in (folder, *folder.parents) if p.is_dir())
