"""Call a runtime as a manager does: a program, a state root, a bundle, files for the output."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.bundle import Bundle, Config, copy_rootfs, default_config, merge

TREE = Path(__file__).parents[2]
DEFAULT_RUNTIME = TREE / "build/ocirun"


@dataclass
class Result:
    code: int
    out: str
    err: str

    def ok(self) -> Result:
        """Itself when the call succeeded; fails the test otherwise."""
        assert self.code == 0, f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"
        return self

    def failed(self, code: int | None = None) -> Result:
        assert self.code != 0, f"succeeded, but should not have\nstdout: {self.out}"
        assert code is None or self.code == code, f"exit {self.code}, not {code}\nstderr: {self.err}"
        return self


class Caller:
    """One runtime with a state root of its own. Containers and output files live in `directory`.

    `driver`: who makes the cgroups, the runtime itself ("cgroupfs") or systemd, which it asks ("systemd").
    """

    def __init__(self, program: str, directory: Path, token: str, rootfs: Path, driver: str = "cgroupfs") -> None:
        self.program = program
        self.name = os.path.basename(program)
        self.directory = directory
        self.token = token
        self.root = directory / "state"
        self.template = rootfs
        self.driver = driver
        self._numbers = itertools.count(1)
        self._outputs: dict[str, Path] = {}

    # Bundles

    def cgroups_path(self, name: str, parent: str = "") -> str:
        """A cgroupsPath for the driver: `name` below the root (or systemd's system.slice), or below a new `parent`."""
        if self.driver == "systemd":
            return f"{f'ocirun_{parent}' if parent else 'system'}.slice:ocirun:{name}"
        return f"/{parent}/{name}" if parent else f"/{name}"

    def new_id(self) -> str:
        return f"{self.token}-{next(self._numbers)}"

    def bundle(
        self, change: Config | None = None, *, config: Config | None = None, rootfs: Path | None = None
    ) -> Bundle:
        """A saved bundle of the given config (default: `default_config` in an own cgroup) and the change."""
        directory = self.directory / f"bundle{next(self._numbers)}"
        directory.mkdir()
        copy_rootfs(rootfs or self.template, directory / "rootfs")
        if config is None:
            config = merge(
                default_config(), {"linux": {"cgroupsPath": self.cgroups_path(f"{directory.name}-{self.token}")}}
            )
        return Bundle(directory, merge(config, change or {})).save()

    def shell(self, script: str, change: Config | None = None) -> Bundle:
        """A bundle whose process is `sh -c script`."""
        return self.bundle(merge({"process": {"args": ["sh", "-c", script]}}, change or {}))

    def sleeper(self, change: Config | None = None) -> Bundle:
        """A bundle that runs until it gets SIGTERM or SIGKILL, and answers SIGTERM at once."""
        return self.shell("trap 'exit 0' TERM; while :; do sleep 0.1; done", change)

    # Calls

    def command(self, *args: str | Path) -> list[str]:
        manager = ["--systemd-cgroup"] if self.driver == "systemd" else []
        return [self.program, "--root", str(self.root), *manager, *map(str, args)]

    def call(
        self,
        *args: str | Path,
        stdin: str | int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60,
        pass_fds: Sequence[int] = (),
        output: Path | None = None,
        preexec_fn: Callable[[], Any] | None = None,
        reaping: bool = False,
    ) -> Result:
        """Run `PROGRAM --root ROOT args`. Output goes to files: a detached container keeps a pipe open."""
        base = output or self.directory / f"call{next(self._numbers)}"
        out, err = base.with_suffix(".out"), base.with_suffix(".err")
        with open(out, "wb") as out_file, open(err, "wb") as err_file:
            child = subprocess.Popen(
                self.command(*args),
                stdin=subprocess.PIPE if isinstance(stdin, str) else (subprocess.DEVNULL if stdin is None else stdin),
                stdout=out_file,
                stderr=err_file,
                env={**os.environ, **env} if env else None,
                cwd=cwd,
                pass_fds=pass_fds,
                preexec_fn=preexec_fn,
            )
            try:
                if reaping:
                    reap_until_end(child, timeout)
                child.communicate(stdin.encode() if isinstance(stdin, str) else None, timeout=timeout)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                words, said = " ".join(map(str, args)), err.read_text(errors="replace")
                raise AssertionError(f"{words}: more than {timeout} s\nstderr: {said}") from None
        return Result(child.returncode, _written(out), _written(err))

    def run(self, bundle: Bundle, *flags: str | Path, **options: Any) -> Result:
        """`run` in the foreground: the container's output and exit code."""
        return self.call("run", "--bundle", bundle.directory, *flags, self.new_id(), **options)

    def create(self, bundle: Bundle, *flags: str | Path, id: str | None = None, **options: Any) -> str:
        """`create`, which must succeed; returns the id. The container's output: `output(id)`."""
        id = id or self.new_id()
        base = self.directory / f"output-{id}"
        self._outputs[id] = base
        if "--pid-file" not in flags:
            flags = ("--pid-file", self.pid_file(id), *flags)
        self.call("create", "--bundle", bundle.directory, *flags, id, output=base, **options).ok()
        return id

    def try_create(self, bundle: Bundle, *flags: str | Path, **options: Any) -> Result:
        """`create`, whatever comes of it."""
        return self.call("create", "--bundle", bundle.directory, *flags, self.new_id(), **options)

    def start(self, id: str) -> None:
        self.call("start", id).ok()

    def launch(self, bundle: Bundle, *flags: str | Path, **options: Any) -> str:
        """`create` and `start`; returns the id."""
        id = self.create(bundle, *flags, **options)
        self.start(id)
        return id

    def exec(self, id: str, args: str | Sequence[str], *flags: str | Path, **options: Any) -> Result:
        """`exec` in the foreground; a plain string is a script for the shell."""
        words = ["sh", "-c", args] if isinstance(args, str) else args
        return self.call("exec", *flags, id, *words, **options)

    def state(self, id: str) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.call("state", id).ok().out)
        return state

    def status(self, id: str) -> str:
        return str(self.state(id)["status"])

    def pid(self, id: str) -> int:
        return int(self.state(id)["pid"])

    def first_pid(self, id: str) -> int:
        """What create wrote to its pid file: the first process, if it is there still. In a virtual machine a call is slow."""
        if id not in self._outputs:
            return self.pid(id)
        return int(self.pid_file(id).read_text())

    def pid_file(self, id: str) -> Path:
        return self.directory / f"{id}.pid"

    def kill(self, id: str, name: str = "KILL") -> None:
        self.call("kill", id, name).ok()

    def wait_handler(self, id: str, number: int = signal.SIGTERM) -> None:
        """Until the first process has a handler: as pid 1 of its namespace it gets no other signal but SIGKILL."""
        status = Path(f"/proc/{self.pid(id)}/status")

        def caught() -> bool:
            line = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)

        wait_for(caught, f"handler of signal {number}")

    def wait_status(self, id: str, status: str = "stopped", patience: float = 20) -> None:
        deadline = time.monotonic() + patience
        while (now := self.status(id)) != status:
            assert time.monotonic() < deadline, f"{id} is {now}, not {status}, after {patience} s"
            time.sleep(0.02)

    def finish(self, id: str) -> str:
        """Wait for the container's end, delete it, and return what it printed."""
        self.wait_status(id)
        self.call("delete", id).ok()
        return self.output(id)

    def remove(self, id: str) -> None:
        self.call("delete", "--force", id).ok()

    def output(self, id: str) -> str:
        return _written(self._outputs[id].with_suffix(".out"))

    def errors(self, id: str) -> str:
        return _written(self._outputs[id].with_suffix(".err"))

    def known_ids(self) -> list[str]:
        """Ids that have a directory in the state root."""
        if not self.root.is_dir():
            return []
        return sorted(entry.name for entry in self.root.iterdir() if entry.is_dir() and not entry.name.startswith("."))

    def remove_all(self) -> None:
        for id in self.known_ids():
            self.call("delete", "--force", id, reaping=True)

    def discard(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


def _written(file: Path) -> str:
    """Its text with the ends of lines as they are: read_text takes \\r\\n for \\n."""
    return file.read_bytes().decode(errors="replace")


def reap_until_end(child: subprocess.Popen[bytes], timeout: float) -> None:
    """Collect orphans until the child ends, as a manager does.

    A pid namespace cannot end while a zombie in it waits for us: that of a detached exec.
    """
    deadline = time.monotonic() + timeout
    while child.poll() is None and time.monotonic() < deadline:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended and ended.si_pid != child.pid:
            os.waitpid(ended.si_pid, 0)
        time.sleep(0.005)


@contextmanager
def ended(child: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """Popen's own context waits for the child, without end when a test fails that was to end it: this one kills it."""
    with child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def wait_for(condition: Callable[[], Any], what: str, patience: float = 60) -> Any:
    """The condition's first true value; fails the test when there is none in time.

    A file that is missing is not there yet: the program that writes it may be an instant behind.
    """
    deadline = time.monotonic() + patience
    while True:
        with suppress(FileNotFoundError):
            if value := condition():
                return value
        assert time.monotonic() < deadline, f"no {what} within {patience} s"
        time.sleep(0.01)
