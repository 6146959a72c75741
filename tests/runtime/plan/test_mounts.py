"""runtime.plan.mounts: what each mount of a config becomes, without a system call."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import kernel
from runtime.cgroups.layout import locations
from runtime.errors import InvalidConfig
from runtime.plan import mount_options, mounts, ops

TREE = Path(__file__).resolve().parents[3]
FACTS = {"bundle": "/bundle", "new_user_namespace": False, "in_user_namespace": False, "privileged": True}
V1 = ("memory", "cpu,cpuacct")


def hierarchies(mode: str) -> dict[str, object]:
    """Facts of a host with cgroups of the version."""
    names = V1 if mode == "v1" else ("",)
    version = 1 if mode == "v1" else 2
    return {
        "mode": mode,
        "hierarchies": tuple(
            {
                "version": version,
                "controllers": tuple(name.split(",")),
                "mountpoint": f"/sys/fs/cgroup/{name}".rstrip("/"),
                "root": "/",
                "own": "/",
            }
            for name in names
        ),
    }


def plan(*entries: dict[str, object], namespaces: tuple[str, ...] = (), **facts: object) -> "list[ops.Operation]":
    spec = {"mounts": list(entries), "linux": {"namespaces": [{"type": name} for name in namespaces]}}
    return mounts.operations(spec, {**FACTS, **facts}, [])


def one(*options: str, type: str = "tmpfs", **facts: object) -> dict[str, object]:
    """The only operation of one mount, its arguments by the names of the table."""
    entry = {"destination": "/a", "type": type, "source": "src", "options": list(options)}
    (operation,) = plan(entry, **facts)
    return named(operation)


def named(operation: "ops.Operation") -> dict[str, object]:
    code, side, origin, numbers, strings = operation
    name, number_names, string_names = ops.TABLE[code]
    return {
        "op": name,
        "side": side,
        "origin": origin,
        **dict(zip(number_names, numbers, strict=True)),
        **dict(zip(string_names, strings, strict=True)),
    }


def test_the_order_is_the_configs() -> None:
    """config.md#mounts: performed in array order, each with its pointer."""
    order = ["/z", "/a", "/a/b", "/"]
    entries = [{"destination": path, "type": "tmpfs"} for path in order[:3]]
    assert [(row[4][0], row[2]) for row in plan(*entries)] == [
        ("/z", "/mounts/0"),
        ("/a", "/mounts/1"),
        ("/a/b", "/mounts/2"),
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("nosuid", "nodev", "noexec"), 2 | 4 | 8),
        (("nosuid", "suid"), 0),
        (("suid", "nosuid"), 2),
        (("noatime",), 0x10),
        (("noatime", "strictatime"), 0x20),
        (("strictatime", "relatime"), 0),
        (("noatime", "atime"), 0),
        (("nodiratime", "noatime"), 0x90),
        (("nosymfollow",), 0x200000),
        (("defaults", "rw"), 0),
    ],
)
def test_attributes_of_new_mounts(options: tuple[str, ...], expected: int) -> None:
    """The later of two options counts, and an access time replaces the other."""
    assert one(*options)["attr_set"] == expected


@pytest.mark.parametrize(
    ("options", "attr_set", "attr_clr"),
    [
        (("ro",), 1, 0),
        (("rw",), 0, 1),
        (("ro", "rw"), 0, 1),
        (("rw", "ro"), 1, 0),
        (("noatime",), 0x10, 0x70),
        (("relatime",), 0, 0x70),
        (("norelatime",), 0, 0),
        (("exec", "dev", "suid", "symfollow", "diratime"), 0, 2 | 4 | 8 | 0x80 | 0x200000),
    ],
)
def test_attributes_of_binds(options: tuple[str, ...], attr_set: int, attr_clr: int) -> None:
    """A bind changes what its options name, and no other flag of its source."""
    operation = one("bind", *options)
    assert (operation["attr_set"], operation["attr_clr"]) == (attr_set, attr_clr)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("private",), kernel.MS_PRIVATE),
        (("rslave",), kernel.MS_SLAVE | kernel.MS_REC),
        (("rslave", "rshared"), kernel.MS_SLAVE | kernel.MS_SHARED | kernel.MS_REC),
        (("rshared", "rprivate"), kernel.MS_PRIVATE | kernel.MS_REC),
        (("unbindable",), kernel.MS_UNBINDABLE),
    ],
)
def test_propagation(options: tuple[str, ...], expected: int) -> None:
    """The last kind counts, but a slave may be shared."""
    assert one("rbind", *options)["propagation"] == expected
    assert one(*options)["propagation"] == expected


