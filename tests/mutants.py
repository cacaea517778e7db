"""Small faults, planted by a fixed rule into the code that trains and measures, and whether the canary sees them.

python tests/mutants.py 60      plants 60 and prints the survivors
"""

import ast
import hashlib
import importlib.abc
import importlib.util
import os
import sys
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parent.parent / "semcg"
MODULES = (
    "losses",
    "gan",
    "metrics",
    "loop",
    "training",
    "segmenters",
)

_SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.And: ast.Or, ast.Or: ast.And, ast.FloorDiv: ast.Mult,
}  # fmt: skip


class Mutant(NamedTuple):
    """One changed place: the n-th that can be changed in a module, and its line before and after."""

    module: str
    n: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.module}: {self.after}"


class _Places(ast.NodeTransformer):
    """Visits what can be changed, and changes the n-th of it. Messages, annotations and docstrings are left alone."""

    def __init__(self, n: int = -1) -> None:
        self.n, self.seen = n, []

    def _hit(self, before: str, node: ast.AST, change) -> ast.AST:
        if len(self.seen) == self.n:
            change()
        self.seen.append(before)
        return node

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom):
            return node
        if isinstance(node, ast.FunctionDef):  # not its annotations
            node.args.defaults = [self.visit(d) for d in node.args.defaults]
            node.args.kw_defaults = [d and self.visit(d) for d in node.args.kw_defaults]
            node.body = [self.visit(child) for child in node.body]
            return node
        if isinstance(node, ast.AnnAssign):
            node.value = node.value and self.visit(node.value)
            return node
        node = self.generic_visit(node)
        if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in _SWAPS:
            return self._hit(ast.unparse(node), node, lambda: setattr(node, "op", _SWAPS[type(node.op)]()))
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
            swapped = [_SWAPS[type(node.ops[0])](), *node.ops[1:]]
            return self._hit(ast.unparse(node), node, lambda: setattr(node, "ops", swapped))
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            return self._hit(ast.unparse(node), node, lambda: setattr(node, "value", not node.value))
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            other = node.value + 1 if isinstance(node.value, int) else node.value * 1.01 + 1e-3
            return self._hit(ast.unparse(node), node, lambda: setattr(node, "value", other))
        return node


def mutants(count: int) -> list[Mutant]:
    """Return `count` mutants among all places of all modules: those whose text has the lowest digests.

    So the choice looks random, is the same each time, and hardly changes with the rest of the code.
    """
    every = []
    for module in MODULES:
        places = _Places()
        places.visit(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8")))
        for n, text in enumerate(places.seen):
            key = f"{module} {text} {places.seen[:n].count(text)}"
            every.append((hashlib.sha256(key.encode()).hexdigest(), module, n))
    return [planted(module, n)[0] for _, module, n in sorted(every)[:count]]


def planted(module: str, n: int) -> tuple[Mutant, str]:
    """Return a mutant and the source of its module."""
    source = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    old = ast.unparse(ast.parse(source))
    new = ast.unparse(ast.fix_missing_locations(_Places(n).visit(ast.parse(source))))
    lines = zip(old.splitlines(), new.splitlines(), strict=True)
    before, after = next((a.strip(), b.strip()) for a, b in lines if a != b)
    return Mutant(module, n, before, after), new


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from another source."""

    def __init__(self, name: str, source: str) -> None:
        self.name, self.source = name, source

    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def exec_module(self, module):
        exec(compile(self.source, self.name, "exec"), module.__dict__)


def survives(mutant: Mutant) -> bool:
    """Tell whether every stage still computes a released version with a mutant planted; in a child process."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    code = 1
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        for name in [name for name in sys.modules if name.partition(".")[0] == "semcg"]:
            del sys.modules[name]
        name = f"semcg.{mutant.module.replace('/', '.')}"
        sys.meta_path.insert(0, _Instead(name, planted(mutant.module, mutant.n)[1]))
        from semcg import canary

        same = all(
            "unreleased" not in canary.version(stage) for stage in ("segmenter", "translation", "measures")
        )
        code = 0 if same else 1
    except BaseException:
        code = 1
    finally:
        os._exit(code)


def main() -> None:
    """Plant mutants and print those that no stage noticed."""
    chosen = mutants(int(sys.argv[1]))
    alive = [mutant for mutant in chosen if survives(mutant)]
    for mutant in alive:
        print(mutant, flush=True)
    print(f"{len(alive)} of {len(chosen)} survived")


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(PACKAGE.parent))
    main()
