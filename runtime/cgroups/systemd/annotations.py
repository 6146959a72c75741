"""`org.systemd.property.NAME` annotations: any property of the unit, as with runc and crun. Pure."""

from runtime.cgroups.systemd.properties import INFINITY, SECOND
from runtime.cgroups.systemd.variants import BITS, parse
from runtime.errors import InvalidConfig
from runtime.files import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.systemd.properties import Property

PREFIX = "org.systemd.property."
SUBGROUP = "run.oci.systemd.subgroup"  # crun's annotation: the name of a cgroup in the unit's
# The runtime itself decides which processes are in the unit, and in which slice it is.
OURS = ("PIDs", "Slice")


def pointer(name: str) -> str:
    """The pointer of the annotation for a property."""
    return "/annotations/" + escape(PREFIX + name)


def properties(annotations: "dict[str, str]") -> "list[Property]":
    """The properties in the order given. InvalidConfig with the pointer for a wrong name or value.

    `...Sec`, in seconds, is systemd's `...USec`, in microseconds.
    """
    if annotations.get(SUBGROUP):
        raise InvalidConfig(
            "no further cgroup is made in the unit's: leave the value empty", f"/annotations/{SUBGROUP}"
        )
    result: list[Property] = []
    for key, text in annotations.items():
        if not key.startswith(PREFIX):
            continue
        name = key.removeprefix(PREFIX)
        if not (name.isascii() and name.isalpha()):
            raise InvalidConfig("no property of systemd has such a name", pointer(name))
        if name in OURS:
            raise InvalidConfig(f"the runtime sets {name} itself", pointer(name))
        try:
            signature, value = parse(text)
            if name.endswith("Sec") and not name.endswith("USec"):
                name, signature, value = f"{name[:-3]}USec", "t", _microseconds(signature, value)
        except ValueError as error:
            message = f"{text[:64]!r} is no value in GVariant text: {error}"
            raise InvalidConfig(message, pointer(key.removeprefix(PREFIX))) from None
        result.append((name, (signature, value)))
    return result


def _microseconds(signature: str, value: object) -> int:
    if not isinstance(value, int | float) or (signature not in BITS and signature != "d"):
        raise ValueError("a number of seconds is needed")
    if not 0 <= value * SECOND <= INFINITY:
        raise ValueError("it is out of range")
    return int(value * SECOND)
