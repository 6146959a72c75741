"""paths.c on the real kernel: symlinks, nodes, masks, read-only paths, and rootfs trees that lie."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.plan import devices, ops
from tests.csrc.init_runner import Started

pytestmark = [pytest.mark.usefixtures("needs_root"), pytest.mark.kernel]

Run = Callable[..., Started]
CHARACTER, FIFO = stat.S_IFCHR, stat.S_IFIFO
NULL = os.makedev(1, 3)
PROC = ops.mount("/proc", "proc", "proc")
DEV = ops.mount("/dev", "tmpfs", "tmpfs", ["mode=755"])


def test_default_devices_and_links(go: Run) -> None:
    """The devices and symlinks that every container has are there, whatever the caller's umask."""
    facts = {"new_user_namespace": False, "in_user_namespace": False, "privileged": True}
    mask = os.umask(0o077)
    try:
        done = go([PROC, DEV, *devices.operations({"mounts": [{"destination": "/proc", "type": "proc"}]}, facts, [])])
    finally:
        os.umask(mask)
    assert done.failure is None
    for path, major, minor in devices.DEFAULTS:
        info = done.path(path).stat()
        assert (info.st_mode, info.st_rdev) == (CHARACTER | 0o666, os.makedev(major, minor)), path
    links = {path: os.readlink(done.path(path)) for path in ("/dev/ptmx", "/dev/fd", "/dev/stdin", "/dev/stderr")}
    assert links == {
        "/dev/ptmx": "pts/ptmx",
        "/dev/fd": "/proc/self/fd",
        "/dev/stdin": "/proc/self/fd/0",
        "/dev/stderr": "/proc/self/fd/2",
    }
    assert done.path("/dev/core").is_symlink() == Path("/proc/kcore").exists()


def test_a_device_has_the_mode_and_owner_that_were_asked_for(go: Run, rootfs: Path) -> None:
    """Missing directories are made; a fifo is a device too."""
    done = go(
        [
            ops.device("/dev/a/b", CHARACTER, 10, 200, 0o640, 5, 6),
            ops.device("/run/pipe", FIFO, 0, 0, 0o600, 1000, 1000),
        ]
    )
    assert done.failure is None
    node, pipe = (rootfs / "dev/a/b").stat(), (rootfs / "run/pipe").stat()
    assert (node.st_mode, node.st_uid, node.st_gid, node.st_rdev) == (CHARACTER | 0o640, 5, 6, os.makedev(10, 200))
    assert (pipe.st_mode, pipe.st_uid, pipe.st_gid) == (FIFO | 0o600, 1000, 1000)


def test_the_same_node_is_left_and_another_is_an_error(go: Run, rootfs: Path) -> None:
    """config-linux.md#devices: a different file at the path is an error, the very node is not."""
    os.mknod(rootfs / "dev/null", CHARACTER | 0o600, NULL)
    assert go([ops.device("/dev/null", CHARACTER, 1, 3, 0o666)]).failure is None
    assert go([ops.device("/dev/null", CHARACTER, 1, 5, 0o666)]).failure == (0, errno.EEXIST, "STEP_VERIFY")
    (rootfs / "dev/file").touch()
    assert go([ops.device("/dev/file", CHARACTER, 1, 3, 0o666)]).failure == (0, errno.EEXIST, "STEP_VERIFY")


def test_a_symlink_in_a_nodes_place_is_not_followed(go: Run, rootfs: Path, tmp_path: Path) -> None:
    """CVE-2025-31133: a link is no node, wherever it leads."""
    (tmp_path / "victim").touch()
    (rootfs / "dev/null").symlink_to(tmp_path / "victim")
    assert go([ops.device("/dev/null", CHARACTER, 1, 3, 0o666, 5, 5)]).failure == (0, errno.EEXIST, "STEP_VERIFY")
    assert (tmp_path / "victim").stat().st_uid == 0


