"""A kubelet of a current release runs pods with the runtime under test."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.kubelet import Kubelet, cgroup_of, container, pod


@pytest.fixture(scope="module")
def one_kubelet(node) -> Kubelet:
    """A kubelet, which ends with its node."""
    kubelet = Kubelet(node)
    kubelet.start()
    return kubelet


@pytest.fixture
def kubelet(one_kubelet: Kubelet) -> Iterator[Kubelet]:
    """The kubelet without pods; those of the test are removed."""
    one_kubelet.wait(lambda: one_kubelet.pods() == [], "the pods of the test before to go")
    yield one_kubelet
    one_kubelet.remove_all()


SHARED = {"name": "shared", "mountPath": "/shared"}
EMPTY = {"name": "shared", "emptyDir": {}}


def test_init_container(kubelet: Kubelet):
    """The pod's container starts after the init container has ended, and sees what it left in the volume."""
    name = kubelet.put(
        pod(
            "init",
            container("main", "cat /shared/word; sleep 1000", volumeMounts=[SHARED]),
            initContainers=[container("first", "sleep 0.5; echo left > /shared/word", volumeMounts=[SHARED])],
            volumes=[EMPTY],
        )
    )
    kubelet.wait_until_ready(name)
    assert kubelet.containers(name, "initContainerStatuses")["first"]["state"]["terminated"]["exitCode"] == 0
    assert kubelet.logs(name, "main") == "left\n"


def test_readiness(kubelet: Kubelet):
    """A container is ready when the command of its probe succeeds in it."""
    probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}
    name = kubelet.put(pod("readiness", container("main", "sleep 1000", readinessProbe=probe)))
    kubelet.wait_for_phase(name, "Running")
    time.sleep(2)
    assert not kubelet.containers(name)["main"]["ready"]
    kubelet.exec(name, "main", "touch", "/tmp/ready")
    kubelet.wait_until_ready(name)


def test_liveness(kubelet: Kubelet):
    """A container whose probe fails is replaced."""
    probe = {"exec": {"command": ["test", "!", "-e", "/tmp/sick"]}, "periodSeconds": 1, "failureThreshold": 1}
    name = kubelet.put(pod("liveness", container("main", "sleep 1000", livenessProbe=probe)))
    kubelet.wait_until_ready(name)
    first = kubelet.id(name, "main")
    kubelet.exec(name, "main", "touch", "/tmp/sick")
    kubelet.wait(lambda: kubelet.containers(name)["main"]["restartCount"] == 1, "the second container")
    kubelet.wait_until_ready(name)
    assert kubelet.id(name, "main") != first


def test_sidecar(kubelet: Kubelet):
    """A sidecar runs before the pod's container, and is stopped after it: the pod succeeds."""
    started = {"exec": {"command": ["test", "-e", "/shared/up"]}, "periodSeconds": 1}
    script = "trap 'echo sidecar ends; exit 0' TERM; touch /shared/up; while :; do sleep 0.1; done"
    name = kubelet.put(
        pod(
            "sidecar",
            container("main", "test -e /shared/up && echo after the sidecar; sleep 1", volumeMounts=[SHARED]),
            initContainers=[
                container("side", script, restartPolicy="Always", startupProbe=started, volumeMounts=[SHARED])
            ],
            volumes=[EMPTY],
            restartPolicy="Never",
            terminationGracePeriodSeconds=20,
        )
    )
    status = kubelet.wait_for_phase(name, "Succeeded")
    assert kubelet.logs(name, "main") == "after the sidecar\n"
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


