"""The first process's ids, capabilities, privileges, labels, working directory and environment."""

import posix

from runtime.plan import capabilities as caps
from runtime.plan.identity import DEFAULT_UMASK

from .check import ITSELF, NOT_STARTED, Check, equal, judge, unknown, words
from .container import outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import CapabilitySet, Process
    from runtime.plan.capabilities import Masks

    from .container import Container

FIELDS: "dict[CapabilitySet, str]" = {
    "inheritable": "CapInh",
    "permitted": "CapPrm",
    "effective": "CapEff",
    "bounding": "CapBnd",
    "ambient": "CapAmb",
}
SECCOMP_MODES = {"0": "none", "1": "strict", "2": "filter"}


def checks(container: "Container") -> "Iterator[Check]":
    """Everything of /process that /proc/PID shows, and linux.seccomp."""
    process = container.spec.get("process")
    if not process:
        return
    yield from _ids(container, process)
    user = process["user"]
    umask = f"{user.get('umask', DEFAULT_UMASK):04o}"
    yield equal("/process/user/umask", "umask", umask, container.status.get("Umask", ""), ITSELF)
    yield _cwd(container, process["cwd"])
    yield from _privileges(container, process)
    yield from _seccomp(container)
    yield from _labels(container, process)
    yield from _environment(container, process)


def _ids(container: "Container", process: "Process") -> "Iterator[Check]":
    user = process["user"]
    given = (
        ("uid", "Uid", user["uid"], container.uids),
        ("gid", "Gid", user["gid"], container.gids),
    )
    for name, field, number, mappings in given:
        wanted = outside(number, mappings)
        actual = sorted(set(container.status.get(field, "").split()))
        text = ", ".join(_inside(one, mappings) for one in actual)
        yield judge(f"/process/user/{name}", name, str(number), text, actual == [str(wanted)], ITSELF)
    pointer, what = "/process/user/additionalGids", "supplementary groups"
    groups = {str(number) for number in user.get("additionalGids", [])}
    expected = ", ".join(sorted(groups, key=int)) or "none"
    if not groups and container.facts["deny_setgroups"]:
        return  # none asked for: those of create's caller stay
    if container.facts["keep_groups"]:
        yield unknown(pointer, what, expected, "the annotation keeps those of create's caller")
        return
    present = {_inside(number, container.gids) for number in container.status.get("Groups", "").split()}
    yield equal(
        pointer, what, expected, ", ".join(sorted(present, key=lambda text: (len(text), text))) or "none", ITSELF
    )


def _inside(number: str, mappings: "list[tuple[int, int, int]]") -> str:
    """An id of /proc as the container sees it."""
    for first, other, size in mappings:
        if other <= int(number) < other + size:
            return str(first + int(number) - other)
    return f"{number} of the host"


def _cwd(container: "Container", path: str) -> Check:
    """By the directory, not by its name: that differs with the root it is seen from."""
    try:
        actual, there = posix.readlink(f"/proc/{container.pid}/cwd"), posix.stat(f"/proc/{container.pid}/cwd")
        with container.tree.open(path) as node:
            wanted = node.status
    except OSError as error:
        return unknown("/process/cwd", "working directory", path, words(error))
    same = (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino)
    return judge("/process/cwd", "working directory", path, path if same else actual, same, ITSELF)


def after_exec(sets: "Masks", uid: int, no_new_privs: bool) -> "Masks":
    """The sets after execve of a program without file capabilities (capabilities(7), "Transformation"). Pure."""
    ambient, bounding, inheritable = sets["ambient"], sets["bounding"], sets["inheritable"]
    permitted = ambient
    if uid == 0:
        permitted = inheritable | bounding
        if no_new_privs:  # no more than before
            permitted &= sets["permitted"]
        permitted |= ambient
    return {**sets, "permitted": permitted, "effective": permitted}


def _privileges(container: "Container", process: "Process") -> "Iterator[Check]":
    no_new_privs = bool(process.get("noNewPrivileges"))
    actual = container.status.get("NoNewPrivs") == "1"
    texts = ("not set", "set")
    yield judge("/process/noNewPrivileges", "no_new_privs", texts[no_new_privs], texts[actual], no_new_privs == actual,
                "" if no_new_privs else ITSELF)  # fmt: skip
    given = process.get("capabilities")
    if given is None and container.rows is None:  # other runtimes differ there
        yield unknown("/process", "capabilities", "", "the config has none, which each runtime reads in its own way")
        return
    sets, _ = caps.masks(given or {}, container.facts["capabilities"])
    sets = after_exec(sets, process["user"]["uid"], no_new_privs)
    for kind, field in FIELDS.items():
        pointer = f"/process/capabilities/{kind}"
        if not container.started and kind != "bounding":
            yield unknown(pointer, f"{kind} capabilities", names(sets[kind]), NOT_STARTED)
            continue
        yield _set(pointer, kind, sets[kind], int(container.status.get(field, "0"), 16))


