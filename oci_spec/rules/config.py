"""Rules on the parts of a config that every platform has: version, root, mounts, hooks, annotations."""

from oci_spec.rules import VERSION, namespaces, platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import Config, Hook, HookKind

# In the order in which they run.
HOOKS: "tuple[HookKind, ...]" = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")


def semver(text: str) -> "tuple[int, int, int, str] | None":
    """A SemVer 2.0.0 string as (major, minor, patch, pre-release), None when it is not one."""
    rest, plus, build = text.partition("+")
    core, dash, pre = rest.partition("-")
    numbers = core.split(".")
    if len(numbers) != 3 or not all(map(_number, numbers)):
        return None
    if plus and not all(part and not part.strip(_LETTERS) for part in build.split(".")):
        return None
    for part in pre.split(".") if dash else ():
        if not part or part.strip(_LETTERS) or (part.isdigit() and not _number(part)):
            return None
    return int(numbers[0]), int(numbers[1]), int(numbers[2]), pre


def oci_version_semver(spec: "Config") -> "Iterator[Finding]":
    """config.md#specification-version: ociVersion is a SemVer 2.0.0 string."""
    if "ociVersion" in spec and semver(spec["ociVersion"]) is None:
        yield "/ociVersion", "error", f"{spec['ociVersion']!r} is not a SemVer 2.0.0 version", "write it like 1.3.0"


def oci_version_supported(spec: "Config") -> "Iterator[Finding]":
    """config.md#specification-version: another major version is refused; a pre-1.0.0 draft or a newer minor version is a warning."""
    version = semver(spec.get("ociVersion", ""))
    if version is None:
        return
    text = spec["ociVersion"]
    if version[0] > VERSION[0]:
        yield "/ociVersion", "error", f"version {text} is not supported, only 1.x is", "write the config to 1.3.0"
    elif version[0] < 1 or (version[:3] == (1, 0, 0) and version[3]):
        yield "/ociVersion", "warning", f"version {text} is older than 1.0.0, it is read as 1.3.0", "write 1.3.0"
    elif version[1] > VERSION[1]:
        yield (
            "/ociVersion",
            "warning",
            f"version {text} is newer than 1.3.0, what it adds is not known",
            "write 1.3.0, or update ocirun",
        )


def platform_section(spec: "Config") -> "Iterator[Finding]":
    """config.md#platform-specific-configuration: a section of another platform has no effect."""
    for name in ("windows", "solaris", "vm", "zos", "freebsd"):
        if name in spec:
            yield f"/{name}", "warning", f"the section {name} has no effect on Linux", "leave it out"


def root_required(spec: "Config") -> "Iterator[Finding]":
    """config.md#root: a config has a root (on Windows, not with Hyper-V)."""
    if "root" not in spec and "hyperv" not in spec.get("windows", {}):
        yield "/root", "error", "root is missing", 'add "root": {"path": "rootfs"}'


def root_path_not_empty(spec: "Config") -> "Iterator[Finding]":
    """config.md#root: root.path is not empty."""
    if spec.get("root", {}).get("path") == "":
        yield "/root/path", "error", "the path is empty", "name the directory of the root file system"


def mount_destination_absolute(spec: "Config") -> "Iterator[Finding]":
    """config.md#mounts: a mount's destination should be absolute; a relative one is taken from /."""
    if platform(spec) == "windows":
        return
    for index, mount in enumerate(spec.get("mounts", ())):
        destination = mount.get("destination", "/")
        if destination == "":
            yield f"/mounts/{index}/destination", "error", "the mount point is empty", "write an absolute path"
        elif destination[0] != "/":
            message = f"{destination} is not absolute, it is taken from / (deprecated)"
            yield f"/mounts/{index}/destination", "warning", message, f"write /{destination.removeprefix('./')}"


def mount_bind_source(spec: "Config") -> "Iterator[Finding]":
    """config.md#mounts: a bind mount has a source."""
    for index, mount in enumerate(spec.get("mounts", ())):
        options = mount.get("options", ())
        if ("bind" in options or "rbind" in options) and "remount" not in options and not mount.get("source"):
            yield (
                f"/mounts/{index}/source",
                "error",
                "a bind mount needs a source",
                "name the file or directory of the host that it shows",
            )


def mount_type_bind(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-platform-mounts: the option bind or rbind makes a bind mount, not the type."""
    for index, mount in enumerate(spec.get("mounts", ())):
        if mount.get("type") == "bind":
            options = mount.get("options", ())
            if "bind" not in options and "rbind" not in options:
                message = "the type bind makes no bind mount without the option bind or rbind"
                yield f"/mounts/{index}/type", "warning", message, 'add "bind" or "rbind" to the options'


def mount_mappings_paired(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-platform-mounts: a mount has both uid and gid mappings, or neither."""
    for index, mount in enumerate(spec.get("mounts", ())):
        uids, gids = mount.get("uidMappings"), mount.get("gidMappings")
        if bool(uids) != bool(gids):
            there, missing = ("uidMappings", "gidMappings") if uids else ("gidMappings", "uidMappings")
            yield (
                f"/mounts/{index}/{missing}",
                "error",
                f"{there} of a mount need {missing} beside them",
                f"add {missing}, or leave both out",
            )


def mount_idmap_source_of_ids(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-mount-options: idmap and ridmap need mappings: the mount's, or else the container's."""
    for index, mount in enumerate(spec.get("mounts", ())):
        options = mount.get("options", ())
        if mount.get("uidMappings") or not ("idmap" in options or "ridmap" in options) or "user" in namespaces(spec):
            continue
        name = "idmap" if "idmap" in options else "ridmap"
        message = f"the option {name} needs mappings, and neither the mount nor the container has any"
        pointer = f"/mounts/{index}/options/{options.index(name)}"
        yield pointer, "error", message, "add uidMappings and gidMappings to the mount"


def _hooks(spec: "Config") -> "Iterator[tuple[str, int, Hook]]":
    """Every hook, with the name of its list and its index there."""
    hooks = spec.get("hooks", {})
    for name in HOOKS:
        for index, hook in enumerate(hooks.get(name, [])):
            yield name, index, hook


def hook_path_absolute(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-platform-hooks: a hook's path is absolute, since PATH is not searched."""
    for name, index, hook in _hooks(spec):
        path = hook.get("path", "/")
        if path[:1] != "/" and platform(spec) != "windows":
            yield f"/hooks/{name}/{index}/path", "error", f"{path!r} is not an absolute path", "begin it with /"


def hook_environment(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-platform-hooks: a hook's environment is a list of NAME=value."""
    for name, index, hook in _hooks(spec):
        for position, entry in enumerate(hook.get("env", ())):
            if entry.find("=") < 1:
                pointer = f"/hooks/{name}/{index}/env/{position}"
                yield (
                    pointer,
                    "error",
                    f"{entry!r} is not of the form NAME=value",
                    "write the name, an equals sign and the value; a value may be empty",
                )


def annotation_key_empty(spec: "Config") -> "Iterator[Finding]":
    """config.md#annotations: keys are not empty."""
    if "" in spec.get("annotations", ()):
        yield "/annotations/", "error", "the key of an annotation is empty", "give it a name in reverse-domain notation"


RULES: "tuple[Rule, ...]" = (
    oci_version_semver,
    oci_version_supported,
    platform_section,
    root_required,
    root_path_not_empty,
    mount_destination_absolute,
    mount_bind_source,
    mount_type_bind,
    mount_mappings_paired,
    mount_idmap_source_of_ids,
    hook_path_absolute,
    hook_environment,
    annotation_key_empty,
)
