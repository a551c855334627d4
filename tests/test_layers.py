"""Who imports whom: the nine rows, no cycles, optional packages in one place, light configs."""

from __future__ import annotations

import ast
import fnmatch
import sys
from pathlib import Path

import pytest
from source_code import Import, Module, complain, modules, modules_by_name

# A package imports only from rows above its own; packages of one row do not import each other, except in the
# first row, whose modules build on each other without cycles.
ROWS = [
    {"errors", "log", "config", "artifact", "fingerprint", "provenance", "rng", "signals"},
    {"kernels", "text", "audio", "jobs", "report", "recipes"},
    {"data"},
    {"nn", "score"},
    {"models"},
    {"decode", "align", "units", "cutpaste"},
    {"train"},
    {"prompt", "audit", "doctor"},
    {"cli"},
    {"__main__"},
]
ROW_OF = {name: number for number, row in enumerate(ROWS, start=1) for name in row}
LIGHT = {"pydantic", "pydantic_core", "yaml", "rich", "typing_extensions"}
# The files that may import an optional package, inside functions only; k2 has a family of modules.
OPTIONAL = {
    "k2": "speechkit/decode/k2*.py",
    "kenlm": "*",
    "transformers": "*",
    "peft": "*",
    "opacus": "*",
    "flwr": "*",
    "espeakng_loader": "*",
    "meeteval": "*",
    "sklearn": "*",
    "optuna": "*",
    "kaldialign": "nowhere: it is a test peer",
    "rapidfuzz": "nowhere: it is a test peer",
}


def room_of(dotted: str) -> str:
    """The package of a module: `data` of speechkit.data.store; "" of speechkit itself."""
    return dotted.split(".")[1] if "." in dotted else ""


def own_imports(module: Module) -> list[Import]:
    return [item for item in module.imports if item.target.split(".")[0] == "speechkit"]


def test_every_room_stands_in_a_row() -> None:
    missing = sorted({room_of(m.name) for m in modules()} - set(ROW_OF) - {""})
    assert not missing, f"add to ROWS in {__file__} and to CONTRIBUTING.md: {missing}"


def test_packages_import_only_from_rows_above() -> None:
    faults = []
    for module in modules():
        own = room_of(module.name)
        for item in own_imports(module):
            target = room_of(item.target)
            if own in ("", target) or target == "" or own not in ROW_OF or {own, target} <= ROWS[0]:
                continue
            if ROW_OF.get(target, 99) >= ROW_OF[own]:
                faults.append(
                    f"{module.at(item.line)}  {own} (row {ROW_OF[own]}) imports"
                    f" {item.target} (row {ROW_OF.get(target)})"
                )
    assert not faults, complain("imports from its own row or below", faults)


def test_relative_and_star_imports_are_not_used() -> None:
    faults = [
        module.at(node.lineno)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and (node.level or any(alias.name == "*" for alias in node.names))
    ]
    assert not faults, complain("write `from speechkit.package.module import name`", faults)


def test_no_import_cycles() -> None:
    edges = {
        m.name: {i.target for i in own_imports(m) if not i.only_for_types and i.target != "speechkit"} - {m.name}
        for m in modules()
    }
    cycles, done = [], set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            cycles.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for target in sorted(edges.get(name, set())):
                visit(target, [*path, name])
            done.add(name)

    for name in sorted(edges):
        visit(name, [])
    assert not cycles, complain("import cycle", cycles)


def test_optional_packages_are_imported_inside_functions_of_one_file() -> None:
    faults, homes = [], {}
    for module in modules():
        for item in module.imports:
            package = item.target.split(".")[0]
            if package not in OPTIONAL or item.only_for_types:
                continue
            homes.setdefault(package, set()).add(str(module.path))
            if item.at_top:
                faults.append(f"{module.at(item.line)}  import {package} inside the function that needs it")
            if not fnmatch.fnmatch(str(module.path), OPTIONAL[package]):
                faults.append(f"{module.at(item.line)}  {package} belongs to {OPTIONAL[package]}")
    faults += [
        f"{', '.join(sorted(h))}  import {p}: keep one file" for p, h in homes.items() if len(h) > 1 and p != "k2"
    ]
    assert not faults, complain("optional package in the wrong place", faults)


def test_only_data_imports_lhotse() -> None:
    faults = [
        module.at(item.line)
        for module in modules()
        for item in module.imports
        if item.target.split(".")[0] == "lhotse" and room_of(module.name) != "data" and not item.only_for_types
    ]
    assert not faults, complain(
        "lhotse is imported outside speechkit/data (for annotations: under TYPE_CHECKING)", faults
    )


def _is_light(target: str) -> bool:
    first, *rest = target.split(".")
    if first != "speechkit":
        return first in LIGHT or first in sys.stdlib_module_names
    return not rest or rest[-1].startswith("config") or (len(rest) == 1 and rest[0] in ROWS[0])


@pytest.mark.parametrize("is_cli", [False, True], ids=["first row and configs", "cli"])
def test_light_modules_import_nothing_heavy_at_their_top(is_cli: bool) -> None:
    faults = []
    for module in modules():
        in_cli = room_of(module.name) == "cli"
        is_config = module.path.name.startswith("config")
        if not (in_cli if is_cli else is_config or room_of(module.name) in ROWS[0]):
            continue
        for item in module.imports:
            allowed = is_cli and (item.target.split(".")[0] == "typer" or room_of(item.target) == "cli")
            if item.at_top and not item.only_for_types and not allowed and not _is_light(item.target):
                faults.append(f"{module.at(item.line)}  {item.target}")
    assert not faults, complain("import it inside the function that needs it", faults)


def test_the_layer_tests_see_the_source() -> None:
    names = set(modules_by_name())
    assert {"speechkit.cli", "speechkit.data.store", "speechkit.errors"} <= names
    targets = {i.target for i in modules_by_name()["speechkit.data.store"].imports}
    assert {"lhotse", "speechkit.artifact", "speechkit.errors"} <= targets
    assert Path("speechkit/cli/__init__.py") == modules_by_name()["speechkit.cli"].path
