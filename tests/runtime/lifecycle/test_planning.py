"""ocirun plan: what it tells, whom it needs for that, and that `create` does just that."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from runtime.errors import InvalidConfig
from runtime.host import facts as host
from runtime.lifecycle.planning import ID, Plan, difference, report
from runtime.plan import ops
from tests.integration import adapt
from tests.integration.bundle import BUSYBOX, Bundle, build_busybox_rootfs, default_config, merge
from tests.integration.ordinary import View


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A busybox bundle that anybody may read."""
    if not BUSYBOX.exists():
        pytest.skip(f"{BUSYBOX} is not installed")
    directory = tmp_path / "bundle"
    (directory / "rootfs").mkdir(parents=True)
    build_busybox_rootfs(directory / "rootfs")
    for path in (directory, *list(tmp_path.parents)[:3], tmp_path):
        if path.stat().st_uid == os.getuid():
            path.chmod(path.stat().st_mode | 0o055)
    return Bundle(directory, merge(default_config(), {"process": {"args": ["true"]}})).save()


def document(bundle: Bundle) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(report(str(bundle.directory), "json")[0])
    return result


def change(bundle: Bundle, **sections: Any) -> Bundle:
    bundle.config = merge(bundle.config, sections)
    return bundle.save()


def test_shape(bundle: Bundle) -> None:
    """The members of the document, and the names of the operations."""
    result = document(bundle)
    assert list(result) == ["version", "operations", "warnings"]
    assert result["version"] == 1
    names = {name for name, _, _ in ops.TABLE}
    for index, row in enumerate(result["operations"]):
        assert list(row) == ["index", "op", "side", "pointer", "line", "text", "args"]
        assert row["index"] == index
        assert row["op"] in names
        assert row["side"] in ("host", "container")
        assert row["text"]


def test_lines_are_those_of_the_text(bundle: Bundle) -> None:
    """Each origin has the line of its value, and the runtime's own doing none."""
    lines = (bundle.directory / "config.json").read_text().splitlines()
    rows = document(bundle)["operations"]
    (hostname,) = [row for row in rows if row["op"] == "hostname"]
    assert f'"{hostname["args"]["name"]}"' in lines[hostname["line"] - 1]
    assert all((row["pointer"] is None) == (row["line"] is None) for row in rows)


def test_text(bundle: Bundle) -> None:
    """A line an operation with its place, the limits below the operation that sets them, then the warnings."""
    extra = {"resources": {"pids": {"limit": 7}}}
    change(bundle, linux=extra, process={"capabilities": {"bounding": ["CAP_NEW"]}})
    text, refusal = report(str(bundle.directory), "text")
    assert refusal is None
    first, *lines = text.splitlines()
    assert first.startswith(f"# what create would do with {bundle.directory}")
    rows = document(bundle)["operations"]
    shown = 0
    for line in lines:
        number = re.match(r" *(\d+)(?:-(\d+))?  (host|container) ", line)
        if not number:
            continue
        low, high = int(number[1]), int(number[2] or number[1])
        assert low == shown
        shown = high + 1
        assert {row["side"] for row in rows[low:shown]} == {number[3]}
        if low == high:
            row = rows[low]
            assert row["text"] in line
            assert line.endswith(f"[{row['line']} {row['pointer']}]" if row["line"] else row["text"])
    assert shown == len(rows)
    if any(
        name == "pids"
        for place in host.read(bundle.config, "/")["cgroup"]["hierarchies"]
        for name in place["controllers"]
    ):
        assert any(re.match(r" {20}pids.max: 7  \[\d+ /linux/resources/pids/limit\]", line) for line in lines)
    assert re.match(r"warning: config.json:\d+: /process/capabilities.*CAP_NEW", lines[-1])


def test_like_operations_are_one_line(bundle: Bundle) -> None:
    """What differs in one word only, for the items of one list, is shown together, with the words and all lines."""
    change(bundle, linux={"maskedPaths": ["/proc/acpi", "/proc/keys", "/sys/firmware"], "readonlyPaths": ["/proc/bus"]})
    lines = report(str(bundle.directory), "text")[0].splitlines()
    (at,) = [number for number, line in enumerate(lines) if " mask " in line]
    assert re.fullmatch(r" *\d+-\d+  container  mask \* if it is there  \[\d+-\d+ /linux/maskedPaths\]", lines[at])
    assert lines[at + 1].strip() == "for * in /proc/acpi, /proc/keys, /sys/firmware"
    assert any(line.endswith("/linux/readonlyPaths/0]") for line in lines)


