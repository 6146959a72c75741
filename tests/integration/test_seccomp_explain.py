"""`run --seccomp-explain`: what it says of each refused call, and that the program fares as without it."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.integration.adapt import CONFIGS
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, Result
from tests.integration.terminal import Session
from tests.integration.test_seccomp import filtered, rule
from tests.integration.test_seccomp_hooks import hooked

pytestmark = [
    pytest.mark.not_on("runc", "crun", reason="has no such option"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers here are x86-64's"),
]
EXPLAIN = "--seccomp-explain"
TRIAL = "mkdir /a; echo $?; mkdir /b; echo $?; exit 7"


def said(result: Result) -> list[str]:
    """What the option says, without the prefix, and the rule to paste."""
    start = "ocirun: seccomp: "
    return [line.removeprefix(start) for line in result.err.splitlines() if line.startswith((start, '{"names"'))]


def both(runtime: Caller, bundle: Bundle) -> tuple[Result, Result]:
    """The outcome with the option, and without it."""
    return runtime.run(bundle, EXPLAIN, timeout=20), runtime.run(bundle, timeout=20)


ACTIONS = {
    "SCMP_ACT_ERRNO": "fails with ENOSPC",
    "SCMP_ACT_KILL_PROCESS": "kills its process",
    "SCMP_ACT_KILL_THREAD": "kills its thread",
    "SCMP_ACT_TRAP": "is not made, and raises SIGSYS",
    "SCMP_ACT_TRACE": "fails with ENOSYS, since no tracer answers",
    "SCMP_ACT_LOG": "is made, and logged",
}


@pytest.mark.kernel
@pytest.mark.parametrize("action", ACTIONS)
def test_each_action(runtime: Caller, action: str) -> None:
    """A call is told with its process, arguments, action, place and remedy; the program fares as without the option."""
    more = {"errnoRet": 28} if action == "SCMP_ACT_ERRNO" else {}
    bundle = filtered(runtime, TRIAL, rule("SCMP_ACT_ERRNO", "chroot"), rule(action, "mkdir", "mkdirat", **more))
    explained, plain = both(runtime, bundle)
    if action == "SCMP_ACT_LOG":  # the first run made the directories
        for name in ("a", "b"):
            (bundle.rootfs / name).rmdir()
        plain = runtime.run(bundle)
    assert (explained.code, explained.out) == (plain.code, plain.out) != (0, "")
    assert [line for line in explained.err.splitlines() if "ocirun" not in line] == plain.err.splitlines()
    first, total, change = said(explained)
    assert re.fullmatch(
        rf'mkdir\[\d+\]: mkdir\("/a", 0777\) {ACTIONS[action]}: config.json:\d+: /linux/seccomp/syscalls/1: '
        rf'{action}.*; to allow it: remove "mkdir" from /linux/seccomp/syscalls/1/names',
        first,
    )
    assert total == "refused or logged: mkdir \u00d72"
    assert change == 'to allow them: remove "mkdir" from /linux/seccomp/syscalls/1/names'
    lines = (bundle.directory / "config.json").read_text().splitlines()
    number = int(re.search(r"config.json:(\d+)", first)[1])  # type: ignore[index]
    assert "mkdirat" in "".join(lines[number - 1 : number + 6])


@pytest.mark.kernel
def test_rules_to_paste(runtime: Caller) -> None:
    """What it says can be pasted, time and again, until nothing is refused; then the program runs without the option too."""
    rules = [rule("SCMP_ACT_ALLOW", "execve"), rule("SCMP_ACT_KILL_PROCESS", "mkdir"), rule("SCMP_ACT_TRAP", "socket")]
    bundle = filtered(runtime, "mkdir /a && rmdir /a && echo done", *rules, default="SCMP_ACT_ERRNO")
    profile = bundle.linux["seccomp"]
    for _ in range(30):
        if (bundle.rootfs / "a").exists():
            (bundle.rootfs / "a").rmdir()
        result = runtime.run(bundle.save(), EXPLAIN, timeout=20)
        if said(result) == ["no system call was refused"]:
            break
        added = json.loads(said(result)[-1])
        assert added["action"] == "SCMP_ACT_ALLOW"
        profile["syscalls"].insert(0, added)
    assert result.ok().out == "done\n"
    assert runtime.run(bundle).ok().out == "done\n"


def test_first_process_killed(runtime: Caller) -> None:
    """The first process of a pid namespace, to which SIGSYS cannot be sent, ends as by it; also if one of its threads made the call."""
    bundle = filtered(runtime, "exec rmdir /nothing", rule("SCMP_ACT_KILL_PROCESS", "rmdir"))
    explained, plain = both(runtime, bundle)
    assert explained.code == plain.code == 128 + 31
    assert 'rmdir("/nothing") kills its process' in said(explained)[0]
    assert "killed by SIGSYS" in plain.err
    assert "killed by SIGSYS" not in explained.err


@pytest.mark.kernel
@pytest.mark.parametrize("action", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_refused_execve(runtime: Caller, action: str) -> None:
    """A filter that refuses execve ends init as without the option; the call is told with its path."""
    bundle = filtered(runtime, "", default=action)
    bundle.process["args"] = ["/bin/../bin/true"]
    explained, plain = both(runtime, bundle.save())
    assert plain.failed().err in explained.failed().err
    assert re.match(
        r'ocirun-init\[\d+\]: execve\("/bin/\.\./bin/true", 0x[0-9a-f]+, 0x[0-9a-f]+\) ', said(explained)[0]
    )
    assert runtime.known_ids() == []


def test_newer_calls(runtime: Caller) -> None:
    """A call that gets ENOSYS since it is newer than the profile is told as that."""
    bundle = filtered(runtime, "", rule("SCMP_ACT_ALLOW", "execve"), default="SCMP_ACT_ERRNO")
    told = said(runtime.run(bundle, EXPLAIN))
    line = next(line for line in told if "exit_group(" in line)
    assert "fails with ENOSYS: config.json:" in line
    assert "/linux/seccomp: newer than every call that the profile names" in line


def test_podmans_profile(runtime: Caller) -> None:
    """Under Podman's own profile only what it refuses is told."""
    bundle = runtime.shell("ls / > /dev/null; swapoff /none; swapoff /none")
    bundle.linux["seccomp"] = json.loads((CONFIGS / "podman.json").read_text())["linux"]["seccomp"]
    first, total, _, rule = said(runtime.run(bundle.save(), EXPLAIN))
    assert re.match(r'swapoff\[\d+\]: swapoff\("/none"\) fails with EPERM: ', first)
    assert total == "refused or logged: swapoff \u00d72"
    assert json.loads(rule) == {"names": ["swapoff"], "action": "SCMP_ACT_ALLOW"}


