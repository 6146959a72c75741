"""contrib/containerd/cri.toml beside a configuration of containerd that is there already, as docs/kubernetes.md says."""

import shutil
import subprocess
from pathlib import Path

import pytest

CRI = Path(__file__).resolve().parents[2] / "contrib/containerd/cri.toml"
BEFORE = """version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "example/pause:1"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "/usr/bin/the-other"
"""


def dump(containerd: Path | str, config: Path) -> str:
    """containerd's configuration as it understands it."""
    done = subprocess.run(
        [containerd, "--config", config, "config", "dump"], capture_output=True, text=True, check=True
    )
    return done.stdout.replace("'", '"')


def check(said: str) -> None:
    """ocirun is there, and all that was there before."""
    for words in ('BinaryName = "/usr/local/bin/ocirun"', 'BinaryName = "/usr/bin/the-other"', '"example/pause:1"'):
        assert words in said


def test_import(programs: Path, tmp_path: Path):
    """containerd 2 reads it as a file that its configuration imports."""
    shutil.copy(CRI, tmp_path / "ocirun.toml")
    (tmp_path / "config.toml").write_text(f'imports = ["{tmp_path}/ocirun.toml"]\n' + BEFORE)
    check(dump(programs / "containerd", tmp_path / "config.toml"))


def test_append(tmp_path: Path):
    """containerd 1 reads its tables at the end of its configuration."""
    containerd = shutil.which("containerd", path="/usr/bin")
    if containerd is None:
        pytest.skip("Debian's containerd is not installed")
    config = tmp_path / "config.toml"
    config.write_text(BEFORE)
    with open(config, "a") as file:
        subprocess.run(["grep", "-v", "^version", CRI], stdout=file, check=True)
    check(dump(containerd, config))
