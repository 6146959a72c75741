"""The properties of a config as places of the schema: what each means, its type, and since when it exists. Cold.

A place is named by a pointer in which ``*`` stands for every list item or map key: ``/mounts/*/options``.
"""

from functools import cache

from oci_spec.schema_files import schemas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import JsonObject

_TEXTS = ("title", "description", "x-since")


class Place:
    """One place of the schema.

    pointer, title, description; since: the version of the spec, "1.0.0"; type: in words; node: the schema there, with
    references resolved; required: whether the object that has it must have it.
    """

    __slots__ = ("description", "node", "pointer", "required", "since", "title", "type")

    def __init__(self, pointer: str, node: "JsonObject", file: str, since: str, required: bool) -> None:
        self.pointer = pointer
        self.node = node
        self.title: str = node.get("title", "")
        self.description: str = node.get("description", "")
        self.since = since
        self.required = required
        self.type = type_of(node, file)


@cache
def places() -> "dict[str, Place]":
    """Every place of config.json, in the schema's order: an object before what is in it."""
    root, file = _resolved(schemas()["config.json"], "config.json")
    return {place.pointer: place for place in _below(root, file, "", "1.0.0")}


def find(pointer: str) -> "Place | None":
    """The place of a value: ``/mounts/0/options/3`` is at ``/mounts/*/options/*``. None if the schema has no such value."""
    known = places()
    at = ""
    for name in pointer.split("/")[1:]:
        if f"{at}/{name}" in known:
            at = f"{at}/{name}"
        elif f"{at}/*" not in known or (known[at].node.get("type") == "array" and not name.isdigit()):
            return None
        else:
            at = f"{at}/*"
    return known.get(at)


def _below(node: "JsonObject", file: str, pointer: str, since: str) -> "Iterator[Place]":
    """The places below one. Along a path the newest version counts."""
    members = [(f"{pointer}/{name}", inner, name in node.get("required", ())) for name, inner in _named(node)]
    for inside, inner, required in members:
        resolved, home = _resolved(inner, file)
        version = newest(since, str(resolved.get("x-since", "v1.0.0"))[1:])
        yield Place(inside, resolved, home, version, required)
        yield from _below(resolved, home, inside, version)


def _named(node: "JsonObject") -> "Iterator[tuple[str, JsonObject]]":
    """The parts of an object or list by name: ``*`` is each item, and each value of a map."""
    yield from node.get("properties", {}).items()
    for items in (node.get("items"), node.get("additionalProperties")):
        if type(items) is dict:
            yield "*", items


def _resolved(node: "JsonObject", file: str) -> "tuple[JsonObject, str]":
    """The node with what it refers to, and the file whose references it now has. Its own texts win."""
    texts = {key: node[key] for key in _TEXTS if key in node}
    while "$ref" in node:
        name, _, fragment = node["$ref"].partition("#")
        file = name or file
        node = schemas()[file]
        for part in fragment.split("/")[1:]:
            node = node[part]
    return {**node, **texts}, file


def newest(*versions: str) -> str:
    """The newest of versions such as "1.0.2"."""
    return max(versions, key=lambda version: tuple(map(int, version.split("."))))


def type_of(node: "JsonObject", file: str) -> str:
    """The type in words, with the values that it may have. ``file``: the one that the node's references start from."""
    kind = node.get("type", "")
    if "enum" in node:
        return "one of " + ", ".join(map(str, node["enum"]))
    if kind == "integer":
        return "integer" + _range(node)
    if kind == "boolean":
        return "true or false"
    if kind == "array":
        least = f", at least {node['minItems']}" if "minItems" in node else ""
        return f"list of {_plural(node['items'], file)}{least}"
    if kind == "object":
        return _object(node, file)
    if "pattern" in node:
        return f"string of the form {node['pattern'].removesuffix('(?!' + chr(92) + 'n)')}"
    return str(kind)


def _range(node: "JsonObject") -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is None:
        return ""
    return f", {low} to {high}" if high is not None else f", {low} or more"


def _object(node: "JsonObject", file: str) -> str:
    if node.get("properties"):
        required = set(node.get("required", ()))
        names = [f"{name} (required)" if name in required else name for name in node["properties"]]
        return f"object with {', '.join(names)}"
    values = node.get("additionalProperties")
    if type(values) is dict:
        return f"map of names to {_plural(values, file)}"
    return "object"


def _plural(items: "JsonObject", file: str) -> str:
    node = _resolved(items, file)[0]
    if "enum" in node:
        return f"strings, each one of {', '.join(map(str, node['enum']))}"
    return f"{node.get('type', 'value')}s{_range(node)}"
