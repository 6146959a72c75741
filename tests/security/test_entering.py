"""A hostile container and the init program that enters it: tracing, its descriptors, its program file, its privileges."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TREE
from tests.integration import hardened, snapshot
from tests.integration.bundle import merge
from tests.security.attack import Target, attack

ALL = [
    f"CAP_{name}" for name in "CHOWN DAC_OVERRIDE FOWNER KILL SETGID SETUID SETPCAP NET_RAW SYS_CHROOT MKNOD".split()
]
TRACER = {
    "process": {"capabilities": {kind: [*ALL, "CAP_SYS_PTRACE"] for kind in ("bounding", "effective", "permitted")}}
}

# Every process that is not the spy's own: is a descriptor beyond 2, its root or its memory within reach?
SPY = """
trap 'exit 0' TERM
while :; do
  for p in /proc/[0-9]*; do
    test "$p" = /proc/1 && continue
    read name < $p/comm || continue
    test "$name" = ocirun-init || continue
    for place in $p/fd/[3-9] $p/fd/[1-9]? $p/root/bin $p/cwd/bin; do
      test -e $place && test "$(cat $p/comm)" = ocirun-init && echo $place >> /found
    done
  done 2> /dev/null
done
"""


@attack(
    "CVE-2016-9962",
    "processes of the container open the descriptors or the root of an entering init",
    stops="init becomes non-dumpable before it joins anything; no host descriptor is open once the credentials are"
    " dropped",
)
def test_spy_on_the_entering_init(target: Target) -> None:
    """A shell looks at each process in turn while `exec` enters. (Both peers have the same cure. That the spy sees what is
    not protected is shown by a program of that name.)"""
    caller = target.caller
    bundle = caller.shell(
        SPY, {"process": {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), ALL)}}
    )
    id = caller.launch(bundle)
    for _ in target.rounds():
        caller.exec(id, ["true"]).ok()
    found = bundle.rootfs / "found"
    target.judge(found.exists(), found.exists() and found.read_text())
    caller.exec(
        id,
        "exec 3< /etc/passwd; printf ocirun-init > /proc/self/comm; read line < /proc/self/comm; i=0; "
        "while test $i -lt 200000 && ! test -e /found; do i=$((i + 1)); done",
    )
    assert found.exists(), "the spy sees nothing: the attack is none"


# Stops each init that enters.
STOPPER = """
trap 'exit 0' TERM
while :; do
  for p in /proc/[0-9]*; do
    test "$p" = /proc/1 && continue
    read name < $p/comm && test "$name" = ocirun-init && kill -STOP ${p#/proc/}
  done 2> /dev/null
done
"""


@attack(
    "own find",
    "the container stops (SIGSTOP) an entering init: a foreground exec hangs, and only SIGKILL ends it",
    stops="until the program runs, SIGTERM and the like end exec and init",
)
def test_stop_the_entering_init(target: Target) -> None:
    """SIGTERM ends the exec with a reason, and no stopped process stays. (An earlier ocirun kept the signal for the program.)"""
    caller = target.caller
    capabilities = {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), ALL)}
    id = caller.launch(caller.shell(STOPPER, {"process": capabilities}))
    first = caller.pid(id)
    for _ in range(100):
        with open(caller.directory / "exec.err", "wb") as errors:
            child = subprocess.Popen(caller.command("exec", id, "true"), stdin=subprocess.DEVNULL, stderr=errors)
        try:
            child.wait(1)
        except subprocess.TimeoutExpired:
            break
    else:
        pytest.fail("no init was stopped: the attack is none")
    child.terminate()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    said = (caller.directory / "exec.err").read_text()
    target.judge("interrupted by signal 15 before the program ran" not in said, said)
    target.judge(snapshot.descendants(first), "a stopped process stays")


@attack(
    "CVE-2019-5736",
    "the container overwrites the runtime's program through /proc/PID/exe",
    stops="init is a copy in a sealed memfd",
)
def test_overwrite_the_program(target: Target) -> None:
    """A container with CAP_SYS_PTRACE, for which init's files are open, writes to the program of its waiting init. (The
    peers run sealed copies, too.) The same writes reach a program that is an ordinary file once it has ended."""
    caller = target.caller
    id = caller.create(caller.bundle(merge({"process": {"args": ["sleep", "0"]}}, TRACER)))
    script = "exec 9< /proc/1/exe && echo opened; echo x > /proc/1/exe && echo written; echo x > /proc/self/fd/9 && echo written"
    result = caller.exec(id, script)
    assert "opened" in result.out, result.err
    target.judge("written" in result.out, result.out)
    script = "cp /bin/busybox /tmp/copy; /tmp/copy true; exec 9< /tmp/copy; echo x > /proc/self/fd/9 && echo written"
    assert caller.exec(id, script).out == "written\n"


# Once init has become the container's program, its own is not running any more: what may be written to then can be.
WRITE = """
exec 9< /proc/1/exe && echo opened
touch /open
until test "$(readlink /proc/1/exe)" = /bin/busybox; do sleep 0.01; done
echo x > /proc/self/fd/9 && echo written
true
"""


@attack(
    "CVE-2019-5736",
    "the same where the kernel forbids executable memfds and the state directory is noexec",
    stops="init runs from a read-only tmpfs of its own, attached nowhere",
)
@pytest.mark.skipif(not hardened.SYSCTL.exists(), reason="the kernel has no vm.memfd_noexec")
def test_overwrite_the_program_without_memfds(target: Target) -> None:
    """The container opens the program of its waiting init, and writes to it when init has become another. (The peers run
    from a read-only mount.) Without either it overwrites the program: here a copy, which stands in its place."""
    caller = target.caller
    bundle, id = caller.bundle(merge({"process": {"args": ["sleep", "1000"]}}, TRACER)), caller.new_id()
    bundle.write("/write", WRITE)
    program = caller.program if caller.name != "ocirun" else TREE / "runtime/init"
    copy = caller.directory / "copy"
    shutil.copy2(program, copy)
    script = f"""
