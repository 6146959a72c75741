"""Several rules for one system call, of which one orders an argument (<, <=, >=, >), as classic BPF of our own.

libseccomp (2.5.4 at least) keeps the rules of a system call in a tree of tests, and loses or joins some of these when it
merges them: of "less than 0" and "less than 2^32" it keeps one. So for such a name what is made here stands in front of its
program and decides alone: the first rule whose conditions all hold, a rule without
conditions before all others; else the default action. Pure. Imported only for a profile that has such a name.
"""

from _struct import pack

from .seccomp import ARCH, JUMP, JUMP_EQUAL, JUMP_GREATER, LOAD, NR, RETURN, X32, X86_64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .seccomp import Condition, Group

    Rule = tuple[int, list[Condition]]
    # code, k, where it goes when true and when false: NEXT instruction, the next condition or the next rule.
    Test = tuple[int, int, str, str]
    Instruction = tuple[int, int, int, int]

JUMP_AT_LEAST, AND = 0x35, 0x54
NOT_EQUAL, LESS, AT_MOST, EQUAL, AT_LEAST, GREATER, MASKED = range(1, 8)
ORDERING = (LESS, AT_MOST, AT_LEAST, GREATER)
NEXT, HOLDS, FAILS = "next", "holds", "fails"
ARGUMENTS_AT = 16  # of struct seccomp_data
WORD = 0xFFFFFFFF
SIXTY_FOUR_BIT, N32 = 0x80000000, 0x20000000  # of a token
# The half of a 64-bit argument that comes first.
LOW, HIGH = (0, 4) if pack("=H", 1)[0] else (4, 0)


def contested(groups: "Sequence[Group]", default: int) -> "dict[str, list[Rule]]":
    """Name → its rules, of each name that libseccomp may get wrong. A rule that says what the default says is none."""
    rules: dict[str, list[Rule]] = {}
    for action, _, names, conditions in groups:
        if action != default:
            for name in names:
                rules.setdefault(name, []).append((action, conditions))
    return {
        name: found
        for name, found in rules.items()
        if len(found) > 1 and any(condition[1] in ORDERING for _, conditions in found for condition in conditions)
    }


def program(tables: "Sequence[tuple[int, list[tuple[int, list[Rule]]]]]", default: int) -> bytes:
    """The instructions for ``[(token, [(number, rules)])]``; other calls leave at the end. ``tables`` may share a token of
    the kernel's: x32 calls come as those of x86_64 with a bit in the number.
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
    """Ends by a return."""
    code: list[Instruction] = []
    for action, conditions in sorted(rules, key=lambda rule: bool(rule[1])):
        code += assembled([test(condition, wide) for condition in conditions], action)
    return [*code, (RETURN, 0, 0, default)]


def assembled(tests: "list[list[Test]]", action: int) -> "list[Instruction]":
    """One rule: the conditions in order, and the return. A failed one goes past it."""
    length = sum(map(len, tests))
    code: list[Instruction] = []
    for condition in tests:
        end = len(code) + len(condition)
        for instruction, k, true, false in condition:
            here = len(code) + 1
            place = {NEXT: 0, HOLDS: end - here, FAILS: length + 1 - here}
            code.append((instruction, place[true], place[false], k))
    return [*code, (RETURN, 0, 0, action)]


def test(condition: "Condition", wide: bool) -> "list[Test]":
    """One condition. The calls of a 32-bit table have arguments of 32 bits, as far as libseccomp is concerned."""
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
