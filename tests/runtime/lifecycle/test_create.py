"""What create decides by itself."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.lifecycle.create import opens_init

USER = {"type": "user"}


@pytest.mark.parametrize(
    ("capabilities", "namespaces", "opens"),
    [
        (None, None, False),
        ({}, [], False),
        ({"bounding": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}, [{"type": "pid"}], False),
        ({"bounding": ["CAP_CHOWN", "CAP_SYS_PTRACE"]}, [{"type": "pid"}], True),
        ({"bounding": [], "ambient": ["CAP_SYS_PTRACE"]}, [], True),
        ({"bounding": ["CAP_SYS_PTRACE"]}, [{"type": "pid"}, USER], False),
        ({"bounding": ["CAP_SYS_PTRACE"]}, [{**USER, "path": "/proc/1/ns/user"}], True),
    ],
)
def test_who_can_open_its_init(capabilities: Any, namespaces: Any, opens: bool) -> None:
    """Whoever has CAP_SYS_PTRACE in the user namespace that init was executed in."""
    spec: Any = {"linux": {} if namespaces is None else {"namespaces": namespaces}}
    if capabilities is not None:
        spec["process"] = {"capabilities": capabilities}
    assert opens_init(spec) is opens
