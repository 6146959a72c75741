"""Names, sysctls, network devices and the resctrl group: what the container's namespaces have."""

from runtime import files
from runtime.errors import OcirunError
from runtime.files import escape
from runtime.plan.rootfs import sysctl_path

from . import inside
from .check import ITSELF, Check, gone, judge, unknown, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .container import Container

NAMES = {"hostname": "sys/kernel/hostname", "domainname": "sys/kernel/domainname"}
DEVICES = "self/net/dev"


def checks(container: "Container") -> "Iterator[Check]":
    """One child reads all of them."""
    wanted = list(_wanted(container))
    if wanted:
        try:
            answers = inside.ask(container.pid, [path for _, _, path, _ in wanted], container.facts["privileged"])
        except (OSError, OcirunError) as error:
            for pointer, what, _, expected in wanted:
                yield unknown(pointer, what, expected, f"enter the namespaces: {words(error)}")
        else:
            for pointer, what, path, expected in wanted:
                yield _answered(pointer, what, path, expected, answers[path])
    yield from _resctrl(container)


def _wanted(container: "Container") -> "Iterator[tuple[str, str, str, str]]":
    """(pointer, what, path below /proc, expected)."""
    spec = container.spec
    for name, path in NAMES.items():
        if text := spec.get(name):
            yield f"/{name}", name, path, str(text)
    for name, value in spec["linux"].get("sysctl", {}).items():
        if {"", ".", ".."} & set(sysctl_path(name).split("/")):
            continue  # not below /proc/sys: `create` refuses it
        yield f"/linux/sysctl/{escape(name)}", name, sysctl_path(name), value
    for name, device in spec["linux"].get("netDevices", {}).items():
        yield f"/linux/netDevices/{escape(name)}", "network device", DEVICES, device.get("name") or name


def _answered(pointer: str, what: str, path: str, expected: str, answer: object) -> Check:
    if not isinstance(answer, str):
        error = OSError(answer, "")
        return unknown(pointer, what, expected, f"/proc/{path}: {words(error)}")
    if path == DEVICES:
        names = {line.partition(":")[0].strip() for line in answer.splitlines() if ":" in line}
        found = [name for name in sorted(names) if _is_named(name, expected)]
        return judge(pointer, what, expected, found[0], True) if found else gone(pointer, what, expected)
    actual = " ".join(answer.split())
    note = ITSELF if path in NAMES.values() else ""
    return judge(pointer, what, expected, actual, actual == " ".join(expected.split()), note)


def _is_named(name: str, wanted: str) -> bool:
    """The kernel puts a number in the place of "%d"."""
    start, pattern, end = wanted.partition("%d")
    number = name.removeprefix(start).removesuffix(end)
    return name == wanted or bool(pattern and name == f"{start}{number}{end}" and number.isdigit())


def _resctrl(container: "Container") -> "Iterator[Check]":
    wanted = container.spec["linux"].get("intelRdt")
    if not wanted:
        return
    from runtime import resctrl
    from runtime.host.confinement import resctrl_mount

    pointer, what = resctrl.POINTER, "resctrl group"
    mount = resctrl_mount()
    if mount is None:
        yield unknown(pointer, what, "", "no resctrl file system is mounted on this host")
        return
    rows = container.resctrl or (
        resctrl.survey(wanted, container.id, mount) if wanted.get("closID") or container.id else None
    )
    if rows is None:
        yield unknown(pointer, what, "", "the group is named for the container, whose id is not known")
        return
    for tasks in rows["tasks"]:
        group = tasks.rpartition("/")[0]
        try:
            members = files.read(tasks).split()
        except OSError as error:
            yield unknown(pointer, what, group, words(error))
            continue
        present = str(container.pid).encode() in members
        yield judge(pointer, what, group, group if present else "not in it", present)