def test_recursive_attributes() -> None:
    """rro and its kin go to mount_setattr with AT_RECURSIVE."""
    operation = one("rbind", "rro", "rnosuid", "rexec", "rnoatime")
    assert (operation["rec_set"], operation["rec_clr"]) == (1 | 2 | 0x10, 8 | 0x70)
    assert operation["recursive"] == 1


def test_unlisted_options_are_the_file_systems() -> None:
    """Options that the spec does not list are passed on as written, except mount(8)'s own."""
    operation = one("size=1m", "nr_inodes=7", "noauto", "x-systemd.automount", "_netdev", "huge=never")
    assert operation["options"] == ["size=1m", "nr_inodes=7", "huge=never"]


def test_read_only_superblocks() -> None:
    """`ro` reaches a disk's superblock, but not one shared with the host; a tmpfs becomes read-only last."""
    assert one("ro", type="ext4")["superblock"] == kernel.MS_RDONLY
    for kind in ("sysfs", "proc", "cgroup2", "mqueue"):
        assert (one("ro", type=kind)["superblock"], one("ro", type=kind)["attr_set"]) == (0, 1)
    assert (one("ro", type="tmpfs")["superblock"], one("ro", type="tmpfs")["attr_set"]) == (0, 0)


def test_late_read_only_mounts() -> None:
    """Other operations write to a tmpfs and to /dev, so these become read-only after them."""
    entries = [
        {"destination": "/run", "type": "tmpfs", "options": ["ro"]},
        {"destination": "/dev/", "type": "devtmpfs", "options": ["ro"]},
        {"destination": "/sys", "type": "sysfs", "options": ["ro"]},
        {"destination": "/tmp", "type": "tmpfs", "options": ["ro", "rw"]},
        {"destination": "/etc", "source": "/x", "options": ["bind", "ro"]},
    ]
    late = [named(row) for row in mounts.read_only_operations({"mounts": entries})]
    assert [(row["destination"], row["origin"]) for row in late] == [("/run", "/mounts/0"), ("/dev/", "/mounts/1")]
    assert {row["attr_set"] for row in late} == {kernel.MOUNT_ATTR_RDONLY}
    assert {row["flags"] for row in late} == {kernel.MS_BIND}


@pytest.mark.parametrize(
    ("type", "options", "flags"),
    [
        ("tmpfs", (), ops.MOUNT_TARGET_MODE),
        ("tmpfs", ("mode=755",), 0),
        ("tmpfs", ("tmpcopyup",), ops.MOUNT_TARGET_MODE | ops.MOUNT_COPY_UP | ops.MOUNT_TARGET_OWNER),
        ("proc", (), ops.MOUNT_ORDINARY),
        ("sysfs", (), ops.MOUNT_ORDINARY),
        ("ext4", ("iversion",), ops.MOUNT_LEGACY),
        ("ext4", ("silent", "loud"), 0),
        ("fuse.sshfs", (), ops.MOUNT_LEGACY),
        ("overlay", (f"lowerdir={'x' * 300}",), ops.MOUNT_LEGACY),
    ],
)
def test_flags(type: str, options: tuple[str, ...], flags: int) -> None:
    """The flags tell init what the options do not."""
    assert one(*options, type=type)["flags"] == flags


def test_bind_sources() -> None:
    """A relative source is the bundle's; for a user namespace, a privileged parent opens it first."""
    entry = {"destination": "/a", "source": "data/x", "options": ["rbind", "ro"]}
    assert named(plan(entry)[0])["source"] == "/bundle/data/x"
    opened, bound = (named(row) for row in plan(entry, new_user_namespace=True, gid_map=[]))
    assert (opened["op"], opened["side"], opened["source"], opened["flags"]) == (
        "open_tree",
        ops.HOST,
        "/bundle/data/x",
        1,
    )
    assert (bound["op"], bound["source"], bound["attr_set"]) == ("bind", None, 1)
    (rootless,) = plan(entry, new_user_namespace=True, gid_map=[], privileged=False)
    assert named(rootless)["source"] == "/bundle/data/x"


