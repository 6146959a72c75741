"""The schema as a `jsonschema` validator. Only this module imports that library, and only to describe a failure."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, validators
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from oci_spec.schema_files import schemas


def _is_integer(_checker: object, value: object) -> bool:
    """An integer as this schema means it: not 1.0, which the other runtimes refuse."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator: Any = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
)


@cache
def validator(kind: str) -> Any:
    """The validator of "config", "process", "state" or "features"."""
    # Drop $schema: a reference to a schema that has it makes jsonschema switch to its stock validator, which accepts 1.0.
    bare = {name: {key: part for key, part in schema.items() if key != "$schema"} for name, schema in schemas().items()}
    resources = [(schema["$id"], DRAFT202012.create_resource(schema)) for schema in bare.values()]
    registry: Registry[Any] = Registry().with_resources(resources)
    return _Validator(bare[f"{kind}.json"], registry=registry)
