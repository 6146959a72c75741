"""The dicts that go between rooms: `make lint` refuses a misspelt key, and the command line knows the same names."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from runtime import shapes

MISSPELT = {
    "runtime.shapes": {
        "Facts": "priviledged",
        "CreateOptions": "pid_fiel",
        "ExecOptions": "additional_gid",
        "PlanOptions": "wait_for_start",
        "Record": "starttime",
        "Location": "directory",
        "CgroupRow": "directory",
        "UnitRow": "name",
        "ResctrlRow": "task",
        "NetDeviceRow": "ifindex",
    },
    "runtime.cgroups.stats": {"Data": "cpuacct"},
    "runtime.host.cgroups": {"Hierarchy": "mount"},
}
# A row that is read through the dict that holds it, and one that is written.
MISSPELT_USES = {
    'def use(record: Record) -> str:\n    return record["cgroups"][0]["directory"]\n': "CgroupRow",
    'def use(record: Record) -> str:\n    return record["systemd"]["name"]\n': "UnitRow",
    'def use(record: Record) -> list[str]:\n    return record["resctrl"]["task"]\n': "ResctrlRow",
    'def use(record: Record) -> str:\n    return record["net_devices"][0]["ifname"]\n': "NetDeviceRow",
    'def use(record: Record) -> None:\n    record["cgroups"] = [{"path": "/x", "make": 1, "version": 2}]\n': "CgroupRow",
}
# Words of the command line that go no further than the command's own module.
OF_THE_COMMAND = {"run": {"no_subreaper"}}


def lint(tree: Path, module: Path) -> str:
    """What mypy says as `make lint` runs it, which must refuse the module."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(module)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stdout


@pytest.mark.parametrize("module", MISSPELT)
def test_a_misspelt_key_fails_lint(tree: Path, tmp_path: Path, module: str) -> None:
    """mypy refuses a key that a dict does not have."""
    names = MISSPELT[module]
    lines = ["from __future__ import annotations", "TYPE_CHECKING = False", "if TYPE_CHECKING:"]
    lines.append(f"    from {module} import {', '.join(names)}")
    for name, key in names.items():
        lines += [f"def read_{name}(value: {name}) -> object:", f'    return value["{key}"]']
    planted = tmp_path / "planted.py"
    planted.write_text("\n".join(lines) + "\n")
    errors = lint(tree, planted)
    assert [name for name, key in names.items() if f'TypedDict "{name}" has no key "{key}"' not in errors] == []


@pytest.mark.parametrize("use", MISSPELT_USES)
def test_a_misspelt_key_of_a_row_fails_lint(tree: Path, tmp_path: Path, use: str) -> None:
    """A record's rows are dicts of named keys too, where they are read and where they are made."""
    planted = tmp_path / "planted.py"
    planted.write_text(f"from runtime.shapes import Record\n\n\n{use}")
    assert f'"{MISSPELT_USES[use]}"' in lint(tree, planted)


@pytest.mark.parametrize(
    ("command", "shape"),
    [("create", shapes.CreateOptions), ("run", shapes.CreateOptions), ("exec", shapes.ExecOptions)],
)
def test_the_command_line_has_no_other_names(command: str, shape: type) -> None:
    """Each option that the command parses is a key of the dict that it becomes."""
    names = {row[2] for row in import_module(f"runtime.commands.{command}").OPTIONS}
    assert names - set(shape.__annotations__) <= OF_THE_COMMAND.get(command, set())
