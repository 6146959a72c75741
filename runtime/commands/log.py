"""The log of --log: one line per event in the format of logrus, which managers parse; or journald, or syslog.

containerd takes the last line whose level is "error". Podman parses the whole file as one JSON object and, if it has more
than one line, takes standard error instead, which has only the error. Cold: imported for the first message.

`runtime.cli` imports this in functions, and this imports `cli` for types only: no circle at run time.
"""

import posix
import time

from runtime.commands import COMMANDS, load, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from runtime.cli import Call

SOCKETS = {"journald": "/run/systemd/journal/socket", "syslog": "/dev/log"}
PRIORITIES = {"error": 3, "warning": 4, "debug": 7}  # syslog(3)
USER_FACILITY = 1 << 3
LONGEST_POINTER = 4096  # characters: a key may be as long as the document
CODES = {"KeyboardInterrupt": "interrupted"}


def append(call: "Call", level: str, message: str, more: "dict[str, str | int] | None" = None) -> None:
    """Add a line to the log of ``--log``, if any, with the verb, the container's id and ``more``. Raises OSError."""
    log: str = call.settings.get("log") or ""
    if not log:
        return
    fields: dict[str, str | int] = {"id": container(call), "verb": call.command, **(more or {})}
    fields = {key: value for key, value in fields.items() if value}
    json = call.settings.get("log_format") == "json"
    if log.startswith(("journald:", "syslog:")):
        _send(log, level, json_line(level, message, fields) if json else message, fields)
        return
    line = json_line(level, message, fields) if json else text_line(level, message, fields)
    descriptor = posix.open(log, posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC, 0o644)
    try:
        posix.write(descriptor, line.encode(errors="surrogateescape"))
    finally:
        posix.close(descriptor)


def details(error: BaseException) -> "dict[str, str | int]":
    """What a program needs of an error: code, errno, pointer and line (docs/errors.md)."""
    from errno import errorcode

    number = getattr(error, "errno", None)
    return {
        "code": getattr(error, "code", CODES.get(type(error).__name__, "system" if number else "internal")),
        "errno": errorcode.get(number or 0, ""),
        "pointer": (getattr(error, "pointer", None) or "")[:LONGEST_POINTER],
        "line": getattr(error, "line", None) or 0,
    }


def container(call: "Call") -> str:
    """The container id on the command line; "" for a command without one."""
    if call.command not in COMMANDS:
        return ""
    usage = options_of(load(call.command), call.command)[1][2].split()
    return call.operand(usage.index("CONTAINER")) if "CONTAINER" in usage else ""


def connect(log: str) -> "socket.socket":
    """A socket to the service of ``journald:NAME`` or ``syslog:NAME``. Raises OSError."""
    from socket import AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, socket

    channel = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC)
    try:
        channel.connect(SOCKETS[log.partition(":")[0]])
    except OSError:
        channel.close()
        raise
    return channel


def _send(log: str, level: str, message: str, fields: "dict[str, str | int]") -> None:
    """Send one message. NAME is the identifier, by default the container's id. The journal gets the fields separately
    (systemd.journal-fields(7)).
    """
    service, _, name = log.partition(":")
    name, priority, text = name or str(fields.get("id") or "ocirun"), PRIORITIES[level], message.rstrip("\n")
    if service == "syslog":
        now = time.localtime()
        stamp = f"{time.strftime('%b', now)} {now.tm_mday:2d} {time.strftime('%H:%M:%S', now)}"
        data = f"<{USER_FACILITY | priority}>{stamp} {name}[{posix.getpid()}]: {text}"
    else:
        # The journal's own ERRNO is a number.
        named = {"SYSLOG_IDENTIFIER": name, **{key.upper(): fields[key] for key in fields if key != "errno"}}
        data = f"PRIORITY={priority}\nMESSAGE={text}\n"
        data += "".join(f"{key}={printable(str(value))}\n" for key, value in named.items() if value)
    with connect(log) as channel:
        channel.send(data.encode(errors="surrogateescape"))


def printable(text: str) -> str:
    """``text`` with escapes (``\\n``, ``\\x1b``, ``\\u202e``) for unprintable characters, which may end a line, control a
    terminal or reverse the text, and for bytes that are not UTF-8.
    """
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def json_line(level: str, message: str, fields: "dict[str, str | int]") -> str:
    """``{"level":...,"msg":...,"time":...}``, with the fields, and a newline."""
    from runtime.lifecycle.document import dumps

    return dumps({"level": level, "msg": message, "time": _now(), **fields}) + "\n"


def text_line(level: str, message: str, fields: "dict[str, str | int]") -> str:
    """``time="..." level=... msg="..."`` with the fields, and a newline. Strings are quoted as in JSON, so they stay on one line."""
    from runtime.lifecycle.document import dumps

    more = "".join(f" {key}={dumps(value)}" for key, value in fields.items())
    return f'time="{_now()}" level={level} msg={dumps(message)}{more}\n'
