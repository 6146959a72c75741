"""update: limits of a running container, by what they do, and what is left of a refused one."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import FORKS, REFUSED, TAKE, Counters, on_v1, value


@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.cgroups
def test_pids(runtime: Caller) -> None:
    """update --pids-limit: forks that worked before are refused, and work again once the limit is removed."""
    # Not a shell's loop: it ends where its next fork is refused.
    id = runtime.launch(runtime.shell("exec sleep 100"))
    assert REFUSED not in runtime.exec(id, ["sh", "-c", FORKS]).out
    runtime.call("update", "--pids-limit", "4", id).ok()
    assert REFUSED in runtime.exec(id, ["sh", "-c", FORKS]).out
    runtime.call("update", "--pids-limit=-1", id).ok()
    assert REFUSED not in runtime.exec(id, ["sh", "-c", FORKS]).out


@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.cgroups
def test_memory(runtime: Caller) -> None:
    """update --memory --memory-swap: a process that fitted is killed under the new limit, and fits again under a higher one."""
    limit = {"memory": {"limit": 200 << 20, "swap": 200 << 20}}
    # Not a shell's loop: its next fork may fail while the memory is full.
    id = runtime.launch(runtime.shell("exec sleep 100", {"linux": {"resources": limit}}))
    assert runtime.exec(id, TAKE.format(60000000)).out == "60000000\n"
    runtime.call("update", "--memory", "24m", "--memory-swap", "24M", id).ok()
    assert runtime.exec(id, TAKE.format(60000000)).out != "60000000\n"
    runtime.call("update", "--memory", "0.5g", "--memory-swap", "512m", id).ok()
    assert value(runtime, id, "memory", "memory.limit_in_bytes", "memory.max") == str(512 << 20)
    assert runtime.exec(id, TAKE.format(60000000)).out == "60000000\n"


@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.cgroups
def test_a_document(runtime: Caller, tmp_path: Path) -> None:
    """update --resources: takes a /linux/resources document from a file or standard input; period and quota apply together."""
    id = runtime.launch(runtime.sleeper())
    file = tmp_path / "resources.json"
    file.write_text(json.dumps({"cpu": {"quota": 20000, "period": 50000, "shares": 512}}))
    runtime.call("update", "--resources", file, id).ok()
    cpu = value(runtime, id, "cpu", "cpu.cfs_quota_us", "cpu.max")
    assert cpu in ("20000", "20000 50000")
    runtime.call("update", "-r", "-", id, stdin=json.dumps({"cpu": {"quota": 10000}})).ok()
    assert value(runtime, id, "cpu", "cpu.cfs_quota_us", "cpu.max") in ("10000", "10000 50000")


@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.cgroups
@pytest.mark.not_on("runc", "crun", reason="what was written before the refusal stays")
def test_a_refusal_changes_nothing(runtime: Caller) -> None:
    """update: if one limit is refused, those before it are restored."""
    id = runtime.launch(runtime.sleeper({"linux": {"resources": {"cpu": {"shares": 700}, "pids": {"limit": 50}}}}))
    before = value(runtime, id, "cpu", "cpu.shares", "cpu.weight")
    error = runtime.call("update", "--cpu-share", "900", "--cpuset-cpus", "4000", "--pids-limit", "9", id).failed(1).err
    assert "/cpu/cpus" in error
    assert value(runtime, id, "cpu", "cpu.shares", "cpu.weight") == before
    assert value(runtime, id, "pids", "pids.max", "pids.max") == "50"


@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.cgroups
@pytest.mark.not_on("runc", reason="does not change device rules")
def test_devices(runtime: Caller) -> None:
    """update of devices: kmsg opens only after an update that allows it, and not after one that does not."""
    device = {"path": "/dev/target", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}
    id = runtime.launch(runtime.sleeper({"linux": {"devices": [device]}}))
    look = ["sh", "-c", "(: >/dev/target) 2>/dev/null && echo opened; echo ok > /dev/null && echo null"]
    assert runtime.exec(id, look).out == "null\n"
    deny = {"allow": False, "access": "rwm"}
    allow = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "w"}
    runtime.call("update", "-r", "-", id, stdin=json.dumps({"devices": [deny, allow]})).ok()
    assert runtime.exec(id, look).out == "opened\nnull\n"
    runtime.call("update", "-r", "-", id, stdin=json.dumps({"devices": [deny]})).ok()
    assert runtime.exec(id, look).out == "null\n"


@pytest.mark.not_on("runc", "crun", reason="words of ocirun")
def test_check_before_update(runtime: Caller) -> None:
    """With checkBeforeUpdate in the document, a limit below what is used is refused."""
    id = runtime.launch(runtime.shell("dd if=/dev/zero of=/dev/shm/f bs=1M count=8 2>/dev/null; echo up; sleep 100"))
    wait_for(lambda: "up" in runtime.output(id), "the file in memory")
    document = {"memory": {"limit": 4 << 20, "checkBeforeUpdate": True}}
    assert "more than 4194304" in runtime.call("update", "-r", "-", id, stdin=json.dumps(document)).failed(1).err


@pytest.mark.proves("/linux/resources/memory/checkBeforeUpdate")
@pytest.mark.not_on("runc", "crun", reason="words of ocirun")
def test_check_before_update_of_the_config(runtime: Caller) -> None:
    """With checkBeforeUpdate in the config, each update to less than is used is refused."""
    change = {"linux": {"resources": {"memory": {"limit": 200 << 20, "checkBeforeUpdate": True}}}}
    script = "dd if=/dev/zero of=/dev/shm/f bs=1M count=8 2>/dev/null; echo up; sleep 100"
    id = runtime.launch(runtime.shell(script, change))
    wait_for(lambda: "up" in runtime.output(id), "the file in memory")
    assert "more than 4194304" in runtime.call("update", "--memory", "4m", id).failed(1).err


@pytest.mark.parametrize(
    ("words", "document", "said"),
    [
        (["--memory", "12x"], "", "--memory '12x'"),
        (["--cpu-share", "1k"], "", "--cpu-share '1k'"),
        ([], "", "needs a limit"),
        (["-r", "-"], "{", "line 1: "),
        (["-r", "-"], '{}}, "process": {}', "line 1: "),
        (["-r", "-"], "7", "resources: "),
        (["-r", "-"], '{"memory": {"limit": "much"}}', "/memory/limit"),
        (["-r", "-", "--memory", "1g"], "{}", "cannot both be given"),
        (["-r", "/absent"], "", "no such file"),
    ],
)
@pytest.mark.not_on("runc", "crun", reason="words of ocirun")
def test_wrong_words(runtime: Caller, words: list[str], document: str, said: str) -> None:
    """A wrong option or document is an error before anything is changed."""
    id = runtime.launch(runtime.sleeper())
    assert said in runtime.call("update", *words, id, stdin=document).failed(1).err


@pytest.mark.not_on("runc", "crun", reason="words of ocirun")
@pytest.mark.parametrize("option", ["--l3-cache-schema", "--mem-bw-schema"])
def test_shares_of_the_cache(runtime: Caller, option: str) -> None:
    """An option of the cache's shares is refused without a resctrl group, and the limits given beside it are as they were."""
    id = runtime.launch(runtime.sleeper({"linux": {"resources": {"pids": {"limit": 50}}}}))
    assert "no resctrl group" in runtime.call("update", option, "L3:0=f", "--pids-limit", "9", id).failed(1).err
    assert value(runtime, id, "pids", "pids.max", "pids.max") == "50"


