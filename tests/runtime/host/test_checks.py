"""What the host tells about a config, on real directories and namespaces."""

import os
import socket
import time

import pytest

from runtime.host import checks
from runtime.host.container_tree import Tree, Unknown, tree_of


@pytest.fixture
def bundle(tmp_path):
    """A bundle with a small root file system in which /bin leads to /usr/bin."""
    rootfs = tmp_path / "rootfs"
    for name in ("usr/bin", "etc", "run", "var", "proc", "dev"):
        (rootfs / name).mkdir(parents=True)
    (rootfs / "bin").symlink_to("usr/bin")
    (rootfs / "var/run").symlink_to("/run")
    (rootfs / "etc/plain").write_text("")
    program = rootfs / "usr/bin/true"
    program.write_text("")
    program.chmod(0o755)
    return tmp_path


def spec(**process):
    process = {"cwd": "/", "args": ["true"], "env": ["PATH=/sbin:/bin"], "user": {"uid": 0, "gid": 0}} | process
    return {"root": {"path": "rootfs"}, "process": process, "mounts": [], "linux": {"namespaces": [{"type": "pid"}]}}


def rows(config, bundle):
    return [(pointer, severity, rule) for pointer, severity, _, _, rule in checks.rows(config, str(bundle))]


def messages(config, bundle):
    return [row[2] for row in checks.rows(config, str(bundle))]


def test_good_bundle_has_no_finding(bundle):
    """A bundle in which all is there gives no row."""
    assert rows(spec(), bundle) == []
    assert rows(spec(args=["/bin/true"], cwd="/var/run"), bundle) == []
    assert rows(spec(args=["bin/true"]), bundle) == []
    assert rows(spec(args=["./true"], cwd="/bin/../bin"), bundle) == []


@pytest.mark.parametrize("path", ["missing", "rootfs/etc/plain"])
def test_rootfs_is_a_directory(bundle, path):
    """A root file system that is missing or a file is an error, and the only one."""
    config = spec()
    config["root"]["path"] = path
    assert rows(config, bundle) == [("/root/path", "error", "host:rootfs")]


def test_bind_source_exists(bundle):
    """A bind source that is missing is an error; a device's name is no path."""
    config = spec()
    config["mounts"] = [
        {"destination": "/mnt", "source": "nowhere", "options": ["rbind"]},
        {"destination": "/proc", "type": "proc", "source": "nowhere"},
    ]
    assert rows(config, bundle) == [("/mounts/0/source", "error", "host:mount_source")]


def test_missing_program_is_worded_for_the_managers(bundle):
    """The words are those from which Docker makes 127 and 126."""
    assert messages(spec(args=["nope"]), bundle) == ['exec: "nope": executable file not found in $PATH']
    assert messages(spec(args=["/nope"]), bundle) == ['exec: "/nope": stat /nope: no such file or directory']
    assert messages(spec(args=["/etc/plain"]), bundle) == ['exec: "/etc/plain": permission denied']
    assert messages(spec(args=["/etc"]), bundle) == ['exec: "/etc": is a directory: permission denied']
    assert messages(spec(args=["etc"], env=["PATH=/"]), bundle) == ['exec: "etc": executable file not found in $PATH']
    assert messages(spec(args=["plain"], env=["PATH=/etc"]), bundle) == ['exec: "plain": permission denied']
    assert rows(spec(args=["nope"]), bundle) == [("/process/args/0", "error", "host:program")]


def test_missing_cwd(bundle):
    """A working directory that is missing is made; one that is a file, or below one, is an error."""
    assert rows(spec(cwd="/home"), bundle) == []
    assert rows(spec(cwd="/etc/plain"), bundle) == [("/process/cwd", "error", "host:cwd")]
    assert rows(spec(cwd="/etc/plain/home"), bundle) == [("/process/cwd", "error", "host:cwd")]


def test_program_through_a_bind_mount(bundle):
    """A program that a mount brings along is found, as with `docker run --init`."""
    (bundle / "init").write_text("")
    (bundle / "init").chmod(0o755)
    config = spec(args=["/sbin/docker-init"])
    assert rows(config, bundle) == [("/process/args/0", "error", "host:program")]
    config["mounts"] = [{"destination": "/sbin/docker-init", "source": "init", "options": ["bind"]}]
    (bundle / "rootfs/sbin").mkdir()
    assert rows(config, bundle) == []


def test_mount_point_behind_a_link(bundle):
    """A mount point is resolved in the container: /var/run/tool is below the mount on /run."""
    (bundle / "tools").mkdir()
    (bundle / "tools/tool").write_text("")
    (bundle / "tools/tool").chmod(0o755)
    config = spec(args=["/run/tool"])
    config["mounts"] = [{"destination": "/var/run", "source": "tools", "options": ["bind"]}]
    assert rows(config, bundle) == []


def test_missing_below_a_mount_is_a_warning(bundle):
    """What a mount or an early hook may bring along is no error."""
    config = spec(args=["/usr/bin/nope"], cwd="/usr/bin/x")
    config["mounts"] = [{"destination": "/usr", "type": "tmpfs", "source": "tmpfs"}]
    assert {row[1] for row in rows(config, bundle)} == {"warning"}
    config["mounts"] = [{"destination": "/usr", "source": "rootfs/usr", "options": ["bind"]}]
    assert {row[1] for row in rows(config, bundle)} == {"warning"}
    config["mounts"] = []
    config["hooks"] = {"createContainer": [{"path": "/bin/true"}]}
    assert {row[1] for row in rows(config, bundle)} == {"warning"}
    config["hooks"] = {"poststop": [{"path": "/bin/true"}]}
    assert {row[1] for row in rows(config, bundle)} == {"error"}


