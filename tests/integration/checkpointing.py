"""What the tests of checkpoint and restore share: a CRIU that works here, and containers whose output is a pipe.

OCIRUN_CRIU names another CRIU than the one in PATH. Debian 12's does not work on kernels from 6.13 on.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.integration.bundle import Bundle, Config, merge
from tests.integration.caller import Caller, Result, wait_for

COUNTER = "mkdir /dev/shm/d; echo kept > /dev/shm/d/f; i=0; while :; do i=$((i+1)); echo count $i; sleep 0.1; done"


def working_criu() -> str:
    """The path of CRIU; "" where there is none that works."""
    criu = os.environ.get("OCIRUN_CRIU") or shutil.which("criu") or ""
    if not criu or subprocess.run([criu, "check"], capture_output=True, check=False).returncode:
        return ""
    return criu


class Piped:
    """One end of the pipe that is a container's standard output and error."""

    def __init__(self) -> None:
        self.end, self.given = os.pipe()
        self.text = ""

    def wait(self, wanted: str, patience: float = 60) -> str:
        """All that came, once it has the wanted text."""
        deadline = time.monotonic() + patience
        while wanted not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, f"{wanted!r} did not come; so far: {self.text!r}"
            if select.select([self.end], [], [], left)[0]:
                data = os.read(self.end, 65536)
                assert data, f"the pipe closed before {wanted!r} came: {self.text!r}"
                self.text += data.decode(errors="replace")
        return self.text

    def rest(self) -> str:
        """All that came."""
        while select.select([self.end], [], [], 0)[0]:
            self.text += os.read(self.end, 65536).decode(errors="replace")
        return self.text

    def close(self) -> None:
        os.close(self.end)
        os.close(self.given)


class Checkpoints:
    """A runtime, and a directory of images for it."""

    def __init__(self, runtime: Caller, criu: str) -> None:
        self.runtime = runtime
        self.criu = criu
        self.images = runtime.directory / "images"
        self.work = runtime.directory / "work"
        self.pipes: list[Piped] = []

    def close(self) -> None:
        for pipe in self.pipes:
            pipe.close()

    def pipe(self) -> Piped:
        self.pipes.append(Piped())
        return self.pipes[-1]

    def bundle(self, script: str = COUNTER, change: Config | None = None) -> Bundle:
        return self.runtime.shell(script, merge({"process": {"noNewPrivileges": False}}, change or {}))

    def _call(self, pipe: Piped, *args: str | Path, **options: Any) -> Result:
        """A call whose output is the pipe, and whose errors are a file, unless a container is to get them."""
        file = self.runtime.directory / f"errors-{time.monotonic_ns()}"
        with open(file, "wb") as errors:
            both = {"stdout": pipe.given, "stderr": errors, **options}
            done = subprocess.run(
                self.runtime.command(*args), stdin=subprocess.DEVNULL, timeout=60, check=False, **both
            )
        return Result(done.returncode, "", file.read_text(errors="replace"))

    def launch(self, bundle: Bundle, *flags: str | Path) -> tuple[str, Piped]:
        """A container that runs, and its output."""
        id, pipe = self.runtime.new_id(), self.pipe()
        done = self._call(pipe, "run", "--detach", "--bundle", bundle.directory, *flags, id, stderr=pipe.given)
        assert done.code == 0, os.read(pipe.end, 4096)
        return id, pipe

    def checkpoint(self, id: str, *flags: str | Path, images: Path | None = None, **options: Any) -> Result:
        where = ["--image-path", images or self.images, "--work-path", self.work, "--criu", self.criu]
        return self.runtime.call("checkpoint", *where, *flags, id, **options)

    def saved(self, id: str, *flags: str | Path, images: Path | None = None) -> None:
        """A checkpoint, which must succeed."""
        done = self.checkpoint(id, *flags, images=images)
        assert done.code == 0, f"{done.err}\n{self.log('dump.log')}"

    def work_directory(self) -> Path:
        """Made, if it is not there."""
        self.work.mkdir(mode=0o700, exist_ok=True)
        return self.work

    def restore(self, bundle: Bundle, id: str, *flags: str | Path, pipe: Piped | None = None) -> Result:
        where = ["--bundle", bundle.directory, "--image-path", self.images, "--work-path", self.work]
        return self._call(pipe or self.pipe(), "restore", *where, "--criu", self.criu, *flags, id)

    def restored(self, bundle: Bundle, id: str, *flags: str | Path) -> Piped:
        """A restore, which must succeed; the container's new output."""
        pipe = self.pipe()
        done = self.restore(bundle, id, "--detach", *flags, pipe=pipe)
        assert done.code == 0, f"{done.err}\n{self.log('restore.log')}"
        assert self.runtime.status(id) == "running"
        return pipe

    def log(self, name: str) -> str:
        file = self.work / name
        lines = file.read_text(errors="replace").splitlines() if file.exists() else []
        return "\n".join(lines[-40:])

    def exec(self, id: str, script: str) -> str:
        return self.runtime.exec(id, script).ok().out

    def goes_on(self, id: str) -> None:
        """The container runs, and is not frozen."""
        assert self.runtime.status(id) == "running"
        wait_for(lambda: self.exec(id, "echo here") == "here\n", "an answer")
