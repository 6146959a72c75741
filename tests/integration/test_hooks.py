"""The six hooks: when each runs, where, with what on stdin and in its environment, and what its failure does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for

HOST_KINDS = ("prestart", "createRuntime", "poststart", "poststop")
CONTAINER_KINDS = ("createContainer", "startContainer")
KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

# A hook writes its own kind, its namespaces, and the state it got. In the container there is only busybox.
RECORDER = """#!/bin/sh
exec >> {log}
printf '{{"kind":"%s","env":"%s","mnt":"%s","net":"%s","pid":"%s","mask":"%s","cwd":"%s","state":%s}}\\n' \\
  "$1" "$MARK" "$(readlink /proc/self/ns/mnt)" "$(readlink /proc/self/ns/net)" \\
  "$(readlink /proc/self/ns/pid)" "$(grep -c . /proc/self/status)" "$PWD" "$(cat)"
"""


class Hooks:
    """A bundle with recorders as hooks; `log` is the same file seen from the host and from the container."""

    def __init__(self, runtime: Caller, script: str = "echo main") -> None:
        self.bundle: Bundle = runtime.shell(script)
        self.log = self.bundle.directory / "log"
        self.log.touch()
        self.log.chmod(0o666)
        self.program = self.bundle.directory / "recorder"
        self.program.write_text(RECORDER.format(log=self.log))
        self.program.chmod(0o755)
        # In the container, for startContainer, the same program stands at /recorder and logs to /log.
        self.bundle.write("/recorder", RECORDER.format(log="/log"), 0o755)
        self.bundle.write("/log", "")
        self.bundle.config["mounts"].append(
            {"destination": "/log", "type": "bind", "source": str(self.log), "options": ["bind"]}
        )
        self.bundle.config["hooks"] = {}

    def add(self, kind: str, **change: Any) -> Hooks:
        path = "/recorder" if kind == "startContainer" else str(self.program)
        hook = {"path": path, "args": ["recorder", kind], "env": ["MARK=yes", "PATH=/bin:/usr/bin"], **change}
        self.bundle.config["hooks"].setdefault(kind, []).append(hook)
        return self

    def shell(self, kind: str, script: str, **change: Any) -> Hooks:
        return self.add(kind, path="/bin/sh", args=["sh", "-c", script], **change)

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def kinds(self) -> list[str]:
        return [entry["kind"] for entry in self.entries()]


@pytest.mark.not_on("runc", reason="runs poststart at create")
def test_order(runtime: Caller) -> None:
    """Hooks run in the spec's order, each list in its own; what start runs waits for start."""
    hooks = Hooks(runtime)
    for kind in KINDS:
        hooks.add(kind, args=["recorder", f"{kind}1"]).add(kind, args=["recorder", f"{kind}2"])
    id = runtime.create(hooks.bundle.save())
    at_create = [f"{kind}{n}" for kind in ("prestart", "createRuntime", "createContainer") for n in (1, 2)]
    assert hooks.kinds() == at_create
    runtime.start(id)
    runtime.wait_status(id)
    runtime.call("delete", id).ok()
    assert hooks.kinds() == [f"{kind}{n}" for kind in KINDS for n in (1, 2)]


def test_namespaces(runtime: Caller) -> None:
    """createContainer and startContainer run in the container's namespaces, the others in the runtime's."""
    hooks = Hooks(runtime)
    for kind in KINDS:
        hooks.add(kind)
    id = runtime.create(hooks.bundle.save())
    container = os.readlink(f"/proc/{runtime.pid(id)}/ns/mnt")
    runtime.start(id)
    runtime.finish(id)
    host = os.readlink("/proc/self/ns/mnt")
    seen = {entry["kind"]: entry["mnt"] for entry in hooks.entries()}
    assert seen == {kind: host if kind in HOST_KINDS else container for kind in KINDS}


