"""seccomp filters, by their effect on the process."""

from __future__ import annotations

import errno
import json
import platform
import shutil
import subprocess
from typing import Any

import pytest

from tests.integration.adapt import CONFIGS
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller

# What a shell needs, and what runc needs after it loaded the filter.
ORDINARY = (
    "read write openat open close fstat stat lstat newfstatat mmap mprotect munmap brk rt_sigaction rt_sigprocmask"
    " execve exit_group exit arch_prctl set_tid_address set_robust_list rseq prlimit64 getuid geteuid getppid getpid"
    " getcwd readlink readlinkat ioctl fcntl access faccessat faccessat2 poll wait4 clone clone3 fork vfork dup2 uname"
    " getrandom futex rt_sigreturn getgid getegid statx prctl fstatfs statfs epoll_ctl epoll_pwait nanosleep tgkill"
    " gettid sigaltstack madvise sched_yield getdents64 lseek capget capset setuid setgid setgroups chdir fchdir dup3"
).split()
ARCHITECTURES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def filtered(
    runtime: Caller, script: str, *rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: Any
) -> Bundle:
    seccomp = {"defaultAction": default, "architectures": ARCHITECTURES, "syscalls": list(rules), **more}
    bundle = runtime.shell(script)
    bundle.linux["seccomp"] = seccomp
    return bundle.save()


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


@pytest.mark.kernel
def test_errno(runtime: Caller) -> None:
    """SCMP_ACT_ERRNO answers with errnoRet, EPERM by default."""
    bundle = filtered(
        runtime,
        "mkdir /a; rmdir /b",
        rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat", errnoRet=errno.ENOSPC),
        rule("SCMP_ACT_ERRNO", "rmdir"),
    )
    err = runtime.run(bundle).failed().err
    assert "No space left" in err
    assert "Operation not permitted" in err


@pytest.mark.kernel
def test_kill(runtime: Caller) -> None:
    """SCMP_ACT_KILL_PROCESS ends the process with SIGSYS."""
    bundle = filtered(runtime, "sh -c 'mkdir /a'; echo $?", rule("SCMP_ACT_KILL_PROCESS", "mkdir", "mkdirat"))
    assert runtime.run(bundle).out.split()[-1] == "159"


def test_default_action(runtime: Caller) -> None:
    """What no rule names gets the default action."""
    bundle = filtered(
        runtime,
        "echo one; mkdir /a 2>&1; echo two",
        rule("SCMP_ACT_ALLOW", *ORDINARY),
        default="SCMP_ACT_ERRNO",
    )
    out = runtime.run(bundle).ok().out
    assert out.startswith("one\n")
    assert "not permitted" in out
    assert out.endswith("two\n")


def test_arguments(runtime: Caller) -> None:
    """A rule with an argument counts only where the argument matches."""
    # kill(1, 0) is denied by its second argument; kill(1, SIGCONT) is not.
    arguments = [{"index": 1, "value": 0, "op": "SCMP_CMP_EQ"}]
    bundle = filtered(
        runtime, "kill -0 1 2>&1; kill -CONT 1 && echo fine", rule("SCMP_ACT_ERRNO", "kill", args=arguments)
    )
    out = runtime.run(bundle).ok().out
    assert "not permitted" in out
    assert out.endswith("fine\n")


def test_unknown_names_are_skipped(runtime: Caller) -> None:
    """A system call that this architecture does not have is no error: profiles name those of all."""
    bundle = filtered(runtime, "echo runs", rule("SCMP_ACT_ERRNO", "no_such_call", "s390_runtime_instr", "mkdir"))
    result = runtime.run(bundle).ok()
    assert result.out == "runs\n"
    if runtime.name == "ocirun":
        assert "/linux/seccomp: system calls that libseccomp" in result.err
        assert result.err.count("/linux/seccomp") == 1


@pytest.mark.not_on("runc", reason="does not know the annotation")
@pytest.mark.parametrize("value", ["1", "0"])
def test_unknown_names_as_an_error(runtime: Caller, value: str) -> None:
    """With run.oci.seccomp_fail_unknown_syscall a system call that nobody knows fails create; "0" is as without it."""
    bundle = filtered(runtime, "echo runs", rule("SCMP_ACT_ERRNO", "no_such_call", "mkdir"))
    bundle.config["annotations"] = {"run.oci.seccomp_fail_unknown_syscall": value}
    bundle.save()
    for _ in ("compiled", "from the cache"):
        if value == "0":
            assert runtime.run(bundle).ok().out == "runs\n"
        else:
            assert "no_such_call" in runtime.run(bundle).failed().err
    known = filtered(runtime, "echo runs", rule("SCMP_ACT_ERRNO", "s390_runtime_instr", "mkdir"))
    known.config["annotations"] = bundle.config["annotations"]
    assert runtime.run(known.save()).ok().out == "runs\n"


