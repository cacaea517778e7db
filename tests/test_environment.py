"""pyproject.toml, requirements.lock and environment.yml say the same."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lock() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}


def test_every_dependency_is_locked_within_its_range():
    pins = lock()
    wanted = project()["dependencies"] + project()["optional-dependencies"]["dev"]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_every_dependency_has_its_reason():
    inside = False
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        if line.startswith(("dependencies = [", "dev = [")):
            inside = True
        elif line == "]":
            inside = False
        elif inside:
            assert "#" in line, f"no reason beside {line.strip()}"


def test_conda_reads_the_same_truth():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["dependencies"] == [
        "python=3.11",
        "pip",
        {"pip": ["-c requirements.lock", "-e .[dev]"]},
    ]
    assert project()["requires-python"] == ">=3.11"


def test_what_is_installed_is_what_is_locked():
    other = {}
    for name, pinned in lock().items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # of another platform
        if installed.partition("+")[0] != pinned:
            other[name] = f"{installed}, locked {pinned}"
    if other:
        pytest.skip(f"other versions are installed by choice: {other}")
