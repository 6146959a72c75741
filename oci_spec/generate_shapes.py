"""Generates `_shapes.py` and `_shapes_elsewhere.py` from the schema: `python -m oci_spec.generate_shapes` (a test compares).

`shape` documents the shapes and `shape.holds` reads them. `_shapes.py` has what a Linux config can contain; other
platforms, states and features go to `_shapes_elsewhere.py`, which a good Linux config never loads.
"""

import json
import re
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject

SCHEMA = Path(__file__).parent / "schema"
ANNOTATIONS = {"$schema", "$id", "$comment", "$defs", "title", "description", "x-since"}
ELSEWHERE = ("windows", "solaris", "vm", "zos", "freebsd", "state", "features")
HEADER = '''"""Shapes of {what}, generated from schema/*.json by `oci_spec.generate_shapes`. Do not edit."""

# ruff: noqa
# fmt: off
'''

# The patterns that a shape can test without `re`: a prefix, then one character class with + or *.
# Python's $ also matches before a final line feed; the schema's look-ahead rules that out.
PATTERN = re.compile(r"\^(?P<head>[A-Z_:]*)\[(?P<set>[^\]]+)\](?P<many>[+*])\$\(\?!\\n\)")
PAGE_SIZE = r"^[1-9][0-9]*[KMG]B$(?!\n)"


class Shapes:
    """Collects the shapes of one module; each $defs entry and each file becomes a named value."""

    def __init__(self, known: "dict[tuple[str, str], str] | None" = None) -> None:
        self.known = dict(known or {})
        self.imported = set(self.known)
        self.used: set[str] = set()
        self.lines: list[str] = []

    def named(self, file: str, name: str) -> str:
        """The Python name of FILE#/$defs/NAME, or of the whole file when name is empty."""
        key = (file, name)
        if key not in self.known:
            schema = read(file)
            text = self.shape(schema["$defs"][name] if name else schema, file)
            self.known[key] = snake(name or Path(file).stem)
            self.lines.append(f"{self.known[key]} = {text}\n")
        if key in self.imported:
            self.used.add(self.known[key])
        return self.known[key]

    def reference(self, target: str, file: str) -> str:
        path, _, fragment = target.partition("#/$defs/")
        path = path or file
        stem = Path(path).stem
        if not fragment and stem in ELSEWHERE:
            return repr(stem.encode()).replace("'", '"')
        return self.named(path, fragment)

    def shape(self, schema: "JsonObject", file: str) -> str:
        """The Python expression of one schema. An unknown keyword is an error, never ignored."""
        rest = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
        if set(rest) == {"$ref"}:
            return self.reference(rest["$ref"], file)
        kind = rest.pop("type")
        text = SCALARS[kind](rest) if kind in SCALARS else self.container_shape(kind, rest, file)
        if rest:
            raise ValueError(f"{file}: no shape for {sorted(rest)}")
        return text

    def container_shape(self, kind: str, rest: "JsonObject", file: str) -> str:
        return self.array_shape(rest, file) if kind == "array" else self.object_shape(rest, file)

    def array_shape(self, rest: "JsonObject", file: str) -> str:
        items = self.shape(rest.pop("items"), file)
        least = rest.pop("minItems", 0)
        return f"[{items}, {least}]" if least else f"[{items}]"

    def object_shape(self, rest: "JsonObject", file: str) -> str:
        if not rest:
            return "dict"
        parts = []
        if "required" in rest:
            parts.append(f"None: ({', '.join(quoted(name) for name in rest.pop('required'))},)")
        if "additionalProperties" in rest:
            parts.append(f"0: {self.shape(rest.pop('additionalProperties'), file)}")
        parts += [f"{quoted(name)}: {self.shape(inner, file)}" for name, inner in rest.pop("properties", {}).items()]
        return "{\n" + "".join(f"{part},\n" for part in parts) + "}"


def read(file: str) -> "JsonObject":
    schema: JsonObject = json.loads((SCHEMA / file).read_text())
    return schema


def quoted(text: str) -> str:
    return json.dumps(text)


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def pattern(source: str) -> str:
    """A pattern as a function from string to bool, without `re`."""
    if source == PAGE_SIZE:
        return 'lambda v: v[-2:] in ("KB", "MB", "GB") and v[:1] in "123456789" and not v[:-2].strip("0123456789")'
    match = PATTERN.fullmatch(source)
    if match is None:
        raise ValueError(f"no shape for the pattern {source}")
    head = match["head"]
    tests = [f"v.startswith({quoted(head)})"] if head else []
    body = f"v[{len(head)}:]" if head else "v"
    if match["set"] == r"^\n":
        tests.append('"\\n" not in v')
    else:
        tests.append(f"not {body}.strip({quoted(letters(match['set']))})")
    if match["many"] == "+":
        tests.append(f"len(v) > {len(head)}")
    return "lambda v: " + " and ".join(tests)


def string_shape(rest: "JsonObject") -> str:
    if "enum" in rest:
        return "{" + ", ".join(quoted(value) for value in rest.pop("enum")) + "}"
    return pattern(rest.pop("pattern")) if "pattern" in rest else "str"


def integer_shape(rest: "JsonObject") -> str:
    return f"({rest.pop('minimum')}, {rest.pop('maximum', '1e999')})" if rest else "int"


def boolean_shape(_rest: "JsonObject") -> str:
    return "bool"


SCALARS = {"string": string_shape, "integer": integer_shape, "boolean": boolean_shape}


def letters(ranges: str) -> str:
    """The characters of a class such as A-Z_."""
    spans = re.findall(r"(.)-(.)|(.)", ranges)
    return "".join(single or "".join(map(chr, range(ord(low), ord(high) + 1))) for low, high, single in spans)


def layout(text: str, lines: "list[str]", depth: int = 0) -> None:
    """Indent by braces, and break sets that are too long for a line."""
    for line in text.splitlines():
        depth -= line.startswith("}")
        opened = line.endswith("{")
        indent = "    " * depth
        if len(indent + line) > 120 and "{" in line:
            start, _, rest = line.partition("{")
            body, _, end = rest.rpartition("}")
            lines.append(f"{indent}{start}{{")
            lines += [f"{indent}    {item}," for item in body.split(", ")]
            lines.append(f"{indent}}}{end}")
        else:
            lines.append(indent + line)
        depth += opened


def render(shapes: Shapes, what: str, last: "list[str]") -> str:
    lines = [HEADER.format(what=what)]
    if shapes.used:
        lines += ["from oci_spec._shapes import (", *(f"    {name}," for name in sorted(shapes.used)), ")", ""]
    layout("\n".join("".join(shapes.lines).splitlines() + last), lines)
    return "\n".join(lines) + "\n"


def generate() -> "dict[str, str]":
    """The two generated modules: file name → text."""
    hot = Shapes()
    hot.named("config.json", "")
    elsewhere = Shapes(hot.known)
    table = {name: elsewhere.named(f"{name}.json", "") for name in ELSEWHERE}
    index = ["ELSEWHERE = {", *(f"{quoted(name)}: {value}," for name, value in table.items()), "}"]
    return {
        "_shapes.py": render(hot, "a config on Linux", []),
        "_shapes_elsewhere.py": render(elsewhere, "other platforms, states and features", index),
    }


if __name__ == "__main__":
    for name, text in generate().items():
        (Path(__file__).parent / name).write_text(text)