@pytest.mark.kernel
@pytest.mark.parametrize("document", ['{"pids": {}}', '{"pids": {"limit": null}}', "null", "{}"])
@pytest.mark.not_on("runc", "crun", reason="takes some of them for a limit of 0")
def test_a_document_of_nothing(runtime: Caller, document: str) -> None:
    """A limit that is null or not given is not changed."""
    id = runtime.create(runtime.sleeper({"linux": {"resources": {"pids": {"limit": 50}}}}))
    assert runtime.call("update", "-r", "-", id, stdin=document).ok().err == ""
    assert value(runtime, id, "pids", "pids.max", "pids.max") == "50"


# option, value -> controller, v1 file and its text after, v2 file and its text after
OPTIONS = [
    ("--cpu-share", "512", "cpu", "cpu.shares", "512", "cpu.weight", "20"),
    ("--cpu-quota", "30000", "cpu", "cpu.cfs_quota_us", "30000", "cpu.max", "30000 100000"),
    ("--cpu-period", "50000", "cpu", "cpu.cfs_period_us", "50000", "cpu.max", "30000 50000"),
    ("--cpu-burst", "0", "cpu", "cpu.cfs_burst_us", "0", "cpu.max.burst", "0"),
    ("--cpu-idle", "1", "cpu", "cpu.idle", "1", "cpu.idle", "1"),
    ("--cpuset-cpus", "0", "cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"),
    ("--cpuset-mems", "0", "cpuset", "cpuset.mems", "0", "cpuset.mems", "0"),
    ("--memory", "64M", "memory", "memory.limit_in_bytes", str(64 << 20), "memory.max", str(64 << 20)),
    ("--memory-reservation", "1.5m", "memory", "memory.soft_limit_in_bytes", "1572864", "memory.low", "1572864"),
    (
        "--memory-swap",
        "128M",
        "memory",
        "memory.memsw.limit_in_bytes",
        str(128 << 20),
        "memory.swap.max",
        str(64 << 20),
    ),
    ("--pids-limit", "33", "pids", "pids.max", "33", "pids.max", "33"),
]
# option, value, v1 file and its text after; on v2 the option is refused by the property's name
OPTIONS_OF_V1 = [
    ("--kernel-memory-tcp", "1M", "memory.kmem.tcp.limit_in_bytes", str(1 << 20), "kernelTCP"),
    ("--cpu-rt-period", "900000", "cpu.rt_period_us", "900000", "realtimePeriod"),
    ("--cpu-rt-runtime", "1000", "cpu.rt_runtime_us", "1000", "realtimeRuntime"),
]


