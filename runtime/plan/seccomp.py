"""What ``linux.seccomp`` asks for, in the kernel's and libseccomp's numbers.

Pure. Owns the meaning of the section: actions with their errno, operators, flags, the splitting of conditions, and
whether newer system calls get ENOSYS. Does not know system call numbers or BPF: ``runtime.process.seccomp`` compiles.

A normalised profile is ``(default_action, enosys, architectures, groups)``: ``default_action`` is a SECCOMP_RET_*
value with its errno in the low 16 bits, ``enosys`` asks for the stub of ``csrc/seccomp.c``, ``architectures`` are in
libseccomp's spelling. A group is ``(action, pointer, names, conditions)``, and a condition
``(index, op, value, value_two)``; all conditions of a group must hold.
"""

from errno import ENOSYS, EPERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

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
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
# The actions that carry a number, and the greatest: libseccomp's limit, one below the kernel's MAX_ERRNO, and the 16
# bits that a tracer gets.
TAKES_ERRNO = {"SCMP_ACT_ERRNO": 4094, "SCMP_ACT_TRACE": 0xFFFF}
# With these as the default nothing is refused, so a newer system call needs no ENOSYS. A tracer answers it itself.
PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")

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
}


def filter_flags(profile: "dict[str, Any]") -> int:
    """The flags of seccomp(2) that the profile asks for. Raises InvalidConfig for one that is not supported."""
    bits = 0
    for i, name in enumerate(profile.get("flags") or ()):
        if name not in FLAGS:
            _refuse(f"{name} is not supported", f"{POINTER}/flags/{i}")
        bits |= FLAGS[name]
    return bits


def normalise(profile: "dict[str, Any]") -> "Profile":
    """The profile in numbers.

    Raises InvalidConfig with the pointer of what is not supported or has no meaning: SCMP_ACT_NOTIFY, an errno for an
    action that takes none (spec: config-linux.md#seccomp), an argument index above 5.
    """
    default = profile["defaultAction"]
    default_action = _action(default, profile.get("defaultErrnoRet"), f"{POINTER}/defaultAction", "defaultErrnoRet")
    enosys = default not in PERMISSIVE and default_action != ACTIONS["SCMP_ACT_ERRNO"] | ENOSYS
    architectures = [name.removeprefix("SCMP_ARCH_").lower() for name in profile.get("architectures") or ()]
    groups: list[Group] = []
    for i, syscall in enumerate(profile.get("syscalls") or ()):
        pointer = f"{POINTER}/syscalls/{i}"
        action = _action(syscall["action"], syscall.get("errnoRet"), f"{pointer}/action", "errnoRet")
        for conditions in _alternatives(syscall.get("args") or (), pointer):
            groups.append((action, pointer, syscall["names"], conditions))
    return default_action, enosys, architectures, groups


def _action(name: str, errno: "int | None", pointer: str, errno_property: str) -> int:
    if name not in ACTIONS:
        _refuse(f"{name} is not supported", pointer)
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


def _alternatives(args: "Sequence[dict[str, Any]]", pointer: str) -> "list[list[Condition]]":
    """The lists of conditions of which one must hold.

    One list with all of them, unless two are about one argument: then each stands alone, since that is what runc has
    always made of it and profiles count on (personality with several allowed values in one entry).
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
