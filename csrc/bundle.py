"""Writes runtime/modules.bin: the code of all our modules in one file, which `runtime/bundle.py` imports them from.

Finding a module on disk takes five system calls and a third of a millisecond, fifty times for `create`. The file is a
marshalled (magic number of the interpreter, {module: row}), then the code of each module, marshalled. A row is (path
below the site, is a package, size and mtime in ns of the source, where the code starts, counted from the end). What only
people and tools read is left out of the code: docstrings, annotations of functions, line numbers (--debug imports the
sources), assertions.

Usage: bundle.py SITE OUTPUT [unchecked]   (unchecked: the sources are to be installed, and nobody edits them)
"""

import ast
import importlib.util
import marshal
import os
import pathlib
import sys
import types

PACKAGES = ("oci_spec", "runtime")
# Imported before the bundle, or read by people's tools only.
LEFT_OUT = (
    "runtime/__main__.py",
    "runtime/bundle.py",
    "oci_spec/generate.py",
    "oci_spec/generate_types.py",
    "oci_spec/types.py",
)


class Bare(ast.NodeTransformer):
    """Takes annotations off functions and variables; those in a class body may be its meaning."""

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
    """The code, and all code in it, without its table of line numbers."""
    constants = tuple(without_lines(one) if isinstance(one, types.CodeType) else one for one in code.co_consts)
    return code.replace(co_linetable=b"", co_consts=constants)


def compiled(path: pathlib.Path, filename: str) -> bytes:
    """The module's code, marshalled."""
    tree = ast.fix_missing_locations(Bare().visit(ast.parse(path.read_bytes())))
    return marshal.dumps(without_lines(compile(tree, filename, "exec", dont_inherit=True, optimize=2)))


def bundle(site: pathlib.Path, checked: bool) -> bytes:
    """The file's content, for this interpreter."""
    modules, codes, back = {}, [], 0
    for path in sorted((path for package in PACKAGES for path in (site / package).rglob("*.py")), reverse=True):
        relative = str(path.relative_to(site))
        if relative in LEFT_OUT:
            continue
        codes.append(compiled(path, relative))
        back += len(codes[-1])
        name = relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        status = path.stat()
        time = status.st_mtime_ns if checked else 0
        modules[name] = (relative, path.name == "__init__.py", status.st_size, time, back)
    return marshal.dumps((importlib.util.MAGIC_NUMBER, modules)) + b"".join(reversed(codes))


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[2])
    aside = target.with_name(f"{target.name}.{os.getpid()}")
    aside.write_bytes(bundle(pathlib.Path(sys.argv[1]), checked=sys.argv[3:] != ["unchecked"]))
    aside.replace(target)