def test_cwd_may_be_a_mount_point(bundle):
    """A file system mounted on the working directory makes it a directory."""
    config = spec(cwd="/dev")
    config["mounts"] = [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}]
    assert rows(config, bundle) == []


def test_links_do_not_leave_the_root(bundle, tmp_path):
    """A link to an absolute path, or up past the top, is followed in the container and not on the host."""
    (bundle / "rootfs/escape").symlink_to("/../../../../bin/true")
    (bundle / "rootfs/loop").symlink_to("loop")
    (bundle / "rootfs/host").symlink_to(str(tmp_path))
    (tmp_path / "true").touch(0o755)
    assert rows(spec(args=["/escape"]), bundle) == []
    assert "too many levels of symbolic links" in messages(spec(args=["/loop"]), bundle)[0]
    assert rows(spec(args=["/host/true"]), bundle) == [("/process/args/0", "error", "host:program")]


def test_namespace_paths(bundle):
    """A path to join is a namespace of the named type."""
    config = spec()
    listed = config["linux"]["namespaces"]
    listed += [{"type": "network", "path": "/proc/self/ns/net"}, {"type": "uts", "path": "/proc/self/ns/uts"}]
    assert rows(config, bundle) == []
    listed += [{"type": "ipc", "path": "/proc/self/ns/uts"}, {"type": "uts", "path": "/etc/passwd"}]
    listed += [{"type": "time", "path": "/nowhere"}]
    assert rows(config, bundle) == [
        (f"/linux/namespaces/{index}/path", "error", "host:namespace") for index in (3, 4, 5)
    ]
    assert "a uts namespace, not an ipc namespace" in messages(config, bundle)[0]


def test_mount_namespace_of_the_host(bundle):
    """The mount namespace of the runtime itself is refused: the container's root would become the host's."""
    config = spec()
    config["linux"]["namespaces"] = [{"type": "mount", "path": "/proc/self/ns/mnt"}]
    assert rows(config, bundle) == [("/linux/namespaces/0/path", "error", "host:namespace")]
    assert "the host's own mount namespace" in messages(config, bundle)[0]


def test_fifo_and_socket_are_not_opened(bundle):
    """Checks of a fifo answer at once, wherever the config names it."""
    fifo = bundle / "fifo"
    os.mkfifo(fifo)
    (bundle / "rootfs/etc/fifo").symlink_to("/etc/real")
    os.mkfifo(bundle / "rootfs/etc/real")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(bundle / "socket"))
    config = spec(args=["/etc/fifo"])
    config["mounts"] = [{"destination": f"/{name}", "source": name, "options": ["bind"]} for name in ("fifo", "socket")]
    config["linux"]["namespaces"] = [{"type": "network", "path": str(fifo)}]
    config["hooks"] = {"poststop": [{"path": str(fifo)}]}
    start = time.monotonic()
    found = {row[0] for row in rows(config, bundle)}
    assert found == {"/process/args/0", "/linux/namespaces/0/path", "/hooks/poststop/0/path"}
    assert time.monotonic() - start < 10


def test_ids_are_mapped(bundle):
    """In a new user namespace the process's ids must be in the maps."""
    config = spec(user={"uid": 5, "gid": 100, "additionalGids": [1, 100]})
    assert rows(config, bundle) == []
    config["linux"]["namespaces"].append({"type": "user"})
    mapping = [{"containerID": 0, "hostID": 1000, "size": 10}]
    config["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
    assert rows(config, bundle) == [
        ("/process/user/gid", "error", "host:ids_mapped"),
        ("/process/user/additionalGids/1", "error", "host:ids_mapped"),
    ]


def test_hook_is_executable(bundle):
    """A hook that is missing or no program is a warning, save the ones that are found in the container."""
    config = spec()
    config["hooks"] = {
        "prestart": [{"path": "/bin/true"}, {"path": "/nowhere"}],
        "poststop": [{"path": "/etc"}],
        "startContainer": [{"path": "/nowhere"}],
    }
    assert rows(config, bundle) == [
        ("/hooks/prestart/1/path", "warning", "host:hook"),
        ("/hooks/poststop/0/path", "warning", "host:hook"),
    ]


def test_later_mount_hides_earlier_ones(bundle):
    """A mount over a parent hides what was mounted below before."""
    (bundle / "empty").mkdir()
    mounts = [
        {"destination": "/usr/bin", "source": "rootfs/usr/bin", "options": ["bind"]},
        {"destination": "/usr", "source": "empty", "options": ["bind"]},
    ]
    tree = tree_of(str(bundle / "rootfs"), mounts, str(bundle), exact=True)
    with pytest.raises(FileNotFoundError):
        tree.mode("/usr/bin/true")
    assert tree.below_mount


def test_unknown_root():
    """Over the whole root nothing can be said."""
    with pytest.raises(Unknown):
        Tree("").mode("/bin/sh")


def test_thousands_of_mounts(bundle):
    """The time grows with their number, not with its square: each is laid over what is there in one step."""
    mounts = [{"destination": f"/d{i % 100}/e{i}", "type": "tmpfs"} for i in range(20000)]
    tree = tree_of(str(bundle / "rootfs"), mounts, str(bundle), exact=False)
    assert len(tree.mounts) == 20000
    began = time.process_time()
    tree_of(str(bundle / "rootfs"), mounts, str(bundle), exact=False)
    assert time.process_time() - began < 2  # the square takes minutes


def test_a_link_that_cannot_be_read(bundle):
    """A root path below a link that we may not follow is an error of its own, and no traceback."""
    config = spec() | {"root": {"path": "/proc/1/ns/mnt"}}
    config["mounts"] = [{"destination": "/a", "source": "missing", "options": ["bind"]}]
    assert {"host:rootfs", "host:mount_source"} <= {row[2] for row in rows(config, bundle)}