@pytest.mark.not_on("runc", "crun", reason="has no such command")
def test_unknown_names_are_an_error_to_validate(runtime: Caller) -> None:
    """`validate` says so too."""
    bundle = filtered(runtime, "true", rule("SCMP_ACT_ERRNO", "no_such_call"))
    runtime.call("validate", bundle.directory).ok()
    bundle.config["annotations"] = {"run.oci.seccomp_fail_unknown_syscall": "1"}
    assert "no_such_call" in runtime.call("validate", bundle.save().directory).failed().out


def test_filter_is_in_force(runtime: Caller) -> None:
    """The process is in filter mode, and a filter does not need noNewPrivileges."""
    bundle = filtered(runtime, "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status", rule("SCMP_ACT_ERRNO", "mkdir"))
    bundle.process["noNewPrivileges"] = False
    assert runtime.run(bundle.save()).ok().out.split() == ["NoNewPrivs:", "0", "Seccomp:", "2"]


def test_filter_without_new_privileges_as_a_user(runtime: Caller) -> None:
    """A user without capabilities gets the filter too."""
    bundle = filtered(runtime, "grep -E '^(Seccomp|CapEff):' /proc/self/status", rule("SCMP_ACT_ERRNO", "mkdir"))
    bundle.process.update(user={"uid": 1000, "gid": 1000}, noNewPrivileges=False, capabilities={})
    out = runtime.run(bundle.save()).ok().out.split()
    assert out == ["CapEff:", "0000000000000000", "Seccomp:", "2"]


