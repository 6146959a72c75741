"""``linux.seccomp`` in the kernel's and libseccomp's numbers.

Pure. Owns the meaning of the section: actions and their errno, operators, flags, how conditions are split, and whether
newer system calls get ENOSYS. Does not know system call numbers: ``runtime.seccomp`` compiles.

A normalised profile is ``(default_action, enosys, architectures, groups)``: ``default_action`` is a SECCOMP_RET_*
value with its errno in the low 16 bits, ``enosys`` asks for `enosys_stub`, ``architectures`` are in
libseccomp's spelling. A group is ``(action, pointer, names, conditions)``, a condition
``(index, op, value, value_two)``. All conditions of a group must hold.
"""

from _struct import pack
from errno import ENOSYS, EPERM

from .identity import NEW_LISTENER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from oci_spec.types import Seccomp, SeccompSyscallArg

    Condition = tuple[int, int, int, int]
    Group = tuple[int, str, list[str], list[Condition]]
    Profile = tuple[int, bool, list[str], list[Group]]

POINTER = "/linux/seccomp"

# SECCOMP_RET_* of linux/seccomp.h.
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
# The actions that carry a number, and its maximum: libseccomp's limit (MAX_ERRNO - 1), and the 16 bits that a tracer
# gets.
TAKES_ERRNO = {"SCMP_ACT_ERRNO": 4094, "SCMP_ACT_TRACE": 0xFFFF}
# As the default, these refuse nothing, so newer system calls need no ENOSYS. A tracer or an agent answers them itself.
PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY")

# enum scmp_compare of libseccomp.
OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
ARGUMENTS = 6

# SECCOMP_FILTER_FLAG_* of linux/seccomp.h.
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
# The kernel accepts it only with a listener.
WAIT_KILLABLE_RECV = 32

# Classic BPF: load a word of struct seccomp_data, jumps, return; offsets of nr and arch.
LOAD, JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_SET, RETURN = 0x20, 0x05, 0x15, 0x25, 0x45, 0x06
NR, ARCH = 0, 4

# libseccomp's tokens are AUDIT_ARCH_*, but for x32: the kernel presents it as x86_64 with a bit set in the number.
X86_64, X32, X32_BIT = 0xC000003E, 0x4000003E, 0x40000000
S390, S390X = 0x16, 0x80000016


def filter_flags(profile: "Seccomp") -> int:
    """The flags for seccomp(2): the profile's, and NEW_LISTENER if an action is SCMP_ACT_NOTIFY.

    Without one, WAIT_KILLABLE_RECV means nothing and is left out. Raises InvalidConfig for an unsupported flag.
    """
    bits = 0
    for i, name in enumerate(profile.get("flags", ())):
        if name not in FLAGS:
            _refuse(f"{name} is not supported by this version", f"{POINTER}/flags/{i}")
        bits |= FLAGS[name]
    return bits | NEW_LISTENER if notifies(profile) else bits & ~WAIT_KILLABLE_RECV


def notifies(profile: "Seccomp") -> bool:
    """Whether an action of the profile is SCMP_ACT_NOTIFY."""
    rules = (profile, *profile.get("syscalls", ()))
    return any("SCMP_ACT_NOTIFY" in (rule.get("defaultAction"), rule.get("action")) for rule in rules)


def normalise(profile: "Seccomp") -> "Profile":
    """The profile in numbers.

    Raises InvalidConfig, with the pointer, for what is unsupported or meaningless: an errno for an action that takes
    none (config-linux.md#seccomp), an argument index above 5, SCMP_ACT_NOTIFY without listenerPath.
    """
    default = profile["defaultAction"]
    if not profile.get("listenerPath") and notifies(profile):
        _refuse("SCMP_ACT_NOTIFY needs somebody who answers: set listenerPath", f"{POINTER}/listenerPath")
    default_action = _action(default, profile.get("defaultErrnoRet"), f"{POINTER}/defaultAction", "defaultErrnoRet")
    enosys = default not in PERMISSIVE and default_action != ACTIONS["SCMP_ACT_ERRNO"] | ENOSYS
    architectures = [name.removeprefix("SCMP_ARCH_").lower() for name in profile.get("architectures", ())]
    groups: list[Group] = []
    for i, syscall in enumerate(profile.get("syscalls", ())):
        pointer = f"{POINTER}/syscalls/{i}"
        action = _action(syscall["action"], syscall.get("errnoRet"), f"{pointer}/action", "errnoRet")
        for conditions in _alternatives(syscall.get("args", ()), pointer):
            groups.append((action, pointer, syscall["names"], conditions))
    return default_action, enosys, architectures, groups