def test_remounts() -> None:
    """`remount` changes the file system, with `bind` only the mount."""
    whole, mount = one("remount", "ro", "size=1m"), one("bind", "remount", "ro", "rprivate")
    assert (whole["op"], whole["flags"], whole["attr_set"], whole["options"]) == (
        "remount",
        kernel.MS_RDONLY,
        1,
        ["size=1m"],
    )
    assert (mount["op"], mount["flags"], mount["propagation"]) == (
        "remount",
        kernel.MS_BIND,
        kernel.MS_PRIVATE | kernel.MS_REC,
    )


@pytest.mark.parametrize(
    ("entry", "pointer"),
    [
        ({"destination": "/", "type": "proc"}, "/mounts/0/type"),
        ({"destination": "/a/..", "type": "x", "options": ["remount"]}, "/mounts/0/options"),
        ({"destination": "/", "source": "/x", "options": ["bind", "copy-symlink"]}, "/mounts/0/options"),
        ({"destination": "/a"}, "/mounts/0/type"),
        ({"destination": "/a", "type": "bind", "source": "/x"}, "/mounts/0/type"),
        ({"destination": "/a", "options": ["bind"]}, "/mounts/0/source"),
        ({"destination": "/a", "type": "x", "options": ["remount", "idmap"]}, "/mounts/0/options"),
        ({"destination": "/a", "type": "tmpfs", "options": ["tmpcopyup", "ridmap"]}, "/mounts/0/options"),
        ({"destination": "/a", "type": "cgroup", "options": ["idmap"]}, "/mounts/0/options"),
        ({"destination": "/a", "type": "tmpfs", "options": ["silent", "idmap"]}, "/mounts/0/options"),
        ({"destination": "/a", "type": "x", "options": ["remount", "iversion"]}, "/mounts/0/options"),
        ({"destination": "/a", "type": "sysfs", "options": ["tmpcopyup"]}, "/mounts/0/options"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_place(entry: dict[str, object], pointer: str) -> None:
    """A mount that makes no sense is an error that names it."""
    with pytest.raises(InvalidConfig) as caught:
        plan(entry)
    assert caught.value.pointer == pointer


def test_unmapped_groups_are_left_out_with_a_warning() -> None:
    """gid=5 is left out if not mapped; a mapped gid stays, and outside a user namespace every gid."""
    entry = {"destination": "/dev/pts", "type": "devpts", "options": ["gid=5", "mode=0620"]}
    for size, left, count in ((1, ["mode=0620"], 1), (6, ["gid=5", "mode=0620"], 0)):
        warnings: list[tuple[str, str]] = []
        facts = {**FACTS, "new_user_namespace": True, "gid_map": [{"containerID": 0, "hostID": 1000, "size": size}]}
        (operation,) = mounts.operations({"mounts": [entry]}, facts, warnings)
        assert operation[4][3] == left
        assert len(warnings) == count
    assert plan(entry)[0][4][3] == ["gid=5", "mode=0620"]


CGROUP = {
    "destination": "/sys/fs/cgroup",
    "type": "cgroup",
    "source": "cgroup",
    "options": ["nosuid", "ro", "rprivate"],
}


def test_cgroups_of_v1_are_the_containers_own_directories() -> None:
    """A tmpfs, the container's directory of each hierarchy, links for joined names, all read-only at last."""
    rows = [named(row) for row in plan(CGROUP, cgroup_locations=locations("/c", "id", hierarchies("v1")))]  # type: ignore[arg-type]
    assert [(row["op"], row.get("destination", row.get("path"))) for row in rows] == [
        ("mount", "/sys/fs/cgroup"),
        ("bind", "/sys/fs/cgroup/memory"),
        ("bind", "/sys/fs/cgroup/cpu,cpuacct"),
        ("symlink", "/sys/fs/cgroup/cpu"),
        ("symlink", "/sys/fs/cgroup/cpuacct"),
        ("remount", "/sys/fs/cgroup"),
    ]
    assert rows[1]["source"] == "/sys/fs/cgroup/memory/c"
    assert (rows[0]["attr_set"], rows[1]["attr_set"], rows[-1]["attr_set"]) == (2, 3, 1)
    assert {row["origin"] for row in rows} == {"/mounts/0"}


def test_cgroups_of_v1_with_a_namespace_are_new_mounts() -> None:
    """With a cgroup namespace, the container's cgroup is the root of the mount."""
    rows = [
        named(row)
        for row in plan(CGROUP, namespaces=("cgroup",), cgroup_locations=locations("/c", "id", hierarchies("v1")))  # type: ignore[arg-type]
    ]
    assert [(row["type"], row["options"]) for row in rows if row["op"] == "mount"] == [
        ("tmpfs", ["mode=755"]),
        ("cgroup", ["memory"]),
        ("cgroup", ["cpu", "cpuacct"]),
    ]


def test_cgroups_of_v2_in_a_user_namespace() -> None:
    """CVE-2023-25809: without a cgroup namespace the mount shows the host's tree, never writable."""
    at = locations("/c", "id", hierarchies("v2"))  # type: ignore[arg-type]
    writable = {**CGROUP, "options": ["rw"]}
    plain = named(plan(writable, cgroup_locations=at)[0])
    assert (plain["type"], plain["source"], plain["flags"], plain["attr_set"]) == ("cgroup2", "cgroup", 0, 0)
    user = named(plan(writable, cgroup_locations=at, in_user_namespace=True, own_gid_map=[], privileged=False)[0])
    assert (user["source"], user["flags"], user["attr_set"]) == (
        "/sys/fs/cgroup",
        ops.MOUNT_HOST_COPY,
        kernel.MOUNT_ATTR_RDONLY,
    )
    opened, bound = map(named, plan(writable, cgroup_locations=at, new_user_namespace=True, gid_map=[]))
    assert (opened["op"], opened["source"], opened["flags"]) == ("open_tree", "/sys/fs/cgroup", 1)
    assert (bound["source"], bound["attr_set"], bound["rec_set"]) == (
        None,
        kernel.MOUNT_ATTR_RDONLY,
        kernel.MOUNT_ATTR_RDONLY,
    )
    own = named(plan(writable, namespaces=("cgroup",), cgroup_locations=at, new_user_namespace=True, gid_map=[])[0])
    assert (own["source"], own["attr_set"]) == ("/sys/fs/cgroup/c", 0)


def test_no_cgroups_no_mounts() -> None:
    """On a host without cgroups there is nothing to show."""
    assert plan(CGROUP) == []


def test_every_required_option_is_known() -> None:
    """config.md#linux-mount-options: all names that a runtime must or should know."""
    required = (
        "async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev nodiratime noexec "
        "noiversion nolazytime norelatime nostrictatime nosuid private rbind relatime remount ro rprivate rshared rslave "
        "runbindable rw shared silent slave strictatime suid sync unbindable nosymfollow symfollow ratime rdev rdiratime "
        "rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow rrelatime rro rrw rstrictatime "
        "rsuid rsymfollow rnodev mand nomand tmpcopyup idmap ridmap"
    )
    assert set(required.split()) <= set(mount_options.NAMES)


@given(st.lists(st.sampled_from(sorted(mount_options.OPTIONS)), max_size=12))
def test_options_never_contradict_themselves(names: list[str]) -> None:
    """For any options in any order, no bit is both set and cleared, except in the access time field: the kernel
    requires that to be cleared as a whole when it is set."""
    options = mount_options.parse(names)
    for set_, clear in ((options.set, options.clear), (options.rec_set, options.rec_clear)):
        assert not set_ & clear & ~kernel.MOUNT_ATTR_ATIME
        assert clear & kernel.MOUNT_ATTR_ATIME in (0, kernel.MOUNT_ATTR_ATIME) or not set_ & kernel.MOUNT_ATTR_ATIME
        assert not set_ & kernel.MOUNT_ATTR_ATIME or clear & kernel.MOUNT_ATTR_ATIME == kernel.MOUNT_ATTR_ATIME
    assert options.data == []


@given(st.lists(st.text(min_size=1).filter(lambda name: name not in mount_options.OPTIONS), max_size=5))
def test_unknown_options_are_kept_in_order(names: list[str]) -> None:
    """No option outside the tables is lost, except those meant for other programs."""
    expected = [name for name in names if not name.startswith(("x-", "X-", "comment="))]
    assert mount_options.parse(names).data == expected


CONFIGS = sorted(path for path in (TREE / "tests/configs").glob("*.json") if not path.stem.endswith("process"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_managers_config_has_a_plan(path: Path) -> None:
    """Each real config's mounts are planned without a warning, each with an origin in the array."""
    spec = json.loads(path.read_text())
    facts = {
        **FACTS,
        "gid_map": spec["linux"].get("gidMappings") or [],
        "cgroup_locations": locations("/c", "i", hierarchies("v1")),
    }  # type: ignore[arg-type]
    warnings: list[tuple[str, str]] = []
    rows = mounts.operations(spec, facts, warnings)
    assert warnings == []
    assert {row[2] for row in rows} == {f"/mounts/{i}" for i in range(len(spec["mounts"]))}
