"""The rules that ``ocirun validate`` names in brackets, from their docstrings. Cold."""

from runtime.reference.sources import docstrings

# The modules of oci_spec.rules, and what each is about.
MODULES = {
    "config": "Config, every platform",
    "process": "Process",
    "linux": "Linux",
    "resources": "Resources",
    "seccomp": "Seccomp",
    "scheduling": "Scheduling, I/O priority, CPU affinity",
    "hardware": "Caches, memory nodes, personality",
    "namespace_contents": "Network devices, clocks",
    "documents": "State and features",
    "text": "Strings",
    "advice": "Advice, in `validate` only",
    "surprises": "Surprises, in `validate` only",
    "profile": "Seccomp profiles that surprise, in `validate` only",
    "unknown": "Unknown properties, in `validate`, and in the documents of `exec --process` and `update --resources`",
}
SCHEMA = {
    "type": "the value is of another JSON type (an integer has no fraction and no exponent)",
    "required": "the property is missing",
    "enum": "the string is not one of those that the spec lists",
    "pattern": "the string is not of the form that the spec gives",
    "minimum": "the number is too small",
    "maximum": "the number is too large",
    "minItems": "the list has too few items",
}
# Checks of the host: name → (module of runtime.host, function).
HOST = {
    "rootfs": ("checks", "check_rootfs"),
    "mount_source": ("checks", "check_mount_sources"),
    "namespace": ("checks", "check_namespace_paths"),
    "hostname": ("checks", "check_hostname"),
    "sysctl": ("checks", "check_sysctls"),
    "ids_mapped": ("checks", "check_ids_mapped"),
    "program": ("checks", "check_program"),
    "cwd": ("checks", "check_program"),
    "hook": ("checks", "check_hooks"),
    "apparmor": ("confinement", "check_apparmor"),
    "selinux": ("confinement", "check_selinux"),
    "resctrl": ("confinement", "check_resctrl"),
}
# Checks of `validate` alone: name → (severity, meaning).
LATER = {
    "host:program_file": (
        "error or warning",
        "The program can be executed: format, machine, interpreter, dynamic loader, libraries, the user's permission, a mount without exec.",
    ),
    "host:hook_file": ("warning", "The same for hooks."),
    "host:file_system": ("error", "The kernel knows the type of each file system, or has a module for it."),
    "host:mount_target": (
        "error",
        "A file is mounted on a file, all else on a directory; the target is not below a file or in a loop of links.",
    ),
    "host:processors": ("error", "The processors and memory nodes exist."),
    "host:block_device": ("error", "The block devices exist."),
    "host:huge_pages": ("error", "There are huge pages of this size."),
    "host:rlimit": ("error", "A limit is not above fs.nr_open, nor above the caller's own without CAP_SYS_RESOURCE."),
    "host:oom_score": ("error", "A score is not below the caller's own without CAP_SYS_RESOURCE."),
    "host:net_device": ("error", "The network device exists."),
    "kernel:mount_data": (
        "error",
        "An option of a file system is one that it has, and its value has the form that the kernel reads.",
    ),
    "kernel:mount_options": (
        "warning",
        "No mount option is taken back by a later one, and no mode is in decimal.",
    ),
    "kernel:swap_limit": ("error", "A limit on memory and swap together needs one on memory."),
    "kernel:device_rules": ("warning", "A device that is made may be opened, by a device rule or a default one."),
    "host:root": ("warning", "The root file system is not the host's own root."),
    "host:own_namespace": ("warning", "A namespace that is joined is not the runtime's own, which the host has too."),
    "host:cwd_made": ("warning", "The working directory is in the root file system: a missing one is made, empty."),
    "host:seccomp_name": ("warning", "No name in a seccomp profile looks like a misspelt system call."),
    "host:seccomp_architecture": ("warning", "A seccomp profile lists this machine's architecture."),
    "kernel:limits": (
        "error or warning",
        "A value is in the kernel's range: CPU quota and period, memory limits, the length of a socket's path; no variable is given twice.",
    ),
}
# (name, severity, meaning)
OTHERS = (
    (
        "json",
        "error",
        (
            "not a JSON document: broken, not UTF-8, with a byte order mark, with NaN or Infinity, too deep, too large, "
            "too many strings"
        ),
    ),
    ("json", "warning", "a key is repeated in one object, where only the last one counts"),
    (
        "document",
        "error",
        "JSON of another kind: an image's manifest or config, a state or process document, a Kubernetes object",
    ),
    ("null", "warning", "a property is null, which counts as absent"),
    ("section", "error", "the section linux is missing, which the spec allows, but no container can be made"),
    ("host:config", "error", "the bundle's config.json cannot be read"),
    (
        "plan",
        "error or warning",
        "found only by the plan, once schema and rules have no error: its first refusal, or what it leaves out",
    ),
)


def rules() -> "dict[str, tuple[str, str]]":
    """Every rule by name: (section of the spec or "", what it requires)."""
    found = {name: ("", meaning) for name, _, meaning in reversed(OTHERS)}
    found |= {f"schema:{keyword}": ("", meaning) for keyword, meaning in SCHEMA.items()}
    found |= {name: ("", meaning) for name, (_, meaning) in LATER.items()}
    for name, (module, function) in HOST.items():
        found[f"host:{name}"] = ("", docstrings(f"runtime.host.{module}")[function])
    for module in MODULES:
        for name, text in docstrings(f"oci_spec.rules.{module}").items():
            section, _, requirement = text.partition(": ")
            if ".md#" in section:
                found[name] = (section, requirement)
    return found
