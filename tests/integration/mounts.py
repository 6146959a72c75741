"""Mounts for a config, and what the container shows of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller


def mount(destination: str, kind: str = "tmpfs", source: str = "tmpfs", *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def bind(destination: str, source: Path | str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "bind", "source": str(source), "options": ["bind", *options]}


def rbind(destination: str, source: Path | str, *options: str) -> dict[str, Any]:
    return {**bind(destination, source), "options": ["rbind", *options]}


def with_mounts(runtime: Caller, script: str, *mounts: dict[str, Any]) -> Bundle:
    bundle = runtime.shell(script)
    bundle.config["mounts"].extend(mounts)
    return bundle.save()


@dataclass
class Shown:
    """A line of mountinfo. ``propagation``: "shared:5", "master:7", "unbindable"."""

    path: str
    flags: set[str]
    propagation: list[str]
    kind: str
    superblock: set[str]

    def propagates(self) -> set[str]:
        return {name.partition(":")[0] for name in self.propagation} - {"propagate_from"}


def shown_in(text: str) -> dict[str, Shown]:
    """The last mount on each path of a mountinfo file."""
    found = {}
    for line in text.splitlines():
        fields = line.split()
        dash = fields.index("-")
        kind, superblock = fields[dash + 1], set(fields[dash + 3].split(","))
        found[fields[4]] = Shown(fields[4], set(fields[5].split(",")), fields[6:dash], kind, superblock)
    return found


def shown(runtime: Caller, bundle: Bundle) -> dict[str, Shown]:
    """What the container of the bundle sees as its mounts; its process is replaced."""
    bundle.process["args"] = ["cat", "/proc/self/mountinfo"]
    return shown_in(runtime.run(bundle.save()).ok().out)


def options_of(runtime: Caller, bundle: Bundle, path: str) -> tuple[set[str], list[str], str, set[str]]:
    """(flags, propagation fields, type, super options) of the last mount on the path, as mountinfo shows them."""
    found = shown(runtime, bundle)[path]
    return found.flags, found.propagation, found.kind, found.superblock


@contextmanager
def host_mount(path: Path, kind: str = "tmpfs", *options: str) -> Iterator[Path]:
    """A file system of the host's for the time of a test."""
    path.mkdir(parents=True, exist_ok=True)
    flags = ["-o", ",".join(options)] if options else []
    subprocess.run(["mount", "-t", kind, *flags, kind, path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@contextmanager
def nested(directory: Path, *options: str) -> Iterator[Path]:
    """A tmpfs with another tmpfs at `below` in it, both mounted with the options."""
    with host_mount(directory, "tmpfs", *[option for option in options if option != "ro"]) as top:
        (top / "below").mkdir()
        with host_mount(top / "below", "tmpfs", *[option for option in options if option != "ro"]) as below:
            if "ro" in options:
                for path in (below, top):
                    subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
            yield top
