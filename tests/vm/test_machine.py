"""The machine of `make test-vm` is what the other tests take it for: a skip for a missing part is then no accident."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.integration.caller import TREE

pytestmark = pytest.mark.vm


def test_cgroups_are_v2_alone(in_machine: str) -> None:
    """One hierarchy, and the controllers that limits need."""
    assert Path("/proc/self/cgroup").read_text().startswith("0::/")
    controllers = Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    assert {"cpu", "cpuset", "io", "memory", "pids", "hugetlb"} <= set(controllers)


def test_systemd_runs(in_machine: str) -> None:
    """systemd is process 1, its bus answers, and no unit failed."""
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    said = subprocess.run(
        ["systemctl", "--failed", "--plain", "--no-legend"], capture_output=True, text=True, timeout=60
    )
    assert (said.returncode, said.stdout) == (0, "")


def test_the_security_module_is_on(in_machine: str) -> None:
    """The security module is the one that `make test-vm LSM=` asked for."""
    assert in_machine in Path("/sys/kernel/security/lsm").read_text().split(",")
    if in_machine == "apparmor":
        assert Path("/sys/module/apparmor/parameters/enabled").read_text() == "Y\n"
    else:
        assert Path("/sys/fs/selinux/enforce").read_text() == "0"
        assert os.getxattr("/etc/passwd", "security.selinux").split(b":")[2] == b"etc_t"


def test_what_is_installed_runs(in_machine: str, runtime_program: str) -> None:
    """The command under test is the installed one, not the tree's: the wheel's, or the image on a second machine."""
    assert not Path(runtime_program).is_relative_to(TREE)
    assert Path(os.path.realpath(TREE / "build/ocirun")) == Path(runtime_program)
    said = subprocess.run([runtime_program, "--version"], capture_output=True, text=True, timeout=60)
    assert said.stdout.startswith("ocirun version")


def test_there_is_a_disk_to_limit(in_machine: str) -> None:
    """The machine has a disk that nothing else uses."""
    assert stat.S_ISBLK(os.stat(os.environ["OCIRUN_DISK"]).st_mode)
