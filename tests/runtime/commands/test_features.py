"""The seccomp section of `features`: every architecture and operator that it names compiles to what it means."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime import seccomp
from runtime.commands import features
from runtime.errors import OcirunError
from tests import bpf

AUDIT, ELF = Path("/usr/include/linux/audit.h"), Path("/usr/include/linux/elf-em.h")
# libseccomp's names of architectures where they are not AUDIT_ARCH_ and the same word.
AUDIT_NAMES = {"X86": "I386", "X32": "X86_64"}
BIG_ENDIAN = ("MIPS", "MIPS64", "MIPS64N32", "PARISC", "PARISC64", "PPC", "PPC64", "S390", "S390X")
ERRNO, ALLOW = 0x00050001, 0x7FFF0000
SECTION = features.document()["linux"]["seccomp"]


def profile(arch: str, **rule: Any) -> dict[str, Any]:
    rules = [{"names": ["kill"], "action": "SCMP_ACT_ERRNO", **rule}]
    return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch], "syscalls": rules}


def audit_numbers() -> dict[str, int]:
    """AUDIT_ARCH_* as the kernel's headers compute them."""
    words: dict[str, int] = {}
    for name, number in re.findall(r"^#define\s+(EM_\w+)\s+(0x[0-9a-fA-F]+|\d+)", ELF.read_text(), re.M):
        words[name] = int(number, 0)
    for name, value in re.findall(r"^#define\s+(__AUDIT_ARCH_\w+)\s+(0x[0-9a-fA-F]+)", AUDIT.read_text(), re.M):
        words[name] = int(value, 16)
    found = {}
    text = AUDIT.read_text().replace("\\\n", " ")
    for name, value in re.findall(r"^#define\s+AUDIT_ARCH_(\w+)\s+\(?([^)\n/]+)\)?", text, re.M):
        found[name] = sum({words[word] for word in re.findall(r"\w+", value)})
    return found


@pytest.mark.skipif(not AUDIT.exists(), reason="needs the kernel's headers")
@pytest.mark.parametrize("arch", SECTION["archs"])
def test_architectures(arch: str) -> None:
    """A profile for it becomes a filter that asks for its number.

    libseccomp puts architectures of one byte order only into a filter: those of the other are refused by name.
    """
    name = arch.removeprefix("SCMP_ARCH_")
    number = audit_numbers()[AUDIT_NAMES.get(name, name)]
    if name in BIG_ENDIAN and sys.byteorder == "little":
        with pytest.raises(OcirunError, match=arch):
            seccomp.compile_profile(profile(arch))
        return
    code, _, warnings = seccomp.compile_profile(profile(arch))
    assert not [words for words in warnings if "rchitecture" in words]
    tests = {k for operation, _, _, k in bpf.decode(code) if operation & 0xF7 in (0x15, 0x25, 0x35)}
    assert number in tests


HOLDS = {
    "SCMP_CMP_NE": lambda given, value, two: given != value,
    "SCMP_CMP_LT": lambda given, value, two: given < value,
    "SCMP_CMP_LE": lambda given, value, two: given <= value,
    "SCMP_CMP_EQ": lambda given, value, two: given == value,
    "SCMP_CMP_GE": lambda given, value, two: given >= value,
    "SCMP_CMP_GT": lambda given, value, two: given > value,
    "SCMP_CMP_MASKED_EQ": lambda given, value, two: given & value == two,
}


@pytest.mark.parametrize("operator", SECTION["operators"])
def test_operators(operator: str) -> None:
    """A comparison holds for the numbers for which it should: around the value, and with the upper half set."""
    value, two = 0x1_0000_000F, 0x1_0000_0005
    argument = {"index": 1, "op": operator, "value": value, "valueTwo": two}
    code = bpf.decode(seccomp.compile_profile(profile("SCMP_ARCH_X86_64", args=[argument]))[0])
    for given in (0, 5, 15, value - 1, value, value + 1, two, value | 1 << 40, two | 1 << 60, (1 << 64) - 1):
        decided = bpf.decide(code, 0xC000003E, 62, [0, given])
        assert decided == (ERRNO if HOLDS[operator](given, value, two) else ALLOW), hex(given)


def test_nothing_of_the_spec_is_missing() -> None:
    """The actions, flags and operators are those of the schema."""
    schema = json.loads((Path(features.__file__).parents[2] / "oci_spec/schema/seccomp.json").read_text())
    definitions = schema["$defs"]
    for kind, names in (
        ("action", SECTION["actions"]),
        ("flag", SECTION["knownFlags"]),
        ("operator", SECTION["operators"]),
    ):
        assert set(names) == set(definitions[kind]["enum"]), kind
