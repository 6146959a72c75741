"""runtime.plan.devices: nodes, binds and links of /dev, without a system call."""

from pathlib import Path

import pytest

from runtime.plan import devices, ops

TREE = Path(__file__).resolve().parents[3]
ROOT = {"new_user_namespace": False, "in_user_namespace": False, "privileged": True}
PROC = {"destination": "/proc", "type": "proc"}


def plan(listed: "list[dict[str, object]]", proc: bool = True, **facts: object) -> "list[ops.Operation]":
    spec = {"mounts": [PROC] if proc else [], "linux": {"devices": listed}}
    return devices.operations(spec, {**ROOT, **facts}, [])


def names(rows: "list[ops.Operation]") -> list[str]:
    return [ops.TABLE[row[0]][0] for row in rows]


def test_default_devices_come_first_and_links_last() -> None:
    """config-linux.md#default-devices and runtime-linux.md#dev-symbolic-links."""
    rows = plan([])
    assert names(rows) == ["device"] * 6 + ["symlink"] * 6
    assert [row[4][0] for row in rows[:6]] == [path for path, _, _ in devices.DEFAULTS]
    assert rows[0][3] == (devices.S_IFCHR, 1, 3, 0o666, 0, 0)
    assert rows[6][3:] == ((ops.SYMLINK_REPLACE,), ("pts/ptmx", "/dev/ptmx"))
    assert rows[-1][3:] == ((ops.SYMLINK_IF_TARGET,), ("/proc/kcore", "/dev/core"))


def test_links_into_proc_are_looked_at_where_the_config_has_none() -> None:
    """Each link is made if its target exists."""
    assert {row[3][0] for row in plan([])[7:11]} == {0}
    assert {row[3][0] for row in plan([], proc=False)[7:11]} == {ops.SYMLINK_IF_TARGET}


@pytest.mark.parametrize(
    ("entry", "numbers"),
    [
        (
            {"type": "c", "major": 10, "minor": 229, "fileMode": 0o20600, "uid": 1, "gid": 2},
            (0o20000, 10, 229, 0o600, 1, 2),
        ),
        ({"type": "u", "major": 1, "minor": 2}, (0o20000, 1, 2, 0o666, 0, 0)),
        ({"type": "b", "major": 7, "minor": 0, "fileMode": 0}, (0o60000, 7, 0, 0, 0, 0)),
        ({"type": "p", "fileMode": 0o640}, (0o10000, 0, 0, 0o640, 0, 0)),
    ],
)
def test_listed_devices(entry: dict[str, object], numbers: tuple[int, ...]) -> None:
    """Type, numbers, mode (Podman adds the type's bits) and owner, with the config pointer."""
    row = plan([{"path": "/dev/x", **entry}])[6]
    assert (row[2], row[3], row[4]) == ("/linux/devices/0", numbers, ("/dev/x",))


def test_a_listed_device_replaces_the_default() -> None:
    """A privileged container lists every host device, the default ones and ptmx among them."""
    rows = plan(
        [
            {"path": "/dev//null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
            {"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2},
        ]
    )
    assert [row[4][0] for row in rows if row[0] == ops.OP_DEVICE].count("/dev/null") == 0
    assert [row[2] for row in rows if row[0] == ops.OP_DEVICE and row[2]] == ["/linux/devices/0"]


def test_in_a_user_namespace_devices_are_binds() -> None:
    """The host's nodes by path; listed ones are made by a privileged parent; fifos are made."""
    listed = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}, {"path": "/dev/p", "type": "p"}]
    privileged = plan(listed, new_user_namespace=True)
    assert names(privileged)[:9] == ["device_bind"] * 6 + ["device_tree", "device_bind", "device"]
    assert privileged[7][4] == ("/dev/fuse", None)
    rootless = plan(listed, in_user_namespace=True, privileged=False)
    assert names(rootless)[:8] == ["device_bind"] * 7 + ["device"]
    assert rootless[6][4] == ("/dev/fuse", "/dev/fuse")


@pytest.mark.parametrize("option", ["bind", "rbind"])
def test_a_bound_dev_is_left_alone(option: str) -> None:
    """A bound /dev may be the host's: nothing is made in it, and listed devices are a warning."""
    warnings: list[tuple[str, str]] = []
    mounts = [{"destination": "/dev/", "source": "/dev", "options": [option]}]
    spec = {"mounts": mounts, "linux": {"devices": [{"path": "/dev/x", "type": "p"}]}}
    assert devices.operations(spec, ROOT, warnings) == []
    assert [pointer for pointer, _ in warnings] == ["/linux/devices"]


@pytest.mark.parametrize(
    ("numbers", "more", "told"),
    [
        ((5, 2), {}, False),
        ((5, 2), {"fileMode": 0o20666}, False),
        ((5, 2), {"fileMode": 0o600}, True),
        ((1, 5), {}, True),
    ],
)
def test_another_device_at_ptmx_is_told(numbers: tuple[int, int], more: "dict[str, object]", told: bool) -> None:
    """The symlink replaces a plain multiplexer; anything else listed at that path is a warning."""
    entry = {"path": "/dev//ptmx", "type": "c", "major": numbers[0], "minor": numbers[1], **more}
    warnings: list[tuple[str, str]] = []
    rows = devices.operations({"linux": {"devices": [entry]}}, ROOT, warnings)
    assert "symlink" in names(rows)
    assert [pointer for pointer, _ in warnings] == ["/linux/devices/0"] * told
