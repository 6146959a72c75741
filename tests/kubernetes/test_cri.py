"""What an administrator does with crictl to pods of the runtime under test, through containerd's CRI plugin or CRI-O."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from daemons import CRI, SOCKET
from images import BUSYBOX
from node import Node

WEB = "registry.k8s.io/e2e-test-images/nginx:1.14-2"
NETWORK_OF_THE_NODE = 2  # NamespaceMode NODE


class Crictl:
    """crictl on a node; what it started is removed with `close`."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.token = secrets.token_hex(3)
        self.sandboxes: dict[str, dict[str, Any]] = {}

    def try_to(self, *words: str, input: str | None = None, timeout: float = 60) -> tuple[int, str, str]:
        done = self.node.call(
            "crictl", "--timeout=60s", "--runtime-endpoint", f"unix://{SOCKET}", *words, input=input, timeout=timeout
        )
        return done.code, done.out, done.err

    def __call__(self, *words: str, input: str | None = None) -> str:
        code, out, err = self.try_to(*words, input=input)
        assert code == 0, f"crictl {' '.join(words)}: {err}"
        return out.strip()

    def file(self, name: str, content: dict[str, Any]) -> str:
        path = self.node.directory / f"{self.token}-{name}.json"
        path.write_text(json.dumps(content))
        return str(path)

    def sandbox(self, name: str, host_network: bool = False, **fields: Any) -> str:
        """The id of a new pod."""
        config: dict[str, Any] = {
            "metadata": {
                "name": f"{name}-{self.token}",
                "namespace": "default",
                "uid": f"{name}-{self.token}",
                "attempt": 1,
            },
            "log_directory": str(self.node.directory / "logs"),
            "linux": {"cgroup_parent": f"/cri-{self.token}"},
            **fields,
        }
        if host_network:
            config["linux"]["security_context"] = {"namespace_options": {"network": NETWORK_OF_THE_NODE}}
        id = self("runp", self.file(name, config))
        self.sandboxes[id] = config
        return id

    def container(self, sandbox: str, name: str, *command: str, image: str = BUSYBOX, **fields: Any) -> str:
        """The id of a new container of the pod, started."""
        self("pull", image)
        config = {
            "metadata": {"name": name, "attempt": 1},
            "image": {"image": image},
            "command": list(command),
            "log_path": f"{name}-{self.token}.log",
            **fields,
        }
        pod = self.file("pod", self.sandboxes[sandbox])
        id = self("create", sandbox, self.file(name, config), pod)
        self("start", id)
        return id

    def close(self) -> None:
        for id in self.sandboxes:
            self("rmp", "-f", id)


@pytest.fixture
def crictl(node: Node) -> Iterator[Crictl]:
    one = Crictl(node)
    yield one
    one.close()


@pytest.mark.parametrize("host_network", [False, True], ids=["bridge", "host network"])
def test_pod(crictl: Crictl, host_network: bool):
    """A pod's container runs, answers exec and logs, and is stopped and removed."""
    pod = crictl.sandbox("pod", host_network)
    id = crictl.container(pod, "main", "sh", "-c", "trap 'exit 0' TERM; echo begun; while :; do sleep 0.1; done")
    assert crictl("exec", id, "echo", "in exec") == "in exec"
    assert crictl("logs", id) == "begun"
    links = crictl("exec", id, "ls", "/sys/class/net").split()
    assert ("node0" in links) == host_network
    assert ("eth0" in links) != host_network
    crictl("stop", "--timeout", "20", id)
    assert json.loads(crictl("inspect", id))["status"]["exitCode"] == 0
    crictl("rm", id)
    crictl("stopp", pod)


def test_exit_codes(crictl: Crictl):
    """A container's exit code and that of a command in it are reported."""
    pod = crictl.sandbox("codes")
    id = crictl.container(pod, "main", "sleep", "1000")
    code, _, err = crictl.try_to("exec", id, "sh", "-c", "exit 9")
    assert code != 0
    assert "exit code 9" in err
    ended = crictl.container(pod, "ended", "sh", "-c", "exit 7")
    wait(lambda: json.loads(crictl("inspect", ended))["status"]["state"] == "CONTAINER_EXITED")
    assert json.loads(crictl("inspect", ended))["status"]["exitCode"] == 7