def test_resources(kubelet: Kubelet, node):
    """Requests and limits are in the cgroups of the container and of the pod."""
    resources = {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
    name = kubelet.put(pod("resources", container("main", "sleep 1000", resources=resources)))
    kubelet.wait_until_ready(name)
    memory = cgroup_of(node, kubelet, name, "main", "memory")
    cpu = cgroup_of(node, kubelet, name, "main", "cpu")
    assert "kubepods/burstable/pod" in str(memory)
    for group in (memory, memory.parent):
        assert value(group, "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    for group in (cpu, cpu.parent):
        assert value(group, "cpu.cfs_quota_us", "cpu.max").split()[0] == "20000"
        assert value(group, "cpu.shares", "cpu.weight") in ("102", "4", "17")


def value(group: Path, v1: str, v2: str) -> str:
    """What the file of this name contains, of cgroup v1 or v2."""
    file = group / v1 if (group / v1).exists() else group / v2
    return file.read_text().strip()


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor cannot be given away")
def test_exclusive_processor(kubelet: Kubelet, node):
    """A pod that asks for a whole processor has it alone: a pod that runs already leaves it."""
    other = kubelet.put(pod("other", container("main", "sleep 1000")))
    kubelet.wait_until_ready(other)
    shared = cgroup_of(node, kubelet, other, "main", "cpuset") / "cpuset.cpus"
    before = processors(shared)
    whole = {"limits": {"cpu": "1", "memory": "32Mi"}}
    name = kubelet.put(pod("whole", container("main", "sleep 1000", resources=whole)))
    kubelet.wait_until_ready(name)
    own = cgroup_of(node, kubelet, name, "main", "cpuset") / "cpuset.cpus"
    kubelet.wait(lambda: len(processors(own)) == 1, "a processor of its own")
    kubelet.wait(lambda: not processors(own) & processors(shared), "the other pod to leave the processor")
    stop(kubelet, name)
    kubelet.wait(lambda: processors(shared) == before, "the processor to be shared again")


def processors(file: Path) -> set[int]:
    """Those that a cpuset allows, such as "0-2,4"."""
    found: set[int] = set()
    for part in file.read_text().strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def test_out_of_memory(kubelet: Kubelet):
    """A container that needs more memory than its limit is killed, and the kubelet knows why."""
    limit = {"limits": {"memory": "16Mi"}}
    name = kubelet.put(
        pod("memory", container("main", "dd if=/dev/zero of=/dev/null bs=40M", resources=limit), restartPolicy="Never")
    )
    kubelet.wait_for_phase(name, "Failed")
    ended = kubelet.containers(name)["main"]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_user_namespace(kubelet: Kubelet, node):
    """With `hostUsers: false` root in the pod is another user of the host, and its volume's files are its own."""
    script = "cat /proc/self/uid_map; echo x > /shared/file; stat -c %u /shared/file; sleep 1000"
    name = kubelet.put(pod("users", container("main", script, volumeMounts=[SHARED]), volumes=[EMPTY], hostUsers=False))
    kubelet.wait_until_ready(name)
    mapping, owner = kubelet.logs(name, "main").splitlines()
    inside, outside, length = map(int, mapping.split())
    assert inside == 0
    assert outside >= 65536
    assert length == 65536
    assert owner == "0"
    volumes = kubelet.home / "root/pods" / kubelet.pod(name)["metadata"]["uid"] / "volumes"
    assert (volumes / "kubernetes.io~empty-dir/shared/file").stat().st_uid == 0  # the mount is id-mapped
    status = node.call("cat", f"/proc/{kubelet.process_of(name, 'main')}/status").out
    assert f"Uid:\t{outside}\t" in status


def test_unmasked_proc(kubelet: Kubelet):
    """In a user namespace a pod may have /proc without the masks, and mount one itself."""
    context = {"procMount": "Unmasked", "capabilities": {"add": ["SYS_ADMIN"]}}
    script = "mkdir /tmp/proc && unshare --pid --fork --mount sh -c 'mount -t proc proc /tmp/proc && echo mounted'; sleep 1000"
    name = kubelet.put(pod("proc", container("main", script, securityContext=context), hostUsers=False))
    kubelet.wait_until_ready(name)
    assert kubelet.wait(lambda: kubelet.logs(name, "main"), "the script") == "mounted\n"


def test_crash(kubelet: Kubelet, node):
    """A container that is killed is replaced, in the same pod."""
    name = kubelet.put(pod("crash", container("main", "sleep 1000")))
    kubelet.wait_until_ready(name)
    address = kubelet.status(name)["podIP"]
    node.call("kill", "-KILL", str(kubelet.process_of(name, "main")))
    kubelet.wait(lambda: kubelet.containers(name)["main"]["restartCount"] == 1, "the second container")
    ended = kubelet.wait(lambda: kubelet.containers(name)["main"]["lastState"].get("terminated"), "the first one's end")
    assert ended["exitCode"] == 128 + signal.SIGKILL
    assert kubelet.wait_until_ready(name)["podIP"] == address


def stop(kubelet: Kubelet, name: str) -> float:
    """Take the pod's manifest away; the seconds until it has stopped."""
    began = time.monotonic()
    kubelet.remove(name)
    kubelet.wait(lambda: kubelet.crictl("pods", "--name", name, "--state", "Ready", "--quiet") == "", f"{name} to stop")
    return time.monotonic() - began


def test_graceful_stop(kubelet: Kubelet, tmp_path: Path):
    """Without its manifest a pod is told to stop, and stops."""
    script = "trap 'echo stopped > /shared/word; exit 0' TERM; while :; do sleep 0.1; done"
    volume = {"name": "shared", "hostPath": {"path": str(tmp_path)}}
    main = container("main", script, volumeMounts=[SHARED])
    name = kubelet.put(pod("stop", main, volumes=[volume], terminationGracePeriodSeconds=60))
    kubelet.wait_until_ready(name)
    assert stop(kubelet, name) < 20
    assert (tmp_path / "word").read_text() == "stopped\n"


def test_stop_of_a_deaf_pod(kubelet: Kubelet):
    """A pod that does not heed SIGTERM is killed when its grace period is over."""
    name = kubelet.put(pod("deaf", container("main", "trap '' TERM; sleep 1000"), terminationGracePeriodSeconds=3))
    kubelet.wait_until_ready(name)
    assert 3 <= stop(kubelet, name) < 20


def test_hooks_and_volumes(kubelet: Kubelet, tmp_path: Path):
    """Lifecycle hooks run in the container; a volume may be mounted in part, and read-only."""
    (tmp_path / "part").mkdir()
    name = kubelet.put(
        pod(
            "hooks",
            container(
                "main",
                "trap 'exit 0' TERM; while :; do sleep 0.1; done",
                lifecycle={
                    "postStart": {"exec": {"command": ["sh", "-c", "echo started > /part/start"]}},
                    "preStop": {"exec": {"command": ["sh", "-c", "echo stopping > /part/stop"]}},
                },
                volumeMounts=[
                    {"name": "host", "mountPath": "/part", "subPath": "part"},
                    {"name": "host", "mountPath": "/whole", "readOnly": True},
                ],
            ),
            volumes=[{"name": "host", "hostPath": {"path": str(tmp_path)}}],
            terminationGracePeriodSeconds=20,
        )
    )
    kubelet.wait_until_ready(name)
    assert (tmp_path / "part/start").read_text() == "started\n"
    assert "Read-only" in kubelet.exec(name, "main", "sh", "-c", "touch /whole/x 2>&1 || true")
    kubelet.remove(name)
    kubelet.wait(lambda: (tmp_path / "part/stop").exists(), "the hook before the stop")


def test_security_context(kubelet: Kubelet):
    """User, groups, capabilities, seccomp, no new privileges and a read-only root are as the manifest says."""
    script = "id -u; id -G; grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t' ' '; touch /x; sleep 1000"
    context = {
        "runAsUser": 1000,
        "runAsGroup": 3000,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    name = kubelet.put(
        pod("context", container("main", script, securityContext=context), securityContext={"fsGroup": 2000})
    )
    kubelet.wait_until_ready(name)
    lines = kubelet.logs(name, "main").splitlines()
    assert lines[0] == "1000"
    assert {"3000", "2000"} <= {*lines[1].split()}
    assert lines[2:5] == ["CapBnd: 0000000000000400", "NoNewPrivs: 1", "Seccomp: 2"]


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_network(kubelet: Kubelet, network: str):
    """A pod answers on its own address on the bridge, or on the node's."""
    web = {
        "name": "web",
        "image": "registry.k8s.io/e2e-test-images/nginx:1.14-2",
        "env": [{"name": "PORT", "value": "8080"}],
    }
    name = kubelet.put(pod(f"network-{network}", web, hostNetwork=network == "host"))
    status = kubelet.wait_until_ready(name)
    address = "10.89.0.1" if network == "host" else status["podIP"]
    said = kubelet.wait(
        lambda: kubelet.node.call("busybox", "wget", "-q", "-O", "-", f"http://{address}:8080/").out, "an answer"
    )
    assert said == "It works!\n"


def test_shared_pid_namespace(kubelet: Kubelet):
    """With `shareProcessNamespace` the containers of a pod see each other's processes, and the pause program is process 1."""
    name = kubelet.put(
        pod("pids", container("a", "sleep 1234"), container("b", "sleep 1000"), shareProcessNamespace=True)
    )
    kubelet.wait_until_ready(name)
    listed = kubelet.exec(name, "b", "ps", "-o", "pid,args")
    assert "sleep 1234" in listed
    assert "1 /pause" in listed
