"""Two nodes of Docker's Swarm run a service with the runtime under test."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import built
import images
import pytest
from daemons import DOCKER_SOCKET, docker_node
from node import Node, running

IMAGE = "localhost/busybox:latest"
PATIENCE_S = 90


class Swarm:
    """The nodes; the first one manages the other."""

    def __init__(self, nodes: list[Node], runtime: str) -> None:
        self.nodes = nodes
        self.runtime = runtime

    def docker(self, node: Node, *words: str, input: str | None = None) -> str:
        program = shutil.which("docker", path="/usr/bin") or "docker"  # the one of the daemon's version
        done = node.call(program, "--host", f"unix://{DOCKER_SOCKET}", *words, input=input)
        assert done.code == 0, f"docker {' '.join(words)}: {done.err}{node.log()[-2000:]}"
        return done.out.strip()

    def manage(self, *words: str) -> str:
        return self.docker(self.nodes[0], *words)

    def form(self) -> None:
        first, *others = self.nodes
        self.manage("swarm", "init", "--advertise-addr", first.address)
        token = self.manage("swarm", "join-token", "--quiet", "worker")
        for node in others:
            self.docker(
                node, "swarm", "join", "--token", token, "--advertise-addr", node.address, f"{first.address}:2377"
            )

    def service(self, name: str, *words: str) -> None:
        self.manage("service", "create", "--detach", "--no-resolve-image", "--name", name, *words)

    def containers(self, node: Node, name: str) -> list[str]:
        """The ids of the service's running containers on the node."""
        return self.docker(
            node, "ps", "--quiet", "--no-trunc", "--filter", f"label=com.docker.swarm.service.name={name}"
        ).split()

    def wait_for(self, name: str, replicas: int) -> list[list[str]]:
        """The containers on each node, when so many run."""
        return wait(
            lambda: (
                found
                if sum(map(len, found := [self.containers(node, name) for node in self.nodes])) == replicas
                else None
            )
        )

    def state(self, node: Node, id: str) -> str:
        """What the runtime says of the container."""
        (directory,) = node.call("find", "/run/docker", "-maxdepth", "3", "-path", f"*/runtime-*/{id}").out.split()
        done = node.call(self.runtime, "--root", os.path.dirname(directory), "state", id)
        assert done.code == 0, done.err
        return done.out

    def inspect(self, node: Node, id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.docker(node, "inspect", id))[0]
        return found


def wait(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end, f"not so in {PATIENCE_S} s"
        time.sleep(0.3)
    return value


@pytest.fixture(scope="module")
def swarm(ocirun: Path, workplace: Path) -> Iterator[Swarm]:
    peer = os.environ.get("OCIRUN_RUNTIME")
    runtime = shutil.which(peer) or peer if peer else str(ocirun)
    layer = workplace / "rootfs.tar"
    layer.write_bytes(images.busybox_layer(str(built.busybox())))
    with contextlib.ExitStack() as stack:
        nodes = [
            stack.enter_context(running(docker_node(workplace / f"swarm{number}", runtime, number)))
            for number in (1, 2)
        ]
        nodes[0].connect(nodes[1])
        one = Swarm(nodes, runtime)
        for node in nodes:
            one.docker(node, "import", str(layer), IMAGE)
        one.form()
        yield one


def test_scaling(swarm: Swarm):
    """A service has as many containers as it is told, on both nodes, and all are of the runtime under test."""
    swarm.service("scaled", "--network", "host", "--replicas", "4", IMAGE, "sleep", "1000")
    first, second = swarm.wait_for("scaled", 4)
    assert first
    assert second
    for id in second:
        assert json.loads(swarm.state(swarm.nodes[1], id))["status"] == "running"
    swarm.manage("service", "scale", "--detach", "scaled=8")
    swarm.wait_for("scaled", 8)
    swarm.manage("service", "scale", "--detach", "scaled=1")
    swarm.wait_for("scaled", 1)
    swarm.manage("service", "rm", "scaled")
    swarm.wait_for("scaled", 0)


def test_replacement(swarm: Swarm):
    """A container that is killed is replaced by a new one."""
    swarm.service("killed", "--network", "host", "--replicas", "2", "--restart-delay", "1s", IMAGE, "sleep", "1000")
    found = swarm.wait_for("killed", 2)
    node, (id, *_) = next((node, ids) for node, ids in zip(swarm.nodes, found, strict=True) if ids)
    pid = swarm.inspect(node, id)["State"]["Pid"]
    node.call("kill", "-KILL", str(pid))
    wait(lambda: id not in swarm.containers(node, "killed"))
    after = swarm.wait_for("killed", 2)
    assert id not in [*after[0], *after[1]]
    assert swarm.inspect(node, id)["State"]["ExitCode"] == 137
    swarm.manage("service", "rm", "killed")


def test_limits(swarm: Swarm):
    """The limits of a service are in the cgroups of its containers."""
    swarm.service("limited", "--network", "host", "--limit-memory", "64m", "--limit-cpu", "0.5", IMAGE, "sleep", "1000")
    found = swarm.wait_for("limited", 1)
    node, (id,) = next((node, ids) for node, ids in zip(swarm.nodes, found, strict=True) if ids)
    group = node.cgroup("memory", f"/docker/{id}")
    file = next(group / name for name in ("memory.limit_in_bytes", "memory.max") if (group / name).exists())
    assert file.read_text().strip() == str(64 << 20)
    swarm.manage("service", "rm", "limited")


def test_overlay_network(swarm: Swarm):
    """Containers on different nodes reach each other by name on an overlay network."""
    swarm.manage("network", "create", "--driver", "overlay", "--attachable", "cloud")
    server = "while :; do echo hello | nc -l -p 8080; done"
    swarm.service(
        "server", "--network", "cloud", "--endpoint-mode", "dnsrr", "--constraint", "node.role==worker", IMAGE, "sh", "-c", server
    )  # fmt: skip
    assert swarm.wait_for("server", 1)[1]
    swarm.service(
        "client",
        "--network",
        "cloud",
        "--endpoint-mode",
        "dnsrr",
        "--constraint",
        "node.role==manager",
        IMAGE,
        "sleep",
        "1000",
    )
    (id,), _ = swarm.wait_for("client", 1)
    said = wait(lambda: swarm.manage("exec", id, "sh", "-c", "nc -w 2 server 8080 < /dev/null || true"))
    assert said == "hello"
    for name in ("client", "server"):
        swarm.manage("service", "rm", name)
