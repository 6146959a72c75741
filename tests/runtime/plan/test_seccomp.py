"""The meaning of linux.seccomp, without compiling anything."""

from struct import pack
from typing import Any

import pytest

from runtime.errors import InvalidConfig
from runtime.plan.seccomp import enosys_stub, filter_flags, normalise
from tests import bpf

ERRNO, TRACE, ALLOW = 0x00050000, 0x7FF00000, 0x7FFF0000


def profile(default: str = "SCMP_ACT_ALLOW", **more: Any) -> dict[str, Any]:
    return {"defaultAction": default, **more}


def syscall(action: str, *args: tuple[int, str, int], **more: Any) -> dict[str, Any]:
    conditions = [{"index": index, "op": f"SCMP_CMP_{op}", "value": value} for index, op, value in args]
    return {"names": ["mkdir"], "action": action, "args": conditions, **more}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCMP_ACT_KILL", 0),
        ("SCMP_ACT_KILL_THREAD", 0),
        ("SCMP_ACT_KILL_PROCESS", 0x80000000),
        ("SCMP_ACT_TRAP", 0x00030000),
        ("SCMP_ACT_ERRNO", ERRNO | 1),
        ("SCMP_ACT_TRACE", TRACE | 1),
        ("SCMP_ACT_LOG", 0x7FFC0000),
        ("SCMP_ACT_NOTIFY", 0x7FC00000),
        ("SCMP_ACT_ALLOW", ALLOW),
    ],
)
def test_action_is_the_kernels_value(name: str, value: int) -> None:
    """An action is its SECCOMP_RET_* value, with EPERM if it carries a number and none is given."""
    assert normalise(profile(name, listenerPath="/agent"))[0] == value


def test_errno_is_in_the_low_bits() -> None:
    """errnoRet and defaultErrnoRet are the data of ERRNO and TRACE."""
    rules = [syscall("SCMP_ACT_ERRNO", errnoRet=5), syscall("SCMP_ACT_TRACE", errnoRet=40000)]
    default, _, _, groups = normalise(profile("SCMP_ACT_ERRNO", defaultErrnoRet=7, syscalls=rules))
    assert default == ERRNO | 7
    assert [group[0] for group in groups] == [ERRNO | 5, TRACE | 40000]


@pytest.mark.parametrize(
    ("default", "errno", "wanted"),
    [
        ("SCMP_ACT_ERRNO", {}, True),
        ("SCMP_ACT_ERRNO", {"defaultErrnoRet": 38}, False),
        ("SCMP_ACT_KILL", {}, True),
        ("SCMP_ACT_TRAP", {}, True),
        ("SCMP_ACT_ALLOW", {}, False),
        ("SCMP_ACT_LOG", {}, False),
        ("SCMP_ACT_TRACE", {"defaultErrnoRet": 38}, False),
    ],
)
def test_newer_calls_get_enosys(default: str, errno: dict[str, int], wanted: bool) -> None:
    """Newer system calls get ENOSYS if the default refuses them otherwise."""
    assert normalise(profile(default, **errno))[1] is wanted


def test_conditions_of_one_rule_hold_together() -> None:
    """Conditions on different arguments stay one rule."""
    groups = normalise(profile(syscalls=[syscall("SCMP_ACT_TRAP", (0, "EQ", 1), (1, "GT", 2))]))[3]
    assert [group[3] for group in groups] == [[(0, 4, 1, 0), (1, 6, 2, 0)]]


def test_conditions_on_one_argument_are_alternatives() -> None:
    """With two conditions on one argument, each condition of the entry becomes a rule of its own."""
    rules = [syscall("SCMP_ACT_TRAP", (0, "EQ", 1), (0, "EQ", 2), (1, "NE", 3))]
    groups = normalise(profile(syscalls=rules))[3]
    assert [group[3] for group in groups] == [[(0, 4, 1, 0)], [(0, 4, 2, 0)], [(1, 1, 3, 0)]]


def test_architectures_have_libseccomps_names() -> None:
    """Architectures lose their prefix and become lower case."""
    names = ["SCMP_ARCH_X86_64", "SCMP_ARCH_MIPSEL64N32"]
    assert normalise(profile(architectures=names))[2] == ["x86_64", "mipsel64n32"]


