"""What a created container keeps in memory while it waits for `start`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import TREE
from tests.integration.bundle import merge
from tests.integration.caller import Caller

pytestmark = pytest.mark.not_on("runc", "crun", reason="the memory of our own init")

MOST_KIB = 32 if (TREE / "runtime/init").stat().st_size < 200_000 else 64  # with musl, or with glibc


def memory(pid: int) -> dict[str, int]:
    """Name -> KiB, of /proc/PID/status."""
    rows = re.findall(r"^(\w+):\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return {name: int(size) for name, size in rows}


def test_the_plan_is_given_back(runtime: Caller) -> None:
    """No plan is mapped or open, and little memory is the container's own, however long the plan was."""
    mounts = [
        {"destination": f"/mounts/{number}", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]}
        for number in range(200)
    ]
    for change in ({}, {"mounts": mounts}):
        id = runtime.create(runtime.bundle(change))
        pid = runtime.pid(id)
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "ocirun-init" in maps
        assert "ocirun-plan" not in maps
        assert not any("plan" in str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir())
        assert memory(pid)["RssAnon"] <= MOST_KIB, maps


def test_what_is_needed_later_stays(runtime: Caller) -> None:
    """The program, found through PATH, gets long arguments, the environment and HOME; the filter and the hook are there."""
    words = [f"argument-{number}" * 10 for number in range(1000)]
    script = 'echo "$#" "${1000}" $HOME $LONG; cat /hooked; mkdir /refused'
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "cat > /hooked; echo $HOOKED >> /hooked"], "env": ["HOOKED=yes"]}
    change = {
        "process": {"args": ["sh", "-c", script, "sh", *words], "env": ["PATH=/sbin:/bin", f"LONG={'x' * 5000}"]},
        "hooks": {"startContainer": [hook]},
        "linux": {
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
            }
        },
    }
    bundle = runtime.bundle(merge({}, change))
    bundle.config["process"]["env"] = change["process"]["env"]
    bundle.write("/etc/passwd", "other:x:1:1::/nowhere:/bin/sh\nroot:x:0:0::/home/of-root:/bin/sh\n")
    bundle.save()
    id = runtime.create(bundle)
    runtime.start(id)
    first, rest = runtime.finish(id).split("\n", 1)
    assert first == f"1000 {words[-1]} /home/of-root {'x' * 5000}"
    assert '"status"' in rest, "the hook's state"
    assert rest.endswith("yes\n"), "the hook's environment"
    assert "Operation not supported" in runtime.errors(id), "the filter"
