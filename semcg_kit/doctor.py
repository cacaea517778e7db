"""What is missing or slow on this machine, in plain words, and what to do about it.

A probe looks at one thing and returns what it saw and, if something is wrong, a key of `ADVICE`. Looking takes a few
seconds and changes nothing. Only Python's own library is imported at the top: this must work where packages are missing.
"""

import importlib
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from semcg import files
from semcg.system import cores

__all__ = ["ADVICE", "PROBES", "Finding", "examine", "report", "setup_seconds"]

ROOT = files.repository()

_GIB = 2**30
_MEMORY, _DISK = 3 * _GIB, 2 * _GIB  # peak of profile mini, and its data and runs on disk, both rounded up
_EXPORT = ("onnx", "onnxscript", "onnxruntime")
_IMPORTED_AS = {"pillow": "PIL", "scikit-image": "skimage"}
_AGAIN, _ANEW = "`rm -f .venv/.ready && make setup`", "`rm -rf .venv && make setup`"

ADVICE = {  # problem -> whether the course fails because of it, and what to do
    "no environment": (False, "Use .venv/bin/semcg; `make setup` creates it."),
    "absent": (True, f"{_AGAIN} installs what is missing; {_ANEW} reinstalls everything."),
    "no export": (False, f"Only `semcg export` and notebook 07 need them. {_AGAIN} installs them."),
    "other versions": (False, f"Results may differ in the last digits. {_AGAIN} installs the tested ones."),
    "no repository": (True, "The course needs the repository: clone it, and run `make setup` there."),
    "other checkout": (True, "Run `make setup` in the folder that you work in, and use its .venv/bin/semcg."),
    "moved": (True, f"The folder was copied, moved or renamed after `make setup`. {_ANEW} repairs it."),
    "damaged": (True, f"Its files are damaged, or do not fit the other packages. {_ANEW} reinstalls them."),
    "old driver": (False, "Update the NVIDIA driver, or install a torch for the CUDA of `nvidia-smi`."),
    "no CUDA": (False, f"Install a torch with CUDA: {_ANEW} without the CPU index."),
    "no bf16": (False, "Nothing is wrong: a step takes 1.3 to 1.9 times as long as with bf16."),
    "no AVX2": (False, "All works, but it takes hours; `make course PROFILE=smoke` shows it in minutes."),
    "slow bf16": (False, "bf16 does not pay off right now, probably because other programs are computing."),
    "many threads": (False, "Threads that wait for each other are slow: set OMP_NUM_THREADS to the cores."),
    "few threads": (False, "Most cores are idle: unset OMP_NUM_THREADS, or set it to the number of cores."),
    "load": (False, "Other programs are computing, so training takes longer than stated. Close them."),
    "memory": (True, "Close other programs, or use --profile smoke; a kernel without memory dies silently."),
    "disk": (True, "Free some space, or set SEMCG_HOME to a folder on another disk."),
    "no kernel": (True, f"{_ANEW} installs it (ipykernel)."),
    "other kernel": (False, "JupyterLab may not find semcg. `jupyter kernelspec remove python3` removes it."),
    "no compiler": (False, "Install g++ and python3-dev (macOS: xcode-select --install), or set CXX."),
    "not writable": (True, "Set SEMCG_HOME to a folder of yours, and MPLCONFIGDIR for matplotlib's cache."),
}

Seen = tuple[str, str]  # what was seen, and the problem or ""


class Finding(NamedTuple):
    """What one probe found: `state` is "ok", "slow" (works, but not well) or "MISSING" (something fails)."""

    what: str
    state: str
    words: str
    advice: str = ""


def python() -> Seen:
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return version, "" if sys.prefix != sys.base_prefix else "no environment"


def packages() -> Seen:
    if absent := not_installed(required_packages()):
        return f"not installed or incomplete: {', '.join(absent)}", "absent"
    if absent := not_installed(_EXPORT):
        return f"not installed: {', '.join(absent)}", "no export"
    lock = ROOT / "requirements.lock"
    if not lock.is_file():
        return "no requirements.lock: pip chose the versions", ""
    tested = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    other = []
    for name, version in tested.items():
        with suppress(metadata.PackageNotFoundError):
            installed = metadata.version(name)
            if installed.partition("+")[0] != version:
                other.append(f"{name} {installed} instead of {version}")
    if not other:
        return f"the {len(tested)} tested versions", ""
    more = f", {len(other) - 4} more" if other[4:] else ""
    return ", ".join(other[:4]) + more, "other versions"


