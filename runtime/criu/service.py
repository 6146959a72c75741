"""A running ``criu swrk``: one request, the notifications on the way, the response. Cold.

    ocirun                     criu swrk 3
     ├── request ─────────────────▶│
     │◀──────── NOTIFY script pid ─┤ CRIU waits (orphan-pts-master comes with a descriptor)
     ├── NOTIFY success ──────────▶│
     │◀────────────────── response ┤ and it ends

Init starts CRIU, by a plan whose program is CRIU. So it has none of our descriptors and, to restore, its own mount namespace
and the container's cgroups.
"""

import fcntl
import posix
from _signal import SIGKILL
from _socket import (
    AF_UNIX,
    CMSG_LEN,
    MSG_CMSG_CLOEXEC,
    MSG_TRUNC,
    SCM_RIGHTS,
    SHUT_WR,
    SOCK_CLOEXEC,
    SOCK_SEQPACKET,
    SOL_SOCKET,
    socket,
    socketpair,
)
from sys import byteorder

from runtime.criu import messages
from runtime.errors import OcirunError, system_failure
from runtime.plan import ops
from runtime.process import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.plan.ops import Operation
    from runtime.process.handshake import Handshake, Perform

    Notified = Callable[[str, int, int], None]  # takes the script, a pid and a descriptor (-1: none)

PROGRAM = "/process/args"  # where a failure to execute CRIU would be in a config
LAST_FIXED = 6  # of init's own descriptors
SOCKET = 3  # CRIU's end; the descriptors given to it follow
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAX_RESPONSE = 64 << 10  # bytes


class Service:
    """One CRIU. ``pid``: its process, a child of ours, until it was waited for."""

    def __init__(
        self,
        program: str,
        directory: str,
        before: "Sequence[Operation]" = (),
        stdio: "Sequence[int]" = (0, 1, 2),
        given: "Sequence[int]" = (),
    ) -> None:
        """Start init with the operations ``before``, which then executes ``program``, a path, once `follow` was called.

        ``given``: descriptors that CRIU gets, from SOCKET + 1 on. ``directory``: as for `spawn.init`. Raises OcirunError.
        """
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
        self.channel: socket = ours
        self.program = program
        plan = [*before, *_execution(program, 1 + len(given))]
        # Above all the numbers that they will have in init: none of them is in another's way there.
        first = max([LAST_FIXED + 1 + len(given), *given])
        kept = [theirs.fileno(), *given]
        high: list[int] = []
        try:
            for descriptor in kept:
                high.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, first + 1))
            self.handshake: Handshake = spawn.init(plan, 0, directory, stdio=stdio, kept=high)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            for descriptor in high:
                posix.close(descriptor)

    @property
    def pid(self) -> int:
        return self.handshake.pid

    def follow(self, perform: "Perform") -> None:
        """Do the host's side of the plan until CRIU runs. Raises OcirunError."""
        try:
            self.handshake.follow(perform)
        except OcirunError as error:
            if error.pointer == PROGRAM:
                error.pointer = None
            raise

    def ask(self, request: bytes, notified: "Notified | None" = None) -> messages.Response:
        """Send the request, answer notifications, and return the response. OSError or OcirunError when CRIU ends before it.

        An error of ``notified`` makes CRIU give up; it is raised when CRIU has.
        """
        self.channel.send(request)
        failure: OcirunError | None = None
        while True:
            response, descriptor = self._receive()
            if response.kind != messages.NOTIFY:
                if failure:
                    raise failure
                return response
            try:
                if notified:
                    notified(response.script, response.pid, descriptor)
            except OcirunError as error:
                failure = error
            except OSError as error:
                failure = system_failure(f"CRIU's notification {response.script}", error)
            finally:
                if descriptor >= 0:
                    posix.close(descriptor)
            self.channel.send(messages.notified(failure is None))

    def _receive(self) -> "tuple[messages.Response, int]":
        data, ancillary, flags, _ = self.channel.recvmsg(MAX_RESPONSE, CMSG_LEN(4), MSG_CMSG_CLOEXEC)
        descriptor = -1
        for level, kind, content in ancillary:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                descriptor = int.from_bytes(content[:4], byteorder)
        try:
            if not data or flags & MSG_TRUNC:
                raise OcirunError("CRIU ended without a response")
            return messages.Response(data), descriptor
        except ValueError as error:
            raise OcirunError(f"CRIU's response cannot be read: {error}") from None

    def close(self) -> int:
        """Hang up, and wait for CRIU to end. Returns its wait status."""
        try:
            self.channel.shutdown(SHUT_WR)
        except OSError:
            pass  # it has ended
        self.channel.close()
        status = posix.waitpid(self.pid, 0)[1]
        self.handshake.close()
        return status

    def end(self) -> None:
        """Kill CRIU, or what was to become it."""
        self.channel.close()
        try:
            posix.kill(self.pid, SIGKILL)
            posix.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        self.handshake.close()


def _execution(program: str, descriptors: int) -> "list[Operation]":
    variables = dict(posix.environ)
    path = variables.setdefault(b"PATH", PATH.encode()).decode(errors="surrogateescape")
    environment = [(b"%b=%b" % pair).decode("utf-8", "surrogateescape") for pair in variables.items()]
    return [
        ops.program([program, "swrk", str(SOCKET)], environment, path, 0, False),
        ops.place_descriptors(descriptors),
        ops.exec(program),
    ]
