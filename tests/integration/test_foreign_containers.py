"""Containers that runc or crun created under the same --root, as where a manager's `runc` is exchanged for ocirun."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.caller import Caller
from tests.integration.snapshot import cgroup_hierarchies

COMMANDS = ("state", "start", "kill", "pause", "resume", "ps", "delete", "delete --force")

pytestmark = pytest.mark.not_on("runc", "crun", reason="about ocirun beside them")


@pytest.fixture(params=["runc", "crun"])
def peer(request: pytest.FixtureRequest, runtime: Caller, token: str, busybox: Path) -> Caller:
    """The other runtime, with the same state root."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    directory = runtime.directory / "peer"
    directory.mkdir()
    if request.param == "crun" and len({kind for _, kind in cgroup_hierarchies()}) == 2:
        # crun refuses a v2 hierarchy with controllers beside v1.
        script = directory / "crun"
        script.write_text(
            f'#!/bin/sh\nexec unshare --mount sh -c \'umount -l /sys/fs/cgroup/unified; exec {program} "$@"\' crun "$@"\n'
        )
        script.chmod(0o755)
        program = str(script)
    caller = Caller(program, directory, f"{token}-peer", busybox)
    caller.root = runtime.root
    return caller


def test_are_left_alone(runtime: Caller, peer: Caller) -> None:
    """Every command is an error that names the other runtime, delete --force too; `list` shows ours; the id is in use."""
    bundle = peer.sleeper()
    bundle.config["ociVersion"] = "1.0.2"
    id = peer.launch(bundle.save())
    own = runtime.launch(runtime.sleeper())
    try:
        for command in COMMANDS:
            done = runtime.call(*command.split(), id).failed(1)
            assert f'container "{id}" was created by {peer.name}' in done.err, command
        refused = runtime.call("create", "--bundle", runtime.sleeper().directory, id).failed(1)
        assert f'container with id "{id}" already exists' in refused.err
        listed = json.loads(runtime.call("list", "--format", "json").ok().out)
        assert [one["id"] for one in listed] == [own]
        assert peer.exec(id, "echo alive").ok().out == "alive\n"
    finally:
        peer.call("delete", "--force", id).ok()
    assert id not in runtime.known_ids()