$runtime create --bundle {bundle.directory} {id} < /dev/null > /dev/null
$runtime exec {id} sh /write &
until test -e {bundle.rootfs}/open; do sleep 0.01; done
$runtime start {id}
wait
$runtime delete --force {id}
"""
    done = hardened.run(caller, script, "mode=755,noexec", f"mount --bind {copy} {program}")
    assert done.returncode == 0, done.stderr
    assert "opened" in done.stdout, done.stderr
    target.judge("written" in done.stdout or copy.read_bytes() != Path(program).read_bytes(), done.stdout)


def raise_inheritable() -> Callable[[], None]:
    """For the child: every permitted capability becomes inheritable and ambient."""
    libc = ctypes.CDLL(None, use_errno=True)

    def apply() -> None:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        sets = (ctypes.c_uint32 * 6)()
        libc.capget(header, sets)
        sets[2], sets[5] = sets[1], sets[4]
        libc.capset(header, sets)
        for number in range(41):
            libc.prctl(47, 2, number, 0, 0)  # PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE

    return apply


@attack(
    "CVE-2022-29162, CVE-2022-27650, CVE-2025-27612",
    "run and exec pass the caller's inheritable or ambient capabilities to the program",
    stops="all five sets are exactly those of the config",
)
def test_inherited_capabilities(target: Target) -> None:
    """The caller has every capability inheritable and ambient; the program has none of them so. (Both peers have been cured.)
    That the caller hands them on is seen on a program of its own."""
    caller, prepare = target.caller, raise_inheritable()
    look = "grep -E 'CapInh|CapAmb' /proc/self/status"
    id = caller.launch(caller.sleeper())
    outputs = [
        caller.run(caller.shell(look), preexec_fn=prepare).ok().out,
        caller.exec(id, look, preexec_fn=prepare).ok().out,
    ]
    for out in outputs:
        sets = {int(line.split()[1], 16) for line in out.splitlines()}
        target.judge(sets != {0}, out)
    plain = subprocess.run(["sh", "-c", look], preexec_fn=prepare, capture_output=True, text=True, check=True).stdout
    assert {int(line.split()[1], 16) for line in plain.splitlines()} != {0}, "the caller hands nothing on"


# Becomes itself again in other namespaces or another root, a few hundred times a second.
RESTLESS = """
trap 'exit 0' TERM
case $(( ${turn:-0} % 4 )) in
0) turn=1 exec unshare -m sh /restless ;;
1) turn=2 exec unshare -u -i sh /restless ;;
2) turn=3 exec nsenter -t $(cat /other) -m -u -i sh /restless ;;
*) turn=0 exec chroot / sh /restless ;;
esac
"""
PRIVILEGED = {
    "process": {
        "capabilities": {
            kind: [*ALL, "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"] for kind in ("bounding", "effective", "permitted")
        }
    }
}


@attack(
    "own find",
    "the container's first process changes its namespaces and its root while `exec` enters them one after another",
    stops="one setns on its pidfd joins all; the root is a descriptor taken earlier; a failure ends the exec with"
    " a reason",
)
def test_restless_first_process(target: Target) -> None:
    """The program runs within the container's root and none of the host's namespaces, or does not run. (The peers join by
    what they have read of /proc, too, and withstand this.)"""
    caller = target.caller
    script = "sleep 1000 & echo $! > /other; exec sh /restless"
    bundle = caller.shell(script, PRIVILEGED)
    bundle.write("/restless", RESTLESS)
    bundle.write("/marker", "")
    id = caller.launch(bundle)
    kinds = ("mnt", "uts", "ipc", "pid", "net")
    host = {os.readlink(f"/proc/self/ns/{kind}") for kind in kinds}
    look = f"test -e /marker && for kind in {' '.join(kinds)}; do readlink /proc/self/ns/$kind; done"
    entered = 0
    for _ in target.rounds():
        result = caller.exec(id, look, timeout=20)
        target.judge(host & set(result.out.split()), result.out)
        if result.code == 0:
            entered += 1
            target.judge(len(result.out.split()) != len(kinds), result.out)
        else:
            assert "internal error" not in result.err
    assert entered, "no exec came in: the attack is none"
    assert caller.status(id) == "running"
