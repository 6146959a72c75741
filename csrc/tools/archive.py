"""Writes runtime/modules.bin: the code of our modules in one file, which `runtime/archive.py` imports them from.

Finding a module on disk takes five system calls and a third of a millisecond, fifty times for `create`. The file is the
length of a header (8 bytes, little endian), the header, marshalled, and code, marshalled. The header is (magic number
of the interpreter, start and length of the index, {command: start and length of its group}), where

    index     {name: (path below the site, is a package, size and mtime in ns of the source, start and length of its code)}
    group     (((name, path, is a package, size, mtime), ...) in the order in which they can be executed, their codes)

A start counts from the end of the header. A group is what the usual call of a command imports: read, unmarshalled and
executed at once, it takes half the time. The index is read only if a module outside the group is imported. What only
people and tools read is left out of the code: docstrings, annotations of functions, line numbers (--debug imports the
sources), assertions.

Usage: archive.py SITE OUTPUT [unchecked]   (unchecked: the sources are to be installed, and nobody edits them)
"""

import ast
import importlib.util
import marshal
import os
import pathlib
import sys
import types
from collections.abc import Iterable, Iterator

PACKAGES = ("oci_spec", "runtime")
# Imported before the archive, or read by people's tools only.
LEFT_OUT = (
    "runtime/__main__.py",
    "runtime/archive.py",
    "oci_spec/generate_shapes.py",
    "oci_spec/generate_types.py",
    "oci_spec/types.py",
    "runtime/shapes.py",
)
API = ("runtime/api/", "runtime/import/")  # no command imports it

CLI = "runtime.cli"
RULES = ("oci_spec.rules", *(f"oci_spec.rules.{name}" for name in ("process", "config", "linux", "resources")))
PLAN = ("runtime.plan.mounts", "runtime.plan.devices", "runtime.plan.paths")
CREATE = ("oci_spec.verdict", "runtime.lifecycle.create", *RULES, *PLAN)
# What a command imports as a rule, besides what these import at load: tests/runtime/test_archive.py compares.
GROUPS = {
    "create": (CLI, "runtime.commands.create", *CREATE),
    "run": (
        CLI,
        "runtime.commands.run",
        *CREATE,
        "runtime.lifecycle.run",
        "runtime.process.foreground",
        "runtime.lifecycle.delete",
    ),
    "exec": (
        CLI,
        "runtime.commands.exec",
        "oci_spec.verdict",
        "runtime.lifecycle.exec",
        "runtime.process.foreground",
        "runtime.process.interruption",
    ),
    "start": (CLI, "runtime.commands.start", "runtime.lifecycle.start"),
    "state": (CLI, "runtime.commands.state", "runtime.lifecycle.state"),
    "kill": (CLI, "runtime.commands.kill", "runtime.lifecycle.kill"),
    "delete": (
        CLI,
        "runtime.commands.delete",
        "runtime.lifecycle.delete",
        "runtime.lifecycle.kill",
        "runtime.cgroups.members",
        "runtime.cgroups.tree",
    ),
}


class Bare(ast.NodeTransformer):
    """Removes annotations of functions and variables; those in a class body may matter."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function without annotations."""
        node.returns = None
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        for argument in every:
            if argument is not None:
                argument.annotation = None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Its methods only."""
        node.body = [self.visit(child) if isinstance(child, ast.FunctionDef) else child for child in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """A plain assignment, or nothing where there is no value."""
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)


def without_lines(code: types.CodeType) -> types.CodeType:
    """The code, and all code nested in it, without line number tables."""
    constants = tuple(without_lines(one) if isinstance(one, types.CodeType) else one for one in code.co_consts)
    return code.replace(co_linetable=b"", co_consts=constants)


def compiled(path: pathlib.Path, filename: str) -> types.CodeType:
    """The module's code."""
    tree = ast.fix_missing_locations(Bare().visit(ast.parse(path.read_bytes())))
    return without_lines(compile(tree, filename, "exec", dont_inherit=True, optimize=2))


def imported(node: ast.AST, package: str) -> Iterator[str]:
    """The names that an import statement may load, parents first."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
        module = ".".join(part for part in (base, node.module or "") if part)
        names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
    else:
        return
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def loads(path: pathlib.Path, package: str) -> Iterator[str]:
    """The names that a module may load when it is executed."""
    for statement in ast.parse(path.read_bytes()).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            continue
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            for node in ast.walk(statement):
                yield from imported(node, package)


def in_order(roots: Iterable[str], sources: dict[str, pathlib.Path]) -> list[str]:
    """The modules that the roots load, themselves included, each after those that it loads."""
    done: dict[str, None] = {}
    entered: set[str] = set()

    def visit(name: str) -> None:
        if name not in sources or name in entered:
            return
        entered.add(name)
        path = sources[name]
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for other in loads(path, package):
            visit(other)
        done[name] = None

    for root in roots:
        parts = root.split(".")
        for i in range(len(parts)):
            visit(".".join(parts[: i + 1]))
    return list(done)


def archive(site: pathlib.Path, checked: bool) -> bytes:
    """The file's content, for this interpreter."""
    paths = sorted(path for package in PACKAGES for path in (site / package).rglob("*.py"))
    relative = {path: str(path.relative_to(site)) for path in paths}
    sources = {
        relative[path].removesuffix(".py").removesuffix("/__init__").replace("/", "."): path
        for path in paths
        if relative[path] not in LEFT_OUT and not relative[path].startswith(API)
    }
    codes = {name: compiled(path, relative[path]) for name, path in sources.items()}
    body = b""

    def put(value: object) -> tuple[int, int]:
        nonlocal body
        data = marshal.dumps(value)  # type: ignore[arg-type]  # what marshal can write
        body += data
        return len(body) - len(data), len(data)

    modules, groups = {}, {}
    for name, path in sources.items():
        status = path.stat()
        time = status.st_mtime_ns if checked else 0
        modules[name] = (relative[path], path.name == "__init__.py", status.st_size, time, *put(codes[name]))
    for command, roots in GROUPS.items():
        names = tuple(in_order(roots, sources))
        groups[command] = put(
            (tuple((name, *modules[name][:4]) for name in names), tuple(codes[name] for name in names))
        )
    header = marshal.dumps((importlib.util.MAGIC_NUMBER, put(modules), groups))
    return len(header).to_bytes(8, "little") + header + body


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[2])
    aside = target.with_name(f"{target.name}.{os.getpid()}")
    aside.write_bytes(archive(pathlib.Path(sys.argv[1]), checked=sys.argv[3:] != ["unchecked"]))
    aside.replace(target)
