"""The dicts that go between rooms: `make lint` refuses a misspelt key, no other dict goes, and the command line knows the same names."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from runtime import shapes
from tests.guards.sources import TREE, parse, python_files

# A key that each dict does not have. Of the documents, those that code takes apart most.
MISSPELT = {
    "runtime.cli": {"Settings": "rooot"},
    "oci_spec.types": {
        "Config": "mount",
        "Process": "arg",
        "ProcessUser": "uidd",
        "Linux": "namespace",
        "Mount": "destinaton",
        "Hooks": "createruntime",
        "Hook": "arg",
        "IdMapping": "hostId",
        "Resources": "block_io",
        "Seccomp": "defaultaction",
        "State": "pids",
    },
    "runtime.shapes": {
        "Facts": "priviledged",
        "PublishOptions": "pid_fiel",
        "ExplainOptions": "explan",
        "CreateOptions": "pid_fiel",
        "CriuOptions": "tcp_establish",
        "CheckpointOptions": "leave_runing",
        "RestoreOptions": "lsm_profil",
        "ExecOptions": "additional_gid",
        "PlanOptions": "wait_for_start",
        "Record": "starttime",
        "Tail": "index",
        "TailRow": "code",
        "Location": "directory",
        "CgroupRow": "directory",
        "UnitRow": "name",
        "ResctrlRow": "task",
        "NetDeviceRow": "ifindex",
        "HostContext": "hook",
        "StateDocument": "annotation",
        "VerifyTitle": "process",
    },
    "runtime.api.arguments": {"ProgramOptions": "envs"},
    "runtime.images.bundles.shapes": {"Users": "shadow", "Overlay": "lowers", "Ids": "uid_maps"},
    "runtime.cgroups.stats": {
        "Usage": "totals",
        "Throttling": "throttled_time",
        "Cpu": "pressure",
        "MemoryEntry": "limits",
        "Memory": "kernel_tcp",
        "Pids": "max",
        "DiskEntry": "bytes",
        "HugetlbEntry": "limit",
        "Data": "cpuacct",
    },
    "runtime.host.cgroups": {"Hierarchy": "mount", "CgroupFacts": "version"},
    "runtime.lifecycle.events": {"Event": "kind"},
}
# A row that is read through the dict that holds it, and one that is written.
MISSPELT_USES = {
    'def use(record: Record) -> str:\n    return record["cgroups"][0]["directory"]\n': "CgroupRow",
    'def use(record: Record) -> str:\n    return record["systemd"]["name"]\n': "UnitRow",
    'def use(record: Record) -> list[str]:\n    return record["resctrl"]["task"]\n': "ResctrlRow",
    'def use(record: Record) -> str:\n    return record["net_devices"][0]["ifname"]\n': "NetDeviceRow",
    'def use(record: Record) -> None:\n    record["cgroups"] = [{"path": "/x", "make": 1, "version": 2}]\n': "CgroupRow",
}
# `Any` in the lines of runtime and oci_spec, for each 1,000 of them.
MOST_ANY = 5
# Rooms in which a dict has a type of its own. The exceptions: what their dicts are.
TYPED = ("runtime/plan", "runtime/lifecycle", "runtime/host")
UNTYPED = re.compile(r"\b(?:dict|Mapping|MutableMapping)\[str, (?:Any|Json)\]|\bJsonObject\b")
OPEN = {
    "runtime/plan/explain.py": "the arguments of any operation, by name",
    "runtime/lifecycle/planning.py": "the JSON of `ocirun plan`, which has a key for each argument of any operation",
    "runtime/lifecycle/plan_text.py": "rows of that JSON",
    "runtime/lifecycle/trace_forms.py": "Trace Events, which are written and never read",
    "runtime/lifecycle/versions.py": "records of other releases, whose form is not this one's",
    "runtime/lifecycle/seccomp_listener.py": "the spec's containerProcessState, which is written and never read",
}
# Words of the command line that go no further than the command's own module.
OF_THE_COMMAND = {verb: {"no_subreaper"} for verb in ("create", "run", "restore")}


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


def test_every_dict_is_tried() -> None:
    """Each typed dict that runtime defines has a misspelt key above."""
    defined = {
        file.removesuffix(".py").replace("/", "."): names
        for file in python_files("runtime")
        if (names := typed_dicts(file))
    }
    tried = {module: set(names) for module, names in MISSPELT.items() if module != "oci_spec.types"}
    assert tried == defined


def typed_dicts(file: str) -> set[str]:
    """Those that derive from TypedDict, themselves or by another one of the file."""
    names = {"TypedDict"}
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.ClassDef) and names & {ast.unparse(base) for base in node.bases}:
            names.add(node.name)
    return names - {"TypedDict"}


def test_any_is_rare() -> None:
    """Fewer than five lines of a thousand take a value of any type."""
    lines = [line for file in python_files("runtime", "oci_spec") for line in (TREE / file).read_text().splitlines()]
    assert sum(re.search(r"\bAny\b", line) is not None for line in lines) * 1000 < MOST_ANY * len(lines)


@pytest.mark.parametrize("room", TYPED)
def test_a_room_of_typed_dicts(room: str) -> None:
    """No dict of any keys and values goes through the room, but those that say why."""
    files = [file for file in python_files(room) if UNTYPED.search((TREE / file).read_text())]
    assert [file for file in files if file not in OPEN] == []


@pytest.mark.parametrize("use", MISSPELT_USES)
def test_a_misspelt_key_of_a_row_fails_lint(tree: Path, tmp_path: Path, use: str) -> None:
    """A record's rows are dicts of named keys too, where they are read and where they are made."""
    planted = tmp_path / "planted.py"
    planted.write_text(f"from runtime.shapes import Record\n\n\n{use}")
    assert f'"{MISSPELT_USES[use]}"' in lint(tree, planted)


@pytest.mark.parametrize(
    ("command", "shape"),
    [
        ("create", shapes.CreateOptions),
        ("run", shapes.CreateOptions),
        ("exec", shapes.ExecOptions),
        ("checkpoint", shapes.CheckpointOptions),
        ("restore", shapes.RestoreOptions),
    ],
)
def test_the_command_line_has_no_other_names(command: str, shape: type) -> None:
    """Each option that the command parses is a key of the dict that it becomes."""
    names = {row[2] for row in import_module(f"runtime.commands.{command}").OPTIONS}
    assert names - set(shape.__annotations__) <= OF_THE_COMMAND.get(command, set())
