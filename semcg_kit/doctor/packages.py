"""Which packages are needed, which are here, and what to say of that; none of them is imported for it."""

import importlib.util
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from semcg_kit.doctor.findings import AGAIN, ANEW, Finding

__all__ = ["EXPORT", "absent", "broken", "install_seconds", "installed", "needed", "package_name", "versions"]

EXPORT = ("onnx", "onnxscript", "onnxruntime")
"""What `semcg export` and notebook 07 import; `make setup` installs them with the tests' packages."""

_IMPORTED_AS = {"pillow": "PIL", "scikit-image": "skimage"}


def needed(root: Path) -> list[str]:
    """Return the names of the packages that semcg depends on.

    Parameters
    ----------
    root : Path
        Where `pyproject.toml` lies; without one, what the installed package says of itself.
    """
    project = root / "pyproject.toml"
    if project.is_file():
        lines = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        try:
            lines = [line for line in metadata.requires("semcg") or () if "extra ==" not in line]
        except metadata.PackageNotFoundError:
            lines = []
    return [re.match(r"[\w.-]+", line)[0] for line in lines]


def installed() -> dict[str, str]:
    """Return what is installed: name -> version."""
    found = ((d.metadata["Name"], d.version) for d in metadata.distributions())
    return {package_name(name): version for name, version in found if name}


def absent(names: Iterable[str]) -> list[str]:
    """Return those of the packages that Python would not find; a name that is installed without its files is one."""
    return [name for name in names if not _found(name)]


def _found(name: str) -> bool:
    module = _IMPORTED_AS.get(package_name(name), name.replace("-", "_"))
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # a module that something else put there
        return False
    return spec is not None and spec.origin is not None  # a folder that was left behind has no origin


def install_seconds(environment: Path) -> int:
    """Return the seconds that `make setup` took to install an environment; 0 where it did not."""
    try:
        return int((environment / ".ready").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


def package_name(name: str) -> str:
    """Return a package's name in the one spelling that comparing needs."""
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(
    lock: str,
    installed: Mapping[str, str],
    *,
    absent: Sequence[str] = (),
    unexported: Sequence[str] = (),
    seconds: int = 0,
) -> Finding:
    """Say which packages are not here, and compare the others with the lock, where "name==version" stands on a line.

    A package of the lock that is not installed is no fault in itself: some belong to other systems.

    Parameters
    ----------
    absent, unexported : list of str
        Those that the course needs and that are not here; those that the export needs.
    seconds : int
        That the installation took; 0 if nobody knows.
    """
    if absent:
        return Finding(
            "packages",
            "missing",
            f"not installed, or not whole: {', '.join(absent)}",
            f"`{AGAIN}` installs what is missing; `{ANEW}` installs all of it anew.",
        )
    if unexported:
        return Finding(
            "packages",
            "slow",
            f"not installed: {', '.join(unexported)}, for `semcg export` and notebook 07",
            f"`{AGAIN}` installs what is missing.",
        )
    if not lock:
        return Finding(
            "packages", "good", "no requirements.lock here: an installed package, whose versions pip chose"
        )
    wanted = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE))
    other = [
        f"{name} {installed[package_name(name)]} instead of {version}"
        for name, version in wanted.items()
        if package_name(name) in installed and installed[package_name(name)].partition("+")[0] != version
    ]
    if other:
        shown = ", ".join(other[:4]) + (f" and {len(other) - 4} more" if len(other) > 4 else "")
        return Finding(
            "packages",
            "slow",
            f"not the tested versions: {shown}",
            f"Numbers may differ in the last digits. `{AGAIN}` installs the tested ones.",
        )
    took = f", installed in {seconds} s" if seconds else ""
    return Finding("packages", "good", f"the tested versions ({len(wanted)} in requirements.lock){took}")


def broken(module: str, error: Exception, *, versions: str = "") -> Finding:
    """Say that a module is there and cannot be imported.

    Parameters
    ----------
    versions : str
        For torchvision, whose usual fault is a torch that it was not built for: those of both.
    """
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    words = f"{module} cannot be imported{versions and f' ({versions})'}: {said[:200]}"
    if module == "torchvision":
        advice = f"torch and torchvision must be a pair, from one index: `{ANEW}` installs one."
    elif isinstance(error, ModuleNotFoundError):
        advice = f"`{AGAIN}` installs what is missing; `{ANEW}` installs all of it anew."
    else:
        advice = f"Its files are damaged, or do not fit the other packages: `{ANEW}` installs them anew."
    return Finding(module.partition(".")[0], "missing", words, advice)
