"""The verbs beside a life: update, stats, events, processes, verify; and the reports."""

import json
import os
from pathlib import Path
from typing import Any

import ocirun
import pytest
from ocirun import Container, InvalidConfig, NotFound, OcirunError, WrongState

from tests.elf import elf
from tests.integration.bundle import default_config, merge
from tests.runtime.api.place import Place, on_real_containers


@on_real_containers
def test_update(place: Place):
    """A limit changes; what is no limit is InvalidConfig, and one that the kernel refuses OcirunError."""
    with place.create() as container:
        container.start()
        container.update({"pids": {"limit": 7}})
        assert container.stats()["pids"]["limit"] == 7
        with pytest.raises(InvalidConfig, match="/pids/limit"):
            container.update({"pids": {"limit": "many"}})
        with pytest.raises(InvalidConfig, match="not JSON"):
            container.update({"pids": {1, 2}})
        with pytest.raises(OcirunError):
            container.update({"cpu": {"cpus": "4000"}})
        assert container.stats()["pids"]["limit"] == 7
        container.kill("KILL")
        container.wait()
        with pytest.raises(WrongState, match="not running"):
            container.update({"pids": {"limit": 8}})


@on_real_containers
def test_events(place: Place):
    """Statistics come at the interval, memory that runs out when it happens; with the container they end."""
    change: dict[str, Any] = {"linux": {"resources": {"memory": {"limit": 16 << 20}}}}
    script = "sleep 0.7; head -c 64m /dev/zero | tail >/dev/null; sleep 0.5"
    place.configure(merge({"process": {"args": ["sh", "-c", script]}}, change))
    with Container.run(place.token, place.directory, root=place.root) as container:
        found = [event["type"] for event in container.events(0.3)]
    assert {"stats", "oom"} == set(found)
    with place.create() as container, pytest.raises(OcirunError, match="above 0"):
        container.events(0)


@on_real_containers
def test_processes_and_verify(place: Place):
    """processes has the pids, verify a document without a difference."""
    with place.create() as container:
        container.start()
        with container.popen(["sleep", "60"]) as program:
            assert container.processes() == sorted([container.pid, program.pid])
        document = container.verify()
        assert document["counts"]["differs"] == 0
        assert json.loads(json.dumps(document)) == document


@on_real_containers
def test_all_problems_of_a_config(place: Place):
    """InvalidConfig has each with place, reason and remedy; also where only planning or this host finds one."""
    place.configure({"process": {"cwd": 1, "user": "x", "args": []}})
    with pytest.raises(InvalidConfig) as caught:
        Container.create(place.token, place.directory, root=place.root)
    problems = caught.value.problems
    assert {"/process/user", "/process/cwd"} <= {one.pointer for one in problems}
    assert all(one.line > 1 and one.column > 0 and one.message for one in problems)
    assert any(one.hint for one in problems)
    assert problems[0].pointer == caught.value.pointer
    place.configure({"linux": {"namespaces": [{"type": "mount"}], "sysctl": {"net.ipv4.ip_forward": "1"}}})
    with pytest.raises(InvalidConfig) as caught:
        Container.create(place.token, place.directory, root=place.root, console_socket="/nowhere")
    assert len(caught.value.problems) >= 1


def bundle(tmp_path: Path, change: dict[str, Any] | None = None) -> Path:
    (tmp_path / "rootfs/bin").mkdir(parents=True, exist_ok=True)
    (tmp_path / "rootfs/bin/true").write_bytes(elf())
    (tmp_path / "rootfs/bin/true").chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps(merge(default_config(), change or {})))
    return tmp_path


def test_validate(tmp_path: Path):
    """Of a bundle, of a file, of a dict; other kinds of documents; as the command finds them."""
    found = ocirun.validate(bundle(tmp_path, {"process": {"cwd": 1}}), host=False)
    assert [(one.pointer, one.severity, one.rule) for one in found] == [("/process/cwd", "error", "schema:type")]
    assert ocirun.validate(tmp_path / "config.json", host=False) == found
    config = json.loads((tmp_path / "config.json").read_text())
    (other,) = ocirun.validate(config, host=False)
    assert (other.pointer, other.line, other.column) == ("/process/cwd", 0, 0)
    assert [one.pointer for one in ocirun.validate({"pids": {"limit": "x"}}, kind="resources")] == ["/pids/limit"]
    (missing,) = ocirun.validate(tmp_path / "nothing")
    assert missing.message.endswith("no such file or directory")
    with pytest.raises(OcirunError, match="must be one of"):
        ocirun.validate(config, kind="bundle")


def test_plan(tmp_path: Path):
    """The document of the command; InvalidConfig with all problems for what create refuses."""
    document = ocirun.plan(bundle(tmp_path))
    assert document["version"] == 1
    assert {"index", "op", "side", "pointer", "line", "text", "args"} == set(document["operations"][0])
    with pytest.raises(InvalidConfig) as caught:
        ocirun.plan(bundle(tmp_path, {"process": {"cwd": 1}}))
    assert [one.pointer for one in caught.value.problems] == ["/process/cwd"]


def test_features_and_doctor():
    """The documents of the commands."""
    assert ocirun.features()["ociVersionMax"] == "1.3.0"
    found = ocirun.doctor()
    assert isinstance(found["usable"], bool)
    assert found["rows"]


def test_the_old_names():
    """`runtime` has the names that it had."""
    import runtime

    for name in runtime.__all__:
        assert getattr(runtime, name) is getattr(ocirun, name)


def test_a_working_directory_that_is_gone(tmp_path: Path):
    """A relative path is an OcirunError that says why."""
    (tmp_path / "gone").mkdir()
    before = os.getcwd()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        for act in (lambda: Container.create("one", "bundle", root="/nowhere"), lambda: Container.load("one", "state")):
            with pytest.raises(OcirunError, match="relative, and the working directory: no such file"):
                act()
        with pytest.raises(NotFound):
            Container.load("one", tmp_path)
    finally:
        os.chdir(before)
