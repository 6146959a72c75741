"""Security modules, limits of the kernel that stop containers, huge pages, resctrl. Cold."""

import posix

from runtime import files
from runtime.doctor.row import limited, missing, ok
from runtime.host import confinement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.doctor.caller import Caller
    from runtime.doctor.row import Row

SCARCE = 0.9  # of a limit in use: the next containers fail
# sysctl → (the least that many containers need, what fails below it, a better value)
SYSCTLS = {
    "fs.inotify.max_user_instances": (256, "programs in many containers fail to watch files (EMFILE)", 1024),
    "fs.inotify.max_user_watches": (65536, "programs in many containers fail to watch files (ENOSPC)", 524288),
    "kernel.pid_max": (32768, "no more processes in all containers together", 4194304),
    "kernel.threads-max": (16384, "no more threads in all containers together", 128000),
    "fs.file-max": (65536, "no more open files in all containers together", 1048576),
    "vm.max_map_count": (65530, "programs with many mappings fail (ENOMEM)", 262144),
}


def rows(caller: "Caller") -> "Iterator[Row]":
    yield from modules()
    yield from sysctls()
    yield from keys(caller)
    yield huge_pages()
    yield resctrl()


def modules() -> "Iterator[Row]":
    """AppArmor and SELinux: a host has one of them, or none."""
    if confinement.has_apparmor():
        yield ok("AppArmor", "enabled")
    else:
        how = "a kernel with CONFIG_SECURITY_APPARMOR=y, booted with apparmor=1 security=apparmor"
        yield missing("AppArmor", "not enabled", "/process/apparmorProfile is refused", how)
    if confinement.has_selinux():
        enforcing = files.read_or_empty(confinement.SELINUX).strip() == b"1"
        yield ok("SELinux", "enforcing" if enforcing else "permissive")
    else:
        how = "a kernel with CONFIG_SECURITY_SELINUX=y, booted with selinux=1 security=selinux, and a policy"
        yield missing("SELinux", "not enabled", "/process/selinuxLabel and /linux/mountLabel are refused", how)


def number(sysctl: str) -> "int | None":
    text = files.read_or_empty(f"/proc/sys/{sysctl.replace('.', '/')}").decode().strip()
    return int(text) if text.isdigit() else None


def sysctls() -> "Iterator[Row]":
    """Those that are too small for many containers; one row for the others."""
    good = []
    for name, (least, means, better) in SYSCTLS.items():
        value = number(name)
        if value is not None and value < least:
            yield limited(name, str(value), means, f"sysctl -w {name}={better}")
        elif value is not None:
            good.append(f"{name} {value}")
    if good:
        yield ok("sysctls", ", ".join(good))


def keys(caller: "Caller") -> "Iterator[Row]":
    """Each container has a session keyring, which counts for the user."""
    for line in files.read_or_empty("/proc/key-users").decode().splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[0] == f"{caller.uid}:":
            used, _, most = fields[3].partition("/")
            means = "one keyring for each container: the next are not created (EDQUOT)"
            name = "kernel.keys.root_maxkeys" if caller.uid == 0 else "kernel.keys.maxkeys"
            if int(used) >= SCARCE * int(most):
                how = f"sysctl -w {name}={max(2000, 10 * int(most))}, or --no-new-keyring"
                yield limited("keys of the caller", f"{used} of {most} in use", means, how)
            else:
                yield ok("keys of the caller", f"{used} of {most} in use ({name})")


def huge_pages() -> "Row":
    subject, means = "huge pages", "/linux/resources/hugepageLimits"
    try:
        sizes = posix.listdir("/sys/kernel/mm/hugepages")
    except OSError:
        return missing(subject, "none", means, "a kernel with CONFIG_HUGETLBFS=y")
    kibibytes = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in sizes)
    return ok(subject, ", ".join(f"{size >> 20}GB" if size >> 20 else f"{size >> 10}MB" for size in kibibytes))


def resctrl() -> "Row":
    """Intel RDT and its like: the processor, the kernel, the mount."""
    subject, means = "resctrl", "/linux/intelRdt"
    mounted = confinement.resctrl_mount()
    if mounted:
        return ok(subject, f"mounted at {mounted}")
    if b"\tresctrl\n" not in files.read_or_empty("/proc/filesystems"):
        how = "a processor with cache or bandwidth allocation, and a kernel with CONFIG_X86_CPU_RESCTRL=y"
        return missing(subject, "not in the kernel, or not in the processor", means, how)
    return missing(subject, "not mounted", means, "mount -t resctrl resctrl /sys/fs/resctrl")
