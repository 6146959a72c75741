"""The dicts that go between rooms: a misspelt key is an error of `make lint`, and the command line knows the same names."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from runtime import shapes

MISSPELT = {
    "Facts": "priviledged",
    "CreateOptions": "pid_fiel",
    "ExecOptions": "additional_gid",
    "PlanOptions": "wait_for_start",
    "Record": "starttime",
}
# Words of the command line that go no further than the command's own module.
OF_THE_COMMAND = {"run": {"no_subreaper"}}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_key_fails_lint(tree: Path, tmp_path: Path, name: str) -> None:
    """mypy, as `make lint` runs it, refuses a key that the dict does not have."""
    module = tmp_path / "planted.py"
    module.write_text(
        f"from runtime.shapes import {name}\n\n\n"
        f'def read(value: {name}) -> object:\n    return value["{MISSPELT[name]}"]\n'
    )
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(module)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f'TypedDict "{name}" has no key "{MISSPELT[name]}"' in done.stdout


@pytest.mark.parametrize(
    ("command", "shape"),
    [("create", shapes.CreateOptions), ("run", shapes.CreateOptions), ("exec", shapes.ExecOptions)],
)
def test_the_command_line_has_no_other_names(command: str, shape: type) -> None:
    """Each option that the command parses is a key of the dict that it becomes."""
    names = {row[2] for row in import_module(f"runtime.commands.{command}").OPTIONS}
    assert names - set(shape.__annotations__) <= OF_THE_COMMAND.get(command, set())
