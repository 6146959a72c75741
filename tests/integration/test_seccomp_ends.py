"""No program that its seccomp filter has ended, or kept from running, ends without a word, whatever the filter forbids."""

from __future__ import annotations

import json
import re
import time

import pytest

from runtime.lifecycle import reasons
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, Result
from tests.integration.test_seccomp import filtered, rule

pytestmark = pytest.mark.not_on("runc", "crun", reason="says something else, or nothing, or hangs")
# Action, its errno, and how it is told.
ACTIONS: dict[str, tuple[str, int | None, str]] = {
    "KILL": ("SCMP_ACT_KILL", None, "SCMP_ACT_KILL_THREAD"),
    "KILL_THREAD": ("SCMP_ACT_KILL_THREAD", None, "SCMP_ACT_KILL_THREAD"),
    "KILL_PROCESS": ("SCMP_ACT_KILL_PROCESS", None, "SCMP_ACT_KILL_PROCESS"),
    "TRAP": ("SCMP_ACT_TRAP", None, "SCMP_ACT_TRAP"),
    "ERRNO": ("SCMP_ACT_ERRNO", 13, "permission denied (SCMP_ACT_ERRNO, EACCES)"),
    "ERRNO 0": ("SCMP_ACT_ERRNO", 0, "it is told that all is well (SCMP_ACT_ERRNO, 0)"),
    "TRACE": ("SCMP_ACT_TRACE", None, "function not implemented (SCMP_ACT_TRACE)"),
}
DEADLY = ("KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP")
# The calls that init makes, or might make, once it has loaded the filter.
OF_INIT = (
    "execve",
    "exit_group",
    "exit",
    "write",
    "sendmsg",
    "sendto",
    "close",
    "futex",
    "prctl",
    "munmap",
    "rt_sigprocmask",
)
PLACE = r"config.json:\d+: /linux/seccomp/"


def profile(runtime: Caller, name: str, *calls: str, script: str = "true") -> Bundle:
    """A bundle whose filter has the action for these calls; for everything if there are none."""
    action, errno, _ = ACTIONS[name]
    if calls:
        more = {} if errno is None else {"errnoRet": errno}
        return filtered(runtime, script, rule("SCMP_ACT_ERRNO", "chroot"), rule(action, *calls, **more))
    more = {} if errno is None else {"defaultErrnoRet": errno}
    return filtered(runtime, script, default=action, **more)


def outcomes(runtime: Caller, bundle: Bundle) -> dict[str, Result]:
    """What run, start and exec say. None may take long."""
    results = {" ".join(("run", *more)): runtime.run(bundle, *more, timeout=20) for more in ((), ("--detach",))}
    id = runtime.create(bundle)
    for more in ((), ("--detach",)):
        results[" ".join(("exec", *more))] = runtime.exec(id, ["/bin/true"], *more, timeout=20)
    return {**results, "start": runtime.call("start", id, timeout=20)}


@pytest.mark.kernel
@pytest.mark.parametrize("which", ["all of init's calls", "everything", "execve alone"])
@pytest.mark.parametrize("name", ACTIONS)
def test_execve(runtime: Caller, name: str, which: str) -> None:
    """Where execve is refused, alone or with all that could tell of it, each verb fails and names the filter's rule."""
    calls = {"all of init's calls": OF_INIT, "everything": (), "execve alone": ("execve",)}[which]
    words = ACTIONS[name][2]
    place = PLACE + ("syscalls/1: " if calls else "defaultAction: ")
    for verb, result in outcomes(runtime, profile(runtime, name, *calls)).items():
        error = result.failed().err
        assert re.search(place + 'exec: "', error), (verb, error)
        assert words in error, (verb, error)
        assert len(error.splitlines()) == 1, (verb, error)


def test_architecture_of_another_machine(runtime: Caller) -> None:
    """A profile for other machines alone holds here too, and is named."""
    bundle = filtered(runtime, "true", default="SCMP_ACT_ERRNO", architectures=["SCMP_ARCH_AARCH64"])
    for verb, result in outcomes(runtime, bundle).items():
        assert "/linux/seccomp/defaultAction: exec: " in result.failed().err, verb


def test_arguments_of_execve(runtime: Caller) -> None:
    """Where the arguments decide, no rule is named that may not be the one."""
    args = [{"index": 1, "value": 0, "op": "SCMP_CMP_NE"}]
    bundle = filtered(runtime, "true", rule("SCMP_ACT_ERRNO", "execve", args=args))
    error = runtime.run(bundle).failed().err
    assert re.search(r"config.json:\d+: /linux/seccomp: exec: .* the seccomp filter refuses execve", error)


# After the execve