@pytest.mark.vm
@pytest.mark.cgroups
def test_each_option(runtime: Caller) -> None:
    """update: each option sets the limit it names (for the effects see the config's limits above)."""
    id = runtime.create(runtime.sleeper())
    counters = Counters(runtime, id)
    for option, given, controller, v1, after_v1, v2, after_v2 in OPTIONS:
        runtime.call("update", option, given, id).ok()
        assert counters.text(controller, v1, v2) == (after_v1 if on_v1(controller) else after_v2), option


@pytest.mark.kernel
@pytest.mark.parametrize(("option", "given", "file", "after", "name"), OPTIONS_OF_V1)
def test_option_of_v1(runtime: Caller, option: str, given: str, file: str, after: str, name: str) -> None:
    """An option of v1 is written there; where the host has no such file, it is refused by the property's name and nothing else is changed."""
    id = runtime.create(runtime.sleeper({"linux": {"resources": {"pids": {"limit": 50}}}}))
    controller = file.partition(".")[0]
    counters = Counters(runtime, id)
    done = runtime.call("update", option, given, "--pids-limit", "40", id)
    if done.code == 0:
        assert on_v1(controller)
        assert counters.text(controller, file, "") == after
    else:
        assert f"/{controller}/{name}: cgroup v2 has no such setting" in done.err
    assert value(runtime, id, "pids", "pids.max", "pids.max") == ("50" if done.code else "40")


