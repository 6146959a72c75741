#!/usr/bin/env python3
"""`make test-vm`: boot a whole Debian under qemu, with systemd and a security module, and run `pytest -m vm` in it.

The disk is made once and kept (image.py). A second one holds this tree's tests and its wheel, which the guest
installs; a third is empty, to be limited; a fourth has root file systems of containers. Tests marked `vm` run as root
in a service with a delegated cgroup, those marked `user_session` as an ordinary user, in a service of the user's own
systemd. All tests are shared out among as many machines as there are processors, up to four; those that are chosen run
in one. The second machine has the image in the place of the wheel's command. The results become build/test-vm.xml, or
that of the report's name. Where qemu or the means to make the disks are missing, the reason is said and nothing runs.

With --shell the machine has the same disks and, in the place of the tests, a shell on this terminal; it ends with the shell.

Usage: vm.py [--shell] [--lsm=apparmor|selinux] [--cgroups=v2|hybrid] [--machines=NUMBER] [--report=NAME] [PYTEST ARGUMENT...]
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import image as disk_image
import machine
from machine import TREE, VENV, Unavailable

REPORTS = ("test-vm", "test-vm-managers")
"""The results' name in build/, without .xml."""
TIMEOUT_S = 1500
LSMS = ("apparmor", "selinux")
CGROUPS = ("v2", "hybrid")
SHELL_OPTION = "--shell"
OPTIONS = ("--lsm=", "--cgroups=", "--machines=", "--report=")
"""Ours; the rest of the arguments is pytest's."""
DISK_MB = 64
# What the guest needs of the tree. It is in another place there, so that only the installed wheel is tested.
PARTS = ("oci_spec", "runtime", "csrc", "contrib", "tests", "docs")
IN_GUEST = "/srv/ocirun"
# These take as long as all others together. Without arguments they are left to `make cgroups` and
# `make test-vm-managers`.
MEASURED = "tests/integration/resources/"
LEFT_OUT = (MEASURED, "tests/vm/test_managers.py")
MOST_MACHINES = 4
RUNS = ("vm", "user_session")
"""Marks; each is a run of pytest."""

GUEST = """\
#!/bin/sh
# Run by ocirun-tests.service, whose cgroup is delegated: it may have no process itself when it gives controllers on.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    own=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)
    mkdir "$own/tests" && echo $$ > "$own/tests/cgroup.procs"
fi
for module in overlay fuse tun loop bfq veth; do modprobe $module; done
{scratch}
cd {tree}
share=$(sed 's/.* ocirun.share=//; s/ .*//' /proc/cmdline)
booted=$(cut -d. -f1 /proc/uptime)
{install}
uptime=$(cut -d. -f1 /proc/uptime)
echo "kernel $(uname -r), $(systemctl --version | head -n 1), $(cat /sys/kernel/security/lsm); up after $booted s, installed after $uptime s"
command={site}/bin/ocirun
case $share in
2/*) if [ -e image/ocirun ]; then command=/usr/local/bin/ocirun; cp image/ocirun $command; ln -sfn $command build/ocirun; fi ;;
esac
$command --version
export OCIRUN_RUNTIME=$command OCIRUN_LSM={lsm} OCIRUN_DISK=/dev/vdc OCIRUN_CONTAINERS=/dev/vdd LANG=C.UTF-8 HOME=/root
{vm}
root=$?
echo "root's tests ended after $(cut -d. -f1 /proc/uptime) s"
chmod 1777 .
session="XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus"
for i in $(seq 100); do [ -S /run/user/1000/bus ] && break; sleep 0.2; done
runuser -u ada -- env $session systemd-run --user --quiet --collect --wait --pipe --same-dir -p Delegate=yes \\
    -E OCIRUN_RUNTIME -E OCIRUN_LSM -E LANG -E HOME=/home/ada {user_session}
user=$?
[ -e /tmp/vm.xml ] && [ -e /tmp/user_session.xml ] || journalctl --no-pager -p warning | tail -n 40
stty raw < /dev/ttyS1
{{ echo "status $root"; cat /tmp/vm.xml; echo; echo "status $user"; cat /tmp/user_session.xml; }} > /dev/ttyS1
"""

INSTALL = """{site}/bin/python -m pip install --quiet --root-user-action=ignore --no-index --no-deps --no-compile wheel/*.whl || echo "no ocirun"
"""
SHELL = """\
#!/bin/sh
for module in overlay fuse tun loop bfq veth; do modprobe $module; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
cd {tree}
{install}
export PATH={site}/bin:$PATH HOME=/root LANG=C.UTF-8 PS1='machine:\\w# '
echo "ocirun is in PATH; the tests run with: python -m pytest -m vm -p no:cacheprovider FILE"
setsid --ctty --wait bash --norc -i </dev/ttyS0 >/dev/ttyS0 2>&1
"""


def test_files(mark: str, arguments: Sequence[str]) -> list[str]:
    """Those that the arguments name, or all with a test of the mark."""
    if any((TREE / one.partition("::")[0]).exists() for one in arguments):
        return []
    return [one for one in machine.marked_files(mark) if arguments or not one.startswith(LEFT_OUT)]


