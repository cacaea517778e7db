"""pyproject.toml, requirements.lock and environment.yml say the same."""

import ast
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, version
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
    wanted = project()["dependencies"] + sum(project()["optional-dependencies"].values(), [])
    for requirement in map(Requirement, wanted):
        if requirement.name == "semcg":  # an extra that includes another one
            continue
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def imported(folder: str) -> set[str]:
    """Return the top names of all that the modules of a folder import, wherever in the file."""
    nodes = [n for path in (ROOT / folder).rglob("*.py") for n in ast.walk(ast.parse(path.read_text()))]
    names = [alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names]
    names += [n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level]
    return (
        {name.partition(".")[0] for name in names}
        - set(sys.stdlib_module_names)
        - {"semcg", "semcg_kit", "notebooks"}
    )


def test_whatever_the_package_imports_is_among_its_dependencies():
    extras = project()["optional-dependencies"]
    wanted = project()["dependencies"] + extras["cluster"] + extras["site"]
    declared = {canonicalize_name(Requirement(line).name) for line in wanted}
    of = packages_distributions()
    found = imported("semcg") | imported("semcg_kit") - {"build_site"}  # in docs/
    missing = {n for n in found if not {canonicalize_name(d) for d in of.get(n, [])} & declared}
    # They come for good with papermill, JupyterLab, Sphinx and Distributed, which are nothing without them.
    missing -= {"onnx", "onnxscript"}  # an export asks for them in a sentence
    assert missing <= {"IPython", "dask", "docutils", "jupyter_client", "nbclient", "nbformat", "traitlets"}


def test_every_dependency_has_its_reason():
    inside = False
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        if line.startswith(("dependencies = [", "dev = [", "site = [", "browser = [")):
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
        {
            "pip": [
                "--extra-index-url https://download.pytorch.org/whl/cpu",
                "-c requirements.lock",
                "-e .[dev]",
            ]
        },
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
