"""attributes.c: each operation fails with its step where the kernel says no, and what it reads of a plan is bounded."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.plan import ops
from tests.csrc.init_runner import Started

pytestmark = [pytest.mark.usefixtures("needs_root"), pytest.mark.kernel]

Run = Callable[..., Started]
PROC = ops.mount("/proc", "proc", "proc")


@pytest.mark.parametrize(
    ("operation", "error", "step"),
    [
        (ops.affinity(["8191"], "/x"), errno.EINVAL, "STEP_AFFINITY"),
        (ops.affinity(["8192"], "/x"), errno.EINVAL, "STEP_PLAN"),
        (ops.affinity(["18446744073709551616"], "/x"), errno.EINVAL, "STEP_PLAN"),
        (ops.memory_policy(2, ["1023"]), errno.EINVAL, "STEP_MEMORY_POLICY"),
        (ops.memory_policy(2, ["1024"]), errno.EINVAL, "STEP_PLAN"),
        (ops.memory_policy(2, []), errno.EINVAL, "STEP_MEMORY_POLICY"),
        (ops.scheduler(4, 0, 0, 0, 0, 0, ops.CONTAINER), errno.EINVAL, "STEP_SCHEDULER"),
        (ops.scheduler(1, 0, 100, 0, 0, 0, ops.CONTAINER), errno.EINVAL, "STEP_SCHEDULER"),
        (ops.scheduler(6, 0, 0, 5, 4, 3, ops.CONTAINER), errno.EINVAL, "STEP_SCHEDULER"),
        (ops.io_priority(5 << 13, ops.CONTAINER), errno.EINVAL, "STEP_IO_PRIORITY"),
        (ops.label("thread-self/attr/none", None, "x", "/x"), errno.ENOENT, "STEP_OPEN"),
        (ops.label("thread-self/attr/none", "thread-self/attr/no", "x", "/x"), errno.ENOENT, "STEP_OPEN"),
        (ops.label("../etc/passwd", None, "x", "/x"), errno.EXDEV, "STEP_OPEN"),
        (ops.label("self/root/etc/passwd", None, "x", "/x"), errno.ELOOP, "STEP_OPEN"),
        (ops.label("thread-self/oom_score_adj", None, "no number", "/x"), errno.EINVAL, "STEP_WRITE"),
        (ops.file_label("/missing", "a:b:c:s0", "/x"), errno.ENOENT, "STEP_OPEN"),
        (ops.file_label("/proc", "a:b:c:s0", "/x"), None, "STEP_FILE_LABEL"),
    ],
)
def test_failures(go: Run, operation: "ops.Operation", error: "int | None", step: str) -> None:
    """Index, errno and step are those of the operation."""
    failure = go([PROC, operation]).failure
    assert failure is not None
    assert (failure[0], failure[2]) == (1, step)
    assert error in (None, failure[1])


def test_affinity(go: Run) -> None:
    """Every CPU that is named, and no other."""
    cpus = sorted(os.sched_getaffinity(0))
    done = go([ops.affinity([str(cpus[-1]), "700"], "/x")])
    assert done.failure is None
    assert os.sched_getaffinity(done.pid) == {cpus[-1]}


def test_a_label_is_one_write_to_procfs(go: Run) -> None:
    """The second name serves where the first is not there; an absent value takes back (a line feed, which this file refuses)."""
    path = "thread-self/oom_score_adj"
    done = go([ops.label("thread-self/attr/none", path, "321", "/x")])
    assert done.failure is None
    assert Path(f"/proc/{done.pid}/oom_score_adj").read_text() == "321\n"
    assert go([ops.label(path, None, None, "/x")]).failure == (0, errno.EINVAL, "STEP_WRITE")


def test_a_file_label_is_an_attribute_of_what_is_mounted(go: Run, rootfs: Path) -> None:
    """security.selinux of the mount's directory, with its NUL, where a file system keeps one; what it covers has none."""
    (rootfs / "q").mkdir()
    done = go([ops.mount("/q", "tmpfs", "tmpfs"), ops.file_label("/q", "a:b:c:s0", "/x")])
    if done.failure and done.failure[1] in (errno.ENOTSUP, errno.EINVAL):
        pytest.skip("the kernel keeps no such attribute here")
    assert done.failure is None
    assert os.getxattr(done.path("/q"), "security.selinux").rstrip(b"\0") == b"a:b:c:s0"
    with pytest.raises(OSError, match="No data"):
        os.getxattr(rootfs / "q", "security.selinux")


@pytest.mark.parametrize("option", ["context=a:b:c:s0:c1,c2", 'context="a:b:c:s0:c1,c2"'])
def test_a_context_of_mount2_is_quoted_once(go: Run, option: str) -> None:
    """A kernel without SELinux does not know the option and refuses it; what is before and after it is read all the same."""
    done = go([ops.mount("/tmp", "tmpfs", "tmpfs", ["size=64k", option], flags=2)])
    assert done.failure in (None, (0, errno.EINVAL, "STEP_MOUNT"))
