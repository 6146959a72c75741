"""docs/properties.md: what becomes of every property. `python -m tests.runtime.plan.properties_page` writes it."""

import json
from collections.abc import Iterator
from pathlib import Path

from runtime.plan import properties_table

TREE = Path(__file__).parents[3]
PAGE = TREE / "docs" / "properties.md"
SCHEMA = TREE / "oci_spec" / "schema"
PLATFORMS = ("/solaris", "/windows", "/vm", "/zos", "/freebsd")
TOP = """# Properties

What every property of `config.json` for Linux turns into. One that is **warned** about has no effect. An empty value asks for
nothing. Generated from `runtime/plan/properties_table.py` by `python -m tests.runtime.plan.properties_page`.
"""
COUNTS = "\n{built} properties are built and {warned} are warned about, nested ones included.\n"


def load() -> dict[str, dict]:
    return {file.name: json.loads(file.read_text()) for file in SCHEMA.glob("*.json")}


def paths(documents: dict[str, dict], name: str = "config.json", node: dict | None = None, at: str = "") -> Iterator:
    """Every property of the schema as a pointer, with ``*`` for a list's items and a map's keys."""
    node = documents[name] if node is None else node
    while "$ref" in node:
        file, _, fragment = node["$ref"].partition("#")
        name = file or name
        node = documents[name]
        for part in fragment.split("/")[1:]:
            node = node[part]
    for key, below in node.get("properties", {}).items():
        yield f"{at}/{key}"
        yield from paths(documents, name, below, f"{at}/{key}")
    for items in (node.get("items"), node.get("additionalProperties")):
        if isinstance(items, dict):
            yield from paths(documents, name, items, f"{at}/*")


def of_linux() -> list[str]:
    """The schema's paths; of another platform's section only the section."""
    return [path for path in paths(load()) if not path.startswith(tuple(f"{name}/" for name in PLATFORMS))]


def page() -> str:
    everything = of_linux()
    verdicts = [properties_table.verdict(path)[0] for path in everything]
    counts = {word: verdicts.count(word) for word in ("built", "warned")}
    lines = [TOP, COUNTS.format(**counts), "## Not built\n", "| property | | why |", "|---|---|---|"]
    lines += [f"| `{path}` | {how} | {why} |" for path, (how, why) in sorted(properties_table.NOT_BUILT.items())]
    lines += ["\n## Built\n", "| property | becomes |", "|---|---|"]
    built = [path for path, word in zip(everything, verdicts, strict=True) if word == "built"]
    lines += [f"| `{path}` | {properties_table.verdict(path)[1]} |" for path in built]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
