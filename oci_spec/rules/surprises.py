"""Values that the spec allows, and that do something else than they seem to, or nothing. In `validate` only. Cold.

`profile` does the same for seccomp profiles.
"""

from oci_spec.rules import escape, platform
from oci_spec.rules.config import HOOKS
from oci_spec.rules.linux import sysctl_namespace
from oci_spec.rules.process import CAPABILITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import Config, Mount

# Decimal numbers that look like an octal mask or mode that people want. As octal they would be 0033, 0115, 0674, ….
_UMASKS = (22, 27, 37, 77, 117, 137, 177)
_MODES = (220, 222, 440, 444)
# Files of a v2 cgroup that other properties write.
_UNIFIED = {
    "memory.max": "memory/limit",
    "memory.low": "memory/reservation",
    "memory.swap.max": "memory/swap",
    "cpu.weight": "cpu/shares",
    "cpu.max": "cpu/quota",
    "cpu.max.burst": "cpu/burst",
    "cpu.idle": "cpu/idle",
    "cpuset.cpus": "cpu/cpus",
    "cpuset.mems": "cpu/mems",
    "pids.max": "pids/limit",
}
PATH_MAX = 4096  # bytes
# How many names a message lists.
LISTED = 4


def listed(names: "list[str]") -> str:
    """Names for a message, cut to LISTED."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def capabilities_lost(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: at its exec, root keeps what is in bounding or inheritable, another user what is ambient (capabilities(7))."""
    process = spec.get("process", {})
    sets = process.get("capabilities", {})
    uid = process.get("user", {}).get("uid", 0)
    # Of an ambient capability that is not inheritable, `ambient_supported` tells.
    kept = {*sets.get("bounding", ()), *sets.get("inheritable", ())} if uid == 0 else {*sets.get("ambient", ())}
    lost = [name for name in sets.get("permitted", ()) if name not in kept]
    if lost and uid == 0:
        message = f"root loses these when the program is executed, they are not in bounding: {listed(lost)}"
        yield "/process/capabilities/permitted", "warning", message, "add them to bounding, or leave them out"
    elif lost:
        message = f"user {uid} loses these when the program is executed, they are not ambient: {listed(lost)}"
        hint = "add them to inheritable and ambient; a program with file capabilities gets them all the same"
        yield "/process/capabilities/permitted", "warning", message, hint


