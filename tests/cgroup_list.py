"""The list of tests that runs with every kind of cgroups: which they are, and what each shows. Of docs/cgroups.md.

A test with the mark `cgroups` is on it; the first paragraph of its docstring is what it shows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
PAGE = TREE / "docs/cgroups.md"
MARK = "pytest.mark.cgroups"


def tests() -> dict[str, str]:
    """ "tests/…/test_x.py::test_y" -> what it shows, file by file in the order in which they stand there."""
    return {f"{path.relative_to(TREE)}::{name}": text for path in files() for name, text in marked(path)}


def files() -> list[Path]:
    directory = TREE / "tests/integration"
    found = sorted((directory / "resources").glob("test_*.py")) + sorted(directory.glob("test_*.py"))
    return [path for path in found if MARK in path.read_text()]


def marked(path: Path) -> Iterator[tuple[str, str]]:
    module = ast.parse(path.read_text())
    all_of_them = any(
        isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "pytestmark"
        and MARK in ast.unparse(node.value)
        for node in module.body
    )
    for node in module.body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        if all_of_them or any(ast.unparse(decorator) == MARK for decorator in node.decorator_list):
            text = ast.get_docstring(node) or ""
            yield node.name, " ".join(text.partition("\n\n")[0].split())