@pytest.mark.proves_operation("state_document")
@pytest.mark.proves_operation("run_hook")
@pytest.mark.proves_operation("hooks")
def test_state_on_stdin(runtime: Caller) -> None:
    """Each hook reads the state, with the status of its moment and the host's pid."""
    hooks = Hooks(runtime, "sleep 0.3")
    for kind in KINDS:
        hooks.add(kind)
    id = runtime.create(hooks.bundle.save())
    pid = runtime.pid(id)
    runtime.start(id)
    runtime.finish(id)
    states = {entry["kind"]: entry["state"] for entry in hooks.entries()}
    for kind, state in states.items():
        assert state["id"] == id, kind
        assert state["bundle"] == str(hooks.bundle.directory), kind
        assert state["ociVersion"], kind
    statuses = {kind: state["status"] for kind, state in states.items()}
    assert statuses["poststart"] == ("created" if runtime.name == "runc" else "running")
    assert statuses["poststop"] == "stopped"
    assert statuses["createRuntime"] == statuses["createContainer"] == "creating"
    assert statuses["startContainer"] == "created"
    if runtime.name == "ocirun":  # the peers say 1 where init itself runs the hook
        assert {kind: states[kind]["pid"] for kind in KINDS[:5]} == dict.fromkeys(KINDS[:5], pid)


def test_environment(runtime: Caller) -> None:
    """A hook has its own env and nothing of the caller's."""
    hooks = Hooks(runtime)
    hooks.shell("createRuntime", f"env > {hooks.log}", env=["ONLY=this"])
    runtime.run(hooks.bundle.save(), env={"CALLER": "secret"}).ok()
    variables = dict(line.split("=", 1) for line in hooks.log.read_text().splitlines())
    assert variables["ONLY"] == "this"
    assert "CALLER" not in variables


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_failure_at_create(runtime: Caller, kind: str) -> None:
    """A failing hook of create fails it, says which, and nothing is left; later hooks do not run, poststop does."""
    hooks = Hooks(runtime).shell(kind, "echo because >&2; exit 3").add("poststart")
    result = runtime.try_create(hooks.bundle.save()).failed(1)
    assert "hook" in result.err
    assert runtime.known_ids() == []
    assert "poststart" not in hooks.kinds()


@pytest.mark.not_on("runc", reason="start succeeds, and the container is gone later")
def test_failure_of_start_container(runtime: Caller) -> None:
    """A failing startContainer hook fails start and destroys the container; the user's process does not run."""
    hooks = Hooks(runtime, "touch /ran").shell("startContainer", "exit 3")
    id = runtime.create(hooks.bundle.save())
    runtime.call("start", id).failed(1)
    if runtime.name == "ocirun":  # runtime.md "Lifecycle"; crun leaves it stopped
        assert id not in runtime.known_ids()
    assert not (hooks.bundle.rootfs / "ran").exists()


@pytest.mark.not_on("runc", "crun", reason="runs it at create, or goes on")
def test_failure_of_poststart(runtime: Caller) -> None:
    """A failing poststart hook stops the container (spec 1.3)."""
    hooks = Hooks(runtime, "sleep 60").shell("poststart", "exit 3")
    id = runtime.create(hooks.bundle.save())
    runtime.call("start", id).failed(1)
    if runtime.call("state", id).code == 0:
        runtime.wait_status(id)


@pytest.mark.not_on("runc", reason="leaves out the hooks after the one that failed")
def test_failure_of_poststop(runtime: Caller) -> None:
    """A failing poststop hook only warns: the next one runs, delete succeeds."""
    hooks = Hooks(runtime).shell("poststop", "exit 3").add("poststop")
    id = runtime.launch(hooks.bundle.save())
    runtime.wait_status(id)
    runtime.call("delete", id).ok()
    assert hooks.kinds() == ["poststop"]
    assert runtime.known_ids() == []


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
@pytest.mark.not_on("crun", reason="measures the time in its own way")
def test_timeout(runtime: Caller, kind: str) -> None:
    """A hook that outlives its timeout is killed and counts as failed."""
    hooks = Hooks(runtime).shell(kind, "exec sleep 30", timeout=1)
    began = time.monotonic()
    runtime.try_create(hooks.bundle.save()).failed(1)
    assert time.monotonic() - began < 15


def test_missing_hook_program(runtime: Caller) -> None:
    """A hook whose program is not there fails create by name."""
    hooks = Hooks(runtime).add("createRuntime", path="/no/such/hook")
    assert "/no/such/hook" in runtime.try_create(hooks.bundle.save()).failed(1).err
    assert runtime.known_ids() == []


