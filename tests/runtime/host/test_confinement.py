"""runtime.host.confinement against what the kernel says of itself, and what it makes of a config."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import InvalidConfig
from runtime.host import checks, confinement

ASKED = {
    "process": {"apparmorProfile": "no-such-profile", "selinuxLabel": "a:b:c:s0"},
    "linux": {"mountLabel": "a:b:c:s0", "intelRdt": {"closID": "x"}},
}


def test_what_the_host_has():
    """As the kernel lists it: file systems that it knows, modules of security that are on, mounts."""
    mounts = Path("/proc/mounts").read_text()
    lsm = Path("/sys/kernel/security/lsm")
    if lsm.exists():
        listed = lsm.read_text().split(",")
        assert confinement.has_apparmor() == ("apparmor" in listed)
        if "selinux" not in listed:
            assert not confinement.has_selinux()
    filesystems = Path("/proc/filesystems").read_text()
    if "selinuxfs" not in filesystems:
        assert not confinement.has_selinux()
    assert (confinement.resctrl_mount() is not None) == (" resctrl " in mounts)


def test_each_property_is_refused_where_it_cannot_be():
    """A row for each, at its place; nothing for a config that does not ask."""
    lacking = [
        *(["/process/apparmorProfile"] if not confinement.has_apparmor() else []),
        *(["/process/selinuxLabel", "/linux/mountLabel"] if not confinement.has_selinux() else []),
        *(["/linux/intelRdt"] if confinement.resctrl_mount() is None else []),
    ]
    if not lacking:
        pytest.skip("the host has all of it")
    rows = confinement.rows(ASKED)
    assert [row[0] for row in rows if "on this host" in row[2]] == lacking
    assert {row[1] for row in rows} == {"error"}
    assert confinement.rows({"process": {"apparmorProfile": ""}, "linux": {}}) == []
    assert {row[0] for row in checks.rows({**ASKED, "root": {}}, "/")} >= set(lacking)


def test_require():
    """What exec asks: the first finding is its error, with the remedy."""
    if confinement.has_selinux():
        pytest.skip("the host has SELinux")
    with pytest.raises(InvalidConfig, match="SELinux is not enabled on this host; leave selinuxLabel out") as caught:
        confinement.require({"process": {"selinuxLabel": "a:b:c:s0"}})
    assert caught.value.pointer == "/process/selinuxLabel"
    confinement.require({"process": {}})


def test_resctrl_is_found_where_it_is_mounted(tmp_path):
    """By its type; a mount of another type whose source has the name is not it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if confinement.resctrl_mount() is not None:
        pytest.skip("the host has resctrl")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from runtime.host.confinement import resctrl_mount; print(resctrl_mount())"
    )
    command = f'mount -t tmpfs resctrl "{tmp_path}" && exec "$0" -c "$1" "$2"'
    words = ["unshare", "-m", "sh", "-c", command, sys.executable, script, str(Path(__file__).parents[3])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("None\n", "")
