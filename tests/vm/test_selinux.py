"""process.selinuxLabel and linux.mountLabel where the kernel has SELinux (booted with security=selinux).

Where no policy is loaded, a small one is: it knows the labels of the tests and says nothing on the rest. Like any machine
with SELinux on its first boot, this one is then permissive, so that nothing is refused.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.host import confinement
from tests.integration.caller import Caller

SELINUX = Path("/sys/fs/selinux")
POLICY = """
(handleunknown allow)
(mls true)
(policycap open_perms)
(class process (transition setexec setkeycreate dyntransition))
(class file (read))
(class filesystem (mount associate relabelfrom relabelto))
(class dir (relabelfrom relabelto mounton))
(class fd (use))
(classorder (process file filesystem dir fd))
(sid kernel)
(sid security)
(sid unlabeled)
(sidorder (kernel security unlabeled))
(sensitivity s0)
(sensitivityorder (s0))
(category c1)
(category c2)
(categoryorder (c1 c2))
(sensitivitycategory s0 (c1 c2))
(type base_t)
(type box_t)
(type box_file_t)
(role base_r)
(roletype base_r base_t)
(roletype base_r box_t)
(role object_r)
(roletype object_r box_file_t)
(user base_u)
(userrole base_u base_r)
(userrole base_u object_r)
(userlevel base_u (s0))
(userrange base_u ((s0) (s0 (c1 c2))))
(context base (base_u base_r base_t ((s0) (s0))))
(sidcontext kernel base)
(sidcontext security base)
(sidcontext unlabeled base)
(fsuse trans tmpfs base)
(fsuse trans mqueue base)
(fsuse trans devpts base)
(genfscon proc "/" base)
(genfscon sysfs "/" base)
(genfscon rootfs "/" base)
(genfscon selinuxfs "/" base)
(genfscon cgroup2 "/" base)
(allow base_t self (process (transition)))
"""
LABEL, FILES = "base_u:base_r:box_t:s0:c1,c2", "base_u:object_r:box_file_t:s0:c1,c2"
if confinement.has_selinux():  # Debian's policy, to which the machine of `make test-vm` adds these
    LABEL, FILES = "system_u:system_r:ocirun_box_t:s0:c1,c2", "system_u:object_r:ocirun_box_file_t:s0:c1,c2"
# Under noNewPrivileges a policy has to allow the change of label by a permission of its own, nnp_transition.
PROCESS = {"selinuxLabel": LABEL, "noNewPrivileges": False}


def kernel_has_it() -> bool:
    return "selinuxfs" in Path("/proc/filesystems").read_text()


pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(not kernel_has_it(), reason="the kernel is not booted with security=selinux"),
]


@pytest.fixture(autouse=True)
def policy(needs_root: None, tmp_path: Path) -> None:
    """selinuxfs is mounted and a policy loaded that knows the labels."""
    if not (SELINUX / "load").exists():
        subprocess.run(["mount", "-t", "selinuxfs", "selinuxfs", SELINUX], check=True)
    if not confinement.has_selinux():
        if not shutil.which("secilc"):
            pytest.skip("no policy is loaded, and secilc is not installed to make one")
        (tmp_path / "policy.cil").write_text(POLICY)
        version = (SELINUX / "policyvers").read_text()
        command = ["secilc", "-c", version, "-o", "policy", "-f", "contexts", "policy.cil"]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
        descriptor = os.open(SELINUX / "load", os.O_WRONLY)
        os.write(descriptor, (tmp_path / "policy").read_bytes())
        os.close(descriptor)
    try:
        (SELINUX / "context").write_bytes(LABEL.encode())
    except OSError:
        pytest.skip("another policy is loaded, which has not the labels of the tests")


def label_of(path: Path) -> str:
    return os.getxattr(path, "security.selinux").rstrip(b"\0").decode()


@pytest.mark.proves("/process/selinuxLabel")
def test_the_program_has_the_label(runtime: Caller) -> None:
    """The program gets the label by the execve; so does a program of exec, and --process-label gives one another."""
    id = runtime.create(runtime.sleeper({"process": PROCESS}))
    waiting = Path(f"/proc/{runtime.pid(id)}/attr/current").read_text().rstrip("\0\n")
    assert waiting != LABEL
    runtime.start(id)
    assert Path(f"/proc/{runtime.pid(id)}/attr/current").read_text().rstrip("\0\n") == LABEL
    command = ["cat", "/proc/self/attr/current"]
    assert runtime.exec(id, command).ok().out.rstrip("\0\n") == LABEL
    other = runtime.launch(runtime.sleeper({"process": {"noNewPrivileges": False}}))
    assert runtime.exec(other, command, "--process-label", LABEL).ok().out.rstrip("\0\n") == LABEL
    assert runtime.exec(other, command).ok().out.rstrip("\0\n") != LABEL


def test_the_keyring_has_the_label(runtime: Caller) -> None:
    """keyctl(2) would name it; what is made later has the process's own label again."""
    bundle = runtime.shell("cat /proc/self/attr/keycreate; cat /proc/keys", {"process": PROCESS})
    bundle.linux["maskedPaths"] = []
    out = runtime.run(bundle.save()).ok().out
    assert LABEL not in out
    assert "_ses." in out


@pytest.mark.proves("/linux/mountLabel")
def test_the_mounts_have_the_label(runtime: Caller) -> None:
    """New file systems, the queue and what hides a directory have it; views of the kernel have their own."""
    bundle = runtime.sleeper({"linux": {"mountLabel": FILES, "maskedPaths": ["/proc/acpi", "/usr"]}})
    long = {"destination": "/tmp", "type": "tmpfs", "source": "t", "options": ["silent"]}
    bundle.config["mounts"].append(long)
    root = Path(f"/proc/{runtime.pid(runtime.launch(bundle.save()))}/root")
    paths = ("dev", "dev/null", "dev/pts", "dev/shm", "dev/mqueue", "usr", "tmp")
    assert {path: label_of(root / path) for path in paths} == dict.fromkeys(paths, FILES)
    assert label_of(root / "proc") != FILES
    assert label_of(root / "sys") != FILES


def test_a_label_that_the_policy_does_not_have(runtime: Caller) -> None:
    """The kernel's refusal is told with its place."""
    bundle = runtime.bundle({"process": {"selinuxLabel": "nobody_u:base_r:box_t:s0"}})
    err = runtime.try_create(bundle).failed(1).err
    assert "/process/selinuxLabel" in err
    assert "invalid argument; does the policy know this label" in err
    assert runtime.known_ids() == []


@pytest.fixture
def enforcing() -> Iterator[None]:
    """A policy that refuses what it does not allow. Skips where it would refuse the test itself."""
    mode = SELINUX / "enforce"
    if mode.read_text() == "0":
        mode.write_text("1")
        yield
        mode.write_text("0")
    else:
        yield


def test_no_new_privileges(runtime: Caller, enforcing: None) -> None:
    """Where the policy does not allow the change of label under noNewPrivileges, the execve's EPERM has the remedy."""
    bundle = runtime.bundle({"process": {"selinuxLabel": LABEL, "noNewPrivileges": True, "args": ["true"]}})
    err = runtime.run(bundle).failed(1).err
    assert '/process/selinuxLabel: exec: "true": operation not permitted; under noNewPrivileges' in err
    assert "nnp_transition" in err
