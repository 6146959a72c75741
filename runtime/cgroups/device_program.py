"""Device rules as an eBPF program for a v2 cgroup, which csrc/device_filter.c attaches. Pure.

Loaded only where the host has no v1 devices controller.
"""

import _struct

from runtime.cgroups.devices import complete, normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import ResourcesDevice
    from runtime.cgroups.devices import Rule

    # (opcode, registers, offset or the end to jump to, immediate)
    Instruction = tuple[int, int, int | str, int]

# eBPF (linux/bpf.h): an instruction is opcode, registers (source << 4 | destination), offset, immediate.
INSTRUCTION_SIZE = 8
# BPF_DEVCG_DEV_*
TYPES = {"b": 1, "c": 2}
LOAD_WORD, MOVE, EXIT, JUMP = 0x61, 0xB7, 0x95, 0x05
MOVE_REGISTER, AND, RIGHT_SHIFT = 0xBC, 0x54, 0x74  # on 32 bits
IF_EQUAL, IF_NOT_EQUAL, IF_ANY = 0x16, 0x56, 0x46  # on 32 bits
CONTEXT, TYPE, ACCESS, MAJOR, MINOR = 1, 2, 3, 4, 5
TO_ALLOW, TO_DENY = "allow", "deny"


def program(rules: "list[ResourcesDevice]") -> bytes:
    """The rules as a BPF_PROG_TYPE_CGROUP_DEVICE program; b"" when everything is allowed and none is needed.

    The last rule comes first. The register ACCESS holds the bits of the request that no later rule has decided. A deny
    rule that matches one of them ends the program; an allow rule clears its bits; the request is allowed when none is left.
    """
    start, rest = complete(*normal(rules))
    if start and all(rule.allow for rule in rest):
        return b""
    code: list[Instruction] = [
        (LOAD_WORD, CONTEXT << 4 | ACCESS, 0, 0),  # access << 16 | type
        (MOVE_REGISTER, ACCESS << 4 | TYPE, 0, 0),
        (AND, TYPE, 0, 0xFFFF),
        (RIGHT_SHIFT, ACCESS, 0, 16),
        (LOAD_WORD, CONTEXT << 4 | MAJOR, 4, 0),
        (LOAD_WORD, CONTEXT << 4 | MINOR, 8, 0),
    ]
    for rule in reversed(rest):
        code += _rule(rule)
    code.append((JUMP, 0, TO_ALLOW if start else TO_DENY, 0))
    return _assembled(code)


def _rule(rule: "Rule") -> "list[Instruction]":
    kind, major, minor = rule.device
    body: list[Instruction] = [(AND, ACCESS, 0, ~rule.access), (IF_EQUAL, ACCESS, TO_ALLOW, 0)]
    if not rule.allow:
        body = [(IF_ANY, ACCESS, TO_DENY, rule.access)]
    tests = [(TYPE, TYPES[kind])]
    tests += [(register, value) for register, value in ((MAJOR, major), (MINOR, minor)) if value is not None]
    for register, value in reversed(tests):
        body.insert(0, (IF_NOT_EQUAL, register, len(body), value))
    return body


def _assembled(code: "list[Instruction]") -> bytes:
    """The instructions, followed by the two ends. An end that nothing jumps to is left out: the verifier refuses code
    that cannot be reached."""
    ends = {}
    at = len(code)
    for name, result in ((TO_DENY, 0), (TO_ALLOW, 1)):
        if any(offset == name for _, _, offset, _ in code):
            ends[name] = at
            at += 2
            code = code + [(MOVE, 0, 0, result), (EXIT, 0, 0, 0)]
    pieces = []
    for index, (opcode, registers, offset, value) in enumerate(code):
        distance = offset if isinstance(offset, int) else ends[offset] - index - 1
        pieces.append(_struct.pack("<BBhi", opcode, registers, distance, value))
    return b"".join(pieces)
