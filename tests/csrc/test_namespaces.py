"""What init itself sees of the namespaces that it is to join."""

import errno
from collections.abc import Callable

import pytest

from runtime.plan import ops
from tests.csrc.init_runner import CLONE_NEWNS, Started

pytestmark = [pytest.mark.usefixtures("needs_root"), pytest.mark.kernel]


@pytest.mark.proves_operation("open_namespace")
def test_mount_namespace_of_the_host(go: Callable[..., Started]) -> None:
    """The one that init was started in is refused, whatever a check before has seen at the path."""
    done = go([], before=[ops.open_namespace(CLONE_NEWNS, 0, "/proc/self/ns/mnt", "/linux/namespaces/0")])
    assert done.failure
    assert done.failure[1:] == (errno.EBUSY, "STEP_VERIFY")
