"""The command line: global options, parsing by the commands' tables, and turning errors into a message and an exit status.

The parser is our own: importing argparse takes 8 ms, and callers need what it refuses (long options with one dash, options
on both sides of the operands). Hot: imports only builtins; help, log and tracebacks are imported when needed.
"""

import _signal
import posix

from runtime.commands import COMMANDS, load, options_of
from runtime.errors import OcirunError, system_failure, system_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, TypedDict

    from runtime.commands import Operands, Option

    Values = dict[str, Any]  # str, int, bool or list[str], by key: the table of the options says which

    class Settings(TypedDict, total=False):
        """The global options."""

        root: str
        log: str
        log_format: str
        log_level: str
        debug: bool
        systemd_cgroup: bool
        cgroup_manager: str
        rootless: str
        criu: str
        version: bool
        help: bool


GLOBAL_OPTIONS: "tuple[Option, ...]" = (
    (
        ("--root",),
        "DIR",
        "root",
        "directory of the containers' state (default: /run/ocirun, or a directory of the user's)",
    ),
    (("--log",), "FILE", "log", "append errors and warnings to FILE, file:PATH, journald:NAME or syslog:NAME"),
    (("--log-format",), "FORMAT", "log_format", '"text" (default) or "json"'),
    (("--log-level",), "LEVEL", "log_level", "error: no warnings; warning (default), info; debug: as --debug"),
    (("--debug",), None, "debug", "report each operation, and print the traceback of an error"),
    (("--systemd-cgroup",), None, "systemd_cgroup", "let systemd make the cgroups: same as --cgroup-manager systemd"),
    (
        ("--cgroup-manager",),
        "NAME",
        "cgroup_manager",
        'who makes the cgroups of create and run: "cgroupfs" (default), "systemd" or "disabled" (nobody)',
    ),
    (
        ("--rootless",),
        "WHEN",
        "rootless",
        'do without cgroups that may not be written: "true", "false" or "auto" (default)',
    ),
    (("--criu",), "FILE", "criu", "the program that checkpoint and restore call (default: criu, from PATH)"),
    (("--version", "-v", "-V"), None, "version", "print the versions of this build"),
    (("--help", "-h", "-?"), None, "help", "print help, for ocirun or for a command"),
)
CHOICES = {
    "log_format": ("text", "json"),
    "log_level": ("error", "warn", "warning", "info", "debug"),
    "cgroup_manager": ("cgroupfs", "systemd", "disabled"),
    "rootless": ("true", "false", "auto"),
}
LONGEST = 8192  # characters of a message
INTERRUPTED = 130  # a shell's exit status for SIGINT


class UsageError(OcirunError):
    """The command line itself is wrong; nothing was tried."""

    code = "usage"


class Call:
    """One call of the command line: the command, its options by key (absent if not given), its operands, the global options."""

    def __init__(self) -> None:
        self.command = ""
        self.settings: Settings = {}
        self.options: Values = {}
        self.operands: list[str] = []

    @property
    def root(self) -> str:
        """The state directory, absolute."""
        root: str | None = self.settings.get("root")
        if not root:
            from runtime.lifecycle.store import default_root

            return default_root()
        return absolute(root)

    def operand(self, index: int) -> str:
        """The operand, made printable; "" without one."""
        return shown(self.operands[index]) if index < len(self.operands) else ""

    def warn(self, message: str) -> None:
        """Warn the user."""
        if self.settings.get("log_level") != "error":
            self._tell("warning", message)

    def debug(self, message: str) -> None:
        """Report progress, with --debug."""
        if self.settings.get("debug"):
            self._tell("debug", message)

    def _tell(self, level: str, message: str) -> None:
        """Write to the log; without one to standard error, which the container shares, so managers show it as its output."""
        message = shown(message)
        if self.settings.get("log"):
            from runtime.commands.log import append

            try:
                append(self, level, message)
                return
            except OSError:
                pass  # such as a full disk: use standard error
        write(2, f"ocirun: {level}: {message}\n")

    def open_log(self) -> None:
        """Create the log's file, or connect to its socket, before anything else is made. OcirunError on failure."""
        path = self.settings.get("log") or ""
        try:
            if path.startswith(("journald:", "syslog:")):
                from runtime.commands.log import connect

                connect(path).close()
            elif path:
                path = self.settings["log"] = absolute(path.removeprefix("file:"))
                posix.close(posix.open(path, posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC, 0o644))
        except OSError as error:
            del self.settings["log"]
            raise system_failure(f"open the log {path}", error) from None


def absolute(path: str) -> str:
    """The absolute path. Links and ``..`` stay: only the kernel knows where they lead."""
    return path if path.startswith("/") else f"{posix.getcwd()}/{path}"


