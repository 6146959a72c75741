"""Waiting by pidfd, which also works for what is no child of ours."""

import errno
import fcntl
import posix
import select
from _struct import Struct

from runtime.errors import system_failure
from runtime.process.foreground import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# struct pidfd_info of linux/pidfd.h, as of 6.13: mask, cgroupid, eleven ids, exit_code. The size is part of the request.
INFO = Struct("=QQ11Ii")
PIDFD_GET_INFO = 3 << 30 | INFO.size << 16 | 0xFF << 8 | 11
PIDFD_INFO_EXIT = 1 << 3  # since Linux 6.15
REAPED = 0.2  # seconds in which a parent collects a child that has ended


def opened(pid: int) -> int:
    """A pidfd, or -1 if there is no such process. OcirunError when it cannot be had, for want of descriptors, say."""
    try:
        return posix.pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.EINVAL):
            return -1
        raise system_failure(f"pidfd_open {pid}", error) from None


def ended(descriptor: int, timeout: "float | None") -> bool:
    """Wait until the process has ended; False after ``timeout`` seconds."""
    return bool(first_ended([descriptor], timeout))


def first_ended(descriptors: "Sequence[int]", timeout: "float | None") -> "list[int]":
    """Wait until one of the processes has ended. The indices of those that have; [] after ``timeout`` seconds. -1 has ended."""
    gone = [number for number, descriptor in enumerate(descriptors) if descriptor < 0]
    if gone:
        return gone
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(None if timeout is None else max(0.0, timeout) * 1000)}
    return [number for number, descriptor in enumerate(descriptors) if descriptor in ready]


def is_child(descriptor: int) -> bool:
    """Whether the process is a child of ours that nobody has waited for."""
    try:
        posix.waitid(posix.P_PIDFD, descriptor, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def reap(descriptor: int) -> "int | None":
    """The exit status of a process that has ended, 128 + N for a signal; None if neither we nor the kernel know it."""
    try:
        result = posix.waitid(posix.P_PIDFD, descriptor, posix.WEXITED)
    except ChildProcessError:
        return told(descriptor)
    if result is None:
        return None
    return result.si_status if result.si_code == posix.CLD_EXITED else 128 + result.si_status


def told(descriptor: int) -> "int | None":
    """What the kernel tells about another's child: from Linux 6.15 on, once its parent has collected it."""
    poll = select.poll()
    poll.register(descriptor, 0)  # POLLHUP alone
    poll.poll(REAPED * 1000)
    try:
        answer = fcntl.ioctl(descriptor, PIDFD_GET_INFO, INFO.pack(PIDFD_INFO_EXIT, *[0] * 13))
    except OSError:
        return None
    mask, *_, status = INFO.unpack(answer)
    return exit_status(status) if mask & PIDFD_INFO_EXIT else None


def close(descriptor: int) -> None:
    """Close a pidfd."""
    posix.close(descriptor)


def copy(descriptor: int) -> int:
    """Another descriptor of the same process."""
    return posix.dup(descriptor)
