"""The files of the schema, as data. Cold: for reports and for what people look up."""

import json
from functools import cache
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject

SCHEMA = Path(__file__).parent / "schema"  # importlib.resources would need a loader of this package's own


@cache
def schemas() -> "dict[str, JsonObject]":
    """File name → schema."""
    return {path.name: json.loads(path.read_text()) for path in sorted(SCHEMA.glob("*.json"))}