def test_flags_are_the_kernels_bits() -> None:
    """TSYNC, LOG and SPEC_ALLOW are bits 0 to 2; without flags there are none."""
    names = [f"SECCOMP_FILTER_FLAG_{name}" for name in ("TSYNC", "LOG", "SPEC_ALLOW")]
    assert [filter_flags(profile(flags=[name])) for name in names] == [1, 2, 4]
    assert filter_flags(profile(flags=names)) == 7
    assert filter_flags(profile()) == 0


def test_notify_asks_for_a_listener() -> None:
    """SCMP_ACT_NOTIFY anywhere is NEW_LISTENER (8); WAIT_KILLABLE_RECV (32) goes with it only."""
    killable = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
    assert filter_flags(profile(syscalls=[syscall("SCMP_ACT_NOTIFY")])) == 8
    assert filter_flags(profile("SCMP_ACT_NOTIFY", flags=[killable])) == 8 | 32
    assert filter_flags(profile(flags=[killable])) == 0


@pytest.mark.parametrize(
    ("refused", "pointer"),
    [
        (profile("SCMP_ACT_NOTIFY"), "/linux/seccomp/listenerPath"),
        (profile("SCMP_ACT_ALLOW", defaultErrnoRet=1), "/linux/seccomp/defaultErrnoRet"),
        (profile("SCMP_ACT_ERRNO", defaultErrnoRet=4095), "/linux/seccomp/defaultErrnoRet"),
        (profile(syscalls=[syscall("SCMP_ACT_NOTIFY")]), "/linux/seccomp/listenerPath"),
        (profile(syscalls=[syscall("SCMP_ACT_XX")]), "/linux/seccomp/syscalls/0/action"),
        (profile(syscalls=[syscall("SCMP_ACT_KILL", errnoRet=1)]), "/linux/seccomp/syscalls/0/errnoRet"),
        (profile(syscalls=[syscall("SCMP_ACT_TRACE", errnoRet=65536)]), "/linux/seccomp/syscalls/0/errnoRet"),
        (profile(syscalls=[syscall("SCMP_ACT_KILL", (6, "EQ", 1))]), "/linux/seccomp/syscalls/0/args/0/index"),
        (profile(syscalls=[syscall("SCMP_ACT_KILL", (0, "XX", 1))]), "/linux/seccomp/syscalls/0/args/0/op"),
    ],
)
def test_refusal_names_the_property(refused: dict[str, Any], pointer: str) -> None:
    """What is not supported or has no meaning is refused with its pointer."""
    with pytest.raises(InvalidConfig) as caught:
        normalise(refused)
    assert caught.value.pointer == pointer


def test_refused_flag_names_the_property() -> None:
    """An unknown flag is refused with its pointer."""
    with pytest.raises(InvalidConfig) as caught:
        filter_flags(profile(flags=["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_XX"]))
    assert caught.value.pointer == "/linux/seccomp/flags/1"


X86_64, X86, X32, S390X = 0xC000003E, 0x40000003, 0x4000003E, 0x80000016
ENOSYS = ERRNO | 38


@pytest.mark.parametrize(
    ("arch", "number", "refused"),
    [
        (X86_64, 400, False),
        (X86_64, 401, True),
        (X86_64, 0x40000000 | 500, False),
        (X86_64, 0x40000000 | 501, True),
        (X86_64, 0xFFFFFFFF, True),
        (X86, 300, False),
        (X86, 301, True),
        (X86, 0x40000000, True),
        (S390X, 0, True),
        (S390X, 1, False),
        (S390X, 201, True),
        (0xC00000B7, 5000, False),
        (0xC00000F3, 5000, False),
    ],
)
def test_enosys_stub_knows_each_table(arch: int, number: int, refused: bool) -> None:
    """Above a table's highest number calls get ENOSYS; all others, and other architectures, reach the filter."""
    tables = [(X86_64, 400), (X86, 300), (X32, 0x40000000 | 500), (0xC00000B7, 0), (S390X, 200)]
    reached = pack("=HBBI", 6, 0, 0, 1234)
    program = bpf.decode(enosys_stub(tables) + reached)
    assert bpf.decide(program, arch, number) == (ENOSYS if refused else 1234)


def test_enosys_stub_without_x32_leaves_it_to_the_filter() -> None:
    """libseccomp refuses x32 where it is not listed, and x86_64 where only x32 has names."""
    reached = pack("=HBBI", 6, 0, 0, 1234)
    for table, other in (((X86_64, 400), 0x40000000 | 999), ((X32, 0x40000000 | 400), 999)):
        assert bpf.decide(bpf.decode(enosys_stub([table]) + reached), X86_64, other) == 1234
