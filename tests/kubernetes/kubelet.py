"""A kubelet on a node, without an API server: its pods are manifests in a directory."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemons import SOCKET
from images import BUSYBOX
from node import Node

PATIENCE_S = 90

CONFIG: dict[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "readOnlyPort": 10255,
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "cgroupDriver": "cgroupfs",
    "failCgroupV1": False,
    "failSwapOn": False,
    "fileCheckFrequency": "1s",
    "syncFrequency": "2s",
    "enableControllerAttachDetach": False,
    "localStorageCapacityIsolation": False,
    "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
    "containerRuntimeEndpoint": f"unix://{SOCKET}",
    "serializeImagePulls": False,
    # A pod that asks for whole processors has them for itself, and the others' cpusets change while they run.
    "cpuManagerPolicy": "static",
    "cpuManagerReconcilePeriod": "1s",
    "reservedSystemCPUs": "0",
    # A container that ends is started again at once, and not after ten seconds and more.
    "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
    "featureGates": {"KubeletCrashLoopBackOffMax": True},
}

# The kubelet sets these; with the values that it wants in their place it leaves the machine's alone.
SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def container(name: str, script: str, **fields: Any) -> dict[str, Any]:
    """A container that runs a shell script."""
    return {
        "name": name,
        "image": BUSYBOX,
        "command": ["sh", "-c", script],
        "terminationMessagePolicy": "File",
        **fields,
    }


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A pod's manifest."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": list(containers), "terminationGracePeriodSeconds": 1, **spec},
    }


class Kubelet:
    """A running kubelet."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.home = node.directory / "kubelet"
        self.manifests = self.home / "manifests"
        self.log = node.directory / "kubelet.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> None:
        self.manifests.mkdir(parents=True)
        (self.home / "resolv.conf").write_text("nameserver 10.89.0.1\n")
        config = {
            **CONFIG,
            "staticPodPath": str(self.manifests),
            "podLogsDir": str(self.home / "logs"),
            "volumePluginDir": str(self.home / "plugins"),
            "resolvConf": str(self.home / "resolv.conf"),
        }
        (self.home / "config.json").write_text(json.dumps(config))
        script = ["set -e"]
        for number, (name, value) in enumerate(SYSCTLS.items()):
            (self.home / f"sysctl{number}").write_text(f"{value}\n")
            script.append(f"mount --bind {self.home}/sysctl{number} /proc/sys/{name}")
        command = (
            f"kubelet --config={self.home}/config.json --root-dir={self.home}/root --cert-dir={self.home}/certificates"
            " --hostname-override=node --node-ip=10.89.0.1 --v=2"
        )
        script.append(" ".join(["exec", command, *flags]))
        self.process = self.node.spawn(
            "unshare", "--mount", "--propagation=unchanged", "sh", "-c", "\n".join(script), log=self.log
        )
        self.wait(lambda: self.get("healthz") == "ok", "the kubelet to answer")

    def get(self, path: str) -> str:
        """What the kubelet's read-only port answers; empty if it does not."""
        port = 10248 if path == "healthz" else 10255
        return self.node.call("busybox", "wget", "-q", "-O", "-", f"http://127.0.0.1:{port}/{path}").out

    def wait(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE_S) -> Any:
        """The first true value of the condition."""
        end = time.monotonic() + patience
        while True:
            if value := condition():
                return value
            assert self.process is None or self.process.poll() is None, f"the kubelet ended: {self.tail()}"
            assert time.monotonic() < end, f"waited {patience} s for {what}: {self.tail()}"
            time.sleep(0.2)

    def tail(self) -> str:
        """The last of the kubelet's errors."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if "err=" in line or line.startswith(("E", "F"))][-8:])

    def put(self, manifest: dict[str, Any]) -> str:
        """Give the kubelet a pod; its name on this node."""
        name = str(manifest["metadata"]["name"])
        new = self.home / "new.json"
        new.write_text(json.dumps(manifest))
        new.rename(self.manifests / f"{name}.json")
        return f"{name}-node"

    def remove(self, name: str) -> None:
        (self.manifests / f"{name.removesuffix('-node')}.json").unlink(missing_ok=True)

    def remove_all(self) -> None:
        for file in self.manifests.iterdir():
            file.unlink()

    def pods(self) -> list[dict[str, Any]] | None:
        """What the kubelet says of its pods; None when it does not answer."""
        text = self.get("pods")
        return (json.loads(text).get("items") or []) if text else None

    def pod(self, name: str) -> dict[str, Any]:
        """What the kubelet says of the pod; empty when it has none."""
        return next((one for one in self.pods() or [] if one["metadata"]["name"] == name), {})

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.pod(name).get("status", {})
        return found

    def containers(self, name: str, kind: str = "containerStatuses") -> dict[str, dict[str, Any]]:
        """What is said of each container of the pod."""
        return {one["name"]: one for one in self.status(name).get(kind) or []}

    def wait_for_phase(self, name: str, phase: str) -> dict[str, Any]:
        return self.wait(
            lambda: status if (status := self.status(name)).get("phase") == phase else None, f"{name} to be {phase}"
        )

    def wait_until_ready(self, name: str) -> dict[str, Any]:
        def ready() -> bool:
            found = self.containers(name)
            return bool(found) and all(one["ready"] for one in found.values())

        self.wait(ready, f"{name} to be ready")
        return self.status(name)

    def id(self, name: str, container: str) -> str:
        """The id of a container of the pod."""
        return str(self.containers(name)[container]["containerID"]).rpartition("//")[2]

    def crictl(self, *words: str) -> str:
        done = self.node.call("crictl", "--timeout=60s", "--runtime-endpoint", f"unix://{SOCKET}", *words)
        assert done.code == 0, f"crictl {' '.join(words)}: {done.err}"
        return done.out

    def exec(self, name: str, container: str, *command: str) -> str:
        return self.crictl("exec", self.id(name, container), *command)

    def logs(self, name: str, container: str) -> str:
        return self.crictl("logs", self.id(name, container))

    def process_of(self, name: str, container: str) -> int:
        """The pid, in the node, of the container's first process."""
        return int(json.loads(self.crictl("inspect", self.id(name, container)))["info"]["pid"])


def cgroup_of(node: Node, kubelet: Kubelet, name: str, container: str, controller: str) -> Path:
    """The directory on the host of the container's cgroup."""
    pid = kubelet.process_of(name, container)
    for line in node.call("cat", f"/proc/{pid}/cgroup").out.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") or not controllers:
            return node.cgroup(controller, path)
    raise LookupError(controller)
