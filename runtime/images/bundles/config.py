"""An image's config → a config.json, by image-spec's conversion.md. Pure.

What the image says is untrusted: an annotation that would steer a runtime is left out, and no path of the image's can leave
the container. What is not the image's to say is that of `ocirun spec`, with the capabilities that programs of images expect.
"""

from oci_spec.default import default
from runtime.files import clean, escape
from runtime.images.bundles.accounts import user_of
from runtime.images.errors import BadImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_spec.types import IdMapping, Json, JsonObject
    from runtime.images.bundles.shapes import Ids, Overlay, Users

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TERM = "TERM=xterm"
SHELL = "sh"  # of an image that names no program, as umoci has it
# Podman's: enough to install packages, and for a server to give up root.
CAPABILITIES = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
]
TTY_GROUP = "gid=5"
PREFIX = "org.opencontainers.image."
# Annotations by which runtimes are told what to do, on the host too: an image must not.
STEERING = (
    "run.oci.",
    "module.wasm.",
    "org.systemd.property.",
    "org.criu.",
    "io.kubernetes.cri",
    "io.podman.annotations.",
    "io.katacontainers.",
    "dev.gvisor.",
)


MAX_VOLUMES = 1000


class Source:
    """The image's config: what it has at a place, of the right type. BadImage names the place."""

    def __init__(self, image: "JsonObject", warnings: "list[str]") -> None:
        self.image = image
        self.warnings = warnings
        self.config: JsonObject = self._of("config", dict, "an object") or {}

    def _of(self, name: str, kind: type, words: str, below: str = "") -> "Json":
        """None where it is missing, or null as Go writes what is empty."""
        value: Json = (self.config if below else self.image).get(name)
        if value is not None and not isinstance(value, kind):
            raise wrong(f"{below}/{name}", f"it is not {words}")
        return value

    def warn(self, place: str, message: str) -> None:
        self.warnings.append(f"the image's config: {place}: {message}")

    def text(self, name: str, below: str = "") -> str:
        return checked(f"{below}/{name}", self._of(name, str, "a string", below) or "")

    def texts(self, name: str, below: str = "/config") -> "list[str]":
        found = self._of(name, list, "a list of strings", below) or []
        return [checked(f"{below}/{name}/{index}", value) for index, value in enumerate(found)]

    def keys(self, name: str) -> "list[str]":
        return sorted(checked(f"/config/{name}", key) for key in self._of(name, dict, "an object", "/config") or {})

    def labels(self) -> "dict[str, str]":
        found = self._of("Labels", dict, "an object", "/config") or {}
        return {checked("/config/Labels", key): checked(f"/config/Labels/{escape(key)}", found[key]) for key in found}


def wrong(place: str, message: str) -> BadImage:
    return BadImage(f"the image's config: {place}: {message}")


def checked(place: str, value: "Json") -> str:
    """A string that a program can be given."""
    if not isinstance(value, str):
        raise wrong(place, "it is not a string")
    if "\0" in value:
        raise wrong(place, "it has a NUL in it")
    return value


def runtime_config(
    image: "JsonObject",
    *,
    users: "Users",
    overlay: "Overlay | None" = None,
    rootless: "Ids | None" = None,
    terminal: bool = False,
    cgroup_namespace: bool = False,
    real: "Callable[[str], str]" = clean,
) -> "tuple[JsonObject, list[str]]":
    """config.json for a container of the image, and warnings about what the image says and does not get.

    ``overlay``: the root, otherwise the directory rootfs in the bundle. ``cgroup_namespace``: as for `default`.
    ``real``: where a path leads in the image.
    Raises BadImage, with the place, for a config that is wrong, or whose user the image does not have.
    """
    warnings: list[str] = []
    source = Source(image, warnings)
    spec = default(bool(rootless), *((rootless["uid"], rootless["gid"]) if rootless else (0, 0)), cgroup_namespace)
    process = spec["process"]
    process.update(terminal=terminal, user=_user(source, users, rootless), args=_args(source), cwd=_cwd(source))
    process["env"] = _env(source, terminal)
    # Another user than root keeps none of them at execve, but may run a program that gives some.
    held = ("bounding",) if process["user"]["uid"] else ("bounding", "effective", "permitted")
    process["capabilities"] = {name: list(CAPABILITIES) for name in held}
    spec["root"]["readonly"] = False
    if overlay:
        spec["mounts"].insert(0, root_mount(overlay))
    spec["mounts"] += _volumes(source, real)
    if rootless:
        _map_ids(spec, rootless)
    if found := annotations(source):
        spec["annotations"] = found
    if source.config.get("Healthcheck"):
        source.warn("/config/Healthcheck", "nobody here runs it: a runtime has no health checks")
    return spec, warnings


def _args(source: Source) -> "list[str]":
    args = source.texts("Entrypoint") + source.texts("Cmd")
    if not args:
        source.warn("/config", f"it names no program (Entrypoint, Cmd): {SHELL} is run")
        return [SHELL]
    if not args[0]:
        raise wrong("/config/Entrypoint", "the program's name is empty")
    return args


