"""cgroupsPath and the host's facts as directories, and what a cgroup mount shows of them."""

import pytest

from runtime.cgroups import layout
from runtime.errors import OcirunError
from tests.runtime.cgroups import hosts


def paths(cgroups_path: str | None, facts: dict) -> list[str]:
    return [location["path"] for location in layout.locations(cgroups_path, "box", facts)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/pod/box", "/sys/fs/cgroup/memory/pod/box"),
        ("//pod/./box/", "/sys/fs/cgroup/memory/pod/box"),
        ("pod/box", "/sys/fs/cgroup/memory/user/me/pod/box"),
        ("system.slice:docker:x", "/sys/fs/cgroup/memory/user/me/system.slice:docker:x"),
        (None, "/sys/fs/cgroup/memory/user/me/box"),
        ("", "/sys/fs/cgroup/memory/user/me/box"),
    ],
)
def test_a_path_counts_from_the_mount_or_the_caller(given: str | None, expected: str):
    """A leading slash counts from the mount's root, anything else from the caller's own cgroup."""
    assert paths(given, hosts.v1("memory", own="/user/me")) == [expected]


@pytest.mark.parametrize("given", ["/", "//", "/.", "..", "/a/../b", "a/..", "a\nb", "a\0b"])
def test_a_path_that_leaves_its_place_is_refused(given: str):
    """The root itself, `..` and characters that no cgroup has are errors at /linux/cgroupsPath."""
    with pytest.raises(OcirunError) as caught:
        paths(given, hosts.v1())
    assert caught.value.pointer == "/linux/cgroupsPath"


@pytest.mark.parametrize(
    ("own", "root", "expected"),
    [
        ("/docker/abc", "/docker/abc", "/m/box"),
        ("/docker/abc/sub", "/docker/abc", "/m/sub/box"),
        ("/docker/abcd", "/docker/abc", "/m/box"),
        ("/", "/../..", "/m/box"),
        ("/../outside", "/", "/m/box"),
    ],
)
def test_the_callers_own_cgroup_is_found_below_a_bound_mount(own: str, root: str, expected: str):
    """A mount that shows a part of the hierarchy is searched from its own root."""
    facts = {"mode": "v1", "hierarchies": (hosts.hierarchy(1, ("memory",), "/m", own, root),)}
    assert paths(None, facts) == [expected]


@pytest.mark.parametrize(
    ("own", "beside", "expected"),
    [
        ("/user/me", True, "/sys/fs/cgroup/user/box"),
        ("/user/me", False, "/sys/fs/cgroup/user/me/box"),
        ("/me", True, "/sys/fs/cgroup/box"),
        ("/../outside", True, "/sys/fs/cgroup/box"),
        ("/", False, "/sys/fs/cgroup/box"),
    ],
)
def test_on_pure_v2_a_path_counts_from_beside_the_caller(own: str, beside: bool, expected: str):
    """The caller's own cgroup has processes and can give no controller on: where it may, the container goes beside it."""
    facts = hosts.v2(own=own)
    facts["hierarchies"][0]["beside"] = beside
    assert paths(None, facts) == [expected]
    assert paths("/a/b", facts) == ["/sys/fs/cgroup/a/b"]


def test_every_hierarchy_gets_a_directory():
    """Hybrid: the v2 hierarchy too, with the base that is certainly there."""
    locations = layout.locations("/a/b", "box", hosts.hybrid())
    assert [(location["path"], location["base"]) for location in locations][:2] == [
        ("/sys/fs/cgroup/unified/a/b", "/sys/fs/cgroup/unified"),
        ("/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/memory"),
    ]


def test_a_v2_mount_is_one_file_system():
    """Without a cgroup namespace the fallback is the host's tree, within one the container's own."""
    locations = layout.locations("/box", "box", hosts.v2())
    assert layout.mount_entries(locations, False) == [("cgroup2", "/sys/fs/cgroup", "", "")]
    assert layout.mount_entries(locations, True) == [("cgroup2", "/sys/fs/cgroup/box", "", "")]
    locations[0]["hierarchy"]["options"] = ["nsdelegate", "memory_recursiveprot"]
    options = "nsdelegate,memory_recursiveprot"
    assert layout.mount_entries(locations, False) == [("cgroup2", "/sys/fs/cgroup", options, "")]
    assert layout.mount_entries(locations, True) == [("cgroup2", "/sys/fs/cgroup/box", "", "")]


def test_a_v1_mount_binds_the_containers_own_directories():
    """A tmpfs, a bind for each v1 hierarchy, a link for each of a joined pair; unified is not shown."""
    facts = {"mode": "hybrid", "hierarchies": hosts.hybrid()["hierarchies"] + hosts.v1("cpu,cpuacct")["hierarchies"]}
    assert layout.mount_entries(layout.locations("/box", "box", facts), False) == [
        ("tmpfs", "tmpfs", "mode=755", ""),
        ("bind", "/sys/fs/cgroup/memory/box", "", "memory"),
        ("bind", "/sys/fs/cgroup/devices/box", "", "devices"),
        ("bind", "/sys/fs/cgroup/pids/box", "", "pids"),
        ("bind", "/sys/fs/cgroup/cpu,cpuacct/box", "", "cpu,cpuacct"),
        ("symlink", "cpu,cpuacct", "", "cpu"),
        ("symlink", "cpu,cpuacct", "", "cpuacct"),
    ]


def test_a_v1_mount_in_a_cgroup_namespace_is_fresh():
    """Within a cgroup namespace each hierarchy is mounted anew, by its controllers or its name."""
    facts = hosts.v1("cpu,cpuacct", "memory")
    facts["hierarchies"] += (hosts.hierarchy(1, ("name=systemd",), "/sys/fs/cgroup/systemd"),)
    assert layout.mount_entries(layout.locations("/box", "box", facts), True) == [
        ("tmpfs", "tmpfs", "mode=755", ""),
        ("cgroup", "cgroup", "cpu,cpuacct", "cpu,cpuacct"),
        ("cgroup", "cgroup", "memory", "memory"),
        ("cgroup", "systemd", "name=systemd", "systemd"),
        ("symlink", "cpu,cpuacct", "", "cpu"),
        ("symlink", "cpu,cpuacct", "", "cpuacct"),
    ]


def test_no_hierarchy_is_an_empty_mount():
    """Without cgroups there is nothing to mount."""
    assert layout.mount_entries([], True) == []
