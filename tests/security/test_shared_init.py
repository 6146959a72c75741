"""The program of init that created containers share: what stands in its place, and who gets at it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.plan import ops
from runtime.plan.encode import encode
from tests.conftest import TREE
from tests.integration.bundle import BUSYBOX, merge
from tests.integration.caller import wait_for
from tests.security.attack import Target, attack
from tests.security.test_entering import TRACER

SEALS = 0x000F  # SEAL, SHRINK, GROW, WRITE
FAN_CLASS_CONTENT, FAN_MARK_ADD, FAN_OPEN_PERM = 0x04, 0x01, 0x00010000


def program_of(target: Target, id: str) -> int:
    """The inode of the program of a waiting init."""
    return os.stat(f"/proc/{target.caller.pid(id)}/exe").st_ino


def memfd(content: bytes, seals: int) -> int:
    descriptor = os.memfd_create("ocirun-init", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


@contextlib.contextmanager
def running(program: str | int) -> Iterator[int]:
    """The pid of a process of this program. A copy of init waits for us, in a plan of its own."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    plan = os.memfd_create("plan")
    os.write(plan, encode([ops.created()]))
    pid = os.fork()
    if pid == 0:
        moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 100) for descriptor in (plan, theirs.fileno())]
        try:
            if not isinstance(program, str):
                program = f"/proc/self/fd/{fcntl.fcntl(program, fcntl.F_DUPFD_CLOEXEC, 100)}"
            os.dup2(moved[0], 3)
            os.dup2(moved[1], 4)
            os.execv(program, ["sleep", "1000"])
        finally:
            os._exit(127)
    theirs.close()
    os.close(plan)
    try:
        own = os.stat("/proc/self/exe").st_ino
        wait_for(lambda: os.stat(f"/proc/{pid}/exe").st_ino != own, "execve")
        yield pid
    finally:
        ours.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def lend(target: Target, pid: int) -> int:
    """The hint names this process, with the true inode of its program."""
    inode = os.stat(f"/proc/{pid}/exe").st_ino
    hint = target.caller.root / ".init"
    hint.unlink(missing_ok=True)
    hint.symlink_to(f"/proc/{pid}/exe#{inode}")
    return inode


@attack(
    "own find",
    "the init that the next one would share the program of has become a process with a false one",
    stops="the program is shared only if its inode, owner, mode, seals and every byte are those of our own sealed memfd",
)
@pytest.mark.parametrize("kind", ["content", "seals", "file", "mode", "owner"])
def test_false_program(target: Target, kind: str) -> None:
    """Each false program differs from init in one thing only; the hint even has its inode. A true copy is taken."""
    caller = target.caller
    id = caller.create(caller.bundle())
    init = (TREE / "runtime/init").read_bytes()
    true = memfd(init, SEALS)
    with running(true) as pid:
        inode = lend(target, pid)
        taken = caller.create(caller.bundle())
        assert program_of(target, taken) == inode, "not even a true copy is shared: the attack is none"
    if kind == "file":
        shutil.copy2(TREE / "runtime/init", caller.directory / "init")
    false = {
        "content": lambda: memfd(init[:-1] + b"x", SEALS),
        "seals": lambda: memfd(init, SEALS & ~8),
        "file": lambda: str(caller.directory / "init"),
        "mode": lambda: memfd(init, SEALS),
        "owner": lambda: memfd(init, SEALS),
    }[kind]()
    if kind == "mode" and isinstance(false, int):
        os.fchmod(false, 0o4777)
    if kind == "owner" and isinstance(false, int):
        os.fchown(false, 1, 1)
    with running(false) as pid:
        inode = lend(target, pid)
        refused = caller.create(caller.bundle())
        target.judge(program_of(target, refused) == inode, f"init runs from the false {kind}")
    assert program_of(target, id) != program_of(target, refused)
    for descriptor in (true, false):
        if isinstance(descriptor, int):
            os.close(descriptor)