def test_mounts_are_in_place_before_the_pivot(runtime: Caller) -> None:
    """createContainer sees the host's paths, with the container's mounts under root.path: device hooks mount there."""
    hooks = Hooks(runtime, "cat /injected; ls /")
    root = hooks.bundle.rootfs
    hooks.bundle.write("/injected", "")
    (hooks.bundle.directory / "payload").write_text("from hook\n")
    hooks.shell(
        "createContainer",
        f"grep -q ' {root}/proc ' /proc/self/mountinfo &&"
        f" mount --bind {hooks.bundle.directory}/payload {root}/injected",
        env=["PATH=/bin:/usr/bin:/sbin:/usr/sbin"],
    )
    assert runtime.run(hooks.bundle.save()).ok().out.startswith("from hook\n")


def test_create_runtime_can_enter_the_namespaces(runtime: Caller) -> None:
    """createRuntime enters the container's namespaces by pid: network plugins do."""
    hooks = Hooks(runtime, "cat /sys/class/net/veth-in/mtu || ip link")
    hooks.shell(
        "createRuntime",
        f'pid=$(sed "s/.*\\"pid\\": *\\([0-9]*\\).*/\\1/"); readlink /proc/$pid/ns/net > {hooks.log};'
        f" readlink /proc/self/ns/net >> {hooks.log}",
        env=["PATH=/bin:/usr/bin"],
    )
    runtime.run(hooks.bundle.save())
    inside, outside = hooks.log.read_text().split()
    assert inside.startswith("net:[")
    assert inside != outside


def test_signals_of_hooks(runtime: Caller) -> None:
    """Hooks start with every signal at its default and none blocked."""
    hooks = Hooks(runtime)
    look = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
    hooks.shell("createRuntime", f"{look} >> {hooks.log}; true")
    hooks.shell("createContainer", f"{look} >> {hooks.log}; true")
    hooks.shell("startContainer", f"{look} >> /log; true")
    runtime.run(hooks.bundle.save()).ok()
    values = [line.split()[1] for line in hooks.log.read_text().splitlines()]
    assert len(values) == 6
    if runtime.name == "ocirun":
        assert set(values) == {"0" * 16}


def test_hook_without_args(runtime: Caller) -> None:
    """A hook without args gets its path as argv[0]."""
    hooks = Hooks(runtime)
    script = hooks.bundle.directory / "plain"
    script.write_text(f"#!/bin/sh\necho $0 $# >> {hooks.log}\n")
    script.chmod(0o755)
    hooks.bundle.config["hooks"] = {"createRuntime": [{"path": str(script)}]}
    runtime.run(hooks.bundle.save()).ok()
    assert hooks.log.read_text() == f"{script} 0\n"


def test_delete_of_created_runs_poststop(runtime: Caller) -> None:
    """Deleting by force a container that was never started runs poststop once."""
    hooks = Hooks(runtime).add("poststop")
    id = runtime.create(hooks.bundle.save())
    runtime.remove(id)
    assert hooks.kinds() == ["poststop"]


def test_hook_does_not_hold_up_create(runtime: Caller) -> None:
    """A hook may leave a process behind with the streams open: create returns when the hook ended."""
    hooks = Hooks(runtime)
    hooks.shell("createRuntime", f"sleep 20 & echo $! > {hooks.log}", env=["PATH=/bin:/usr/bin"])
    began = time.monotonic()
    id = runtime.create(hooks.bundle.save())
    took = time.monotonic() - began
    pid = int(hooks.log.read_text())
    os.kill(pid, 9)
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or _reap(pid), "end of the hook's child")
    runtime.remove(id)
    assert took < 15 or runtime.name != "ocirun"


