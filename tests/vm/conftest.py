"""What the tests of the whole Debian machine share. Those marked `vm` alone run on any host that has what they need."""

import os
from pathlib import Path

import pytest

from tests.integration.bundle import BUSYBOX
from tests.integration.conftest import busybox, driver, runtime, runtime_program, token, workplace

__all__ = ["busybox", "driver", "runtime", "runtime_program", "token", "workplace"]

LSM = os.environ.get("OCIRUN_LSM")
"""apparmor or selinux inside the machine of `make test-vm`, which sets it."""


@pytest.fixture(autouse=True)
def the_right_user(request: pytest.FixtureRequest) -> None:
    """Root, or an ordinary user with a systemd of its own."""
    if "user_session" in request.keywords:
        if not LSM or os.geteuid() == 0:
            pytest.skip("needs the user session of make test-vm")
    elif os.geteuid() != 0:
        pytest.skip("needs root")
    if not BUSYBOX.exists():
        pytest.skip(f"{BUSYBOX} is not installed")


@pytest.fixture
def in_machine() -> str:
    """The name of the machine's security module."""
    if not LSM:
        pytest.skip("needs the machine of make test-vm")
    return LSM


@pytest.fixture
def delegated(in_machine: str) -> Path:
    """The cgroup that systemd gave to the service that runs these tests. It has no process itself, its children may."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next(line for line in lines if line.startswith("0::")).removeprefix("0::")
    if own.endswith("/tests"):
        return Path(f"/sys/fs/cgroup{own}").parent
    leaf = Path(f"/sys/fs/cgroup{own}/tests")
    leaf.mkdir()
    (leaf / "cgroup.procs").write_text(str(os.getpid()))
    return leaf.parent
