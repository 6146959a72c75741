"""linux.netDevices: the host's network devices in the container, with their names and addresses."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for

pytestmark = pytest.mark.not_on("runc", "crun", reason="these versions do not know it")


def ip(*args: str) -> list[dict[str, Any]]:
    out = subprocess.run(["ip", "-j", *args], capture_output=True, text=True, check=True).stdout
    found: list[dict[str, Any]] = json.loads(out) if out.strip() else []
    return found


def exists(name: str) -> bool:
    return subprocess.run(["ip", "link", "show", name], capture_output=True, check=False).returncode == 0


@pytest.fixture
def pair(token: str) -> Iterator[tuple[str, str]]:
    """Two devices of the host, connected with each other."""
    names = (f"a{token}", f"b{token}")
    done = subprocess.run(
        ["ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1]], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no veth here: {done.stderr.decode()}")
    yield names
    for name in names:
        # The kernel removes a dead network namespace's veth devices, and their peers, only some time later.
        subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)


def with_devices(runtime: Caller, script: str, **devices: dict[str, str]) -> Bundle:
    return runtime.shell(script, {"linux": {"netDevices": devices}})


def entered(runtime: Caller, id: str, *args: str) -> list[dict[str, Any]]:
    """What the host's `ip` shows in the container's network namespace."""
    command = ["nsenter", "-t", str(runtime.pid(id)), "-n", "ip", "-j", *args]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


@pytest.mark.proves("/linux/netDevices")
def test_device_moves_in(runtime: Caller, pair: tuple[str, str]) -> None:
    """It keeps its name, hardware address and MTU, is up, and reaches its peer; the host no longer has it."""
    name, peer = pair
    ip("link", "set", name, "mtu", "1400", "address", "02:00:00:00:00:07")
    ip("link", "set", peer, "up")
    id = runtime.launch(with_devices(runtime, "exec sleep 60", **{name: {}}))
    [link] = entered(runtime, id, "link", "show", name)
    assert (link["mtu"], link["address"]) == (1400, "02:00:00:00:00:07")
    assert "UP" in link["flags"]
    assert not exists(name)
    runtime.remove(id)
    assert not exists(name)  # nobody moves it back


@pytest.mark.proves("/linux/netDevices/*/name")
def test_device_gets_a_name(runtime: Caller, pair: tuple[str, str]) -> None:
    """`name` is its name in the container."""
    out = runtime.run(with_devices(runtime, "ls /sys/class/net", **{pair[0]: {"name": "eth0"}})).ok().out
    assert out.split() == ["eth0", "lo"]


def test_pattern_name(runtime: Caller, pair: tuple[str, str]) -> None:
    """For a name that ends in %d the kernel finds a number; two devices get two."""
    devices = {pair[0]: {"name": "net%d"}, pair[1]: {"name": "net%d"}}
    out = runtime.run(with_devices(runtime, "ls /sys/class/net; ip addr show net1", **devices)).ok().out
    assert out.split()[:3] == ["lo", "net0", "net1"]


def test_names_are_exchanged(runtime: Caller, pair: tuple[str, str]) -> None:
    """Each of two devices may take the other's name."""
    for number, name in enumerate(pair):
        ip("link", "set", name, "address", f"02:00:00:00:00:0{number}")
    devices = {pair[0]: {"name": pair[1]}, pair[1]: {"name": pair[0]}}
    script = f"cat /sys/class/net/{pair[0]}/address /sys/class/net/{pair[1]}/address"
    out = runtime.run(with_devices(runtime, script, **devices)).ok().out
    assert out.split() == ["02:00:00:00:00:01", "02:00:00:00:00:00"]


def test_addresses_are_kept(runtime: Caller, pair: tuple[str, str]) -> None:
    """Permanent addresses of global scope come along, of both families, with broadcast, label and order; others do not."""
    name = pair[0]
    ip("addr", "add", "192.0.2.1/24", "brd", "192.0.2.255", "dev", name, "label", f"{name}:1"[:15])
    ip("addr", "add", "192.0.2.2/24", "dev", name)
    ip("addr", "add", "198.51.100.1/32", "peer", "198.51.100.2/32", "dev", name)
    ip("addr", "add", "203.0.113.1/24", "dev", name, "valid_lft", "600", "preferred_lft", "600")
    ip("addr", "add", "192.168.77.1/24", "dev", name, "scope", "link")
    ip("-6", "addr", "add", "2001:db8::1/64", "dev", name, "nodad")
    ip("link", "set", name, "up")
    id = runtime.launch(with_devices(runtime, "exec sleep 60", **{name: {"name": "eth0"}}))
    [shown] = entered(runtime, id, "addr", "show", "eth0")
    found = {row["local"]: row for row in shown["addr_info"] if row["scope"] == "global"}
    assert list(found)[:4] == ["192.0.2.1", "198.51.100.1", "192.0.2.2", "2001:db8::1"]
    assert len(found) == 4
    assert found["192.0.2.1"]["broadcast"] == "192.0.2.255"
    assert found["198.51.100.1"]["address"] == "198.51.100.2"
    assert found["2001:db8::1"]["prefixlen"] == 64
    assert "203.0.113.1" not in json.dumps(shown)
    assert "192.168.77.1" not in json.dumps(shown)


