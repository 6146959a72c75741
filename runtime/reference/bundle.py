"""What a config.json has at the places of an entry. Cold."""

from oci_spec.rules import escape
from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import Json, JsonObject

MOST = 20  # values that are shown of one config


def document(path: str) -> bytes:
    """The JSON text of a bundle's config.json, or of the file itself. OcirunError if it cannot be read or is not JSON."""
    from oci_spec import BadDocument, load
    from oci_spec.positions import explain
    from runtime.lifecycle.config import read
    from runtime.lifecycle.planning import is_file

    file = path if is_file(path) else f"{path.rstrip('/')}/config.json"
    data = read(file, ordinary=True)
    try:
        load(data)
    except BadDocument:
        message, hint, line, _ = explain(data)
        raise InvalidConfig(f"{message}; {hint}" if hint else message, None, line) from None
    return data


def here(entry: "JsonObject", data: bytes) -> "list[JsonObject]":
    """[{"pointer", "line", "value"}]: the values of a property, or those that are the word, in the order of the text.

    ``data`` is a JSON document. A pointer with numbers is that one value.
    """
    from oci_spec import load
    from oci_spec.positions import read

    document, positions = load(data), read(data)[1]
    found = {}
    for pattern in entry["where"]:
        for pointer, value in _values(document, pattern.split("/")[1:], ""):
            if entry["kind"] in ("property", "cgroup file"):
                found[pointer] = value
            else:
                found.update(_equal(pointer, value, str(entry["name"])))
    rows = [{"pointer": at, "line": positions.find(at, key=True)[0], "value": value} for at, value in found.items()]
    return sorted(rows, key=lambda row: int(row["line"]))[:MOST]


def _values(value: "Json", names: "list[str]", at: str) -> "Iterator[tuple[str, Json]]":
    if not names:
        yield at, value
        return
    name, rest = names[0], names[1:]
    if type(value) is dict:
        plain = name.replace("~1", "/").replace("~0", "~")
        for key in value if name == "*" else [plain] if plain in value else []:
            yield from _values(value[key], rest, f"{at}/{escape(key)}")
    elif type(value) is list:
        indices = range(len(value)) if name == "*" else [int(name)] if name.isdigit() and int(name) < len(value) else ()
        for index in indices:
            yield from _values(value[index], rest, f"{at}/{index}")


def _equal(pointer: str, value: "Json", word: str) -> "Iterator[tuple[str, Json]]":
    """The value, or those of its items, that are the word; a word that ends with = is the beginning of one."""
    if type(value) is list:
        for index, item in enumerate(value):
            yield from _equal(f"{pointer}/{index}", item, word)
    elif value == word or (type(value) is str and word.endswith("=") and value.startswith(word)):
        yield pointer, value
