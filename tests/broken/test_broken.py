"""Bundles that are wrong in one thing: `validate` names it, its place and the remedy, and `create` refuses it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from runtime.commands.validate import validate
from tests.broken.bundles import CASES, GONE, Case, base, line_of, write


def identify(case: Case) -> str:
    value = "gone" if case.value is GONE else json.dumps(case.value)[:40]
    return f"{case.changed}={value}"


def test_the_base_has_nothing_wrong(tmp_path: Path) -> None:
    """A case is wrong in what it changes alone."""
    write(Case("/hostname", "fine", ""), tmp_path)
    assert json.loads(validate(str(tmp_path), "json")[0])["problems"] == []
    assert base()["hostname"]


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_a_fault_is_told(case: Case, tmp_path: Path) -> None:
    """The first problem is the case's: its pointer, line, severity, words and remedy; nothing else is an error."""
    config = write(case, tmp_path)
    problems = json.loads(validate(str(tmp_path), "json")[0])["problems"]
    pointer = case.pointer or case.changed
    found = [one for one in problems if one["pointer"] == pointer and case.message in one["message"]]
    assert found, problems
    assert found[0]["severity"] == case.severity
    assert found[0]["line"] == line_of(config, pointer)
    assert (case.remedy or "") in f"{found[0]['message']} {found[0]['hint']}"
    # What the plan refuses has its remedy in the message, and managers match the words on a program that is not there.
    assert found[0]["hint"] or found[0]["rule"] in ("plan", "host:program"), "what to do is not told"
    errors = [one for one in problems if one["severity"] == "error"]
    assert [one["pointer"] for one in errors if one not in found] == []


@pytest.mark.parametrize("case", [case for case in CASES if not case.created], ids=identify)
@pytest.mark.usefixtures("needs_root")
def test_create_refuses_it(case: Case, tmp_path: Path, ocirun: Path) -> None:
    """`create` fails with a pointer at or above the fault, and leaves nothing."""
    write(case, tmp_path)
    base = [ocirun, "--root", tmp_path / "state"]
    # Files, since a container that is made after all would keep pipes open.
    with open(tmp_path / "said", "w") as said:
        try:
            create = [*base, "create", "--bundle", tmp_path, "broken"]
            done = subprocess.run(create, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=60, check=False)
        finally:
            subprocess.run([*base, "delete", "--force", "broken"], check=True, timeout=60)
    words = (tmp_path / "said").read_text()
    assert done.returncode == 1, words
    assert "Traceback" not in words
    assert not (tmp_path / "state/broken").exists()
