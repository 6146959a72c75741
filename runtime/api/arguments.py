"""The caller's arguments in the form that the rooms below take. Raises OcirunError for what they cannot be."""

import posix

from runtime.errors import InvalidConfig, OcirunError, system_failure
from runtime.host.facts import absolute as clean
from runtime.lifecycle import store
from runtime.lifecycle.document import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from typing import TypedDict

    from oci_spec import Problem
    from oci_spec.types import Json
    from runtime.api.streams import Kept
    from runtime.shapes import CreateOptions, ExecOptions

    Path = str | PathLike[str]
    Document = Mapping[str, Json]

    class ProgramOptions(TypedDict, total=False):
        """A program for exec, where it is not as the config's: its process, changed."""

        env: Mapping[str, str]  # added to the config's
        cwd: Path
        user: int | str  # UID or "UID:GID", as numbers
        additional_gids: Sequence[int]
        capabilities: Sequence[str]  # added to the config's
        no_new_privileges: bool
        preserve_fds: Kept  # descriptors that it has from 3 on: how many of this process's from 3 on, or which


TERMINAL = (
    "the config asks for a terminal: give terminal=True to have it, terminal=False to have none, or console_socket"
)
CGROUP_MANAGERS = ("cgroupfs", "systemd", "disabled")
PACKAGE = __file__.rpartition("/")[0].rpartition("/")[0]


class OcirunWarning(UserWarning):
    """A warning about the config or the host, which `ocirun` prints. The container is made all the same."""


def warn(message: str) -> None:
    """Use `warnings`, with the stack level of the caller outside this package."""
    import sys
    import warnings

    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, OcirunWarning, level)


def absolute(path: "Path") -> str:
    """The path from the root. OcirunError if it is relative and the working directory was removed."""
    text = posix.fspath(path)
    if text.startswith("/"):
        return text
    try:
        return f"{posix.getcwd()}/{text}"
    except OSError as error:
        raise system_failure(f"{text}: the path is relative, and the working directory", error) from None


def optional(path: "Path | None") -> str:
    """The absolute path, "" for None."""
    return "" if path is None else absolute(path)


def state_root(root: "Path | None") -> str:
    """The directory of the containers' state: ``root``, or the command's default."""
    return absolute(root) if root else store.default_root()


def check_manager(name: str) -> None:
    """OcirunError unless it is a cgroup manager."""
    if name not in CGROUP_MANAGERS:
        raise OcirunError(f"cgroup_manager {name!r}: must be one of {', '.join(CGROUP_MANAGERS)}")


def bundle_path(bundle: "Path") -> str:
    """The bundle's absolute path, without dots where that does not change what it means."""
    path = absolute(bundle)
    return path if "/../" in f"{path}/" else clean(path, "/")  # only the kernel knows where a .. leads


def is_path(value: object) -> bool:
    """Whether it names a file; otherwise it is a document."""
    return isinstance(value, str) or hasattr(value, "__fspath__")


def config_options(config: "Path | Document") -> "CreateOptions":
    """The option of `create` for a config that is not the bundle's."""
    if is_path(config):
        return {"config": absolute(config)}  # type: ignore[arg-type]  # see is_path
    return {"config_data": document(config, "config")}


def create_options(
    bundle: "Path",
    config: "Path | Document | None",
    args: "Sequence[Path] | None",
    terminal: "bool | None",
    console_socket: "Path | None",
    pid_file: "Path | None",
    cgroup_manager: str,
) -> "CreateOptions":
    """The options of `create` on the command line. Raises OcirunError."""
    check_manager(cgroup_manager)
    options: CreateOptions = {
        "bundle": bundle_path(bundle),
        "cgroup_manager": cgroup_manager,
        "rootless": "auto",
        "activation": False,  # LISTEN_FDS and NOTIFY_SOCKET in the environment are for this process
    }
    if console_socket is not None:
        options["console_socket"] = absolute(console_socket)
    if pid_file is not None:
        options["pid_file"] = absolute(pid_file)
    if config is not None:
        options |= config_options(config)
    return options if args is None and terminal is None else with_process(options, args, terminal)


def with_process(options: "CreateOptions", args: "Sequence[Path] | None", terminal: "bool | None") -> "CreateOptions":
    """The same, with another program in the config, or with or without a terminal. What is wrong with the config is told when it is used."""
    from oci_spec import BadDocument, load
    from runtime.lifecycle.config import of_bundle

    changes: dict[str, Json] = {} if args is None else {"args": list(words(args))}
    if terminal is not None:
        changes["terminal"] = terminal
    data = options.get("config_data") or of_bundle(options["bundle"], options.get("config"))
    try:
        spec = load(data)
    except BadDocument:
        return options
    process = spec.get("process") if isinstance(spec, dict) else None
    if not isinstance(process, dict) or {"terminal": False, **process} | changes == {"terminal": False, **process}:
        return options
    return {**options, "config_data": document({**spec, "process": process | changes}, "args")}


def words(args: "Sequence[Path]") -> "list[str]":
    """The words of a command. TypeError for a string, which would be one of letters."""
    if isinstance(args, (str, bytes)):
        raise TypeError(
            "a program is a list of words, or a process as in config.json, and no string: there is no shell"
        )
    named = (posix.fspath(word) for word in args)
    found = [word.decode("utf-8", "surrogateescape") if isinstance(word, bytes) else word for word in named]
    if any("\0" in word for word in found):
        raise OcirunError("a word of a program cannot contain a null byte")
    return found


def document(value: object, name: str) -> bytes:
    """JSON text. InvalidConfig for what has none."""
    try:
        return dumps(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidConfig(f"{name}: {error}") from None


def exec_options(options: "ProgramOptions") -> "ExecOptions":
    """The options of exec on the command line. OcirunError for a name that is not one."""
    given: ExecOptions = {"activation": False}
    rest = dict(options)
    for name, value in options.get("env", {}).items():
        if not name or "=" in name:
            raise OcirunError(f"env: {name[:64]!r} cannot be the name of a variable")
        if not isinstance(value, str) or "\0" in value:
            raise TypeError(f"env: the value of {name} must be a str without null bytes, not {value!r}")
        given.setdefault("env", []).append(f"{name}={value}")
    if "cwd" in options:
        given["cwd"] = posix.fspath(options["cwd"])
    if "user" in options:
        given["user"] = str(options["user"])
    if "additional_gids" in options:
        given["additional_gids"] = [str(gid) for gid in options["additional_gids"]]
    if "capabilities" in options:
        given["cap"] = list(options["capabilities"])
    given["no_new_privs"] = bool(options.get("no_new_privileges"))
    known = ("env", "cwd", "user", "additional_gids", "capabilities", "no_new_privileges", "preserve_fds")
    unknown = sorted(rest.keys() - set(known))
    if unknown:
        raise TypeError(f"exec has no option {unknown[0]!r}; it has {', '.join(known)}")
    return given


def complete(error: OcirunError, from_file: bool) -> None:
    """Give an InvalidConfig all its problems. ``from_file``: the caller has seen the text, so lines mean something to it."""
    if not from_file:
        error.line = None
    if error.pointer == "/process/terminal" and "--console-socket" in error.message:
        error.message = TERMINAL
    if not isinstance(error, InvalidConfig):
        return
    if not error.problems:
        from oci_spec import Problem

        error.problems = [Problem(error.pointer or "", error.line or 0, 0, "error", error.message, None, "create")]
    if not from_file:
        _forget_places(error.problems)


def _forget_places(problems: "Sequence[Problem]") -> None:
    for problem in problems:
        problem.line = problem.column = 0
