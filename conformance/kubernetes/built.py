#!/usr/bin/env python3
"""Builds what the tests of Kubernetes need, once for each version: see modules/. Prints the directory of the programs.

The programs are kept in ~/.cache/ocirun/kubernetes, in a directory named for the versions. Building all takes Go some ten minutes on
two processors. Debian's busybox, which is no program of ours, is fetched with apt-get.

Usage: built.py MODULE...
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from golang import go_program

MODULES = Path(__file__).resolve().parent / "modules"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ocirun/kubernetes"
MAIN_MODULES = {
    "containerd": "github.com/containerd/containerd/v2",
    "cri-tools": "sigs.k8s.io/cri-tools",
    "kubernetes": "k8s.io/kubernetes",
}
KUBERNETES = ("kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
# What go is told, with the module's directory as the working directory; {out} is a directory, {version} the main module's version.
COMMANDS = {
    "containerd": [
        f"build -o {{out}}/ {MAIN_MODULES['containerd']}/cmd/{name}"
        for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    ],
    "cri-tools": [
        "build -o {out}/ sigs.k8s.io/cri-tools/cmd/crictl",
        "test -c -o {out}/critest sigs.k8s.io/cri-tools/cmd/critest",
    ],
    "kubernetes": [
        *(f"build -o {{out}}/ k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES),
        "build -o {out}/etcd go.etcd.io/etcd/server/v3",
    ],
    "programs": ["build -o {out}/programs ."],
}
LINKED = {
    "containerd": "-X github.com/containerd/containerd/v2/version.Version={version}",
    "cri-tools": "-X sigs.k8s.io/cri-tools/pkg/version.Version={version}",
    "kubernetes": "-X k8s.io/component-base/version.gitVersion={version}",
}


def version(module: str) -> str:
    """The version of the module's subject, as go.mod pins it; empty for what is made here."""
    found = re.search(rf"{re.escape(MAIN_MODULES.get(module, ' '))} (v\S+)", (MODULES / module / "go.mod").read_text())
    return found[1] if found else ""


def key(module: str) -> str:
    """A word for the module's content."""
    content = [path.name.encode() + path.read_bytes() for path in sorted((MODULES / module).iterdir())]
    return hashlib.sha256(b"".join(content)).hexdigest()[:12]


def built(module: str) -> Path:
    """The directory of the module's programs; builds them if they are not there."""
    directory = CACHE / f"{module}-{key(module)}"
    if directory.exists():
        return directory
    program = go_program()
    if program is None:
        sys.exit("building the tests of Kubernetes needs Go 1.25 or newer, which is not installed")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        linked = f"-ldflags=-s -w {LINKED.get(module, '')}".format(version=version(module))
        for command in COMMANDS[module]:
            verb, *words = command.format(out=out).split()
            print(f"go {command.format(out='BIN')}", file=sys.stderr, flush=True)
            subprocess.run(
                [program, verb, "-mod=readonly", "-trimpath", linked, *words], cwd=MODULES / module, check=True,
                env={**os.environ, "CGO_ENABLED": "0"},
            )  # fmt: skip
        out.rename(directory)
    return directory


def busybox() -> Path:
    """Debian's shared busybox, which cannot be installed beside the static one."""
    kept = CACHE / "busybox"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            subprocess.run(
                ["apt-get", "--quiet", "download", "busybox"],
                cwd=scratch,
                check=True,
                stdout=sys.stderr,
                stderr=subprocess.DEVNULL,
            )
            (package,) = Path(scratch).glob("*.deb")
            subprocess.run(["dpkg-deb", "--extract", package, scratch], check=True)
            shutil.copy(Path(scratch) / "bin/busybox", f"{kept}.new")
            os.rename(f"{kept}.new", kept)
    return kept


def programs(*modules: str) -> Path:
    """One directory with links to the programs of these modules and to busybox."""
    places = [built(module) for module in modules]
    word = hashlib.sha256("".join(map(str, places)).encode()).hexdigest()[:12]
    directory = CACHE / f"programs-{word}"
    directory.mkdir(exist_ok=True)
    for target in [busybox(), *(path for place in places for path in place.iterdir())]:
        link = directory / target.name
        if not link.is_symlink():
            link.symlink_to(target)
    return directory


if __name__ == "__main__":
    print(programs(*(sys.argv[1:] or COMMANDS)))
