"""A machine with nothing on it but the static file and a bundle: a root file system in a mount namespace of the test's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.integration.bundle import BUSYBOX, Bundle, Config, copy_rootfs, default_config, merge
from tests.integration.caller import Result

# $0 is the new root, $1 what else to mount. busybox runs its own applets, so none is needed there.
MOUNTS = """
mount --bind "$0" "$0"
mount -t proc proc "$0/proc"
mount -o rbind /sys "$0/sys"
test -z "$1" || { mkdir "$0/$1" && mount -o rbind "/$1" "$0/$1"; }
"""
PIVOT = """
cd "$0" && pivot_root . . && umount -l .
"""
WAIT = """
echo ready
read end
"""


class Machine:
    """`directory`/root, which has /ocirun, /bundle, and /proc and /sys with the host's cgroups.

    ``chroot``: it is a chroot; otherwise the root of its mount namespace, and there is no other. ``dev``: it has the host's
    /dev. Containers: one, `id`.
    """

    def __init__(self, program: Path, directory: Path, token: str, rootfs: Path, *, chroot: bool, dev: bool) -> None:
        self.root = directory / "root"
        self.id, self.chroot = token, chroot
        for name in ("bundle", "proc", "sys"):
            (self.root / name).mkdir(parents=True)
        shutil.copy2(program, self.root / "ocirun")
        copy_rootfs(rootfs, self.root / "bundle/rootfs")
        script = MOUNTS + ("" if chroot else PIVOT) + WAIT
        command = ["unshare", "--mount", BUSYBOX, "sh", "-e", "-c", script, self.root, "dev" if dev else ""]
        self.keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.keeper.stdout
        assert self.keeper.stdout.readline() == "ready\n"
        self._enter = [str(shutil.which("nsenter")), f"--mount=/proc/{self.keeper.pid}/ns/mnt"]
        if chroot:
            self._enter += [str(shutil.which("chroot")), str(self.root)]

    def call(
        self, *words: str | Path, env: dict[str, str] | None = None, text: str = "", closed: bool = False
    ) -> Result:
        """Run /ocirun there with no environment but `env`. ``text``: its input; ``closed``: without standard streams."""
        command: Sequence[str] = [*self._enter, "/ocirun", *map(str, words)]
        if closed:
            command = [str(BUSYBOX), "sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command]
        out, err = self.root.parent / "out", self.root.parent / "err"  # a created container keeps them open
        with open(out, "w") as out_file, open(err, "w") as err_file:
            done = subprocess.run(
                command, input=text, text=True, stdout=out_file, stderr=err_file, env=env or {}, timeout=60, check=False
            )
        return Result(done.returncode, out.read_text(), err.read_text())

    def bundle(self, script: str, change: Config | None = None) -> Bundle:
        """/bundle, with a config whose process is `sh -c script`."""
        spec = merge(default_config(), {"process": {"args": ["sh", "-c", script]}})
        spec = merge(spec, {"linux": {"cgroupsPath": f"/{self.id}"}})
        return Bundle(self.root / "bundle", merge(spec, change or {})).save()

    def files(self) -> set[str]:
        """What is in the root."""
        return set(os.listdir(self.root))

    def close(self) -> None:
        self.call("delete", "--force", self.id)
        self.keeper.communicate("\n")
        shutil.rmtree(self.root.parent)
