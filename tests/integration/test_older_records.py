"""Containers whose record an older release wrote, with a process behind them: every verb does what it does for its own.

tests/runtime/lifecycle/test_versions.py has what older releases really wrote; here a new container gets such a record.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.caller import Caller, wait_for

# Numbers of operations before names were written.
NUMBERS = {"run_hook": 38, "wait_start": 61, "place_descriptors": 62, "seccomp": 63, "seccomp_notify": 64, "exec": 65}
ARGUMENTS = {
    "run_hook": (["timeout", "state", "inherit"], ["path"]),
    "place_descriptors": (["count"], []),
    "exec": ([], ["name"]),
}
FORMS = ["unversioned", "cgroups-as-lists"]


def make_older(runtime: Caller, id: str, form: str) -> None:
    """Write the container's record as an older release would have written it."""
    path = runtime.root / id / "state.json"
    record: dict[str, Any] = json.loads(path.read_text())
    del record["version"]
    if form == "cgroups-as-lists":
        record["cgroups"] = [[row["path"], row["made"], row["version"]] for row in record["cgroups"]]
    rows = []
    for row in record["tail"]["operations"]:
        numbers, strings = ARGUMENTS.get(row["name"], ([], []))
        given = row.get("arguments", {})
        values = [given.get(name, 0) for name in numbers], [given.get(name, "") for name in strings]
        rows.append([NUMBERS[row["name"]], 1, row.get("origin"), *values])
    record["tail"] = [record["tail"]["first"], rows]
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("form", FORMS)
def test_a_created_container(runtime: Caller, form: str) -> None:
    """It is paused, resumed and started, and its limits change."""
    bundle = runtime.sleeper({"linux": {"resources": {"pids": {"limit": 50}}}})
    id = runtime.create(bundle)
    make_older(runtime, id, form)
    assert runtime.status(id) == "created"
    runtime.call("pause", id).ok()
    assert runtime.status(id) == "paused"
    runtime.call("resume", id).ok()
    runtime.call("update", "--pids-limit", "40", id).ok()
    make_newest = json.loads((runtime.root / id / "state.json").read_text())
    assert make_newest["version"] == 1, "update writes the record in the present form"
    runtime.start(id)
    assert runtime.status(id) == "running"


@pytest.mark.parametrize("form", FORMS)
def test_a_running_container(runtime: Caller, form: str) -> None:
    """exec, ps, events, pause, list, kill and delete act on the processes and cgroups that its record names."""
    id = runtime.launch(runtime.sleeper())
    make_older(runtime, id, form)
    assert runtime.exec(id, "echo $((6*7))").ok().out == "42\n"
    assert runtime.pid(id) in json.loads(runtime.call("ps", "--format", "json", id).ok().out)
    assert json.loads(runtime.call("events", "--stats", id).ok().out)["type"] == "stats"
    runtime.call("pause", id).ok()
    assert [(row["id"], row["status"]) for row in json.loads(runtime.call("list", "-f", "json").ok().out)] == [
        (id, "paused")
    ]
    runtime.call("resume", id).ok()
    rows = json.loads((runtime.root / id / "state.json").read_text())["cgroups"]
    directories = [row["path"] if isinstance(row, dict) else row[0] for row in rows]
    runtime.kill(id)
    runtime.wait_status(id)
    runtime.call("delete", id).ok()
    assert [path for path in directories if Path(path).exists()] == []


@pytest.mark.parametrize("form", FORMS)
def test_a_hook_that_fails(runtime: Caller, form: str, tmp_path: Path) -> None:
    """start words the failure of a startContainer hook, and removes the container after its poststop hooks."""
    late = [{"path": "/bin/touch", "args": ["touch", f"{tmp_path}/ran"]}]
    hook = [{"path": "/bin/sh", "args": ["sh", "-c", "exit 7"]}]
    id = runtime.create(runtime.sleeper({"hooks": {"startContainer": hook, "poststop": late}}))
    make_older(runtime, id, form)
    assert "error running startContainer hook #0: /bin/sh: exit status 7" in runtime.call("start", id).failed(1).err
    wait_for(lambda: (tmp_path / "ran").exists(), "the poststop hook")
    assert not (runtime.root / id).exists()


def test_a_newer_record(runtime: Caller) -> None:
    """Every verb refuses it by name; `list` shows the other containers; `delete --force` ends it and leaves no cgroup."""
    id, other = runtime.launch(runtime.sleeper()), runtime.launch(runtime.sleeper())
    path = runtime.root / id / "state.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "version": 2, "cloud": {"rain": 1}}))
    pid = record["pid"]
    for verb in (
        ["state"],
        ["start"],
        ["exec"],
        ["pause"],
        ["resume"],
        ["ps"],
        ["update", "--pids-limit=5"],
        ["kill"],
        ["delete"],
    ):
        words = [*verb, id, *(["true"] if verb == ["exec"] else [])]
        said = runtime.call(*words).failed(1 if verb != ["exec"] else 255).err
        assert f'container "{id}" was made by a newer ocirun (state version 2, this one knows up to 1)' in said
    listed = runtime.call("list", "--format", "json").ok()
    assert [row["id"] for row in json.loads(listed.out)] == [other]
    assert "was made by a newer ocirun" in listed.err
    assert Path(f"/proc/{pid}").exists()
    said = runtime.call("delete", "--force", id).ok().err
    assert "is removed without what its record calls cloud" in said
    assert [row["path"] for row in record["cgroups"] if Path(row["path"]).exists()] == []
