"""Facts of hosts that tests plan for."""

from typing import Any

V1_CONTROLLERS = ("cpu,cpuacct", "cpuset", "memory", "devices", "blkio", "pids", "hugetlb", "net_cls,net_prio", "rdma")


def hierarchy(
    version: int, controllers: tuple[str, ...], mountpoint: str, own: str = "/", root: str = "/"
) -> dict[str, Any]:
    return {"version": version, "controllers": controllers, "mountpoint": mountpoint, "root": root, "own": own}


def v1(*names: str, own: str = "/") -> dict[str, Any]:
    parts = [hierarchy(1, tuple(name.split(",")), f"/sys/fs/cgroup/{name}", own) for name in names or V1_CONTROLLERS]
    return {"mode": "v1", "hierarchies": tuple(parts)}


def v2(*controllers: str, own: str = "/") -> dict[str, Any]:
    names = controllers or ("cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma")
    return {"mode": "v2", "hierarchies": (hierarchy(2, names, "/sys/fs/cgroup", own),)}


def hybrid(*unified: str) -> dict[str, Any]:
    parts = (hierarchy(2, unified, "/sys/fs/cgroup/unified"), *v1("memory", "devices", "pids")["hierarchies"])
    return {"mode": "hybrid", "hierarchies": parts}
