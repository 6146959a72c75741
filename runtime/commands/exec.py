"""``ocirun exec ID COMMAND ...``: run another program in a running container."""

from runtime.cli import UsageError, absolute
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.cli import Call

OPTIONS = (
    (
        ("--process", "-p"),
        "FILE",
        "process",
        'the program as a JSON file, of the form of "process" in config.json; - is standard input',
    ),
    (("--detach", "-d"), None, "detach", "return when the program runs"),
    (("--tty", "-t"), None, "tty", "give the program a terminal"),
    (("--console-socket",), "SOCKET", "console_socket", "AF_UNIX socket that is sent the terminal's descriptor"),
    (("--pid-file",), "FILE", "pid_file", "write the pid of the program here"),
    (("--pidfd-socket",), "SOCKET", "pidfd_socket", "AF_UNIX socket that is sent a pidfd of the program"),
    (("--cwd",), "DIR", "cwd", "working directory in the container"),
    (("--env", "-e"), "NAME=VALUE...", "env", "set an environment variable; may be repeated"),
    (("--user", "-u"), "UID[:GID]", "user", "user, and perhaps group, as numbers"),
    (("--additional-gids", "-g"), "GID...", "additional_gids", "a further group; may be repeated"),
    (("--cap", "-c"), "CAPABILITY...", "cap", "add a capability; may be repeated"),
    (("--no-new-privs",), None, "no_new_privs", "forbid the program to gain privileges"),
    (("--process-label",), "LABEL", "process_label", "SELinux label of the program"),
    (("--apparmor",), "PROFILE", "apparmor", "AppArmor profile of the program"),
    (("--preserve-fds",), "N", "preserve_fds", "pass N descriptors beyond 0, 1 and 2 (and those of LISTEN_FDS)"),
    (
        ("--cgroup",),
        "PATH...",
        "cgroup",
        "sub-cgroup of the container's to run in, or CONTROLLERS:PATH; may be repeated",
    ),
    (("--ignore-paused",), None, "ignore_paused", "go on when the container is paused"),
)
OPERANDS = (1, None, "CONTAINER [COMMAND [ARGUMENT ...]]")
FAILURE_STATUS = 255  # as runc's, whatever failed after the command line was understood


def main(call: "Call") -> int:
    options: Any = dict(call.options)
    id, *args = call.operands
    if args and options.get("process"):
        raise UsageError("a command and --process cannot both be given")
    if not args and not options.get("process"):
        raise UsageError("exec needs a command or --process")
    for key in ("process", "console_socket", "pid_file", "pidfd_socket"):
        if options.get(key) not in (None, "", "-"):
            options[key] = absolute(options[key])
    if call.settings.get("debug"):
        options["debug"] = call.debug
    from runtime.lifecycle.exec import exec_process

    try:
        return exec_process(call.root, id, args, options, call.warn)
    except OcirunError as error:
        if (error.pointer or "").startswith("/process"):
            error.pointer = None  # it is the command line or the file of --process that is wrong, not config.json
        raise
