"""The page of promises names tests that exist, and its figures are the present ones."""

import ast
import re
from pathlib import Path

from chaos.promises import PAGE, with_figures

ROOT = Path(__file__).parent.parent


def named(page: str) -> list[str]:
    return re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", page)


def missing(names: list[str]) -> list[str]:
    """Return the names that are no test."""
    found = []
    for name in names:
        path, _, test = name.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8")) if (ROOT / path).is_file() else None
        tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} if tree else set()
        if tree is None or (test and test not in tests):
            found.append(name)
    return found


def test_every_named_test_exists():
    page = PAGE.read_text(encoding="utf-8")
    tests = [name for name in named(page) if "::" in name]
    assert missing(named(page)) == []
    assert len(tests) == len(set(tests)) >= 40
    assert missing(["tests/test_files.py::test_none", "tests/test_none.py"]) != []


def test_every_promise_has_its_test():
    page = PAGE.read_text(encoding="utf-8").partition("## Figures")[0]
    for line in page.splitlines():
        if line.startswith("- "):
            assert len(named(line)) == 1, line


def test_the_figures_are_those_of_the_command():
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_figures(page), "make promises"