def test_dev_as_a_symlink_is_refused(go: Run, rootfs: Path, tmp_path: Path) -> None:
    """CVE-2026-41579: neither nodes nor links are made where /dev leads, be it in the root."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (rootfs / "dev").rmdir()
    (rootfs / "dev").symlink_to(outside)
    for operation in (
        ops.device("/dev/null", CHARACTER, 1, 3, 0o666),
        ops.symlink("pts/ptmx", "/dev/ptmx", ops.SYMLINK_REPLACE),
    ):
        assert go([operation]).failure == (0, errno.ENOTDIR, "STEP_OPEN")
    assert list(outside.iterdir()) == []
    assert not os.path.lexists(f"{rootfs}{outside}")


def test_a_bound_device_is_the_hosts_verified_node(go: Run, tmp_path: Path) -> None:
    """A source that is another node, or none, is refused."""
    (tmp_path / "fake").touch()
    done = go([DEV, ops.device_bind("/dev/null", "/dev/null", CHARACTER, 1, 3)])
    assert done.failure is None
    assert done.path("/dev/null").stat().st_rdev == NULL
    wrong = [(str(tmp_path / "fake"), 3), ("/dev/null", 5)]
    for source, minor in wrong:
        failure = go([ops.device_bind("/dev/x", source, CHARACTER, 1, minor)]).failure
        assert failure == (0, errno.ENODEV, "STEP_VERIFY")
    missing = go([ops.device_bind("/dev/x", "/dev/no-such-node", CHARACTER, 1, 3)]).failure
    assert missing == (0, errno.ENOENT, "STEP_OPEN_TREE")


def test_symlinks_keep_or_replace_what_is_there(go: Run, rootfs: Path) -> None:
    """/dev/ptmx of an image is replaced, anything else that the image has stays."""
    (rootfs / "dev/ptmx").touch()
    (rootfs / "dev/fd").mkdir()
    done = go(
        [
            ops.symlink("pts/ptmx", "/dev/ptmx", ops.SYMLINK_REPLACE),
            ops.symlink("/proc/self/fd", "/dev/fd"),
            ops.symlink("/etc", "/dev/there", ops.SYMLINK_IF_TARGET),
            ops.symlink("/missing", "/dev/absent", ops.SYMLINK_IF_TARGET),
        ]
    )
    assert done.failure is None
    assert os.readlink(rootfs / "dev/ptmx") == "pts/ptmx"
    assert (rootfs / "dev/fd").is_dir()
    assert os.readlink(rootfs / "dev/there") == "/etc"
    assert not (rootfs / "dev/absent").is_symlink()
    (rootfs / "dev/ptmx").unlink()
    (rootfs / "dev/ptmx").mkdir()
    assert go([ops.symlink("pts/ptmx", "/dev/ptmx", ops.SYMLINK_REPLACE)]).failure == (0, errno.EISDIR, "STEP_SYMLINK")


def test_masks_hide_files_and_directories(go: Run, rootfs: Path) -> None:
    """A file becomes the null device, a directory an empty read-only one that all masks share; what is absent is fine."""
    for name in ("one", "two"):
        (rootfs / name).mkdir()
        (rootfs / name / "secret").touch()
    (rootfs / "file").write_text("secret")
    paths = ("/file", "/one", "/two", "/absent", "/file/below", "/proc/kcore", "/proc/acpi", "/proc/scsi")
    done = go([PROC, *(ops.mask(path) for path in paths)])
    assert done.failure is None
    assert done.path("/file").stat().st_rdev == NULL
    assert [list(done.path(f"/{name}").iterdir()) for name in ("one", "two")] == [[], []]
    assert done.at("/one").options >= {"ro", "nosuid", "nodev", "noexec"}
    assert done.path("/one").stat().st_dev == done.path("/two").stat().st_dev
    assert "ro" in done.at("/one").superblock


def test_a_masked_file_does_not_give_the_hosts_null_away(go: Run, rootfs: Path) -> None:
    """Root in the container can change neither mode nor owner of the node that covers a file, which is the host's."""
    (rootfs / "file").touch()
    (rootfs / "second").touch()
    done = go([ops.mask("/file"), ops.mask("/second")])
    assert done.failure is None
    for name in ("/file", "/second"):
        with pytest.raises(OSError, match="Read-only"):
            done.path(name).chmod(0o666)
        assert done.path(name).write_text("anything") == 8


