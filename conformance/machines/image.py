"""The disk of `make test-vm`: Debian with its standard kernel, systemd, AppArmor and SELinux's policy, made once.

debootstrap fills a directory, pip (of the host) puts what the tests import beside it, mke2fs writes both as one file:
no mount and no loop device is needed. The result is kept by the hash of all that is said here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from machine import TREE, VENV, Unavailable, cache_directory

SUITE = "bookworm"
PACKAGES = (
    "linux-image-cloud-amd64 systemd-sysv udev dbus dbus-user-session libpam-systemd kmod"
    " apparmor policycoreutils selinux-policy-default"
    " python3 python3-venv libseccomp2 busybox-static uidmap iproute2 procps strace"
    " podman netavark containerd docker.io criu"
).split()
SIZE_MB = 3000
# The root file systems of tests/vm/test_system_container.py, as guides for LXC make them; jq is for docs/lxc.md.
CONTAINER_PACKAGES = "systemd-sysv dbus libpam-systemd iproute2 jq".split()
CONTAINER_MB = 700
SITE = "/opt/ocirun"
"""The virtual environment of the guest."""

FILES = {
    "etc/fstab": "/dev/vda / ext4 defaults 0 0\n/dev/vdb /srv/ocirun ext4 defaults 0 0\n",
    "etc/hostname": "test-vm\n",
    # No other modules in the initrd: unpacking and probing them all takes seconds under emulation.
    "etc/initramfs-tools/conf.d/few": "MODULES=list\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    "etc/hosts": "127.0.0.1 localhost test-vm\n",
    # Permissive: labels and would-be denials are visible, and Debian's own services are not affected.
    "etc/selinux/config": "SELINUX=permissive\nSELINUXTYPE=default\n",
    # The labels that tests/vm/test_selinux.py gives; Debian's policy has none for containers.
    "usr/share/selinux/ocirun_box.cil": """\
(type ocirun_box_t)
(roletype system_r ocirun_box_t)
(typeattributeset domain (ocirun_box_t))
(type ocirun_box_file_t)
(roletype object_r ocirun_box_file_t)
(typeattributeset file_type (ocirun_box_file_t))
""",
    "etc/systemd/system/ocirun-tests.service": """\
[Unit]
Description=the tests of make test-vm
After=dbus.service systemd-logind.service systemd-user-sessions.service apparmor.service
RequiresMountsFor=/srv/ocirun
SuccessAction=poweroff-immediate
FailureAction=poweroff-immediate

[Service]
Type=oneshot
ExecStart=/bin/sh /srv/ocirun/guest
StandardInput=null
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
Delegate=yes
TasksMax=infinity
LimitNOFILE=20000
TimeoutStartSec=infinity
""",
    # As guides for rootless containers advise: all controllers for users; systemd's default omits two.
    "etc/systemd/system/user@.service.d/delegate.conf": "[Service]\nDelegate=cpu cpuset io memory pids\n",
    # Start a user manager at boot, as after `loginctl enable-linger`.
    "var/lib/systemd/linger/ada": "",
}
LINKS = (
    {
        "etc/systemd/system/default.target": "/lib/systemd/system/multi-user.target",
        "etc/systemd/system/multi-user.target.wants/ocirun-tests.service": "/etc/systemd/system/ocirun-tests.service",
    }
    | {
        f"etc/systemd/system/{unit}": "/dev/null"
        # The console belongs to the tests; the rest only costs time.
        for unit in (
            "serial-getty@ttyS0.service getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer"
            " e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-timesyncd.service systemd-update-utmp.service"
            " systemd-binfmt.service selinux-autorelabel.service docker.service docker.socket containerd.service"
        ).split()
    }
    | {
        f"etc/systemd/{kind}/{unit}": "/dev/null"
        for kind in ("system", "user")
        for unit in (
            "podman.service podman.socket podman-restart.service podman-auto-update.service podman-auto-update.timer"
        ).split()
    }
)
# Run in the new root. The labels are written there too: relabelling under emulation takes minutes. Debian's AppArmor
# profiles, whose loading takes seconds, confine nothing that runs in the machine.
FINISH = f"""\
set -e
update-initramfs -u
useradd --create-home --shell /bin/bash --uid 1000 ada
echo root: | chpasswd -e
python3 -m venv --without-pip {SITE}
python3 -m compileall -q {SITE} || true
find /etc/apparmor.d -maxdepth 1 -type f -delete
semodule --noreload --install=/usr/share/selinux/ocirun_box.cil
setfiles -m /etc/selinux/default/contexts/files/file_contexts / >/dev/null
"""


def requirements() -> list[str]:
    """What the tests import, from pyproject.toml: the dependencies, and of the development group the test tools."""
    script = [str(VENV / "bin/python"), str(TREE / "csrc/tools/requirements.py")]
    lines = {kind: subprocess.check_output([*script, kind], text=True).split("\n") for kind in ("runtime", "dev")}
    tools = [line for line in lines["dev"] if re.match(r"(pytest|hypothesis|pip)(?![\w-])", line)]
    return [line for line in [*lines["runtime"], *tools, "pip"] if line]


def digest() -> str:
    """Changes with anything that goes into the image, except Debian's package versions."""
    parts = [SUITE, PACKAGES, SIZE_MB, sorted(FILES.items()), sorted(LINKS.items()), FINISH, requirements()]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def image() -> Path:
    """The directory with `disk`, `vmlinuz` and `initrd`; made at the first call, in about two minutes."""
    target = cache_directory("vm") / digest()
    if target.is_dir():
        return target
    if os.geteuid() != 0:
        raise Unavailable("needs root, to make the disk")
    for program in ("debootstrap", "mke2fs", "unshare"):
        if not shutil.which(program):
            raise Unavailable(f"needs {program}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=target.parent) as scratch:
        os.chmod(scratch, 0o755)
        root, made = Path(scratch) / "root", Path(scratch) / "made"
        made.mkdir()
        bootstrap(root)
        fill(root)
        pack(root, made)
        try:
            made.rename(target)
        except OSError:  # another run was quicker
            if not target.is_dir():
                raise
    forget_others(target)
    return target


def containers() -> Path:
    """A disk with two copies of a Debian that boots in a container: `rootfs` is root's, `users` that of uid 1000.

    There uid 0 is 1000, and 1 and up are the subordinate ids from 100000 on. Made at the first call, in a minute or two.
    """
    parts = [SUITE, CONTAINER_PACKAGES, CONTAINER_MB]
    target = cache_directory("containers") / hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    if target.is_dir():
        return target / "disk"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=target.parent) as scratch:
        content, made = Path(scratch) / "content", Path(scratch) / "made"
        made.mkdir()
        content.mkdir()
        root, users = content / "rootfs", content / "users"
        bootstrap(root, CONTAINER_PACKAGES)
        for name in ("usr/share/doc", "usr/share/locale", "var/lib/apt/lists"):
            shutil.rmtree(root / name, ignore_errors=True)
        (root / "etc/hostname").write_text("system\n")
        subprocess.run(["cp", "--archive", str(root), str(users)], check=True)
        give_to_user(users)
        write_disk(content, made / "disk", CONTAINER_MB)
        try:
            made.rename(target)
        except OSError:  # another run was quicker
            if not target.is_dir():
                raise
    forget_others(target)
    return target / "disk"


