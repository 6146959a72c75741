"""The fixture `prepare`: a bundle of a config that a manager generated, with what it names on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from tests.integration import adapt, snapshot
from tests.integration.bundle import Bundle, Config
from tests.integration.caller import Caller

RECORDER = "#!/bin/sh\nprintf '%s ' \"$@\" >> {log}\ncat >> {log}\n"


@pytest.fixture
def parents(token: str) -> Iterator[None]:
    """Parent cgroups, which the configs ask for by name, go at the end: they are this test's own."""
    yield
    for path in sorted(snapshot.cgroups(token), key=len, reverse=True):
        with contextlib.suppress(OSError):
            os.rmdir(path)


@pytest.fixture
def prepare(runtime: Caller, netns: Callable[[], str], parents: None) -> Callable[[str], Bundle]:
    """Makes a bundle (without a root file system) of a config's name; a sandbox is created where it is needed."""

    def prepare(name: str) -> Bundle:
        config = adapt.load(name)
        skip_without_disk(config)
        pid = 0
        if adapt.needs_sandbox(config):
            pid = runtime.pid(runtime.launch(runtime.sleeper()))
        recorder = runtime.directory / "recorder"
        recorder.write_text(RECORDER.format(log=runtime.directory / "hooks"))
        recorder.chmod(0o755)
        around = adapt.Surroundings(
            sources=runtime.directory / "sources",
            sandbox_pid=pid,
            cgroup=runtime.token,
            netns=netns,
            recorder=recorder,
            own_parent=True,
        )
        bundle = runtime.bundle(config=adapt.adapt(config, around))
        finish_rootfs(bundle)
        return bundle

    return prepare


def skip_without_disk(config: Config) -> None:
    """A throttled disk of the other machine has to be here too: its numbers are not adapted."""
    for name, entries in config["linux"].get("resources", {}).get("blockIO", {}).items():
        for entry in entries if name.startswith("throttle") else []:
            if not os.path.exists(f"/sys/dev/block/{entry['major']}:{entry['minor']}"):
                pytest.skip(f"no disk {entry['major']}:{entry['minor']}")


def finish_rootfs(bundle: Bundle) -> None:
    """What a manager does to a root file system: the sandbox's program, and directories owned by mapped ids."""
    bundle.write("/pause", "#!/bin/sh\nexec sleep 600\n", 0o755)
    if "uidMappings" in bundle.linux:
        uid, gid = (bundle.linux[f"{kind}Mappings"][0]["hostID"] for kind in ("uid", "gid"))
        for path in [bundle.rootfs, *bundle.rootfs.iterdir()]:
            if path.is_dir() and not path.is_symlink():
                os.chown(path, uid, gid)