def test_difference(bundle: Bundle, tmp_path: Path) -> None:
    """What only one of two plans has, wherever it stands in its config; the place of the bundle is no difference."""
    other = tmp_path / "other"
    shutil.copytree(bundle.directory, other, symlinks=True)
    assert difference(str(bundle.directory), str(other)) == ""
    config = json.loads((other / "config.json").read_text())
    config["hostname"] = "elsewhere"
    (gone,) = [mount for mount in config["mounts"] if mount["destination"] == "/dev/mqueue"]
    config["mounts"].remove(gone)
    (other / "config.json").write_text(json.dumps(config, indent=1))
    first, second, *lines = difference(str(bundle.directory), str(other)).splitlines()
    assert (first, second) == (f"--- {bundle.directory}", f"+++ {other}")
    assert [line[:2] for line in lines] == ["@ ", "- ", "@ ", "- ", "+ "]
    assert "mount mqueue on /dev/mqueue" in lines[1]
    assert re.fullmatch(r"\+ container  set the host name to elsewhere  \[\d+ /hostname\]", lines[4])


def test_what_is_written_into_the_cgroups(bundle: Bundle) -> None:
    """The operation that the wire has no arguments for tells of the directories and of every write."""
    (row,) = [row for row in document(bundle)["operations"] if row["op"] == "cgroups"]
    assert set(row["args"]) == {"directories", "writes", "device_filter"}
    assert all(path.endswith(f"/{ID}") for path in row["args"]["directories"])
    for write in row["args"]["writes"]:
        assert write["file"].rpartition("/")[0] in row["args"]["directories"]


def test_a_fault_of_the_host_leaves_the_plan(bundle: Bundle) -> None:
    """What only this host lacks is told beside the plan, and is why create would refuse."""
    change(bundle, process={"args": ["/no/such/program"]})
    text, refusal = report(str(bundle.directory), "text")
    assert isinstance(refusal, InvalidConfig)
    assert (refusal.pointer, refusal.line is None) == ("/process/args/0", False)
    assert re.match(r"error: config.json:\d+: /process/args/0: .*no such file", text.splitlines()[-1])
    assert " execute /no/such/program" in text


def test_a_missing_rootfs_leaves_the_plan(bundle: Bundle) -> None:
    """A config can be looked at without its root file system."""
    shutil.rmtree(bundle.rootfs)
    words, refusal = report(str(bundle.directory), "json")
    assert refusal is not None
    assert refusal.pointer == "/root/path"
    assert [row["severity"] for row in json.loads(words)["warnings"]] == ["error"]


@pytest.mark.parametrize(
    ("section", "pointer"),
    [
        ({"root": {"path": 1}}, "/root/path"),
        ({"process": {"cwd": "here"}}, "/process/cwd"),
        ({"mounts": [{"destination": "/x", "type": "bind", "source": "/"}]}, "/mounts/0/type"),
    ],
)
def test_a_wrong_config_has_no_plan(bundle: Bundle, section: dict[str, Any], pointer: str) -> None:
    """What schema, rules or the plan refuse fails with its pointer, as create does."""
    change(bundle, **section)
    with pytest.raises(InvalidConfig) as caught:
        Plan(str(bundle.directory))
    assert caught.value.pointer == pointer


def test_a_file_in_the_place_of_a_bundle(bundle: Bundle) -> None:
    """A config of any name is planned as that of the bundle that its directory is."""
    file = bundle.directory / "other.json"
    file.write_bytes((bundle.directory / "config.json").read_bytes())
    assert Plan(str(file)).document() == Plan(str(bundle.directory)).document()