def test_label_of_an_address(runtime: Caller, pair: tuple[str, str]) -> None:
    """A label begins with the device's name, so it is written anew where the name changes."""
    ip("link", "set", pair[0], "name", "v0")
    try:
        ip("addr", "add", "192.0.2.1/24", "dev", "v0", "label", "v0:one")
        id = runtime.launch(with_devices(runtime, "exec sleep 60", v0={"name": "eth0"}))
        [shown] = entered(runtime, id, "addr", "show", "eth0")
    finally:
        if exists("v0"):
            ip("link", "set", "v0", "name", pair[0])
    assert [row["label"] for row in shown["addr_info"]] == ["eth0:one"]


def test_hooks_and_sysctls_find_the_device(runtime: Caller, pair: tuple[str, str]) -> None:
    """It is there before the hooks and the sysctls of the config."""
    bundle = with_devices(runtime, "cat /proc/sys/net/ipv4/conf/eth0/rp_filter", **{pair[0]: {"name": "eth0"}})
    bundle.linux["sysctl"] = {"net.ipv4.conf.eth0.rp_filter": "2"}
    seen = runtime.directory / "seen"
    script = f"nsenter -t $(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/') -n ip link show eth0 > {seen}"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    assert runtime.run(bundle.save()).ok().out == "2\n"
    assert "eth0" in seen.read_text()


def test_joined_network_namespace(runtime: Caller, pair: tuple[str, str], netns: Callable[[], str]) -> None:
    """Into a network namespace that is joined a device is moved as well, and it outlives the container there."""
    path = netns()
    bundle = with_devices(runtime, "ls /sys/class/net", **{pair[0]: {"name": "eth0"}})
    for entry in bundle.linux["namespaces"]:
        if entry["type"] == "network":
            entry["path"] = path
    assert runtime.run(bundle.save()).ok().out.split() == ["eth0", "lo"]
    name = path.rpartition("/")[2]
    assert [row["ifname"] for row in ip("-n", name, "link")].count("eth0") == 1
    err = runtime.try_create(with_joined(runtime, pair[1], path)).failed(1).err
    assert f"/linux/netDevices/{pair[1]}: the container's network namespace has a device eth0 already" in err
    assert "eth%d" in err
    assert exists(pair[1])


def with_joined(runtime: Caller, device: str, path: str) -> Bundle:
    bundle = with_devices(runtime, "true", **{device: {"name": "eth0"}})
    for entry in bundle.linux["namespaces"]:
        if entry["type"] == "network":
            entry["path"] = path
    return bundle.save()


def test_user_namespace(runtime: Caller, pair: tuple[str, str]) -> None:
    """A network namespace of a mapped root takes devices too."""
    bundle = with_devices(runtime, "ls /sys/class/net", **{pair[0]: {"name": "eth0"}})
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=ids, gidMappings=ids)
    assert runtime.run(bundle.save()).ok().out.split() == ["eth0", "lo"]


def test_failure_gives_the_devices_back(runtime: Caller, pair: tuple[str, str]) -> None:
    """A container that cannot be made after all leaves the host's devices as they were."""
    ip("addr", "add", "192.0.2.1/24", "dev", pair[0])
    ip("-6", "addr", "add", "2001:db8::1/64", "dev", pair[0], "nodad")
    ip("link", "set", pair[0], "up")
    before = ip("addr", "show", pair[0])
    bundle = with_devices(runtime, "true", **{pair[0]: {"name": "eth0"}, pair[1]: {}})
    bundle.config["mounts"].append({"destination": "/x", "type": "nosuchfs", "source": "none"})
    err = runtime.try_create(bundle.save()).failed(1).err
    assert "/mounts/7" in err
    after = ip("addr", "show", pair[0])
    keys = ("ifname", "mtu", "address")
    assert [[row[key] for key in keys] for row in after] == [[row[key] for key in keys] for row in before]
    assert "UP" in after[0]["flags"]
    globals_of = [[r["local"] for r in rows[0]["addr_info"] if r["scope"] == "global"] for rows in (before, after)]
    assert globals_of[0] == globals_of[1] == ["192.0.2.1", "2001:db8::1"]
    assert "UP" not in ip("link", "show", pair[1])[0]["flags"]


def test_missing_device(runtime: Caller) -> None:
    """A device that the host does not have is named, with its place."""
    err = runtime.try_create(with_devices(runtime, "true", nosuchdev={})).failed(1).err
    assert "/linux/netDevices/nosuchdev: find the network device nosuchdev: there is no such device" in err


def test_device_that_cannot_move(runtime: Caller) -> None:
    """The loopback stays where it is: refused, with the kernel's reason."""
    err = runtime.try_create(with_devices(runtime, "true", lo={"name": "other"})).failed(1).err
    assert "/linux/netDevices/lo: move the network device lo: " in err
    assert "stay in their network namespace" in err