def shown(message: str) -> str:
    """``message`` with control characters escaped, and cut to LONGEST: it may quote a config from anybody."""
    if message.isprintable() and len(message) <= LONGEST:
        return message
    from runtime.commands.log import printable

    return printable(message if len(message) <= LONGEST else f"{message[:LONGEST]}…")


def write(descriptor: int, text: str) -> None:
    """Write all of ``text``. Stops if the reader has gone, or standard error takes nothing: containerd opens /dev/null for reading."""
    rest = text.encode(errors="surrogateescape")
    try:
        while rest:
            rest = rest[posix.write(descriptor, rest) :]
    except OSError as error:
        if descriptor != 2 and not isinstance(error, BrokenPipeError):
            raise


def main(arguments: list[str]) -> int:
    """Run one command line. Returns the exit status; never raises."""
    call = Call()
    statuses: dict[str, int] = {}
    try:
        _hold_standard_descriptors()
        _restore_locale()
        # Inherited as ignored, SIGCHLD would leave us no exit status to wait for.
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        return _run(call, arguments, statuses)
    except UsageError as error:
        page = f" {call.command}" if call.command in COMMANDS else ""
        _fail(call, error, f"{error}; see 'ocirun{page} --help'")
        return statuses.get("usage", 1)
    except OcirunError as error:
        _fail(call, error, str(error))
    except OSError as error:  # expected ones are OcirunError by now
        path = f"{error.filename}: " if error.filename is not None else ""
        _fail(call, error, path + system_words(error.errno or 0))
    except KeyboardInterrupt as error:
        _fail(call, error, "interrupted")
        return INTERRUPTED
    except Exception as error:
        _fail(call, error, f"internal error: {type(error).__name__}: {error}; run with --debug to see where")
    return statuses.get("failure", 1)


def _hold_standard_descriptors() -> None:
    """Open closed descriptors 0 to 2, so that no file or socket of ours can become a standard stream."""
    for descriptor in (0, 1, 2):
        try:
            posix.fstat(descriptor)
        except OSError:
            # Takes the lowest free number.
            try:
                posix.open("/dev/null", posix.O_RDWR)
            except FileNotFoundError:  # a host without devices: nothing can be read from it or written to it
                posix.open("/", posix.O_PATH)


def _restore_locale() -> None:
    """Give hooks the caller's LC_CTYPE. In the C locale the interpreter has set it (PEP 538), and with -I it ignores
    PYTHONCOERCECLOCALE, which would prevent that. /proc/self/environ still has the original.
    """
    if posix.environ.get(b"LC_CTYPE") not in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        return
    try:
        with open("/proc/self/environ", "rb") as file:
            given = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry)
    except OSError:
        return  # no /proc: reported where it is needed
    if b"LC_CTYPE" in given:
        posix.environ[b"LC_CTYPE"] = given[b"LC_CTYPE"]
        posix.putenv(b"LC_CTYPE", given[b"LC_CTYPE"])
    else:
        del posix.environ[b"LC_CTYPE"]
        posix.unsetenv(b"LC_CTYPE")


def _run(call: Call, arguments: list[str], statuses: "dict[str, int]") -> int:
    rest = _parse_globals(call, arguments)
    if call.settings.get("version"):
        from runtime.commands.help import versions

        write(1, versions())
        return 0
    asked = rest[:1] in ([], ["help"])
    call.command = _command(rest[asked:])
    if asked or (call.command not in COMMANDS and rest[1:2] in (["--help"], ["-h"])):
        return _help(call)
    del rest[: call.command.count(" ")]
    module = _module(call.command)
    statuses.update(usage=getattr(module, "USAGE_STATUS", 1))
    options, operands = options_of(module, call.command)
    parse(call, options, operands[1] is not None, rest[1:])
    if call.settings.get("help"):
        return _help(call)
    _check_settings(call.settings)
    call.open_log()
    _check_operands(call, operands)
    if call.settings.get("debug"):
        call.debug(f"{call.command}, state in {call.root}")  # no arguments: they may contain secrets
    statuses.update(failure=getattr(module, "FAILURE_STATUS", 1))
    status: int = module.main(call)
    return status


def _command(words: "list[str]") -> str:
    """The verb, of one word or of two."""
    pair = " ".join(words[:2])
    return pair if pair in COMMANDS else "".join(words[:1])


def _module(command: str) -> "ModuleType":
    """The module of a command. UsageError for an unknown one."""
    if command not in COMMANDS:
        from runtime.commands.help import unknown

        raise UsageError(unknown(command))
    return load(command)


