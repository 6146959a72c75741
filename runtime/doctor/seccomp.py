"""Seccomp in the kernel and in libseccomp, and executable memfds. Cold."""

from _struct import pack
from errno import EFAULT

from runtime import files
from runtime.doctor import trial
from runtime.doctor.row import limited, missing, ok
from runtime.plan.seccomp import ACTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.doctor.row import Row

# linux/prctl.h and linux/seccomp.h
PR_SET_SECCOMP, MODE_FILTER, GET_ACTION_AVAIL = 22, 2, 2
OLDEST_LIBRARY = (2, 5)
SINCE = {"SCMP_ACT_KILL_PROCESS": "4.14", "SCMP_ACT_LOG": "4.14", "SCMP_ACT_NOTIFY": "5.0"}


def rows(library: str) -> "Iterator[Row]":
    """``library``: the version of libseccomp, "" without one."""
    means = "/linux/seccomp, which most managers ask for"
    # A filter at address 0 cannot be read; without the option the mode is not known.
    if trial.system_call("prctl", PR_SET_SECCOMP, MODE_FILTER, None) == EFAULT:
        yield ok("seccomp filters", "can be loaded")
        yield from actions()
    else:
        yield missing("seccomp filters", "not in the kernel", means, "a kernel with CONFIG_SECCOMP_FILTER=y")
    if not library:
        yield missing("libseccomp", "not found", means, "apt install libseccomp2")
    elif tuple(int(part) for part in library.split(".")[:2] if part.isdigit()) < OLDEST_LIBRARY:
        yield limited("libseccomp", library, "actions and architectures that it does not know", "version 2.5 or newer")
    else:
        yield ok("libseccomp", library)
    yield from executable_memfds()


def actions() -> "Iterator[Row]":
    """The actions that the kernel takes."""
    there = []
    for name, number in ACTIONS.items():
        if trial.system_call("seccomp", GET_ACTION_AVAIL, 0, pack("=I", number)) == 0:
            there.append(name)
        else:
            remedy = f"Linux {SINCE.get(name, '4.14')} or newer"
            yield missing(f"seccomp action {name}", "not in the kernel", f"/linux/seccomp with {name}", remedy)
    yield ok("seccomp actions", ", ".join(name.removeprefix("SCMP_ACT_") for name in there))


def executable_memfds() -> "Iterator[Row]":
    """vm.memfd_noexec: 2 forbids executable memfds, which ocirun starts init from if it can."""
    value = files.read_or_empty("/proc/sys/vm/memfd_noexec").decode().strip()
    if value == "2":
        means = "init starts from a file of --root or a tmpfs instead: containers need a little more memory"
        yield limited("executable memfds", "vm.memfd_noexec is 2", means, "sysctl -w vm.memfd_noexec=1")
    else:
        yield ok("executable memfds", f"vm.memfd_noexec is {value}" if value else "no switch against them")
