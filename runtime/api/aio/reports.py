"""The functions of `runtime.api.reports`, to be awaited."""

from oci_spec import Problem
from runtime.api import arguments
from runtime.api.aio.client import of_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from oci_spec.types import JsonObject
    from runtime.api.arguments import Document, Path
    from runtime.shapes import StateDocument


async def _report(name: str, *given: "Any", **options: "Any") -> "Any":
    paths = [arguments.absolute(one) if arguments.is_path(one) else one for one in given]
    client = await of_loop()
    return (await client.call({"call": "report", "name": name, "arguments": paths, "options": options}))[1]


async def list_containers(root: "Path | None" = None) -> "list[StateDocument]":
    """The state documents of all containers under ``root``, by id."""
    found: list[StateDocument] = await _report("list_containers", arguments.state_root(root))
    return found


async def validate(
    config: "Path | Document", *, kind: str = "config", host: bool = True, cgroup_manager: str = "cgroupfs"
) -> "list[Problem]":
    """As `ocirun.validate`."""
    found = await _report("validate", config, kind=kind, host=host, cgroup_manager=cgroup_manager)
    return [Problem(**one) for one in found]


async def plan(bundle: "Path", *, cgroup_manager: str = "cgroupfs") -> "JsonObject":
    """As `ocirun.plan`."""
    found: JsonObject = await _report("plan", bundle, cgroup_manager=cgroup_manager)
    return found


async def features() -> "JsonObject":
    """As `ocirun.features`."""
    found: JsonObject = await _report("features")
    return found


async def doctor() -> "JsonObject":
    """As `ocirun.doctor`."""
    found: JsonObject = await _report("doctor")
    return found
