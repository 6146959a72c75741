"""What a program must not have of who called the runtime, or of the runtime: files, descriptors, a keyring."""

from __future__ import annotations

import os

import pytest

from tests.integration.caller import wait_for
from tests.integration.refusal import refuse, refuse_keyctl
from tests.security.attack import Target, attack

CLOSE_RANGE, CLOEXEC = 436, 4  # CLOSE_RANGE_CLOEXEC


@attack(
    "own find",
    "standard input is a file the caller opened for reading: it is chowned to the program's user, who writes to it",
    stops="a file, directory or device that is open read-only keeps its owner",
    bites=("runc", "crun"),
)
def test_write_to_standard_input(target: Target) -> None:
    """The file is as it was, and the program has read it. (`run` of runc in the foreground gives the program a pipe.)"""
    file = target.caller.directory / "file"
    file.write_text("secret\n")
    file.chmod(0o600)
    bundle = target.caller.shell("cat; echo changed > /proc/self/fd/0; echo end")
    bundle.process["user"] = {"uid": 1234, "gid": 1234}
    bundle.process["capabilities"] = {}
    with open(file, "rb") as stdin:
        id = target.caller.launch(bundle.save(), stdin=stdin.fileno())
    wait_for(lambda: "end" in target.caller.output(id), "the end of the program")
    target.judge((file.read_text(), file.stat().st_uid) != ("secret\n", 0), file.read_text())
    assert "secret" in target.caller.output(id)


@attack(
    "own find",
    "the kernel refuses to close the caller's descriptors: the program gets one of the runtime's",
    stops="init fails before it does anything else",
)
def test_descriptors_that_stay_open(target: Target) -> None:
    """The program does not run. (Both peers mark one descriptor after the other then.)"""
    bundle = target.caller.shell("ls /proc/$$/fd; true")
    result = target.caller.run(bundle, preexec_fn=lambda: refuse(CLOSE_RANGE, (2, CLOEXEC)))
    target.judge(result.out.split() not in ([], ["0", "1", "2"]), result.out)
    assert "operation not permitted" in result.failed(1).err


@attack(
    "the kind of CVE-2024-21626",
    "`exec` leaves the program a host directory that the caller had open, and its own cgroup descriptors",
    stops="every descriptor that was not asked for is closed, those of cgroups before the switch to the program's user",
)
def test_descriptors_of_exec(target: Target) -> None:
    """The program has its standard streams alone, and no working directory out of a descriptor. (Both peers withstand.)"""
    caller = target.caller
    id = caller.launch(caller.sleeper())
    directory = os.open(caller.directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        look = "ls /proc/$$/fd; ls /proc/self/fd/*/ | grep -E 'state|cgroup.procs'; true"
        out = caller.exec(id, look, pass_fds=(directory,)).ok().out
        target.judge(out.split() != ["0", "1", "2"], out)
        result = caller.exec(id, ["ls"], "--cwd", f"/proc/self/fd/{directory}", pass_fds=(directory,))
        target.judge("state" in result.out, result.out)
        result.failed()
    finally:
        os.close(directory)


UNIFIED = "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs"


@attack(
    "own find",
    "a process that may inspect the init of a new container finds its cgroup there, open on the host's tree",
    stops="that descriptor is closed first of all",
)
@pytest.mark.skipif(not any(map(os.path.exists, UNIFIED)), reason="the host has no cgroup v2")
def test_descriptor_of_the_cgroup(target: Target) -> None:
    """A hook, which init waits for, sees no descriptor of a cgroup. (The peers move a process by its pid.)"""
    bundle = target.caller.bundle()
    found = bundle.directory / "found"
    words = f"ls -l /proc/$(sed 's/.*\"pid\":[ ]*\\([0-9]*\\).*/\\1/')/fd > {found}"
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", words]}]}
    target.caller.create(bundle.save())
    text = found.read_text()
    assert "socket:" in text
    target.judge("cgroup" in text, text)


@attack(
    "own find",
    "the kernel refuses to create a session keyring: the program has the caller's, with its keys",
    stops="that is an error, unless --no-new-keyring asks for it",
)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter has the number of keyctl on x86-64")
def test_keyring_of_the_caller(target: Target) -> None:
    """The program does not run, and the error says why. (Both peers withstand.)"""
    result = target.caller.run(target.caller.shell("echo ran"), preexec_fn=refuse_keyctl)
    target.judge("ran" in result.out, result.err)
    if target.ours:
        assert "--no-new-keyring" in result.failed(1).err