@contextlib.contextmanager
def never_opened(path: Path) -> Iterator[None]:
    """Whoever opens this file waits for a permission that never comes."""
    libc = ctypes.CDLL(None, use_errno=True)
    group = libc.fanotify_init(FAN_CLASS_CONTENT | 1, os.O_RDONLY)
    mask = ctypes.c_uint64(FAN_OPEN_PERM)
    if group < 0 or libc.fanotify_mark(group, FAN_MARK_ADD, mask, -100, os.fsencode(path)) != 0:
        pytest.skip(f"no permission events of fanotify: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        os.close(group)


@attack(
    "own find",
    "that process has a program that cannot be opened without waiting, as on FUSE: create hangs",
    stops="its inode and file system are compared through O_PATH, and never with a call to that file system",
)
def test_program_that_hangs(target: Target) -> None:
    """The program is a file on which opens wait for ever (fanotify). That they do is seen on an open with a time limit."""
    caller = target.caller
    program = caller.directory / "sleep"
    shutil.copy2(BUSYBOX, program)
    caller.create(caller.bundle())
    with running(str(program)) as pid:
        lend(target, pid)
        with never_opened(program):
            done = subprocess.Popen(
                caller.command("create", "--bundle", caller.bundle().directory, caller.new_id()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                done.wait(20)
            hangs = done.poll() is None
            done.kill()
            target.judge(hangs or done.wait() != 0, "create hangs")
            reader = subprocess.Popen(["head", "-c1", str(program)], stdout=subprocess.DEVNULL)
            with pytest.raises(subprocess.TimeoutExpired):
                reader.wait(0.5)
            reader.kill()
        reader.wait()


@attack(
    "own find",
    "a container with CAP_SYS_PTRACE sets the mode, attributes or locks of the program of its waiting init: others that"
    " share it cannot be created, or read them",
    stops="only containers that cannot open the program of their init share it; the others have copies of their own",
)
def test_program_within_reach(target: Target) -> None:
    """With the capability a container can open it, and shares it with none; without it, or in a user namespace of its own,
    where the capability does not count, the container shares it and cannot open it."""
    caller = target.caller
    first = caller.create(caller.bundle())
    shared = program_of(target, first)
    look = "cat /proc/1/exe > /dev/null && echo opened"
    tracer = caller.create(caller.bundle(TRACER))
    assert "opened" in caller.exec(tracer, look).out, "nobody can open it: the attack is none"
    target.judge(program_of(target, tracer) == shared, "a program within reach is shared")
    subprocess.run(["chmod", "a+rx", *map(str, [*caller.directory.parents][:3]), str(caller.directory)], check=True)
    apart = []
    for host in (0, 100000):
        ids = [{"containerID": 0, "hostID": host, "size": 65536}]
        bundle = caller.bundle(merge(TRACER, {"linux": {"uidMappings": ids, "gidMappings": ids}}))
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.save()
        apart.append(caller.create(bundle))
    for id in (first, *apart, caller.create(caller.bundle())):
        assert program_of(target, id) == shared, id
        target.judge("opened" in caller.exec(id, look).out, "the shared program can be opened")


@attack(
    "own find",
    "somebody changes the mode of the shared program or holds it: containers cannot be created",
    stops="what cannot be shared or executed is replaced by a new copy, which the next containers share",
)
def test_program_that_was_changed(target: Target) -> None:
    """The mode loses what the seals let go; the next containers share another one. (Held: test_init_program.)"""
    caller = target.caller
    first = caller.create(caller.bundle())
    shared = program_of(target, first)
    os.chmod(f"/proc/{caller.pid(first)}/exe", 0o111)
    second = caller.create(caller.bundle())
    target.judge(program_of(target, second) == shared, "a changed program is shared")
    assert program_of(target, caller.create(caller.bundle())) == program_of(target, second)
