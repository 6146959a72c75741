"""The files of contrib/ are what their managers read: containerd and Docker say what they took from them."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.integration.managers import CONTRIB, INSTALLED

pytestmark = pytest.mark.no_runtime

DEBIAN = """
version = 2
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
"""
"""As Debian's package installs it."""


def test_containerd_after_debian(tmp_path: Path) -> None:
    """At the end of Debian's file, as docs/containerd.md says: the default is ocirun, and Debian's own setting stays."""
    if shutil.which("containerd") is None:
        pytest.skip("containerd is not installed")
    text = (CONTRIB / "containerd/config.toml").read_text().replace("version = 2\n", "")
    file = tmp_path / "config.toml"
    file.write_text(DEBIAN + text)
    command = ["containerd", "--config", file, "config", "dump"]
    said = tomllib.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    cri = said["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["cni"]["bin_dir"] == "/usr/lib/cni"
    assert cri["containerd"]["default_runtime_name"] == "ocirun"
    runtime = cri["containerd"]["runtimes"]["ocirun"]
    assert (runtime["runtime_type"], runtime["options"]["BinaryName"]) == ("io.containerd.runc.v2", INSTALLED)


def test_version_3_says_the_same() -> None:
    """containerd 2.x names its plugins otherwise; the runtime's table is the same."""
    tables = {
        plugin: tomllib.loads((CONTRIB / "containerd" / file).read_text())["plugins"][plugin]["containerd"]
        for plugin, file in (
            ("io.containerd.grpc.v1.cri", "config.toml"),
            ("io.containerd.cri.v1.runtime", "config-v3.toml"),
        )
    }
    assert len({json.dumps(table) for table in tables.values()}) == 1


def test_one_path() -> None:
    """Every file that names the program names the place of `make install`."""
    named = [file for file in CONTRIB.glob("*/*") if "bin/ocirun" in file.read_text()]
    assert len(named) >= 6
    for file in named:
        assert file.read_text().count("bin/ocirun") == file.read_text().count(INSTALLED), file
