"""The project's sources as the guards look at them: files, and what each imports when it is loaded."""

import ast
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
GENERATED = {
    "oci_spec/_shapes.py",
    "oci_spec/_shapes_elsewhere.py",
    "oci_spec/types.py",
    "runtime/_build.py",
    "runtime/plan/ops.py",
    "csrc/operations.h",
    "csrc/arguments.h",
    "csrc/dispatch.c",
}


def python_files(*rooms: str) -> list[str]:
    """Names of the hand-written Python files below `rooms`, relative to the tree."""
    found = [path.relative_to(TREE).as_posix() for room in rooms for path in (TREE / room).rglob("*.py")]
    return sorted(set(found) - GENERATED)


def c_files() -> list[Path]:
    """The hand-written C sources."""
    found = sorted((TREE / "csrc").glob("*.[ch]"))
    return [path for path in found if path.relative_to(TREE).as_posix() not in GENERATED]


def parse(name: str) -> ast.Module:
    return ast.parse((TREE / name).read_text(encoding="utf-8"), name)


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _statements(body: list[ast.stmt], everywhere: bool, types: bool) -> Iterator[ast.stmt]:
    """The statements that run when a module is loaded; with `everywhere` those of functions too, with `types` a type checker's."""
    for statement in body:
        if isinstance(statement, ast.If) and _is_type_checking(statement.test) and not types:
            continue
        yield statement
        is_function = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and not everywhere:
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, field, []), everywhere, types)
        for handler in getattr(statement, "handlers", []) + getattr(statement, "cases", []):
            yield from _statements(handler.body, everywhere, types)


def _absolute(name: str, statement: ast.ImportFrom) -> str:
    """The module that a relative import in the file `name` means."""
    if not statement.level:
        return statement.module or ""
    package = name.removesuffix(".py").split("/")[: -statement.level]
    return ".".join([*package, *([statement.module] if statement.module else [])])


def imports(name: str, everywhere: bool = False, types: bool = False) -> set[str]:
    """Modules that the file imports when it is loaded (`everywhere`: or when a function runs; `types`: or for types only).

    `from package import module` counts as package.module where that file exists.
    """
    found: set[str] = set()
    for statement in _statements(parse(name).body, everywhere, types):
        if isinstance(statement, ast.Import):
            found.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            module = _absolute(name, statement)
            for alias in statement.names:
                path = TREE / module.replace(".", "/") / alias.name
                is_module = path.with_suffix(".py").exists() or path.is_dir() or alias.name == "_shim"
                found.add(f"{module}.{alias.name}" if is_module else module)
    return found
