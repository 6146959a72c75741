"""Mount options without effect: an error or a warning. Pure; imported only for a mount that has one.

For a bind, mount(2) ignores the options of the file system (config.md#mounts leaves them to it). A misspelt "ro" would
silently give a writable mount, so an unknown option there is an error. A known option that cannot take effect is a
warning, since other runtimes and managers pass such options; so is NAME=VALUE, which only file systems have.
"""

from runtime.errors import InvalidConfig

from .mount_options import BINDS, LINKS, NAMES, OPTIONS, SUPERBLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Mount

    from .mount_options import Options

    Warnings = list[tuple[str, str]]

# What people write instead of the option's real name.
MEANT = {
    "readonly": "ro",
    "read-only": "ro",
    "rdonly": "ro",
    "readwrite": "rw",
    "read-write": "rw",
    "recursive": "rbind",
}
# Options on filling a new volume, which Podman has already done but leaves in the options of its bind.
DONE = ("copy", "nocopy")
# Options for the mount call itself, or for the first mount only.
AT_FIRST = ("silent", "loud", "iversion", "noiversion")


def check(entry: "Mount", options: "Options", warnings: "Warnings", origin: str) -> None:
    """Raises InvalidConfig for an option that this mount cannot have; warns of options without effect."""
    pointer = f"{origin}/options"
    bound, again = bool(options.keywords & BINDS), "remount" in options.keywords
    _check_keywords(options, bound, again, pointer)
    cgroup = entry.get("type") == "cgroup" and not bound and not again
    unknown = [name for name in options.data if not bound or (name not in DONE and "=" not in name)]
    if unknown and (bound or cgroup):
        what = "a bind mount" if bound else 'type "cgroup"'
        raise InvalidConfig(f'"{unknown[0]}" is not an option of {what}{_guess(unknown[0])}', pointer)
    if bound:
        why = "it is for a file system, which a bind leaves as it is"
        warnings += [(pointer, f'"{name}" is not done: {why}') for name in options.data if "=" in name]
    for name in entry["options"]:
        if name in options.lost:
            warnings.append((pointer, f'"{name}" is not done: ocirun does not know it'))
        if OPTIONS.get(name, (None,))[0] != SUPERBLOCK:
            continue
        if bound or cgroup:
            why = "which a bind leaves as it is" if bound else "and those of cgroups are the host's"
            warnings.append((pointer, f'"{name}" is not done: it is of the file system, {why}'))
        elif again and name in AT_FIRST:
            warnings.append((pointer, f'"{name}" is not done: it is for a new mount'))
        elif again and name[0] == "r":
            warnings.append((pointer, f'"{name}" is done as "{name[1:]}": not to what is mounted below'))


def _check_keywords(options: "Options", bound: bool, again: bool, pointer: str) -> None:
    links = sorted(options.keywords & LINKS)
    if links and (not bound or again):
        raise InvalidConfig(f'"{links[0]}" is for bind mounts', pointer)
    if "copy-symlink" in links and len(links) > 1:
        raise InvalidConfig(f'"copy-symlink" does not go together with "{links[1]}"', pointer)
    if links and options.keywords & {"idmap", "ridmap"}:
        raise InvalidConfig(f'"{links[0]}" does not go together with id maps', pointer)
    if "tmpcopyup" in options.keywords and (bound or again):
        raise InvalidConfig(f'"tmpcopyup" is for a new tmpfs, not for {"a bind" if bound else "a remount"}', pointer)


def _guess(name: str) -> str:
    from oci_spec.nearest import nearest

    near = MEANT.get(name) or nearest(name, NAMES, 0.75)
    return f'; did you mean "{near}"?' if near else ""
