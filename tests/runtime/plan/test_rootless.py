"""What an unprivileged caller is refused, and what the error says to do."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import InvalidConfig
from runtime.plan import mounts, ops, remedies, rootless
from tests.runtime.plan import machines

OWN = [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 65536}]
USER = [{"type": "pid"}, {"type": "user"}]
EPERM, EACCES = 1, 13


def refusal(spec: dict[str, Any], **facts: Any) -> str:
    known = {"capable": False, "privileged": False, **facts}
    with pytest.raises(InvalidConfig) as caught:
        rootless.check(spec, machines.facts(spec, **known))
    return str(caught.value)


def test_a_user_namespace_is_needed():
    """A user without any root needs a user namespace; the root of one does not."""
    spec = machines.spec_with()
    assert refusal(spec).startswith("config.json: /linux/namespaces: without root a container needs a user namespace")
    rootless.check(spec, machines.facts(spec, capable=True, in_user_namespace=True, privileged=False))


@pytest.mark.parametrize(
    ("first", "size", "good"), [(0, 1, True), (1, 65536, True), (5, 10, True), (0, 2, False), (65536, 2, False)]
)
def test_maps_within_the_callers_own(first: int, size: int, good: bool):
    """Each mapping must lie in one range of the caller's namespace; the error names the ranges."""
    row = {"containerID": 0, "hostID": first, "size": size}
    spec = machines.spec_with(namespaces=USER, uidMappings=[row], gidMappings=[OWN[0] | {"hostID": 0}])
    known = {"capable": True, "in_user_namespace": True, "own_uid_map": OWN, "own_gid_map": OWN}
    if good:
        rootless.check(spec, machines.facts(spec, **known))
    else:
        said = refusal(spec, **known)
        assert said.startswith(f"config.json: /linux/uidMappings/0: uids {first} to {first + size - 1} are not all")
        assert said.endswith("which has 0 to 0, 1 to 65536")


def test_groups_where_setgroups_is_denied():
    """additionalGids are refused if setgroups is denied; none are fine."""
    spec = machines.spec_with(namespaces=USER, uidMappings=OWN, gidMappings=OWN[:1])
    rootless.check(spec, machines.facts(spec, capable=False, deny_setgroups=True))
    spec["process"]["user"]["additionalGids"] = [0]
    assert refusal(spec, deny_setgroups=True).startswith("config.json: /process/user/additionalGids: ")
    rootless.check(spec, machines.facts(spec, capable=False))


@pytest.mark.parametrize(
    ("operation", "error", "remedy"),
    [
        (ops.unshare(0x10000000, ""), EPERM, "unprivileged_userns_clone"),
        (ops.unshare(0x20000000, ""), EPERM, "CAP_SYS_ADMIN, or a user namespace in the config"),
        (ops.join_namespace(0x40000000, 0, ""), EPERM, "join that one too"),
        (ops.open_namespace(0x40000000, 0, "/x", ""), EACCES, "another user's"),
        (ops.enter_cgroups(None), EACCES, "systemd-run --user --scope"),
        (ops.mount("/x", "ext4", "/dev/x", [], 0, 0), EPERM, "by a bind"),
        (ops.mount("/x", "tmpfs", "x", [], 0, 0), EPERM, ""),
        (ops.root("/x", True, False), EACCES, "each directory of the path must be open"),
        (ops.user(1, 1, True, ["2"]), EPERM, "denies setgroups"),
        (ops.hostname("x"), EPERM, ""),
    ],
)
def test_remedies(operation: ops.Operation, error: int, remedy: str):
    """A refusal for lack of privilege says how to get it; other failures do not."""
    said = remedies.remedy(operation, 0, error)
    assert (remedy in said) if remedy else said == ""
    assert rootless.remedy(operation, 5) == ""


@pytest.mark.parametrize(
    ("source", "options", "user", "recursive"),
    [
        ("/sys", ["rbind", "ro"], True, True),
        ("/", ["rbind", "ro"], True, True),
        ("/sys/fs/../fs/cgroup/", ["rbind", "ro"], True, True),
        ("/sys", ["rbind"], True, False),
        ("/sys", ["bind", "ro"], True, False),
        ("/sys/fs/cgroups", ["rbind", "ro"], True, False),
        ("/sys", ["rbind", "ro"], False, False),
    ],
)
def test_the_hosts_cgroups_are_read_only(source: str, options: list[str], user: bool, recursive: bool):
    """A read-only bind that may contain cgroups is read-only all the way down in a user namespace (CVE-2023-25809)."""
    spec = machines.spec_with(namespaces=USER if user else [], uidMappings=OWN, gidMappings=OWN)
    spec["mounts"] = [{"destination": "/sys", "type": "none", "source": source, "options": options}]
    known = machines.facts(spec, privileged=not user, capable=not user)
    (operation,) = mounts.operations(spec, known, [])
    assert bool(operation[3][4] & 1) == recursive
    assert bool(operation[3][1] & 1) == ("ro" in options)