def capabilities_gained(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: when root executes a program, all of bounding becomes permitted, unless noNewPrivileges is true (capabilities(7))."""
    process = spec.get("process", {})
    sets = process.get("capabilities", {})
    if process.get("user", {}).get("uid", 0) or process.get("noNewPrivileges"):
        return
    permitted = {*sets.get("permitted", ())}
    gained = [name for name in sets.get("bounding", ()) if name not in permitted]
    if gained:
        message = f"root gets these when the program is executed, though they are not permitted: {listed(gained)}"
        yield "/process/capabilities/bounding", "warning", message, "remove them, or set noNewPrivileges"


def inheritable_bounding(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: an inheritable capability is in bounding too (capset(2))."""
    sets = spec.get("process", {}).get("capabilities", {})
    bounding = {*sets.get("bounding", ())}
    for index, name in enumerate(sets.get("inheritable", ())):
        if name not in bounding and name.removeprefix("CAP_") in CAPABILITIES:
            message = f"{name} is inheritable but not in bounding"
            yield f"/process/capabilities/inheritable/{index}", "error", message, "add it to bounding"


def umask_octal(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-platform-user: umask is a decimal number, so 22 is 0026."""
    umask = spec.get("process", {}).get("user", {}).get("umask", 0)
    if umask in _UMASKS:
        message = f"{umask} is decimal, so the umask is {umask:04o}"
        yield "/process/user/umask", "warning", message, f"0{umask:03} is written {int(str(umask), 8)}"


def console_size_used(spec: "Config") -> "Iterator[Finding]":
    """config.md#process: consoleSize is ignored without a terminal."""
    process = spec.get("process", {})
    if process.get("consoleSize") and not process.get("terminal"):
        yield "/process/consoleSize", "warning", "it has no effect without a terminal", "set terminal to true"


def hook_program_name(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-platform-hooks: the first of a hook's args is the program's name, as in execv(3)."""
    for name in HOOKS:
        for index, hook in enumerate(spec.get("hooks", {}).get(name, [])):
            arguments = hook.get("args", ())
            if arguments and arguments[0][:1] == "-":
                message = f"the program takes {arguments[0]} for its own name, and not for an option"
                program = hook.get("path", "").rpartition("/")[2]
                yield f"/hooks/{name}/{index}/args/0", "warning", message, f"put {program} before it"


def _place(path: str) -> str:
    """An absolute path in the container, written in one way."""
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _ways(place: str) -> "Iterator[str]":
    """A place and what is above it, but /. No path of the kernel's is longer than PATH_MAX."""
    while len(place) > 1:
        yield place
        place = place.rpartition("/")[0] if len(place) <= PATH_MAX else ""


def mount_hidden(spec: "Config") -> "Iterator[Finding]":
    """config.md#mounts: mounts are made in their order, so a later one hides what is mounted below it."""
    if platform(spec) == "windows":
        return
    mounts = spec.get("mounts", [])
    covers: dict[str, int] = {}  # place → the next mount on it
    for index in reversed(range(len(mounts))):
        mount, place = mounts[index], _place(mounts[index]["destination"])
        if "remount" in mount.get("options", ()):
            continue
        for above in _ways(place):
            later = covers.get(above)
            if later is not None and not (above == place and _gives_way(mount, mounts[later])):
                message = f"{place} is hidden by the mount on {above}, item {later}, which is made after it"
                hint = "leave one of them out" if place == above else "put it after that one"
                yield f"/mounts/{index}/destination", "warning", message, hint
                break
        covers[place] = index


def _gives_way(mount: "Mount", cover: "Mount") -> bool:
    """Whether a mount is an empty file system that a bind replaces, as containerd does with a pod's /dev/shm."""
    empty = mount.get("type") == "tmpfs" and "tmpcopyup" not in mount.get("options", ())
    return empty and bool({"bind", "rbind"} & set(cover.get("options", ())))


def mount_masked(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#masked-paths: paths are masked after the mounts, which cannot be seen below them."""
    masked = {_place(path) for path in spec.get("linux", {}).get("maskedPaths", ())}
    for index, mount in enumerate(spec.get("mounts", ())):
        place = _place(mount["destination"])
        mask = next((path for path in _ways(place) if path in masked), None)
        if mask:
            message = f"{place} is hidden by the mask of {mask}"
            yield f"/mounts/{index}/destination", "warning", message, f"remove {mask} from maskedPaths"


def path_masked_before(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#readonly-paths: below a masked path nothing is left to be masked or made read-only."""
    linux = spec.get("linux", {})
    masked = {_place(path) for path in linux.get("maskedPaths", ())}
    name: Literal["maskedPaths", "readonlyPaths"]
    for name in ("maskedPaths", "readonlyPaths"):
        for index, path in enumerate(linux.get(name, ())):
            place = _place(path)
            above = (way for way in _ways(place) if way in masked and (way != place or name == "readonlyPaths"))
            mask = next(above, None)
            if mask:
                message = f"{place} has no effect, since {mask} is masked"
                yield f"/linux/{name}/{index}", "warning", message, "leave one of them out"


def device_mode_octal(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#devices: fileMode is a decimal number, so 444 is 0674."""
    for index, device in enumerate(spec.get("linux", {}).get("devices", ())):
        mode = device.get("fileMode", 0)
        if mode in _MODES:
            message = f"{mode} is decimal, so the mode is {mode:04o}"
            yield f"/linux/devices/{index}/fileMode", "warning", message, f"0{mode} is written {int(str(mode), 8)}"


def joined_namespace_kept(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#namespaces: in a namespace that is joined, names and parameters are set for all that is in it."""
    linux = spec.get("linux", {})
    joined = {entry["type"]: entry["path"] for entry in linux.get("namespaces", ()) if entry.get("path")}
    wanted = [(f"/{name}", name, "uts") for name in ("hostname", "domainname") if spec.get(name)]
    wanted += [
        (f"/linux/sysctl/{escape(name)}", name, sysctl_namespace(name.replace("/", "."))[0])
        for name in linux.get("sysctl", ())
    ]
    for pointer, name, kind in wanted:
        if kind in joined and not joined[kind].startswith("/proc/self/"):  # the host's own is refused
            message = f"{name} is set for all in the {kind} namespace {joined[kind]}, not for this container alone"
            yield pointer, "warning", message, "set it in the container that made the namespace"


def unified_once(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#unified: a file that another property writes too gets the value of unified, which is written last."""
    resources = spec.get("linux", {}).get("resources", {})
    for name in resources.get("unified", ()):
        section, _, member = _UNIFIED.get(name, "").partition("/")
        values: dict[str, object] = resources.get(section, {})  # type: ignore[assignment]  # a name of the table
        if values.get(member):
            message = f"{name} replaces what /linux/resources/{section}/{member} sets"
            yield f"/linux/resources/unified/{name}", "warning", message, "leave one of them out"


PROCESS: "tuple[Rule, ...]" = (
    capabilities_lost,
    capabilities_gained,
    inheritable_bounding,
    umask_octal,
    console_size_used,
)
CONFIG: "tuple[Rule, ...]" = (
    *PROCESS,
    hook_program_name,
    mount_hidden,
    mount_masked,
    path_masked_before,
    device_mode_octal,
    joined_namespace_kept,
    unified_once,
)
