"""Podman's configs through every state, on the host's kernel and on Debian's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for

pytestmark = pytest.mark.kernel

SLEEPER = (
    "grep -E 'Seccomp:|CapEff' /proc/self/status; touch /dev/ready; trap 'exit 7' TERM; while :; do sleep 0.1; done"
)


@pytest.mark.parametrize("name", ["podman", "podman-userns"])
def test_the_whole_cycle(runtime: Caller, real: Callable[[str, str], Bundle], name: str) -> None:
    """create, state, start, exec, kill and delete, with seccomp in force in the process and in exec's."""
    id = runtime.create(real(name, SLEEPER))
    assert runtime.status(id) == "created"
    runtime.start(id)
    pid = runtime.pid(id)
    # The trap has to be there before the signal: a pid 1 without one ignores it.
    wait_for(Path(f"/proc/{pid}/root/dev/ready").exists, "ready process")
    assert runtime.status(id) == "running"
    assert "Seccomp:\t2" in runtime.output(id)
    assert "Seccomp:\t2" in runtime.exec(id, "cat /proc/self/status").ok().out
    runtime.kill(id, "TERM")
    runtime.wait_status(id)
    runtime.call("delete", id).ok()
    runtime.call("state", id).failed(1)


def test_ids_are_mapped(runtime: Caller, real: Callable[[str, str], Bundle]) -> None:
    """Podman's user namespace config: root inside is 100000 outside, and mounts and devices are there."""
    script = (
        "id -u; echo x >/dev/null && head -c 1 /dev/zero | wc -c; ls -d /dev/pts/ptmx /dev/shm /dev/mqueue; sleep 60"
    )
    id = runtime.launch(real("podman-userns", script))
    wait_for(lambda: "/dev/shm" in runtime.output(id), "output")
    assert runtime.output(id).split() == ["0", "1", "/dev/mqueue", "/dev/pts/ptmx", "/dev/shm"]
    assert "Uid:\t100000\t100000\t100000\t100000" in Path(f"/proc/{runtime.pid(id)}/status").read_text()


def test_masked_and_readonly_paths(runtime: Caller, real: Callable[[str, str], Bundle]) -> None:
    """What Podman masks is empty, and what it makes read-only cannot be written, on either kernel's procfs."""
    script = "cat /proc/kcore | wc -c; ls -A /sys/firmware | wc -l; (echo 1 >/proc/sys/vm/swappiness) 2>&1 | grep -o Read-only"
    assert runtime.run(real("podman", script)).ok().out.split() == ["0", "0", "Read-only"]
