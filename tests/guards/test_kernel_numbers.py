"""One home for the kernel's numbers: a namespace type or a mount flag that one table lacks is a failure here."""

import ast
import errno
import re

import pytest

from oci_spec.schema_files import schemas
from runtime import kernel
from runtime.plan import mount_options, namespaces, rootfs
from runtime.plan.operations import wording
from tests.guards.sources import TREE, parse, python_files

ATTRIBUTES = {name: bit for name, bit in vars(kernel).items() if name.startswith("MOUNT_ATTR_")}
# What stands in a kernel's header and may be defined in runtime/kernel.py alone.
OURS = re.compile(r"_?(CLONE_NEW[A-Z]+|MOUNT_ATTR_[A-Z]+|MS_[A-Z_]+|S_IF[A-Z]+|[A-Z]*IOC[A-Z]*|NS_GET_[A-Z]+)")
ERRNOS = set(errno.errorcode.values())


def test_every_namespace_type_is_in_every_table() -> None:
    """The schema's types have a flag, a file in /proc/PID/ns, and a place in the order of joining."""
    types = schemas()["linux.json"]["$defs"]["namespaceType"]["enum"]
    assert set(types) == set(kernel.CLONE_FLAGS) == set(kernel.NAMESPACE_FILES) == set(namespaces.JOIN_ORDER)
    assert len(set(kernel.CLONE_FLAGS.values())) == len(kernel.CLONE_FLAGS)
    limit = re.search(r"#define MAX_NAMESPACES (\d+)", (TREE / "csrc/init.h").read_text())
    assert limit, "csrc/init.h has no MAX_NAMESPACES"
    assert int(limit[1]) >= len(types), "init has no slot for each: raise MAX_NAMESPACES in csrc/init.h"


@pytest.mark.parametrize("name", sorted(mount_options.OPTIONS))
def test_every_flag_of_an_option_has_words(name: str) -> None:
    """What an option sets or clears, `ocirun plan` can say."""
    kind, bits, clear = mount_options.OPTIONS[name]
    if kind in (mount_options.ATTRIBUTE, mount_options.RECURSIVE):
        said = sum(wording.ATTRIBUTES)
        assert bits & ~said == 0
        assert clear & ~(said | kernel.MOUNT_ATTR_ATIME) == 0
    elif kind == mount_options.SUPERBLOCK:
        assert (bits | clear) & ~(sum(wording.SUPERBLOCK) | kernel.MS_RDONLY) == 0
    elif kind == mount_options.PROPAGATION:
        assert bits & ~(sum(rootfs.PROPAGATION.values()) | kernel.MS_REC) == 0
        assert set(rootfs.PROPAGATION) == set(wording.SPREAD)


def test_every_attribute_is_an_option() -> None:
    """A MOUNT_ATTR_* bit that the kernel table has can be asked for, and is told."""
    asked = 0
    for kind, bits, clear in mount_options.OPTIONS.values():
        if kind == mount_options.ATTRIBUTE:
            asked |= bits | clear
    assert {name for name, bit in ATTRIBUTES.items() if bit & ~asked} == set()
    assert {
        name for name, bit in ATTRIBUTES.items() if name != "MOUNT_ATTR_ATIME" and bit not in wording.ATTRIBUTES
    } == set()


def numbers(name: str) -> list[str]:
    """Names of the kernel's that a module gives a number of its own."""
    own = []
    for node in ast.walk(parse(name)):
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Name | ast.Attribute):
            targets = [part for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)]
            has_number = any(
                isinstance(part, ast.Constant) and isinstance(part.value, int) for part in ast.walk(node.value)
            )
            own += [
                part.id for part in targets if has_number and (OURS.fullmatch(part.id) or part.id.lstrip("_") in ERRNOS)
            ]
    return own


@pytest.mark.parametrize("name", [name for name in python_files("runtime") if name != "runtime/kernel.py"])
def test_numbers_of_the_kernel_have_one_home(name: str) -> None:
    """No module has a flag, a file type, an ioctl or an errno of its own."""
    assert numbers(name) == []


def test_the_home_is_looked_at() -> None:
    assert "CLONE_NEWUSER" in (TREE / "runtime/kernel.py").read_text()
    assert "S_IFMT" in numbers("runtime/kernel.py")