def course() -> Seen:
    if not (ROOT / "pyproject.toml").is_file():
        return f"installed in {ROOT}, without the course's notebooks", "no repository"
    around = (Path.cwd(), *Path.cwd().parents)
    here = next((p for p in around if (p / "semcg_kit" / "doctor.py").is_file()), ROOT)
    if here.resolve() != ROOT:
        return f"this command runs the code in {ROOT}, but you work in {here}", "other checkout"
    code = "import semcg; print(semcg.__file__)"
    with tempfile.TemporaryDirectory() as elsewhere:  # as a kernel of JupyterLab imports it
        done = subprocess.run([sys.executable, "-c", code], cwd=elsewhere, capture_output=True, text=True)
    imported = Path(done.stdout.strip() or "nowhere").parent.parent
    if imported.resolve() != ROOT:
        return f"this command runs the code in {ROOT}, notebooks import it from {imported}", "moved"
    scripts = Path(sys.prefix) / "bin"
    for script in filter(Path.is_file, (scripts / name for name in ("semcg", "jupyter", "papermill"))):
        first, second, *_ = (*script.read_text(errors="replace").splitlines(), "", "")
        # A path with a space, or a long one, cannot follow "#!": the second line hands it to a shell.
        started = shlex.split(second)[1] if first == "#!/bin/sh" else first.removeprefix("#!")
        if Path(started).parent.resolve() != scripts.resolve():
            return f"{script} starts {started}, the Python of another folder", "moved"
    return f"commands and notebooks run the code in {ROOT}", ""


def torch() -> Seen:
    module = importlib.import_module("torch")
    version = module.version.cuda
    words = f"{module.__version__}, built for {f'CUDA {version}' if version else 'the CPU'}"
    if module.cuda.is_available():
        device = module.cuda.get_device_properties(0)
        memory = device.total_memory / _GIB
        return f"{words}; uses {module.cuda.device_count()} x {device.name}, {memory:.0f} GiB", ""
    if _has_card():
        return f"{words}; cannot use this machine's NVIDIA card", "old driver" if version else "no CUDA"
    return words, ""


def processor() -> Seen:
    backends = importlib.import_module("torch").backends
    importlib.import_module("torchvision")
    kind, gain = backends.cpu.get_cpu_capability(), bf16_gain()  # takes two seconds
    precision = importlib.import_module("semcg.devices").precision_for("auto", "cpu")
    words = f"{kind}, computes in {precision}; a small step is {gain:.1f} times as fast in bf16 as in fp32"
    if precision == "bf16":
        return words, "" if gain > 1 else "slow bf16"
    return words, "no AVX2" if kind in ("DEFAULT", "NO AVX") else "no bf16"


def bf16_gain() -> float:
    """Return how many times as fast as in fp32 a semantic step of profile mini is in bf16 on this CPU, measured now."""
    import torch

    from semcg import config, devices
    from semcg.cost import seconds
    from semcg.runs.budget import step_on_noise

    steps = {}
    for precision in ("fp32", "bf16"):
        made, fabric = config.make("mini", precision=precision), devices.fabric_for("cpu", precision)
        with torch.random.fork_rng(devices=[]):
            steps[precision], batch = step_on_noise("translation", made, fabric)
    taken = seconds(steps, batch, rounds=3, warm=1)
    return statistics.median(taken["fp32"]) / statistics.median(taken["bf16"])


def threads() -> Seen:
    number, load = importlib.import_module("torch").get_num_threads(), os.getloadavg()[0]
    words = f"torch uses {number} on {cores()} cores; load of the last minute {load:.1f}"
    if number > cores():
        return words, "many threads"
    if load > cores() + 0.5:
        return words, "load"
    return words, "few threads" if number < cores() / 2 else ""


def memory() -> Seen:
    free = importlib.import_module("psutil").virtual_memory().available
    with suppress(OSError, ValueError):  # no control group, or one without a limit
        limit, used = (
            int(Path("/sys/fs/cgroup", f"memory.{name}").read_text()) for name in ("max", "current")
        )
        free = min(free, limit - used)
    return room(free, _MEMORY, "memory")


