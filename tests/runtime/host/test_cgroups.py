"""The texts of /proc as cgroup facts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.host import cgroups

TREE = Path(__file__).resolve().parents[3]

V1_LINE = "32 31 0:29 / /sys/fs/cgroup/{0} rw,relatime shared:9 - cgroup cgroup rw,{1}"
UNIFIED_LINE = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate"
V2_LINE = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw"
ROOT_LINE = "23 1 254:0 / / rw,relatime - ext4 /dev/vda rw"


def test_no_cgroup_mount_is_a_mode_of_its_own():
    """A machine without mounted hierarchies has none, and no error."""
    assert cgroups.parse(ROOT_LINE, "0::/\n", "") == {"mode": "none", "hierarchies": ()}


def test_v1_names_joined_and_named_hierarchies():
    """A v1 mount is known by its first controller among other options, a named one by its name."""
    mounts = "\n".join(
        [ROOT_LINE, V1_LINE.format("cpu,cpuacct", "xattr,cpu,cpuacct"), V1_LINE.format("systemd", "name=systemd")]
    )
    facts = cgroups.parse(mounts, "4:cpu,cpuacct:/a/b\n1:name=systemd:/user.slice\n2:memory:/\n", "")
    assert facts["mode"] == "v1"
    assert [(one["controllers"], one["mountpoint"], one["own"], one["version"]) for one in facts["hierarchies"]] == [
        (("cpu", "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct", "/a/b", 1),
        (("name=systemd",), "/sys/fs/cgroup/systemd", "/user.slice", 1),
    ]


def test_hybrid_puts_the_unified_hierarchy_first():
    """v1 with a v2 mount below it is hybrid; the v2 hierarchy has what cgroup.controllers says."""
    mounts = "\n".join([V1_LINE.format("memory", "memory"), UNIFIED_LINE])
    facts = cgroups.parse(mounts, "4:memory:/m\n0::/u\n", "hugetlb rdma\n")
    assert facts["mode"] == "hybrid"
    assert [(one["version"], one["controllers"], one["own"]) for one in facts["hierarchies"]] == [
        (2, ("hugetlb", "rdma"), "/u"),
        (1, ("memory",), "/m"),
    ]


def test_options_of_the_v2_hierarchy():
    """They are those of the superblock, which all its mounts have, without rw."""
    line = V2_LINE + ",nsdelegate,memory_recursiveprot"
    (hierarchy,) = cgroups.parse(line, "0::/x\n", "memory pids\n")["hierarchies"]
    assert hierarchy["options"] == ["nsdelegate", "memory_recursiveprot"]
    assert cgroups.parse(V2_LINE, "0::/x\n", "")["hierarchies"][0]["options"] == []


def test_a_stray_v1_mount_leaves_a_v2_host_v2():
    """On a v2 host a v1 hierarchy that somebody mounted elsewhere is not used."""
    stray = "60 31 0:50 / /run/net_cls rw - cgroup cgroup rw,net_cls"
    facts = cgroups.parse(f"{stray}\n{V2_LINE}", "3:net_cls:/\n0::/x\n", "memory pids\n")
    assert facts["mode"] == "v2"
    assert [one["mountpoint"] for one in facts["hierarchies"]] == ["/sys/fs/cgroup"]


def test_what_is_covered_is_not_there():
    """A v1 tree that was mounted over the v2 hierarchy, and what lies below that, is what there is."""
    below = "31 30 0:27 / /sys/fs/cgroup/misc rw - cgroup cgroup rw,misc"
    cover = "80 30 0:60 / /sys/fs/cgroup rw - tmpfs cgroup_root rw"
    memory = "81 80 0:61 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
    stacked = "82 81 0:62 / /sys/fs/cgroup/memory rw - tmpfs none rw"
    text = "\n".join([ROOT_LINE, V2_LINE, below, cover, memory])
    facts = cgroups.parse(text, "4:memory:/m\n3:misc:/\n0::/u\n", "")
    assert (facts["mode"], [one["mountpoint"] for one in facts["hierarchies"]]) == ("v1", ["/sys/fs/cgroup/memory"])
    assert cgroups.parse(f"{text}\n{stacked}", "4:memory:/m\n0::/u\n", "")["mode"] == "none"


@pytest.mark.parametrize("order", [1, -1])
def test_a_hierarchy_mounted_twice_counts_once(order: int):
    """The mount below /sys/fs/cgroup is preferred, whatever the order."""
    bind = "70 1 0:29 /pod /var/lib/x/memory rw - cgroup cgroup rw,memory"
    lines = [V1_LINE.format("memory", "memory"), bind][::order]
    facts = cgroups.parse("\n".join(lines), "4:memory:/\n", "")
    assert [one["mountpoint"] for one in facts["hierarchies"]] == ["/sys/fs/cgroup/memory"]


def test_escaped_paths_and_mount_roots_are_read():
    """mountinfo writes a blank as \\040; the mount's root is field four."""
    line = "70 1 0:29 /pod\\134x /mnt/a\\040b\\011c rw - cgroup cgroup rw,memory"
    (one,) = cgroups.parse(line, "4:memory:/pod\n", "")["hierarchies"]
    assert (one["mountpoint"], one["root"]) == ("/mnt/a b\tc", "/pod\\x")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_covered_by_a_new_sysfs():
    """Where a sysfs was mounted over /sys, the cgroups below the old one are not there, though mountinfo lists them."""
    code = "from runtime.host import cgroups; print(cgroups.read()['mode'])"
    script = 'mount -t sysfs sysfs /sys; grep -c " - cgroup" /proc/self/mountinfo; exec "$@"'
    sandbox = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script, "sh"]
    result = subprocess.run(
        [*sandbox, sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TREE
    )
    listed, mode = result.stdout.split()
    if listed == "0":
        pytest.skip("no cgroups are mounted")
    assert mode == "none"


COVERING = """
first=$(awk '/ - cgroup/ { print $5; exit }' /proc/self/mountinfo)
[ "$first" ] || exit 0
mount --bind "$first" "$1" && mount -t tmpfs cgroup_root /sys/fs/cgroup && mkdir /sys/fs/cgroup/kept || exit 1
mount --bind "$1" /sys/fs/cgroup/kept && umount "$1" && shift && exec "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_tree_over_the_first_one(tmp_path: Path):
    """What lies in a tree that was mounted over /sys/fs/cgroup is there, and nothing of the one below it."""
    code = "from runtime.host import cgroups; print(*[one['mountpoint'] for one in cgroups.read()['hierarchies']])"
    sandbox = ["unshare", "--mount", "--propagation", "private", "sh", "-c", COVERING, "sh", tmp_path]
    result = subprocess.run(
        [*sandbox, sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TREE
    )
    if not result.stdout:
        pytest.skip("no cgroups are mounted")
    assert result.stdout == "/sys/fs/cgroup/kept\n"


def test_this_machine_is_read():
    """The caller's own cgroups exist where the facts say, each hierarchy once."""
    facts = cgroups.read()
    assert facts["mode"] in ("none", "v1", "hybrid", "v2")
    mountpoints = [one["mountpoint"] for one in facts["hierarchies"]]
    assert len(mountpoints) == len(set(mountpoints))
