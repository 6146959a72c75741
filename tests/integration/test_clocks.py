"""A time namespace beside a user namespace: the clocks' offsets are written from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller

SECONDS = 100000
OFFSETS = {"monotonic": {"secs": SECONDS}, "boottime": {"secs": 2 * SECONDS, "nanosecs": 5}}
IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
LOOK = "cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime"

pytestmark = pytest.mark.not_on("runc", "crun", reason="these versions know no time namespace")


def with_clocks(bundle: Bundle, **user: str) -> Bundle:
    bundle.linux["namespaces"] += [{"type": "time"}, {"type": "user", **user}]
    bundle.linux["timeOffsets"] = OFFSETS
    if not user:
        bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    return bundle.save()


def check(out: str) -> Any:
    words = out.split()
    assert words[:6] == ["monotonic", str(SECONDS), "0", "boottime", str(2 * SECONDS), "5"]
    assert abs(int(words[6]) - 2 * SECONDS - float(Path("/proc/uptime").read_text().split()[0])) < 30


@pytest.mark.proves("/linux/timeOffsets")
@pytest.mark.proves_operation("time_offsets")
@pytest.mark.kernel
def test_new_user_namespace(runtime: Caller) -> None:
    """timeOffsets move the clocks of a container with a user namespace."""
    check(runtime.run(with_clocks(runtime.shell(LOOK))).ok().out)


@pytest.mark.kernel
@pytest.mark.parametrize("user", [False, True], ids=["root", "user namespace"])
@pytest.mark.parametrize("flags", [(), ("--no-pivot",)], ids=["pivot", "no pivot"])
def test_exec(runtime: Caller, user: bool, flags: tuple[str, ...]) -> None:
    """A program beside the first one has its clocks; with --no-pivot as well."""
    bundle = runtime.sleeper({"linux": {"timeOffsets": OFFSETS}})
    bundle.linux["namespaces"].append({"type": "time"})
    if user:
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    check(runtime.exec(runtime.launch(bundle.save(), *flags), LOOK).ok().out)


def test_joined_user_namespace(runtime: Caller) -> None:
    """timeOffsets move the clocks of a container that joins another's user namespace."""
    bundle = runtime.sleeper()
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    pid = runtime.pid(runtime.launch(bundle.save()))
    check(runtime.run(with_clocks(runtime.shell(LOOK), path=f"/proc/{pid}/ns/user")).ok().out)
