"""``ocirun features``: what this build can do, as the spec's features document (features.md, features-linux.md).

Facts about the build, not the host. Most names come from the tables that the plan uses, so that the document claims
exactly what is built.
"""

from runtime.cli import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject
    from runtime.cli import Call

OPTIONS = ()
OPERANDS = (0, 0, "")

CHECKPOINT = "org.opencontainers.runc.checkpoint.enabled"  # under this name callers look for it
HOOKS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
# Those of libseccomp 2.5, the oldest that we load.
ARCHITECTURES = (
    *("AARCH64", "ARM", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PARISC", "PARISC64"),
    *("PPC", "PPC64", "PPC64LE", "RISCV64", "S390", "S390X", "X32", "X86", "X86_64"),
)


def main(call: "Call") -> int:  # noqa: ARG001 - every verb has the same signature
    from runtime.lifecycle.document import indented

    write(1, indented(document()) + "\n")
    return 0


def document() -> "JsonObject":
    """The features document."""
    from runtime.commands.help import build, libseccomp
    from runtime.lifecycle.state import VERSION
    from runtime.plan import annotations as crun
    from runtime.plan.mount_options import NAMES

    version, commit = build()
    annotations = {"io.github.ocirun.version": version, "io.github.ocirun.commit": commit, CHECKPOINT: "true"}
    annotations["run.oci.crun.wasm"] = "false"
    if library := libseccomp():
        annotations["io.github.seccomp.libseccomp.version"] = library
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": VERSION,
        "hooks": HOOKS,
        "mountOptions": list(NAMES),
        "linux": linux(),
        "annotations": annotations,
        # The annotations of a config that ocirun acts on. A name that ends with a dot is a prefix.
        "potentiallyUnsafeConfigAnnotations": [
            "org.systemd.property.",
            *sorted([*crun.HONOURED, *crun.REFUSED, *crun.UNLESS_EMPTY, *crun.ELSEWHERE, crun.WASM, crun.CRIU_CONFIG]),
        ],
    }


def linux() -> "JsonObject":
    """The section of features-linux.md."""
    from runtime.kernel import CLONE_FLAGS
    from runtime.plan import attributes, capabilities, seccomp

    return {
        "namespaces": sorted(CLONE_FLAGS),
        "capabilities": list(capabilities.NAMES),
        "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
        "seccomp": {
            "enabled": True,
            "actions": sorted(seccomp.ACTIONS),
            "operators": sorted(seccomp.OPERATORS),
            "archs": [f"SCMP_ARCH_{name}" for name in ARCHITECTURES],
            "knownFlags": sorted(seccomp.FLAGS),
            "supportedFlags": sorted(seccomp.FLAGS),
        },
        "memoryPolicy": {"modes": sorted(attributes.MEMORY_MODES), "flags": sorted(attributes.MEMORY_FLAGS)},
        "apparmor": {"enabled": True},
        "selinux": {"enabled": True},
        "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
        "mountExtensions": {"idmap": {"enabled": True}},
        "netDevices": {"enabled": True},
    }
