"""What a compiled filter decides about one system call, which rule of the profile says so, and what would allow it.

Pure and cold: for `run --seccomp-explain`, and for the words about a program that its filter has ended. A rule is named
by its pointer; an action is a SECCOMP_RET_* value with its data in the low 16 bits.
"""

from _struct import Struct, pack
from errno import ENOSYS, errorcode

from .seccomp import ACTIONS, JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_SET, LOAD, POINTER, RETURN, X32, X32_BIT, X86_64
from .seccomp_rules import AND, JUMP_AT_LEAST, N32, SIXTY_FOUR_BIT, WORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .seccomp import Condition, Profile

    Tested = tuple[tuple[int, int], ...]

INSTRUCTION, DATA, WORDS = Struct("=HBBI"), Struct("=iIQ6Q"), Struct("=16I")
ACTION, RET_DATA = 0xFFFF0000, 0xFFFF
ALLOW, NOTIFY, ERRNO = ACTIONS["SCMP_ACT_ALLOW"], ACTIONS["SCMP_ACT_NOTIFY"], ACTIONS["SCMP_ACT_ERRNO"]
KILL_THREAD, KILL_PROCESS = ACTIONS["SCMP_ACT_KILL_THREAD"], ACTIONS["SCMP_ACT_KILL_PROCESS"]
TRAP, TRACE, LOG = ACTIONS["SCMP_ACT_TRAP"], ACTIONS["SCMP_ACT_TRACE"], ACTIONS["SCMP_ACT_LOG"]
NAMES = {value: name for name, value in ACTIONS.items()}  # SCMP_ACT_KILL is its newer name
X86 = 0x40000003
TABLES = {X86_64: "x86_64", X86: "x86", X32: "x32", 0xC00000B7: "aarch64", 0x40000028: "arm"}
ARCHITECTURES, DEFAULT, RULES = f"{POINTER}/architectures", f"{POINTER}/defaultAction", f"{POINTER}/syscalls/"
UNKNOWN = "system call "  # and the number: a call without a name
NATIVE = (X86_64, 0xC00000B7)  # a filter includes the machine's own table, listed or not
# The calls that socketcall(2) and ipc(2) of x86 stand for, by their first argument; libseccomp filters them by these names.
SOCKETCALL = 102
MULTIPLEXED = {
    SOCKETCALL: "- socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt "
    "getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg",
    117: "- semop semget semctl semtimedop - - - - - - msgsnd msgrcv msgget msgctl - - - - - - shmat shmdt shmget shmctl",
}


def notifying(code: bytes) -> bytes:
    """The program that asks a listener wherever ``code`` does something else than allow the call."""
    return b"".join(
        pack("=HBBI", op, true, false, NOTIFY if op == RETURN and k != ALLOW else k)
        for op, true, false, k in INSTRUCTION.iter_unpack(code)
    )


