#!/usr/bin/env python3
"""docs/cgroups.md: what each test of limits, accounting and control shows with each kind of cgroups.

Usage: cgroups.py [JUNIT.xml...]   (default: build/test.xml and build/test-vm.xml)

The tests record what cgroups they ran with; where they ran does not count. Exits 1, and writes nothing, when a test
failed or one of the list is in none of the reports.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

TREE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE))

from tests import cgroup_list  # noqa: E402 - the tree is no installed package

REPORTS = ("build/test.xml", "build/test-vm.xml")
# (heading, what the tests recorded: version of the cgroups, driver)
COLUMNS = (
    ("v1 hybrid, cgroupfs", ("hybrid", "cgroupfs")),
    ("v2, cgroupfs", ("v2", "cgroupfs")),
    ("v2, systemd", ("v2", "systemd")),
)
TOP = """# Cgroups

One list of tests runs with each kind of cgroups: on a host with cgroup v1 (and v2 beside it), and on Debian with v2 and
systemd (`make test-vm`), where ocirun makes the cgroups itself and where it asks systemd. A limit is shown by what it
does to processes, a count by comparison with what was used. Made by `make cgroups`, which runs them.

**passes**: the test does. **absent**: the machine does not have what the test is about; the reason stands there.

"""

# Of the variants of one test: the words, the worst first.
WORST = ("fails", "absent", "passes")
Cell = tuple[str, str]


def cell_of(case: ElementTree.Element) -> Cell:
    """(word, reason) of one test case."""
    for kind, word in (("failure", "fails"), ("error", "fails"), ("skipped", "absent")):
        found = case.find(kind)
        if found is not None:
            return word, (found.get("message") or "").strip().partition("\n")[0]
    return "passes", ""


def read(reports: list[Path]) -> dict[tuple[str, tuple[str, str]], list[Cell]]:
    """(test, column) -> the cell of each variant."""
    cells: dict[tuple[str, tuple[str, str]], list[Cell]] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            noted = {one.get("name"): one.get("value") or "" for one in case.iter("property")}
            column = noted.get("cgroups", ""), noted.get("driver", "")
            name = re.sub(r"\[.*", "", case.get("name") or "")
            file = (case.get("classname") or "").replace(".", "/")
            cells.setdefault((f"{file}.py::{name}", column), []).append(cell_of(case))
    return cells


def worded(variants: list[Cell]) -> str:
    if not variants:
        return "not run"
    word, reason = min(variants, key=lambda cell: WORST.index(cell[0]))
    return f"{word}: {reason}" if reason else word


def page(reports: list[Path]) -> tuple[str, list[str]]:
    """The page, and what forbids to write it."""
    cells = read(reports)
    lines = ["| what is shown | test | " + " | ".join(heading for heading, _ in COLUMNS) + " |"]
    lines.append("|---|---|" + "---|" * len(COLUMNS))
    bad = []
    for test, text in cgroup_list.tests().items():
        words = [worded(cells.get((test, column), [])) for _, column in COLUMNS]
        bad += [f"{test}: {heading}: {word}" for word, (heading, _) in zip(words, COLUMNS, strict=True) if unfit(word)]
        short = test.removeprefix("tests/integration/")
        lines.append("| " + " | ".join(one.replace("|", "\\|") for one in (text, f"`{short}`", *words)) + " |")
    return TOP + "\n".join(lines) + "\n", bad


def unfit(word: str) -> bool:
    return word.startswith(("fails", "not run"))


def main(arguments: list[str]) -> int:
    reports = [Path(name) for name in arguments or REPORTS]
    if missing := [str(report) for report in reports if not report.exists()]:
        print(f"cgroups: {' and '.join(missing)} not there: make test and make test-vm write them", file=sys.stderr)
        return 1
    text, bad = page(reports)
    for line in bad:
        print(f"cgroups: {line}", file=sys.stderr)
    if not bad:
        cgroup_list.PAGE.write_text(text)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
