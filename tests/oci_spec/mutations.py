"""Documents that break the official schema in one spot each, made by walking it."""

import random
from collections.abc import Iterator
from typing import Any

from tests.oci_spec.reference import official

Schema = dict[str, Any]
Path = tuple[str | int, ...]

# A string that satisfies each pattern of the official schemas, and strings that do not.
FITTING = {
    "^RLIMIT_[A-Z]+$": "RLIMIT_CORE",
    "^[0-9, -]*$": "0-1",
    "^[cbup]$": "c",
    "^[1-9][0-9]*[KMG]B$": "2MB",
    "^MB:[^\\n]*$": "MB:0=1",
    "^CAP_[A-Z_]+$": "CAP_KILL",
}
BREAKING = [
    "",
    "x",
    "RLIMIT_",
    "RLIMIT_core",
    "XRLIMIT_CORE",
    "0;1",
    "cb",
    "d",
    "0MB",
    "2kB",
    "MB",
    "2MB ",
    "mb:0",
    "CAP_",
]
BREAKING += ["CAP_kill", "CAP_A1", "MB:a\nb", " MB:1", "2PB", "KB"]
WRONG_TYPES: list[Any] = [None, True, False, 0, -1, 1, 1.0, 1.5, 1e30, 10**30, "", "x", [], [0], [None], {}]
WRONG_TYPES += [["x"], [[]], [{}], {"a": 0}, {"a": {}}, {"a": "b"}, {"a": []}]


class Spot:
    """A value in a kind of document: its path, a key or index per step, and its official schema."""

    def __init__(self, path: Path, pattern: str, schema: Schema, file: str, required: bool) -> None:
        self.path = path
        self.pattern = pattern
        self.schema = schema
        self.file = file  # in which the references of the schema are read
        self.required = required


def resolve(schema: Schema, file: str) -> tuple[Schema, str]:
    """A schema with its references resolved, and allOf and the official files' only anyOf flattened."""
    while "$ref" in schema:
        target, _, fragment = schema["$ref"].partition("#/")
        file = target or file
        schema = official()[file]
        for name in fragment.split("/"):
            schema = schema[name]
    if "anyOf" in schema:
        return resolve(schema["anyOf"][0], file)
    if "allOf" in schema:
        merged: Schema = {"type": "object", "properties": {}, "required": []}
        for part in schema["allOf"]:
            inner, _ = resolve(part, file)
            merged["properties"] |= inner.get("properties", {})
            merged["required"] += inner.get("required", [])
        return merged, "defs-linux.json"
    return schema, file


def spots(kind: str) -> Iterator[Spot]:
    file = f"{kind}-schema.json"
    return _spots(official()[file], file, (), "", True)


def _spots(schema: Schema, file: str, path: Path, pattern: str, required: bool) -> Iterator[Spot]:
    schema, file = resolve(schema, file)
    yield Spot(path, pattern, schema, file, required)
    for name, inner in schema.get("properties", {}).items():
        needed = name in schema.get("required", ())
        yield from _spots(inner, file, (*path, name), f"{pattern}/{name}", needed)
    if "items" in schema:
        yield from _spots(schema["items"], file, (*path, 0), f"{pattern}/*", False)
    for other in (schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()):
        if isinstance(other, dict):
            yield from _spots(other, file, (*path, "some.key"), f"{pattern}/*", False)


def minimal(schema: Schema, file: str) -> Any:
    """The smallest value that a schema accepts."""
    schema, file = resolve(schema, file)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: minimal(schema["properties"][name], file) for name in schema.get("required", ())}
    if kind == "array":
        return [minimal(schema["items"], file)] * schema.get("minItems", 0)
    if kind == "integer":
        return max(schema.get("minimum", 0), 0)
    return FITTING[schema["pattern"]] if "pattern" in schema else {"boolean": False, "string": "s"}[kind]


def document(kind: str, path: Path, value: Any, drop: bool = False) -> Any:
    """A minimal document of a kind, with a value at a path, or without the one there."""
    file = f"{kind}-schema.json"
    schema: Schema = official()[file]
    whole = minimal(schema, file)
    if not path:
        return value
    node = whole
    for step, name in enumerate(path):
        schema, file = resolve(schema, file)
        last = step == len(path) - 1
        schema = _child(schema, name)
        if isinstance(node, list):
            del node[1:]
            if not node:
                node.append(None)
        if last:
            if drop and isinstance(node, dict):
                node.pop(str(name), None)
            else:
                node[name] = value
        else:
            node[name] = minimal(schema, file)
            node = node[name]
    return whole


def _child(schema: Schema, name: str | int) -> Schema:
    if isinstance(name, int):
        return schema["items"]
    if name in schema.get("properties", {}):
        return schema["properties"][name]
    return schema.get("additionalProperties") or next(iter(schema["patternProperties"].values()))


def values(schema: Schema) -> Iterator[Any]:
    """Values at and beyond every limit of a schema, valid and invalid."""
    yield from WRONG_TYPES
    for bound in ("minimum", "maximum"):
        if bound in schema:
            yield from (schema[bound] - 1, schema[bound], schema[bound] + 1)
    for member in schema.get("enum", ()):
        yield from (member, member.lower(), member.upper(), f"{member}x", f" {member}", f"{member}\n")
    if "pattern" in schema:
        yield from BREAKING
        yield from (FITTING[schema["pattern"]], FITTING[schema["pattern"]] + "\n")


def mutated(kind: str) -> Iterator[tuple[str, Any]]:
    """(pattern of the pointer, document): every property, wrong in every way, and required ones left out."""
    for spot in spots(kind):
        for value in values(spot.schema):
            yield spot.pattern, document(kind, spot.path, value)
        if spot.required and spot.path:
            yield spot.pattern, document(kind, spot.path, None, drop=True)
        if spot.path and spot.path[-1] == "some.key":
            for key in ("", "\n", "a\nb"):
                yield spot.pattern, document(kind, (*spot.path[:-1], key), 0)
                yield spot.pattern, document(kind, (*spot.path[:-1], key), minimal(spot.schema, spot.file))
        if "properties" in spot.schema:
            yield spot.pattern, document(kind, spot.path, minimal(spot.schema, spot.file) | {"unheardOf": [1]})


def mixed(kind: str, count: int, seed: int) -> Iterator[tuple[str, Any]]:
    """Documents with two broken or unusual values each; the pattern names both."""
    chance = random.Random(seed)
    all_spots = [spot for spot in spots(kind) if spot.path]
    for _ in range(count):
        first, second = chance.sample(all_spots, 2)
        left = document(kind, first.path, chance.choice(list(values(first.schema))))
        right = document(kind, second.path, chance.choice(list(values(second.schema))))
        yield f"{first.pattern} {second.pattern}", {**right, **left}
