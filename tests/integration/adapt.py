"""Turn a config that a manager generated on another machine into one that runs here.

The configs in tests/configs name sources, a sandbox's pid, cgroups and network namespaces of the machine
where they were made. `adapt` puts local ones in their place and changes nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.bundle import GROUP, PASSWD, Config

CONFIGS = Path(__file__).parents[1] / "configs"
CONTENT = {
    "hosts": "127.0.0.1 localhost\n",
    "hostname": "box\n",
    "resolv.conf": "",
    "passwd": PASSWD,
    "group": GROUP,
}
SOURCE_DIRECTORIES = ("shm", "rc", "exec", "crilog")
NETNS_DIRECTORIES = ("/run/netns/", "/var/run/netns/")


def names() -> list[str]:
    """The names of the kept configs, without `podman-exec-process`, which is for `exec --process`."""
    return sorted(file.stem for file in CONFIGS.glob("*.json") if file.stem != "podman-exec-process")


def load(name: str) -> Config:
    config: Config = json.loads((CONFIGS / f"{name}.json").read_text())
    return config


def needs_sandbox(config: Config) -> bool:
    """Whether the container joins namespaces of a sandbox that has to be created before."""
    return any("@PID@" in space.get("path", "") for space in config["linux"]["namespaces"])


@dataclass
class Surroundings:
    """What stands for the other machine's things."""

    sources: Path
    """Directory for @SOURCES@; each file or directory that the config names is made in it."""
    sandbox_pid: int
    cgroup: str
    """The new last element of cgroupsPath."""
    netns: Callable[[], str]
    """Makes a network namespace and returns its path."""
    recorder: Path
    """Program that stands in for Docker's hook, which is found through /proc/PID/exe of a daemon."""
    own_parent: bool = False
    """Also give cgroupsPath's first element a name of our own, since whoever runs beside us may remove the shared one."""


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _make_sources(config: Config, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for text in _strings(config):
        if "@SOURCES@/" not in text:
            continue
        name = text.partition("@SOURCES@/")[2]
        path = directory / name
        if name in SOURCE_DIRECTORIES:
            path.mkdir(exist_ok=True)
        elif not path.exists():
            path.write_text(CONTENT.get(name, f"{name}\n"))


def _replace(value: Any, around: Surroundings) -> Any:
    if isinstance(value, dict):
        return {key: _replace(item, around) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, around) for item in value]
    if not isinstance(value, str):
        return value
    if value == "/proc/@PID@/exe":
        return str(around.recorder)
    if value.startswith(NETNS_DIRECTORIES):
        return around.netns()
    return value.replace("@SOURCES@", str(around.sources)).replace("@PID@", str(around.sandbox_pid))


def adapt(config: Config, around: Surroundings) -> Config:
    """A new config for this machine."""
    _make_sources(config, around.sources)
    adapted: Config = _replace(config, around)
    path = adapted["linux"].get("cgroupsPath")
    if path:
        parents = path.rpartition("/")[0]
        if around.own_parent:
            first, slash, rest = parents.lstrip("/").partition("/")
            parents = f"/{first}-{around.cgroup}{slash}{rest}"
        adapted["linux"]["cgroupsPath"] = f"{parents}/{around.cgroup}"
    return adapted
