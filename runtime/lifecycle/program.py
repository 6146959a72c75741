"""The program of an exec, as "process" of a config: of the command line, of a file, or of a document. Hot."""

from oci_spec import load_checked
from runtime.errors import InvalidConfig, OcirunError
from runtime.lifecycle import config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from runtime.shapes import ExecOptions, Warn

MAX_ID = (1 << 32) - 2
MAX_DIGITS = 10  # of MAX_ID
CAP_SETS = ("bounding", "effective", "permitted")


def program(spec: "dict[str, Any]", args: "list[str]", options: "ExecOptions", warn: "Warn") -> "dict[str, Any]":
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

        confinement.require({"process": process})
    return process


def number(text: str, option: str) -> int:
    """An id, strictly decimal: what is not one must not become 0 (CVE-2026-30892)."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or int(text) > MAX_ID:
        raise OcirunError(f"{option}: {text[:64]!r} is no numeric id (0 to {MAX_ID})")
    return int(text)


def user_of(base: "dict[str, Any]", options: "ExecOptions") -> "dict[str, Any]":
    """The config's user with what --user and --additional-gids change. OcirunError for what is no number."""
    user = dict(base)
    if options.get("user"):
        uid, colon, gid = options["user"].partition(":")
        user["uid"] = number(uid, "--user")
        if colon:
            user["gid"] = number(gid, "--user")
    if options.get("additional_gids"):
        more = [number(text, "--additional-gids") for given in options["additional_gids"] for text in given.split(",")]
        user["additionalGids"] = [*(user.get("additionalGids") or ()), *more]
    return user


def capabilities_of(base: "dict[str, Any] | None", added: "Sequence[str]") -> "dict[str, list[str]]":
    """The config's capabilities with those of --cap in the sets that a program starts with."""
    sets = {kind: list(names or ()) for kind, names in (base or {}).items()}
    for kind in CAP_SETS if added else ():
        sets[kind] = [*sets.get(kind, ()), *added]
    return sets


def from_config(spec: "dict[str, Any]", args: "list[str]", options: "ExecOptions") -> "dict[str, Any]":
    """The config's process with what the command line changes. Its terminal and rlimits stay the config's, but for --tty.

    Raises OcirunError.
    """
    if not spec.get("process"):
        raise InvalidConfig("the container's config has no process to take user and environment from: give --process")
    process = dict(spec["process"])
    process["args"] = args
    process["terminal"] = bool(options.get("tty"))
    process.pop("consoleSize", None)
    for entry in options.get("env") or ():
        if entry.find("=") < 1:
            raise OcirunError(f"--env: {entry[:64]!r} is not of the form NAME=value")
    process["env"] = [*(process.get("env") or ()), *(options.get("env") or ())]
    process["user"] = user_of(process["user"], options)
    process["capabilities"] = capabilities_of(process.get("capabilities"), options.get("cap") or ())
    if options.get("cwd"):
        process["cwd"] = options["cwd"]
    if options.get("no_new_privs"):
        process["noNewPrivileges"] = True
    return process


def from_file(path: str, options: "ExecOptions", warn: "Warn") -> "dict[str, Any]":
    """--process: checked as a config's process is. Raises OcirunError."""
    data = config.read(path)
    process, problems = load_checked(data, "process", unknown=True)
    for problem in problems:
        place = f"{path}:{problem.line}: {problem.pointer}".removesuffix(": ")  # broken JSON has no pointer
        if problem.severity == "error":
            raise InvalidConfig(f"{place}: {problem.message}")
        warn(f"{place}: {config.message(problem)}")
    if options.get("tty"):
        process["terminal"] = True
    result: dict[str, Any] = process
    return result


def from_document(data: bytes, warn: "Warn") -> "dict[str, Any]":
    """The same for a document that is in no file: its places are told as those of a config's process.

    InvalidConfig when it is wrong.
    """
    process, problems = load_checked(data, "process", unknown=True)
    for problem in problems:
        if problem.severity == "error":
            raise InvalidConfig(problem.message, f"/process{problem.pointer}")
        warn(f"/process{problem.pointer}: {config.message(problem)}")
    result: dict[str, Any] = process
    return result
