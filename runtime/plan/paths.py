"""linux.maskedPaths, linux.readonlyPaths, and mounts that become read-only last → operations. Pure and hot."""

from runtime.errors import InvalidConfig
from runtime.files import clean

from . import mounts, ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config
    from runtime.shapes import Facts

    from .ops import Operation

    Warnings = list[tuple[str, str]]


def operations(spec: "Config", _facts: "Facts", _warnings: "Warnings") -> "list[Operation]":
    """Mask and protect paths, once everything below the root is made.

    Read-only paths come first, as with runc: a masked path may lie below one.
    """
    linux = spec.get("linux", {})
    plan = mounts.read_only_operations(spec)
    plan += [ops.readonly(path, f"/linux/readonlyPaths/{i}") for i, path in enumerate(linux.get("readonlyPaths", ()))]
    label = linux.get("mountLabel") or None
    for i, path in enumerate(linux.get("maskedPaths", ())):
        if clean(path) == "/":
            raise InvalidConfig("a mask of / would hide all of the container", f"/linux/maskedPaths/{i}")
    plan += [ops.mask(path, f"/linux/maskedPaths/{i}", label) for i, path in enumerate(linux.get("maskedPaths", ()))]
    return plan
