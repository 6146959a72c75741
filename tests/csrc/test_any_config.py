"""Any config that the schema allows, on any host: a refusal with its place, or a plan that init's own decoder reads back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oci_spec import load_checked
from oci_spec.shape import verify
from runtime.cgroups import layout, resources
from runtime.errors import OcirunError
from runtime.lifecycle.planning import placement, program_of
from runtime.plan import explain, join, ops, plan, rootless
from runtime.plan.encode import encode
from tests.csrc.decoder import Decoded, Decoder
from tests.runtime.cgroups import hosts
from tests.runtime.plan import machines, schema_configs

CGROUPS = {
    "v1": hosts.v1(),
    "hybrid": hosts.hybrid(),
    "v2": hosts.v2(own="/system.slice/manager.service"),
    "bare": hosts.v2("pids"),
}
OWN_IDS = [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 65536}]
# Who calls: root, a user, root of a user namespace.
CALLERS: dict[str, dict[str, Any]] = {
    "root": {},
    "user": {"privileged": False, "capable": False, "deny_setgroups": True, "capabilities": ~0},
    "inside": {"privileged": False, "in_user_namespace": True, "own_uid_map": OWN_IDS, "own_gid_map": OWN_IDS},
}
JOINED = (0x20000, 0x20000 | 0x20000000, 0x10000000 | 0x20000 | 0x20000000 | 0x80)
SETTINGS = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    return Decoder(tmp_path_factory.mktemp("decoder"))


def facts_of(spec: dict[str, Any], cgroup: str, caller: str) -> dict[str, Any]:
    places = layout.locations(spec["linux"].get("cgroupsPath"), machines.ID, CGROUPS[cgroup])
    changes = {"cgroup": CGROUPS[cgroup], "cgroup_locations": places, "placement": placement(places)}
    return machines.facts(spec, "v2", **{**changes, **CALLERS[caller]})


def wire(value: Any) -> bytes | list[bytes] | None:
    """A string as init should find it."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return [part.encode("utf-8", "surrogateescape") for part in value] if isinstance(value, list | tuple) else value


def sent(operation: ops.Operation) -> Decoded:
    code, side, _, numbers, strings = operation
    return code, side, tuple(number % 2**64 for number in numbers), tuple(wire(value) for value in strings)


def has_place(document: Any, pointer: str) -> bool:
    """Whether the pointer is of something in the document, or of a property that is missing from something in it."""
    names = [name.replace("~1", "/").replace("~0", "~") for name in pointer.split("/")[1:]]
    for index, name in enumerate(names):
        inside = isinstance(document, dict) and name in document
        if not inside and not (isinstance(document, list) and name.isdigit() and int(name) < len(document)):
            return isinstance(document, dict) and index == len(names) - 1
        document = document[name] if inside else document[int(name)]
    return True


def agree(decoder: Decoder, operations: list[ops.Operation]) -> None:
    """Init reads what was planned, and each operation has its sentence."""
    assert decoder.read(encode(operations), operations) == [sent(operation) for operation in operations]
    assert all(explain.sentence(operation) for operation in operations)


def agree_or_refuse(decoder: Decoder, document: Any, make: Callable[[], list[ops.Operation]]) -> None:
    try:
        operations = make()
    except OcirunError as error:
        refusal = error
    else:
        agree(decoder, operations)
        assert machines.names(operations)[-1] == "exec"
        return
    assert refusal.pointer is not None, refusal
    assert has_place(document, refusal.pointer), refusal
    assert "\n" not in str(refusal)


def planned(spec: dict[str, Any], cgroup: str, caller: str) -> list[ops.Operation]:
    facts = facts_of(spec, cgroup, caller)
    if not facts["privileged"]:
        rootless.check(spec, facts)
    options = {"id": machines.ID, "wait_start": True, "preserve_fds": 0, "seccomp": program_of(spec)}
    operations, warnings = plan(spec, facts, options)
    assert all(has_place(spec, pointer) and "\n" not in words for pointer, words in warnings), warnings
    resources.writes(spec["linux"].get("resources"), facts["cgroup_locations"])
    return operations


@SETTINGS
@given(schema_configs.configs(), st.sampled_from(sorted(CGROUPS)), st.sampled_from(sorted(CALLERS)))
def test_any_config(decoder: Decoder, config: dict[str, Any], cgroup: str, caller: str) -> None:
    """Schema → config → plan → bytes → csrc/wire.c: the same operations, or an error that names a place of the config."""
    assert verify(config)
    spec, problems = load_checked(json.dumps(config).encode())
    assert all(has_place(config, problem.pointer) for problem in problems), problems
    if any(problem.severity == "error" for problem in problems):
        fitting = schema_configs.repaired(config)
        if fitting is None:
            return
        spec, problems = load_checked(json.dumps(fitting).encode())
        assert not [problem for problem in problems if problem.severity == "error"]
    agree_or_refuse(decoder, spec, lambda: planned(spec, cgroup, caller))


@SETTINGS
@given(schema_configs.processes(), st.sampled_from(sorted(CALLERS)), st.sampled_from(JOINED))
def test_any_process(decoder: Decoder, process: dict[str, Any], caller: str, joined: int) -> None:
    """The same for a document of `exec --process`, whose places count from its own root."""
    assert verify(process, "process")
    fitting = schema_configs.repaired(process, "process")
    if fitting is None or not fitting.get("args"):
        return
    document, problems = load_checked(json.dumps(fitting).encode(), "process")
    assert not [problem for problem in problems if problem.severity == "error"]
    facts = {"privileged": True, "capabilities": machines.ALL_CAPABILITIES, "deny_setgroups": False}
    facts |= {"placement": ["/sys/fs/cgroup/one/cgroup.procs"], "join": joined, **CALLERS[caller]}
    options = {"id": machines.ID, "no_new_keyring": False, "preserve_fds": 2, "linux": {}, "seccomp": None}
    agree_or_refuse(decoder, {"process": document}, lambda: join.plan(document, facts, options)[0])


def test_a_difference_is_seen(decoder: Decoder) -> None:
    """The comparison bites: another number, a list that is cut, and bytes that init refuses."""
    operations = [ops.umask(0o22, None), ops.program(["a", "", "b"], [], "/bin", 0, False)]
    agree(decoder, operations)
    assert decoder.read(encode(operations), operations) != [sent(ops.umask(0o23, None)), sent(operations[1])]
    cut = [operations[0], ops.program(["a", "\0b"], [], "/bin", 0, False)]
    assert decoder.read(encode(cut), cut) != [sent(operation) for operation in cut]
    with pytest.raises(OSError, match="Invalid argument"):
        decoder.read(encode(operations)[:-1], operations)
