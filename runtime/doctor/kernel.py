"""The kernel: its version, its options, the system calls that there are. Cold."""

import posix
import zlib
from errno import EACCES, ENOSYS, EPERM

from runtime import files
from runtime.doctor import trial
from runtime.doctor.row import limited, missing, ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.doctor.row import Row

OLDEST = (5, 14)  # what ocirun is tested with
ANY = (1 << 64) - 1  # an argument that no kernel takes

# option → what does not work without it. What can be tried, as namespaces and controllers, has rows of its own.
OPTIONS = {
    "NAMESPACES": "every namespace",
    "CGROUPS": "/linux/resources",
    "FAIR_GROUP_SCHED": "/linux/resources/cpu/shares",
    "CFS_BANDWIDTH": "/linux/resources/cpu/quota, period, burst",
    "BLK_DEV_THROTTLING": "/linux/resources/blockIO/throttle*",
    "BFQ_GROUP_IOSCHED": "/linux/resources/blockIO/weight",
    "CGROUP_BPF": "/linux/resources/devices on cgroup v2",
    "UCLAMP_TASK": "/process/scheduler/flags SCHED_FLAG_UTIL_CLAMP_MIN, _MAX",
    "CHECKPOINT_RESTORE": "checkpoint and restore",
    "NETFILTER": "networks of most managers: port forwarding, address translation",
    "VETH": "networks of most managers",
    "BRIDGE": "networks of most managers",
}
# System calls, with arguments that the kernel refuses at once, and what a missing one means.
CALLS: "dict[str, tuple[str, tuple[int | None, ...], str]]" = {
    "clone3": ("5.3", (None, 0), "a process cannot be born in its cgroup; ocirun does without"),
    "close_range": ("5.9", (1, 0, 0), "descriptors are closed one by one"),
    "openat2": ("5.6", (ANY, None, None, 0), "paths in the container cannot be resolved safely"),
    "open_tree": (
        "5.2",
        (ANY, None, ANY),
        "mounts by descriptor: bind mounts in user namespaces, /mounts/*/uidMappings",
    ),
    "mount_setattr": ("5.12", (ANY, None, ANY, None, 0), "/mounts/*/uidMappings, recursive options such as rro"),
    "pidfd_open": ("5.3", (ANY, ANY), "--pidfd-socket"),
    "pidfd_send_signal": ("5.1", (ANY, 0, None, ANY), "signals to the right process after its id was used again"),
    "memfd_create": ("3.17", (None, ANY), "init cannot be protected from the container in memory"),
    "keyctl": ("2.6.10", (ANY,), "a session keyring of the container's own: --no-new-keyring is needed"),
    "bpf": ("4.15", (ANY, None, 0), "/linux/resources/devices on cgroup v2"),
    "set_mempolicy": ("2.6.7", (ANY, None, 0), "/linux/memoryPolicy"),
    "sched_setattr": ("3.14", (0, None, 0), "/process/scheduler"),
}
# Its refusal is no sign that the call is not there.
UNPRIVILEGED = ("bpf",)


def rows() -> "Iterator[Row]":
    yield version()
    yield from calls()
    yield from options()


def release() -> str:
    return posix.uname().release


def version() -> "Row":
    """The kernel's version."""
    text = release()
    numbers = text.partition("-")[0].split(".")
    known = tuple(int(number) for number in numbers[:2] if number.isdigit())
    if len(known) == 2 and known < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return limited(
            "kernel", f"Linux {text}", f"ocirun is tested with Linux {oldest} and newer", "install a newer kernel"
        )
    return ok("kernel", f"Linux {text}")


def calls() -> "Iterator[Row]":
    """The system calls that ocirun makes beyond the old ones."""
    there = []
    for name, (since, arguments, means) in CALLS.items():
        error = trial.system_call(name, *arguments)
        if error == ENOSYS:
            remedy = f"Linux {since} or newer has it; in a container a seccomp filter may hide it"
            yield missing(f"system call {name}", "not there", means, remedy)
        elif error in (EPERM, EACCES) and name not in UNPRIVILEGED:
            remedy = "run doctor outside, or allow the call in the profile of the container that you are in"
            yield missing(f"system call {name}", "refused, by a seccomp filter or a security module", means, remedy)
        else:
            there.append(name)
    if there:
        yield ok("system calls", ", ".join(there))


def option_file() -> "tuple[str, str]":
    """(the file that has the options of the running kernel, its text); ("", "") if there is none that can be read."""
    name = release()
    for path in (
        "/proc/config.gz",
        f"/boot/config-{name}",
        f"/lib/modules/{name}/config",
        f"/usr/lib/kernel/config-{name}",
        f"/usr/lib/ostree-boot/config-{name}",
    ):
        try:
            data = files.read(path)
        except OSError:
            continue
        return path, unpacked(data).decode(errors="replace") if path.endswith(".gz") else data.decode(errors="replace")
    return "", ""


def unpacked(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=31)


def options() -> "Iterator[Row]":
    """The options of the running kernel, where a file tells them."""
    path, text = option_file()
    if not text:
        found = "no /proc/config.gz, and no config file of this kernel in /boot or /lib/modules"
        means = "the other rows show what could be tried, and not the options behind it"
        yield limited(
            "kernel options", found, means, "modprobe configs, or install the package that has the kernel's config"
        )
        return
    given = set_options(text)
    present = [name for name in OPTIONS if name in given]
    yield ok("kernel options", f"{len(present)} of {len(OPTIONS)} that concern containers ({path})")
    for name, means in OPTIONS.items():
        if name not in given:
            yield missing(f"CONFIG_{name}", "not set", means, f"a kernel with CONFIG_{name}=y")


def set_options(text: str) -> "set[str]":
    """The options that are y or m, without CONFIG_."""
    lines = (line.partition("=") for line in text.split("\n") if line.startswith("CONFIG_"))
    return {name[7:] for name, _, value in lines if value in ("y", "m")}
