"""mountinfo as mounts, and the mount that a path leads to, as the kernel walks it."""

import os
from pathlib import Path

import pytest

from runtime.host.mountinfo import Mounts, place_of

STACK = r"""
20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
21 20 0:5 / /proc rw,nosuid - proc proc rw
22 20 0:6 / /data ro,nosuid master:7 shared:9 - tmpfs a\040source rw,size=4k
23 22 0:7 /sub\011dir /data/x rw - ext4 /dev/vdb rw
24 20 0:8 / /data rw unbindable - tmpfs cover rw
25 24 0:9 / /data/x/y rw - tmpfs inner rw
"""


def test_a_line():
    """Numbers, flags, tags and names without their escapes."""
    mount = Mounts(STACK.strip()).all[2]
    assert (mount.id, mount.parent, mount.device, mount.point, mount.root) == (22, 20, "0:6", "/data", "/")
    assert (mount.type, mount.source, mount.options) == ("tmpfs", "a source", ["rw", "size=4k"])
    assert (mount.flags, mount.propagation, mount.read_only) == ({"ro", "nosuid"}, "shared,master", True)
    assert Mounts(STACK.strip()).all[3].root == "/sub\tdir"


@pytest.mark.parametrize(
    ("path", "number"),
    [("/", 20), ("/etc", 20), ("/proc/1", 21), ("/data", 24), ("/data/x", 24), ("/data/x/y/z", 25), ("/database", 20)],
)
def test_a_path_leads_to_what_covers_it(path: str, number: int):
    """A mount below one that is covered is not seen, although the file lists it."""
    seen = Mounts(STACK.strip()).seen(path)
    assert seen is not None
    assert seen.id == number


def test_place_in_a_file_system():
    """What a bind of the path shows as its device and root."""
    mounts = Mounts(STACK.strip().splitlines()[3] + "\n" + STACK.strip().splitlines()[0])
    place = place_of(mounts, "/etc/hosts")
    assert place is not None
    assert place[1] == "8:1:/etc/hosts"


def test_the_kernel_agrees():
    """For each mount point of this process, and a file below, the kernel opens the same mount."""
    mounts = Mounts(Path("/proc/self/mountinfo").read_text())
    tried = 0
    for point in {mount.point for mount in mounts.all} | {"/etc", "/usr/bin", "/dev/null", "/proc/self/status"}:
        path = os.path.realpath(point)
        try:
            fd = os.open(path, os.O_PATH)
        except OSError:
            continue
        try:
            number = int(Path(f"/proc/self/fdinfo/{fd}").read_text().split("mnt_id:")[1].split()[0])
        finally:
            os.close(fd)
        seen = mounts.seen(path)
        assert seen is not None
        assert seen.id == number, path
        tried += 1
    assert tried > 3


def test_no_mounts():
    """A process whose root is in no mount that it could see."""
    assert Mounts("").seen("/") is None
    assert Mounts("").below("/") == []
