"""crun's annotations, which Podman, CRI-O and users set: each is honoured, refused by name, or warned about. Pure and cold.

Imported only for a config with one of PREFIXES. Those honoured are read where they have their effect.
"""

from runtime.errors import InvalidConfig
from runtime.files import escape

from .mounts import CONTEXT_TYPE, CONTEXT_TYPES, FORCED_CGROUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config

    Warnings = list[tuple[str, str]]

HOOKS_STDOUT, HOOKS_STDERR = "run.oci.hooks.stdout", "run.oci.hooks.stderr"
KEEP_GROUPS = "run.oci.keep_original_groups"
FAIL_UNKNOWN = "run.oci.seccomp_fail_unknown_syscall"
SECCOMP_RECEIVER = "run.oci.seccomp.receiver"
PIDFD_RECEIVER = "run.oci.pidfd_receiver"
DELEGATE = "run.oci.delegate-cgroup"
CRIU_CONFIG = "org.criu.config"  # runc's: the path of a configuration file for CRIU, "" for none
HANDLER, WASM = "run.oci.handler", "module.wasm.image/variant"
# Those that change what is done.
HONOURED = (
    *(HOOKS_STDOUT, HOOKS_STDERR, KEEP_GROUPS, FAIL_UNKNOWN, SECCOMP_RECEIVER, PIDFD_RECEIVER),
    *(CONTEXT_TYPE, FORCED_CGROUP),
)
REFUSED = {
    "run.oci.seccomp.plugins": "libraries that answer seccomp notifications are not loaded: listen on linux.seccomp.listenerPath",
    "run.oci.seccomp_bpf_data": "a compiled filter is not taken: write the profile into linux.seccomp",
    "run.oci.timens_offset": "crun takes it no more: write the offsets into linux.timeOffsets",
}
# An empty value asks for what is done anyway.
UNLESS_EMPTY = {
    DELEGATE: "no further cgroup is made in the container's: the container may make its own in a cgroup namespace"
}

SUBGROUP = "run.oci.systemd.subgroup"  # refused with systemd's cgroups, before there is a plan
ELSEWHERE = (HANDLER, SUBGROUP)


def check(spec: "Config", warnings: "Warnings") -> None:
    """Append (pointer, message) for what has no effect. InvalidConfig for what cannot be done."""
    annotations = spec.get("annotations", {})
    for name, value in annotations.items():
        if name in REFUSED:
            raise InvalidConfig(REFUSED[name], pointer(name))
        if name in UNLESS_EMPTY and value:
            raise InvalidConfig(UNLESS_EMPTY[name], pointer(name))
        known = name in HONOURED or name in UNLESS_EMPTY or name in ELSEWHERE
        if name.startswith("run.oci.") and not known:
            warnings.append((pointer(name), "ocirun does not know this annotation, it has no effect"))
    if annotations.get(SUBGROUP):
        warnings.append((pointer(SUBGROUP), "without systemd's cgroups it has no effect"))
    _handler(spec)
    context = annotations.get(CONTEXT_TYPE, "context")
    if context not in CONTEXT_TYPES:
        raise InvalidConfig(f"{context!r} is none of {', '.join(CONTEXT_TYPES)}", pointer(CONTEXT_TYPE))
    if SECCOMP_RECEIVER in annotations:
        _receiver(spec, warnings)
    forced = annotations.get(FORCED_CGROUP)
    if forced is not None and all(mount["destination"] != forced for mount in spec.get("mounts", ())):
        warnings.append((pointer(FORCED_CGROUP), f"no mount has the destination {forced!r}, so none is replaced"))


def pointer(name: str) -> str:
    return f"/annotations/{escape(name)}"


def _handler(spec: "Config") -> None:
    """InvalidConfig if the program is for a virtual machine or a WebAssembly runtime, by crun's rules."""
    annotations = spec.get("annotations", {})
    if annotations.get("io.kubernetes.cri.container-type") == "sandbox":
        return
    name = HANDLER if HANDLER in annotations else WASM
    value = annotations.get(name)
    program = (spec.get("process", {}).get("args") or [""])[0]
    module = program.endswith((".wasm", ".wat"))
    if name == HANDLER:
        if value != "wasm-smart" or module:
            raise InvalidConfig(
                f"programs run on this kernel only, the handler {value!r} is not built: use crun", pointer(name)
            )
    elif value == "compat" or (value == "compat-smart" and module):
        raise InvalidConfig("the image is WebAssembly, for which no runtime is built: use crun with one", pointer(name))


def _receiver(spec: "Config", warnings: "Warnings") -> None:
    from .seccomp import notifies

    profile = spec["linux"].get("seccomp")
    if not profile or not notifies(profile):
        warnings.append(
            (pointer(SECCOMP_RECEIVER), "no action of the seccomp profile is SCMP_ACT_NOTIFY: nothing is sent")
        )
    elif profile.get("listenerPath"):
        warnings.append((pointer(SECCOMP_RECEIVER), "linux.seccomp.listenerPath gets the listener instead"))
    elif not spec["annotations"][SECCOMP_RECEIVER].startswith("/"):
        raise InvalidConfig("the path must be absolute", pointer(SECCOMP_RECEIVER))
