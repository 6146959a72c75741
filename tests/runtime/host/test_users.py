"""Names of users, with and without the C library's databases."""

import pwd
from pathlib import Path

import pytest

from runtime.host.users import name_of

NOBODY_HAS = 3_999_999_999


def only_getent(patch: pytest.MonkeyPatch, directory: Path, script: str) -> None:
    """Let PATH lead to this getent alone."""
    program = directory / "getent"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    patch.setenv("PATH", str(directory))


@pytest.mark.parametrize("entry", pwd.getpwall()[:5], ids=lambda entry: entry.pw_name)
def test_a_user_of_the_file(entry: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Whom /etc/passwd names is found there; nobody else is asked."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert name_of(entry.pw_uid) == pwd.getpwuid(entry.pw_uid).pw_name


def test_a_user_of_another_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """getent is asked for the others, by number."""
    only_getent(monkeypatch, tmp_path, 'echo "$1-$2:x:$2:0::/:/bin/sh"')
    assert name_of(NOBODY_HAS) == f"passwd-{NOBODY_HAS}"


def test_a_number_without_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """There is no name where getent knows none, or is not installed."""
    only_getent(monkeypatch, tmp_path, "exit 2")
    assert name_of(NOBODY_HAS) == ""
    (tmp_path / "getent").unlink()
    assert name_of(NOBODY_HAS) == ""