def test_missing_command(crictl: Crictl):
    """A command that is not there is said so, in the words that the kubelet's users know."""
    pod = crictl.sandbox("missing")
    with pytest.raises(AssertionError, match=r"no-such-command.*executable file not found in \$PATH"):
        crictl.container(pod, "main", "no-such-command")
    id = crictl.container(pod, "other", "sleep", "1000")
    code, _, err = crictl.try_to("exec", "--sync", id, "no-such-command")
    assert code != 0
    assert "executable file not found in $PATH" in err


def test_pod_that_cannot_be_made(crictl: Crictl):
    """The reason why a pod's sandbox could not be created is told, though its standard error takes nothing."""
    # CRI-O sets the sysctls of pods itself.
    who = "OCI runtime create failed" if CRI == "containerd" else "failed to pin namespaces"
    linux = {"cgroup_parent": f"/cri-{crictl.token}", "sysctls": {"kernel.shm_rmid_forced": "nonsense"}}
    with pytest.raises(AssertionError, match=rf"{who}.*shm_rmid_forced"):
        crictl.sandbox("unmade", linux=linux)


def test_terminal_and_input(crictl: Crictl):
    """Input reaches a command, and with -t it has a terminal."""
    pod = crictl.sandbox("terminal")
    id = crictl.container(pod, "main", "sleep", "1000")
    assert crictl("exec", "-i", id, "cat", input="typed\n") == "typed"
    # CRI-O can lose the last words of a command that ends at once, with each runtime.
    command = f"crictl --runtime-endpoint unix://{SOCKET} exec -it {id} sh -c 'tty; sleep 0.5'"
    done = crictl.node.call("script", "-qec", command, "/dev/null")
    assert "/dev/pts/0" in done.out


def test_update(crictl: Crictl, node: Node):
    """New limits reach the cgroup of a running container."""
    pod = crictl.sandbox("update")
    id = crictl.container(pod, "main", "sleep", "1000", linux={"resources": {"memory_limit_in_bytes": 64 << 20}})
    (group,) = node.cgroup("memory", f"/cri-{crictl.token}").glob(f"*{id}")
    file = next(group / name for name in ("memory.limit_in_bytes", "memory.max") if (group / name).exists())
    assert file.read_text().strip() == str(64 << 20)
    crictl("update", "--memory", str(32 << 20), id)
    assert file.read_text().strip() == str(32 << 20)


def test_stats(crictl: Crictl):
    """The statistics of a container have its memory and its processes."""
    pod = crictl.sandbox("stats")
    id = crictl.container(pod, "main", "sleep", "1000")
    (stats,) = json.loads(crictl("stats", "--output", "json", id))["stats"]
    assert int(stats["memory"]["workingSetBytes"]["value"]) > 0
    (whole,) = json.loads(crictl("statsp", "--output", "json", pod))["stats"]
    assert [one["attributes"]["id"] for one in whole["linux"]["containers"]] == [id]
    if CRI == "containerd":  # CRI-O counts no processes
        assert int(whole["linux"]["process"]["processCount"]["value"]) == 1


def test_ports(crictl: Crictl, node: Node):
    """A port of the node leads to a pod on the bridge."""
    pod = crictl.sandbox("ports", port_mappings=[{"container_port": 80, "host_port": 12345}])
    crictl.container(pod, "web", image=WEB)
    fetch = ("timeout", "5", "busybox", "wget", "-q", "-O", "-", f"http://{node.address}:12345/")
    wait(lambda: "It works!" in node.call(*fetch).out)


def test_daemon_restarts(crictl: Crictl, node: Node):
    """Pods outlive a daemon that is killed, and the next one stops them."""
    pod = crictl.sandbox("restart")
    id = crictl.container(pod, "main", "sh", "-c", "trap '' TERM; sleep 1000")
    pid = json.loads(crictl("inspect", id))["info"]["pid"]
    node.call("kill", "-KILL", node.call("pidof", CRI).out.strip())  # process 1 starts another
    wait(lambda: crictl.try_to("version")[0] == 0)
    assert json.loads(crictl("inspect", id))["info"]["pid"] == pid
    assert crictl("exec", id, "echo", "still here") == "still here"
    crictl("stop", "--timeout", "0", id)
    assert json.loads(crictl("inspect", id))["status"]["exitCode"] == 137


def wait(condition: Callable[[], bool], patience: float = 30) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not true in {patience} s"
        time.sleep(0.2)
