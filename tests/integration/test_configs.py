"""Every config that a real manager generated runs, with busybox and with Debian, and so does what `spec` writes."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration import adapt
from tests.integration.bundle import Bundle, Config, default_config
from tests.integration.caller import Caller
from tests.integration.console import ConsoleSocket
from tests.integration.prepared import finish_rootfs

CAP_SYS_RESOURCE = 24
# One of each manager and kind: the second kernel is emulated, and a container takes seconds there.
ON_BOTH_KERNELS = (
    "podman",
    "podman-userns",
    "podman-limits",
    "docker",
    "containerd-seccomp",
    "cri-container",
    "buildkit",
)


def can_raise_limits() -> bool:
    text = Path("/proc/self/status").read_text()
    return bool(int(text.split("CapEff:\t")[1].split()[0], 16) >> CAP_SYS_RESOURCE & 1)


def forbidden_limit(config: Config) -> str | None:
    """The rlimit of the config that this machine cannot grant."""
    for limit in config["process"].get("rlimits", []):
        hard = resource.getrlimit(getattr(resource, limit["type"]))[1]
        if limit["hard"] > hard >= 0 and not can_raise_limits():
            return str(limit["type"])
    return None


def check_peer(runtime: Caller, name: str) -> None:
    if runtime.name != "ocirun" and "privileged" in name:
        pytest.skip(f"{runtime.name}: fails where a capability cannot be granted")


def run_once(runtime: Caller, bundle: Bundle) -> None:
    """create, start, end and delete; with a console socket where the config wants a terminal."""
    process = bundle.process
    with contextlib.ExitStack() as stack:
        flags: list[str | Path] = []
        if process.get("terminal"):
            console = stack.enter_context(ConsoleSocket(runtime.directory / "console"))
            flags = ["--console-socket", console.path]
        id = runtime.create(bundle, *flags)
        if flags:
            stack.enter_context(console.receive())
        assert runtime.status(id) == "created"
        runtime.start(id)
        if process["args"][0] in ("sleep", "/pause"):
            assert runtime.status(id) == "running"
            runtime.kill(id, "KILL")
        runtime.wait_status(id)
        runtime.call("delete", id).ok()
    warnings = runtime.errors(id)
    assert "level=error" not in warnings
    if bundle.config.get("hooks"):
        words = (runtime.directory / "hooks").read_text()
        assert words.startswith("-exec-root=")  # a script does not see argv[0]
        assert id in words


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.kernel if name in ON_BOTH_KERNELS else ()) for name in adapt.names()]
)
def test_busybox(runtime: Caller, prepare: Callable[[str], Bundle], name: str) -> None:
    """The config runs on a busybox root file system; a limit that the machine forbids is told by name."""
    check_peer(runtime, name)
    bundle = prepare(name)
    forbidden = forbidden_limit(bundle.config)
    if forbidden:
        assert forbidden in runtime.try_create(bundle).failed(1).err
        return
    run_once(runtime, bundle)


@pytest.mark.parametrize("name", adapt.names())
def test_debian(runtime: Caller, prepare: Callable[[str], Bundle], debian: Path, name: str) -> None:
    """The config runs on a Debian root file system, a writable overlay of the cached one."""
    check_peer(runtime, name)
    bundle = prepare(name)
    if forbidden_limit(bundle.config):
        pytest.skip("the machine cannot grant its limits")
    with overlay(bundle, debian):
        finish_rootfs(bundle)
        run_once(runtime, bundle)


def test_debian_spec(runtime: Caller, debian: Path) -> None:
    """The default config runs Debian's own programs."""
    bundle = runtime.bundle(
        {"process": {"args": ["bash", "-c", ". /etc/os-release; echo $ID; id -un; ls /proc/self/fd"]}}
    )
    with overlay(bundle, debian):
        assert runtime.run(bundle).ok().out.split()[:2] == ["debian", "root"]


@contextlib.contextmanager
def overlay(bundle: Bundle, lower: Path) -> Iterator[None]:
    """Mount a writable overlay of the cached root file system as the bundle's."""
    shutil.rmtree(bundle.rootfs)
    upper, work = bundle.directory / "upper", bundle.directory / "work"
    for directory in (bundle.rootfs, upper, work):
        directory.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, bundle.rootfs], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", bundle.rootfs], check=True)


@pytest.mark.not_on("runc", "crun", reason="fails")
@pytest.mark.parametrize("name", [name for name in adapt.names() if "privileged" in name])
def test_privileged_warns(runtime: Caller, prepare: Callable[[str], Bundle], name: str) -> None:
    """A privileged config runs with one warning that names the capabilities that could not be granted."""
    if can_raise_limits():
        pytest.skip("the machine has every capability")
    bundle = prepare(name)
    asked = "CAP_SYS_RESOURCE" in bundle.process["capabilities"]["bounding"]
    warnings = [line for line in runtime.run(bundle).ok().err.splitlines() if "CAP_SYS_RESOURCE" in line]
    assert len(warnings) == asked


def test_buildah_prints(runtime: Caller, prepare: Callable[[str], Bundle]) -> None:
    """Buildah's config runs its script: the output and the file that it makes are there."""
    bundle = prepare("buildah")
    if forbidden_limit(bundle.config):
        pytest.skip("the machine cannot grant its limits")
    out = runtime.run(bundle).ok().out
    assert "uid=0(root) gid=0(root)" in out
    assert (bundle.rootfs / "built").read_text() == "built\n"


def test_podman_limits_are_in_force(runtime: Caller, prepare: Callable[[str], Bundle]) -> None:
    """What Podman's flags asked for holds in the container."""
    bundle = prepare("podman-limits")
    bundle.process["args"] = ["sh", "-c", "id -u; id -G; ulimit -n; cat /proc/self/oom_score_adj; touch /x 2>&1; nproc"]
    lines = runtime.run(bundle.save()).ok().out.splitlines()
    assert lines[:4] == ["1000", "1000", "100", "100"]
    assert "Read-only" in lines[4]


def test_userns_config_is_mapped(runtime: Caller, prepare: Callable[[str], Bundle]) -> None:
    """Podman's user namespace config maps root to 100000."""
    bundle = prepare("podman-userns")
    if forbidden_limit(bundle.config):
        pytest.skip("the machine cannot grant its limits")
    bundle.process["args"] = ["cat", "/proc/self/uid_map"]
    assert runtime.run(bundle.save()).ok().out.split()[:2] == ["0", "100000"]


def test_default_config_is_that_of_runc_spec() -> None:
    """The tests' own default config and the kept ones are valid JSON objects with the sections that tests change."""
    for config in [default_config(), *map(adapt.load, adapt.names())]:
        assert json.loads(json.dumps(config)) == config
        assert {"process", "root", "mounts", "linux"} <= set(config)
