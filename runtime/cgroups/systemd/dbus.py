"""A D-Bus connection to systemd, with a limit on every wait. Cold: loaded only for the systemd cgroup manager.

jeepney does the wire format. Addresses, the login and the waiting are here, since its own can wait for ever.
"""

import os
import socket
import time

from runtime.errors import OcirunError, system_words

try:
    from jeepney import DBusAddress, HeaderFields, MessageType, Parser, new_method_call
except ModuleNotFoundError:
    # A distribution's package is where only site looks.
    import site

    site.main()
    try:
        from jeepney import DBusAddress, HeaderFields, MessageType, Parser, new_method_call
    except ModuleNotFoundError:
        message = "it takes the Python package jeepney to talk to systemd: install it (Debian: python3-jeepney)"
        raise OcirunError(f"{message}, or use --cgroup-manager cgroupfs") from None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from jeepney import Message

    # The values of a message, of the types that its signature says.
    Body = tuple[Any, ...]

LIMIT = 10.0  # seconds for a login, and for a reply
LONGEST_LINE = 1 << 14  # bytes, in the login
SYSTEMD, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER, PROPERTIES = f"{SYSTEMD}.Manager", "org.freedesktop.DBus.Properties"
NAME = "org.freedesktop.DBus"
# systemd's own socket, without a bus in between: for root, and for the user's own systemd.
DIRECT = "/systemd/private"


class Unreachable(OcirunError):
    """The bus does not answer, or does not speak D-Bus. ``absent``: nobody listens there."""

    absent = False


class Refused(OcirunError):
    """An error reply. ``name`` is the error's name on D-Bus, ``text`` what the peer said."""

    def __init__(self, tried: str, name: str, text: str) -> None:
        super().__init__(f"{tried}: {text or name}")
        self.name = name
        self.text = text


def sockets(address: str) -> list[str]:
    """The socket names of a D-Bus address (dbus specification, "Server Addresses"). An abstract one begins with a NUL byte.

    Transports other than unix sockets are left out.
    """
    names = []
    for entry in address.split(";"):
        transport, _, rest = entry.partition(":")
        keys = dict(pair.partition("=")[::2] for pair in rest.split(","))
        if transport == "unix" and keys.get("path"):
            names.append(_unescaped(keys["path"]))
        elif transport == "unix" and keys.get("abstract"):
            names.append("\0" + _unescaped(keys["abstract"]))
    return names


def _unescaped(text: str) -> str:
    from urllib.parse import unquote

    return unquote(text)


def addresses(user: bool) -> list[str]:
    """The addresses to try in turn; only that of the environment if it gives one. ``user``: of the caller's own systemd."""
    given = os.environ.get("DBUS_SESSION_BUS_ADDRESS" if user else "DBUS_SYSTEM_BUS_ADDRESS")
    if given:
        return [given]
    if user:
        directory = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid()}"
        return [f"unix:path={directory}/bus", f"unix:path={directory}{DIRECT}"]
    return ["unix:path=/run/dbus/system_bus_socket", f"unix:path=/run{DIRECT}"]


def uid() -> int:
    """The caller's id in the parent of its user namespace, where that namespace maps it."""
    own = os.geteuid()
    with open("/proc/self/uid_map") as file:
        for first, outside, size in (map(int, line.split()) for line in file):
            if first <= own < first + size:
                return outside + own - first
    return own


def connect(user: bool, kept: str = "", limit: float = LIMIT) -> "Connection":
    """A connection to the system's systemd, or to the caller's own (``user``). Unreachable says what was tried.

    ``kept``: the address that worked before, to be tried first; a later call may have another environment.
    """
    tried = []
    for address in dict.fromkeys(([kept] if kept else []) + addresses(user)):
        try:
            return Connection(address, limit)
        except Unreachable as error:
            if not error.absent:
                raise
            tried.append(error.message)
    booted = os.path.isdir("/run/systemd/system")
    remedy = "the host does not run systemd: use --cgroup-manager cgroupfs"
    if booted and user:
        remedy = (
            "log in to a session with a systemd of its own (loginctl enable-linger), or set DBUS_SESSION_BUS_ADDRESS"
        )
    elif booted:
        remedy = "start dbus, or use --cgroup-manager cgroupfs"
    raise Unreachable(f"{'; '.join(tried)}; {remedy}")


