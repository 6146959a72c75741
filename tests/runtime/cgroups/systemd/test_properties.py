"""/linux/resources as properties of a unit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cgroups.systemd import scope
from runtime.cgroups.systemd.properties import INFINITY, accounting, device_properties, properties

NOW = 257


def v2(resources: dict[str, Any], version: int = NOW, user: bool = False) -> dict[str, Any]:
    return {name: value for name, (_, value) in properties(resources, True, version, user)}


def v1(resources: dict[str, Any], version: int = NOW) -> dict[str, Any]:
    return {name: value for name, (_, value) in properties(resources, False, version)}


@pytest.mark.parametrize(
    ("resources", "new", "old"),
    [
        ({}, {}, {}),
        ({"memory": {"limit": 4096}}, {"MemoryMax": 4096}, {"MemoryLimit": 4096}),
        ({"memory": {"limit": 4096, "swap": 6144}}, {"MemoryMax": 4096, "MemorySwapMax": 2048}, {"MemoryLimit": 4096}),
        ({"memory": {"limit": 4096, "swap": 4096}}, {"MemoryMax": 4096, "MemorySwapMax": 0}, {"MemoryLimit": 4096}),
        ({"memory": {"limit": -1}}, {"MemoryMax": INFINITY, "MemorySwapMax": INFINITY}, {"MemoryLimit": INFINITY}),
        ({"memory": {"reservation": 8192}}, {"MemoryLow": 8192}, {}),
        ({"cpu": {"shares": 1024}}, {"CPUWeight": 39}, {"CPUShares": 1024}),
        ({"cpu": {"shares": 1}}, {"CPUWeight": 1}, {"CPUShares": 2}),
        ({"cpu": {"idle": 1, "shares": 1024}}, {"CPUWeight": 0}, {"CPUShares": 1024}),
        ({"cpu": {"idle": 0}}, {"CPUWeight": INFINITY}, {}),
        ({"cpu": {"quota": 50000}}, {"CPUQuotaPerSecUSec": 500000}, {"CPUQuotaPerSecUSec": 500000}),
        (
            {"cpu": {"quota": 1001, "period": 10000}},
            {"CPUQuotaPeriodUSec": 10000, "CPUQuotaPerSecUSec": 110000},
            {"CPUQuotaPeriodUSec": 10000, "CPUQuotaPerSecUSec": 110000},
        ),
        ({"cpu": {"quota": -1}}, {"CPUQuotaPerSecUSec": INFINITY}, {"CPUQuotaPerSecUSec": INFINITY}),
        ({"cpu": {"cpus": "0-2,9", "mems": "0"}}, {"AllowedCPUs": b"\x07\x02", "AllowedMemoryNodes": b"\x01"}, {}),
        ({"cpu": {"cpus": "x"}}, {}, {}),
        ({"cpu": {"cpus": "0-99999999999"}}, {}, {}),
        ({"pids": {"limit": 5}}, {"TasksMax": 5}, {"TasksMax": 5}),
        ({"pids": {"limit": 0}}, {"TasksMax": 1}, {"TasksMax": 1}),
        ({"pids": {"limit": -1}}, {"TasksMax": INFINITY}, {"TasksMax": INFINITY}),
        ({"blockIO": {"weight": 1000}}, {"IOWeight": 10000}, {"BlockIOWeight": 1000}),
        (
            {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}},
            {"IODeviceWeight": [("/dev/block/8:0", 1)]},
            {"BlockIODeviceWeight": [("/dev/block/8:0", 10)]},
        ),
        (
            {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 7}]}},
            {"IOReadBandwidthMax": [("/dev/block/8:0", 7)]},
            {"BlockIOReadBandwidth": [("/dev/block/8:0", 7)]},
        ),
        (
            {"blockIO": {"throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 7}]}},
            {"IOWriteIOPSMax": [("/dev/block/8:0", 7)]},
            {},
        ),
        ({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}], "network": {"classID": 1}}, {}, {}),
    ],
)
def test_resources(resources: dict[str, Any], new: dict[str, Any], old: dict[str, Any]) -> None:
    """What a systemd with cgroup v2, and one with v1, is told; nothing that it has no property for."""
    assert v2(resources) == new
    assert v1(resources) == old


@pytest.mark.parametrize(
    ("file", "value", "expected"),
    [
        ("memory.max", "64M", {"MemoryMax": 64 << 20}),
        ("memory.high", "max", {"MemoryHigh": INFINITY}),
        ("memory.min", "4096", {"MemoryMin": 4096}),
        ("memory.max", "much", {}),
        ("pids.max", "0", {"TasksMax": 1}),
        ("cpu.max", "max", {"CPUQuotaPerSecUSec": INFINITY}),
        ("cpu.max", "20000 100000", {"CPUQuotaPeriodUSec": 100000, "CPUQuotaPerSecUSec": 200000}),
        ("cpu.max", "0", {}),
        ("cpu.max", "", {}),
        ("cpu.max", "5 max", {}),
        ("cpu.weight", "33", {"CPUWeight": 33}),
        ("cpu.idle", "1", {"CPUWeight": 0}),
        ("cpuset.cpus", "1", {"AllowedCPUs": b"\x02"}),
        ("cpuset.mems", "", {}),
        ("io.weight", "default 5", {"IOWeight": 5}),
        ("io.weight", "8:0 5", {"IODeviceWeight": [("/dev/block/8:0", 5)]}),
        ("io.weight", "", {}),
        (
            "io.max",
            "8:0 rbps=1 wiops=max",
            {"IOReadBandwidthMax": [("/dev/block/8:0", 1)], "IOWriteIOPSMax": [("/dev/block/8:0", INFINITY)]},
        ),
        ("io.max", "8 rbps=1\n\n", {}),
        ("hugetlb.2MB.max", "5", {}),
        ("memory.oom.group", "1", {}),
    ],
)
def test_unified(file: str, value: str, expected: dict[str, Any]) -> None:
    """Files that a property exists for; what the kernel would refuse is left to it."""
    assert v2({"unified": {file: value}}) == expected
    assert v1({"unified": {file: value}}) == {}


def test_unified_wins() -> None:
    """It comes last, as its file is written last."""
    assert v2({"unified": {"memory.max": "8192"}, "memory": {"limit": 4096}})["MemoryMax"] == 8192


def test_the_versions_limits() -> None:
    """A property is told from the version on that has it."""
    resources = {"cpu": {"cpus": "0", "quota": 5000, "period": 10000, "idle": 1}, "unified": {"memory.zswap.max": "0"}}
    assert set(v2(resources, 239)) == {"CPUQuotaPerSecUSec"}
    assert set(v2(resources, 243)) == {"CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec"}
    assert set(v2(resources, 244)) == {"CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "AllowedCPUs"}
    assert set(v2(resources, 253)) == {
        "CPUQuotaPerSecUSec",
        "CPUQuotaPeriodUSec",
        "AllowedCPUs",
        "CPUWeight",
        "MemoryZSwapMax",
    }


def test_accounting() -> None:
    """Of every controller that a container is counted by."""
    assert {name for name, _ in accounting(True)} == {
        "CPUAccounting",
        "MemoryAccounting",
        "TasksAccounting",
        "IOAccounting",
    }
    assert "BlockIOAccounting" in dict(accounting(False))


DEFAULT = [
    ("char-*", "m"),
    ("block-*", "m"),
    *[(f"/dev/char/1:{minor}", "rwm") for minor in (3, 5, 7, 8, 9)],
    *[(f"/dev/char/5:{minor}", "rwm") for minor in (0, 1, 2)],
    ("char-136", "rwm"),
    ("/dev/char/10:200", "rwm"),
]


def allowed(*rules: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """Policy and list."""
    policy, empty, *more = device_properties(list(rules))
    assert policy[0] == "DevicePolicy"
    assert empty == ("DeviceAllow", ("a(ss)", []))
    return policy[1][1], more[0][1][1] if more else []


def rule(allow: bool, kind: str, major: int | None, minor: int | None, access: str) -> dict[str, Any]:
    return {"allow": allow, "type": kind, "major": major, "minor": minor, "access": access}


def test_devices() -> None:
    """A list of what is allowed, with the devices that every container has; everything, where a rule says so."""
    nothing = rule(False, "a", None, None, "rwm")
    assert allowed() == allowed(nothing) == ("strict", DEFAULT)
    assert allowed(nothing, rule(True, "b", 8, 0, "r")) == ("strict", [("/dev/block/8:0", "r"), *DEFAULT])
    assert allowed(nothing, rule(True, "b", 8, None, "rw")) == ("strict", [("block-8", "rw"), *DEFAULT])
    assert ("char-*", "rm") in allowed(nothing, rule(True, "c", None, 5, "r"))[1]
    assert allowed(rule(True, "a", None, None, "rwm")) == ("auto", [])
    assert v2({"devices": [nothing]}, user=True) == {}


def test_a_rule_that_takes_back() -> None:
    """As far as the list can say it, and never more."""
    one = rule(True, "b", 8, 0, "rw")
    assert ("/dev/block/8:0", "r") in allowed(one, rule(False, "b", 8, None, "w"))[1]
    assert not [row for row in allowed(one, rule(False, "b", 8, 0, "rwm"))[1] if "8:0" in row[0]]
    assert ("block-8", "rw") in allowed(rule(True, "b", 8, None, "rw"), rule(False, "b", 8, 0, "rw"))[1]
    assert allowed(rule(True, "a", None, None, "rwm"), one, rule(False, "b", 8, 0, "rw")) == ("auto", [])


NUMBER = st.none() | st.integers(0, 3)
RULES = st.lists(
    st.builds(
        rule, st.booleans(), st.sampled_from("abc"), NUMBER, NUMBER, st.sampled_from(["r", "w", "m", "rw", "rwm"])
    ),
    max_size=6,
)


def named(text: str, kind: str, major: int, minor: int) -> bool:
    word = "block" if kind == "b" else "char"
    return text in (f"{word}-*", f"{word}-{major}", f"/dev/{word}/{major}:{minor}")


@given(RULES, st.sampled_from("bc"), st.integers(0, 3), st.integers(0, 3), st.sampled_from(["r", "w", "m", "rw"]))
def test_systemd_is_never_stricter(rules: list[dict[str, Any]], kind: str, major: int, minor: int, access: str) -> None:
    """What the config allows passes by one row of the list; the last rule that matches decides, for each access.

    The kernel asks to make a node, or to open it, never both at once.
    """
    decided = dict.fromkeys(access, False)
    for one in rules:
        if one["type"] in ("a", kind) and one["major"] in (None, major) and one["minor"] in (None, minor):
            decided |= dict.fromkeys(set(access) & set(one["access"]), one["allow"])
    policy, rows = allowed(*rules)
    if all(decided.values()) and policy == "strict":
        assert any(named(text, kind, major, minor) and set(access) <= set(letters) for text, letters in rows)


@given(
    st.dictionaries(
        st.sampled_from(
            ["cpu.max", "io.max", "io.weight", "memory.max", "cpuset.cpus", "pids.max", "cpu.idle", "cpu.weight"]
        ),
        st.text("0123456789:-,= \nkKmaxrbps", max_size=20),
    )
)
def test_any_unified_value(entries: dict[str, str]) -> None:
    """None makes an exception."""
    for _, (signature, value) in properties({"unified": entries}, True, NOW):
        assert signature == "ay" or value is not None


def test_what_sets_properties_back() -> None:
    """Each once; a list is emptied first, an empty set of cpus is one."""
    devices = [("/dev/null", "r")]
    had: dict[str, Any] = {"MemoryMax": ("t", 5), "DeviceAllow": ("a(ss)", devices), "AllowedCPUs": ("ay", b"")}
    new: list[Any] = [("MemoryMax", ("t", 9)), ("DeviceAllow", ("a(ss)", [])), ("DeviceAllow", ("a(ss)", [("a", "r")]))]
    new += [("AllowedCPUs", ("ay", b"\1")), ("New", ("t", 2))]
    assert scope.former(new, had) == [
        ("MemoryMax", ("t", 5)),
        ("DeviceAllow", ("a(ss)", [])),
        ("DeviceAllow", ("a(ss)", devices)),
        ("AllowedCPUs", ("ay", b"")),
    ]


@pytest.mark.parametrize(
    ("values", "late"), [([1], True), ([0, 1], True), ([1, 5], False), ([5, 1], True), ([INFINITY], False), ([], False)]
)
def test_a_late_limit(values: list[int], late: bool) -> None:
    """The last TasksMax counts, of the config's and the annotations'; init could not fork under one of 1."""
    given: list[Any] = [("MemoryMax", ("t", 1)), *(("TasksMax", ("t", value)) for value in values)]
    assert scope.late(given) == ([("TasksMax", ("t", 1))] if late else [])