def test_tested_arguments(runtime: Caller) -> None:
    """Where the profile looks at arguments, the rules to paste allow those that were refused, and no others."""
    bundle = runtime.shell("linux64 -R true; for n in 1 2; do linux64 -R echo on; done; swapoff /none")
    profile = bundle.linux["seccomp"] = json.loads((CONFIGS / "docker.json").read_text())["linux"]["seccomp"]
    told = said(runtime.run(bundle.save(), EXPLAIN))
    assert "personality(0x40000) fails with EPERM: " in told[0]
    assert "refused or logged: personality \u00d73, swapoff" in told
    added = json.loads(f"[{''.join(told[-2:])}]")
    args = [{"index": 0, "value": 0x40000, "op": "SCMP_CMP_EQ"}]
    assert added == [
        {"names": ["swapoff"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": args},
    ]
    profile["syscalls"][:0] = added
    result = runtime.run(bundle.save(), EXPLAIN)
    assert (result.out, said(result)) == ("on\non\n", ["no system call was refused"])


def test_hooks_keep_the_filter(runtime: Caller) -> None:
    """A startContainer hook has the profile's own filter: its calls are not told, and get what the profile says."""
    bundle = hooked(
        runtime, "mkdir /a; true", rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat", errnoRet=28), program="cat /log; mkdir /b"
    )
    result = runtime.run(bundle, EXPLAIN)
    assert "No space left" in result.out
    assert [line.partition(" fails")[0].partition(": ")[2] for line in said(result)[:1]] == ['mkdir("/b", 0777)']
    assert said(result)[1] == "refused or logged: mkdir"


PROGRAM = r"""
#include <signal.h>
static long c64(long n, long a, long b, long c) { long r;
__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory"); return r; }
static long c32(long n, long a, long b, long c) { long r;
__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory"); return r; }
static char path[] = "/tmp/\x1b[31m\n";
static int words[] = {40, 1, 0};
void _start(void) { c32(39, (long)path, 0755, 0); c64(0x40000000 | 83, (long)path, 0700, 0); c32(102, 1, (long)words, 0);
c64(272, 0x10000000, 0, 0); c64(999, 1, 2, 0); c64(231, 7, 0, 0); }
"""


def compiled(bundle: Bundle, source: str, *flags: str) -> None:
    """Make the program /probe of the bundle."""
    if not shutil.which("gcc"):
        pytest.skip("needs gcc on x86-64")
    file = bundle.directory / "probe.c"
    file.write_text(source)
    subprocess.run(["gcc", "-static", "-O1", *flags, "-o", bundle.rootfs / "probe", file], check=True)
    bundle.process["args"] = ["/probe"]
    bundle.save()


BARE = ("-nostdlib", "-no-pie", "-fno-stack-protector")


def test_other_tables(runtime: Caller) -> None:
    """Calls of x86 and x32, and those through socketcall, have their names and arguments; what the program chose is printable."""
    bundle = filtered(runtime, "", rule("SCMP_ACT_ALLOW", "execve", "exit_group", "openat2"), default="SCMP_ACT_ERRNO")
    compiled(bundle, PROGRAM, *BARE)
    result = runtime.run(bundle, EXPLAIN).failed(7)
    path = r'"/tmp/\x1b[31m\n"'
    calls = [line.partition(": ")[2].partition(":")[0] for line in said(result)[:5]]
    assert calls == [
        f"mkdir({path}, 0755) (x86) fails with EPERM",
        f"mkdir({path}, 0700) (x32) fails with EPERM",
        "socket(AF_VSOCK, SOCK_STREAM, 0) (x86) fails with EPERM",
        "unshare(CLONE_NEWUSER) fails with EPERM",
        calls[4],
    ]
    assert calls[4].startswith("system call 999(1, 2")
    assert json.loads(said(result)[-1])["names"] == ["mkdir", "socket", "unshare"]
    bundle.linux["seccomp"]["architectures"] = ["SCMP_ARCH_X86_64"]
    result = runtime.run(bundle.save(), EXPLAIN).failed(128 + 31)
    assert said(result)[-1] == 'to allow them: add "SCMP_ARCH_X86" to /linux/seccomp/architectures'


FLOOD = r"""
#include <sys/syscall.h>
#include <unistd.h>
int main(void) { for (int number = 2000; number < 4000; number++) syscall(number, 0); return 3; }
"""


def test_flood_of_numbers(runtime: Caller) -> None:
    """Numbers that no table has are told one by one only for a while: a program may try them all."""
    bundle = filtered(runtime, "", rule("SCMP_ACT_ERRNO", "mkdir"), rule("SCMP_ACT_ALLOW", "openat2"))
    bundle.linux["seccomp"].update(defaultAction="SCMP_ACT_LOG", architectures=["SCMP_ARCH_X86_64"])
    compiled(bundle, FLOOD)
    told = said(runtime.run(bundle, EXPLAIN, timeout=30).failed(3))
    assert len([line for line in told if ": system call 2" in line]) == 20
    assert "system call of yet another number \u00d71980" in told[-4]
    assert told[-3].startswith("to allow them: no rule can, since libseccomp has no name for system call 2000, ")


def test_commands_end(runtime: Caller) -> None:
    """The command ends with the program, also if nobody reads what it says."""
    bundle = filtered(runtime, "mkdir /a 2>/dev/null; mkdir /b 2>/dev/null; exit 3", rule("SCMP_ACT_ERRNO", "mkdir"))
    command = runtime.command("run", EXPLAIN, "--bundle", bundle.directory, runtime.new_id())
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writer) as child:
        os.close(writer)
        assert child.wait(20) == 3


HANDLER = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
static int calls;
static void on(int number, siginfo_t *info, void *context)
{
	greg_t *result = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX];
	calls++;
	printf("%d %d %x %lld\n", number, info->si_syscall, info->si_arch, (long long)*result);
	*result = 5;
}
static void *thread(void *unused) { mkdir("/thread", 0700); return unused; }
int main(int count, char **arguments)
{
	pthread_t other;
	setvbuf(stdout, NULL, _IONBF, 0);
	if (count == 2) {
		pthread_create(&other, NULL, thread, NULL);
		pthread_join(other, NULL);
		printf("alive\n");
		return strlen(arguments[1]);
	}
	struct sigaction action = {.sa_sigaction = on, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigaction(SIGSYS, &action, NULL);
	long result = syscall(SYS_mkdir, "/x", 0700);
	printf("%d %ld\n", calls, result);
	return 3;
}
"""


def test_handler_of_a_trap(runtime: Caller) -> None:
    """A program that handles SIGSYS gets it at the call, once, with the call's number, and decides what the call returns."""
    bundle = filtered(runtime, "", rule("SCMP_ACT_TRAP", "mkdir"))
    compiled(bundle, HANDLER, "-pthread")
    explained, plain = both(runtime, bundle)
    assert (explained.code, explained.out) == (plain.code, plain.out) == (3, "31 83 c000003e 83\n1 5\n")


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_thread_of_the_first_process(runtime: Caller, action: str) -> None:
    """A thread's call ends the first process too."""
    bundle = filtered(runtime, "", rule(action, "mkdir"))
    compiled(bundle, HANDLER, "-pthread")
    bundle.process["args"].append("x")
    explained, plain = both(runtime, bundle.save())
    assert (explained.code, explained.out) == (plain.code, plain.out) == (128 + 31, "")


def test_many_processes(runtime: Caller) -> None:
    """Calls of several processes at a time are all counted, and told once."""
    script = "for p in 1 2 3 4; do for n in 1 2 3 4 5 6 7 8 9; do mkdir /a 2>/dev/null; done & done; wait"
    told = said(runtime.run(filtered(runtime, script, rule("SCMP_ACT_ERRNO", "mkdir")), EXPLAIN).ok())
    assert told[1] == "refused or logged: mkdir \u00d736"
    assert len(told) == 3


def test_on_a_terminal(runtime: Caller) -> None:
    """On a terminal, raw while the program runs, the lines begin at the margin."""
    bundle = filtered(runtime, "mkdir /a; exit 3", rule("SCMP_ACT_ERRNO", "mkdir"))
    bundle.process["terminal"] = True
    command = runtime.command("run", EXPLAIN, "--bundle", bundle.save().directory, runtime.new_id())
    session = Session(command, 24, 200)
    text = session.terminal.read_until(None, 30)
    assert session.child.wait(10) == 3
    session.terminal.close()
    told = [line for line in text.split("\n") if "ocirun: seccomp" in line]
    assert len(told) == 3
    assert all(line.startswith("ocirun: seccomp: ") and line.endswith("\r") for line in told)


NOTIFIES = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x", "syscalls": [rule("SCMP_ACT_NOTIFY", "mkdir")]}
IMPOSSIBLE: dict[str, tuple[dict[str, Any] | None, tuple[str, ...], str]] = {
    "no profile": (None, (), "/linux/seccomp: there is nothing to explain: the config has no seccomp profile"),
    "an agent": (NOTIFIES, (), "/linux/seccomp: uses SCMP_ACT_NOTIFY: a process has one listener"),
    "detached": ({"defaultAction": "SCMP_ACT_ALLOW"}, ("--detach",), "it cannot be given with --detach"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_explained(runtime: Caller, case: str) -> None:
    """Where nothing could be told, nothing is run."""
    profile, flags, words = IMPOSSIBLE[case]
    bundle = runtime.shell("touch /ran")
    if profile:
        bundle.linux["seccomp"] = profile
    assert words in runtime.run(bundle.save(), EXPLAIN, *flags).failed().err
    assert not os.path.exists(bundle.rootfs / "ran")
    assert runtime.known_ids() == []


# exec


@pytest.mark.kernel
@pytest.mark.parametrize("action", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_TRACE"])
def test_exec(runtime: Caller, action: str) -> None:
    """`exec` tells of the program that it adds, and of no other; the program fares as without the option."""
    bundle = filtered(runtime, "while :; do mkdir /a 2>/dev/null; sleep 0.1; done", rule(action, "mkdir"))
    id = runtime.launch(bundle)
    explained, plain = (runtime.exec(id, ["mkdir", "/b"], *more, timeout=20) for more in ((EXPLAIN,), ()))
    assert explained.code == plain.code != 0
    assert 'mkdir("/b", 0777)' in said(explained)[0]
    assert "/linux/seccomp/syscalls/0" in said(explained)[0]
    assert re.search(r"config.json:\d+: ", said(explained)[0])
    assert said(explained)[1:] == ["refused or logged: mkdir", "to allow them: remove /linux/seccomp/syscalls/0"]


def test_exec_that_is_refused(runtime: Caller) -> None:
    """An execve that the filter refuses is told by `exec` too; and where nothing could be told, nothing is run."""
    id = runtime.create(filtered(runtime, "true", rule("SCMP_ACT_KILL_PROCESS", "execve")))
    result = runtime.exec(id, ["/bin/true"], EXPLAIN, timeout=20).failed()
    assert re.match(r'ocirun-init\[\d+\]: execve\("/bin/true", ', said(result)[0])
    assert "killed before the program ran" in result.err
    for profile, flags, words in IMPOSSIBLE.values():
        bundle = runtime.sleeper()
        if profile and "listenerPath" not in profile:
            bundle.linux["seccomp"] = profile
        elif profile:
            continue  # it could not even start without an agent
        id = runtime.launch(bundle.save())
        assert words in runtime.exec(id, ["touch", "/ran"], EXPLAIN, *flags).failed().err
        assert not (bundle.rootfs / "ran").exists()
