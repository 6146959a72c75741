"""The daemons of nodes, and their configuration: containerd with its CRI plugin and a registry, and dockerd."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from images import PAUSE
from node import CNI_PLUGINS, Daemon, Node

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]

REGISTRY_PORT = 5000
SOCKET = Path("/run/containerd/containerd.sock")
DOCKER_SOCKET = Path("/run/docker.sock")

NETWORK = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.88.0.0/16"}]]},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}

CONFIG = """version = 2
root = "{directory}/root"
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
disable_apparmor = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{directory}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{directory}/certs.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "{default}"
{runtimes}
"""

RUNTIME = """[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}]
runtime_type = "io.containerd.runc.v2"
privileged_without_host_devices = false
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}.options]
BinaryName = "{path}"
"""


def containerd_node(directory: Path, programs: Path, runtimes: Mapping[str, str]) -> Node:
    """A node, to be started, with containerd and a registry. `runtimes`: name in containerd -> program; the first is the default."""
    mirror = directory / "certs.d/_default"
    for one in (mirror, directory / "cni"):
        one.mkdir(parents=True)
    (directory / "cni/10-pods.conflist").write_text(json.dumps(NETWORK))
    server = f"http://127.0.0.1:{REGISTRY_PORT}"
    (mirror / "hosts.toml").write_text(f'server = "{server}"\n[host."{server}"]\n')
    shared = (TREE / "contrib/containerd/cri.toml").read_text()
    ours = shared.replace("/usr/local/bin/ocirun", runtimes.get("ocirun", "/nonexistent"))
    ours = ours.replace("SystemdCgroup = true", "SystemdCgroup = false").replace("version = 2\n", "")
    others = [RUNTIME.format(name=name, path=path) for name, path in runtimes.items() if name != "ocirun"]
    config = CONFIG.format(
        directory=directory,
        socket=SOCKET,
        pause=PAUSE,
        plugins=CNI_PLUGINS,
        default=next(iter(runtimes)),
        runtimes="".join([*others, ours]),
    )
    (directory / "config.toml").write_text(config)
    images = [str(programs / "busybox"), str(programs / "programs"), str(REGISTRY_PORT)]
    registry = Daemon([sys.executable, str(HERE / "images.py"), *images], ("127.0.0.1", REGISTRY_PORT))
    containerd = Daemon(["containerd", "--config", f"{directory}/config.toml"], str(SOCKET))
    return Node(directory, [registry, containerd], programs)


def docker_node(directory: Path, runtime: str, number: int) -> Node:
    """A node, to be started, with dockerd, whose only runtime is this program."""
    directory.mkdir(parents=True)
    flags = {
        "host": f"unix://{DOCKER_SOCKET}",
        "data-root": str(directory / "data"),
        "exec-root": "/run/docker",
        "pidfile": "/run/docker.pid",
        "bridge": "none",
        "userland-proxy": "false",
        "add-runtime": f"tested={runtime}",
        "default-runtime": "tested",
        "exec-opt": "native.cgroupdriver=cgroupfs",
    }
    dockerd = Daemon(["dockerd", *(f"--{name}={value}" for name, value in flags.items())], str(DOCKER_SOCKET))
    return Node(directory, [dockerd], number=number)
