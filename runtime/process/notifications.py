"""A seccomp listener's notifications (seccomp_unotify(2)): taking and answering them, and the processes that made the calls. Cold."""

import fcntl
import posix
from _signal import SIGKILL, SIGSYS
from _struct import Struct
from errno import EFAULT, EINTR, ENOENT

from runtime import shim
from runtime.files import read_or_empty
from runtime.shim import ffi, lib

RECEIVE, ANSWER, IS_VALID = 0xC0502100, 0xC0182101, 0x40082102  # SECCOMP_IOCTL_NOTIF_RECV, _SEND, _ID_VALID
NOTIFICATION, RESPONSE, ID = Struct("=QIIiIQ6Q"), Struct("=QqiI"), Struct("=Q")
CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
SIGINFO, SI_QUEUE = Struct("=iii4xQiI96x"), -1
SET_MODE_FILTER, NEW_LISTENER, WAIT_KILLABLE_RECV = 1, 8, 32
PAGE = 4096


class Notification:
    """A system call that waits for an answer. ``thread``: that made it, as our pid namespace numbers it."""

    __slots__ = ("_status", "address", "arch", "args", "id", "listener", "number", "thread")

    def __init__(self, listener: int, data: "bytes | bytearray") -> None:
        self.listener = listener
        self.id, self.thread, _, self.number, self.arch, self.address, *args = NOTIFICATION.unpack(data)
        self.args: list[int] = args
        self._status: dict[bytes, bytes] | None = None

    @property
    def status(self) -> "dict[bytes, bytes]":
        """/proc/PID/status, as it was when it was first asked for; {} if we may not see it."""
        if self._status is None:
            lines = read_or_empty(f"/proc/{self.thread}/status").splitlines()
            self._status = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        return self._status

    @property
    def process(self) -> int:
        return int(self.status.get(b"Tgid", self.thread))

    @property
    def command(self) -> str:
        """The name of the thread; "?" if we may not see it."""
        return self.status.get(b"Name", b"?").decode(errors="backslashreplace")

    @property
    def is_first(self) -> bool:
        """Whether the process is the first of its pid namespace, to which signals without a handler do nothing."""
        return self.status.get(b"NStgid", b"").split()[-1:] == [b"1"]

    def _has(self, mask: bytes) -> bool:
        return bool(int(self.status.get(mask, b"0"), 16) >> (SIGSYS - 1) & 1)

    @property
    def handles(self) -> bool:
        """Whether a SIGSYS would run a handler of the process."""
        return self._has(b"SigCgt") and not self._has(b"SigBlk")

    def read(self, address: int, length: int) -> bytes:
        """The process's memory, as far as it is there, up to a page with a NUL; b"" if it may not be read, or the call does not wait any more."""
        try:
            memory = posix.open(f"/proc/{self.thread}/mem", posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            return b""
        data = b""
        try:
            while len(data) < length:
                at = address + len(data)
                piece = posix.pread(memory, min(length - len(data), PAGE - at % PAGE), at)
                data += piece
                if not piece or b"\0" in piece:
                    break
        except (OSError, OverflowError):
            pass
        finally:
            posix.close(memory)
        return data if self.waits() else b""

    def waits(self) -> bool:
        """Whether the thread, and so its number, is still the one that made the call."""
        try:
            fcntl.ioctl(self.listener, IS_VALID, ID.pack(self.id))
        except OSError:
            return False
        return True

    def answer(self, error: int = 0, value: int = 0, go_on: bool = False) -> None:
        """Let the call fail with ``error``, return ``value``, or ``go_on``. Nothing if it does not wait any more."""
        try:
            fcntl.ioctl(self.listener, ANSWER, RESPONSE.pack(self.id, value, -error, CONTINUE if go_on else 0))
        except OSError as failure:
            if failure.errno != ENOENT:
                raise

    def kill(self) -> int:
        """End the process, by SIGSYS if that is sure to end it. Returns the signal."""
        if self.is_first or any(map(self._has, (b"SigCgt", b"SigBlk", b"SigIgn"))):
            try:
                process = posix.pidfd_open(self.process)
            except OSError:  # it has ended meanwhile
                return int(SIGKILL)
            try:
                if self.waits():
                    shim.system_call("pidfd_send_signal", process, SIGKILL)
            finally:
                posix.close(process)
            return int(SIGKILL)
        self.trap(0)
        return int(SIGSYS)

    def trap(self, data: int) -> None:
        """Raise SIGSYS in the thread, and let the call return its own number, as the kernel does for SCMP_ACT_TRAP.

        The kernel lets nobody send its own si_code, so it is SI_QUEUE; si_errno, si_syscall and si_arch are as they should be.
        """
        information = SIGINFO.pack(SIGSYS, data, SI_QUEUE, 0, self.number, self.arch)
        if holds_back() and self.waits():
            shim.system_call("rt_tgsigqueueinfo", self.process, self.thread, SIGSYS, information)
            self.answer(value=self.number)
        else:
            self.answer(value=self.number)
            shim.system_call("rt_tgsigqueueinfo", self.process, self.thread, SIGSYS, information)


def holds_back() -> bool:
    """Whether the kernel has SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19): then a signal waits for our answer."""
    return shim.system_call("seccomp", SET_MODE_FILTER, NEW_LISTENER | WAIT_KILLABLE_RECV, None) == -EFAULT


def name_of(token: int, number: int) -> str:
    """The call's name in the table of libseccomp's ``token``; "" if it has none there."""
    name = ffi.new("char[64]")
    return "" if lib.shim_seccomp_name(token, number, name, 64) else ffi.string(name).decode()


def take(listener: int) -> "Notification | None":
    """The next notification; None if its process has ended meanwhile. Blocks if there is none."""
    data = bytearray(NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, RECEIVE, data)
    except OSError as error:
        if error.errno in (ENOENT, EINTR):
            return None
        raise
    return Notification(listener, data)