class Connection:
    """One logged-in connection. ``limit``: seconds that a login or a reply may take."""

    def __init__(self, address: str, limit: float = LIMIT) -> None:
        self.address = address
        self.limit = limit
        self.direct = address.endswith(DIRECT)
        self.signals: list[Message] = []
        self._parser = Parser()
        self._serial = 0
        self._end = time.monotonic() + limit
        self._socket = self._connected()
        try:
            self._log_in()
            if not self.direct:
                self.call("log in", "Hello", interface=NAME, path="/org/freedesktop/DBus", destination=NAME)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def __del__(self) -> None:
        """Close a connection that a failure has left without an owner."""
        if hasattr(self, "_socket"):
            self._socket.close()

    def _broken(self, reason: str, absent: bool = False) -> Unreachable:
        error = Unreachable(f"reach systemd through {self.address}: {reason}")
        error.absent = absent
        return error

    def _connected(self) -> socket.socket:
        names = sockets(self.address)
        if not names:
            raise self._broken("not the address of a unix socket")
        failure = OSError()
        for name in names:
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                self._join(stream, name)
                return stream
            except OSError as error:
                stream.close()
                failure = error
            except Unreachable:
                stream.close()
                raise
        raise self._broken(system_words(failure.errno or 0), absent=True)

    def _join(self, stream: socket.socket, name: str) -> None:
        """connect(2), again while the listener's queue is full: then it does not wait, and a live listener empties the queue."""
        stream.settimeout(self.limit)
        while True:
            try:
                stream.connect(name)
                return
            except BlockingIOError:
                if time.monotonic() > self._end:
                    raise self._late() from None
                time.sleep(0.02)

    def _late(self) -> Unreachable:
        return self._broken(f"no answer within {self.limit:g} seconds: it is stopped or overloaded")

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(max(0.001, self._end - time.monotonic()))
            self._socket.sendall(data)
        except TimeoutError:
            raise self._late() from None
        except OSError as error:
            raise self._broken(system_words(error.errno or 0)) from None

    def _receive(self) -> bytes:
        try:
            self._socket.settimeout(max(0.001, self._end - time.monotonic()))
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            raise self._late() from None
        except OSError as error:
            raise self._broken(system_words(error.errno or 0)) from None
        if not data:
            raise self._broken("the connection was closed")
        return data

    def _log_in(self) -> None:
        """EXTERNAL without a name: the socket says who we are, also from a user namespace, whose ids mean nothing outside.

        BEGIN is sent with DATA, before the answer, as systemd's own programs do: sd-bus, behind systemd's socket, does not
        handle a message that it reads together with BEGIN until the next one comes.
        """
        self._send(b"\0AUTH EXTERNAL\r\n")
        if not self._line().startswith(b"DATA"):
            raise self._broken("it does not take the login EXTERNAL")
        self._send(b"DATA\r\nBEGIN\r\n")
        answer = self._line()
        if not answer.startswith(b"OK"):
            raise self._broken(f"it refuses this user ({answer[:64].decode(errors='replace')})")

    def _line(self) -> bytes:
        data = b""
        while not data.endswith(b"\r\n"):
            if len(data) > LONGEST_LINE:
                raise self._broken("it does not speak D-Bus")
            data += self._receive()
        return data[:-2]

    def _messages(self) -> "list[Message]":
        """The messages that have come, at least one, before the present wait ends."""
        while True:
            if time.monotonic() > self._end:  # also while signals keep coming
                raise self._late()
            try:
                messages: list[Message] = self._parser.feed(self._receive())
            except (ValueError, KeyError, IndexError, AssertionError, TypeError, ArithmeticError) as error:
                raise self._broken(f"it does not speak D-Bus ({type(error).__name__})") from None
            except OcirunError:
                raise
            except Exception as error:  # struct.error, whose module nothing else here needs
                raise self._broken(f"it does not speak D-Bus ({type(error).__name__})") from None
            if messages:
                return messages

    def call(
        self,
        tried: str,
        member: str,
        signature: str = "",
        body: "Body" = (),
        *,
        path: str = PATH,
        interface: str = MANAGER,
        destination: str = SYSTEMD,
    ) -> "Body":
        """The body of the reply. Refused when it is an error, which ``tried`` begins. Unreachable when none comes in time."""
        self._serial += 1
        self._end = time.monotonic() + self.limit
        request = new_method_call(DBusAddress(path, destination, interface), member, signature or None, body)
        if self.direct:
            del request.header.fields[HeaderFields.destination]
        self._send(request.serialise(serial=self._serial))
        while True:
            answer = None
            for message in self._messages():
                if message.header.message_type is MessageType.signal:
                    self.signals.append(message)
                elif message.header.fields.get(HeaderFields.reply_serial) == self._serial:
                    answer = message
            if answer is None:
                continue
            if answer.header.message_type is MessageType.error:
                text = answer.body[0] if answer.body and isinstance(answer.body[0], str) else ""
                raise Refused(tried, answer.header.fields.get(HeaderFields.error_name, ""), text.rstrip("."))
            reply: Body = answer.body
            return reply

    def get(self, path: str, interface: str, name: str) -> object:
        """A property's value."""
        tried = f"ask systemd for {name}"
        value: object = self.call(tried, "Get", "ss", (interface, name), path=path, interface=PROPERTIES)[0][1]
        return value

    def get_all(self, path: str, interface: str) -> dict[str, tuple[str, object]]:
        """All properties of an interface: name → (signature, value)."""
        properties: dict[str, tuple[str, object]] = self.call(
            f"ask systemd for {interface}", "GetAll", "s", (interface,), path=path, interface=PROPERTIES
        )[0]
        return properties

    def subscribe(self, member: str) -> None:
        """Ask for the manager's signals of this name."""
        if not self.direct:
            rule = f"type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='{member}'"
            bus = {"interface": NAME, "path": "/org/freedesktop/DBus", "destination": NAME}
            self.call("listen to systemd", "AddMatch", "s", (rule,), **bus)
        self.call("listen to systemd", "Subscribe")

    def signal(self, member: str, wanted: "Callable[[Body], bool]", limit: float) -> "Body | None":
        """The body of the first signal that is wanted, or that has come already; None after ``limit`` seconds."""
        self._end = time.monotonic() + limit
        while True:
            for message in self.signals:
                if message.header.fields.get(HeaderFields.member) == member and wanted(message.body):
                    body: Body = message.body
                    return body
            self.signals.clear()
            try:
                messages = self._messages()
            except Unreachable:
                if time.monotonic() > self._end:
                    return None
                raise
            self.signals += [message for message in messages if message.header.message_type is MessageType.signal]
