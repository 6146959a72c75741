"""``ocirun exec ID COMMAND ...``: run another program in a running container."""

from runtime.cli import UsageError, absolute
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from runtime.cli import Call
    from runtime.shapes import ExecOptions

    PathOption = Literal["process", "console_socket", "pid_file", "pidfd_socket"]

OPTIONS = (
    (
        ("--process", "-p"),
        "FILE",
        "process",
        'JSON file that describes the program, as "process" in config.json; - is standard input',
    ),
    (("--detach", "-d"), None, "detach", "return once the program runs"),
    (("--tty", "-t"), None, "tty", "give the program a terminal"),
    (("--console-socket",), "SOCKET", "console_socket", "AF_UNIX socket that receives the terminal's master end"),
    (("--pid-file",), "FILE", "pid_file", "write the pid of the program to FILE"),
    (("--pidfd-socket",), "SOCKET", "pidfd_socket", "AF_UNIX socket that receives a pidfd of the program"),
    (("--cwd",), "DIR", "cwd", "working directory in the container"),
    (("--env", "-e"), "NAME=VALUE...", "env", "set an environment variable; may be repeated"),
    (("--user", "-u"), "UID[:GID]", "user", "user and, optionally, group, as numbers"),
    (("--additional-gids", "-g"), "GID...", "additional_gids", "an additional group; may be repeated"),
    (("--cap", "-c"), "CAPABILITY...", "cap", "add a capability; may be repeated"),
    (("--no-new-privs",), None, "no_new_privs", "keep the program from gaining privileges"),
    (("--process-label",), "LABEL", "process_label", "SELinux label of the program"),
    (("--apparmor",), "PROFILE", "apparmor", "AppArmor profile of the program"),
    (("--preserve-fds",), "N", "preserve_fds", "pass N descriptors beyond 0, 1 and 2 (and those of LISTEN_FDS)"),
    (
        ("--cgroup",),
        "PATH...",
        "cgroup",
        "run in this cgroup below the container's, or CONTROLLERS:PATH; may be repeated",
    ),
    (("--seccomp-explain",), None, "seccomp_explain", "tell which system calls the seccomp filter refuses, and why"),
    (("--ignore-paused",), None, "ignore_paused", "start the program even if the container is paused"),
)
OPERANDS = (1, None, "CONTAINER [COMMAND [ARGUMENT ...]]")
PATHS: "tuple[PathOption, ...]" = ("process", "console_socket", "pid_file", "pidfd_socket")
FAILURE_STATUS = 255  # as runc's, for any failure after the command line was parsed


def main(call: "Call") -> int:
    options: ExecOptions = {**call.options}  # type: ignore[typeddict-item]  # the keys of OPTIONS
    id, *args = call.operands
    if args and options.get("process"):
        raise UsageError("a command and --process cannot both be given")
    if not args and not options.get("process"):
        raise UsageError("exec needs a command or --process")
    for key in PATHS:
        if options.get(key) not in (None, "", "-"):
            options[key] = absolute(options[key])
    if call.settings.get("debug"):
        options["debug"] = call.debug
    if options.get("seccomp_explain"):
        from runtime.commands.seccomp_lines import explain

        explain(options)
    from runtime.lifecycle.exec import exec_process

    try:
        return exec_process(call.root, id, args, options, call.warn)
    except OcirunError as error:
        if (error.pointer or "").startswith("/process"):
            error.pointer = None  # the command line or the file of --process is wrong, not config.json
        raise