def guest_script(lsm: str, arguments: Sequence[str]) -> str:
    commands = {}
    # Copying a root file system on the disk takes a second, but measurements of the disk need it there.
    scratch = "mount -t tmpfs -o mode=1777 tmpfs /tmp"
    for mark in RUNS:
        pytest = [
            f"{disk_image.SITE}/bin/python",
            "-m",
            "pytest",
            "-q",
            "-m",
            mark,
            *("-p", "no:cacheprovider"),
            # None of these tests uses it, and loading it takes the guest ten seconds.
            *("-p", "no:hypothesispytest"),
            "--color=no",
            # A test that hangs says where.
            *("-o", "faulthandler_timeout=300"),
        ]
        pytest += [f"--junit-xml=/tmp/{mark}.xml", "-o", f"junit_suite_name={mark}"]
        words = [*arguments, *test_files(mark, arguments)]
        if any(one.startswith(MEASURED) for one in words):
            scratch = ""
        commands[mark] = shlex.join([*pytest, *words]) + ' --share="$share"'
    install = INSTALL.format(site=disk_image.SITE)
    return GUEST.format(tree=IN_GUEST, site=disk_image.SITE, lsm=lsm, scratch=scratch, install=install, **commands)


def shell_script() -> str:
    return SHELL.format(tree=IN_GUEST, site=disk_image.SITE, install=INSTALL.format(site=disk_image.SITE))


def write_tree(disk: Path, script: str) -> None:
    """The second disk: the guest's script, the wheel, and the tree as far as the tests need it."""
    with tempfile.TemporaryDirectory(prefix="ocirun-vm-tree-") as scratch:
        root = Path(scratch)
        root.chmod(0o755)
        for name in PARTS:
            shutil.copytree(TREE / name, root / name, symlinks=True)
        shutil.copy2(TREE / "pyproject.toml", root)
        (root / "build").mkdir()
        (root / "build/ocirun").symlink_to(f"{disk_image.SITE}/bin/ocirun")
        build_wheel(root / "wheel")
        if not (TREE / "build/ocirun").samefile(TREE / "build/launcher/ocirun"):
            (root / "image").mkdir()
            shutil.copy2(TREE / "build/ocirun", root / "image")
        compile_tests(root)
        (root / "guest").write_text(script)
        subprocess.run(["chown", "-R", "0:0", scratch], check=True)
        disk_image.write_disk(root, disk, 256)


def compile_tests(root: Path) -> None:
    """With pytest's assertions. The guest reads the result where it has the same Python, and needs ten seconds less."""
    files = {name for mark in RUNS for name in machine.marked_files(mark)}
    command = [str(VENV / "bin/python"), "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([*command, *sorted(files)], cwd=root, env=environment, stdout=subprocess.DEVNULL, check=False)


def build_wheel(directory: Path) -> None:
    pip = [str(VENV / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), str(TREE)]
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")}
    subprocess.run([*pip, *wheel], env=environment, check=True)


def command_line(lsm: str, cgroups: str) -> str:
    """Kernel parameters. mitigations=off: nobody attacks this machine, and they are slow under emulation."""
    chosen = f"security={lsm} selinux={int(lsm == 'selinux')} apparmor={int(lsm == 'apparmor')}"
    return f"root=/dev/vda rw panic=-1 mitigations=off fsck.mode=skip systemd.show_status=false {chosen}" + (
        " systemd.unified_cgroup_hierarchy=0" if cgroups == "hybrid" else ""
    )


def chosen(option: str, allowed: Sequence[str], arguments: Sequence[str]) -> str:
    """The value of one of our own options, the first allowed one without it."""
    value = next((one.removeprefix(option) for one in arguments if one.startswith(option)), "") or allowed[0]
    if value not in allowed:
        raise SystemExit(f"test-vm: {option}{value}: one of {', '.join(allowed)} is needed")
    return value


def machines(arguments: Sequence[str]) -> int:
    """How many to run when none is asked for: two thirds of the host's memory is theirs."""
    if arguments:
        return 1
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    return max(1, min(len(os.sched_getaffinity(0)), memory * 2 // 3 // machine.MEMORY_MB, MOST_MACHINES))


def main(arguments: Sequence[str]) -> int:
    begin = time.monotonic()
    lsm, cgroups = chosen("--lsm=", LSMS, arguments), chosen("--cgroups=", CGROUPS, arguments)
    number = chosen("--machines=", ["", *map(str, range(1, 9))], arguments)
    report = TREE / "build" / f"{chosen('--report=', REPORTS, arguments)}.xml"
    arguments = [one for one in arguments if not one.startswith(OPTIONS)]
    shares = int(number or machines(arguments))
    try:
        machine.require("mke2fs")
        image, containers = disk_image.image(), disk_image.containers()
    except Unavailable as reason:
        print(f"test-vm: skipped: {reason}")
        return 0
    with tempfile.TemporaryDirectory(prefix="ocirun-vm-") as scratch:
        tree, empty = (Path(scratch) / name for name in ("tree", "empty"))
        write_tree(tree, shell_script() if SHELL_OPTION in arguments else guest_script(lsm, arguments))
        empty.touch()
        os.truncate(empty, DISK_MB << 20)
        disks = [image / "disk", tree, empty, containers]
        if SHELL_OPTION in arguments:
            return machine.shell(image / "vmlinuz", image / "initrd", command_line(lsm, cgroups), disks)
        said = f"after {time.monotonic() - begin:.0f} s; machines with {lsm}: {shares}"
        print(f"test-vm: the disks are there {said}", flush=True)
        share = [f"{one}/{shares}" for one in range(1, shares + 1)]
        lines = {
            Path(scratch) / f"results{one[0]}": f"{command_line(lsm, cgroups)} ocirun.share={one}" for one in share
        }
        machine.boot(image / "vmlinuz", image / "initrd", lines, TIMEOUT_S, disks)
        print(f"test-vm: {time.monotonic() - begin:.0f} s in all", flush=True)
        return machine.collect(lines, report, len(RUNS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