def verdict(code: bytes, number: int, arch: int, args: "Sequence[int]") -> int:
    """The action that the program returns, as the kernel would run it. ValueError for an instruction that nobody makes."""
    words = WORDS.unpack(DATA.pack(number, arch, 0, *args))
    program = list(INSTRUCTION.iter_unpack(code))
    accumulator = at = 0
    while True:
        op, true, false, k = program[at]
        at += 1
        if op == RETURN:
            return int(k)
        if op == LOAD:
            accumulator = words[k // 4]
        elif op == AND:
            accumulator &= k
        elif op == JUMP:
            at += k
        else:
            at += true if _holds(op, accumulator, k) else false


def _holds(op: int, accumulator: int, k: int) -> bool:
    if op == JUMP_EQUAL:
        return accumulator == k
    if op == JUMP_GREATER:
        return accumulator > k
    if op == JUMP_AT_LEAST:
        return accumulator >= k
    if op == JUMP_SET:
        return bool(accumulator & k)
    raise ValueError(f"instruction {op:#x}")


def token_of(arch: int, number: int) -> int:
    """libseccomp's token for the table that the call is of."""
    return X32 if arch == X86_64 and number & X32_BIT else arch


def multiplexed(token: int, number: int, args: "Sequence[int]") -> str:
    """The call that a socketcall or ipc stands for; "" for any other."""
    names = MULTIPLEXED.get(number, "").split() if token == X86 else []
    which = args[0] & RET_DATA  # ipc has a version above that
    return names[which].strip("-") if which < len(names) else ""


def own_arguments(number: int, args: "Sequence[int]", read: "Callable[[int, int], bytes]") -> "list[int]":
    """The arguments of the call that a socketcall or ipc stands for. Those of socketcall are in memory, which ``read`` reads."""
    if number != SOCKETCALL:
        return [*args[1:], 0]
    words = read(args[1], 24).ljust(24, b"\0")
    return [int.from_bytes(words[at : at + 4], "little") for at in range(0, 24, 4)]


def rule(profile: "Profile", name: str, token: int, args: "Sequence[int] | None", action: int) -> str:
    """The pointer of what decided ``action`` for a call of this ``name``: a rule, the default action, or POINTER where neither did
    (``enosys_stub``). ``args``: None if they are unknown; then POINTER if they matter.
    """
    default, _, architectures, groups = profile
    if action == KILL_THREAD and token not in NATIVE and TABLES.get(token) not in architectures:
        return ARCHITECTURES
    own = [group for group in groups if name in group[2] and group[0] != default]
    for value, pointer, _, conditions in own:
        if not conditions:
            return pointer if value == action else POINTER
    if args is None:
        pointers = {pointer for value, pointer, _, _ in own if value == action}
        return pointers.pop() if len(pointers) == 1 else POINTER if own else DEFAULT
    wide = bool(token & SIXTY_FOUR_BIT) and not token & N32
    for value, pointer, _, conditions in own:
        if value == action and all(_met(condition, args, wide) for condition in conditions):
            return pointer
    return DEFAULT if action == default else POINTER


def _met(condition: "Condition", args: "Sequence[int]", wide: bool) -> bool:
    index, operator, value, two = condition
    width = (1 << 64) - 1 if wide else WORD
    argument, value, two = args[index] & width, value & width, two & width
    return (
        argument != value,
        argument < value,
        argument <= value,
        argument == value,
        argument >= value,
        argument > value,
        argument & value == two,
    )[operator - 1]


def action_name(action: int) -> str:
    """The action as a config has it: "SCMP_ACT_ERRNO, EPERM"."""
    name = NAMES.get(action & ACTION, "SCMP_ACT_KILL_PROCESS")  # the kernel kills for what it does not know
    data = action & RET_DATA
    return f"{name}, {errorcode.get(data, data)}" if action & ACTION == ERRNO else name


def reason(pointer: str, action: int) -> str:
    """What is at the pointer, as the reason for the action."""
    if pointer == ARCHITECTURES:
        return "not of the architectures that are listed"
    if pointer == POINTER and action == ERRNO | ENOSYS:
        return "newer than every call that the profile names"
    return action_name(action)


def unconditional(profile: "Profile", name: str) -> "tuple[int, str] | None":
    """The action for every call of this name, and the pointer of what says so; None if it depends on the arguments."""
    default, _, _, groups = profile
    own = [group for group in groups if name in group[2] and group[0] != default]
    for action, pointer, _, conditions in own:
        if not conditions:
            return action, pointer
    return None if own else (default, DEFAULT)


def effect(action: int) -> str:
    """What the action does to the call or its process."""
    kind, data = action & ACTION, action & RET_DATA
    if kind == ERRNO:
        return f"fails with {errorcode.get(data, f'error {data}')}" if data else "is not made, and returns 0"
    return {
        KILL_THREAD: "kills its thread",
        TRAP: "is not made, and raises SIGSYS",
        TRACE: f"fails with {errorcode[ENOSYS]}, since no tracer answers",
        LOG: "is made, and logged",
    }.get(kind, "kills its process")


def tested(profile: "Profile", name: str) -> "list[int]":
    """The indices of the arguments by which the profile allows this call, or not."""
    groups = [group for group in profile[3] if name in group[2] and group[0] == ALLOW]
    return sorted({condition[0] for *_, conditions in groups for condition in conditions})


def remedies(profile: "Profile", calls: "Iterable[tuple[str, int, str, Tested]]") -> "tuple[list[str], list[str]]":
    """What to change so that the calls, each ``(name, token, pointer of what refuses it, tested arguments)``, are allowed: the changes in
    words, and the rules, as JSON, to put before all others.

    The first rule without conditions wins over all others, unless its action is the default: then it counts for nothing. But of a
    call that x86 also makes through a multiplexer, libseccomp accepts no second rule with another action.
    """
    indirect = " ".join(MULTIPLEXED.values()).split() if TABLES[X86] in profile[2] else []
    words: list[str] = []
    names: set[str] = set()
    removed: dict[str, set[str]] = {}
    unnamed: dict[str, None] = {}
    narrow: dict[str, None] = {}
    for name, token, pointer, arguments in calls:
        if pointer == ARCHITECTURES:
            words.append(f'add "SCMP_ARCH_{TABLES.get(token, hex(token)).upper()}" to {ARCHITECTURES}')
        elif name.startswith(UNKNOWN):
            unnamed[name] = None
        elif pointer == DEFAULT and profile[0] != ALLOW and arguments:
            narrow[allowing([name], arguments)] = None
        else:
            if profile[0] == ALLOW or (pointer.startswith(RULES) and name in indirect):
                removed.setdefault(pointer, set()).add(name)
            if profile[0] != ALLOW:
                names.add(name)
    words += _removals(profile, removed)
    if unnamed:
        words.append(f"no rule can, since libseccomp has no name for {', '.join(unnamed)}")
    return list(dict.fromkeys(words)), [*([allowing(sorted(names))] if names else []), *narrow]


def _removals(profile: "Profile", removed: "dict[str, set[str]]") -> "Iterator[str]":
    """``removed``: names, by the pointer of their rule."""
    for pointer, gone in removed.items():
        whole = all(set(group[2]) <= gone for group in profile[3] if group[1] == pointer)
        listed = ", ".join(f'"{name}"' for name in sorted(gone))
        yield f"remove {pointer}" if whole else f"remove {listed} from {pointer}/names"


def allowing(names: "Sequence[str]", arguments: "Tested" = ()) -> str:
    """The rule, as JSON. The names are libseccomp's, of letters and digits."""
    listed = ", ".join(f'"{name}"' for name in names)
    args = ", ".join(f'{{"index": {index}, "value": {value}, "op": "SCMP_CMP_EQ"}}' for index, value in arguments)
    return f'{{"names": [{listed}], "action": "SCMP_ACT_ALLOW"' + (f', "args": [{args}]}}' if args else "}")
