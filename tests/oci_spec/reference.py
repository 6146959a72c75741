"""The official schemas and examples, from $OCI_REFERENCE, to compare ours with."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

ROOT = Path(__file__).parents[2]
REFERENCE = Path(os.environ.get("OCI_REFERENCE", ROOT.parent / "shared" / "oci-reference"))
CONFIGS = Path(os.environ.get("OCI_CONFIGS", ROOT / "tests" / "configs"))

needs_reference = pytest.mark.skipif(
    not (REFERENCE / "config-schema.json").exists(),
    reason="the official schemas are not here: OCI_REFERENCE names their directory",
)
KINDS = ("config", "state", "features")


@cache
def official() -> dict[str, dict[str, Any]]:
    """File name → official schema."""
    return {path.name: json.loads(path.read_text()) for path in sorted(REFERENCE.glob("*.json"))}


@cache
def official_validator(kind: str) -> Any:
    """The validator of the official schema of a kind."""
    base = "http://official.invalid/"
    resources = [
        (base + name, Resource.from_contents(schema | {"id": base + name}, default_specification=DRAFT4))
        for name, schema in official().items()
        if name != "since.json"
    ]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft4Validator(official()[f"{kind}-schema.json"] | {"id": f"{base}{kind}-schema.json"}, registry=registry)


def examples(kind: str, verdict: str) -> list[Path]:
    return sorted((REFERENCE / "test" / kind / verdict).glob("*.json"))
