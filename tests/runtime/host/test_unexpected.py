"""What a config shares with the host, and the remedies for a namespace's path, on real namespaces."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.host import checks, unexpected


def found(config: dict[str, object], bundle: Path) -> list[tuple[str, str]]:
    return [(row[0], row[4]) for row in unexpected.rows(config, str(bundle))]  # type: ignore[arg-type]


def namespace_row(kind: str, path: str) -> tuple[str, str, str]:
    """Severity, message and remedy for the path of a namespace."""
    config = {"linux": {"namespaces": [{"type": kind, "path": path}]}}
    ((_, severity, message, hint, _),) = checks.check_namespace_paths(config)  # type: ignore[arg-type]
    return severity, message, hint or ""


@pytest.fixture
def ended() -> Iterator[int]:
    """The pid of a process that has ended, and that nobody has waited for."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    yield child
    os.waitpid(child, 0)


def test_the_hosts_root(tmp_path: Path) -> None:
    """The host's root is told under any name, another directory is not."""
    (tmp_path / "link").symlink_to("/")
    for path in ("/", "/proc/..", "link"):
        assert found({"root": {"path": path}}, tmp_path) == [("/root/path", "host:root")], path
    assert found({"root": {"path": str(tmp_path)}}, tmp_path) == []


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "cgroup"])
def test_an_own_namespace(kind: str, tmp_path: Path) -> None:
    """A path to the caller's own namespace is told, one to another process's is not."""
    file = {"network": "net"}.get(kind, kind)
    entry = {"type": kind, "path": f"/proc/self/ns/{file}"}
    pointer = "/linux/namespaces/0/path"
    assert found({"linux": {"namespaces": [entry]}}, tmp_path) == [(pointer, "host:own_namespace")]


def test_a_missing_working_directory(tmp_path: Path) -> None:
    """It is told unless the root has it, or a mount of unknown content may."""
    (tmp_path / "rootfs/etc").mkdir(parents=True)
    config: dict[str, object] = {"root": {"path": "rootfs"}, "mounts": [{"destination": "/tmp", "type": "tmpfs"}]}
    for cwd, wanted in (("/srv", [("/process/cwd", "host:cwd_made")]), ("/etc", []), ("/tmp/below", [])):
        assert found({**config, "process": {"cwd": cwd}}, tmp_path) == wanted, cwd


def test_names_that_are_not_misspelt(tmp_path: Path) -> None:
    """A name of another machine, one that is newer than libseccomp, and one that is like none are not told."""
    names = ["mmap2", "_llseek", "futex_wait", "fchmodat2", "frobnicate", "openat", "s390_pci_mmio_read"]
    entry = {"names": [*names, "execv"], "action": "SCMP_ACT_ALLOW"}
    config: dict[str, object] = {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [entry]}}}
    assert found(config, tmp_path) == [(f"/linux/seccomp/syscalls/0/names/{len(names)}", "host:seccomp_name")]


def test_a_process_that_is_gone(ended: int) -> None:
    """The remedy says that the process has ended, also while it waits to be reaped."""
    severity, message, remedy = namespace_row("network", f"/proc/{ended}/ns/net")
    assert (severity, "no such file" in message) == ("error", True)
    assert f"process {ended} has ended, and its namespaces with it" in remedy
    assert "process 4194303 has ended" in namespace_row("network", "/proc/4194303/ns/net")[2]


def test_a_file_without_its_namespace(tmp_path: Path) -> None:
    """An empty file, as `ip netns` leaves one, is told as a namespace that is no longer there."""
    (tmp_path / "net").touch()
    severity, message, remedy = namespace_row("network", str(tmp_path / "net"))
    assert severity == "error"
    assert "not a namespace" in message
    assert "no namespace is mounted on it any more" in remedy


def test_the_wrong_file_of_a_process() -> None:
    """The remedy has the path of the right one."""
    assert namespace_row("network", "/proc/self/ns/network")[2] == "write /proc/self/ns/net"
    assert namespace_row("mount", "/proc/self/ns/uts")[2] == "write /proc/self/ns/mnt"


def test_the_own_user_namespace() -> None:
    """The kernel lets nobody join it again: setns(2) says EINVAL."""
    assert "own user namespace" in namespace_row("user", "/proc/self/ns/user")[1]
