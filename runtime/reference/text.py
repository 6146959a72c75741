"""Entries for people. Pure and cold."""

from json import dumps
from textwrap import wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import Json, JsonObject

WIDTH = 100
INDENT = 12  # columns before what a row says
MANY = 4  # properties from which on only a line each is shown
LONG = 60  # characters of a value of a bundle


def text(entries: "list[JsonObject]") -> str:
    """All entries in full; properties with a line each if they are many."""
    listed = [entry for entry in entries if entry["kind"] == "property"]
    if len(listed) < MANY:
        listed = []
    parts = ["\n".join(_lines(entry)) + "\n" for entry in entries if entry not in listed]
    if listed:
        width = max(len(entry["name"]) for entry in listed)
        lines = [f"{entry['name']:{width}}  {entry['title']}: {entry['description']}" for entry in listed]
        lines += [line for entry in listed if entry.get("here") for line in _here(entry)]
        parts.insert(0, "\n".join([*lines, "", "Ask for one by its pointer to see all about it.", ""]))
    return "\n".join(parts)


def _lines(entry: "JsonObject") -> "Iterator[str]":
    yield f"{entry['name']}: {entry['title'] or entry['kind']}"
    said = entry["description"]
    for line in wrap(said if entry["kind"] == "rule of validate" else _sentence(said), WIDTH - 4):
        yield f"    {line}"
    yield ""
    for name, what in _rows(entry):
        if what:
            yield from _row(name, what)
    yield from _here(entry)
    if entry.get("example"):
        yield from _example(entry["example"])


def _sentence(words: str) -> str:
    """From a phrase of the tables, or a sentence of the schema."""
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}" if words else ""


def _rows(entry: "JsonObject") -> "Iterator[tuple[str, str]]":
    if entry["kind"] == "property":
        yield "type", entry["type"]
        yield "since", f"runtime-spec {entry['since']}"
    else:
        yield "where", ", ".join(entry["where"])
    yield "spec", entry.get("section", "")
    if "kernel" not in entry:
        return
    kernel = entry["kernel"]
    version = f"Linux {kernel['version']}" if kernel["version"] else ""
    needs = "; ".join(filter(None, (version, kernel["option"], kernel["note"])))
    yield "kernel", needs or "no more than ocirun itself"
    yield "cgroups", kernel["cgroup"]
    if "ocirun" in entry:
        verdict, how = entry["ocirun"]
        how = how.replace("`", "")
        yield "ocirun", f"without effect, with a warning: {how}" if verdict == "warned" else how
        for name, does in entry["operations"].items():
            yield "", f"{name}: {does.rstrip('.').replace('``', '')}"
    yield "runc", entry["runc"]
    yield "crun", entry["crun"]


def _row(name: str, said: str) -> "Iterator[str]":
    first, *rest = wrap(said, WIDTH - INDENT, break_on_hyphens=False) or [""]
    yield f"{'    ' + name:{INDENT}}{first}"
    for line in rest:
        yield " " * INDENT + line


def _here(entry: "JsonObject") -> "Iterator[str]":
    """What the bundle has there, if one was given."""
    if "here" not in entry:
        return
    for row in entry["here"] or ():
        value = dumps(row["value"], ensure_ascii=False)
        shown = value if len(value) <= LONG else value[: LONG - 1] + "…"
        yield f"{'    here':{INDENT}}line {row['line']}: {row['pointer']}: {shown}"
    if not entry["here"]:
        yield f"{'    here':{INDENT}}not in this config"


def _example(example: "JsonObject") -> "Iterator[str]":
    first, *rest = _json(example, WIDTH - INDENT)
    yield f"{'    example':{INDENT}}{first}"
    for line in rest:
        yield " " * INDENT + line


def _json(value: "Json", width: int, comma: str = "") -> "list[str]":
    """JSON in lines: an object or list that fits into the width is on one."""
    short = dumps(value, ensure_ascii=False) + comma
    if len(short) <= width or type(value) not in (dict, list):
        return [short]
    keys = [f"{dumps(key)}: " for key in value] if type(value) is dict else [""] * len(value)
    items = list(value.values()) if type(value) is dict else value
    lines = []
    for index, (key, item) in enumerate(zip(keys, items, strict=True)):
        first, *rest = _json(item, width - 2 - len(key), "," if index < len(items) - 1 else "")
        lines += [f"  {key}{first}", *(f"  {line}" for line in rest)]
    opening, closing = "{}" if type(value) is dict else "[]"
    return [opening, *lines, closing + comma]
