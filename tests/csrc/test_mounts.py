"""mounts.c and resolve.c on the real kernel: what is mounted where, with which flags, and what is refused."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import kernel
from runtime.plan import mounts, ops
from tests.csrc.init_runner import STEPS, Started

pytestmark = [pytest.mark.usefixtures("needs_root"), pytest.mark.kernel]

Run = Callable[..., Started]


def planned(*entries: dict[str, object], **facts: object) -> "list[ops.Operation]":
    """The operations of the config's mounts ``entries``."""
    known = {"bundle": "/", "new_user_namespace": False, "in_user_namespace": False, "privileged": True, **facts}
    return mounts.operations({"mounts": list(entries)}, known, [])


def entry(destination: str, type: str, source: str | None = None, *options: str) -> dict[str, object]:
    return {"destination": destination, "type": type, "source": source or type, "options": list(options)}


def bind(destination: str, source: Path, *options: str) -> dict[str, object]:
    return entry(destination, "none", str(source), *(options or ("rbind",)))


def test_new_file_systems_have_their_type_flags_and_options(go: Run) -> None:
    """Each type of a manager's config is mounted with its attributes and its own options."""
    done = go(
        planned(
            entry("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
            entry("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
            entry(
                "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
            ),
            entry("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
            entry("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        )
    )
    assert done.failure is None
    assert [(one.path, one.type) for one in done.mounts[1:]] == [
        ("/proc", "proc"),
        ("/dev", "tmpfs"),
        ("/dev/pts", "devpts"),
        ("/dev/mqueue", "mqueue"),
        ("/sys", "sysfs"),
    ]
    assert done.at("/proc").options == {"rw", "nosuid", "nodev", "noexec", "relatime"}
    assert done.at("/dev").options == {"rw", "nosuid"}
    assert {"mode=755", "size=65536k"} <= done.at("/dev").superblock
    assert {"gid=5", "mode=620", "ptmxmode=666"} <= done.at("/dev/pts").superblock
    assert done.at("/sys").options == {"ro", "nosuid", "nodev", "noexec", "relatime"}
    assert "rw" in done.at("/sys").superblock
    assert done.at("/dev/mqueue").source == "mqueue"


def test_missing_targets_are_made_as_directories_or_files(go: Run, rootfs: Path, tmp_path: Path) -> None:
    """A target that is missing is made of the source's kind, through directories with mode 755 under any umask."""
    source = tmp_path / "source"
    source.write_text("content")
    mask = os.umask(0o077)
    try:
        done = go(planned(bind("/a/b/file", source), bind("/c/d/", tmp_path), entry("/e/f", "tmpfs")))
    finally:
        os.umask(mask)
    assert done.failure is None
    assert done.path("/a/b/file").read_text() == "content"
    assert done.path("/c/d/source").exists()
    assert done.at("/e/f").type == "tmpfs"
    assert (rootfs / "a/b/file").is_file()
    assert stat.S_IMODE((rootfs / "a/b").stat().st_mode) == 0o755
    assert stat.S_IMODE((rootfs / "e/f").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("link", "target", "made"),
    [
        ("etc/resolv.conf", "../run/systemd/resolve/stub.conf", "run/systemd/resolve/stub.conf"),
        ("etc/resolv.conf", "/run/stub.conf", "run/stub.conf"),
        ("etc/resolv.conf", "../../../../../escaped", "escaped"),
        ("etc/resolv.conf", "second", "etc/second"),
        ("etc", "/usr/etc", "usr/etc/resolv.conf"),
    ],
)
def test_symlinks_to_nowhere_are_followed_in_the_root(
    go: Run, rootfs: Path, tmp_path: Path, link: str, target: str, made: str
) -> None:
    """Images link files that do not exist yet: what is made is where the link leads in the container, never outside."""
    source = tmp_path / "source"
    source.write_text("content")
    if link == "etc":
        (rootfs / "etc").rmdir()
    (rootfs / link).symlink_to(target)
    done = go(planned(bind("/etc/resolv.conf", source)))
    assert done.failure is None
    assert done.at(f"/{made}").options
    assert (rootfs / made).is_file()
    assert not (tmp_path / "escaped").exists()


def test_a_symlink_out_of_the_root_stays_inside(go: Run, rootfs: Path, tmp_path: Path) -> None:
    """CVE-2021-30465: a target that leads to the host's directory is that directory's path in the root."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (rootfs / "volume").symlink_to(outside)
    done = go(planned(entry("/volume/inner", "tmpfs")))
    assert done.failure is None
    assert done.mounts[-1].path == f"{outside}/inner"
    assert list(outside.iterdir()) == []


def test_link_loops_are_an_error(go: Run, rootfs: Path) -> None:
    """A symlink loop ends with ELOOP, not with a search for ever."""
    (rootfs / "one").symlink_to("two")
    (rootfs / "two").symlink_to("one")
    assert go(planned(entry("/one/x", "tmpfs"))).failure == (0, errno.ELOOP, "STEP_OPEN")


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
@pytest.mark.parametrize("shape", ["link", "dangling", "file", "parent"])
def test_proc_and_sysfs_want_an_ordinary_directory(go: Run, rootfs: Path, kind: str, shape: str) -> None:
    """CVE-2019-19921, CVE-2023-27561: a rootfs whose /proc leads into a volume is refused."""
    (rootfs / "proc").rmdir()
    (rootfs / "volume/proc").mkdir(parents=True)
    path = "/proc"
    if shape == "file":
        (rootfs / "proc").touch()
    elif shape == "parent":
        (rootfs / "proc").symlink_to("volume")
        path = "/proc/proc"
    else:
        (rootfs / "proc").symlink_to("volume" if shape == "link" else "/nowhere")
    # The plan refuses a mount inside /proc: init is asked directly.
    inside = [ops.mount(path, kind, kind, flags=ops.MOUNT_ORDINARY, origin="/mounts/0")]
    operations = inside if shape == "parent" else planned(entry(path, kind))
    assert go(operations).failure == (0, errno.ENOTDIR, "STEP_VERIFY")
    assert not (rootfs / "nowhere").exists()


def test_binds_keep_the_sources_flags_unless_told(go: Run, tmp_path: Path) -> None:
    """A bind has the flags of its source, plus those it sets, minus those it clears."""
    (tmp_path / "source").mkdir()
    done = go(
        planned(
            entry("/base", "tmpfs", "tmpfs", "nosuid", "noexec", "noatime"),
            bind("/plain", tmp_path / "source", "bind"),
            bind("/set", tmp_path / "source", "bind", "ro", "nosuid", "nodev", "noexec", "noatime", "nosymfollow"),
        )
    )
    assert done.failure is None
    assert "ro" not in done.at("/plain").options
    assert done.at("/set").options >= {"ro", "nosuid", "nodev", "noexec", "noatime", "nosymfollow"}
    assert done.at("/base").options == {"rw", "nosuid", "noexec", "noatime"}


def test_clearing_options_of_binds(go: Run, rootfs: Path) -> None:
    """`rw`, `suid`, `exec` and `relatime` take away what the source's mount has."""
    above = planned(entry("/base", "tmpfs", "tmpfs", "nosuid", "noexec", "nodev", "noatime"))
    again = ops.bind(
        "/copy",
        str(rootfs / "base"),
        False,
        *(0, kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NOEXEC | kernel.MOUNT_ATTR_ATIME),
    )
    done = go([*above, again])
    assert done.failure is None
    assert done.at("/copy").options == {"rw", "nodev", "relatime"}


def test_recursive_binds_bring_submounts_and_recursive_options_reach_them(go: Run, rootfs: Path) -> None:
    """`rbind` copies what is mounted below, `bind` does not; `rro` reaches all, `ro` only the top."""
    source = str(rootfs / "base")
    done = go(
        [
            *planned(entry("/base", "tmpfs"), entry("/base/sub", "tmpfs")),
            *planned(
                entry("/flat", "none", source, "bind"),
                entry("/deep", "none", source, "rbind", "ro"),
                entry("/all", "none", source, "rbind", "rro", "rnosuid", "rnoatime"),
            ),
        ]
    )
    assert done.failure is None
    assert not [one for one in done.mounts if one.path == "/flat/sub"]
    assert ("ro" in done.at("/deep").options, "ro" in done.at("/deep/sub").options) == (True, False)
    assert {"ro", "nosuid", "noatime"} <= done.at("/all/sub").options


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        (["rprivate"], ""),
        (["shared"], "shared:"),
        (["slave"], "master:"),
        (["rslave", "rshared"], "shared: master:"),
        (["runbindable"], "unbindable"),
    ],
)
def test_propagation(go: Run, rootfs: Path, options: list[str], seen: str) -> None:
    """Each propagation option leaves the mount in that state; slave and shared can be had at once."""
    source = str(rootfs / "base")
    done = go(
        [
            *planned(entry("/base", "tmpfs", "tmpfs", "shared")),
            *planned(entry("/copy", "none", source, "rbind", *options)),
        ]
    )
    assert done.failure is None
    tags = done.at("/copy").propagation
    assert (tags == "") == (seen == "")
    assert all(word in tags for word in seen.split())


def test_trees_from_the_host_side_do_not_propagate_back(go: Run, rootfs: Path, tmp_path: Path) -> None:
    """A tree that the parent opened becomes a slave, whatever it was a peer of."""
    import ctypes

    (tmp_path / "volume").mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    tree = libc.syscall(428, -100, os.fsencode(tmp_path / "volume"), 1 | 0x80000 | 0x8000)
    assert tree >= 0, os.strerror(ctypes.get_errno())
    try:
        done = go(
            planned(bind("/volume", tmp_path / "volume", "rbind", "ro"), new_user_namespace=True, gid_map=[]),
            opened=[tree],
        )
    finally:
        os.close(tree)
    assert done.failure is None
    assert "ro" in done.at("/volume").options
    assert "shared" not in done.at("/volume").propagation


def test_tmpfs_without_a_mode_takes_that_of_what_it_covers(go: Run, rootfs: Path) -> None:
    """As with runc: the mode of the existing directory, else what the kernel gives, else the option."""
    (rootfs / "tmp").chmod(0o1700)
    done = go(planned(entry("/tmp", "tmpfs"), entry("/made", "tmpfs"), entry("/etc", "tmpfs", "tmpfs", "mode=711")))
    assert done.failure is None
    modes = [stat.S_IMODE(done.path(path).stat().st_mode) for path in ("/tmp", "/made", "/etc")]
    assert modes == [0o1700, 0o1777, 0o711]


@pytest.mark.parametrize("extra", ["", "silent"])
def test_copy_up_fills_the_tmpfs_with_what_it_covers(go: Run, rootfs: Path, extra: str) -> None:
    """tmpcopyup: files, links, directories, nodes, with owners and modes; the covered directory stays as it is."""
    covered = rootfs / "etc"
    (covered / "sub/deep").mkdir(parents=True)
    (covered / "sub/deep/file").write_bytes(b"x" * 100_000)
    (covered / "sub/deep/file").chmod(0o4751)
    os.chown(covered / "sub/deep/file", 7, 8)
    (covered / "sub/deep/file").chmod(0o4751)
    (covered / "link").symlink_to("/nowhere")
    os.mkfifo(covered / "fifo")
    for i in range(300):
        (covered / f"many-{i:080}").touch()
    done = go(planned(entry("/etc", "tmpfs", "tmpfs", "tmpcopyup", *filter(None, [extra]))))
    assert done.failure is None
    inside = done.path("/etc")
    info = (inside / "sub/deep/file").stat()
    assert (inside / "sub/deep/file").read_bytes() == b"x" * 100_000
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o4751, 7, 8)
    assert os.readlink(inside / "link") == "/nowhere"
    assert stat.S_ISFIFO((inside / "fifo").stat().st_mode)
    assert len(list(inside.iterdir())) == len(list(covered.iterdir()))
    (inside / "new").touch()
    assert not (covered / "new").exists()


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
def test_copy_up_of_what_the_kernel_makes_up(go: Run, rootfs: Path, kind: str) -> None:
    """Refused where a symlink leads the destination to it, and where it lies deeper."""
    (rootfs / "link").symlink_to("/of/it")
    for covered in ("/link", "/of"):
        rows = [entry("/of/it", kind, kind), entry(covered, "tmpfs", "tmpfs", "tmpcopyup")]
        assert go(planned(*rows)).failure == (1, errno.EPERM, "STEP_COPY")


@pytest.mark.parametrize("options", [["silent"], ["iversion"], ["silent", "ro", "sync", "nosuid", "noatime", "rnodev"]])
def test_what_fsconfig_cannot_say_goes_through_mount2(go: Run, options: list[str]) -> None:
    """Options without a name in fsconfig mount all the same, with the same flags."""
    done = go(planned(entry("/made", "ramfs", "ramfs", *options)))
    assert done.failure is None
    assert done.at("/made").type == "ramfs"
    if len(options) > 1:
        assert done.at("/made").options == {"ro", "nosuid", "nodev", "noatime"}
        assert {"ro", "sync"} <= done.at("/made").superblock


def test_long_values_go_through_mount2(go: Run, rootfs: Path) -> None:
    """An overlay's lowerdir is longer than the 255 bytes that fsconfig takes."""
    layers = []
    for i in range(12):
        layer = rootfs / "layers" / f"{i:040}"
        layer.mkdir(parents=True)
        (layer / f"file-{i}").touch()
        layers.append(str(layer))
    done = go(planned(entry("/merged", "overlay", "overlay", "ro", f"lowerdir={':'.join(layers)}")))
    assert done.failure is None
    assert len(list(done.path("/merged").iterdir())) == 12


def test_superblock_flags_reach_the_superblock(go: Run) -> None:
    """`sync`, `dirsync` and `ro` of a file system of its own are the superblock's."""
    done = go(planned(entry("/made", "ramfs", "ramfs", "sync", "dirsync", "ro")))
    assert done.failure is None
    assert {"ro", "sync", "dirsync"} <= done.at("/made").superblock


def test_remount_changes_mount_and_superblock(go: Run) -> None:
    """`remount` changes options of the file system; with `bind` only the mount's."""
    done = go(
        planned(
            entry("/one", "tmpfs", "tmpfs", "size=1m"),
            entry("/one", "tmpfs", "tmpfs", "remount", "ro", "size=2m", "nosuid"),
            entry("/two", "tmpfs", "tmpfs"),
            entry("/two", "none", "x", "bind", "remount", "ro", "noexec"),
            entry("/three", "ramfs", "ramfs", "ro"),
            entry("/three", "ramfs", "ramfs", "remount", "rw"),
        )
    )
    assert done.failure is None
    assert {"ro", "nosuid"} <= done.at("/one").options
    assert {"ro", "size=2048k"} <= done.at("/one").superblock
    assert {"ro", "noexec"} <= done.at("/two").options
    assert "rw" in done.at("/two").superblock
    assert "rw" in done.at("/three").superblock & done.at("/three").options


def test_mounts_stack(go: Run, tmp_path: Path) -> None:
    """A second mount on one destination lies on top of the first; /dev/shm may be a bind on a mounted /dev."""
    (tmp_path / "shm").mkdir()
    done = go(
        planned(
            entry("/dev", "tmpfs", "tmpfs"),
            bind("/dev/shm", tmp_path / "shm"),
            entry("/dev/shm", "tmpfs", "second"),
        )
    )
    assert done.failure is None
    assert done.at("/dev/shm").source == "second"


@pytest.mark.parametrize(
    ("operation", "error", "step"),
    [
        (ops.mount("/x", "nosuchfs", "x"), errno.ENODEV, "STEP_FSOPEN"),
        (ops.mount("/x", "tmpfs", "x", ["nosuchoption"]), errno.EINVAL, "STEP_MOUNT"),
        (ops.mount("/x", "tmpfs", "x", ["size=abc"]), errno.EINVAL, "STEP_MOUNT"),
        (ops.bind("/x", "/no/such/source"), errno.ENOENT, "STEP_OPEN_TREE"),
        (ops.bind("/x", None), errno.EBADF, "STEP_OPEN_TREE"),
        (ops.bind("/etc", "/etc/passwd"), errno.ENOTDIR, "STEP_MOVE_MOUNT"),
        (ops.bind("/x/..", "/etc"), errno.EBUSY, "STEP_VERIFY"),
        (ops.bind("/x/" + "n" * 256, "/etc/passwd"), errno.ENAMETOOLONG, "STEP_CREATE"),
        (ops.mount("/x/" + "n" * 256 + "/y", "tmpfs", "x"), errno.ENAMETOOLONG, "STEP_MKDIR"),
        (ops.remount("/missing"), errno.ENOENT, "STEP_OPEN"),
        (ops.mount("/x", "tmpfs", "x", attr_set=1 << 30), errno.EINVAL, "STEP_FSMOUNT"),
        (ops.mount("/x", "tmpfs", "x", propagation=1 << 17 | 1 << 18), errno.EINVAL, "STEP_MOUNT_SETATTR"),
    ],
)
def test_failures_name_the_operation_the_errno_and_the_step(
    go: Run, operation: "ops.Operation", error: int, step: str
) -> None:
    """An operation that fails is reported by its index, with the system's errno and what was tried."""
    assert step in STEPS
    assert go([ops.mount("/tmp", "tmpfs", "ok"), operation]).failure == (1, error, step)
