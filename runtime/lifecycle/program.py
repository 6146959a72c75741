"""The program of an exec, in the form of a config's "process": from the command line, a file or a document. Hot."""

from oci_spec import load_checked
from runtime.errors import InvalidConfig, OcirunError
from runtime.lifecycle import config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec import Problem
    from oci_spec.types import CapabilitySet, Config, Process, ProcessCapabilities, ProcessUser
    from runtime.shapes import ExecOptions, Warn

MAX_ID = (1 << 32) - 2
MAX_DIGITS = 10  # of MAX_ID
CAP_SETS: "tuple[CapabilitySet, ...]" = ("bounding", "effective", "permitted")


def program(spec: "Config", args: "list[str]", options: "ExecOptions", warn: "Warn") -> "Process":
    """The program that the options describe, for the container made from ``spec``. OcirunError for bad options."""
    if options.get("document"):
        process = from_document(options["document"], warn)
    elif options.get("process"):
        process = from_file(options["process"], options, warn)
    else:
        process = from_config(spec, args, options)
    if options.get("process_label"):
        process["selinuxLabel"] = options["process_label"]
    if options.get("apparmor"):
        process["apparmorProfile"] = options["apparmor"]
    if process.get("apparmorProfile") or process.get("selinuxLabel"):
        from runtime.host import confinement

        confinement.require({**spec, "process": process, "linux": {}})
    return process


def number(text: str, option: str) -> int:
    """An id, strictly decimal: anything else must not become 0 (CVE-2026-30892)."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or int(text) > MAX_ID:
        raise OcirunError(f"{option}: {text[:64]!r} is not a numeric id (0 to {MAX_ID})")
    return int(text)


def user_of(base: "ProcessUser", options: "ExecOptions") -> "ProcessUser":
    """The config's user, changed by --user and --additional-gids. OcirunError for anything but numbers."""
    user = base.copy()
    if options.get("user"):
        uid, colon, gid = options["user"].partition(":")
        user["uid"] = number(uid, "--user")
        if colon:
            user["gid"] = number(gid, "--user")
    if options.get("additional_gids"):
        more = [number(text, "--additional-gids") for given in options["additional_gids"] for text in given.split(",")]
        user["additionalGids"] = [*(user.get("additionalGids", ())), *more]
    return user


def capabilities_of(base: "ProcessCapabilities", added: "Sequence[str]") -> "ProcessCapabilities":
    """The config's capabilities, with those of --cap added to the sets that a program starts with."""
    sets = base.copy()
    for kind in CAP_SETS if added else ():
        sets[kind] = [*sets.get(kind, []), *added]
    held = sets.get("inheritable", [])
    if added and held:  # as runc: a user other than root keeps a capability only through the ambient set
        sets["ambient"] = [*sets.get("ambient", []), *(name for name in added if name in held)]
    return sets


def from_config(spec: "Config", args: "list[str]", options: "ExecOptions") -> "Process":
    """The config's process, changed by the command line. The rlimits stay; --tty alone decides about a terminal.

    Raises OcirunError.
    """
    if not spec.get("process"):
        raise InvalidConfig("the container's config has no process to take user and environment from: give --process")
    process = spec["process"].copy()
    process["args"] = args
    process["terminal"] = bool(options.get("tty"))
    process.pop("consoleSize", None)
    for entry in options.get("env", ()):
        if entry.find("=") < 1:
            raise OcirunError(f"--env: {entry[:64]!r} is not of the form NAME=value")
    process["env"] = [*process.get("env", ()), *options.get("env", ())]
    process["user"] = user_of(process["user"], options)
    process["capabilities"] = capabilities_of(process.get("capabilities", {}), options.get("cap", ()))
    if options.get("cwd"):
        process["cwd"] = options["cwd"]
    if options.get("no_new_privs"):
        process["noNewPrivileges"] = True
    return process


def worth_telling(problems: "list[Problem]") -> "list[Problem]":
    """The problems worth reporting: a document without any user means root, as with the other runtimes."""
    ids = [problem for problem in problems if problem.rule == "user_ids_required"]
    return problems if len(ids) < len(("uid", "gid")) else [problem for problem in problems if problem not in ids]


def from_file(path: str, options: "ExecOptions", warn: "Warn") -> "Process":
    """The process of --process, checked like a config's. Raises OcirunError."""
    data = config.read(path)
    process: Process
    process, problems = load_checked(data, "process", unknown=True)
    for problem in worth_telling(problems):
        position = f"{path}:{problem.line}: {problem.pointer}".removesuffix(": ")  # broken JSON has no pointer
        if problem.severity == "error":
            raise InvalidConfig(f"{position}: {config.message(problem)}")
        warn(f"{position}: {config.message(problem)}")
    if options.get("tty"):
        process["terminal"] = True
    return process


def from_document(data: bytes, warn: "Warn") -> "Process":
    """The same for a document in memory. InvalidConfig with a pointer below /process."""
    process: Process
    process, problems = load_checked(data, "process", unknown=True)
    for problem in worth_telling(problems):
        if problem.severity == "error":
            raise InvalidConfig(config.message(problem), f"/process{problem.pointer}")
        warn(f"/process{problem.pointer}: {config.message(problem)}")
    return process
