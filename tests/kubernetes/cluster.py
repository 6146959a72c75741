"""A cluster of one node: etcd, the API server, the controller manager, the scheduler and a kubelet."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node import Node

from tests.kubernetes.kubelet import Kubelet

SERVER = "https://10.89.0.1:6443"
TOKEN = "the-token-of-the-administrator"
PATIENCE_S = 180

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "node", "cluster": {"server": SERVER, "insecure-skip-tls-verify": True}}],
    "users": [{"name": "admin", "user": {"token": TOKEN}}],
    "contexts": [{"name": "node", "context": {"cluster": "node", "user": "admin"}}],
    "current-context": "node",
}


class Cluster:
    """A running cluster."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.home = node.directory / "cluster"
        self.kubeconfig = self.home / "kubeconfig"
        self.kubelet = Kubelet(node)

    def start(self) -> None:
        self.home.mkdir()
        self.kubeconfig.write_text(json.dumps(KUBECONFIG))
        (self.home / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        key = self.home / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, stderr=subprocess.DEVNULL)
        public = self.home / "accounts.pub"
        subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True, stderr=subprocess.DEVNULL)
        self.spawn("etcd", f"--data-dir={self.home}/etcd", "--unsafe-no-fsync")
        self.spawn(
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            "--advertise-address=10.89.0.1",
            f"--cert-dir={self.home}/certificates",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={key}",
            f"--token-auth-file={self.home}/tokens.csv",
            "--authorization-mode=AlwaysAllow",
            "--kubelet-preferred-address-types=InternalIP",
        )
        self.wait(lambda: self.try_to("get", "--raw", "/readyz")[0] == 0, "the API server")
        manager = (f"--service-account-private-key-file={key}", "--leader-elect=false")
        self.spawn("kube-controller-manager", f"--kubeconfig={self.kubeconfig}", *manager)
        self.spawn("kube-scheduler", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false")
        self.kubelet.start(f"--kubeconfig={self.kubeconfig}")
        self.wait(lambda: "True" in self.try_to("get", "node", "node", "-o", self.condition("Ready"))[1], "the node")
        self.wait(lambda: self.try_to("get", "serviceaccount", "default")[0] == 0, "the account of the pods")

    def spawn(self, name: str, *flags: str) -> None:
        self.node.spawn(name, *flags, log=self.home / f"{name}.log")

    @staticmethod
    def condition(kind: str) -> str:
        return f'jsonpath={{.status.conditions[?(@.type=="{kind}")].status}}'

    def try_to(self, *words: str, input: str | None = None) -> tuple[int, str, str]:
        done = self.node.call("kubectl", f"--kubeconfig={self.kubeconfig}", *words, input=input)
        return done.code, done.out, done.err

    def kubectl(self, *words: str, input: str | None = None) -> str:
        code, out, err = self.try_to(*words, input=input)
        assert code == 0, f"kubectl {' '.join(words)}: {err}"
        return out

    def get(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "-o", "json", *words))
        return found

    def apply(self, *manifests: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.kubectl("apply", "--validate=false", "--filename=-", input=text)

    def apply_file(self, path: Path) -> None:
        self.kubectl("apply", f"--filename={path}")

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """The first true value of the condition."""
        end = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            assert time.monotonic() < end, f"waited {PATIENCE_S} s for {what}: {self.last_words()}"
            time.sleep(0.3)
        return value

    def last_words(self) -> str:
        logs = [path.read_text(errors="replace")[-600:] for path in self.home.glob("*.log")]
        return "\n".join([*logs, self.kubelet.tail() if self.kubelet.log.exists() else ""])
