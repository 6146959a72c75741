"""The log file of --log: one line an event, as logrus writes it, since managers parse that.

containerd takes the last line whose level is "error", Podman parses the whole file as one JSON object. Cold: loaded
on a failure.
"""

import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def append(settings: "dict[str, Any]", level: str, message: str) -> None:
    """Add a line to the file named by ``settings["log"]``, if any, in the form of ``settings["log_format"]``.

    OSError passes through.
    """
    path = settings.get("log")
    if not path:
        return
    line = json_line(level, message) if settings.get("log_format") == "json" else text_line(level, message)
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC, 0o644)
    try:
        posix.write(descriptor, line.encode(errors="surrogateescape"))
    finally:
        posix.close(descriptor)


def printable(text: str) -> str:
    """``text`` with escapes (``\\n``, ``\\x1b``, ``\\u202e``) for every character that is no visible one: those that end
    a line, drive a terminal or turn the direction of writing, and bytes that are no UTF-8.
    """
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def json_line(level: str, message: str) -> str:
    """``{"level":...,"msg":...,"time":...}`` and a newline."""
    from runtime.lifecycle.document import dumps

    return dumps({"level": level, "msg": message, "time": _now()}) + "\n"


def text_line(level: str, message: str) -> str:
    """``time="..." level=... msg="..."`` and a newline; the message is quoted as in JSON, which keeps it on one
    line.
    """
    from runtime.lifecycle.document import dumps

    return f'time="{_now()}" level={level} msg={dumps(message)}\n'
