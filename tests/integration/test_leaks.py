"""Many containers, one after another and at once, leave nothing: the fixture compares before and after."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration import snapshot
from tests.integration.caller import Caller


@pytest.mark.slow
def test_200_one_after_another(runtime: Caller) -> None:
    """200 containers that were created, half of them started, and deleted."""
    bundle = runtime.bundle()
    for number in range(200):
        id = runtime.create(bundle)
        if number % 2:
            runtime.start(id)
        runtime.remove(id)
    snapshot.reap_orphans()
    assert runtime.known_ids() == []


@pytest.mark.slow
def test_50_at_once(runtime: Caller) -> None:
    """50 containers that live at the same time, made and removed by callers at the same time."""
    bundles = [runtime.bundle() for _ in range(50)]

    def quiet(*words: str) -> int:
        null = subprocess.DEVNULL
        command = runtime.command(*words)
        return subprocess.run(command, stdin=null, stdout=null, stderr=null, timeout=60, check=False).returncode

    ids = [runtime.new_id() for _ in bundles]
    with ThreadPoolExecutor(8) as pool:
        created = pool.map(
            lambda pair: quiet("create", "--bundle", str(pair[0].directory), pair[1]), zip(bundles, ids, strict=True)
        )
        assert list(created) == [0] * 50
        assert runtime.known_ids() == sorted(ids)
        assert list(pool.map(lambda one: quiet("start", one), ids)) == [0] * 50
        assert list(pool.map(lambda one: quiet("delete", "--force", one), ids)) == [0] * 50
    assert runtime.known_ids() == []


@pytest.mark.slow
def test_failed_creates_leave_nothing(runtime: Caller) -> None:
    """10 creates that fail at different places."""
    broken = [
        {"process": {"args": ["no-such-command"]}},
        {"mounts": [{"destination": "/proc", "type": "proc"}, {"destination": "/x", "type": "nosuch", "source": "n"}]},
        {"linux": {"sysctl": {"net.no.such.thing": "1"}}},
        {"linux": {"resources": {"cpu": {"cpus": "9999"}}}},
        {"hooks": {"createRuntime": [{"path": "/bin/false"}]}},
    ]
    for change in broken * 2:
        runtime.try_create(runtime.bundle(change)).failed()
    assert runtime.known_ids() == []
