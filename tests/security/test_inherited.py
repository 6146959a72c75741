"""What a program must not have of who called the runtime, or of the runtime: files, descriptors, a keyring."""

from __future__ import annotations

from tests.integration.caller import wait_for
from tests.integration.refusal import refuse
from tests.security.attack import Target, attack

CLOSE_RANGE, CLOEXEC = 436, 4  # CLOSE_RANGE_CLOEXEC


@attack(
    "own find",
    "standard input is a file that the caller opened for reading: it is given to the program's user, who writes to it",
    stops="a file, directory or device that is open for reading alone keeps its owner",
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
    "the kernel refuses to close the caller's descriptors: the program has one of the runtime's",
    stops="init ends with an error before it does anything else",
)
def test_descriptors_that_stay_open(target: Target) -> None:
    """The program does not run. (Both peers mark one descriptor after the other then.)"""
    bundle = target.caller.shell("ls /proc/$$/fd; true")
    result = target.caller.run(bundle, preexec_fn=lambda: refuse(CLOSE_RANGE, (2, CLOEXEC)))
    target.judge(result.out.split() not in ([], ["0", "1", "2"]), result.out)
    assert "operation not permitted" in result.failed(1).err
