"""rtnetlink(7), as far as moving a network device needs it: links and addresses. Decides nothing.

Imported only for a config with netDevices. Numbers are the kernel's, in the machine's byte order.
"""

import _socket
import posix
from _struct import Struct

from runtime import shim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RTM_NEWLINK, RTM_GETLINK, RTM_SETLINK, RTM_NEWADDR, RTM_GETADDR = 16, 18, 19, 20, 22
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR = 0x1, 0x4, 0x10
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
NLM_F_DUMP, NLM_F_CREATE, NLM_F_EXCL = 0x300, 0x400, 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLMSGERR_ATTR_MSG = 1
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
IFLA_IFNAME, IFLA_NET_NS_FD = 3, 28
IFF_UP = 1

_HEADER = Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
LINK = Struct("=BxxxiII")  # struct ifinfomsg: family, index, flags, mask of the flags to change
ADDRESS = Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index of the device
_ATTRIBUTE = Struct("=HH")  # struct rtattr: length, type
_ERROR = Struct("=i")
_SIZE = 1 << 17
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

Attributes = dict[int, bytes]


def attributes(data: bytes) -> Attributes:
    result = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        result[kind & _TYPE_MASK] = data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return result


def packed(values: Attributes) -> bytes:
    parts = []
    for kind, value in values.items():
        length = _ATTRIBUTE.size + len(value)
        parts.append(_ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4))
    return b"".join(parts)


class Netlink:
    """A netlink socket in the network namespace of the descriptor ``network`` (-1: the caller's).

    Every request raises OSError with the kernel's errno; ``strerror`` is the kernel's extended message, if it sent one.
    """

    def __init__(self, network: int = -1) -> None:
        self.socket = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, 0, shim.netlink(network))
        self.sequence = 0
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
            self.socket.setsockopt(SOL_NETLINK, option, 1)

    def close(self) -> None:
        self.socket.close()

    def request(self, kind: int, flags: int, body: bytes) -> None:
        self._send(kind, flags | NLM_F_ACK, body)
        for _ in self._answers():
            pass

    def dump(self, kind: int, body: bytes) -> "list[bytes]":
        """All answers to a request for a list; asks again if the list changed meanwhile."""
        while True:
            self._send(kind, NLM_F_DUMP, body)
            try:
                return list(self._answers())
            except InterruptedError:
                continue

    def ask(self, kind: int, body: bytes) -> bytes:
        """The only answer to a request."""
        self._send(kind, 0, body)
        return next(self._answers(single=True))

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self.sequence += 1
        length = _HEADER.size + len(body)
        self.socket.send(_HEADER.pack(length, kind, flags | NLM_F_REQUEST, self.sequence, 0) + body)

    def _answers(self, single: bool = False) -> "Iterator[bytes]":
        interrupted = False
        while True:
            data = self.socket.recv(_SIZE)
            while len(data) >= _HEADER.size:
                length, kind, flags, sequence, _ = _HEADER.unpack_from(data)
                body, data = data[_HEADER.size : length], data[(length + 3) & ~3 :]
                if sequence != self.sequence:
                    continue
                interrupted = interrupted or bool(flags & NLM_F_DUMP_INTR)
                if kind == NLMSG_ERROR:
                    _check(body, flags)
                    return
                if kind == NLMSG_DONE:
                    if interrupted:
                        raise InterruptedError
                    return
                yield body
                if single:
                    return


def _check(body: bytes, flags: int) -> None:
    """OSError unless the message reports success."""
    number = -_ERROR.unpack_from(body)[0]
    if number == 0:
        return
    message = b""
    if flags & NLM_F_ACK_TLVS and flags & NLM_F_CAPPED:
        message = attributes(body[_ERROR.size + _HEADER.size :]).get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0")
    raise OSError(number, message.decode(errors="replace") or posix.strerror(number))