def test_exec_is_filtered(runtime: Caller) -> None:
    """A process that exec added has the container's filter."""
    bundle = filtered(runtime, "exec sleep 60", rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"))
    id = runtime.launch(bundle)
    result = runtime.exec(id, "grep ^Seccomp: /proc/self/status; mkdir /a")
    assert "Seccomp:\t2" in result.out
    assert "not permitted" in result.err


def test_no_seccomp(runtime: Caller) -> None:
    """Without a profile there is no filter."""
    assert runtime.run(runtime.shell("grep ^Seccomp: /proc/self/status")).ok().out.split() == ["Seccomp:", "0"]


def test_newer_calls_are_enosys(runtime: Caller) -> None:
    """A call newer than all that the profile knows answers ENOSYS, not EPERM, so that libraries fall back."""
    profile = filtered(
        runtime,
        "",
        rule("SCMP_ACT_ALLOW", *ORDINARY),
        default="SCMP_ACT_ERRNO",
    )
    program = profile.rootfs / "probe"
    source = profile.directory / "probe.c"
    # No libc: only the calls that the profile allows. 462 is mseal (6.10), far newer than the profile's calls.
    source.write_text(
        """static long call(long n, long a, long b, long c) { long r;
        __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory"); return r; }
        void _start(void) { char t = 'A' + (char)(-call(470, 0, 0, 0)); call(1, 1, (long)&t, 1);
        t = 'A' + (char)(-call(83, (long)"/a", 0, 0)); call(1, 1, (long)&t, 1); call(231, 0, 0, 0); }"""
    )
    if platform.machine() != "x86_64" or not shutil.which("gcc"):
        pytest.skip("needs gcc on x86-64")
    subprocess.run(["gcc", "-static", "-nostdlib", "-O1", "-o", program, source], check=True)
    profile.process["args"] = ["/probe"]
    if runtime.name == "crun":
        pytest.skip("crun: answers with the default action")
    out = runtime.run(profile.save()).ok().out
    assert [ord(letter) - ord("A") for letter in out] == [errno.ENOSYS, errno.EPERM]


@pytest.mark.not_on("runc", "crun", reason="has no cache")
def test_cache(runtime: Caller) -> None:
    """A compiled profile is kept under the state root, for its owner only, and used again."""
    bundle = filtered(runtime, "mkdir /a 2>&1", rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"))
    for _ in range(2):
        assert "not permitted" in runtime.run(bundle).out
    cache = runtime.root / ".seccomp"
    files = [entry for entry in cache.iterdir() if entry.is_file()]
    assert len(files) == 1
    assert files[0].stat().st_mode & 0o077 == 0
    assert cache.stat().st_mode & 0o077 == 0


@pytest.mark.not_on("runc", "crun", reason="has no cache")
def test_damaged_cache(runtime: Caller) -> None:
    """A damaged cache entry is not loaded: the filter still holds."""
    bundle = filtered(runtime, "mkdir /a 2>&1; true", rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"))
    runtime.run(bundle).ok()
    for entry in (runtime.root / ".seccomp").iterdir():
        entry.write_bytes(entry.read_bytes()[:-8])
    assert "not permitted" in runtime.run(bundle).ok().out


def test_podmans_profile(runtime: Caller) -> None:
    """Under Podman's own profile ordinary programs work and mount is refused."""
    bundle = runtime.shell("ls / > /dev/null && sort /etc/passwd | head -1; mount -t tmpfs none /tmp 2>&1")
    bundle.linux["seccomp"] = json.loads((CONFIGS / "podman.json").read_text())["linux"]["seccomp"]
    out = runtime.run(bundle.save()).out
    assert out.startswith("ada:")
    assert "permitted" in out or "denied" in out


@pytest.mark.not_on("runc", "crun", reason="init of other runtimes is made otherwise")
def test_profile_that_allows_nothing(runtime: Caller) -> None:
    """Neither execve nor an ordinary exit is possible: init ends all the same, does not spin, and the reason is told."""
    bundle = runtime.bundle({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO"}}})
    assert REFUSED in runtime.run(bundle, timeout=10).failed().err
    assert runtime.known_ids() == []


REFUSED = "the seccomp filter refuses execve: operation not permitted"
KILLED = "killed before the program ran, as by a seccomp filter that kills on execve"
FORBIDDEN = ("execve", "execveat", "sendmsg", "sendto", "write", "writev", "exit", "exit_group")


@pytest.mark.kernel
@pytest.mark.not_on("runc", "crun", reason="says something else, or nothing")
@pytest.mark.parametrize("action", ["ERRNO", "KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"])
@pytest.mark.parametrize("flags", [(), ("--debug",)], ids=["plain", "debug"])
def test_filter_that_stops_execve(runtime: Caller, action: str, flags: tuple[str, ...]) -> None:
    """A filter that refuses execve, or kills for it, and for what would tell of it, is named: by run, start and exec."""
    bundle = filtered(runtime, "true", rule(f"SCMP_ACT_{action}", *FORBIDDEN))
    words = REFUSED if action == "ERRNO" else KILLED
    results = [runtime.call(*flags, "run", "--bundle", bundle.directory, *more, runtime.new_id()) for more in RUNS]
    id = runtime.create(bundle)
    for more in RUNS:
        results.append(runtime.call(*flags, "exec", *more, id, "true"))
        assert runtime.status(id) == "created"
    results.append(runtime.call(*flags, "start", id))
    for result in results:
        error = result.failed().err
        assert words in error
        assert "/linux/seccomp" in error
    assert runtime.status(id) == "stopped"
    assert runtime.known_ids() == [id]


RUNS: list[tuple[str, ...]] = [(), ("--detach",)]


@pytest.mark.not_on("runc", "crun", reason="says something else, or nothing")
def test_execve_that_fails_under_a_filter(runtime: Caller) -> None:
    """An execve that the filter lets pass and the kernel refuses is told as without a filter, also where sendmsg is forbidden."""
    bundle = filtered(runtime, "", rule("SCMP_ACT_KILL_PROCESS", "sendmsg", "write"))
    (bundle.rootfs / "script").write_text("#!/none\n")
    (bundle.rootfs / "script").chmod(0o755)
    bundle.process["args"] = ["/script"]
    words = "exec /script: no such file or directory; /script: its interpreter /none does not exist"
    error = runtime.run(bundle.save()).failed().err
    assert words in error
    assert "/process/args/0" in error
    assert words in runtime.call("start", runtime.create(bundle)).failed().err


@pytest.mark.kernel
def test_long_path_under_a_filter(runtime: Caller) -> None:
    """A program whose path is almost as long as one can be is executed under a filter too."""
    bundle = filtered(runtime, "", rule("SCMP_ACT_ERRNO", "mkdir"))
    (bundle.rootfs / "echo").symlink_to("/bin/busybox")
    for length in (4095, 4094, 4090, 2000):
        bundle.process["args"] = ["/" * (length - 4) + "echo", "on"]
        assert runtime.run(bundle.save()).ok().out == "on\n"


@pytest.mark.kernel
@pytest.mark.not_on("runc", "crun", reason="raises the limits, or fails for them")
def test_small_limits_under_a_filter(runtime: Caller) -> None:
    """What a filter needs is there before the container's limits are."""
    bundle = filtered(runtime, "echo on", rule("SCMP_ACT_ERRNO", "mkdir"))
    limits = {"NOFILE": 5, "FSIZE": 4096, "AS": 8 << 20, "MEMLOCK": 0}
    bundle.process["rlimits"] = [{"type": f"RLIMIT_{name}", "soft": n, "hard": n} for name, n in limits.items()]
    id = runtime.create(bundle.save())
    runtime.start(id)
    assert runtime.finish(id) == "on\n"