def disk() -> Seen:
    return room(shutil.disk_usage(_existing(files.home())).free, _DISK, "disk")


def kernel() -> Seen:
    specs = importlib.import_module("jupyter_client.kernelspec")
    try:
        program = specs.KernelSpecManager().get_kernel_spec("python3").argv[0]
    except (specs.NoSuchKernel, json.JSONDecodeError):
        return "Jupyter has no kernel python3", "no kernel"
    # Folders are compared, since the Pythons of two environments link to the same file. A bare name means this Python.
    same = Path(shutil.which(program) or program).parent.resolve() == Path(sys.executable).parent.resolve()
    if same or program in ("python", "python3"):
        return "JupyterLab's python3 is this Python", ""
    return f"JupyterLab's python3 is {program}, another Python", "other kernel"


def compiler() -> Seen:
    name = os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    if not shutil.which(name):
        return f"no C++ compiler {name}", "no compiler"
    headers = [Path(sysconfig.get_path("include")), Path(sysconfig.get_path("stdlib")).parents[1] / "Headers"]
    if not any((folder / "Python.h").is_file() for folder in headers):
        return f"{name}, but not Python's headers (Python.h)", "no compiler"
    return f"{name}, for `semcg translate --fast`", ""


def writing() -> Seen:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"
    folders = [files.home() / "data", files.home() / "results", Path(os.environ.get("MPLCONFIGDIR") or cache)]
    refused = []
    for folder in folders:
        try:
            with tempfile.TemporaryFile(dir=_existing(folder)):
                pass
        except OSError as error:
            refused.append(f"{folder} ({error.strerror})")
    return (f"not allowed: {', '.join(refused)}", "not writable") if refused else ("allowed", "")


PROBES = (python, packages, course, torch, processor, threads, memory, disk, kernel, compiler, writing)


def examine() -> list[Finding]:
    """Run every probe."""
    findings: list[Finding] = []
    for probe in PROBES:
        try:
            words, problem = probe()
        except ModuleNotFoundError as error:
            words, problem = str(error), "absent"
        except Exception as error:  # a damaged package raises anything
            words = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
            problem = "damaged"
        fails, advice = ADVICE.get(problem, (False, ""))
        if any(f.words == words or (problem == "absent" and f.advice == advice) for f in findings):
            continue  # an earlier probe met the same package
        state = "MISSING" if fails else "slow" if problem else "ok"
        findings.append(Finding(probe.__name__, state, words, advice))
    return findings


def report(findings: list[Finding]) -> str:
    """Return a line for each finding, its advice below, and a verdict at the end."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<8}{finding.what:<11}{finding.words}")
        lines += [f"{'':<19}{finding.advice}"] if finding.advice else []
    missing, slow = (" and ".join(f.what for f in findings if f.state == s) for s in ("MISSING", "slow"))
    verdict = "Ready: run `make course`."
    if missing:
        verdict = f"Not ready: see {missing} above."
    elif slow:
        verdict += f" It can be faster or more complete: see {slow} above."
    return "\n".join([*lines, "", verdict])


def setup_seconds(environment: Path) -> int:
    """Return the seconds that `make setup` took to create an environment; 0 where it did not."""
    try:
        return int((environment / ".ready").read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def required_packages() -> list[str]:
    """Return the packages that semcg depends on, according to the repository or else to its installation."""
    if (project := ROOT / "pyproject.toml").is_file():
        lines = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        lines = [line for line in metadata.requires("semcg") or () if "extra ==" not in line]
    return [re.match(r"[\w.-]+", line)[0] for line in lines]


def not_installed(names: Iterable[str]) -> list[str]:
    """Return the packages that Python does not find; one whose folder is left without files counts."""
    specs = {n: importlib.util.find_spec(_IMPORTED_AS.get(n, n.replace("-", "_"))) for n in names}
    return [name for name, spec in specs.items() if spec is None or spec.origin is None]


def _has_card() -> bool:
    """Whether a driver lists an NVIDIA card."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def room(free: float, needed: float, problem: str) -> Seen:
    """Return how many of the bytes that are needed are free, and the problem if there are too few."""
    words = f"{free / _GIB:.1f} GiB free; the course needs about {needed / _GIB:.0f} GiB"
    return words, "" if free >= needed else problem


def _existing(folder: Path) -> Path:
    return next(p for p in (folder, *folder.parents) if p.is_dir())
