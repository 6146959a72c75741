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
