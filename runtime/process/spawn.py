"""Starting the init program with a plan. Hot."""

import posix

from runtime import shim
from runtime.errors import OcirunError, system_failure
from runtime.plan import encode

from . import init_program
from .handshake import Handshake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.plan.ops import Operation


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
    shared: "tuple[str, int] | None" = None,
) -> Handshake:
    """Start init with a plan. ``flags``: of `encode`; the other parameters as for `start`. Raises OcirunError."""
    try:
        data = encode.encode(operations, flags)
        pid, socket, own = start(data, directory, extra=extra, root=root, stdio=stdio, kept=kept, shared=shared)
    except OSError as error:
        raise system_failure("start the init program", error) from None
    except ValueError as error:
        raise OcirunError(f"start the init program: {error}") from None
    return Handshake(pid, socket, operations, own)


def start(
    data: bytes,
    directory: str,
    *,
    extra: int = -1,
    root: int = -1,
    stdio: "Sequence[int]" = (0, 1, 2),
    kept: "Sequence[int]" = (),
    shared: "tuple[str, int] | None" = None,
) -> "tuple[int, int, int]":
    """Start init with the plan ``data``. Returns its pid; our end of the handshake, which the caller closes; and the inode of
    its program, 0 if that is another container's too.

    ``extra`` and ``root`` become FD_EXTRA and FD_ROOT. ``directory`` briefly holds the program if executable memfds are
    forbidden. ``shared``: where another container's program may be found. Raises OSError, or OcirunError if the remedy is
    known.
    """
    opened: list[int] = []
    try:
        program = init_program.content()
        plan = plan_descriptor(data)
        opened.append(plan)
        ours, theirs = shim.socketpair()
        opened.append(theirs)
        others = init_program.shared(program, shared, plan) if shared else -1
        try:
            if others >= 0:
                opened.append(others)
                try:
                    return shim.spawn(others, plan, theirs, extra, root, stdio, kept), ours, 0
                except OSError:
                    pass  # somebody prevents that it is executed: a copy of our own
            own = init_program.sealed(program, directory)
            opened.append(own)
            return shim.spawn(own, plan, theirs, extra, root, stdio, kept), ours, posix.fstat(own).st_ino
        except BaseException:
            posix.close(ours)
            raise
    finally:
        for descriptor in opened:
            posix.close(descriptor)


def listener(directory: int, name: str) -> int:
    """A listening socket bound as ``name`` in the open ``directory``; through /proc, so that the path fits a socket address."""
    return shim.listen(f"/proc/self/fd/{directory}/{name}")
