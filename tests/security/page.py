"""docs/security.md, made from the marks of the attacks: `python -m tests.security.page` writes it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "security.md"
TOP = """# Security

Attacks that got through a runtime, and what stops them here. Each is a test that builds the attack on the real kernel;
the same test runs against the installed runc and crun that it still gets through ("bites"), so that it is known to be an
attack. Made by `python -m tests.security.page`.

| hole | attack | what stops it | test | bites |
|---|---|---|---|---|
"""
# Hole: why no test can go for it.
UNATTACKED = {
    "CVE-2026-119101": "it confuses CRIU's names of external mounts on restore, and there is no restore here",
    "CVE-2026-115520": "the same by `]:` in a path",
}
END = """
A container that was given CAP_SYS_PTRACE, without a user namespace of its own, can trace whatever enters it, as with
other runtimes: what `exec` starts there has the host's privileges until it has dropped them.

Paths of cgroups are no attack's: a cgroup file system has no symlinks, `..` in cgroupsPath is refused, and the names of
files that a config gives (`unified`, page sizes, devices of rdma) are checked to be names.
"""


def attacks() -> Iterator[tuple[str, dict[str, Any]]]:
    """(test, what `attack` was given) of each; those below tests/vm run in the machine of `make test-vm`."""
    for directory in (HERE, HERE.parent / "vm"):
        for file in sorted(directory.glob("test_*.py")):
            module = importlib.import_module(f"tests.{directory.name}.{file.stem}")
            for name, test in vars(module).items():
                if name.startswith("test_") and test.__module__ == module.__name__:
                    for mark in getattr(test, "pytestmark", ()):
                        if mark.name == "attack":
                            yield f"{'' if directory == HERE else 'vm/'}{file.stem}::{name}", mark.kwargs


def rows() -> Iterator[str]:
    for test, kwargs in attacks():
        yield row(test, kwargs)


def row(test: str, kwargs: dict[str, Any]) -> str:
    bites = ", ".join(kwargs["bites"]) or "none"
    return f"| {kwargs['hole']} | {kwargs['what']} | {kwargs['stops']} | `{test}` | {bites} |\n"


def unattacked() -> str:
    listed = "".join(f"- {hole}: {reason}.\n" for hole, reason in UNATTACKED.items())
    return f"\n## Not attacked\n\n{listed}\n## What is left\n"


def text() -> str:
    return TOP + "".join(rows()) + unattacked() + END


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
