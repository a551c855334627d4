"""The source of speechkit as syntax trees: what the tests of layers and sizes look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
NESTING = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match, ast.AsyncFor, ast.AsyncWith)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """One imported module: its full name, where, and whether at the top of the file or only for types."""

    target: str
    line: int
    at_top: bool
    only_for_types: bool


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its path relative to the checkout, its text and tree."""

    name: str
    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def at(self, line: int) -> str:
        return f"{self.path}:{line}"

    @cached_property
    def functions(self) -> list[tuple[Function, bool]]:
        """Every function and method, nested ones too, and whether it is public."""
        return list(_functions(self.tree, is_public=True))

    @cached_property
    def imports(self) -> list[Import]:
        known = set(modules_by_name())
        return [item for node in self.tree.body for item in _imports(node, known, at_top=True, for_types=False)]


def _functions(node: ast.AST, *, is_public: bool) -> Iterator[tuple[Function, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child, is_public and not child.name.startswith("_")
            yield from _functions(child, is_public=False)
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, is_public=is_public and not child.name.startswith("_"))
        else:
            yield from _functions(child, is_public=is_public)


def _imports(node: ast.AST, known: set[str], *, at_top: bool, for_types: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno, at_top, for_types)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        for alias in node.names:
            full = f"{base}.{alias.name}"
            yield Import(full if full in known else base, node.lineno, at_top, for_types)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for child in node.body:
            yield from _imports(child, known, at_top=at_top, for_types=True)
    else:
        inside = at_top and not isinstance(node, Function)
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, known, at_top=inside, for_types=for_types)


@lru_cache(maxsize=1)
def modules_by_name() -> dict[str, Module]:
    """All modules of speechkit by dotted name."""
    found = {}
    for path in sorted((REPO / "speechkit").rglob("*.py")):
        relative = path.relative_to(REPO)
        parts = relative.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, relative, path.read_text(encoding="utf-8"))
    return found


def modules() -> list[Module]:
    """All modules of speechkit."""
    return list(modules_by_name().values())


def num_code_lines(function: Function, text_lines: list[str]) -> int:
    """Lines of the body without docstring, comments and blank lines."""
    body = function.body
    if (
        isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        body = body[1:]
    if not body:
        return 0
    lines = text_lines[body[0].lineno - 1 : function.end_lineno]
    return sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))


def nesting_depth(function: Function) -> int:
    """How deep blocks stand within each other; `elif` is no deeper than its `if`."""
    return max((_depth(node) for node in function.body), default=0)


def _depth(node: ast.AST, *, is_elif: bool = False) -> int:
    if isinstance(node, Function | ast.ClassDef | ast.Lambda):
        return 0  # measured on its own
    own = int(isinstance(node, NESTING) and not is_elif)
    is_chain = isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)
    below = [
        _depth(child, is_elif=is_chain and isinstance(node, ast.If) and child is node.orelse[0])
        for child in ast.iter_child_nodes(node)
    ]
    return own + max(below, default=0)


def percentile95(values: list[int]) -> int:
    """The value that 95 % do not exceed."""
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


def complain(rule: str, faults: list[str]) -> str:
    """The message of a failed rule: one fault per line."""
    return "\n".join([f"{len(faults)} times: {rule}", *faults])