def give_to_user(root: Path) -> None:
    """Shift the owners of a tree, as `unshare --map-auto --map-root-user tar` of user 1000 would write it."""
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        uid, gid = (99999 + one if one else 1000 for one in (status.st_uid, status.st_gid))
        os.chown(path, uid, gid, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(status.st_mode & 0o7777)  # chown clears set-user-id


def mirror() -> list[str]:
    """This machine's mirror, if it is a Debian too."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return [site for site in found if "security" not in site][:1]


def bootstrap(root: Path, packages: Sequence[str] = PACKAGES) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, str(root), *mirror()]
    log = root.parent / "log"
    with open(log, "wb") as output:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=900, check=False)
    if done.returncode != 0:
        print("\n".join(log.read_text(errors="replace").splitlines()[-10:]))
        raise Unavailable("debootstrap failed")
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)


def fill(root: Path) -> None:
    for name, text in FILES.items():
        place(root, name).write_text(text)
    for name, destination in LINKS.items():
        link = place(root, name)
        link.unlink(missing_ok=True)
        link.symlink_to(destination)
    site = root / SITE.lstrip("/") / "lib" / f"python{guest_python(root)}" / "site-packages"
    pip_install(site, guest_python(root), requirements())
    # setfiles reaches files through /proc.
    enter = 'mount --bind /proc "$0/proc" && exec chroot "$0" /bin/sh -c "$1"'
    subprocess.run(["unshare", "--mount", "sh", "-c", enter, str(root), FINISH], stdin=subprocess.DEVNULL, check=True)


def place(root: Path, name: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def guest_python(root: Path) -> str:
    """For example 3.11."""
    return (root / "usr/bin/python3").readlink().name.removeprefix("python")


def pip_install(site: Path, python: str, packages: Sequence[str]) -> None:
    """Wheels only, for the guest's Python, whichever this one is; the guest has no network."""
    pip = [str(VENV / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    wheels = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    subprocess.run([*pip, *wheels, "--no-compile", "--target", str(site), *packages], check=True)
    shutil.rmtree(site / "bin", ignore_errors=True)


def pack(root: Path, made: Path) -> None:
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy2(next((root / "boot").glob(f"{name}-*")), made / name.removesuffix(".img"))
    write_disk(root, made / "disk", SIZE_MB)


def write_disk(root: Path, disk: Path, megabytes: int) -> None:
    """An ext4 file system with what is in the directory, owners, modes and labels included."""
    command = ["mke2fs", "-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-d", str(root), str(disk)]
    subprocess.run([*command, f"{megabytes}m"], check=True)


def forget_others(kept: Path) -> None:
    """Removes all but the two newest images: another branch may use the older one."""
    others = [path for path in kept.parent.iterdir() if path != kept and not path.name.startswith("making-")]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
        shutil.rmtree(path, ignore_errors=True)
