"""Which root `exec` enters: the container's, whatever its first process has made of its own since."""

from __future__ import annotations

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for

NAMES = ["CAP_SYS_CHROOT", "CAP_KILL"]
CHROOT = {"process": {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), NAMES)}}
JAILED = """
mkdir -p /jail/bin; cp /bin/busybox /jail/bin/sleep
exec chroot /jail /bin/sleep 1000
"""


def jailed(runtime: Caller) -> Bundle:
    """A program that changes its root, as haproxy and named do."""
    return runtime.shell(JAILED, CHROOT)


def launch(runtime: Caller, bundle: Bundle, *flags: str) -> str:
    id = runtime.launch(bundle, *flags)
    wait_for(lambda: "/bin/sleep" in runtime.exec(id, "cat /proc/1/cmdline").out, "a program in its jail")
    return id


@pytest.mark.proves_operation("enter_root")
@pytest.mark.kernel
def test_first_process_in_a_chroot(runtime: Caller) -> None:
    """A further program sees the container's root, and not the one that the first process has chosen."""
    id = launch(runtime, jailed(runtime))
    assert runtime.exec(id, "pwd; ls -d /jail /etc/passwd").ok().out == "/\n/etc/passwd\n/jail\n"


@pytest.mark.kernel
def test_first_process_in_a_chroot_without_pivot(runtime: Caller) -> None:
    """With --no-pivot, where the container's root lies on the namespace's, exec enters the container's root all the same."""
    id = launch(runtime, jailed(runtime), "--no-pivot")
    assert runtime.exec(id, "pwd; ls -d /jail /etc/passwd").ok().out == "/\n/etc/passwd\n/jail\n"


def test_first_process_in_a_chroot_of_a_user_namespace(runtime: Caller) -> None:
    """In a user namespace exec enters the container's root, not the one that the first process has chosen."""
    ids = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    bundle = jailed(runtime)
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=ids, gidMappings=ids)
    bundle.rootfs.joinpath("jail").mkdir(mode=0o777)
    bundle.rootfs.joinpath("jail").chmod(0o777)
    id = launch(runtime, bundle.save())
    assert runtime.exec(id, "pwd; ls -d /jail /etc/passwd").ok().out == "/\n/etc/passwd\n/jail\n"


@pytest.mark.not_on("runc", "crun", reason="stays in the caller's root")
def test_root_without_a_mount_namespace(runtime: Caller) -> None:
    """Where the container has no mount namespace of its own, its root is entered all the same."""
    bundle = runtime.sleeper().share_mounts()
    bundle.write("/mark", "here\n")
    id = runtime.launch(bundle)
    assert runtime.exec(id, ["/bin/cat", "/mark"]).ok().out == "here\n"