def _reap(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


@pytest.mark.not_on("runc", "crun", reason="init of other runtimes is made otherwise")
def test_hook_that_ends_before_it_is_given_the_state(runtime: Caller) -> None:
    """A hook need not read its input, and may be quicker than init, which is held up here before each write."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    bundle = runtime.shell("echo main", {"hooks": {"createContainer": [{"path": "/bin/true"}]}})
    slow = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "-e", "inject=write:delay_enter=50000"]
    command = runtime.command("run", "--bundle", bundle.directory, runtime.new_id())
    result = subprocess.run([*slow, *command], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"main\n", b"")


def each_kind(*properties: str) -> list[Any]:
    """A parameter for each kind of hook, whose test proves these properties of it."""
    return [
        pytest.param(kind, marks=[pytest.mark.proves(f"/hooks/{kind}/*/{name}") for name in properties])
        for kind in KINDS
    ]


@pytest.mark.parametrize("kind", each_kind("path", "args", "env"))
def test_what_a_hook_is_given(runtime: Caller, kind: str) -> None:
    """The program of `path` runs with exactly the words of `args`, its name among them, and the variables of `env`."""
    hooks = Hooks(runtime)
    log = "/log" if kind == "startContainer" else str(hooks.log)
    program = "/bin/given" if kind == "startContainer" else str(hooks.bundle.directory / "given")
    script = f'#!/bin/sh\ncat > /dev/null\nprintf \'[%s]\' "$0" "$@" "$A" "$B" "${{CALLER-none}}" >> {log}\n'
    if kind == "startContainer":
        hooks.bundle.write(program, script, 0o755)
    else:
        Path(program).write_text(script)
        Path(program).chmod(0o755)
    hooks.add(kind, path=program, args=["name", "two words", "", "é"], env=["A=1", "B=x=y z", "PATH=/bin:/usr/bin"])
    runtime.run(hooks.bundle.save(), env={"CALLER": "secret"}).ok()
    assert hooks.log.read_text() == f"[{program}][two words][][é][1][x=y z][none]"  # of a script, $0 is its path


@pytest.mark.parametrize("kind", each_kind("timeout"))
@pytest.mark.not_on("runc", reason="runs poststart at create, and start does not wait for startContainer")
@pytest.mark.not_on("crun", reason="start does not wait for startContainer, and poststart only warns")
def test_each_timeout(runtime: Caller, kind: str) -> None:
    """A hook that outlives its timeout is killed; one of create or start has failed then, poststop only warns."""
    hooks = Hooks(runtime, "sleep 20").shell(kind, "exec sleep 30", timeout=1)
    began = time.monotonic()
    result = runtime.try_create(hooks.bundle.save())
    if kind in ("prestart", "createRuntime", "createContainer"):
        result.failed(1)
        assert runtime.known_ids() == []
    else:
        id = runtime.known_ids()[0]
        started = runtime.call("start", id)
        assert (started.code == 0) == (kind == "poststop")
        deleted = runtime.call("delete", "--force", id).ok()
        assert runtime.name != "ocirun" or kind != "poststop" or "/hooks/poststop/0" in deleted.err
    assert 0.9 < time.monotonic() - began < 20


@pytest.mark.not_on("crun", reason="says no more than the exit status")
@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_the_words_of_a_failed_hook(runtime: Caller, kind: str) -> None:
    """A failed hook's error says which of its kind it was, as callers of runc look for it."""
    hooks = Hooks(runtime).shell(kind, "exit 0").shell(kind, "exit 3")
    said = runtime.try_create(hooks.bundle.save()).failed(1).err
    assert f"error running {kind} hook #1:" in said
    assert "exit status 3" in said


@pytest.mark.not_on("runc", "crun", reason="the one words it otherwise, the other says no more than the exit status")
@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("kind", KINDS[:5])
def test_what_a_failed_hook_wrote(runtime: Caller, kind: str, verb: str) -> None:
    """The error quotes the end of it, whoever runs the hook; a child that the hook leaves behind is not waited for."""
    hooks = Hooks(runtime, "sleep 20")
    hooks.shell(kind, "echo of another")
    behind = "sleep 20 &" if kind in CONTAINER_KINDS else ""  # ends with the container
    script = f"echo out; yes | head -c 300000 >&2; echo because of this >&2; {behind} exit 3"
    hooks.shell(kind, script, env=["PATH=/bin:/usr/bin"])
    began = time.monotonic()
    if verb == "run":
        said = runtime.run(hooks.bundle.save()).failed(1).err
    else:
        said = runtime.try_create(hooks.bundle.save()).err
        if kind in ("startContainer", "poststart"):
            said = runtime.call("start", runtime.known_ids()[0]).failed(1).err
    assert time.monotonic() - began < 15
    assert f"/hooks/{kind}/1: error running {kind} hook #1: /bin/sh: exit status 3: " in said
    assert said.endswith(" y because of this\n")
    assert "of another" not in said
    assert len(said) < 10000
    assert runtime.known_ids() == []


@pytest.mark.not_on("runc", "crun", reason="says nothing of it")
@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
def test_words_of_a_hook_that_cannot_be_run(runtime: Caller, kind: str) -> None:
    """A status that the hook has explained gets no guess of ours; one without a word does."""
    for path, args, words in (
        ("/bin/sh", ["sh", "-c", "no-such-word"], "exit status 127: "),
        ("/no/such", ["x"], "exit status 127; it could not be executed in the container\n"),
    ):
        id = runtime.new_id()
        hooks = Hooks(runtime).add(kind, path=path, args=args)
        said = runtime.call("run", "--bundle", hooks.bundle.save().directory, id).failed(1).err
        assert words in said
        assert ("not found" in said) == (path == "/bin/sh")


@pytest.mark.not_on("runc", reason="has no such annotations")
@pytest.mark.parametrize("verb", ["create", "run"])
def test_files_for_the_output(runtime: Caller, verb: str) -> None:
    """run.oci.hooks.stdout and .stderr: files of the host that the output of all six kinds is appended to."""
    hooks = Hooks(runtime)
    files = {name: hooks.bundle.directory / f"hooks.{name}" for name in ("stdout", "stderr")}
    files["stdout"].write_text("before\n")
    hooks.bundle.config["annotations"] = {f"run.oci.hooks.{name}": str(path) for name, path in files.items()}
    # In the container, and in its image, the same path is another file.
    inside = hooks.bundle.write(str(files["stdout"]), "of the image\n")
    for kind in KINDS:
        hooks.shell(kind, f"echo {kind} out; echo {kind} err >&2")
    bundle = hooks.bundle.save()
    if verb == "run":
        runtime.run(bundle).ok()
    else:
        id = runtime.create(bundle)
        runtime.start(id)
        runtime.finish(id)
    assert files["stdout"].read_text() == "before\n" + "".join(f"{kind} out\n" for kind in KINDS)
    assert files["stderr"].read_text() == "".join(f"{kind} err\n" for kind in KINDS)
    assert inside.read_text() == "of the image\n"


@pytest.mark.not_on("runc", "crun", reason="the one has no such annotations, the other gives the file to the hook")
def test_the_file_for_the_output_is_not_the_hooks(runtime: Caller) -> None:
    """A startContainer hook is the image's: it can add to the file, but neither read nor cut off what is there."""
    hooks = Hooks(runtime)
    file = hooks.bundle.directory / "output"
    file.write_text("secret\n")
    hooks.bundle.config["annotations"] = {"run.oci.hooks.stdout": str(file)}
    hooks.shell("startContainer", "ls -l /proc/self/fd/1; : > /proc/self/fd/1; echo end")
    runtime.run(hooks.bundle.save()).ok()
    text = file.read_text()
    assert text.startswith("secret\n")
    assert " -> pipe:[" in text
    assert text.endswith("end\n")


@pytest.mark.not_on("runc", "crun", reason="the one has no such annotations, the other says less")
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_for_the_output_that_cannot_be_opened(runtime: Caller, kind: str) -> None:
    """It is named, and the program does not run; at the end it is a warning."""
    hooks = Hooks(runtime, "touch /ran").shell(kind, "echo out")
    hooks.bundle.config["annotations"] = {"run.oci.hooks.stderr": "/no/such/file"}
    done = runtime.run(hooks.bundle.save())
    words = "/annotations/run.oci.hooks.stderr: open /no/such/file for what hooks write: no such file or directory"
    assert words in done.err
    assert (done.code == 0) == (kind == "poststop")
    if kind != "poststart":  # which runs beside the program
        assert (hooks.bundle.rootfs / "ran").exists() == (kind == "poststop")
    assert runtime.known_ids() == []