def test_no_network_namespace(runtime: Caller, pair: tuple[str, str]) -> None:
    """A container in the host's network namespace cannot be given a device: refused, not ignored."""
    bundle = with_devices(runtime, "true", **{pair[0]: {}})
    bundle.linux["namespaces"] = [entry for entry in bundle.linux["namespaces"] if entry["type"] != "network"]
    assert "/linux/netDevices" in runtime.try_create(bundle.save()).failed(1).err
    bundle.linux["namespaces"].append({"type": "network", "path": "/proc/self/ns/net"})
    assert "the runtime's own" in runtime.try_create(bundle.save()).failed(1).err
    assert exists(pair[0])


def shown(name: str) -> list[Any]:
    """What is told of a device, without its index, which the kernel may change."""
    [row] = ip("addr", "show", name)
    return [row["mtu"], row["address"], "UP" in row["flags"], sorted(one["local"] for one in row["addr_info"])]


def calls_of(runtime: Caller, bundle: Bundle, *names: str) -> dict[str, int]:
    """How often `create` makes these system calls."""
    trace, id = runtime.directory / "trace", runtime.new_id()
    words = runtime.command("create", "--bundle", bundle.directory, id)
    command = ["strace", "-qq", "-e", f"trace={','.join(names)}", "-o", str(trace), *words]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    runtime.remove(id)
    return {name: trace.read_text().count(f"{name}(") for name in names}


def add_pair(pair: tuple[str, str]) -> list[list[Any]]:
    if not exists(pair[0]):  # the kernel removes it, and its peer with it, some time after its namespace
        wait_for(lambda: not exists(pair[1]), "end of the namespace")
        subprocess.run(["ip", "link", "add", pair[0], "type", "veth", "peer", "name", pair[1]], check=True)
    for number, name in enumerate(pair):
        ip("link", "set", name, "mtu", "1400", "address", f"02:00:00:00:00:0{number}")
        ip("addr", "replace", f"192.0.2.{number + 1}/24", "dev", name)
        ip("-6", "addr", "replace", f"2001:db8::{number + 1}/64", "dev", name, "nodad")
        ip("link", "set", name, "up")
    return [shown(name) for name in pair]


@pytest.mark.slow
def test_killed_while_devices_move(runtime: Caller, pair: tuple[str, str]) -> None:
    """SIGKILL at each thing that create asks of netlink, mounts and renames: `delete --force` brings both devices home as
    they were, also from a network namespace that would have ended with its only process."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    add_pair(pair)
    # The second takes the name that the first had: what has moved is not told by names.
    bundle = with_devices(runtime, "exec sleep 60", **{pair[0]: {"name": "eth%d"}, pair[1]: {"name": pair[0]}})
    counts = calls_of(runtime, bundle, "sendto", "mount", "rename", "umount2")
    assert counts["sendto"] > 12
    assert (counts["mount"], counts["umount2"]) == (1, 1)
    for call, count in counts.items():
        for number in range(1, count + 1):
            before = add_pair(pair)
            id = runtime.new_id()
            strike = ["strace", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={number}"]
            words = runtime.command("create", "--bundle", bundle.directory, id)
            subprocess.run([*strike, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
            told = runtime.call("delete", "--force", id).ok().err
            assert told == "", (call, number)
            if call == "umount2":  # the container was made, and the devices its own
                assert not exists(pair[0])
            else:
                assert [shown(name) for name in pair] == before, (call, number)


def test_killed_where_nothing_can_be_bound(runtime: Caller, pair: tuple[str, str]) -> None:
    """Without its binding the namespace is gone, and a veth with it: `delete --force` says so and ends."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    bundle = with_devices(runtime, "exec sleep 60", **{pair[0]: {}})
    counts = calls_of(runtime, bundle, "sendto")
    add_pair(pair)
    id = runtime.new_id()
    inject = ["-e", "inject=mount:error=EPERM", "-e", f"inject=sendto:signal=KILL:when={counts['sendto']}"]
    words = runtime.command("create", "--bundle", bundle.directory, id)
    subprocess.run(["strace", "-qq", "-o", "/dev/null", *inject, *words], stdin=subprocess.DEVNULL, check=False)
    wait_for(lambda: not exists(pair[1]), "end of the namespace")
    told = runtime.call("delete", "--force", id).ok().err
    assert f"bring the network device {pair[0]} back: its network namespace is gone" in told
    assert runtime.known_ids() == []


def test_a_failure_after_the_making_gives_the_devices_back(runtime: Caller, pair: tuple[str, str]) -> None:
    """A pid file that cannot be written is one; for `run` a filter under which the program cannot start is another."""
    before = add_pair(pair)
    bundle = with_devices(runtime, "true", **{pair[0]: {"name": "eth0"}})
    runtime.try_create(bundle, "--pid-file", "/none/pid").failed(1)
    assert [shown(name) for name in pair] == before
    poststart = {"path": "/bin/false"}
    bundle.config["hooks"] = {"poststart": [poststart]}
    runtime.run(bundle.save()).failed(1)
    assert [shown(name) for name in pair] == before
