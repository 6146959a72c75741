"""Our own classic BPF for system calls that have several rules, one of them ordering an argument (<, <=, >=, >).

libseccomp (2.5.4 at least) merges the rules of a system call into a tree of tests and loses some: of "less than 0" and
"less than 2^32" it keeps one. For such calls the code made here runs before libseccomp's program and decides alone: the
first rule whose conditions all hold, a rule without conditions before all others, else the default action. Pure;
imported only for a profile that has such a call.
"""

from _struct import pack

from .seccomp import ARCH, JUMP, JUMP_EQUAL, JUMP_GREATER, LOAD, NR, RETURN, X32, X86_64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .seccomp import Condition, Group

    Rule = tuple[int, list[Condition]]
    # code, k, target if true, target if false: NEXT instruction, HOLDS (next condition) or FAILS (next rule).
    Test = tuple[int, int, str, str]
    Instruction = tuple[int, int, int, int]

JUMP_AT_LEAST, AND = 0x35, 0x54
NOT_EQUAL, LESS, AT_MOST, EQUAL, AT_LEAST, GREATER, MASKED = range(1, 8)
ORDERING = (LESS, AT_MOST, AT_LEAST, GREATER)
NEXT, HOLDS, FAILS = "next", "holds", "fails"
ARGUMENTS_AT = 16  # of struct seccomp_data
WORD = 0xFFFFFFFF
SIXTY_FOUR_BIT, N32 = 0x80000000, 0x20000000  # of a token
# The offsets of the two halves of a 64-bit argument.
LOW, HIGH = (0, 4) if pack("=H", 1)[0] else (4, 0)


def contested(groups: "Sequence[Group]", default: int) -> "dict[str, list[Rule]]":
    """Name → rules, for each system call that libseccomp may get wrong. Rules with the default action do not count."""
    rules: dict[str, list[Rule]] = {}
    for action, _, names, conditions in groups:
        if action != default:
            for name in names:
                rules.setdefault(name, []).append((action, conditions))
    return {
        name: own
        for name, own in rules.items()
        if len(own) > 1 and any(condition[1] in ORDERING for _, conditions in own for condition in conditions)
    }


def program(tables: "Sequence[tuple[int, list[tuple[int, list[Rule]]]]]", default: int) -> bytes:
    """The instructions for ``[(token, [(number, rules)])]``; other calls fall off the end.

    Two ``tables`` may share the kernel's token: x32 calls are x86_64's with a bit set in the number.
    """
    sections: dict[int, list[Instruction]] = {}
    for token, calls in tables:
        section = sections.setdefault(X86_64 if token == X32 else token, [(LOAD, 0, 0, NR)])
        for number, rules in calls:
            block = decide(rules, default, wide=bool(token & SIXTY_FOUR_BIT) and not token & N32)
            section += [(JUMP_EQUAL, 1, 0, number), (JUMP, 0, 0, len(block)), *block]
    code: list[Instruction] = [(LOAD, 0, 0, ARCH)]
    rest = sum(len(section) + 3 for section in sections.values())
    for arch, section in sections.items():
        rest -= len(section) + 3
        code += [(JUMP_EQUAL, 1, 0, arch), (JUMP, 0, 0, len(section) + 1), *section, (JUMP, 0, 0, rest)]
    return b"".join(pack("=HBBI", *instruction) for instruction in code)


def decide(rules: "Sequence[Rule]", default: int, wide: bool) -> "list[Instruction]":
    """The instructions for one call; the last is a return."""
    code: list[Instruction] = []
    for action, conditions in sorted(rules, key=lambda rule: bool(rule[1])):
        code += assembled([test(condition, wide) for condition in conditions], action)
    return [*code, (RETURN, 0, 0, default)]


def assembled(tests: "list[list[Test]]", action: int) -> "list[Instruction]":
    """One rule: its conditions in order, then the return. A failed condition jumps past it."""
    length = sum(map(len, tests))
    code: list[Instruction] = []
    for condition in tests:
        end = len(code) + len(condition)
        for instruction, k, true, false in condition:
            here = len(code) + 1
            offsets = {NEXT: 0, HOLDS: end - here, FAILS: length + 1 - here}
            code.append((instruction, offsets[true], offsets[false], k))
    return [*code, (RETURN, 0, 0, action)]


def test(condition: "Condition", wide: bool) -> "list[Test]":
    """One condition. In a 32-bit table, arguments have 32 bits, as for libseccomp."""
    index, operator, value, two = condition
    low, high = ARGUMENTS_AT + 8 * index + LOW, ARGUMENTS_AT + 8 * index + HIGH
    if operator == MASKED:
        return [
            *([load(high), (AND, value >> 32, NEXT, NEXT), equal(two >> 32, NEXT, FAILS)] if wide else []),
            *[load(low), (AND, value & WORD, NEXT, NEXT), equal(two & WORD, HOLDS, FAILS)],
        ]
    true, false = (FAILS, HOLDS) if operator in (NOT_EQUAL, LESS, AT_MOST) else (HOLDS, FAILS)
    code: list[Test] = []
    if wide:
        code.append(load(high))
        if operator in ORDERING:
            code.append((JUMP_GREATER, value >> 32, true, NEXT))
        code.append(equal(value >> 32, NEXT, false))
    compare = {LESS: JUMP_AT_LEAST, AT_LEAST: JUMP_AT_LEAST, AT_MOST: JUMP_GREATER, GREATER: JUMP_GREATER}
    return [*code, load(low), (compare.get(operator, JUMP_EQUAL), value & WORD, true, false)]


def load(offset: int) -> "Test":
    return LOAD, offset, NEXT, NEXT


def equal(value: int, true: str, false: str) -> "Test":
    return JUMP_EQUAL, value, true, false
