"""Sending descriptors to the caller: a terminal's master end, a pidfd. Each is one message on an AF_UNIX stream socket, with
a name and one descriptor. Cold.
"""

import fcntl
import posix

from runtime import shim
from runtime.errors import OcirunError, system_failure
from runtime.kernel import TIOCGPTN


def name(terminal: int) -> str:
    """The terminal's path as the container sees it."""
    number = int.from_bytes(fcntl.ioctl(terminal, TIOCGPTN, b"\0\0\0\0"), "little")
    return f"/dev/pts/{number}"


def hand_over(path: str, kind: str, text: str, descriptor: int) -> None:
    """Send ``text`` with the descriptor to the socket ``path``; ``kind`` names it in the error."""
    try:
        shim.send_descriptor(path, text, descriptor)
    except OSError as error:
        raise system_failure(f"send the {kind} to {path}", error) from None


def send(path: str, terminal: int) -> None:
    """Send the terminal's master end to ``--console-socket``."""
    hand_over(path, "terminal", name(terminal), terminal)


def send_pidfd(path: str, pid: int) -> None:
    """Send a pidfd of init to ``--pidfd-socket``."""
    try:
        descriptor = posix.pidfd_open(pid)
    except OSError as error:
        raise OcirunError(f"pidfd_open {pid}: {posix.strerror(error.errno or 0).lower()}") from None
    try:
        hand_over(path, "pidfd", "pidfd", descriptor)
    finally:
        posix.close(descriptor)
