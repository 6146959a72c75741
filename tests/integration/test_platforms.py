"""What a config says for other platforms: it has no effect here, and is told once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.bundle import merge
from tests.integration.caller import Caller

SECTIONS: dict[str, dict[str, Any]] = {
    "/freebsd": {"freebsd": {"jail": {}}},
    "/solaris": {"solaris": {"milestone": "svc:/milestone/container:default"}},
    "/vm": {"vm": {"kernel": {"path": "/vmlinuz"}}},
    "/windows": {"windows": {"layerFolders": ["C:\\\\layers\\\\one"]}},
    "/zos": {"zos": {"namespaces": []}},
    "/process/commandLine": {"process": {"commandLine": "cmd /c dir"}},
    "/process/user/username": {"process": {"user": {"username": "ContainerUser"}}},
}


@pytest.mark.parametrize(
    ("pointer", "change"),
    [pytest.param(path, change, marks=pytest.mark.proves(path), id=path) for path, change in SECTIONS.items()],
)
@pytest.mark.not_on("runc", "crun", reason="ignores it without a word")
def test_property_of_another_platform(runtime: Caller, pointer: str, change: dict[str, Any]) -> None:
    """The container runs as the properties for Linux say; one warning names the other."""
    result = runtime.run(runtime.bundle(merge({"process": {"args": ["id", "-u"]}}, change))).ok()
    assert result.out == "0\n"
    assert len(result.err.splitlines()) == 1
    assert pointer in result.err
