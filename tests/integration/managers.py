"""Real managers with private directories: Podman, containerd and Docker, as managers.toml describes them.

A daemon that is needed is started on a socket of its own and stopped by its own process id.
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
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot, systemd, terminal
from tests.integration.bundle import copy_rootfs
from tests.integration.ordinary import View

TABLE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("managers.toml").read_text())
ROWS: list[dict[str, Any]] = TABLE["row"]
PATIENCE_S = 120
"""Of a manager's command: in an emulated machine it may take ten seconds."""


@dataclass
class Outcome:
    code: int
    out: str
    err: str
    seconds: float


def missing_program(name: str) -> str | None:
    """The first program that the manager needs and that is not installed."""
    for program in TABLE["manager"][name]["programs"]:
        if shutil.which(program) is None:
            return str(program)
    return None


class Manager:
    """One manager, ready to take commands; `close` ends its daemon."""

    def __init__(
        self, name: str, directory: Path, runtime: str, token: str, rootfs: Path, driver: str = "cgroupfs"
    ) -> None:
        self.name = name
        self.directory = directory
        self.table: dict[str, Any] = TABLE["manager"][name]
        self.daemon: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)
        self.prefix: list[str] = []
        self.home = directory
        if "ordinary_user" in self.table:
            self.home = self.become_ordinary(rootfs)
        self.words = {"dir": str(self.home), "runtime": runtime, "token": token, "driver": driver}
        self.words |= {key: value for key, value in self.table.items() if isinstance(value, str)}
        self.words |= TABLE["driver"][driver]
        write_archives(rootfs, self.home)
        self.start_daemon(runtime)
        for command in self.table["load"]:
            outcome = self.call(command)
            assert outcome.code == 0, f"{name} {command}: {outcome.err}"

    def become_ordinary(self, rootfs: Path) -> Path:
        """Call the manager as an ordinary user from now on; the user's home, in which there is a root file system."""
        # Podman takes no more than 50 characters for its run root.
        view = View(self.directory.parents[1] / f"u{secrets.token_hex(3)}", **self.table["ordinary_user"])
        copy_rootfs(rootfs, view.home / "rootfs")
        view.give(view.home)
        self.prefix = view.command
        return view.home

    def start_daemon(self, runtime: str) -> None:
        if self.name == "containerd":
            self._spawn(["containerd", "--config", write_containerd_config(self.directory)], "containerd.sock")
        elif self.name == "docker":
            self._spawn(dockerd_command(self.directory, runtime, self.words["driver"]), "docker.sock")

    def _spawn(self, command: list[str], socket: str) -> None:
        with open(self.directory / "daemon.log", "wb") as log:
            self.daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not (self.directory / socket).exists():
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

    def call(self, command: str, words: Mapping[str, str] | None = None, on_terminal: bool = False) -> Outcome:
        arguments = self.prefix + shlex.split(self.fill(f"{self.table['command']} {command}", words or {}))
        began = time.monotonic()
        if on_terminal:
            code, out = terminal.run(arguments, rows=33, columns=101, timeout=PATIENCE_S, cwd=self.home)
            return Outcome(code, out, "", time.monotonic() - began)
        out_file, err_file = self.directory / "call.out", self.directory / "call.err"
        with open(out_file, "wb") as out_stream, open(err_file, "wb") as err_stream:
            done = subprocess.run(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=out_stream,
                stderr=err_stream,
                timeout=PATIENCE_S,
                check=False,
                cwd=self.home,
            )
        seconds = time.monotonic() - began
        return Outcome(done.returncode, out_file.read_text(), err_file.read_text(errors="replace"), seconds)

    def run_row(self, row: Mapping[str, Any], id: str) -> Outcome:
        """The row's command, between those that prepare it and those that clear up."""
        words, background = {"id": id}, row.get("background", False)
        try:
            for command in [*([self.table["background"]] if background else []), *row.get("before", [])]:
                prepared = self.call(command, words)
                assert prepared.code == 0, f"{command}: {prepared.err}"
            return self.call(row["command"], words, on_terminal=row.get("terminal", False))
        finally:
            for command in [*row.get("after", []), *(self.table["remove"] if background else [])]:
                self.call(command, words)

    def check_row(self, row: Mapping[str, Any]) -> None:
        """The manager's command prints and exits as the row says."""
        for attempt in range(row.get("attempts", 1)):
            id = f"{self.words['token']}-{ROWS.index(dict(row))}-{attempt}"
            outcome = self.run_row(row, id)
            if outcome.out:
                break
        said = f"stdout: {outcome.out}\nstderr: {outcome.err}"
        assert outcome.code == row["exit"], said
        if "pattern" in row:
            assert re.fullmatch(self.fill(row["pattern"], {"id": id}), outcome.out), said
        else:
            assert outcome.out == self.fill(row["stdout"], {"id": id}), said
        assert row.get("stderr", "") in outcome.err, said
        assert not row.get("silent") or outcome.err == "", said
        assert outcome.seconds <= row.get("within", PATIENCE_S), f"took {outcome.seconds:.2f} s"


Starter = Callable[[str], Manager]


@contextlib.contextmanager
def starter(runtime: str, workplace: Path, rootfs: Path, driver: str = "cgroupfs") -> Iterator[Starter]:
    """Starts a manager at its first use; all end with the context, and leave no cgroup, mount or process."""
    token = f"m{secrets.token_hex(4)}"
    before = snapshot.take(token)
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
        for one in started.values():
            one.close()
        # The parent was asked for by name and is shared by the containers: no runtime may remove it.
        if driver == "systemd":
            systemd.stop(f"{token}.slice")
        # Podman puts its monitor beside the containers.
        for mount in snapshot.cgroup_mounts():
            for directory in (mount / token / "conmon", mount / token):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
    left = snapshot.leftovers(before, token, patience=5)
    assert not left, f"left behind: {left}"


def write_archives(rootfs: Path, directory: Path) -> None:
    """rootfs.tar, which Podman and Docker import, and image.tar, the same as an OCI archive for containerd."""
    layer = directory / "rootfs.tar"
    with tarfile.open(layer, "w") as archive:
        archive.add(rootfs, arcname=".")
    data = layer.read_bytes()
    digest = sha256(data)
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


def sha256(data: bytes) -> str:
    from hashlib import sha256 as digest

    return f"sha256:{digest(data).hexdigest()}"


def write_containerd_config(directory: Path) -> str:
    config = directory / "containerd.toml"
    config.write_text(
        f"""version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{directory}/containerd.sock"
[ttrpc]
address = "{directory}/containerd.ttrpc"
"""
    )
    return str(config)


def dockerd_command(directory: Path, runtime: str, driver: str) -> list[str]:
    flags = {
        "containerd": "",
        "iptables": "false",
        "ip6tables": "false",
        "bridge": "none",
        "userland-proxy": "false",
        "storage-driver": "vfs",
        "data-root": str(directory / "data"),
        "exec-root": str(directory / "exec"),
        "pidfile": str(directory / "pid"),
        "host": f"unix://{directory}/docker.sock",
        "add-runtime": f"tested={runtime}",
        "exec-opt": f"native.cgroupdriver={driver}",
    }
    return ["dockerd", *(f"--{name}={value}" for name, value in flags.items())]
