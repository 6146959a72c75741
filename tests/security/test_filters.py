"""Ways past a seccomp filter or device rules, and an agent that takes its part ill."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.bundle import merge
from tests.integration.test_seccomp_hooks import hooked, rule
from tests.security.attack import Target, attack

ROUNDS = 10


@attack(
    "own find",
    "a startContainer hook, a program of the image, makes calls that the container's filter forbids",
    stops="the hook's process loads the filter before execve",
)
def test_hook_without_the_filter(target: Target) -> None:
    """What the filter refuses fails in the hook. (Both peers load the filter before the hooks.)"""
    refused = rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat", errnoRet=errno.ENOSPC)
    bundle = hooked(target.caller, "mkdir /made; true", refused)
    result = target.caller.run(bundle)
    target.judge((bundle.rootfs / "made").exists(), result)
    assert "No space left" in result.ok().out


@contextmanager
def leaving(path: Path) -> Iterator[list[int]]:
    """An agent that closes its connection, and the listener, as soon as it has them; a list that counts them."""
    taken: list[int] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    _, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 1)
                for one in descriptors:
                    taken.append(one)
                    os.close(one)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@attack(
    "own find",
    "a seccomp agent closes its connection once it has the listener: containers fail to start, or hang",
    stops="nothing more is written to the agent, and a notified call without a listener fails",
)
def test_agent_that_leaves(target: Target) -> None:
    """Each container runs. The runtime has the agent's processor, and the last place on it, so that the agent has closed by
    the time that it goes on. (Both peers withstand.)"""
    before = os.sched_getaffinity(0)
    path = target.caller.directory / "agent"
    notify = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(path), "syscalls": [notify]}
    bundle = target.caller.shell("mkdir /a; echo ran", {"linux": {"seccomp": seccomp}})
    os.sched_setaffinity(0, {min(before)})
    try:
        with leaving(path) as taken:
            results = [target.caller.run(bundle, preexec_fn=lambda: os.nice(19)) for _ in range(ROUNDS)]
    finally:
        os.sched_setaffinity(0, before)
    assert len(taken) == ROUNDS
    target.judge([one for one in results if one.code != 0 or one.out != "ran\n"])


NODE = {"process": {"capabilities": {kind: ["CAP_MKNOD"] for kind in ("bounding", "effective", "permitted")}}}


@attack(
    "own find",
    "--cgroup-manager disabled silently drops the device rules: the program opens devices that they refuse",
    stops="a warning names each property that needs a cgroup",
    bites=("crun",),
)
def test_device_rules_without_cgroups(target: Target) -> None:
    """The warning names the rules. (runc knows no `disabled`.)"""
    script = "mknod /loops c 10 237 && exec 3< /loops && echo opened"  # loop-control
    bundle = target.caller.shell(script, merge(NODE, {"linux": {"cgroupsPath": None}}))
    result = target.caller.call(
        "--cgroup-manager", "disabled", "run", "--bundle", bundle.directory, target.caller.new_id()
    )
    assert result.ok().out == "opened\n"
    target.judge("/linux/resources/devices" not in result.err, result.err)
