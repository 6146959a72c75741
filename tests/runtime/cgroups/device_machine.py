"""Two machines that decide over devices: an interpreter for the few eBPF instructions, and the v1 controller's rules."""

import struct
from typing import Any

INSTRUCTION = struct.Struct("<BBhi")
LETTERS = {"m": 1, "r": 2, "w": 4}
MASK = 0xFFFFFFFF


def run(program: bytes, kind: str, access: int, major: int, minor: int) -> int:
    """What the program returns. Raises on another opcode, on a jump out of it, and when it does not end."""
    code = list(INSTRUCTION.iter_unpack(program))
    context = {0: access << 16 | {"b": 1, "c": 2}[kind], 4: major, 8: minor}
    registers: dict[int, int] = {}
    at = 0
    for _ in range(len(code) + 1):
        opcode, pair, offset, value = code[at]
        target, source = pair & 15, pair >> 4
        at += 1
        if opcode == 0x61:
            assert source == 1
            registers[target] = context[offset]
        elif opcode == 0xBC:
            registers[target] = registers[source] & MASK
        elif opcode == 0xB7:
            registers[target] = value
        elif opcode == 0x54:
            registers[target] &= value & MASK
        elif opcode == 0x74:
            registers[target] >>= value
        elif opcode == 0x95:
            return registers[0]
        elif opcode == 0x05:
            at += offset
        elif opcode in (0x16, 0x56, 0x46):
            mine, wanted = registers[target], value & MASK
            taken = {0x16: mine == wanted, 0x56: mine != wanted, 0x46: bool(mine & wanted)}[opcode]
            at += offset if taken else 0
        else:
            raise ValueError(f"instruction {at - 1}: opcode {opcode:#x}")
    raise ValueError("the program does not end")


def reachable(program: bytes) -> set[int]:
    """Instructions that some path reaches: the verifier refuses a program with others."""
    code = list(INSTRUCTION.iter_unpack(program))
    seen: set[int] = set()
    trail = [0]
    while trail:
        at = trail.pop()
        if at in seen:
            continue
        seen.add(at)
        opcode, _, offset, _ = code[at]
        if opcode == 0x05:
            trail.append(at + 1 + offset)
        elif opcode in (0x16, 0x56, 0x46):
            trail += [at + 1, at + 1 + offset]
        elif opcode != 0x95:
            trail.append(at + 1)
    return seen


class Controller:
    """The v1 devices controller (security/device_cgroup.c): a default and exceptions, matched as the kernel does."""

    def __init__(self, writes: list[tuple[str, str, str]]) -> None:
        self.default_allow = True
        self.exceptions: dict[tuple[str, str, str], int] = {}
        for file, value, _ in writes:
            self._write(file == "devices.allow", value)

    def _write(self, allow: bool, value: str) -> None:
        if value == "a":
            self.default_allow, self.exceptions = allow, {}
            return
        kind, numbers, letters = value.split(" ")
        major, minor = numbers.split(":")
        bits = sum(LETTERS[letter] for letter in letters)
        key = (kind, major, minor)
        if allow != self.default_allow:
            self.exceptions[key] = self.exceptions.get(key, 0) | bits
        elif key in self.exceptions:
            self.exceptions[key] &= ~bits
            if not self.exceptions[key]:
                del self.exceptions[key]

    def allows(self, kind: str, access: int, major: int, minor: int) -> bool:
        matching = [
            bits
            for (other, one, two), bits in self.exceptions.items()
            if other == kind and one in ("*", str(major)) and two in ("*", str(minor))
        ]
        if self.default_allow:
            return not any(bits & access for bits in matching)
        return any(access & ~bits == 0 for bits in matching)


def last_rule_decides(rules: list[dict[str, Any]], kind: str, access: int, major: int, minor: int) -> bool:
    """The specification: each access bit by the last rule that matches it, denied without one."""
    for letter, bit in LETTERS.items():
        if access & bit:
            verdict = False
            for rule in rules:
                if (
                    rule.get("type", "a") in ("a", kind)
                    and rule.get("major", major) == major
                    and rule.get("minor", minor) == minor
                    and letter in rule.get("access", "rwm")
                ):
                    verdict = rule["allow"]
            if not verdict:
                return False
    return True
