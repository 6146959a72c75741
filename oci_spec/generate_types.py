"""Generates `types.py`, the spec as typed dicts, from the schema: `python -m oci_spec.generate_types` (a test compares)."""

from oci_spec.generate_shapes import ELSEWHERE, SCHEMA, quoted, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject

HEADER = '''"""The documents as typed dicts, generated from schema/*.json by `oci_spec.generate_types`. Do not edit.

For type checkers only: import under TYPE_CHECKING. Other platforms' sections are untyped.
"""

# ruff: noqa
# fmt: off
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, Required, TypedDict

    # JSON of unknown shape: an unchecked document, or another platform's section.
    Json = Any
    JsonObject = dict[str, Json]
'''
SCALARS = {"string": "str", "boolean": "bool", "integer": "int"}


class Types:
    """Collects one class for each object of the schema, inner ones first."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.known: set[str] = set()
        self.members: dict[str, list[str]] = {}

    def reference(self, target: str, file: str) -> str:
        path, _, name = target.partition("#/$defs/")
        path = path or file
        stem = path.removesuffix(".json")
        if not name and stem in ELSEWHERE:
            return "JsonObject"
        schema = read(path)
        return self.annotation(schema["$defs"][name] if name else schema, path, camel(name or stem))

    def annotation(self, schema: "JsonObject", file: str, name: str) -> str:
        """The annotation of a schema; `name` names its class, if it needs one."""
        if "$ref" in schema:
            return self.reference(schema["$ref"], file)
        if "enum" in schema:
            return f"Literal[{', '.join(map(repr, schema['enum']))}]".replace("'", '"')
        kind = schema["type"]
        if kind == "array":
            return f"list[{self.annotation(schema['items'], file, singular(name))}]"
        if kind != "object":
            return SCALARS[kind]
        if "additionalProperties" in schema:
            return f"dict[str, {self.annotation(schema['additionalProperties'], file, singular(name))}]"
        if "properties" not in schema:
            return "JsonObject"
        return self.typed_dict(schema, file, name)

    def keys(self, name: str, called: str) -> None:
        """A type for the names of a class's members, for loops over them."""
        self.lines += ["", f"    {called} = Literal[{', '.join(map(quoted, self.members[name]))}]"]

    def typed_dict(self, schema: "JsonObject", file: str, name: str) -> str:
        if name in self.known:
            return name
        self.known.add(name)
        self.members[name] = list(schema["properties"])
        prefix = "" if name == "Config" else name
        members = {}
        for member, inner in schema["properties"].items():
            text = self.annotation(inner, file, prefix + camel(member))
            members[member] = f"Required[{text}]" if member in schema.get("required", ()) else text
        self.lines += ["", f'    {name} = TypedDict("{name}", {{']
        self.lines += [f'        "{member}": {wrapped(text)},' for member, text in members.items()]
        self.lines.append("    }, total=False)")
        return name


def wrapped(text: str) -> str:
    """A long list of literals, split over several lines."""
    if len(text) < 90:
        return text
    return text.replace("[Literal[", "[Literal[\n            ").replace('", ', '",\n            ')


def camel(name: str) -> str:
    return name[:1].upper() + name[1:]


def singular(name: str) -> str:
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    return name.removesuffix("s")


def generate() -> str:
    types = Types()
    for file in ("config.json", "state.json"):
        types.annotation(read(file), file, camel(file.removesuffix(".json")))
    types.keys("Hooks", "HookKind")
    types.keys("ProcessCapabilities", "CapabilitySet")
    types.keys("LinuxTimeOffsets", "Clock")
    return HEADER + "\n".join(types.lines) + "\n"


if __name__ == "__main__":
    (SCHEMA.parent / "types.py").write_text(generate())
