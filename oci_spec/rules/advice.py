"""Rules on the document rather than the container: conventions, style, values that nothing reads. Warnings, in `validate` only."""

from oci_spec.rules import escape, platform
from oci_spec.rules.process import CAPABILITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import CapabilitySet, Config

_SETS: "tuple[CapabilitySet, ...]" = ("bounding", "permitted", "effective", "inheritable", "ambient")
_RESERVED = "org.opencontainers."
# image-spec's conversion.md, then its annotations.md, which labels of images follow.
_IMAGE_KEYS = frozenset(
    """os os.version os.features architecture variant author created stopSignal exposedPorts
    authors url documentation source version revision vendor licenses ref.name title description base.digest base.name""".split()
)
_SIGNALS = frozenset(
    """ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP
    TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX""".split()
)


def root_path_custom(spec: "Config") -> "Iterator[Finding]":
    """config.md#root: inside a bundle the root file system should be called rootfs."""
    path = spec.get("root", {}).get("path", "")
    if path and path[0] != "/" and path.strip("./") != "rootfs" and platform(spec) == "linux":
        yield (
            "/root/path",
            "warning",
            f"by custom the root file system is called rootfs, not {path}",
            "call the directory rootfs",
        )


def mount_mappings_idmap(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-platform-mounts: a mount with mappings should have idmap or ridmap, so that no old runtime overlooks them."""
    for index, mount in enumerate(spec.get("mounts", ())):
        if mount.get("uidMappings") or mount.get("gidMappings"):
            options = mount.get("options", ())
            if "idmap" not in options and "ridmap" not in options:
                message = "a mount with mappings should have the option idmap or ridmap"
                yield f"/mounts/{index}/options", "warning", message, 'add "idmap"'


def process_to_start(spec: "Config") -> "Iterator[Finding]":
    """config.md#process: a container without a process can be created, but not started."""
    if "process" not in spec:
        yield "/process", "warning", "there is nothing to start: the container can only be created", "add a process"


def default_filesystems(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#default-filesystems: /proc, /sys, /dev/pts and /dev/shm should be there. The runtime does not add them."""
    if "linux" not in spec or "process" not in spec:
        return
    mounts = spec.get("mounts", ())
    mounted = [mount.get("destination", "").rstrip("/") for mount in mounts]
    if any(mount.get("destination") == "/dev" and "rbind" in mount.get("options", ()) for mount in mounts):
        mounted += ["/dev/pts", "/dev/shm"]  # /dev bound with the mounts below it
    missing = [path for path in ("/proc", "/sys", "/dev/pts", "/dev/shm") if path not in mounted]
    if missing:
        yield (
            "/mounts",
            "warning",
            f"programs expect {', '.join(missing)}, which no mount provides",
            "ocirun spec shows the usual mounts",
        )


def device_once(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#devices: the same type, major and minor should be listed once."""
    seen: dict[tuple[object, ...], str] = {}
    for index, device in enumerate(spec.get("linux", {}).get("devices", ())):
        numbers = (device["type"], device.get("major"), device.get("minor"))
        if device["type"] != "p" and seen.setdefault(numbers, device["path"]) != device["path"]:
            yield (
                f"/linux/devices/{index}",
                "warning",
                f"{device['path']} is the same device as {seen[numbers]}",
                "leave one out",
            )


def capability_known(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: an unknown capability is left out with a warning (`create` does so in the plan)."""
    sets = spec.get("process", {}).get("capabilities", {})
    for name in _SETS:
        for index, capability in enumerate(sets.get(name, [])):
            if capability[:4] != "CAP_" or capability[4:] not in CAPABILITIES:
                pointer = f"/process/capabilities/{name}/{index}"
                yield (
                    pointer,
                    "warning",
                    f"{capability} is not a known capability, it is left out",
                    "ocirun features lists those that are known",
                )


def ambient_supported(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: the kernel raises an ambient capability only if it is permitted and inheritable too. (Root does without.)"""
    process = spec.get("process", {})
    sets = process.get("capabilities", {})
    kept = () if process.get("user", {}).get("uid", 0) else sets.get("bounding", ())
    name: Literal["permitted", "inheritable"]
    for name in ("permitted", "inheritable"):
        lacking = [one for one in sets.get("ambient", ()) if one not in sets.get(name, ()) and one not in kept]
        if lacking:
            message = f"ambient capabilities that are not {name} are left out: {', '.join(lacking)}"
            yield "/process/capabilities/ambient", "warning", message, f"add them to {name}"


def annotation_key_domain(spec: "Config") -> "Iterator[Finding]":
    """config.md#annotations: keys should be in reverse-domain notation."""
    for key in spec.get("annotations", ()):
        if key and "." not in key:
            message = f"the key {key} is not in reverse-domain notation"
            yield f"/annotations/{escape(key)}", "warning", message, f"com.example.{key}"


def annotation_reserved(spec: "Config") -> "Iterator[Finding]":
    """config.md#annotations: keys under org.opencontainers belong to the specs, and few are defined."""
    for key in spec.get("annotations", ()):
        if key.startswith(_RESERVED) and not _defined(key):
            message = f"keys under {_RESERVED[:-1]} are reserved, and {key} is not defined"
            yield f"/annotations/{escape(key)}", "warning", message, "take a domain of your own"


def _defined(key: str) -> bool:
    return key.removeprefix(_RESERVED + "image.") in _IMAGE_KEYS


def annotation_stop_signal(spec: "Config") -> "Iterator[Finding]":
    """config.md#annotations: org.opencontainers.image.stopSignal names a signal."""
    key = "org.opencontainers.image.stopSignal"
    value = spec.get("annotations", {}).get(key, "TERM")
    name = value.upper().removeprefix("SIG")
    if name.split("+")[0].split("-")[0] not in _SIGNALS and not (name.isdigit() and 0 < int(name) < 65):
        yield f"/annotations/{key}", "warning", f"{value!r} is not a signal", "write it like SIGTERM or 15"


CONFIG: "tuple[Rule, ...]" = (
    root_path_custom,
    mount_mappings_idmap,
    process_to_start,
    default_filesystems,
    device_once,
    capability_known,
    ambient_supported,
    annotation_key_domain,
    annotation_reserved,
    annotation_stop_signal,
)
PROCESS: "tuple[Rule, ...]" = (capability_known, ambient_supported)
DOCUMENT: "tuple[Rule, ...]" = (annotation_key_domain,)