def killed(error: str, call: str, pid_known: bool = True) -> bool:
    """Whether the warning says that SIGSYS was it, and names the call or, where the kernel's log cannot be read, the way to learn it."""
    named = rf"warning: the program was killed by SIGSYS, by its seccomp filter for {call} \(x86_64\): {PLACE}"
    hint = r"warning: the program was killed by SIGSYS, as by its seccomp filter \(config.json:\d+: /linux/seccomp\); 'ocirun run --secc"
    return bool(re.search(named, error) or re.search(hint, error))


@pytest.mark.kernel
@pytest.mark.parametrize("name", DEADLY)
def test_killed_program(runtime: Caller, name: str) -> None:
    """`run` and `exec` say that the filter has killed the program."""
    bundle = profile(runtime, name, "rmdir", script="exec rmdir /a")
    result = runtime.run(bundle, timeout=20).failed(128 + 31)
    assert killed(result.err, "rmdir")
    sleeper = profile(runtime, name, "rmdir", script="exec sleep 60")
    id = runtime.launch(sleeper)
    result = runtime.exec(id, ["rmdir", "/a"], timeout=20).failed(128 + 31)
    assert killed(result.err, "rmdir")


def test_call_from_the_kernels_log(runtime: Caller) -> None:
    """Where the kernel's log can be read and is not throttled, it names the call and the rule."""
    bundle = profile(runtime, "KILL_PROCESS", "rmdir", script="exec rmdir /a")
    for _ in range(4):
        error = runtime.run(bundle, timeout=20).failed(128 + 31).err
        if "kernel's log" not in error:
            break
        time.sleep(6)  # the log takes ten lines in five seconds, whoever writes them
    else:
        pytest.skip("the kernel's log has no lines about seccomp, or we may not read it")
    assert re.search(rf"by its seccomp filter for rmdir \(x86_64\): {PLACE}syscalls/1: SCMP_ACT_KILL_PROCESS\n", error)


def test_state_of_a_killed_container(runtime: Caller) -> None:
    """`state` tells the same of a container that ran detached; nothing of one that ended otherwise."""
    bundle = profile(runtime, "KILL_PROCESS", "rmdir", script="exec rmdir /a")
    for _ in range(4):
        id = runtime.launch(bundle)
        runtime.wait_status(id)
        state, record = runtime.state(id), json.loads((runtime.root / id / "state.json").read_text())
        runtime.remove(id)
        if "reason" in state:
            break
        time.sleep(6)
    else:
        pytest.skip("the kernel's log has no lines about seccomp, or we may not read it")
    assert re.fullmatch(
        rf"killed by SIGSYS, by its seccomp filter for rmdir \(x86_64\): {PLACE}syscalls/1: SCMP_ACT_KILL_PROCESS",
        state["reason"],
    )
    config, pid, started = (bundle.directory / "config.json").read_bytes(), record["pid"], record["start_time"]
    assert reasons.of_stopped(config, pid, started) == state["reason"]
    assert reasons.of_stopped(config, pid, started + 1000 * 100) == ""  # a later process with that pid
    id = runtime.launch(profile(runtime, "KILL_PROCESS", "rmdir", script="exit 3"))
    runtime.wait_status(id)
    assert "reason" not in runtime.state(id)


def test_killed_child(runtime: Caller) -> None:
    """A shell's exit status 159 is explained, if the filter can kill at all."""
    assert (
        "exit status 159: of a shell it means"
        in runtime.run(profile(runtime, "KILL_PROCESS", "rmdir", script="rmdir /a; exit $?")).failed(159).err
    )
    assert runtime.run(profile(runtime, "ERRNO", "rmdir", script="exit 159")).failed(159).err == ""


@pytest.mark.kernel
@pytest.mark.parametrize("name", ACTIONS)
def test_nothing_but_execve(runtime: Caller, name: str) -> None:
    """A program that may do nothing ends somehow; `run` and `exec` say why."""
    action, errno, _ = ACTIONS[name]
    more = {} if errno is None else {"defaultErrnoRet": errno}
    bundle = filtered(runtime, "true", rule("SCMP_ACT_ALLOW", "execve"), default=action, **more)
    ran = runtime.run(bundle, timeout=20)
    for result in (ran, runtime.exec(runtime.create(bundle), ["/bin/true"], timeout=20)):
        error = result.failed().err
        if name in DEADLY:
            assert killed(error, "brk")
        else:
            assert re.search(
                r"killed by signal 11 \(SIGSEGV: segmentation fault\); its seccomp filter refuses what programs need: exit_group, ",
                error,
            )
            assert "/linux/seccomp/defaultAction" in error


@pytest.mark.kernel
def test_ordinary_end_is_silent(runtime: Caller) -> None:
    """A program that ends by itself, or by a fault that the filter has no part in, gets no such words."""
    bundle = profile(runtime, "KILL_PROCESS", "rmdir", script="exit 127")
    assert runtime.run(bundle).failed(127).err == ""
    bundle = profile(runtime, "KILL_PROCESS", "rmdir", script="sh -c 'kill -SEGV $$'; exit $?")
    assert "seccomp" not in runtime.run(bundle).failed(139).err
