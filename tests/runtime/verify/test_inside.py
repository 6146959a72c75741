"""The child that reads in a container's namespaces."""

import ctypes
import errno
import os

import pytest

from runtime.errors import OcirunError
from runtime.shim import setns
from runtime.verify.inside import ask, in_child

PR_GET_DUMPABLE = 3


def test_answers_come_back():
    """What the child returns, and the error that it raises; nothing is left of it."""
    child = in_child(lambda: {"pid": os.getpid()})["pid"]
    assert child != os.getpid()
    with pytest.raises(OSError, match="not permitted"):
        in_child(lambda: (_ for _ in ()).throw(OSError(errno.EPERM, "")))
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)


def test_a_child_that_dies():
    """It is an error, not an empty answer."""
    with pytest.raises(OcirunError, match="without an answer"):
        in_child(lambda: os._exit(3))


def test_own_namespaces_need_not_be_entered():
    """A file that is not there is told by errno, beside those that are."""
    answers = ask(os.getpid(), ["sys/kernel/hostname", "sys/kernel/none"], privileged=True)
    assert answers == {"sys/kernel/hostname": os.uname().nodename + "\n", "sys/kernel/none": errno.ENOENT}


@pytest.mark.usefixtures("needs_root")
def test_a_child_inside_cannot_be_traced():
    """It is not dumpable: root of the container may share a pid namespace with it, and has all capabilities over it."""

    def enter() -> dict[str, object]:
        libc = ctypes.CDLL(None)
        before = libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
        setns(os.open("/proc/self/ns/uts", os.O_RDONLY))
        return {"before": before, "after": libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)}

    assert in_child(enter) == {"before": 1, "after": 0}
