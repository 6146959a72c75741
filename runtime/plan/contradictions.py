"""Values that contradict others: mount options that later ones take back, a swap limit alone. Pure and cold: for `validate`."""

from .mount_options import ATTRIBUTE, OPTIONS, PROPAGATION, RECURSIVE, SUPERBLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec import Row
    from oci_spec.types import Config

RULE, SWAP = "kernel:mount_options", "kernel:swap_limit"
# Options that a mount may have more than once.
_REPEATED = ("lowerdir+", "datadir+", "context")
# What only mount(8) reads: they imply others, which may be taken back ("user,exec").
_IMPLYING = ("user", "users", "owner", "group")
# Octal modes that people write in decimal, where the digits are octal too.
_DECIMAL = {"511": "0777", "420": "0644", "1023": "01777"}


def rows(spec: "Config") -> "Iterator[Row]":
    """Rows of a config that schema and rules accept."""
    yield from _options(spec)
    memory = spec.get("linux", {}).get("resources", {}).get("memory", {})
    if memory.get("swap", 0) > 0 and "limit" not in memory:
        message = "swap, which is memory and swap together, cannot be limited without a memory limit"
        yield "/linux/resources/memory/swap", "error", message, "add limit, which is at most as large", SWAP


def _options(spec: "Config") -> "Iterator[Row]":
    """A warning for each option that a later one takes back, and for a mode in decimal."""
    for index, mount in enumerate(spec.get("mounts", ())):
        options = mount.get("options", [])
        bound = bool({"bind", "rbind"} & set(options))
        later: dict[str, None] = {}  # known options after this one
        last: dict[str, str] = {}  # name → option, of the file system's own
        for place in reversed(range(len(options))):
            name, pointer = options[place], f"/mounts/{index}/options/{place}"
            key, equals, mode = name.partition("=")
            if name in OPTIONS:
                taken = next((other for other in later if _takes_back(name, other)), name)
                later[name] = None
            else:
                taken = last.setdefault(key, name) if equals and not bound and key not in _REPEATED else name
            if taken != name:
                message = f"{name} has no effect, the later {taken} counts"
                yield pointer, "warning", message, "leave one of them out", RULE
            if key == "mode" and not bound and mode in _DECIMAL:
                message = f"{name} is octal, {int(mode, 8)} in decimal"
                yield pointer, "warning", message, f"{_DECIMAL[mode]} is written mode={_DECIMAL[mode]}", RULE


def _takes_back(name: str, later: str) -> bool:
    """Whether ``later`` undoes an option before it."""
    kind, bits, cleared = OPTIONS[name]
    other, now, gone = OPTIONS[later]
    if kind != other or name in _IMPLYING or later in _IMPLYING:
        return False
    if kind in (ATTRIBUTE, RECURSIVE, SUPERBLOCK):
        return bool(bits & gone and not bits & now) or bool(not bits and cleared & now and not cleared & gone)
    return kind == PROPAGATION and name != later and {name.strip("r"), later.strip("r")} != {"slave", "shared"}
