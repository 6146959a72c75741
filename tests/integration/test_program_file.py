"""Init's program file where the kernel refuses executable memfds."""

from __future__ import annotations

import pytest

from tests.integration import hardened
from tests.integration.caller import Caller


@pytest.mark.skipif(not hardened.SYSCTL.exists(), reason="the kernel has no vm.memfd_noexec")
@pytest.mark.parametrize("options", ["mode=755", "mode=755,noexec"], ids=["a file in the state root", "noexec"])
def test_no_executable_memfds(runtime: Caller, options: str) -> None:
    """run and exec work, also where the state root is noexec, as Debian's /run is."""
    bundle, id = runtime.sleeper(), runtime.new_id()
    before = hardened.SYSCTL.read_text()
    script = f"""
$runtime run --detach --bundle {bundle.directory} {id} < /dev/null > /dev/null
$runtime exec {id} echo hello
$runtime delete --force {id}
"""
    done = hardened.run(runtime, script, options)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    assert hardened.SYSCTL.read_text() == before, "the machine's own has changed"


@pytest.mark.skipif(not hardened.SYSCTL.exists(), reason="the kernel has no vm.memfd_noexec")
@pytest.mark.not_on("runc", "crun", reason="words of ocirun")
def test_what_to_do_without_the_right_to_mount(runtime: Caller) -> None:
    """Where the caller may not mount either, the error names the setting and --root."""
    ids = [{"containerID": 0, "hostID": 0, "size": 1}]
    bundle, id = runtime.bundle({"linux": {"uidMappings": ids, "gidMappings": ids}}), runtime.new_id()
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.save()
    script = f"setpriv --bounding-set -sys_admin --inh-caps -sys_admin $runtime create --bundle {bundle.directory} {id}"
    done = hardened.run(runtime, script, "mode=755,noexec")
    assert done.returncode == 1
    assert "start the init program: operation not permitted; vm.memfd_noexec=2 forbids" in done.stderr
    assert f"give a --root other than {runtime.directory}/hardened, writable and not mounted noexec" in done.stderr


@pytest.mark.parametrize("verb", ["run", "start", "exec"])
@pytest.mark.not_on("runc", "crun", reason="words of ocirun")
def test_why_the_program_was_not_executed(runtime: Caller, verb: str) -> None:
    """Beside what the kernel says, the error tells what is wrong with the file, and what to do."""
    bundle = runtime.sleeper() if verb == "exec" else runtime.bundle({"process": {"args": ["/bin/script"]}})
    script = bundle.rootfs / "bin/script"
    script.write_bytes(b"#!/bin/sh\r\n")
    script.chmod(0o755)
    if verb == "run":
        result = runtime.run(bundle)
    elif verb == "start":
        result = runtime.call("start", runtime.create(bundle))
    else:
        result = runtime.call("exec", runtime.launch(bundle), "/bin/script")
    assert result.code in (1, 127, 255)
    assert (
        "/bin/script: no such file or directory; /bin/script: its interpreter line ends with a carriage" in result.err
    )
    assert "convert its line ends: sed -i" in result.err