def _cwd(source: Source) -> str:
    path = source.text("WorkingDir", "/config") or "/"
    if path[0] != "/":
        source.warn("/config/WorkingDir", f"{path} is relative, and taken from /")
        path = f"/{path}"
    return path


def _env(source: Source, terminal: bool) -> "list[str]":
    """The image's variables, as they stand, and PATH and TERM where it has none."""
    env = []
    for index, entry in enumerate(source.texts("Env")):
        if entry.find("=") < 1:
            source.warn(f"/config/Env/{index}", f"{entry!r} is not NAME=value, and left out")
        else:
            env.append(entry)
    names = {entry.partition("=")[0] for entry in env}
    return ([] if "PATH" in names else [PATH]) + env + ([TERM] if terminal and "TERM" not in names else [])


def _user(source: Source, users: "Users", rootless: "Ids | None") -> "JsonObject":
    """process.user. Groups that the user namespace does not have are left out; a user that it does not have is an error."""
    place = "/config/User"
    try:
        uid, gid, groups = user_of(source.text("User", "/config"), users)
    except ValueError as error:
        raise wrong(place, str(error)) from None
    if rootless:
        for kind, number, mappings in (("user", uid, rootless["uid_map"]), ("group", gid, rootless["gid_map"])):
            if not _is_mapped(number, mappings):
                remedy = f"give the caller a larger range in /etc/sub{kind[0]}id"
                raise wrong(place, f"{kind} {number} is not mapped in the caller's user namespace: {remedy}")
        lost = [group for group in groups if not _is_mapped(group, rootless["gid_map"])]
        if alone(rootless["gid_map"]):
            lost = groups  # the kernel denies setgroups then
        if lost:
            source.warn(place, f"groups that are not mapped are left out: {', '.join(map(str, lost))}")
        groups = [group for group in groups if group not in lost]
    return {"uid": uid, "gid": gid} | ({"additionalGids": groups} if groups else {})


def _is_mapped(number: int, mappings: "list[IdMapping]") -> bool:
    return any(row["containerID"] <= number < row["containerID"] + row["size"] for row in mappings)


def alone(mappings: "list[IdMapping]") -> bool:
    """Whether only one id is mapped: the caller's own, without newgidmap."""
    return sum(row["size"] for row in mappings) == 1


def _map_ids(spec: "JsonObject", ids: "Ids") -> None:
    spec["linux"]["uidMappings"] = ids["uid_map"]
    spec["linux"]["gidMappings"] = ids["gid_map"]
    if _is_mapped(5, ids["gid_map"]):
        next(mount for mount in spec["mounts"] if mount["destination"] == "/dev/pts")["options"].append(TTY_GROUP)


def root_mount(overlay: "Overlay") -> "JsonObject":
    """The mount on /: overlayfs takes a backslash in a path for one that makes the next character an ordinary one."""

    def escaped(path: str) -> str:
        return path.replace("\\", "\\\\").replace(":", "\\:")

    options = [f"lowerdir={':'.join(map(escaped, overlay['lower']))}"]
    options += [f"upperdir={escaped(overlay['upper'])}", f"workdir={escaped(overlay['work'])}"]
    options += ["userxattr"] if overlay["user"] else []
    return {"destination": "/", "type": "overlay", "source": "overlay", "options": options}


def _volumes(source: Source, real: "Callable[[str], str]") -> "list[JsonObject]":
    """A tmpfs for each volume, filled with what the image has there: it ends with the container, and no image has it."""
    mounts, known = [], set()
    paths = source.keys("Volumes")
    if len(paths) > MAX_VOLUMES:
        raise wrong("/config/Volumes", f"it has {len(paths)} volumes; {MAX_VOLUMES} at most are made")
    for path in paths:
        place = f"/config/Volumes/{escape(path)}"
        if path[:1] != "/":
            raise wrong(place, "a volume's path is absolute")
        target = real(path)
        if target == "/" or f"{target}/".startswith(("/proc/", "/sys/", "/dev/")):
            source.warn(place, "no volume can be there, and it is left out")
        elif target not in known:
            known.add(target)
            options = ["nosuid", "nodev", "tmpcopyup"]
            mounts.append({"destination": clean(path), "type": "tmpfs", "source": "tmpfs", "options": options})
    return mounts


def annotations(source: Source) -> "dict[str, str]":
    """The implied ones, then the image's labels, which win."""
    implied = {name: source.text(name) for name in ("os", "architecture", "variant", "os.version", "author", "created")}
    implied["os.features"] = ",".join(source.texts("os.features", ""))
    implied["stopSignal"] = source.text("StopSignal", "/config")
    implied["exposedPorts"] = ",".join(source.keys("ExposedPorts"))
    found = {PREFIX + name: value for name, value in implied.items() if value}
    for key, value in source.labels().items():
        if not key or f"{key}.".startswith(STEERING):
            reason = "tells a runtime what to do, and is left out" if key else "has no name, and is left out"
            source.warn("/config/Labels", f"the label {key} {reason}")
        else:
            found[key] = value
    return found
