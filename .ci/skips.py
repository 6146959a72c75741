#!/usr/bin/env python3
"""Fails if a skipped test is not in the list.

Usage: skips.py LIST REPORT.xml...   (LIST: tests/skips.txt; the reports: JUnit XML of pytest)
"""

import fnmatch
import sys
from collections.abc import Iterator
from xml.etree import ElementTree


def allowed(path: str) -> list[str]:
    """The patterns of the list; a line without a reason is an error."""
    patterns = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            pattern, _, reason = line.partition("#")
            if pattern.strip() and not reason.strip():
                sys.exit(f"{path}:{number}: no reason is given")
            if pattern.strip():
                patterns.append(pattern.strip())
    return patterns


def skipped(report: str) -> Iterator[tuple[str, str]]:
    """Name (file::test) and reason of each skipped test; expected failures are no skips."""
    for case in ElementTree.parse(report).iter("testcase"):
        for skip in case.iter("skipped"):
            if skip.get("type") != "pytest.xfail":
                file = (case.get("classname") or "").replace(".", "/") + ".py"
                yield f"{file}::{case.get('name')}", skip.get("message") or ""


def main(path: str, *reports: str) -> int:
    patterns = allowed(path)
    unlisted = 0
    for report in reports:
        for name, reason in skipped(report):
            if not any(fnmatch.fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns):
                print(f"skipped, but not in {path}: {name}: {reason}")
                unlisted += 1
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
