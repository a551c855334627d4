"""How long and how deep the code is, and that it says what it does."""

from __future__ import annotations

import ast
import re

from source_code import REPO, Function, Module, complain, modules, nesting_depth, num_code_lines, percentile95

MAX_FILE_LINES, REASON_ABOVE = 500, 300
MAX_FUNCTION_LINES, P95_FUNCTION_LINES = 60, 35
MAX_NESTING, P95_NESTING = 3, 3
MAX_KERNEL_NESTING = 4  # a compiled kernel may be one loop deeper: rows, frames, states, a condition
BROAD_EXCEPT = {"speechkit/cli/__init__.py", "speechkit/jobs/worker.py"}
NO_NAMES = {"utils.py", "helpers.py", "common.py", "misc.py"}


def all_functions() -> list[tuple[Module, Function, bool]]:
    return [(module, function, public) for module in modules() for function, public in module.functions]


def test_files_are_short() -> None:
    faults = [f"{m.path}:1  {m.text.count(chr(10))} lines" for m in modules() if m.text.count("\n") > MAX_FILE_LINES]
    assert not faults, complain(f"file of more than {MAX_FILE_LINES} lines", faults)


def test_long_files_say_why_in_their_first_comment() -> None:
    faults = []
    for module in modules():
        num_lines = module.text.count("\n")
        head = "\n".join(module.text.splitlines()[:25])
        if num_lines > REASON_ABOVE and not re.search(r"^#.*\w", head, flags=re.MULTILINE):
            faults.append(f"{module.path}:1  {num_lines} lines")
    assert not faults, complain(f"file of more than {REASON_ABOVE} lines without a comment that says why", faults)


def test_functions_are_short() -> None:
    sizes = [(num_code_lines(f, m.text.splitlines()), m.at(f.lineno), f.name) for m, f, _ in all_functions()]
    faults = [f"{where}  {name}: {size} code lines" for size, where, name in sizes if size > MAX_FUNCTION_LINES]
    assert not faults, complain(f"function of more than {MAX_FUNCTION_LINES} code lines", faults)
    p95 = percentile95([size for size, _, _ in sizes])
    longest = [f"{where}  {name}: {size}" for size, where, name in sorted(sizes, reverse=True)[:20]]
    assert p95 <= P95_FUNCTION_LINES, complain(
        f"5 % of the functions have {p95} or more code lines, the longest:", longest
    )


def test_nesting_is_shallow() -> None:
    depths, faults = [], []
    for module, function, _ in all_functions():
        depth = nesting_depth(function)
        in_kernels = module.name.startswith("speechkit.kernels.")
        depths.append((depth, f"{module.at(function.lineno)}  {function.name}: {depth} levels"))
        if depth > (MAX_KERNEL_NESTING if in_kernels else MAX_NESTING):
            faults.append(depths[-1][1])
    assert not faults, complain(f"function nested deeper than {MAX_NESTING}", faults)
    deepest = [text for _, text in sorted(depths, reverse=True)[:20]]
    assert percentile95([depth for depth, _ in depths]) <= P95_NESTING, complain("too many deep ones:", deepest)


def test_everything_public_has_a_docstring() -> None:
    faults = [f"{m.path}:1  the module" for m in modules() if m.text.strip() and not ast.get_docstring(m.tree)]
    for module in modules():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not ast.get_docstring(node):
                faults.append(f"{module.at(node.lineno)}  class {node.name}")
    faults += [f"{m.at(f.lineno)}  {f.name}" for m, f, public in all_functions() if public and not ast.get_docstring(f)]
    assert not faults, complain("public and without a docstring", faults)


def test_every_parameter_and_result_is_typed() -> None:
    faults = []
    for module, function, _ in all_functions():
        spec = function.args
        arguments = [
            *spec.posonlyargs,
            *spec.args,
            *spec.kwonlyargs,
            *filter(None, [spec.vararg, spec.kwarg]),
        ]
        bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        bare += ["return"] if function.returns is None else []
        if bare:
            faults.append(f"{module.at(function.lineno)}  {function.name}: {', '.join(bare)}")
    assert not faults, complain("without a type", faults)


def test_broad_except_stands_only_where_exceptions_become_exit_codes() -> None:
    faults = []
    for module in modules():
        for node in ast.walk(module.tree):
            caught = ast.unparse(node.type) if isinstance(node, ast.ExceptHandler) and node.type else ""
            is_broad = isinstance(node, ast.ExceptHandler) and caught in ("", "Exception", "BaseException")
            reraises = isinstance(node, ast.ExceptHandler) and any(
                isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(node)
            )
            if is_broad and not reraises and str(module.path) not in BROAD_EXCEPT:
                faults.append(module.at(node.lineno))
    assert not faults, complain("broad except", faults)


def test_code_is_ascii_without_unfinished_marks() -> None:
    faults = []
    for module in modules():
        for number, line in enumerate(module.text.splitlines(), start=1):
            if not line.isascii():
                faults.append(f"{module.at(number)}  not ASCII")
            if re.search(r"#.*\b(TODO|FIXME|XXX)\b(?!.*#\d+)", line):
                faults.append(f"{module.at(number)}  unfinished, without an issue number")
    assert not faults, complain("", faults)


def test_modules_are_named_after_what_they_hold() -> None:
    faults = [str(m.path) for m in modules() if m.path.name in NO_NAMES]
    assert not faults, complain(f"not a name: {sorted(NO_NAMES)}", faults)


def test_no_committed_text_names_one_machine() -> None:
    folders = ("speechkit", "tests", "tools", "egs", ".ci")
    files = [
        p for f in folders for p in (REPO / f).rglob("*") if p.suffix in {".py", ".sh", ".yaml", ".md", ".txt", ".j2"}
    ]
    files = [p for p in files if not {"exp", "data", "__pycache__"} & set(p.relative_to(REPO).parts[2:-1])]
    files += [
        REPO / n
        for n in ("Makefile", ".ci/run", "README.md", "CONTRIBUTING.md", "requirements.lock")
        if (REPO / n).is_file()
    ]
    pattern = re.compile(r"(?<![\w.])/(work|root|home)/\w|pypi" r"\.org|python" r"hosted")
    faults = [
        f"{path.relative_to(REPO)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not faults, complain("a path of one machine or the host of a registry", faults)


def test_measures_of_a_known_function() -> None:
    text = (
        'def f(x):\n    """Doc."""\n    # why\n    if x:\n        for y in x:\n            pass\n'
        "    elif y:\n        pass\n\n    return x\n"
    )
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert num_code_lines(function, text.splitlines()) == 6
    assert nesting_depth(function) == 2
    assert percentile95(list(range(1, 101))) == 95
