"""The environment of the process, of a further one by `exec`, and of hooks that have none of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.caller import Caller

HOST_KINDS = ("prestart", "createRuntime", "poststart", "poststop")
USER = {"uid": 1000, "gid": 1000}
OF_THE_PROCESS = pytest.mark.not_on("runc", reason="gives it the program's")


def lines_of(text: str, *names: str) -> list[str]:
    """The lines `NAME=value` of these names, sorted."""
    return sorted(line for line in text.splitlines() if line.partition("=")[0] in names)


@pytest.mark.proves("/process/env")
def test_variable_given_twice(runtime: Caller) -> None:
    """A variable that is given twice is there once, with its last value."""
    env = ["PATH=/none", "A=1", "B=1", "A=2", "PATH=/bin", "A=3"]
    out = runtime.run(runtime.bundle({"process": {"env": env, "args": ["env"]}})).ok().out
    assert lines_of(out, "A", "B", "PATH") == ["A=3", "B=1", "PATH=/bin"]


@pytest.mark.not_on("crun", reason="leaves it empty")
def test_empty_home(runtime: Caller) -> None:
    """An empty HOME is filled from the container's passwd, for the process and for `exec`."""
    env = ["PATH=/bin", "HOME=/elsewhere", "HOME="]
    look = runtime.bundle({"process": {"env": env, "args": ["env"], "user": USER}})
    assert lines_of(runtime.run(look).ok().out, "HOME") == ["HOME=/home/ada"]
    id = runtime.launch(runtime.sleeper({"process": {"env": env}}))
    assert lines_of(runtime.exec(id, ["/bin/env"], "--user", "1000").ok().out, "HOME") == ["HOME=/home/ada"]


def test_exec_overrides(runtime: Caller) -> None:
    """`exec --env` takes the place of the config's variable, also for a program that reads the first one."""
    id = runtime.launch(runtime.sleeper({"process": {"env": ["PATH=/bin", "X=1"]}}))
    out = runtime.exec(id, ["/bin/env"], "--env", "X=2", "--env", "Y=1", "--env", "Y=2").ok().out
    assert lines_of(out, "X", "Y") == ["X=2", "Y=2"]


@pytest.mark.parametrize("entry", ["NAME", "=value", ""])
@pytest.mark.not_on("crun", reason="takes it as it is")
def test_exec_variable_without_a_value(runtime: Caller, entry: str) -> None:
    """What is not NAME=value is refused."""
    id = runtime.launch(runtime.sleeper())
    result = runtime.exec(id, ["env"], f"--env={entry}").failed(255)
    assert runtime.name != "ocirun" or f"--env: {entry!r} is not of the form NAME=value" in result.err


def hooked(runtime: Caller, kind: str, hook: dict[str, Any]) -> str:
    """What `env` says in a hook of ``kind``, called by somebody who has CALLER in his environment."""
    inside = kind == "startContainer"
    bundle = runtime.bundle({"process": {"env": ["PATH=/bin", "OF=process", "OF=program"], "user": USER}})
    bundle.write("/log", "")
    bundle.rootfs.joinpath("log").chmod(0o666)
    log = Path("/log") if inside else bundle.rootfs / "log"
    script = f"/usr/bin/env > {log}" if not inside else f"/bin/env > {log}"
    bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", script], **hook}]}
    runtime.run(bundle.save(), env={"CALLER": "yes"}).ok()
    return (bundle.rootfs / "log").read_text()


@pytest.mark.parametrize("kind", HOST_KINDS)
def test_hook_without_environment(runtime: Caller, kind: str) -> None:
    """A hook of the runtime's namespace that has no env inherits the runtime's."""
    assert lines_of(hooked(runtime, kind, {}), "CALLER", "OF") == ["CALLER=yes"]


@pytest.mark.not_on("crun", reason="adds a variable of its own")
@pytest.mark.parametrize("kind", [*HOST_KINDS, pytest.param("createContainer", marks=OF_THE_PROCESS)])
@pytest.mark.parametrize(
    "given", [{}, {"LC_CTYPE": "C"}, {"LC_CTYPE": ""}, {"LC_CTYPE": "C.UTF-8"}, {"LANG": "C"}], ids=str
)
def test_whole_environment_of_a_hook(runtime: Caller, kind: str, given: dict[str, str]) -> None:
    """It is the caller's to the last variable; where the locale is C, nothing makes it another."""
    log = runtime.directory / "log"
    bundle = runtime.bundle()
    proc = bundle.rootfs / "proc" if kind == "createContainer" else "/proc"  # in its pid namespace
    bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat {proc}/$$/environ > {log}"]}]}
    bundle.save()
    command = runtime.command("run", "--bundle", bundle.directory, runtime.new_id())
    environment = {"PATH": "/usr/bin:/bin", **given, "LAST": "\udcff"}
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True)
    found = log.read_bytes().decode(errors="surrogateescape").split("\0")
    assert found == [*(f"{name}={value}" for name, value in environment.items()), ""]


@OF_THE_PROCESS
def test_container_hook_without_environment(runtime: Caller) -> None:
    """So does a createContainer hook, whose program and paths are the runtime's."""
    assert lines_of(hooked(runtime, "createContainer", {}), "CALLER", "OF") == ["CALLER=yes"]


def test_start_hook_without_environment(runtime: Caller) -> None:
    """A startContainer hook has that of the program, and nothing of the runtime's."""
    assert lines_of(hooked(runtime, "startContainer", {}), "CALLER", "OF") == ["OF=program"]


@pytest.mark.parametrize("kind", [*HOST_KINDS, "createContainer", "startContainer"])
def test_hook_with_an_empty_environment(runtime: Caller, kind: str) -> None:
    """An env without variables is an environment, which is empty."""
    assert lines_of(hooked(runtime, kind, {"env": []}), "CALLER", "OF") == []
