"""Calls as an ordinary user of the machine, who may have subordinate ids and newuidmap, or not.

The user exists only as these calls see it: each is made in a mount namespace in which /etc/passwd, /etc/subuid and
/etc/subgid have the lines, and where the tree is reached though it may lie in root's home. The machine's own files stay
as they are.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.integration.bundle import Bundle, Config, default_config, merge
from tests.integration.caller import TREE, Caller

UID, GID, NAME = 10011, 10012, "ocirun-user"
SUBIDS = 310000
SIZE = 65536
TOOLS = ("newuidmap", "newgidmap")
OWN_IDS: list[dict[str, int]] = [{"containerID": 0, "hostID": UID, "size": 1}]
OWN_GROUPS: list[dict[str, int]] = [{"containerID": 0, "hostID": GID, "size": 1}]
SUBORDINATE = {"containerID": 1, "hostID": SUBIDS, "size": SIZE}
MORE_IDS: Config = {"linux": {"uidMappings": [*OWN_IDS, SUBORDINATE], "gidMappings": [*OWN_GROUPS, SUBORDINATE]}}


def rootless_config() -> Config:
    """What `spec --rootless` writes for the user, without a terminal."""
    config = merge(default_config(), {"linux": {"uidMappings": OWN_IDS, "gidMappings": OWN_GROUPS, "resources": None}})
    kinds = [entry for entry in config["linux"]["namespaces"] if entry["type"] != "network"]
    config["linux"]["namespaces"] = [*kinds, {"type": "user"}]
    sys = {"destination": "/sys", "type": "none", "source": "/sys"}
    sys["options"] = ["rbind", "nosuid", "noexec", "nodev", "ro"]  # type: ignore[assignment]
    mounts = [mount for mount in config["mounts"] if not mount["destination"].startswith("/sys")]
    for mount in mounts:
        mount["options"] = [option for option in mount["options"] if option != "gid=5"]
    return {**config, "mounts": [*mounts, sys]}


def account_files(directory: Path, subids: bool) -> None:
    """Copies of the account files that know the user; `subids`: with ranges to map."""
    passwd = Path("/etc/passwd").read_text() + f"{NAME}:x:{UID}:{GID}::{directory}/home:/bin/sh\n"
    (directory / "passwd").write_text(passwd)
    (directory / "group").write_text(Path("/etc/group").read_text() + f"{NAME}:x:{GID}:\n")
    for name in ("subuid", "subgid"):
        (directory / name).write_text(f"{NAME}:{SUBIDS}:{SIZE}\n" if subids else "")


def reach(path: Path, hold: Path) -> str:
    """Shell commands that open the way to `path`: the first closed directory above it is covered."""
    for above in reversed(path.parents):
        if not above.stat().st_mode & 0o001:
            words = [f"mount --bind {path} {hold}", f"mount -t tmpfs -o mode=755 tmpfs {above}"]
            return "; ".join([*words, f"mkdir -p {path}", f"mount --bind {hold} {path}"]) + "\n"
    return ""


class View:
    """The machine as the user sees it: `command` is what a call begins with.

    subids: with ranges in /etc/subuid and /etc/subgid; tools: with newuidmap and newgidmap, where the machine has them;
    groups: the user's supplementary groups;
    cgroups: `cgroup.procs` and `tasks` files that a call enters first, while it is root.
    """

    def __init__(
        self,
        directory: Path,
        *,
        subids: bool = True,
        tools: bool = True,
        groups: Sequence[int] = (),
        cgroups: Sequence[Path] = (),
    ) -> None:
        directory.mkdir(mode=0o755)
        for name in ("home", "run", "hold"):
            (directory / name).mkdir(mode=0o700)
            os.chown(directory / name, UID, GID)
        self.home, self.run = directory / "home", directory / "run"
        self.directory = directory
        self.environment = {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.run), "USER": NAME, "LOGNAME": NAME}
        account_files(directory, subids)
        script = directory / "enter"
        script.write_text(self.script(tools, groups, cgroups))
        self.command = ["unshare", "--mount", "sh", "-e", str(script)]

    def script(self, tools: bool, groups: Sequence[int], cgroups: Sequence[Path]) -> str:
        lines = [f"mount --bind {self.directory}/{name} /etc/{name}" for name in ("passwd", "group")]
        for name in ("subuid", "subgid"):
            lines.append(f"[ ! -e /etc/{name} ] || mount --bind {self.directory}/{name} /etc/{name}")
        if not tools:
            lines += [f"mount --bind {self.directory}/passwd {path}" for path in map(shutil.which, TOOLS) if path]
        lines += [f"echo $$ > {file}" for file in cgroups]
        values = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.environment.items())
        others = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
        become = f"setpriv --reuid={UID} --regid={GID} {others} --inh-caps=-all"
        clean = "env -u DBUS_SESSION_BUS_ADDRESS -u XDG_CONFIG_HOME -u XDG_DATA_HOME -u XDG_CACHE_HOME"
        return "\n".join([*lines, reach(TREE, self.directory / "hold") + f'exec {become} {clean} {values} "$@"', ""])

    def give(self, path: Path) -> None:
        """Make the user the owner of all that is below."""
        for directory, names, files in os.walk(path):
            os.lchown(directory, UID, GID)
            for name in [*names, *files]:
                if name != "busybox":  # a link of the template's
                    os.lchown(os.path.join(directory, name), UID, GID)


class User(Caller):
    """The runtime, called by the user with its own default root. `inside`: words between the user and the runtime."""

    def __init__(self, program: str, directory: Path, token: str, rootfs: Path, **view: Any) -> None:
        super().__init__(program, directory, token, rootfs)
        self.view = View(directory / "user", **view)
        self.root = self.view.run / self.name
        self.inside: list[str] = []
        self.options: list[str] = []

    def command(self, *args: str | Path) -> list[str]:
        return [*self.view.command, *self.inside, self.program, *self.options, *map(str, args)]

    def pid_file(self, id: str) -> Path:
        return self.view.home / f"{id}.pid"

    def bundle(
        self, change: Config | None = None, *, config: Config | None = None, rootfs: Path | None = None
    ) -> Bundle:
        """A bundle that is the user's; without `config` that of `rootless_config`, in no cgroup."""
        bundle = super().bundle(change, config=rootless_config() if config is None else config, rootfs=rootfs)
        self.view.give(bundle.directory)
        return bundle
