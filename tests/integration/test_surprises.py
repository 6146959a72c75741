"""What `validate` says will surprise happens in a container."""

import json
from typing import Any

import pytest

import oci_spec
from runtime.plan.capabilities import BITS
from tests.integration.caller import Caller

KILL, RAW, BIND = "CAP_KILL", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"


def permitted(runtime: Caller, process: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The capabilities that the program has at the end, and the rules that warn."""
    bundle = runtime.shell("grep CapPrm /proc/self/status", {"process": process})
    text = (bundle.directory / "config.json").read_bytes()
    rules = [one.rule for one in oci_spec.check(text) if one.rule.startswith("capabilities_")]
    mask = int(runtime.run(bundle).ok().out.split()[1], 16)
    return [name for name in (KILL, RAW, BIND) if mask & BITS[name]], rules


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("no_new_privileges", [False, True])
@pytest.mark.parametrize("bounding", [[KILL], [KILL, RAW, BIND]])
@pytest.mark.parametrize("ambient", [[], [KILL]])
def test_capabilities_at_exec(
    runtime: Caller, uid: int, no_new_privileges: bool, bounding: list[str], ambient: list[str]
) -> None:
    """A rule warns of lost or gained capabilities exactly if the program has others than those that are permitted."""
    given = [KILL, RAW]
    sets = {"bounding": bounding, "permitted": given, "effective": given, "inheritable": ambient, "ambient": ambient}
    process = {"user": {"uid": uid, "gid": uid}, "noNewPrivileges": no_new_privileges, "capabilities": sets}
    had, rules = permitted(runtime, json.loads(json.dumps(process)))
    lost, gained = [name for name in given if name not in had], [name for name in had if name not in given]
    assert ("capabilities_lost" in rules, "capabilities_gained" in rules) == (bool(lost), bool(gained)), had


def test_umask_in_decimal(runtime: Caller) -> None:
    """A umask of 22 is 0026, as the warning says."""
    bundle = runtime.shell("umask", {"process": {"user": {"uid": 0, "gid": 0, "umask": 22}}})
    (warning,) = [one for one in oci_spec.check((bundle.directory / "config.json").read_bytes()) if "umask" in one.rule]
    assert runtime.run(bundle).ok().out.strip() in warning.message
