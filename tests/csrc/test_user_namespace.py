"""Mounts and devices of a container in a user namespace, where the kernel refuses much of what root may do elsewhere."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.plan import devices, mounts, ops, paths
from tests.csrc.init_runner import CLONE_NEWUSER, Started

pytestmark = [pytest.mark.usefixtures("needs_root"), pytest.mark.kernel]

Run = Callable[..., Started]
# The same ids inside as outside, so that init may walk through the test's private directories.
FACTS = {
    "bundle": "/",
    "new_user_namespace": True,
    "in_user_namespace": True,  # so that init opens the sources itself
    "privileged": False,
    "gid_map": [{"containerID": 0, "hostID": 0, "size": 1}],
}
BEFORE = [
    ops.unshare(CLONE_NEWUSER, None),
    ops.id_maps("0 0 1\n", "0 0 1\n", False, "/linux/uidMappings"),
    ops.become(0, 0),
]


def entry(destination: str, type: str, *options: str) -> dict[str, object]:
    return {"destination": destination, "type": type, "source": type, "options": list(options)}


def test_proc_and_sysfs_of_the_hosts_namespaces_are_copied(go: Run) -> None:
    """Where a new proc or sysfs is refused the host's is bound with all below it, and all of it read-only when asked."""
    spec = {"mounts": [entry("/proc", "proc", "nosuid", "noexec", "nodev"), entry("/sys", "sysfs", "ro", "nosuid")]}
    done = go(mounts.operations(spec, FACTS, []), before=BEFORE)
    assert done.failure is None
    assert done.at("/sys").options >= {"ro", "nosuid"}
    below = [one for one in done.mounts if one.path.startswith("/sys/fs/cgroup")]
    assert bool(below) == (" /sys/fs/cgroup " in Path("/proc/self/mountinfo").read_text())
    assert all("ro" in one.options for one in below)
    assert done.path("/proc/self").is_symlink()


def test_devices_are_the_hosts(go: Run) -> None:
    """Nodes cannot be made; the host's are bound, listed ones too, and fifos are made."""
    spec = {
        "mounts": [entry("/dev", "tmpfs", "mode=755")],
        "linux": {
            "devices": [
                {"path": "/dev/full", "type": "c", "major": 1, "minor": 7},
                {"path": "/dev/pipe", "type": "p", "fileMode": 0o640},
            ]
        },
    }
    done = go(mounts.operations(spec, FACTS, []) + devices.operations(spec, FACTS, []), before=BEFORE)
    assert done.failure is None
    for path, major, minor in devices.DEFAULTS:
        assert done.path(path).stat().st_rdev == os.makedev(major, minor)
    assert stat.S_ISFIFO(done.path("/dev/pipe").stat().st_mode)


def test_a_node_that_may_not_be_made_is_bound(go: Run) -> None:
    """A plan that did not know of the user namespace still gets its devices."""
    done = go([ops.mount("/dev", "tmpfs", "x"), ops.device("/dev/null", stat.S_IFCHR, 1, 3, 0o666)], before=BEFORE)
    assert done.failure is None
    assert done.path("/dev/null").stat().st_rdev == os.makedev(1, 3)


def test_an_unmapped_group_is_left_out(go: Run) -> None:
    """devpts with gid=5 mounts in a namespace that has one group, and says what it left out."""
    warnings: list[tuple[str, str]] = []
    spec = {"mounts": [entry("/dev/pts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")]}
    done = go(mounts.operations(spec, FACTS, warnings), before=BEFORE)
    assert done.failure is None
    assert [place for place, _ in warnings] == ["/mounts/0/options"]
    assert "gid=5" in warnings[0][1]


def test_masked_and_read_only_paths(go: Run, rootfs: Path) -> None:
    """Both work on a copied proc: locked flags are kept."""
    (rootfs / "secret").mkdir()
    spec = {
        "mounts": [entry("/proc", "proc", "nosuid", "noexec", "nodev")],
        "linux": {"maskedPaths": ["/proc/kcore", "/secret", "/proc/scsi"], "readonlyPaths": ["/proc/sys", "/proc/bus"]},
    }
    done = go(mounts.operations(spec, FACTS, []) + paths.operations(spec, FACTS, []), before=BEFORE)
    assert done.failure is None
    assert done.at("/proc/sys").options >= {"ro", "nosuid", "nodev", "noexec"}
    assert done.at("/secret").type == "tmpfs"


def test_binds_and_tmpfs(go: Run, tmp_path: Path) -> None:
    """Binds with more flags, and a tmpfs filled from below, need no privilege outside."""
    (tmp_path / "source").mkdir()
    (tmp_path / "rootfs/etc/file").touch()
    bind = {
        "destination": "/volume",
        "source": str(tmp_path / "source"),
        "options": ["rbind", "rprivate", "ro", "nosuid"],
    }
    spec = {"mounts": [bind, entry("/etc", "tmpfs", "tmpcopyup", "ro")]}
    done = go(mounts.operations(spec, FACTS, []) + paths.operations(spec, FACTS, []), before=BEFORE)
    assert done.failure is None
    assert done.at("/volume").options >= {"ro", "nosuid"}
    assert "ro" in done.at("/etc").options
    assert done.path("/etc/file").exists()
