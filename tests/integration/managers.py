"""Real managers with private directories: Podman, Buildah, containerd, Docker and BuildKit, as managers.toml describes them.

A daemon that is needed is started on a socket of its own and stopped by its own process id. `make managers` runs the same
rows with each runtime (conformance/managers.py).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot, systemd, terminal
from tests.integration.bundle import copy_rootfs
from tests.integration.caller import TREE
from tests.integration.ordinary import View

TABLE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("managers.toml").read_text())
ROWS: list[dict[str, Any]] = TABLE["row"]
CONTRIB = TREE / "contrib"
INSTALLED = "/usr/local/bin/ocirun"
"""The runtime in the files of contrib/."""
BUILT = TREE / "build/managers"
"""Managers that Debian does not have, built by `make managers`."""
PATIENCE_S = 120
"""Of a manager's command: in an emulated machine it may take ten seconds."""


def manager_table(name: str) -> dict[str, Any]:
    """The manager's table; what it does not say, the one that it is `like` does."""
    own: dict[str, Any] = TABLE["manager"][name]
    return {**manager_table(own["like"]), **own} if "like" in own else own


@dataclass
class Outcome:
    code: int
    out: str
    err: str
    seconds: float


def missing_program(name: str) -> str | None:
    """The first program that the manager needs and that is not installed."""
    for program in manager_table(name)["programs"]:
        if shutil.which(program, path=f"{BUILT}:{os.environ['PATH']}") is None:
            return str(program)
    return None


def missing_need(row: Mapping[str, Any]) -> str | None:
    """The first program that the row needs beside the manager's, and that is not installed."""
    return next((name for name in row.get("needs", []) if shutil.which(name) is None), None)