def _set(pointer: str, kind: str, wanted: int, present: int) -> Check:
    """One set; of two that differ only what differs is shown."""
    more, less = names(present & ~wanted), names(wanted & ~present)
    # A process can give up capabilities, but not gain any.
    note = ITSELF if less and not present & ~wanted else ""
    if present == wanted:
        return judge(pointer, f"{kind} capabilities", names(wanted), names(present), True)
    expected = less if not more else f"{less or 'nothing more'}"
    actual = "without them" if not more else f"also {more}" if not less else f"instead {more}"
    return judge(pointer, f"{kind} capabilities", expected, actual, False, note)


def names(mask: int) -> str:
    """A set as text; bits without a name by their number."""
    known = [name for name, bit in caps.BITS.items() if mask & bit]
    rest = mask >> len(caps.NAMES)
    return ", ".join(known + ([f"unnamed {rest:#x}"] if rest else [])) or "none"


def _seccomp(container: "Container") -> "Iterator[Check]":
    """The mode, and how many filters there are, less those that the caller has too."""
    profile = container.spec["linux"].get("seccomp")
    pointer, what = "/linux/seccomp", "seccomp"
    from runtime import files

    own = dict(
        line.split(":\t") for line in files.read("/proc/self/status").decode().splitlines() if line[:8] == "Seccomp_"
    )
    inherited = int(own.get("Seccomp_filters", "0"))
    expected = "filter" if profile else "none"
    if not container.started:
        if profile:
            yield unknown(pointer, what, expected, NOT_STARTED)
        return
    count = max(int(container.status.get("Seccomp_filters", "0")) - inherited, 0)
    mode = SECCOMP_MODES.get(container.status.get("Seccomp", ""), "")
    actual = "none" if mode == "filter" and not count and inherited else mode
    yield equal(pointer, what, expected, actual, "" if profile else ITSELF)
    if profile and "Seccomp_filters" in container.status:
        yield judge(pointer, "seccomp filters", "1", str(count), count == 1, ITSELF if count > 1 else "")


def _labels(container: "Container", process: "Process") -> "Iterator[Check]":
    profile, label = process.get("apparmorProfile"), process.get("selinuxLabel")
    if profile:
        yield _label(
            container, "/process/apparmorProfile", "AppArmor profile", profile, ("apparmor/current", "current")
        )
    if label:
        yield _label(container, "/process/selinuxLabel", "SELinux label", label, ("current",))


def _label(container: "Container", pointer: str, what: str, expected: str, files: "tuple[str, ...]") -> Check:
    if not container.started:
        return unknown(pointer, what, expected, NOT_STARTED)
    actual = ""
    for name in files:
        try:
            actual = container.text(f"attr/{name}").rstrip("\0\n")
            break
        except PermissionError as error:
            return unknown(pointer, what, expected, words(error))
        except OSError:  # ENOENT, EINVAL: this kernel has no such module
            continue
    actual = actual.partition(" (")[0]
    return judge(pointer, what, expected, actual or "none", actual == expected)


def _environment(container: "Container", process: "Process") -> "Iterator[Check]":
    """Each variable of the config; the program may have more. The kernel shows the memory it was started with."""
    entries = {entry.partition("=")[0]: (index, entry) for index, entry in enumerate(process.get("env", ()))}
    if not entries:
        return
    if not container.started:
        yield unknown("/process/env", "environment", "", NOT_STARTED)
        return
    try:
        present = set(container.text("environ").split("\0"))
    except OSError as error:
        yield unknown("/process/env", "environment", "", words(error))
        return
    for name, (index, entry) in entries.items():
        if entry == "HOME=":  # counts as unset
            continue
        actual = next((other for other in present if other.partition("=")[0] == name), "not set")
        # No values: they may be secrets.
        same = entry in present
        shown = name if same else name if actual == "not set" else f"{name} with its value"
        text = shown if same else actual if actual == "not set" else f"{name} with another"
        yield judge(f"/process/env/{index}", "environment", shown, text, same, ITSELF)