def test_a_unit_of_systemd(bundle: Bundle) -> None:
    """With the systemd manager: the unit, its properties and the writes to the files of its cgroups. Nobody is asked."""
    change(
        bundle,
        linux={"cgroupsPath": "a-b.slice:x:y", "resources": {"pids": {"limit": 9}, "cpu": {"quota": 5000}}},
        annotations={"org.systemd.property.TimeoutStopSec": "5"},
    )
    rows = json.loads(report(str(bundle.directory), "json", "systemd")[0])["operations"]
    cgroups = next(row["args"] for row in rows if row["op"] == "cgroups")
    name, *properties = cgroups["unit"]
    assert name == "x-y.scope"
    assert {
        "Slice=a-b.slice",
        "Delegate=yes",
        "TasksMax=9",
        "CPUQuotaPerSecUSec=50000",
        "TimeoutStopUSec=5000000",
    } <= set(properties)
    assert all(path.endswith("/a.slice/a-b.slice/x-y.scope") for path in cgroups["directories"])
    words = report(str(bundle.directory), "text", "systemd")[0]
    assert "the systemd unit x-y.scope\n" in words
    assert "DeviceAllow=char-* m, block-* m, /dev/char/1:3 rwm" in words
    change(bundle, linux={"cgroupsPath": "/a/b"})
    with pytest.raises(InvalidConfig, match="slice:prefix:name"):
        Plan(str(bundle.directory), "systemd")


def test_no_cgroups(bundle: Bundle) -> None:
    """With the manager "disabled" there are none to make."""
    rows = json.loads(report(str(bundle.directory), "json", "disabled")[0])["operations"]
    assert [row for row in rows if row["op"] == "cgroups"] == []


def test_no_process(bundle: Bundle) -> None:
    """A container without a process is planned up to the wait for start; what it holds meanwhile is nothing."""
    del bundle.config["process"]
    bundle.save()
    rows = json.loads(report(str(bundle.directory), "json")[0])["operations"]
    assert [row["op"] for row in rows[-2:]] == ["created", "wait_start"]
    assert all(row["args"]["permitted"] == 0 for row in rows if row["op"] == "capabilities")


@pytest.mark.parametrize("section", ["linux", "root"])
def test_a_section_that_create_needs(bundle: Bundle, section: str) -> None:
    """Without it there is nothing to plan."""
    del bundle.config[section]
    bundle.config.pop("hostname", None)  # it would be the host's
    bundle.save()
    with pytest.raises(InvalidConfig) as caught:
        Plan(str(bundle.directory))
    assert (caught.value.pointer or "").startswith(f"/{section}")


def test_without_root_and_without_a_trace(bundle: Bundle, ocirun: Path, needs_root: None, tmp_path: Path) -> None:
    """Anybody may ask, and nothing is made: no state directory, no cgroup, no seccomp cache."""
    change(bundle, linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}})
    state = bundle.directory / "state"
    command = [*View(tmp_path / "user").command, ocirun, "--root", state, "plan", "--format", "json", bundle.directory]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)["operations"]
    assert rows[-1]["op"] == "exec"
    assert not state.exists()
    for row in rows:
        for path in row["args"].get("directories", ()):
            assert not os.path.exists(path)