class Manager:
    """One manager, ready to take commands; `close` ends its daemon."""

    def __init__(
        self, name: str, directory: Path, runtime: str, token: str, rootfs: Path, driver: str = "cgroupfs"
    ) -> None:
        self.name = name
        self.directory = directory
        self.table = manager_table(name)
        self.daemon: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)
        self.prefix: list[str] = []
        self.home = directory
        self.view: View | None = None
        if "ordinary_user" in self.table:
            self.home = self.become_ordinary(rootfs)
        self.words = {"dir": str(self.home), "runtime": runtime, "token": token, "driver": driver}
        self.words |= {key: value for key, value in self.table.items() if isinstance(value, str)}
        self.words |= TABLE["driver"][driver]
        write_archives(rootfs, self.home)
        self.write_settings(runtime)
        self.write_files(self.table, {})
        try:
            self.start_daemon()
            for command in self.table["load"]:
                outcome = self.call(command)
                assert outcome.code == 0, f"{name} {command}: exit {outcome.code}\nstderr: {outcome.err}"
        except BaseException:
            self.close()
            raise

    def become_ordinary(self, rootfs: Path) -> Path:
        """Call the manager as an ordinary user from now on; the user's home, in which there is a root file system."""
        # Podman takes no more than 50 characters for its run root.
        view = View(self.directory.parents[1] / f"u{secrets.token_hex(3)}", **self.table["ordinary_user"])
        copy_rootfs(rootfs, view.home / "rootfs")
        view.give(view.home)
        self.prefix, self.view = view.command, view
        return view.home

    def write_settings(self, runtime: str) -> None:
        """The files of contrib/ with this runtime, and a directory in which it is `runc`, for callers that look in PATH."""
        contrib = self.home / "contrib"
        shutil.copytree(CONTRIB, contrib)
        for file in contrib.glob("*/*"):
            text = file.read_text().replace(INSTALLED, runtime)
            file.write_text(text)
            self.words[f"contrib/{file.relative_to(contrib)}"] = text
        (self.home / "bin").mkdir()
        (self.home / "bin/runc").symlink_to(runtime)
        self.words["contrib"] = str(contrib)
        self.environment = {**os.environ, "PATH": f"{self.home}/bin:{BUILT}:{os.environ['PATH']}"}
        self.environment |= self.environment_of(self.table, {})

    def environment_of(self, table: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, str]:
        return {key: self.fill(value, words) for key, value in table.get("environment", {}).items()}

    def write_files(self, table: Mapping[str, Any], words: Mapping[str, str]) -> None:
        for name, text in table.get("files", {}).items():
            path = self.home / self.fill(name, words)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.fill(text, words))
        if self.view and table.get("files"):
            self.view.give(self.home)

    def start_daemon(self) -> None:
        if "daemon" not in self.table:
            return
        command = shlex.split(self.fill(self.table["daemon"], {}))
        with open(self.directory / "daemon.log", "wb") as log:
            self.daemon = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )
        deadline = time.monotonic() + 60
        while not (self.directory / self.table["socket"]).exists():
            said = (self.directory / "daemon.log").read_text(errors="replace")
            assert self.daemon.poll() is None, f"{command[0]} ended: {said}"
            assert time.monotonic() < deadline, f"{command[0]} opened no socket in 60 s: {said}"
            time.sleep(0.05)

    def close(self) -> None:
        for command in self.table.get("unload", []):
            self.call(command)
        if self.daemon:
            self.daemon.terminate()
            try:
                self.daemon.wait(20)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()

    def fill(self, text: str, words: Mapping[str, str]) -> str:
        """Put the words in place of the names in braces; other braces stay, shells use them."""
        before = None
        while text != before:  # some have others in them
            before = text
            for key, value in {**self.words, **words}.items():
                text = text.replace("{" + key + "}", value)
        return text

    def call(
        self,
        command: str,
        words: Mapping[str, str] | None = None,
        on_terminal: bool = False,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> Outcome:
        arguments = self.prefix + shlex.split(self.fill(f"{self.table['command']} {command}", words or {}))
        around = {**self.environment, **(environment or {})}
        began = time.monotonic()
        if on_terminal:
            code, out = terminal.run(
                arguments, rows=33, columns=101, timeout=PATIENCE_S, cwd=self.home, environment=around
            )
            return Outcome(code, out, "", time.monotonic() - began)
        out_file, err_file = self.directory / "call.out", self.directory / "call.err"
        with open(out_file, "wb") as out_stream, open(err_file, "wb") as err_stream:
            done = subprocess.run(
                arguments,
                input=stdin.encode(),
                stdout=out_stream,
                stderr=err_stream,
                timeout=PATIENCE_S,
                check=False,
                cwd=self.home,
                env=around,
            )
        seconds = time.monotonic() - began
        return Outcome(
            done.returncode, out_file.read_text(errors="replace"), err_file.read_text(errors="replace"), seconds
        )

    def run_row(self, row: Mapping[str, Any], id: str) -> str:
        """The row's command, between those that prepare it and those that clear up: "", or what is wrong."""
        words, background = {"id": id}, row.get("background", False)
        environment = self.environment_of(row, words)
        self.write_files(row, words)
        try:
            for command in [*([self.table["background"]] if background else []), *row.get("before", [])]:
                prepared = self.call(command, words, environment=environment)
                if prepared.code != 0:
                    return f"{command}: exit {prepared.code}\nstderr: {prepared.err}"
            deadline = time.monotonic() + row.get("until", 0)
            while True:
                outcome = self.call(
                    row["command"],
                    words,
                    on_terminal=row.get("terminal", False),
                    environment=environment,
                    stdin=row.get("stdin", ""),
                )
                wrong = self.difference(row, outcome, words)
                if not wrong or time.monotonic() > deadline:
                    return wrong
                time.sleep(0.1)
        finally:
            for command in [*row.get("after", []), *(["{remove}"] if background else [])]:
                for one in self.table["remove"] if command == "{remove}" else [command]:
                    self.call(one, words)

    def difference(self, row: Mapping[str, Any], outcome: Outcome, words: Mapping[str, str]) -> str:
        """What is not as the row says; "" if all is."""
        wrong = []
        if outcome.code != row.get("exit", 0):
            wrong.append(f"exit {outcome.code}")
        if "pattern" in row:
            if not re.fullmatch(self.fill(row["pattern"], words), outcome.out):
                wrong.append(f"printed {outcome.out!r}")
        elif outcome.out != self.fill(row.get("stdout", ""), words):
            wrong.append(f"printed {outcome.out!r}")
        if row.get("stderr", "") not in outcome.err or (row.get("silent") and outcome.err):
            wrong.append("other words on standard error")
        if outcome.seconds > row.get("within", PATIENCE_S):
            wrong.append(f"took {outcome.seconds:.2f} s")
        return ", ".join(wrong) + f"\nstdout: {outcome.out}\nstderr: {outcome.err}" if wrong else ""

    def check_row(self, row: Mapping[str, Any]) -> None:
        """The manager's command prints and exits as the row says."""
        wrong = self.try_row(row)
        assert not wrong, wrong

    def try_row(self, row: Mapping[str, Any]) -> str:
        """What of the row is wrong, with what was printed; "" if nothing is."""
        for attempt in range(row.get("attempts", 1)):
            wrong = self.run_row(row, f"{self.words['token']}-{ROWS.index(dict(row))}-{attempt}")
            if not wrong:
                break
        return wrong


Starter = Callable[[str], Manager]


@contextlib.contextmanager
def starter(
    runtime: str, workplace: Path, rootfs: Path, driver: str = "cgroupfs", strict: bool = True
) -> Iterator[Starter]:
    """Starts a manager at its first use; all end with the context, and leave no cgroup, mount or process.

    strict: what is left is an error; without it, it is only removed.
    """
    token = f"m{secrets.token_hex(4)}"
    before, others = snapshot.take(token), default_parents()
    started: dict[str, Manager] = {}

    def get(name: str) -> Manager:
        missing = missing_program(name)
        if missing:
            pytest.skip(f"{missing} is not installed")
        if name not in started:
            started[name] = Manager(name, workplace / token / name, runtime, token, rootfs, driver)
        return started[name]

    try:
        yield get
    finally:
        with contextlib.ExitStack() as stack:
            for one in started.values():
                stack.callback(one.close)
        # The parent was asked for by name and is shared by the containers: no runtime may remove it.
        if driver == "systemd":
            systemd.stop(f"{token}.slice")
        # Podman puts its monitor beside the containers.
        own = [mount / token / name for mount in snapshot.cgroup_mounts() for name in ("conmon", "")]
        for directory in [*own, *(path for path in default_parents() if path not in others)]:
            with contextlib.suppress(OSError):
                os.rmdir(directory)
    left = snapshot.leftovers(before, token, patience=5)
    discard(token, workplace / token)
    assert not left or not strict, f"left behind: {left}"


def default_parents() -> list[Path]:
    """The cgroups that managers create for containers and builds for which nothing else was asked, and keep."""
    names = ("libpod_parent/conmon", "libpod_parent", "docker", "buildkit")
    return [mount / name for mount in snapshot.cgroup_mounts() for name in names if (mount / name).exists()]


def discard(token: str, directory: Path) -> None:
    """Whatever is left where a manager failed or was killed: processes, mounts, cgroups."""
    for pid in snapshot.descendants(os.getpid()):
        # Shims and monitors have the token in their arguments, containers in their cgroups.
        with contextlib.suppress(OSError):
            if token in snapshot.command_of(pid) or token in Path(f"/proc/{pid}/cgroup").read_text():
                os.kill(pid, signal.SIGKILL)
    with open("/proc/self/mountinfo") as file:
        places = [line.split()[4] for line in file]
    for place in reversed([place for place in places if place.startswith(f"{directory}/")]):
        subprocess.run(["umount", "--lazy", place], check=False)
    deadline = time.monotonic() + 5
    while (cgroups := snapshot.cgroups(token)) and time.monotonic() < deadline:
        snapshot.reap_orphans()
        for cgroup in sorted(cgroups, key=len, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(cgroup)


def write_archives(rootfs: Path, directory: Path) -> None:
    """rootfs.tar, which Podman and Docker import, and image.tar, the same as an archive for containerd."""
    layer = directory / "rootfs.tar"
    with tarfile.open(layer, "w") as archive:
        archive.add(rootfs, arcname=".")
    # Where builds find it, and nothing else.
    (directory / "context").mkdir()
    os.link(layer, directory / "context/rootfs.tar")
    data = layer.read_bytes()
    digest = f"sha256:{sha256(data).hexdigest()}"
    configuration = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "config": {"Env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin"], "Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        }
    ).encode()
    manifest = json.dumps(
        [{"Config": "config.json", "RepoTags": ["localhost/busybox:latest"], "Layers": ["layer.tar"]}]
    ).encode()
    members = {"config.json": configuration, "layer.tar": data, "manifest.json": manifest}
    with tarfile.open(directory / "image.tar", "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
