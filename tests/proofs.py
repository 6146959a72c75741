"""Which test proves which property or operation: a pytest plugin for these marks, and the schema to compare them with.

    python -m pytest -p tests.proofs --proofs FILE [--proofs-only] [--collect-only] ...

writes FILE: `[{"id", "paths", "operations", "container", "marks", "outcome", "reason", "seconds"}]`, a test that has a
mark a row: `paths` are those of `proves`, `operations` those of `proves_operation`. `container` says whether the test
runs the runtime under test; `outcome` is passed, failed or skipped, or null where it was only collected. With
--proofs-only the tests that prove no property are left out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from runtime.plan import ops
from runtime.plan.properties_table import TABLE
from tests.runtime.plan import properties_page

TREE = Path(__file__).resolve().parent.parent
# Where a test runs that the development machine cannot.
ELSEWHERE = ("vm", "kernel")
Row = dict[str, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proofs", metavar="FILE", help="write the tests marked `proves`, and what came of them")
    parser.addoption("--proofs-only", action="store_true", help="leave out tests that prove no property")


def arguments(item: pytest.Item, mark: str) -> list[str]:
    return sorted({argument for one in item.iter_markers(mark) for argument in one.args})


def paths_of(item: pytest.Item) -> list[str]:
    return arguments(item, "proves")


def pytest_configure(config: pytest.Config) -> None:
    if file := config.getoption("--proofs"):
        config.pluginmanager.register(Recorder(Path(file)), "proofs-recorder")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--proofs-only"):
        kept = [item for item in items if paths_of(item)]
        config.hook.pytest_deselected(items=[item for item in items if not paths_of(item)])
        items[:] = kept


class Recorder:
    """Collects the rows and writes them at the session's end."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[str, Row] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            paths, operations = paths_of(item), arguments(item, "proves_operation")
            if paths or operations:
                self.rows[item.nodeid] = {
                    "id": item.nodeid,
                    "paths": paths,
                    "operations": operations,
                    "container": "runtime" in getattr(item, "fixturenames", ()),
                    "marks": sorted({mark.name for mark in item.iter_markers() if mark.name in ELSEWHERE}),
                    "outcome": None,
                    "reason": "",
                    "seconds": 0.0,
                }

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        row = self.rows.get(report.nodeid)
        if row is not None:
            row["seconds"] += report.duration
        if row is None or row["outcome"] in ("failed", "skipped"):
            return
        row["outcome"] = report.outcome
        if isinstance(report.longrepr, tuple):  # of a skip: file, line, words
            row["reason"] = report.longrepr[2].removeprefix("Skipped: ")
        elif report.outcome == "failed":
            crash = getattr(report.longrepr, "reprcrash", None)
            row["reason"] = crash.message if crash else str(report.longrepr)

    def pytest_sessionfinish(self) -> None:
        self.file.write_text(json.dumps(list(self.rows.values()), indent=1))


def collect() -> list[Row]:
    """The rows of the whole tree, collected by a pytest of its own, so that a caller's selection does not count."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "proofs.json"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--collect-only",
            "-p",
            "tests.proofs",
            "-p",
            "no:cacheprovider",
        ]
        done = subprocess.run(
            [*command, "--proofs", str(file), "tests"],
            cwd=TREE,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the tests cannot be collected:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        rows: list[Row] = json.loads(file.read_text())
    return rows


def schema_paths() -> list[str]:
    """Every property of a config for Linux, sorted; of another platform's section the section only."""
    return sorted(properties_page.of_linux())


def sections(paths: list[str]) -> set[str]:
    """Those that are proved by what is below them."""
    return {path for path in paths if any(other.startswith(f"{path}/") for other in paths)}


def proofs(rows: list[Row]) -> dict[str, list[Row]]:
    """Path -> the tests that prove it in a real container."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        for path in row["paths"]:
            if row["container"]:
                found.setdefault(path, []).append(row)
    return found


def unproven(rows: list[Row]) -> list[str]:
    """The properties that no test proves in a real container."""
    paths = schema_paths()
    proved = proofs(rows)
    return [path for path in paths if path not in proved and path not in sections(paths)]


def operation_paths() -> dict[str, set[str]]:
    """Operation -> the properties that it is there for, by the table of properties."""
    found: dict[str, set[str]] = {name: set() for name, _, _ in ops.TABLE}
    for path, (_, becomes) in TABLE.items():
        for word in re.findall(r"`(\w+)`", becomes):
            if word in found:
                found[word].add(path)
    return found


def operation_proofs(rows: list[Row]) -> dict[str, list[Row]]:
    """Operation -> the tests that should fail without it, those that are marked with its name first."""
    found: dict[str, list[Row]] = {}
    for name, properties in operation_paths().items():
        marked = [row for row in rows if name in row["operations"]]
        others = [
            row
            for row in rows
            if row not in marked and row["container"] and any(_is_below(path, properties) for path in row["paths"])
        ]
        found[name] = marked + sorted(others, key=lambda row: float(row["seconds"]))
    return found


def _is_below(path: str, properties: set[str]) -> bool:
    """The path is one of these, or below one."""
    parts = path.split("/")
    return any("/".join(parts[:end]) in properties for end in range(2, len(parts) + 1))
