"""Descriptors, nodes, ids, strings and state that lie: what a bundle, a container or a user of the host may hand over."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.security.attack import Target, attack
from tests.security.test_symlinked_paths import without_mount


@attack(
    "CVE-2024-21626",
    "the working directory is /proc/self/fd/N, a host directory that the caller left open",
    stops="every descriptor is closed; cwd is looked up without magic links and verified to be inside",
    bites=("crun",),
)
def test_cwd_by_leaked_descriptor(target: Target) -> None:
    """The caller leaks a directory of the host as several descriptors. (Debian's runc has the fix.)"""
    leaked = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    held = [os.dup(leaked) for _ in range(12)]
    try:
        for number in held:
            bundle = target.caller.shell("pwd -P; ls ..", {"process": {"cwd": f"/proc/self/fd/{number}"}})
            result = target.caller.run(bundle, pass_fds=held)
            if result.code == 0:
                break
        target.judge(result.code == 0, result.out)
    finally:
        for number in (leaked, *held):
            os.close(number)


@attack(
    "CVE-2025-31133, CVE-2025-62161",
    "/dev/null of the image is another file, so masking binds something writable",
    stops="the host's /dev/null is bound, once its descriptor is verified to be character device 1:3",
    bites=("runc",),
)
def test_masked_by_false_null(target: Target) -> None:
    """Where nothing is mounted on /dev the image's node is used: one that is no null device is refused."""
    bundle = without_mount(
        target.caller.shell("echo x > /proc/keys; cat /proc/keys"), "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"
    )
    bundle.write("/etc/victim", "victim")
    (bundle.rootfs / "dev/null").symlink_to("/etc/victim")
    bundle.linux["maskedPaths"] = ["/proc/keys"]
    result = target.caller.run(bundle.save())
    target.judge("x" in result.out or (bundle.rootfs / "etc/victim").read_text() != "victim", result.out)


@attack(
    "CVE-2026-88265",
    "a file of the container poses as /dev/null and becomes its standard streams",
    stops="the container's /dev/null replaces the host's only if it is character device 1:3",
    bites=("runc", "crun"),
)
def test_false_null_as_stdio(target: Target) -> None:
    """The streams stay null devices, or the container is refused."""
    bundle = without_mount(
        target.caller.shell("stat -L -c %t:%T /proc/self/fd/0"), "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"
    )
    bundle.write("/dev/null", "")
    result = target.caller.run(bundle.save())
    target.judge(result.code == 0 and result.out.strip() != "1:3", result.out)


@pytest.mark.parametrize("user", ["01x", "0x0", "-1", "4294967295", "root", " 1", "1 ", "1:", "\u0661"])
@attack(
    "CVE-2026-30892",
    "`exec -u` with something that is not an id runs as uid 0",
    stops="ids are strictly decimal, below 2^32-1",
)
def test_exec_user(target: Target, user: str) -> None:
    """Whatever is not an id is refused, it does not become 0. (runc refuses these too, crun 1.8.1 takes some of them.)"""
    id = target.caller.launch(target.caller.sleeper())
    result = target.caller.exec(id, "id -u", "--user", user)
    target.judge(result.code == 0, result.out)
    assert target.caller.exec(id, "id -u", "-u", "1").ok().out == "1\n"


@attack(
    "own find; the kind of CVE-2026-30892",
    "an id of `exec -u` beyond 32 bits wraps around to 0",
    stops="ids are strictly decimal, below 2^32-1",
    bites=("runc", "crun"),
)
def test_exec_user_wraps(target: Target) -> None:
    """2^32 is refused; the peers run the program as root."""
    id = target.caller.launch(target.caller.sleeper())
    result = target.caller.exec(id, "id -u", "--user", "4294967296")
    target.judge(result.out == "0\n", result.out)


@attack(
    "own find",
    "a sysctl name with `..` in it is allowed for its prefix and written elsewhere in /proc",
    stops="names with an empty part, `.` or `..` are refused before the namespace is considered",
)
def test_sysctl_that_climbs(target: Target) -> None:
    """net/../… would pass as a parameter of the network namespace. printk_ratelimit_burst gets the value that it has."""
    value = Path("/proc/sys/kernel/printk_ratelimit_burst").read_text().strip()
    for name in ("net/../kernel/printk_ratelimit_burst", "net.//.kernel.printk_ratelimit_burst"):
        result = target.caller.run(target.caller.shell("true", {"linux": {"sysctl": {name: value}}}))
        target.judge(result.code == 0, name)
        assert "not the name of a kernel parameter" in result.err


@attack(
    "own find",
    "hostname, with the path of the runtime's own uts namespace: the host is renamed",
    stops="the path is compared with the runtime's own namespace when the config is checked, as for kernel parameters",
    bites=("runc",),
)
def test_hostname_of_the_host(target: Target) -> None:
    """The host, here a uts namespace of the test's, keeps its name. (crun 1.8.1 names only a new namespace.)"""
    bundle = target.caller.shell("true", {"ociVersion": "1.0.2", "hostname": "renamed"})
    next(one for one in bundle.linux["namespaces"] if one["type"] == "uts")["path"] = "/proc/self/ns/uts"
    run = target.caller.command("run", "--bundle", bundle.save().directory, target.caller.new_id())
    said = target.caller.directory / "said"
    script = ["unshare", "--uts", "sh", "-c", 'hostname before; "$@" > "$0" 2>&1; hostname', str(said), *run]
    done = subprocess.run(script, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True)
    target.judge(done.stdout != "before\n", done.stdout)
    if target.ours:
        assert "/hostname: hostname would be set on the host" in said.read_text()


@attack(
    "CVE-2021-43784",
    "a string of the config is so long that its length wraps in the runtime's wire format",
    stops="lengths are 32 bits, bounds checks 64; a plan has at most 16 MiB",
)
def test_overlong_strings(target: Target) -> None:
    """Around 2^16 bytes a string arrives whole; what no kernel takes is an error with its place."""
    for size in (65535, 65536, 65537):
        bundle = target.caller.shell("echo ${#LONG}", {"process": {"env": ["PATH=/bin", "LONG=" + "x" * size]}})
        assert target.caller.run(bundle).ok().out == f"{size}\n"
    bundle = target.caller.shell("true")
    bundle.linux["maskedPaths"] = ["/" + "x" * 70000]
    result = target.caller.run(bundle.save())
    target.judge(result.code == 0, "a path of 70,000 bytes")
    assert "/linux/maskedPaths/0" in result.err


@attack(
    "state directory",
    "another user creates ROOT/ID, with a record that names hooks to run and processes to kill",
    stops="a container's directory must be the caller's, writable by nobody else, and not a symlink",
)
def test_foreign_state(target: Target) -> None:
    """state, delete and kill refuse a directory that another user owns, that others write to, or that is a link."""
    caller = target.caller
    id = caller.launch(caller.sleeper())
    place = caller.root / id
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    moved = caller.root / "moved"
    for spoil, mend in (
        (lambda: os.chown(place, 1000, 1000), lambda: os.chown(place, 0, 0)),
        (lambda: place.chmod(0o777), lambda: place.chmod(0o700)),
        (lambda: (place.rename(moved), place.symlink_to(moved)), lambda: (place.unlink(), moved.rename(place))),
    ):
        spoil()
        results = [caller.call(*words) for words in (("state", id), ("delete", "--force", id), ("kill", id, "KILL"))]
        mend()
        target.judge(any(result.code == 0 for result in results), results)
    assert caller.status(id) == "running"


@pytest.mark.parametrize("id", ["..", ".", "a/b", "../x", "a\n", "", "é", "x" * 256, ".seccomp"])
@attack(
    "ids",
    "a container's id is a path out of the state directory",
    stops="1 to 255 of A-Z a-z 0-9 _ + . -, not . or ..",
)
def test_id(target: Target, id: str) -> None:
    """Every verb refuses it."""
    bundle = target.caller.shell("true")
    results = [
        target.caller.call("create", "--bundle", bundle.directory, id),
        *(target.caller.call(verb, id) for verb in ("state", "start", "delete")),
    ]
    target.judge(any(result.code == 0 for result in results), results)
