"""``ocirun verify``: nothing differs in a container as it was made, and each drift is named by its pointer."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration import adapt
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller
from tests.integration.console import ConsoleSocket
from tests.integration.test_configs import forbidden_limit

pytestmark = pytest.mark.not_on("runc", "crun", reason="has no such command")


def verify(runtime: Caller, *words: str | Path) -> tuple[int, list[dict[str, Any]]]:
    """The exit status, and the checks."""
    result = runtime.call("verify", "--format", "json", *words)
    assert result.code in (0, 1), result.err
    checks: list[dict[str, Any]] = json.loads(result.out)["checks"]
    return result.code, checks


def not_ok(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [check for check in checks if check["verdict"] != "ok"]


@pytest.mark.parametrize("name", adapt.names())
def test_managers_configs(runtime: Caller, prepare: Callable[[str], Bundle], name: str) -> None:
    """A container of each manager's config is as its config says."""
    bundle = prepare(name)
    if forbidden_limit(bundle.config):
        pytest.skip("the machine cannot grant its limits")
    bundle.process["args"] = ["sleep", "600"]
    bundle.save()
    with ExitStack() as stack:
        flags: list[str | Path] = []
        if bundle.process.get("terminal"):
            console = stack.enter_context(ConsoleSocket(runtime.directory / "console"))
            flags = ["--console-socket", console.path]
        id = runtime.create(bundle, *flags)
        if flags:
            stack.enter_context(console.receive())
        runtime.start(id)
        status, checks = verify(runtime, id)
        assert not_ok(checks) == []
        assert status == 0
        runtime.remove(id)