def enosys_stub(tables: "list[tuple[int, int]]") -> bytes:
    """Instructions for the start of a filter: they return ENOSYS for system calls newer than the profile.

    `tables` are libseccomp's architecture tokens, each with the highest number that the profile names (0: none).
    Higher numbers get ENOSYS, so that libc falls back to an older system call instead of failing with the profile's
    EPERM. runc does the same, and since 1.2 also for the machine's own architecture if it is not listed.
    """
    sections: dict[int, list[tuple[int, int, int, int]]] = {}
    for token, highest in tables:
        if highest:
            section = sections.setdefault(X86_64 if token == X32 else token, [(LOAD, 0, 0, NR)])
            section += _table_test(token, highest)
    program = [(LOAD, 0, 0, ARCH)]
    for arch, section in sections.items():
        program += [(JUMP_EQUAL, 0, len(section) + 1, arch), *section, (JUMP, 0, 0, 0)]
    # Each unconditional jump goes to the end, where the rest of the filter begins.
    last = len(program) - 1
    return b"".join(
        pack("=HBBI", code, true, false, last - i if code == JUMP else k)
        for i, (code, true, false, k) in enumerate(program)
    )


def _table_test(token: int, highest: int) -> "list[tuple[int, int, int, int]]":
    """Given the loaded number: jump to the filter, return ENOSYS, or fall through if it is another table's."""
    refuse = (RETURN, 0, 0, ACTIONS["SCMP_ACT_ERRNO"] | ENOSYS)
    test = [(JUMP_GREATER, 0, 1, highest), refuse, (JUMP, 0, 0, 0)]
    if token in (S390, S390X):
        # s390 presents numbers that do not fit its instruction as 0; they are unknown ones.
        return [(JUMP_EQUAL, 0, 1, 0), refuse, *test]
    if token == X32:
        return [(JUMP_SET, 0, len(test), X32_BIT), *test]
    if token == X86_64:
        return [(JUMP_SET, len(test), 0, X32_BIT), *test]
    return test


def _action(name: str, errno: "int | None", pointer: str, errno_property: str) -> int:
    if name not in ACTIONS:
        _refuse(f"{name} is not supported by this version", pointer)
    if name in TAKES_ERRNO:
        data = EPERM if errno is None else errno
        if data > TAKES_ERRNO[name]:
            _refuse(f"{data} must be at most {TAKES_ERRNO[name]} with {name}", _sibling(pointer, errno_property))
        return ACTIONS[name] | data
    if errno is not None:
        _refuse(f"{name} takes no errno; remove the property", _sibling(pointer, errno_property))
    return ACTIONS[name]


def _sibling(pointer: str, name: str) -> str:
    return pointer.rpartition("/")[0] + "/" + name


def _alternatives(args: "Sequence[SeccompSyscallArg]", pointer: str) -> "list[list[Condition]]":
    """The lists of conditions, one of which must hold.

    One list with all of them, unless two test the same argument: then each is a list of its own. runc has always done
    so, and profiles rely on it (personality with several allowed values in one entry).
    """
    conditions: list[Condition] = []
    for i, arg in enumerate(args):
        if arg["index"] >= ARGUMENTS:
            _refuse(f"a system call has {ARGUMENTS} arguments, from 0 on", f"{pointer}/args/{i}/index")
        if arg["op"] not in OPERATORS:
            _refuse(f"{arg['op']} is not supported", f"{pointer}/args/{i}/op")
        conditions.append((arg["index"], OPERATORS[arg["op"]], arg["value"], arg.get("valueTwo", 0)))
    if len({condition[0] for condition in conditions}) < len(conditions):
        return [[condition] for condition in conditions]
    return [conditions]


def _refuse(message: str, pointer: str) -> "NoReturn":
    from runtime.errors import InvalidConfig

    raise InvalidConfig(message, pointer)
