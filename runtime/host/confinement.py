"""Whether the host has AppArmor, SELinux and resctrl. Imported only for a config that asks for one."""

import posix

from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec import Row
    from oci_spec.types import Config

APPARMOR = "/sys/module/apparmor/parameters/enabled"
PROFILES = "/sys/kernel/security/apparmor/profiles"
SELINUX = "/sys/fs/selinux/enforce"


def read(path: str, default: str = "") -> str:
    """The file's content; ``default`` if it cannot be read."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return default
    try:
        data = b""
        while piece := posix.read(descriptor, 1 << 16):
            data += piece
        return data.decode("utf-8", "surrogateescape")
    except OSError:
        return default
    finally:
        posix.close(descriptor)


def has_apparmor() -> bool:
    return read(APPARMOR)[:1] == "Y"


def has_selinux() -> bool:
    """Whether a policy is loaded: before that every process has the label "kernel"."""
    return bool(read(SELINUX)) and read("/proc/self/attr/current").rstrip("\0\n") not in ("", "kernel")


def resctrl_mount() -> "str | None":
    """The mount point of resctrl; None if it is not mounted."""
    from runtime.host import mountinfo

    return next((mount.point for mount in mountinfo.of_process().all if mount.type == "resctrl"), None)


def check_apparmor(spec: "Config") -> "Iterator[Row]":
    """With apparmorProfile, the host has AppArmor and has loaded the profile."""
    profile = spec.get("process", {}).get("apparmorProfile")
    if not profile:
        return
    pointer, message, hint = "/process/apparmorProfile", "", "leave apparmorProfile out"
    if not has_apparmor():
        message = f"{profile!r} cannot be applied: AppArmor is not enabled on this host"
    else:
        # One line per profile: "name (mode)". Only the kernel can resolve stacks and other namespaces.
        loaded = {line.rpartition(" (")[0] for line in read(PROFILES, f"{profile} (unknown)").splitlines()}
        plain = "//&" not in profile and not profile.startswith(":") and profile != "unconfined"
        if plain and profile not in loaded:
            message, hint = f"the profile {profile!r} is not loaded", "load it with apparmor_parser"
    if message:
        yield pointer, "error", message, hint, "host:apparmor"


def check_selinux(spec: "Config") -> "Iterator[Row]":
    """With selinuxLabel or mountLabel, the host has SELinux with a policy."""
    asked = {
        "/process/selinuxLabel": spec.get("process", {}).get("selinuxLabel"),
        "/linux/mountLabel": spec.get("linux", {}).get("mountLabel"),
    }
    for pointer, label in asked.items():
        name = pointer.rpartition("/")[2]
        if label and not has_selinux():
            message = f"{label!r} cannot be applied: SELinux is not enabled on this host"
            yield pointer, "error", message, f"leave {name} out", "host:selinux"


def check_resctrl(spec: "Config") -> "Iterator[Row]":
    """With intelRdt, resctrl is mounted."""
    if spec.get("linux", {}).get("intelRdt") and resctrl_mount() is None:
        message = "cannot be applied: no resctrl file system is mounted on this host"
        yield "/linux/intelRdt", "error", message, "mount -t resctrl resctrl /sys/fs/resctrl", "host:resctrl"


def rows(spec: "Config") -> "list[Row]":
    return [*check_apparmor(spec), *check_selinux(spec), *check_resctrl(spec)]


def require(spec: "Config") -> None:
    """InvalidConfig for the first row: for `exec`, whose process is not checked elsewhere."""
    for pointer, _, message, hint, _ in rows(spec):
        raise InvalidConfig(f"{message}; {hint}" if hint else message, pointer)
