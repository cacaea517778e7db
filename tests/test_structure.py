"""The structure of the packages: imports point down, semcg never imports semcg_kit, one library stays in one place."""

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "semcg"
KIT = PACKAGE.with_name("semcg_kit")

FLOORS = [  # a part may import from lower floors, and from its own if listed in BESIDE
    {"labels", "config", "files", "locks", "pictures", "mappings", "system", "published"},
    {"world", "data", "segmenters", "gan", "losses", "metrics", "statistics", "plots", "protocol"}
    | {"edges", "distances", "reader", "devices", "loop"},
    {"instruments"},
    {"training", "translate", "evaluate", "export", "claims", "cost"},
    {"canary"},
    {"runs", "report", "notebook", "widgets"},
]
BESIDE = {
    ("notebook", "runs"),
    ("notebook", "plots"),
    ("plots", "statistics"),
    ("widgets", "runs"),
    ("evaluate", "translate"),
    ("evaluate", "training"),
    ("export", "translate"),
    ("cost", "translate"),
}
ONLY_IN = {
    "matplotlib": {"plots"},
    "seaborn": {"plots"},
    "papermill": set(),
    "ipywidgets": {"widgets"},
    "pydantic": {"config", "protocol", "report"},
    "lightning_fabric": {
        "canary",
        "devices",
        "loop",
        "training",
        "translate",
        "evaluate",
        "runs",
        "notebook",
    },
}
TYPES_ONLY = {
    ("matplotlib", "notebook"),
    ("matplotlib", "widgets"),
    ("matplotlib", "runs"),
}  # the Figure they are handed
CONFIG_FREE = {
    "world",
    "data",
    "segmenters",
    "gan",
    "losses",
    "metrics",
    "edges",
    "distances",
    "reader",
    "instruments",
    "statistics",
    "plots",
    "labels",
    "files",
    "locks",
    "protocol",
    "translate",
    "export",
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> set[str]:
    """Dotted names that a module imports, `from semcg import x` as semcg.x."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} line {node.lineno}: a relative import"
            found |= (
                {f"{node.module}.{a.name}" for a in node.names} if node.module == "semcg" else {node.module}
            )
    return found


def upward(path: Path, seen: set[str]) -> list[str]:
    floor = {name: n for n, names in enumerate(FLOORS) for name in names}
    here = part_of(path)
    bad = []
    for name in seen:
        parts = name.split(".")
        if parts[0] == "semcg_kit":
            bad.append(f"{here} -> semcg_kit")
        if parts[0] != "semcg" or len(parts) < 2 or parts[1] == here:
            continue
        there = parts[1]
        if floor[there] > floor[here] or (
            floor[there] == floor[here] and floor[here] > 0 and (here, there) not in BESIDE
        ):
            bad.append(f"{here} -> {there}")
    return bad


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_arrows_point_down(path):
    if path.name == "__init__.py" and path.parent == PACKAGE:
        assert not imports(path), "importing semcg imports nothing"
        return
    assert upward(path, imports(path)) == []
    for library, names in ONLY_IN.items():
        if any(name.split(".")[0] == library for name in imports(path)) and part_of(path) not in names:
            assert (library, part_of(path)) in TYPES_ONLY, f"{library} is imported in {path}"
    if part_of(path) in CONFIG_FREE:
        assert not any(name.startswith("semcg.config") for name in imports(path)), f"{path} sees a config"


def test_an_upward_arrow_is_found():
    assert upward(PACKAGE / "losses.py", {"semcg.training", "semcg.labels"}) == ["losses -> training"]
    assert upward(PACKAGE / "gan.py", {"semcg_kit.doctor"}) == ["gan -> semcg_kit"]
    assert upward(PACKAGE / "gan.py", {"semcg.losses"}) == ["gan -> losses"]


def test_importing_has_no_effect():
    """No seed set, no thread number, no file written, no logging configured."""
    names = [
        ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts)
        for p in (*modules(), *KIT.rglob("*.py"))
        if p.name != "__main__.py"
    ]
    code = (
        "import logging, random, sys, numpy, torch\n"
        "before = (random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist(),"
        " torch.get_num_threads(), list(logging.root.handlers))\n"
        f"for name in {names!r}: __import__(name.removesuffix('.__init__'))\n"
        "after = (random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist(),"
        " torch.get_num_threads(), list(logging.root.handlers))\n"
        "assert before == after\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_modules_stay_short():
    lines = {p.relative_to(PACKAGE).as_posix(): len(p.read_text().splitlines()) for p in modules()}
    assert {name: n for name, n in lines.items() if n > 400} == {}, "more than one idea"


LIMITS = {"semcg": (8_000, 60), "semcg_kit": (4_000, 40)}
"""Lines of code and files that a package may have: what one reads in an afternoon. Something goes before more comes."""


OTHER = 6_000
"""Lines of all other Python outside of tests and benchmarks: the notebooks' cells, their exercises, docs."""


def code_lines(path: Path) -> int:
    """Count the lines of a file without docstrings, comments and blanks."""
    return counted_lines(path.read_text(encoding="utf-8"))


def counted_lines(text: str) -> int:
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            docstrings |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if (
            token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING)
            or "STRING" in tokenize.tok_name[token.type]
        ):
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


@pytest.mark.parametrize("package", LIMITS)
def test_the_packages_stay_small(package):
    paths = sorted((PACKAGE.parent / package).rglob("*.py"))
    lines, files = LIMITS[package]
    counted = sum(map(code_lines, paths))
    assert counted <= lines, f"{package} has {counted} lines of code"
    assert len(paths) <= files, f"{package} has {len(paths)} files"


def test_all_other_python_stays_small():
    root = PACKAGE.parent
    scripts = [*(root / "docs").rglob("*.py"), *(root / "notebooks").rglob("*.py")]
    lines = sum(map(code_lines, scripts))
    for path in (root / "notebooks").rglob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        lines += sum(counted_lines("".join(c["source"])) for c in cells if c["cell_type"] == "code")
    assert lines <= OTHER, f"{lines} lines of code in notebooks, exercises and docs"


def test_code_is_counted_without_words(tmp_path):
    (tmp_path / "x.py").write_text(
        '"""Doc."""\n\n# why\ndef f(\n    x,\n):\n    """Doc\n    doc."""\n    return x\n'
    )
    assert code_lines(tmp_path / "x.py") == 4


def test_the_readme_lists_every_module_in_order():
    text = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    listed = re.search(r"## Layout\n\n```\n(.*?)```", text, re.S)[1]
    for folder in (PACKAGE, KIT):
        section = re.search(rf"^{folder.name}/ .*\n((?:  .*\n)+)", listed, re.M)[1]
        named = re.findall(r"^  (\S+?)/? ", section, re.M)
        there = {p.name for p in folder.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
        assert sorted(named) == sorted(there - {"__init__.py"}), folder.name