def test_exit_status(bundle: Bundle, ocirun: Path) -> None:
    """0 with a plan, 1 where create would refuse, with the reason on standard error, 1 for a wrong word."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([ocirun, "plan", *words, bundle.directory], capture_output=True, text=True)

    assert (call().returncode, call().stderr) == (0, "")
    assert call("--format", "xml").returncode != 0
    change(bundle, process={"args": ["/no/such/program"]})
    refused = call()
    assert refused.returncode == 1
    assert "config.json:" in refused.stderr
    assert "execute /no/such/program" in refused.stdout


def trace(ocirun: Path, state: Path, bundle: Bundle) -> list[dict[str, Any]]:
    """The --trace of a create, which is then deleted."""
    file = bundle.directory / "trace"
    base = [ocirun, "--root", state]
    create = [*base, "create", "--trace", file, "--bundle", bundle.directory, ID]
    with open(bundle.directory / "out", "w") as out:
        done = subprocess.run(create, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        assert done.returncode == 0, (bundle.directory / "out").read_text()
        return [json.loads(line) for line in file.read_text().splitlines()]
    finally:
        subprocess.run([*base, "delete", "--force", ID], check=True)


@pytest.mark.usefixtures("needs_root")
def test_forms_of_a_trace(ocirun: Path, tmp_path: Path, bundle: Bundle) -> None:
    """Trace Events for a .json, with a complete event for each operation; a picture for a .svg, with a bar for each."""
    base = [ocirun, "--root", tmp_path / "state"]
    for name in ("trace.json", "trace.svg"):
        create = [*base, "create", "--trace", tmp_path / name, "--bundle", bundle.directory, ID]
        with open(tmp_path / "out", "w") as out:
            subprocess.run(create, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
        subprocess.run([*base, "delete", "--force", ID], check=True)
    log = json.loads((tmp_path / "trace.json").read_text())
    events = [event for event in log["traceEvents"] if event["ph"] == "X"]
    rows = {row["index"]: row for row in document(bundle)["operations"]}
    assert len(events) > 40
    for event in events:
        row = rows[event["args"]["index"]]
        assert (event["name"], event["cat"]) == (row["op"], row["side"])
        assert event["args"].get("pointer") == row["pointer"]
        assert event["dur"] >= 0
    picture = ElementTree.parse(tmp_path / "trace.svg").getroot()
    assert len(picture.findall(".//{*}g")) == len(events)
    titles = [title.text or "" for title in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert any("mount proc on /proc [/mounts/" in title for title in titles)


CONFIGS = ["spec", "everything", "podman", "docker", "containerd-seccomp"]


def configure(name: str, bundle: Bundle) -> None:
    if name == "everything":
        hooks = {kind: [{"path": "/bin/true"}] for kind in ("prestart", "createRuntime", "createContainer")}
        maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
        kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup", "user"]
        linux = {"namespaces": [{"type": kind} for kind in kinds], "uidMappings": maps, "gidMappings": maps}
        linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
        linux["rootfsPropagation"] = "rslave"
        change(bundle, hooks=hooks, linux=linux)
    elif name != "spec":
        recorder = bundle.directory / "recorder"
        recorder.write_text("#!/bin/sh\n")
        recorder.chmod(0o755)
        around = adapt.Surroundings(bundle.directory / "sources", os.getpid(), ID, lambda: "", recorder)
        bundle.config = adapt.adapt(adapt.load(name), around)
        bundle.config["process"].pop("rlimits", None)  # the machine may not be able to raise them
        bundle.save()


@pytest.mark.parametrize("name", CONFIGS)
def test_create_does_what_plan_tells(bundle: Bundle, ocirun: Path, tmp_path: Path, needs_root: None, name: str) -> None:
    """The operations that init runs are those of the plan, in its order: the trace of create has each one up to `created`.

    Operations of the host's side next to each other are one exchange, timed as the last of them.
    """
    configure(name, bundle)
    rows = document(bundle)["operations"]
    created = next(row["index"] for row in rows if row["op"] == "created")
    traced = trace(ocirun, tmp_path / "state", bundle)
    assert [row["errno"] for row in traced] == [0] * len(traced)
    told = [
        (row["index"], row["op"])
        for row, following in itertools.pairwise(rows)
        if row["index"] < created and not (row["side"] == following["side"] == "host")
    ]
    assert [(row["index"], row["op"]) for row in traced] == told
    assert all(row["start_ns"] <= row["end_ns"] for row in traced)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_wire_has_what_plan_tells(bundle: Bundle, tmp_path: Path, needs_root: None, monkeypatch, name: str) -> None:
    """The bytes that create hands to init decode to the plan's operations, sides and arguments."""
    from runtime.lifecycle import create
    from runtime.plan.encode import decode
    from runtime.process import spawn

    configure(name, bundle)
    rows = document(bundle)["operations"]
    sent: list[bytes] = []
    start = spawn.start

    def keep(data: bytes, *arguments: Any, **named: Any) -> tuple[int, int]:
        sent.append(data)
        return start(data, *arguments, **named)

    monkeypatch.setattr(spawn, "start", keep)
    warnings: list[str] = []
    create.create(str(tmp_path / "state"), ID, {"bundle": str(bundle.directory)}, warnings.append)
    try:
        (data,) = sent
        operations = decode(data)
    finally:
        from runtime.lifecycle.delete import delete

        delete(str(tmp_path / "state"), ID, True, warnings.append)
    assert [told(operation) for operation in operations] == [expected(row) for row in rows]


def told(operation: ops.Operation) -> tuple[str, str, list[int]]:
    code, side, _, numbers, _ = operation
    return ops.TABLE[code][0], ("host", "container")[side], list(numbers)


def expected(row: dict[str, Any]) -> tuple[str, str, list[int]]:
    _, numbers, _ = ops.TABLE[getattr(ops, f"OP_{row['op'].upper()}")]
    return row["op"], row["side"], [row["args"][name] % 2**64 for name in numbers]
