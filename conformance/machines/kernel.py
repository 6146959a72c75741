#!/usr/bin/env python3
"""`make test-kernel`: boot Debian's 6.1 kernel under qemu and run `pytest -m kernel` in it, on pure cgroup v2.

The machine boots from no disk: an initramfs holds this tree at its own path, the interpreter with its libraries, .venv
and busybox; an empty disk is there to be limited. Its first serial port is the console, shown here; on the second it
returns pytest's exit status and JUnit file, which becomes build/test-kernel.xml. The kernel's package is downloaded
once and unpacked, not installed. Arguments go to pytest. Where qemu, the package or an x86-64 machine is missing, the
reason is said and nothing runs.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import machine
from machine import TREE, VENV, Unavailable

RESULT = TREE / "build/test-kernel.xml"
PACKAGE = "linux-image-cloud-amd64"
TIMEOUT_S = 1500

# Parts of .venv that the guest does not need: formatters, type checkers and installers.
LEFT_OUT = re.compile(r"(mypy|mypyc|ruff|clang_format|pip|setuptools|hatch|librt|ast_serialize|shellcheck|.*-stubs$)")
STDLIB_LEFT_OUT = (
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "lib2to3",
    "ensurepip",
    "turtledemo",
    "__pycache__",
    "dist-packages",
)
DISK = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci")
MODULES = (
    *(f"drivers/virtio/{name}" for name in DISK),
    "drivers/block/virtio_blk",
    "fs/overlayfs/overlay",
    "fs/fuse/fuse",
    "drivers/net/tun",
)
"""Kernel modules that tests use, each after its dependencies."""
PROGRAMS = ("ip", "strace", "ps", "newuidmap", "newgidmap", "ldd")

INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# The initramfs itself cannot be left by pivot_root: a bind of it, moved on top, can.
mkdir -p /top && mount --bind / /top && cd /top && mount --move . / && exec chroot . /bin/sh /start
"""

START = """\
#!/bin/sh
# Users of a user namespace must be able to enter it.
chmod 755 /
cd /
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm && mount -t mqueue mqueue /dev/mqueue
# Not tmpfs mounts, which would hide a tree that lies below; the root is in memory anyway.
mkdir -p /run /tmp && chmod 1777 /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# The tests' own cgroup: a cgroup with processes cannot give controllers to those below it.
mkdir /sys/fs/cgroup/tests && echo 0 > /sys/fs/cgroup/tests/cgroup.procs
for c in $(cat /sys/fs/cgroup/cgroup.controllers); do echo +$c > /sys/fs/cgroup/cgroup.subtree_control; done
for module in {modules}; do insmod "/modules/$module.ko"; done
ip link set lo up
hostname kernel-test
ulimit -n 20000
cd {tree}
echo "kernel $(uname -r), controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
{command}
status=$?
stty raw -F /dev/ttyS1 2>/dev/null || stty raw < /dev/ttyS1
{{ echo "status $status"; cat /result.xml; }} > /dev/ttyS1
sync
poweroff -f
"""


def kernel() -> Path:
    """The kernel's image, downloaded at the first call."""
    machine.require("cpio", "busybox")
    cache = machine.cache_directory("kernel")
    known = sorted(cache.glob("*/boot/vmlinuz-*"))
    if known and all(module.exists() for module in modules(known[-1])):
        return known[-1]
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Unavailable("needs apt-get, to download Debian's kernel")
    depends = subprocess.run(["apt-cache", "depends", PACKAGE], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Depends: (linux-image-6\.1\.\S+)", depends)
    if not found:
        raise Unavailable(f"apt knows no {PACKAGE} with kernel 6.1")
    target = cache / found.group(1)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        os.chmod(scratch, 0o755)
        command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", found.group(1)]
        done = subprocess.run(command, cwd=scratch, stdout=subprocess.DEVNULL, check=False)
        packages = list(Path(scratch).glob("*.deb"))
        if done.returncode != 0 or not packages:
            raise Unavailable(f"{found.group(1)} could not be downloaded")
        subprocess.run(["dpkg", "-x", str(packages[0]), str(Path(scratch) / "x")], check=True)
        (target / "boot").mkdir(exist_ok=True)
        image = next((Path(scratch) / "x/boot").glob("vmlinuz-*"))
        for module in MODULES:
            source = next((Path(scratch) / "x/lib/modules").glob(f"*/kernel/{module}.ko"))
            shutil.move(str(source), target / "boot" / source.name)
        shutil.move(str(image), target / "boot" / image.name)  # last: its presence means that the rest is complete
    return target / "boot" / image.name


def modules(image: Path) -> list[Path]:
    """Its modules, beside it, in the order in which they are loaded."""
    return [image.parent / f"{Path(module).name}.ko" for module in MODULES]


# The initramfs


def interpreter() -> Path:
    return Path(os.path.realpath(VENV / "bin/python"))


def libraries(files: Iterable[Path]) -> set[Path]:
    """The shared libraries of programs and extensions, as the loader's own paths."""
    found = set()
    for file in files:
        text = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
        found.update(Path(path) for path in re.findall(r"(/\S+\.so\S*)", text))
    return found


class Stage:
    """The guest's root, as a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def place(self, path: Path) -> Path:
        """Where a path of the host stands in the stage; parents are made, links in them are not followed."""
        target = self.directory / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def file(self, path: Path) -> None:
        """The file's contents at its own path, whatever links lead to it."""
        target = self.place(path)
        if not target.exists():
            shutil.copy2(path, target)

    def tree(self, path: Path, ignore: Sequence[str] = ()) -> None:
        shutil.copytree(
            path, self.place(path), symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*ignore)
        )

    def text(self, path: str, text: str, mode: int = 0o644) -> None:
        target = self.place(Path(path))
        target.write_text(text)
        target.chmod(mode)


