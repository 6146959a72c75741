"""What undoes a write, and how one list of device exceptions becomes another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cgroups.update import former, transition
from runtime.commands.events import duration
from runtime.commands.update import number
from runtime.lifecycle.update import completed, merged


@pytest.mark.parametrize(
    ("file", "value", "text", "back"),
    [
        ("pids.max", "5", "max\n", "max"),
        ("cpuset.cpus", "0", "\n", "\n"),
        ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "0"),
        ("blkio.throttle.read_bps_device", "8:0 5", "8:16 7\n", "8:0 0"),
        ("blkio.throttle.read_bps_device", "8:0 5", "8:16 7\n8:0 9\n", "8:0 9"),
        ("io.max", "8:0 rbps=5", "", "8:0 rbps=max wbps=max riops=max wiops=max"),
        (
            "io.max",
            "8:0 rbps=5",
            "8:0 rbps=9 wbps=max riops=max wiops=max\n",
            "8:0 rbps=9 wbps=max riops=max wiops=max",
        ),
        ("io.weight", "8:0 50", "default 100\n", "8:0 default"),
        ("io.weight", "50", "default 100\n8:0 20\n", "100"),
        ("cpu.max", "20000 50000", "max 100000\n", "max 100000"),
        ("net_prio.ifpriomap", "lo 3", "lo 0\neth0 1\n", "lo 0"),
        ("rdma.max", "mlx hca_handle=2", "mlx hca_handle=max hca_object=max\n", "mlx hca_handle=max hca_object=max"),
    ],
)
def test_former(file: str, value: str, text: str, back: str):
    """The text that says what the file said before."""
    assert former(file, value, text) == back


ACCESS = st.sets(st.sampled_from("rwm"), min_size=1).map(lambda letters: "".join(sorted(letters)))
EXCEPTIONS = st.dictionaries(st.sampled_from(["c 1:3", "c 1:5", "b *:*", "c 136:*"]), ACCESS)


@given(old=EXCEPTIONS, new=EXCEPTIONS)
def test_transition(old, new):
    """The kernel's arithmetic on the steps gives the new list, and at no step less than both lists share."""
    state = {name: set(access) for name, access in old.items()}
    for file, value in transition(old, new):
        name, _, access = value.rpartition(" ")
        if file == "devices.allow":
            state.setdefault(name, set()).update(access)
        else:
            state[name] -= set(access)
        for kept in old.keys() & new.keys():
            assert state[kept] >= set(old[kept]) & set(new[kept])
    assert {name: access for name, access in state.items() if access} == {k: set(v) for k, v in new.items()}


def test_merged_and_completed():
    """An update changes the properties that it names; a value that needs a partner gets the present one."""
    current = {"memory": {"limit": 10, "swap": 20}, "cpu": {"period": 5}, "devices": [1]}
    given = {"memory": {"swap": 30}, "cpu": {"quota": 7}, "devices": [2]}
    assert merged(current, given) == {
        "memory": {"limit": 10, "swap": 30}, "cpu": {"period": 5, "quota": 7}, "devices": [2],
    }  # fmt: skip
    assert completed(given, current) == {
        "memory": {"limit": 10, "swap": 30}, "cpu": {"period": 5, "quota": 7}, "devices": [2],
    }  # fmt: skip


def test_numbers():
    """Units of 1024, parts of them, and -1."""
    texts = ["1", "-1", "2k", "1.5m", "3GB", "1GiB", "0.5t"]
    assert [number(text, "--memory", True) for text in texts] == [1, -1, 2048, 1572864, 3 << 30, 1 << 30, 1 << 39]


def test_durations():
    """Units that can be joined; a bare number is seconds."""
    assert [duration(text) for text in ("5", "5s", "1m30s", "250ms", "0.5h")] == [5, 5, 90, 0.25, 1800]
