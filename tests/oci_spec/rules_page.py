"""docs/rules.md: every rule by name, from the docstrings. `python -m tests.oci_spec.rules_page` writes it."""

import importlib
import inspect
from pathlib import Path

from runtime.host import checks, confinement

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
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
HOST = {
    "rootfs": checks.check_rootfs,
    "mount_source": checks.check_mount_sources,
    "namespace": checks.check_namespace_paths,
    "sysctl": checks.check_sysctls,
    "ids_mapped": checks.check_ids_mapped,
    "program": checks.check_program,
    "cwd": checks.check_program,
    "hook": checks.check_hooks,
    "apparmor": confinement.check_apparmor,
    "selinux": confinement.check_selinux,
    "resctrl": confinement.check_resctrl,
}
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
    "kernel:limits": (
        "error or warning",
        "A value is in the kernel's range: CPU quota and period, memory limits, the length of a socket's path; no variable is given twice.",
    ),
}
TOP = """# Rules

The rules that `ocirun validate` names, and what each requires. `create` and `run` apply all but the advice, and refuse a config
with an error before anything is made. Generated from the docstrings by `python -m tests.oci_spec.rules_page`.

| rule | severity | meaning |
|---|---|---|
| `json` | error | not a JSON document: broken, not UTF-8, with a byte order mark, with NaN or Infinity, too deep, too large, too many strings |
| `json` | warning | a key is repeated in one object, where only the last one counts |
| `document` | error | JSON of another kind: an image's manifest or config, a state or process document, a Kubernetes object |
| `null` | warning | a property is null, which counts as absent |
| `host:config` | error | the bundle's config.json cannot be read |
| `plan` | error or warning | found only by the plan, once schema and rules have no error: its first refusal, or what it leaves out |
"""


def rules(module):
    """(name, severity, section, requirement) of the rules of a module of oci_spec.rules."""
    for name, function in vars(importlib.import_module(f"oci_spec.rules.{module}")).items():
        doc = getattr(function, "__doc__", None) or ""
        section, _, requirement = doc.partition(": ")
        if ".md#" in section and function.__module__ == f"oci_spec.rules.{module}":
            yield name, severity(function), section, " ".join(requirement.split())


def severity(function):
    source = inspect.getsource(function)
    source += (
        inspect.getsource(importlib.import_module(function.__module__)._faulty_ranges) if "_faulty" in source else ""
    )
    source += '"warning"' if "_unknown(" in source else ""
    return " or ".join(word for word in ("error", "warning") if f'"{word}"' in source)


def page():
    lines = [TOP]
    lines += ["## Schema\n", "| rule | severity | meaning |", "|---|---|---|"]
    lines += [f"| `schema:{keyword}` | error | {meaning} |" for keyword, meaning in SCHEMA.items()]
    lines += ["\n## The host\n", "| rule | severity | meaning |", "|---|---|---|"]
    for name, function in HOST.items():
        lines.append(f"| `host:{name}` | {host_severity(function)} | {' '.join(function.__doc__.split())} |")
    lines += ["\n## The host and the kernel, in `validate` only\n", "| rule | severity | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {how} | {meaning} |" for name, (how, meaning) in LATER.items()]
    for module, title in MODULES.items():
        lines += [f"\n## {title}\n", "| rule | severity | section | requirement |", "|---|---|---|---|"]
        lines += [f"| `{name}` | {how} | {section} | {text} |" for name, how, section, text in rules(module)]
    return "\n".join(lines) + "\n"


def host_severity(function):
    return " or ".join(word for word in ("error", "warning") if f'"{word}"' in inspect.getsource(function))


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
