"""The program of an exec, as "process" of a config: of the command line, of a file, or of a document. Hot."""

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
    """The program that the options describe, in the container that ``spec`` made. OcirunError where they are wrong."""
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
    """An id, strictly decimal: what is not one must not become 0 (CVE-2026-30892)."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or int(text) > MAX_ID:
        raise OcirunError(f"{option}: {text[:64]!r} is no numeric id (0 to {MAX_ID})")
    return int(text)


def user_of(base: "ProcessUser", options: "ExecOptions") -> "ProcessUser":
    """The config's user with what --user and --additional-gids change. OcirunError for what is no number."""
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
    """The config's capabilities with those of --cap in the sets that a program starts with."""
    sets = base.copy()
    for kind in CAP_SETS if added else ():
        sets[kind] = [*sets.get(kind, []), *added]
    held = sets.get("inheritable", [])
    if added and held:  # as runc: a user other than root keeps a capability by the ambient set alone
        sets["ambient"] = [*sets.get("ambient", []), *(name for name in added if name in held)]
    return sets


def from_config(spec: "Config", args: "list[str]", options: "ExecOptions") -> "Process":
    """The config's process with what the command line changes. Its terminal and rlimits stay the config's, but for --tty.

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
    """Without those of a document that has no user at all, which is then root, as with the other runtimes."""
    ids = [problem for problem in problems if problem.rule == "user_ids_required"]
    return problems if len(ids) < len(("uid", "gid")) else [problem for problem in problems if problem not in ids]


def from_file(path: str, options: "ExecOptions", warn: "Warn") -> "Process":
    """--process: checked as a config's process is. Raises OcirunError."""
    data = config.read(path)
    process: Process
    process, problems = load_checked(data, "process", unknown=True)
    for problem in worth_telling(problems):
        place = f"{path}:{problem.line}: {problem.pointer}".removesuffix(": ")  # broken JSON has no pointer
        if problem.severity == "error":
            raise InvalidConfig(f"{place}: {problem.message}")
        warn(f"{place}: {config.message(problem)}")
    if options.get("tty"):
        process["terminal"] = True
    return process


def from_document(data: bytes, warn: "Warn") -> "Process":
    """The same for a document that is in no file: its places are told as those of a config's process.

    InvalidConfig when it is wrong.
    """
    process: Process
    process, problems = load_checked(data, "process", unknown=True)
    for problem in worth_telling(problems):
        if problem.severity == "error":
            raise InvalidConfig(problem.message, f"/process{problem.pointer}")
        warn(f"/process{problem.pointer}: {config.message(problem)}")
    return process