def test_a_fake_null_in_the_container_is_not_used(go: Run, rootfs: Path, tmp_path: Path) -> None:
    """CVE-2025-31133: masks come from the host's verified /dev/null, not from the image's."""
    (tmp_path / "writable").write_text("")
    (rootfs / "dev/null").symlink_to("/etc/target")
    (rootfs / "etc/target").write_text("")
    (rootfs / "file").write_text("secret")
    done = go([ops.mask("/file")])
    assert done.failure is None
    assert done.path("/file").stat().st_rdev == NULL


def test_read_only_paths_keep_their_other_flags(go: Run, rootfs: Path) -> None:
    """A read-only path is a mount with the flags that it had, and `ro`; absent paths are fine; files work too."""
    (rootfs / "file").touch()
    done = go(
        [
            ops.mount("/proc", "proc", "proc", (), 2 | 4 | 8),
            *(ops.readonly(path) for path in ("/proc/sys", "/file", "/absent", "/file/below")),
        ]
    )
    assert done.failure is None
    assert done.at("/proc/sys").options == {"ro", "nosuid", "nodev", "noexec", "relatime"}
    assert "ro" in done.at("/file").options
    with pytest.raises(OSError, match="Read-only"):
        done.path("/file").open("w")


@pytest.mark.parametrize("path", ["/", "/etc/..", "/link", "/up", "/here", "/etc/round"])
def test_what_leads_to_the_root(go: Run, rootfs: Path, path: str) -> None:
    """Nothing is mounted over the root, of which the container would see nothing; read-only it can be made itself."""
    for name, target in (("link", "/"), ("up", ".."), ("here", "."), ("etc/round", "../etc/..")):
        (rootfs / name).symlink_to(target)
    for operation in (
        ops.mount(path, "tmpfs", "x"),
        ops.mount(path, "tmpfs", "x", flags=2),  # MOUNT_LEGACY
        ops.bind(path, "/etc"),
        ops.remount(path, flags=4096),
        ops.mask(path),
    ):
        assert go([operation]).failure == (0, errno.EBUSY, "STEP_VERIFY"), operation
    done = go([ops.mount("/tmp", "tmpfs", "x"), ops.readonly(path)])
    assert done.failure is None
    assert [mount.path for mount in done.mounts] == ["/", "/tmp"]
    assert "ro" in done.at("/").options
    assert "ro" not in done.at("/tmp").options


def test_a_mount_of_the_root_elsewhere_is_not_the_root(go: Run, rootfs: Path) -> None:
    """It may be covered, though the directory is the same."""
    done = go([ops.bind("/tmp", str(rootfs)), ops.mount("/tmp", "tmpfs", "x"), ops.bind("/etc", str(rootfs))])
    assert done.failure is None
    assert go([ops.bind("/tmp", str(rootfs)), ops.mask("/tmp")]).failure is None


@pytest.mark.parametrize("make", [ops.mask, ops.readonly])
def test_protected_paths_that_are_links_stay_in_the_root(
    go: Run, rootfs: Path, tmp_path: Path, make: "Callable[[str], ops.Operation]"
) -> None:
    """CVE-2019-16884 and its kind: a link does not lead the protection, or its lack, to the host."""
    (tmp_path / "outside").mkdir()
    (rootfs / "path").symlink_to(tmp_path / "outside")
    done = go([make("/path")])
    assert done.failure is None
    assert len(done.mounts) == 1
    (rootfs / "loop").symlink_to("loop")
    assert go([make("/loop")]).failure == (0, errno.ELOOP, "STEP_OPEN")