def _parse_globals(call: Call, arguments: list[str]) -> list[str]:
    """Parse the options before the command. Returns the rest."""
    names = _by_name(GLOBAL_OPTIONS)
    index = 0
    while index < len(arguments) and arguments[index].startswith("-") and arguments[index] != "-":
        index = _take_option(call, {}, names, arguments, index)
    return arguments[index:]


def parse(call: Call, options: "tuple[Option, ...]", reorder: bool, arguments: list[str]) -> None:
    """Parse a command's options and operands.

    ``reorder``: options may follow operands; otherwise the first operand ends them. A command's own option hides a global
    one of the same name. ``--`` ends the options.
    """
    own, names = _by_name(options), _by_name(GLOBAL_OPTIONS)
    index = 0
    while index < len(arguments):
        argument = arguments[index]
        if argument == "--":
            call.operands += arguments[index + 1 :]
            return
        if argument.startswith("-") and argument != "-":
            index = _take_option(call, own, names, arguments, index)
            continue
        call.operands.append(argument)
        index += 1
        if not reorder:
            rest = arguments[index:]
            call.operands += rest[1:] if rest[:1] == ["--"] else rest
            return


def _by_name(options: "tuple[Option, ...]") -> "dict[str, Option]":
    """Options by name without dashes: a long option may have only one."""
    return {name.lstrip("-"): option for option in options for name in option[0]}


def _take_option(
    call: Call, own: "dict[str, Option]", names: "dict[str, Option]", arguments: list[str], index: int
) -> int:
    """Parse the option at ``index``, with its value. Returns the next index."""
    text, equals, value = arguments[index].partition("=")
    name = text[2:] if text.startswith("--") else text[1:]
    option, target = own.get(name), call.options
    if option is None:
        option, target = names.get(name), call.settings  # type: ignore[assignment]  # by key, as options
    if option is None:
        if not equals and text[1] != "-" and all(letter in own and own[letter][1] is None for letter in name):
            for letter in name:  # -td is -t -d
                _set_switch(call.options, own[letter], "true", text)
            return index + 1
        known = {name for option in (*own.values(), *names.values()) for name in option[0]}
        from runtime.commands.help import guess

        raise UsageError(f"unknown option {text}{guess(text if text[1:2] == '-' else f'-{text}', known)}")
    if option[1] is None:
        _set_switch(target, option, value if equals else "true", text)
        return index + 1
    if not equals:
        index += 1
        if index == len(arguments):
            raise UsageError(f"{text}: flag needs an argument ({option[1]})")  # Podman looks for these words
        value = arguments[index]
    _set_value(target, option, value, text)
    return index + 1


def _set_switch(target: "Values", option: "Option", value: str, text: str) -> None:
    if value.lower() not in ("true", "false", "1", "0", "t", "f"):
        raise UsageError(f'{text}="{value}": must be true or false')
    target[option[2]] = value.lower() in ("true", "1", "t")


def _set_value(target: "Values", option: "Option", value: str, text: str) -> None:
    metavar, key = option[1] or "", option[2]
    if metavar.endswith("..."):
        target.setdefault(key, []).append(value)
    elif metavar == "N":
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise UsageError(f'{text} "{value}": must be an unsigned number')
        target[key] = int(value)
    else:
        target[key] = value


def _check_settings(settings: "Settings") -> None:
    for key, allowed in CHOICES.items():
        value = settings.get(key)
        if value is not None and value not in allowed:
            raise UsageError(f'--{key.replace("_", "-")} "{value}": must be one of {", ".join(allowed)}')
    if settings.get("log_level") == "debug":
        settings["debug"] = True
    if settings.get("systemd_cgroup") and settings.setdefault("cgroup_manager", "systemd") == "cgroupfs":
        raise UsageError("--systemd-cgroup contradicts --cgroup-manager cgroupfs")


def _check_operands(call: Call, operands: "Operands") -> None:
    least, most, usage = operands
    count = len(call.operands)
    if count < least:
        raise UsageError(f"{call.command} needs {usage}")
    if most is not None and count > most:
        raise UsageError(f"{call.command} takes {usage or 'no operands'}, not {' '.join(call.operands)}")


def _help(call: Call) -> int:
    from runtime.commands import help

    write(1, help.first_page(call.command, GLOBAL_OPTIONS) or help.page(call.command, _module(call.command)))
    return 0


def _fail(call: Call, error: BaseException, message: str) -> None:
    """Report the failure on standard error, and as one line in the log, where managers look for it."""
    if call.settings.get("debug"):
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            call.debug(line)
    message = shown(message)
    write(2, f"ocirun: error: {message}\n")
    if not call.settings.get("log"):
        return
    from runtime.commands.log import append, details

    try:
        append(call, "error", message, details(error))
    except OSError as failure:
        write(2, f"ocirun: warning: log {call.settings['log']}: {system_words(failure.errno or 0)}\n")
