"""Options that a file system itself reads, in the form in which the kernel reads them. Pure and cold: for `validate`.

The kernel answers a wrong one with "invalid argument" for the whole mount. Sources: tmpfs(5), proc(5), the kernel's
Documentation/filesystems (devpts, overlayfs, tmpfs, proc), Documentation/admin-guide/mm/hugetlbpage.rst and cgroup-v2.rst.
"""

from .mount_options import NAMES, OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec import Row
    from oci_spec.types import Config

    Form = int | tuple[str, ...]

# Forms of a value. A tuple has the values that are allowed.
NONE, ANY, SIZE, PORTION, START, NUMBER, OCTAL, ID = range(8)
SWITCH = ("on", "off")

_OWNER: "dict[str, Form]" = {"uid": ID, "gid": ID, "mode": OCTAL}
_QUOTAS = [f"{who}quota_{what}_hardlimit" for who in ("usr", "grp") for what in ("block", "inode")]
TYPES: "dict[str, dict[str, Form]]" = {
    "tmpfs": {
        **_OWNER,
        "size": PORTION,
        **dict.fromkeys(("nr_blocks", "nr_inodes", *_QUOTAS), SIZE),
        "huge": ("never", "always", "within_size", "advise", "deny", "force"),
        "mpol": ANY,
        **dict.fromkeys(("inode32", "inode64", "noswap", "quota", "usrquota", "grpquota"), NONE),
    },
    "devpts": {**_OWNER, "ptmxmode": OCTAL, "newinstance": NONE, "max": NUMBER},
    "proc": {
        "gid": ID,
        "hidepid": ("0", "1", "2", "4", "off", "noaccess", "invisible", "ptraceable"),
        "subset": ("pid",),
        "pidns": ANY,
    },
    "sysfs": {},
    "mqueue": {},
    "ramfs": {"mode": OCTAL},
    # What follows the number is not looked at.
    "hugetlbfs": {**_OWNER, **dict.fromkeys(("size", "min_size", "pagesize", "nr_inodes"), START)},
    "overlay": {
        **dict.fromkeys(("lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir"), ANY),
        "redirect_dir": ("on", "off", "follow", "nofollow"),
        **dict.fromkeys(("index", "nfs_export", "metacopy"), SWITCH),
        "xino": ("on", "off", "auto"),
        "uuid": ("on", "off", "null", "auto"),
        "verity": ("on", "off", "require"),
        **dict.fromkeys(("userxattr", "volatile", "default_permissions", "override_creds"), NONE),
    },
    "cgroup2": dict.fromkeys(
        (
            "nsdelegate",
            "favordynmods",
            "memory_localevents",
            "memory_recursiveprot",
            "memory_hugetlb_accounting",
            "pids_localevents",
        ),
        NONE,
    ),
}
# What the kernel itself or a security module reads, whatever the file system.
COMMON = ("source", "context", "fscontext", "defcontext", "rootcontext", "seclabel")
_UNITS = "kmgtpe"


RULE = "kernel:mount_data"


def rows(spec: "Config") -> "Iterator[Row]":
    """What is no option of the mount is the file system's (config.md#mounts), and has to be one of it."""
    for index, mount in enumerate(spec.get("mounts", ())):
        options = mount.get("options", ())
        known = TYPES.get(mount.get("type", ""))
        if known is None or {"bind", "rbind"} & set(options):
            continue
        for place, option in enumerate(options):
            name, equals, value = option.partition("=")
            if option in OPTIONS or not name or name in COMMON or option.startswith(("x-", "X-", "comment=")):
                continue
            pointer = f"/mounts/{index}/options/{place}"
            if name not in known:
                yield pointer, "error", f"{mount['type']} has no option {name}", _nearest(name, known), RULE
                continue
            fault = _fault(known[name], bool(equals), value)
            if fault:
                yield pointer, "error", f"{option}: {fault[0]}", fault[1], RULE


def _nearest(name: str, known: "dict[str, Form]") -> str:
    from oci_spec.nearest import nearest

    near = nearest(name, known) or nearest(name, NAMES, 0.75)
    return f"did you mean {near}?" if near else f"it has {', '.join(known)}" if known else "leave it out"


def _fault(form: "Form", given: bool, value: str) -> "tuple[str, str | None] | None":
    """What is wrong with a value, and what to write; None if nothing is."""
    if form == NONE:
        return ("it takes no value", "leave the value out") if given else None
    if not given or not value:
        return "it needs a value", "write it after an equals sign"
    if isinstance(form, tuple):
        return None if value in form else (f"{value} is none of {', '.join(form)}", f"write {form[0]}, for example")
    if form in (NUMBER, ID):
        return None if value.isascii() and value.isdigit() else (f"{value} is not a number", "write a number")
    if form == OCTAL:
        return (
            None if value and not value.strip("01234567") else (f"{value} is not an octal number", "write it like 755")
        )
    if form == START:
        return None if value[0].isdigit() else (f"{value} is not a size", _size(value))
    if form in (SIZE, PORTION):
        return None if _is_size(value, form == PORTION) else (f"{value} is not a size", _size(value))
    return None


def _is_size(value: str, portion: bool) -> bool:
    digits = value[:-1] if value[-1].lower() in _UNITS or (portion and value[-1] == "%") else value
    return digits.isascii() and (digits.isdigit() or (digits[:2].lower() == "0x" and digits[2:].isalnum()))


def _size(value: str) -> str:
    """How the kernel would read the size that was meant."""
    plain = value.strip().lower().replace(" ", "").removesuffix("ib").removesuffix("b")
    if plain and _is_size(plain, False):
        return f"write {plain}"
    return "write a number, with k, m or g after it for larger units"
