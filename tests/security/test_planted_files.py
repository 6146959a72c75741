"""Files that are not what they seem: config.json as a fifo or changing under us, state and caches planted by others."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

from tests.integration.bundle import Bundle, merge
from tests.security.attack import Target, attack, swapping

HANGS = 5.0  # seconds after which a call hangs
ADA = 1000


def call_hangs(target: Target, bundle: Bundle) -> bool:
    try:
        result = target.caller.run(bundle, timeout=HANGS)
    except AssertionError as error:
        if f"more than {HANGS} s" in str(error):
            return True
        raise
    assert result.code != 0
    if target.ours:
        assert "config.json is not a regular file" in result.err
    return False


@attack(
    "own find",
    "config.json is a fifo, an endless device or one that blocks: the runtime and its manager wait for ever",
    stops="a bundle's config.json must be a regular file; it is opened without blocking, and at most 64 MiB are read",
    bites=("runc", "crun"),
)
def test_config_that_never_ends(target: Target) -> None:
    """A fifo that nobody writes to, the master of a terminal, /dev/zero, a directory."""
    bundle = target.caller.shell("true")
    config = bundle.directory / "config.json"
    config.unlink()
    os.mkfifo(config)
    target.judge(call_hangs(target, bundle), "fifo")
    if target.ours:
        for place in ("/dev/ptmx", "/dev/zero", "/dev/null", "/proc"):
            config.unlink()
            config.symlink_to(place)
            target.judge(call_hangs(target, bundle), place)
        told = target.caller.call("validate", bundle.directory, timeout=HANGS)
        assert told.code == 1
        assert target.caller.call("plan", bundle.directory, timeout=HANGS).code == 1


WEAK = {"process": {"noNewPrivileges": False, "env": ["PATH=/bin", "MARK=weak"]}}
STRICT = {"process": {"noNewPrivileges": True, "env": ["PATH=/bin", "MARK=strict"]}}
LOOK = "echo $MARK; grep NoNewPrivs /proc/self/status; while :; do sleep 0.1; done"
ASK = "echo $MARK; grep NoNewPrivs /proc/self/status"


@attack(
    "own find",
    "config.json is swapped between check, create and exec: a mixture of two configs runs",
    stops="the file is read once; the check, the plan, exec and the hooks use the same bytes",
)
def test_config_swapped(target: Target) -> None:
    """Two configs change places as fast as they can. The container, its hooks and `exec` follow the same one, and go on to
    when the bundle has a third. (runc and crun read it once as well, up to their kept copy.)"""
    caller = target.caller
    bundle = caller.shell(LOOK, STRICT)
    hook = caller.directory / "hook"
    configs = [bundle.directory / "config.json", bundle.directory / "other.json"]
    for file, change in zip(configs, (STRICT, WEAK), strict=True):
        poststop = {"path": "/bin/sh", "args": ["sh", "-c", f"echo {change['process']['env'][1]} > {hook}"]}
        file.write_text(json.dumps(merge(merge(bundle.config, change), {"hooks": {"poststop": [poststop]}})))
    seen = set()
    for _ in target.rounds():
        with swapping(*configs):
            id = caller.create(bundle)
            caller.start(id)
        kept = configs[0].read_text()
        configs[0].write_text(json.dumps(merge(bundle.config, {"process": {"env": ["MARK=third"]}})))
        told = caller.exec(id, ASK).ok().out.split()
        caller.remove(id)
        configs[0].write_text(kept)
        mark, privileges = told[0], told[2]
        seen.add(mark)
        target.judge((mark, privileges) not in (("strict", "1"), ("weak", "0")), told)
        target.judge(caller.output(id).split()[:3] != told, (caller.output(id), told))
        target.judge(hook.read_text() != f"MARK={mark}\n", hook.read_text())
    assert seen, "no round was run"


def as_ada(*command: str) -> None:
    """A command as another user of the host."""
    subprocess.run(["setpriv", f"--reuid={ADA}", f"--regid={ADA}", "--clear-groups", *command], check=True)


@attack(
    "state directory",
    "another user owns the directory that --root names, or everybody can write to it, and swaps its contents",
    stops="the directory must be the caller's or root's, and without a sticky bit nobody else may write to it",
    bites=("runc", "crun"),
)
def test_foreign_root(target: Target) -> None:
    """Ada makes --root before root does: she can put one container's directory in the other's place, and `kill` of one
    kills the other. With the sticky bit (a directory below /tmp) she can only add, and what she adds is not read."""
    caller = target.caller
    one, other = caller.launch(caller.sleeper()), caller.launch(caller.sleeper())
    pids = {id: caller.pid(id) for id in (one, other)}
    os.chown(caller.root, ADA, ADA)
    with contextlib.ExitStack() as mend:
        mend.callback(os.chown, caller.root, 0, 0)
        for source, place in ((one, "spare"), (other, one), ("spare", other)):
            as_ada("mv", "-T", str(caller.root / source), str(caller.root / place))
            mend.callback(os.rename, caller.root / place, caller.root / source)
        told = caller.call("state", one)
        target.judge(told.code == 0 and json.loads(told.out)["pid"] == pids[other], told)
        if not target.ours:
            return
        assert "is not trusted" in told.err
        refused = [caller.call(*words) for words in (("kill", one, "KILL"), ("delete", "--force", one))]
        refused += [caller.try_create(caller.sleeper()), caller.call("list")]
        target.judge(any(result.code == 0 for result in refused[:3]), refused)
        assert not refused[3].out.count("running")
    assert {id: caller.pid(id) for id in (one, other)} == pids
    caller.root.chmod(0o777)
    target.judge(caller.call("kill", one, "0").code == 0, "all may write")
    caller.root.chmod(0o1777)
    assert caller.status(one) == "running"
    as_ada("mkdir", str(caller.root / "planted"))
    target.judge(caller.call("state", "planted").code == 0, "planted")
    (caller.root / "planted").rmdir()


PROFILE = {
    "linux": {
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
        }
    }
}


def plant(cache: Path, owner: int, mode: int) -> None:
    for file in cache.iterdir():
        kept, errno, allow = file.read_bytes(), b"\x01\x00\x05\x00", b"\x00\x00\xff\x7f"
        assert errno in kept
        file.write_bytes(kept.replace(errno, allow))
        os.chown(file, owner, owner)
    os.chown(cache, owner, owner)
    cache.chmod(mode)


@attack(
    "own find",
    "another user creates the seccomp cache, with a program that allows everything for the profile",
    stops="the cache and its files must be the caller's, closed to everybody else, and each has a digest that is"
    " checked",
)
def test_planted_seccomp_program(target: Target) -> None:
    """The cached program is changed so that it allows: as Ada's, as root's that all may write to, and as root's own."""
    caller = target.caller
    bundle = caller.shell("mkdir /made", PROFILE)
    for owner, mode in ((ADA, 0o700), (0, 0o777), (0, 0o700)):
        assert caller.run(bundle).code != 0
        cache = caller.root / ".seccomp"
        assert cache.is_dir()
        plant(cache, owner, mode)
        result = caller.run(bundle)
        target.judge(result.code == 0 or (bundle.rootfs / "made").exists(), (owner, oct(mode)))
        os.chown(cache, 0, 0)
        cache.chmod(0o700)


