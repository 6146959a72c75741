"""A runtime that is called in a chroot: what is above that root is in its mount namespace, and in each that is made from it."""

from __future__ import annotations

import shlex
import shutil
import subprocess

from tests.integration.bundle import Bundle
from tests.security.attack import Target, attack

# crun refuses a hybrid host, so the v2 hierarchy goes.
CHROOT = """
umount -l /sys/fs/cgroup/unified 2> /dev/null || :
mkdir "$0"
mount --rbind / "$0"
exec chroot "$0" sh -e -c "$1"
"""
NAMES = ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]
CAPABILITIES = dict.fromkeys(("bounding", "effective", "permitted"), NAMES)


def in_chroot(target: Target, script: str) -> str:
    """What a script prints, in a chroot with all that the host has; `$runtime` is the target."""
    program = target.caller.program if target.ours else shutil.which(target.name)
    script = f"runtime={shlex.quote(f'{program} --root {target.caller.root}')}\n{script}"
    command = ["unshare", "--mount", "sh", "-e", "-c", CHROOT, str(target.caller.directory / "chroot"), script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asking(target: Target, *before: str) -> str:
    """A command line that tells whether it sees a directory of the host."""
    return shlex.join([*before, "sh", "-c", f"test -e {target.caller.directory} && echo host || echo container"])


def sleeping(target: Target, bundle: Bundle, script: str) -> str:
    """The script with a running container, whose id is `$id`."""
    id = target.caller.new_id()
    return f"""
id={id}
$runtime create --bundle {bundle.directory} $id < /dev/null > /dev/null
$runtime start $id
{script}
$runtime delete --force $id
"""


@attack(
    "own find",
    "the runtime runs in a chroot: exec enters the root above it, the host's",
    stops="before pivot_root init goes to the root of its mount namespace, so that all of the host is detached",
    bites=("runc", "crun"),
)
def test_exec_from_a_chroot(target: Target) -> None:
    """setns goes to the root of the namespace, wherever the runtime's own was."""
    script = sleeping(target, target.caller.sleeper(), f"$runtime exec $id {asking(target)}")
    answer = in_chroot(target, script).split()
    target.judge(answer == ["host"], answer)
    assert answer


@attack(
    "own find",
    "the same: a container with CAP_SYS_CHROOT and CAP_SYS_ADMIN joins its own mount namespace, and is in the host's root",
    stops="the same: above the container's root there is nothing",
    bites=("runc", "crun"),
)
def test_climb_out_of_a_chroot(target: Target) -> None:
    """With CAP_SYS_CHROOT alone `..` does it, after a second chroot."""
    climb = asking(target, "busybox", "nsenter", "--mount=/proc/self/ns/mnt")
    bundle = target.caller.shell(climb, {"process": {"capabilities": CAPABILITIES}})
    answer = in_chroot(target, f"$runtime run --bundle {bundle.directory} {target.caller.new_id()} < /dev/null").split()
    target.judge(answer == ["host"], answer)
    assert answer
