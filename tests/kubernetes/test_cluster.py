"""A cluster of one node, where pods choose the runtime under test by its RuntimeClass."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import cri_node
from node import running

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.kubelet import container, pod

TREE = Path(__file__).resolve().parents[2]
REPLICAS = 50


@pytest.fixture(scope="module")
def cluster(programs: Path, ocirun: Path, workplace: Path) -> Iterator[Cluster]:
    """Its default runtime is runc; ocirun is the one of the RuntimeClass in contrib/ (OCIRUN_RUNTIME: a peer in its place)."""
    peer = os.environ.get("OCIRUN_RUNTIME")
    runtimes = {"runc": shutil.which("runc") or "runc", "ocirun": shutil.which(peer) or peer if peer else str(ocirun)}
    with running(cri_node(workplace / "cluster", programs, runtimes)) as node:
        one = Cluster(node)
        one.start()
        one.apply_file(TREE / "contrib/kubernetes/runtimeclass.yaml")
        yield one


def ours(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A pod of the RuntimeClass."""
    return pod(name, *containers, runtimeClassName="ocirun", **spec)


def handler(cluster: Cluster, name: str) -> str:
    """The runtime of the pod's sandbox, as the daemon knows it."""
    id = cluster.kubelet.crictl("pods", "--name", name, "--quiet", "--latest").strip()
    return str(json.loads(cluster.kubelet.crictl("inspectp", id))["status"].get("runtimeHandler", ""))


def wait_until_ready(cluster: Cluster, name: str) -> None:
    ready = cluster.condition("Ready")
    cluster.wait(lambda: cluster.try_to("get", "pod", name, "-o", ready)[1] == "True", f"{name} to be ready")


def test_runtime_class(cluster: Cluster):
    """A pod of the RuntimeClass runs with its runtime, beside others; kubectl's logs and exec reach it."""
    cluster.apply(
        ours("chosen", container("main", "echo begun; sleep 1000")), pod("other", container("main", "sleep 1000"))
    )
    for name in ("chosen", "other"):
        wait_until_ready(cluster, name)
    assert handler(cluster, "chosen") == "ocirun"
    assert handler(cluster, "other") != "ocirun"
    assert cluster.kubectl("logs", "chosen") == "begun\n"
    assert cluster.kubectl("exec", "-i", "chosen", "--", "cat", input="typed\n") == "typed\n"
    code, _, err = cluster.try_to("exec", "chosen", "--", "sh", "-c", "exit 9")
    assert (code, "exit code 9" in err) == (9, True)
    cluster.kubectl("delete", "pod", "chosen", "other")


@pytest.mark.parametrize("host_users", [True, False], ids=["users of the host", "user namespace"])
def test_volumes(cluster: Cluster, host_users: bool):
    """Config maps, secrets and the token of the account are files of the pod, whose root owns them; one is mounted recursively read-only."""
    name = "volumes" if host_users else "mapped"
    cluster.kubectl("create", "configmap", name, "--from-literal=word=public")
    cluster.kubectl("create", "secret", "generic", name, "--from-literal=word=secret")
    mounts = [
        {"name": "words", "mountPath": "/words", "readOnly": True, "recursiveReadOnly": "Enabled"},
        {"name": "secrets", "mountPath": "/secrets"},
    ]
    token = "/run/secrets/kubernetes.io/serviceaccount/token"
    script = f"cat /words/word /secrets/word; test -s {token} && stat -L -c ' %u %u' /secrets/word {token}; sleep 1000"
    volumes = [{"name": "words", "configMap": {"name": name}}, {"name": "secrets", "secret": {"secretName": name}}]
    main = container("main", script, volumeMounts=mounts)
    cluster.apply(ours(name, main, volumes=volumes, hostUsers=host_users))
    wait_until_ready(cluster, name)
    assert cluster.wait(lambda: cluster.kubectl("logs", name), "the script") == "publicsecret 0 0\n 0 0\n"
    cluster.kubectl("delete", "pod", name)


def test_resize(cluster: Cluster):
    """New resources reach the cgroup of a running container, which is not started again."""
    resources = {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
    cluster.apply(ours("resized", container("main", "sleep 1000", resources=resources)))
    wait_until_ready(cluster, "resized")
    larger = {"requests": {"cpu": "60m", "memory": "40Mi"}, "limits": {"cpu": "300m", "memory": "128Mi"}}
    patch = {"spec": {"containers": [{"name": "main", "resources": larger}]}}
    cluster.kubectl("patch", "pod", "resized", "--subresource=resize", "--patch", json.dumps(patch))
    script = (
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us 2>/dev/null || cat memory.max cpu.max"
    )
    cluster.wait(
        lambda: cluster.kubectl("exec", "resized", "--", "sh", "-c", script).split()[:2] == [str(128 << 20), "30000"],
        "the new limits",
    )
    (status,) = cluster.get("pod", "resized")["status"]["containerStatuses"]
    assert status["restartCount"] == 0
    cluster.kubectl("delete", "pod", "resized")


def test_job(cluster: Cluster):
    """A job's pods run to their end, some at once."""
    template = {
        "spec": {"runtimeClassName": "ocirun", "restartPolicy": "Never", "containers": [container("main", "echo done")]}
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job", "namespace": "default"},
        "spec": {"completions": 6, "parallelism": 3, "template": template},
    }
    cluster.apply(job)
    cluster.wait(lambda: cluster.get("job", "job").get("status", {}).get("succeeded") == 6, "the job")
    cluster.kubectl("delete", "job", "job")


def test_deployment(cluster: Cluster, record_property):
    """A deployment is scaled to fifty pods, all of which are ready, and to none, after which nothing of them runs."""
    labels = {"app": "many"}
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "runtimeClassName": "ocirun",
            "terminationGracePeriodSeconds": 1,
            "containers": [container("main", "trap 'exit 0' TERM; while :; do sleep 1; done")],
        },
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "many", "namespace": "default"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
    cluster.apply(deployment)
    began = time.monotonic()
    cluster.kubectl("scale", "deployment", "many", f"--replicas={REPLICAS}")
    ready = lambda: cluster.get("deployment", "many")["status"].get("readyReplicas", 0)  # noqa: E731
    cluster.wait(lambda: ready() == REPLICAS, f"{REPLICAS} pods")
    record_property("seconds until all are ready", round(time.monotonic() - began, 1))
    began = time.monotonic()
    cluster.kubectl("scale", "deployment", "many", "--replicas=0")
    cluster.wait(lambda: cluster.get("pods", "--selector=app=many")["items"] == [], "the pods to go")
    record_property("seconds until all are gone", round(time.monotonic() - began, 1))
    left = json.loads(cluster.kubelet.crictl("ps", "--label", "io.kubernetes.container.name=main", "--output", "json"))
    assert [one for one in left["containers"] if one["labels"]["io.kubernetes.pod.name"].startswith("many-")] == []
    cluster.kubectl("delete", "deployment", "many")