@pytest.mark.vm
@pytest.mark.cgroups
def test_unlimited_again(runtime: Caller) -> None:
    """update --memory=-1 --cpu-quota=-1 --pids-limit=-1: the limits are removed, also that of memory and swap together."""
    limits = {"memory": {"limit": 64 << 20, "swap": 64 << 20}, "cpu": {"quota": 10000}, "pids": {"limit": 4}}
    id = runtime.launch(runtime.sleeper({"linux": {"resources": limits}}))
    runtime.call("update", "--memory=-1", "--cpu-quota=-1", "--pids-limit=-1", id).ok()
    counters = Counters(runtime, id)
    assert counters.text("pids", "pids.max", "pids.max") == "max"
    assert counters.text("cpu", "cpu.cfs_quota_us", "cpu.max") in ("-1", "max 100000")
    for v1, v2 in (("memory.limit_in_bytes", "memory.max"), ("memory.memsw.limit_in_bytes", "memory.swap.max")):
        found = counters.text("memory", v1, v2)
        assert found == "max" or int(found) > 1 << 60


@pytest.mark.vm
@pytest.mark.cgroups
def test_unified(runtime: Caller) -> None:
    """update --resources with unified: the cgroup v2 file is written verbatim."""
    id = runtime.create(runtime.sleeper())
    document = json.dumps({"unified": {"cgroup.max.descendants": "7"}})
    runtime.call("update", "--resources", "-", id, stdin=document).ok()
    assert (Counters(runtime, id).unified() / "cgroup.max.descendants").read_text() == "7\n"


def test_wrong_states(runtime: Caller) -> None:
    """A stopped container has no limits to change, but a paused or created one has."""
    id = runtime.create(runtime.sleeper())
    runtime.call("update", "--pids-limit", "30", id).ok()
    runtime.start(id)
    runtime.call("pause", id).ok()
    runtime.call("update", "--pids-limit", "40", id).ok()
    runtime.call("resume", id).ok()
    assert value(runtime, id, "pids", "pids.max", "pids.max") == "40"
    runtime.kill(id)
    runtime.wait_status(id)
    runtime.call("update", "--pids-limit", "50", id).failed(1)


def no_room() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))


@pytest.mark.not_on("runc", "crun", reason="changes the limits first")
def test_no_room_for_the_record(runtime: Caller) -> None:
    """An update that cannot be recorded changes no limit; the next one works."""
    id = runtime.launch(runtime.sleeper({"linux": {"resources": {"pids": {"limit": 50}}}}))
    limit = ("pids", "pids.max", "pids.max")
    assert runtime.call("update", "--pids-limit", "40", id, preexec_fn=no_room).code == 1
    assert value(runtime, id, *limit) == "50"
    runtime.call("update", "--pids-limit", "30", id).ok()
    assert value(runtime, id, *limit) == "30"
    assert sorted(path.name for path in (runtime.root / id).iterdir()) == ["config.json", "state.json"]


@pytest.mark.not_on("runc", "crun", reason="the installed versions know no burst")
def test_burst_of_nothing(runtime: Caller) -> None:
    """update --cpu-burst 0 takes a burst away, and no warning says otherwise."""
    id = runtime.create(
        runtime.sleeper({"linux": {"resources": {"cpu": {"quota": 50000, "period": 100000, "burst": 9000}}}})
    )
    assert Counters(runtime, id).text("cpu", "cpu.cfs_burst_us", "cpu.max.burst") == "9000"
    assert runtime.call("update", "--cpu-burst", "0", id).ok().err == ""
    assert Counters(runtime, id).text("cpu", "cpu.cfs_burst_us", "cpu.max.burst") == "0"


@pytest.mark.not_on("runc", "crun", reason="words of ocirun")
@pytest.mark.parametrize(("option", "given"), [("--memory", "0"), ("--cpu-share", "0"), ("--cpuset-cpus", "")])
def test_options_of_update_that_ask_for_nothing(runtime: Caller, option: str, given: str) -> None:
    """0 and the empty list stand for "not set": a warning names the option."""
    id = runtime.create(runtime.sleeper())
    assert (
        f"{option} {given or repr('')} has no effect: it counts as not given"
        in runtime.call("update", option, given, id).ok().err
    )