def fill(stage: Stage, command: Sequence[str], image: Path) -> None:
    for module in modules(image):
        shutil.copy2(module, stage.place(Path("/modules") / module.name))
    for name in ("proc", "sys", "dev", "run", "tmp", "root", "bin", "sbin", "usr/bin", "usr/sbin", "etc"):
        (stage.directory / name).mkdir(parents=True, exist_ok=True)
    shutil.copy2("/usr/bin/busybox", stage.directory / "bin/busybox")
    stage.file(Path("/usr/bin/busybox"))
    (stage.directory / "usr/bin/env").symlink_to("/bin/busybox")
    stage.text("/init", INIT, 0o755)
    stage.text("/start", start_script(command, image), 0o755)
    stage.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    stage.text("/etc/group", "root:x:0:\n")
    fill_interpreter(stage)
    fill_tree(stage)
    programs = [Path(found) for found in map(shutil.which, PROGRAMS) if found]
    for program in programs:
        stage.file(program)
    extensions = [path for path in stage.directory.rglob("*.so") if path.is_file()]
    for library in libraries([interpreter(), *programs, *extensions]) | libseccomp():
        stage.file(library)


def start_script(command: Sequence[str], image: Path) -> str:
    names = " ".join(module.stem for module in modules(image))
    return START.format(tree=shlex.quote(str(TREE)), command=shlex.join(command), modules=names)


def libseccomp() -> set[Path]:
    text = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    return {Path(path) for path in re.findall(r"=> (/\S*libseccomp\.so\.2)$", text, re.MULTILINE)}


def fill_interpreter(stage: Stage) -> None:
    stage.file(interpreter())
    stage.tree(Path(sysconfig.get_path("stdlib")), STDLIB_LEFT_OUT)
    for name in ("/usr/bin/python3", "/bin/python3"):
        link = stage.place(Path(name))
        if not link.is_symlink() and not link.exists():
            link.symlink_to(interpreter())


def fill_tree(stage: Stage) -> None:
    """This tree as far as the tests need it, .venv without its tools; links stay links."""
    for name in ("runtime", "oci_spec", "csrc", "tests", "conformance"):
        stage.tree(TREE / name, ("*.c.orig",))
    stage.file(TREE / "pyproject.toml")
    stage.tree(TREE / "build/site")
    stage.file(TREE / "build/ocirun")
    for path in (VENV / "bin").glob("python*"):
        stage.place(path).symlink_to(os.readlink(path))
    stage.file(VENV / "pyvenv.cfg")
    for path in site_packages().iterdir():
        if LEFT_OUT.match(path.name) or "__mypyc" in path.name:
            continue
        if path.is_dir():
            stage.tree(path)
        else:
            stage.file(path)


def site_packages() -> Path:
    return next((VENV / "lib").glob("python3*/site-packages"))


def build_initramfs(target: Path, arguments: Sequence[str], image: Path) -> None:
    command = [str(VENV / "bin/python"), "-B", "-m", "pytest", "-m", "kernel", "-q", "-p", "no:cacheprovider"]
    command += [
        "--junit-xml=/result.xml",
        "--color=no",
        "-o",
        "junit_suite_name=kernel",
        *arguments,
        *machine.marked_files("kernel"),
    ]
    with tempfile.TemporaryDirectory(prefix="ocirun-initramfs-") as scratch:
        fill(Stage(Path(scratch)), command, image)
        with open(target, "wb") as archive:
            find = subprocess.Popen(["find", ".", "-print0"], cwd=scratch, stdout=subprocess.PIPE)
            pack = ["cpio", "--quiet", "-0", "-o", "-H", "newc"]
            subprocess.run(pack, cwd=scratch, stdin=find.stdout, stdout=archive, check=True)
            find.wait()


def main(arguments: Sequence[str]) -> int:
    try:
        image = kernel()
    except Unavailable as reason:
        print(f"test-kernel: skipped: {reason}")
        return 0
    with tempfile.TemporaryDirectory(prefix="ocirun-kernel-") as scratch:
        initramfs, disk, results = (Path(scratch) / name for name in ("initramfs", "disk", "results"))
        build_initramfs(initramfs, arguments, image)
        disk.touch()
        os.truncate(disk, 64 << 20)
        command_line = "panic=-1 cgroup_no_v1=all rdinit=/init"
        machine.boot(image, initramfs, {results: command_line}, TIMEOUT_S, [disk])
        return machine.collect([results], RESULT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
