"""Where the tests of the API make containers."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import pytest
from ocirun import Container

from tests.integration import images
from tests.integration.bundle import BUSYBOX, Bundle, Config, default_config, merge

on_real_containers = pytest.mark.skipif(
    os.geteuid() != 0 or not BUSYBOX.exists(), reason="needs root and busybox-static"
)


DOUBTFUL = {"ociVersion": "1.99.0"}  # a newer version is a warning


class Place:
    """A bundle that sleeps, a state root, and ids that are nobody else's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "state"
        self.token = f"api{secrets.token_hex(4)}"
        self.bundle = Bundle(directory, {})

    def configure(self, change: Config) -> Path:
        base = merge(default_config(), {"process": {"args": ["sleep", "60"]}})
        base["linux"]["cgroupsPath"] = f"/{self.token}"
        self.bundle.config = merge(base, change)
        self.bundle.save()
        return self.directory

    def create(self, *args: str, name: str = "", **options: Any) -> Container:
        """A container of the bundle, whose program is ``args`` where they are given."""
        id = self.token + name
        change = {"process": {"args": list(args)}} if args else {}
        self.configure(merge(change, {"linux": {"cgroupsPath": f"/{id}"}}))
        return Container.create(id, self.directory, root=self.root, **options)

    def process(self, *args: str) -> dict[str, Any]:
        return {**self.bundle.process, "args": list(args)}


def end(container: Container) -> None:
    container.delete(force=True)
    container.wait()


def many_files(place: Path, count: int = 40_000) -> Path:
    """An image in ``place`` that takes seconds to unpack."""
    entries = [images.entry(f"f{number}", b"x") for number in range(count)]
    return images.layout(place / "many", images.archive(*entries), config={"Cmd": ["sh"]})
