"""Starting the init program with a plan. Hot."""

import posix

from runtime import shim
from runtime.errors import OcirunError, system_failure
from runtime.plan import encode

from .handshake import Handshake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.plan.ops import Operation

INIT = "/work/main/runtime/init"


def plan_descriptor(data: bytes) -> int:
    """A memfd with the plan. Its memory is charged to the caller's cgroup, not the container's."""
    descriptor = posix.memfd_create("ocirun-plan", posix.MFD_CLOEXEC)
    try:
        posix.write(descriptor, data)
    except OSError:
        posix.close(descriptor)
        raise
    return descriptor


def init(
    operations: "Sequence[Operation]",
    flags: int,
    directory: str,
    *,
    extra: int = -1,
    root: int = -1,
    stdio: "Sequence[int]" = (0, 1, 2),
    kept: "Sequence[int]" = (),
) -> Handshake:
    """Start init with a plan. ``flags``: of `encode`; the other parameters as for `start`. Raises OcirunError."""
    try:
        data = encode.encode(operations, flags)
        pid, socket = start(data, directory, extra=extra, root=root, stdio=stdio, kept=kept)
    except OSError as error:
        raise system_failure("start the init program", error) from None
    except ValueError as error:
        raise OcirunError(f"start the init program: {error}") from None
    return Handshake(pid, socket, operations)


def forbidden(directory: str, error: OSError) -> OSError | OcirunError:
    """What to raise when init can be executed neither from a memfd nor from a file in ``directory``."""
    try:
        with open("/proc/sys/vm/memfd_noexec", "rb") as file:
            refused = file.read().strip() == b"2"
    except OSError:
        refused = False
    if not refused:
        return error
    failure = system_failure("start the init program", error)
    failure.message += (
        f"; vm.memfd_noexec=2 forbids executable memfds: give a --root other than {directory},"
        " writable and not mounted noexec"
    )
    return failure


def start(
    data: bytes,
    directory: str,
    *,
    extra: int = -1,
    root: int = -1,
    stdio: "Sequence[int]" = (0, 1, 2),
    kept: "Sequence[int]" = (),
) -> "tuple[int, int]":
    """Start init with the plan ``data``. Returns its pid, and our end of the handshake, which the caller closes.

    ``extra`` and ``root`` become FD_EXTRA and FD_ROOT. ``directory`` briefly holds the program if executable memfds are
    forbidden. Raises OSError, or OcirunError if the remedy is known.
    """
    opened: list[int] = []
    try:
        try:
            program = shim.program(INIT, directory)
        except PermissionError as error:
            raise forbidden(directory, error) from None
        opened.append(program)
        plan = plan_descriptor(data)
        opened.append(plan)
        ours, theirs = shim.socketpair()
        opened.append(theirs)
        try:
            return shim.spawn(program, plan, theirs, extra, root, stdio, kept), ours
        except OSError:
            posix.close(ours)
            raise
    finally:
        for descriptor in opened:
            posix.close(descriptor)


def listener(directory: int, name: str) -> int:
    """A listening socket bound as ``name`` in the open ``directory``; through /proc, so that the path fits a socket address."""
    return shim.listen(f"/proc/self/fd/{directory}/{name}")