@attack(
    "own find",
    "linux.resources.unified names cgroup.procs: any host process is moved into the container's cgroup, even the"
    " host's init",
    stops="cgroup.procs, .threads, .kill and .freeze are refused, and so is a name with a slash",
)
def test_unified_moves_processes(target: Target) -> None:
    """A sleeping process of the host stays where it is. (runc and crun write any file, on hosts with v2 alone.)"""
    caller = target.caller
    with subprocess.Popen(["sleep", "60"]) as victim:
        before = Path(f"/proc/{victim.pid}/cgroup").read_text()
        for name in ("cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "../cgroup.procs", ".."):
            change = {"linux": {"resources": {"unified": {name: str(victim.pid)}}}}
            result = caller.run(caller.bundle(change), timeout=20)
            target.judge(result.code == 0, name)
            assert "/linux/resources/unified/" in result.err
        after = Path(f"/proc/{victim.pid}/cgroup").read_text()
        victim.kill()
    target.judge(after != before, after)


@attack(
    "own find",
    "in a directory that others can write to, --pid-file (or its temporary file) is a link to a host file",
    stops="the pid is written to a new file, never through a link, which is then renamed",
    bites=("crun",),
)
def test_linked_pid_file(target: Target) -> None:
    """The link is replaced. Links with the names that a runtime of the next processes could take first are not followed."""
    caller = target.caller
    victim = caller.directory / "victim"
    victim.write_text("victim")
    pid_file = caller.directory / "shared/pid"
    pid_file.parent.mkdir()
    pid_file.symlink_to(victim)
    for number in range(os.getpid() if os.getpid() > 2000 else 1, 1 << 15):
        (pid_file.parent / f".ocirun-{number}.tmp").symlink_to(victim)
    bundle = caller.sleeper()
    result = caller.try_create(bundle, "--pid-file", pid_file)
    target.judge(victim.read_text() != "victim", victim.read_text())
    assert result.code == 0 or "write the pid file" in result.err
    caller.remove_all()  # where the pids have started anew, no name was taken
    for link in pid_file.parent.glob(".ocirun-*"):
        link.unlink()
    id = caller.create(bundle, "--pid-file", pid_file)
    assert int(pid_file.read_text()) == caller.pid(id)
    assert not target.ours or not pid_file.is_symlink()
