"""docs/lxc.md names commands, options and properties that exist. tests/vm/test_system_container.py runs its examples."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from runtime.commands import COMMANDS

TREE = Path(__file__).resolve().parents[2]
PAGE = (TREE / "docs/lxc.md").read_text()
PROPERTIES = (TREE / "docs/properties.md").read_text()
CALLS = sorted(set(re.findall(r"ocirun (?:--[\w-]+ )?([a-z]+)((?: --?[\w-]+)*)", PAGE)))
NAMED = sorted(set(re.findall(r"`(?:annotation )?((?:root|process|hooks|linux)(?:\.\w+)+|hostname|mounts)\b", PAGE)))


@pytest.mark.parametrize(("verb", "options"), CALLS, ids=[" ".join(one) for one in CALLS])
def test_commands(verb: str, options: str) -> None:
    """Each verb is one of ocirun's, and has the options that are written before its operands."""
    assert verb in COMMANDS
    if not options:
        return  # some verbs have no module yet
    known = {name for row in import_module(f"runtime.commands.{verb}").OPTIONS for name in row[0]}
    assert set(options.split()) <= known


@pytest.mark.parametrize("name", NAMED)
def test_properties(name: str) -> None:
    """Each property of the right column is one of the specification's."""
    assert f"| `/{name.replace('.', '/')}" in PROPERTIES


def test_enough_is_looked_at() -> None:
    assert len(CALLS) > 15
    assert len(NAMED) > 15
