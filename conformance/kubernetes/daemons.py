"""The daemons of nodes, and their configuration: containerd with its CRI plugin or CRI-O, with a registry; and dockerd."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from images import PAUSE
from node import CNI_PLUGINS, Daemon, Node

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]

REGISTRY_PORT = 5000
CRI = os.environ.get("OCIRUN_CRI", "containerd")
"""What serves the container runtime interface on a node: containerd, or crio, which has to be installed."""
SOCKET = Path({"containerd": "/run/containerd/containerd.sock", "crio": "/run/crio/crio.sock"}[CRI])
DOCKER_SOCKET = Path("/run/docker.sock")
CRIO_PROGRAMS = ("crio", "conmon", "pinns")
CAP_SYS_RESOURCE = 24

PLUGINS = [
    {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni",
            "ranges": [[{"subnet": "10.88.0.0/16"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    },
    {"type": "portmap", "capabilities": {"portMappings": True}},
]
NETWORK = {"cniVersion": "0.4.0", "name": "pods", "plugins": PLUGINS}

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

CRIO = """[crio]
root = "{directory}/root"
runroot = "/run/containers/storage"
storage_driver = "overlay"
log_dir = "/var/log/crio/pods"
version_file = "/run/crio/version"
version_file_persist = ""
clean_shutdown_file = ""
[crio.api]
listen = "{socket}"
stream_address = "127.0.0.1"
stream_port = "0"
[crio.runtime]
conmon = "{conmon}"
pinns_path = "{pinns}"
namespaces_dir = "/run/crio/ns"
cgroup_manager = "cgroupfs"
default_runtime = "{default}"
hooks_dir = []
{runtimes}
[crio.image]
pause_image = "{pause}"
signature_policy = "{directory}/policy.json"
[crio.network]
network_dir = "{directory}/cni"
plugin_dirs = ["{plugins}"]
[crio.nri]
enable_nri = false
"""

CRIO_RUNTIME = """[crio.runtime.runtimes.{name}]
runtime_path = "{path}"
runtime_type = "oci"
runtime_root = "/run/{name}"
"""

# As containerd's restrict_oom_score_adj, which CRI-O does not have, for a root that may not lower the score.
RESTRICTED = """#!/bin/sh
previous=
for word; do
    [ "$previous" = --bundle ] && sed -i 's/"oomScoreAdj": *-[0-9]*/"oomScoreAdj": 0/' "$word/config.json"
    previous=$word
done
exec {path} "$@"
"""


def missing() -> list[str]:
    """What a node needs for the container runtime interface, is not built here and is not installed."""
    return [name for name in CRIO_PROGRAMS if CRI == "crio" and shutil.which(name) is None]


def may_lower_oom_scores() -> bool:
    found = re.search(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> CAP_SYS_RESOURCE & 1)


def cri_node(directory: Path, programs: Path, runtimes: Mapping[str, str]) -> Node:
    """A node, to be started, with a registry and what CRI names. `runtimes`: name of the handler -> program; the first is the default."""
    return (crio_node if CRI == "crio" else containerd_node)(directory, programs, runtimes)


def registry_daemon(programs: Path) -> Daemon:
    images = [str(programs / "busybox"), str(programs / "programs"), str(REGISTRY_PORT)]
    return Daemon([sys.executable, str(HERE / "images.py"), *images], ("127.0.0.1", REGISTRY_PORT))


def containerd_node(directory: Path, programs: Path, runtimes: Mapping[str, str]) -> Node:
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
    containerd = Daemon(["containerd", "--config", f"{directory}/config.toml"], str(SOCKET))
    return Node(directory, [registry_daemon(programs), containerd], programs)


def crio_node(directory: Path, programs: Path, runtimes: Mapping[str, str]) -> Node:
    for one in ("cni", "crio.conf.d", "registries.conf.d", "runtimes"):
        (directory / one).mkdir(parents=True)
    if not may_lower_oom_scores():
        for name, path in runtimes.items():
            script = directory / "runtimes" / name
            script.write_text(RESTRICTED.format(path=path))
            script.chmod(0o755)
        runtimes = {name: f"{directory}/runtimes/{name}" for name in runtimes}
    # CRI-O itself sees to ports.
    network = {**NETWORK, "plugins": [one for one in PLUGINS if one["type"] != "portmap"]}
    (directory / "cni/10-pods.conflist").write_text(json.dumps(network))
    (directory / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    mirror = '[[registry]]\nprefix = "{}"\nlocation = "127.0.0.1:{}"\ninsecure = true\n'
    mirrors = [mirror.format(host, REGISTRY_PORT) for host in ("registry.k8s.io", "gcr.io")]
    (directory / "registries.conf").write_text("".join(mirrors))
    shared = (TREE / "contrib/crio/10-ocirun.conf").read_text()
    if "ocirun" in runtimes:
        ours = shared.replace("/usr/local/bin/ocirun", runtimes["ocirun"])
        ours = re.sub("^default_runtime = .*", f'default_runtime = "{next(iter(runtimes))}"', ours, flags=re.MULTILINE)
        (directory / "crio.conf.d/10-ocirun.conf").write_text(ours)
    others = [CRIO_RUNTIME.format(name=name, path=path) for name, path in runtimes.items() if name != "ocirun"]
    installed = {name: shutil.which(name) or name for name in CRIO_PROGRAMS}
    config = CRIO.format(
        directory=directory,
        socket=SOCKET,
        conmon=installed["conmon"],
        pinns=installed["pinns"],
        pause=PAUSE,
        plugins=CNI_PLUGINS,
        default=next(iter(runtimes)),
        runtimes="".join(others),
    )
    (directory / "crio.conf").write_text(config)
    flags = {
        "config": "crio.conf",
        "config-dir": "crio.conf.d",
        "registries-conf": "registries.conf",
        "registries-conf-dir": "registries.conf.d",
    }
    crio = Daemon([installed["crio"], *(f"--{name}={directory}/{file}" for name, file in flags.items())], str(SOCKET))
    return Node(directory, [registry_daemon(programs), crio], programs)


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
