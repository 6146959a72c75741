"""What compiled profiles decide: against the profile itself, and against the filters of runc's containers."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime import seccomp
from tests import bpf
from tests import seccomp_profile as profiles
from tests.integration.bundle import BUSYBOX, build_busybox_rootfs, default_config
from tests.integration.snapshot import hide_hybrid_controllers

CONFIGS = Path(__file__).parents[1] / "configs"
NAMES = ("podman", "docker", "buildkit", "cri-container", "containerd-seccomp")

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tables of numbers here are x86's")


def load(name: str) -> profiles.Profile:
    profile: profiles.Profile = json.loads((CONFIGS / f"{name}.json").read_text())["linux"]["seccomp"]
    return profile


def compiled(profile: profiles.Profile) -> list[bpf.Instruction]:
    return bpf.decode(seccomp.compile_profile(profile)[0])


def differences(
    profile: profiles.Profile, program: list[bpf.Instruction], other: Callable[[int, int, list[int]], int]
) -> list[str]:
    found = []
    for arch, number, args in profiles.system_calls(profile):
        ours, theirs = bpf.decide(program, arch, number, args), other(arch, number, args)
        if ours != theirs:
            found.append(f"{arch:#x} {number:#x} {args}: {ours:#x}, not {theirs:#x}")
    return found


@pytest.mark.proves("/linux/seccomp/syscalls")
@pytest.mark.parametrize("name", NAMES)
def test_managers_profile_decides_as_written(name: str) -> None:
    """Every number of every table, with arguments around each compared value, gets what the profile says."""
    profile = load(name)
    assert not differences(profile, compiled(profile), lambda *call: profiles.expected(profile, *call))


@pytest.mark.parametrize("name", NAMES)
def test_program_is_a_binary_tree(name: str) -> None:
    """A system call takes a few dozen instructions; one comparison a name would take hundreds."""
    program = compiled(load(name))
    assert max(bpf.run(program, bpf.data(profiles.X86_64, number))[1] for number in range(450)) < 60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not shutil.which("runc") or not BUSYBOX.exists():
        pytest.skip("runc and busybox-static are not installed")
    directory = tmp_path_factory.mktemp("bundle")
    build_busybox_rootfs(directory / "rootfs")
    return directory


@pytest.fixture
def peer() -> str:
    return "runc"


@pytest.fixture
def runc_filter(bundle: Path, peer: str) -> Iterator[Callable[[profiles.Profile], list[bpf.Instruction]]]:
    """Gives the one filter of a container of runc (or of another `peer`) with a profile."""
    if not shutil.which(peer):
        pytest.skip(f"{peer} is not installed")
    runc = [shutil.which(peer) or "", "--root", str(bundle / "state")]
    identifier = f"ocirun-seccomp-{os.getpid()}"
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "timeout": 30}
    if peer == "crun":
        quiet["preexec_fn"] = hide_hybrid_controllers

    def read(profile: profiles.Profile) -> list[bpf.Instruction]:
        config = default_config()
        config["process"]["args"] = ["sleep", "60"]
        config["linux"]["seccomp"] = profile
        (bundle / "config.json").write_text(json.dumps(config))
        command = [*runc, "run", "--detach", "--pid-file", str(bundle / "pid"), "--bundle", str(bundle), identifier]
        with (bundle / "stderr").open("w") as errors:
            done = subprocess.run(command, stderr=errors, **quiet)
        assert done.returncode == 0, (bundle / "stderr").read_text()
        (program,) = bpf.live_filters(int((bundle / "pid").read_text()))
        return bpf.decode(program)

    yield read
    subprocess.run([*runc, "delete", "--force", identifier], stderr=subprocess.DEVNULL, **quiet)


@pytest.mark.parametrize("name", NAMES)
def test_decides_as_runc(name: str, runc_filter: Callable[[profiles.Profile], list[bpf.Instruction]]) -> None:
    """The filter that runc loads for the same profile makes the same decisions."""
    profile = load(name)
    theirs = runc_filter(profile)
    assert not differences(profile, compiled(profile), lambda *call: bpf.decide(theirs, *call))


@pytest.mark.parametrize("peer", ["crun"])
@pytest.mark.parametrize("name", NAMES)
def test_decides_as_crun(name: str, runc_filter: Callable[[profiles.Profile], list[bpf.Instruction]]) -> None:
    """The same for crun, up to the newest system call that the profile names: beyond it crun has no ENOSYS."""
    profile = load(name)
    theirs = runc_filter(profile)
    names = [each for entry in profile["syscalls"] for each in entry["names"]]
    newest = {token: max(profiles.number_of(token, each) for each in names) for token in profiles.tables(profile)}

    def known(arch: int, number: int, args: list[int]) -> int:
        token = profiles.X32 if arch == profiles.X86_64 and number & profiles.X32_BIT else arch
        if number > newest.get(token, -1):
            return bpf.decide(program, arch, number, args)
        return bpf.decide(theirs, arch, number, args)

    program = compiled(profile)
    assert not differences(profile, program, known)


# What runc's own start and a sleep need.
ENOUGH = (
    "access arch_prctl brk capset chdir clock_nanosleep clone close dup dup2 dup3 epoll_ctl epoll_pwait "
    "epoll_wait execve exit exit_group faccessat faccessat2 fchdir fcntl fstat fstatfs futex getcwd "
    "getdents64 geteuid getgid getpid getppid getrandom gettid getuid ioctl kill lseek madvise mmap "
    "mprotect munmap nanosleep newfstatat open openat pipe2 poll prctl pread64 prlimit64 read readlink "
    "readlinkat restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity "
    "sched_yield seccomp semop set_robust_list set_tid_address setgid setuid sigaltstack socket stat "
    "statfs tgkill umask uname wait4 write"
).split()


@pytest.mark.parametrize("default", sorted(set(profiles.ACTIONS) - {"SCMP_ACT_KILL_THREAD"}))
def test_default_action_decides_as_runc(
    default: str, runc_filter: Callable[[profiles.Profile], list[bpf.Instruction]]
) -> None:
    """Newer system calls get ENOSYS for the default actions where runc answers it, and the default otherwise."""
    profile: profiles.Profile = {
        "defaultAction": default,
        "architectures": list(profiles.TOKENS),
        "syscalls": [
            {"names": ENOUGH, "action": "SCMP_ACT_ALLOW"},
            {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7},
            {
                "names": ["personality"],
                "action": "SCMP_ACT_TRAP",
                "args": [
                    {"index": 0, "op": "SCMP_CMP_EQ", "value": 8},
                    {"index": 0, "op": "SCMP_CMP_EQ", "value": 9},
                    {"index": 1, "op": "SCMP_CMP_GT", "value": 1 << 40},
                ],
            },
        ],
    }
    theirs = runc_filter(profile)
    assert not differences(profile, compiled(profile), lambda *call: bpf.decide(theirs, *call))


# None of them goes through a multiplexer on x86, where conditions cannot be looked at.
CALLS = ("read", "personality", "mkdir", "kcmp", "ptrace", "clone3", "openat2", "mount_setattr", "no_such_call")
VALUES = st.one_of(st.sampled_from([0, 1, 8, (1 << 32) - 1, 1 << 32, (1 << 64) - 1]), st.integers(0, (1 << 64) - 1))
OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    operator = draw(st.sampled_from(OPERATORS))
    value, two = draw(VALUES), draw(VALUES)
    if operator == "MASKED_EQ":
        two &= value  # what lies outside the mask never matches, and libseccomp drops it
    return {"index": draw(st.integers(0, 5)), "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": two}


@st.composite
def small_profiles(draw: st.DrawFn) -> profiles.Profile:
    """Up to five rules; each name has one action, since contradictions have no meaning but libseccomp's."""
    actions = st.sampled_from(sorted(profiles.ACTIONS))
    errnos = st.one_of(st.none(), st.integers(0, 4094))

    def errno(action: str, key: str) -> dict[str, int]:
        value = draw(errnos) if action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") else None
        return {} if value is None else {key: value}

    default = draw(actions)
    syscalls = []
    for name in draw(st.lists(st.sampled_from(CALLS), unique=True, max_size=5)):
        action = draw(actions)
        rule = {"names": [name], "action": action, **errno(action, "errnoRet")}
        for args in draw(st.lists(st.lists(conditions(), max_size=3), min_size=1, max_size=2)):
            syscalls.append(rule | ({"args": args} if args else {}))
    architectures = draw(st.one_of(st.none(), st.lists(st.sampled_from(sorted(profiles.TOKENS)), max_size=3)))
    listed = {} if architectures is None else {"architectures": architectures}
    return {"defaultAction": default, **errno(default, "defaultErrnoRet"), **listed, "syscalls": syscalls}


@given(small_profiles())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_any_profile_decides_as_written(profile: profiles.Profile) -> None:
    """A compiled program and the profile agree on the named calls, their neighbours and boundary arguments."""
    program = compiled(profile)
    named = [profiles.number_of(table, name) for name in CALLS for table in profiles.TOKENS.values()]
    numbers = sorted({number + near for number in named if number >= 1 for near in (-1, 0, 1)})
    for arch in (profiles.X86_64, profiles.X86, 0xC00000B7):
        for number in [*numbers, 0xFFFFFFFF]:
            token = profiles.X32 if arch == profiles.X86_64 and number & profiles.X32_BIT else arch
            for args in profiles.boundaries(profile, [profiles.name_of(token, number) or ""]):
                decided = bpf.decide(program, arch, number, args)
                assert decided == profiles.expected(profile, arch, number, args), (hex(arch), hex(number), args)
