"""GVariant text, the form of the unit's properties in annotations ("uint64 5", "'text'", "['a.service']"). Pure.

https://docs.gtk.org/glib/gvariant-text-format.html, for the types that D-Bus has: no handles and no maybe types.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DEEPEST = 32
KEYWORDS = {
    "boolean": "b",
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "string": "s",
    "objectpath": "o",
    "signature": "g",
}
BITS = {"y": (0, 8), "n": (1, 16), "q": (0, 16), "i": (1, 32), "u": (0, 32), "x": (1, 64), "t": (0, 64)}
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
CLOSING = {"[": "]", "(": ")", "{": "}", "<": ">"}


class Node:
    """A value as it is written.

    ``kind``: number, word (true or false), text, bytes, array, tuple, dictionary or variant. ``value`` is that of the first
    four, ``items`` are those of the others, a dictionary's keys and values in turn. ``written``: the type in front of it, or "".
    """

    __slots__ = ("items", "kind", "value", "written")

    def __init__(self, kind: str, value: "int | float | str | bytes" = "", items: "Sequence[Node]" = ()) -> None:
        self.kind = kind
        self.value = value
        self.items = items
        self.written = ""


def parse(text: str) -> "tuple[str, object]":
    """(signature, value) in jeepney's form. ValueError says what is wrong."""
    reader = _Reader(text)
    node = reader.value(0)
    reader.blank()
    if reader.at != len(text):
        raise ValueError(f"something follows the value: {text[reader.at :][:16]!r}")
    signature = _type(node)
    return signature, _converted(node, signature)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def blank(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def peek(self) -> str:
        self.blank()
        return self.text[self.at : self.at + 1]

    def take(self, wanted: str) -> None:
        if self.peek() != wanted:
            raise ValueError(f"{wanted!r} is missing at {self.text[self.at :][:16]!r}")
        self.at += 1

    def run(self, allowed: str) -> str:
        begin = self.at
        while self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] in allowed):
            self.at += 1
        return self.text[begin : self.at]

    def value(self, depth: int) -> Node:
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} values in one another")
        first = self.peek()
        if first == "@":
            self.at += 1
            signature = self.run("(){}")
            if not _is_type(signature):
                raise ValueError(f"{'@' + signature!r} is no type that a property can have")
            return self.typed(signature, depth)
        if first in ("'", '"'):
            return Node("text", self.quoted())
        if first in CLOSING:
            return self.several(first, depth)
        if self.text[self.at : self.at + 2] in ("b'", 'b"'):
            self.at += 1
            return Node("bytes", self.quoted().encode("latin-1") + b"\0")
        word = self.run("+-._")
        if word in KEYWORDS:
            return self.typed(KEYWORDS[word], depth)
        if word in ("true", "false"):
            return Node("word", word == "true")
        return Node("number", _number(word or self.text[self.at :][:16]))

    def typed(self, signature: str, depth: int) -> Node:
        """The value that follows a type."""
        node = self.value(depth + 1)
        node.written = signature
        return node

    def quoted(self) -> str:
        quote, out = self.text[self.at], []
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != quote:
            letter = self.text[self.at]
            self.at += 1
            out.append(self.escape() if letter == "\\" else letter)
        if self.at >= len(self.text):
            raise ValueError(f"the closing {quote} is missing")
        self.at += 1
        text = "".join(out)
        text.encode()  # half of a surrogate pair is no text
        if "\0" in text:
            raise ValueError("a text cannot have a NUL")
        return text

    def escape(self) -> str:
        letter = self.text[self.at : self.at + 1]
        self.at += 1
        length = {"u": 4, "U": 8}.get(letter, 0)
        if not length:
            return ESCAPES.get(letter, letter)
        digits = self.text[self.at : self.at + length]
        self.at += length
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise ValueError(f"\\{letter}{digits} is no character") from None

    def several(self, opening: str, depth: int) -> Node:
        self.at += 1
        items: list[Node] = []
        while self.peek() != CLOSING[opening]:
            if items:
                self.take(",")
                if self.peek() == CLOSING[opening] and opening == "(":
                    break  # (1,) is a tuple of one
            items.append(self.value(depth + 1))
            if opening == "{":
                self.take(":")
                items.append(self.value(depth + 1))
        self.at += 1
        if opening == "<" and len(items) != 1:
            raise ValueError("one value stands between < and >")
        return Node({"[": "array", "(": "tuple", "{": "dictionary", "<": "variant"}[opening], items=items)


def _number(word: str) -> "int | float":
    digits = word.lstrip("+-")
    try:
        if digits.isascii() and digits.isdecimal() and len(digits) > 1 and digits[0] == "0":
            return int(word.replace("0", "0o", 1), 8)  # as C has it
        return int(word, 0)
    except ValueError:
        pass
    try:
        if digits[:1].isdecimal() or digits[:1] == ".":
            return float(word)
    except ValueError:
        pass
    raise ValueError(f"{word!r} is no value: a text stands in quotes, as in 'text'")


def _is_type(signature: str) -> bool:
    """Whether it is one complete type."""
    return _after_type(signature, 0, 0) == len(signature) > 0


def _after_type(signature: str, at: int, depth: int) -> int:
    """Where the type that begins at ``at`` ends; -1 when no type begins there."""
    letter = signature[at : at + 1]
    if depth > DEEPEST or not letter:
        return -1
    if letter in "bynqiuxtdsogv":
        return at + 1
    if letter == "a":
        if signature[at + 1 : at + 2] != "{":
            return _after_type(signature, at + 1, depth + 1)
        key = signature[at + 2 : at + 3]
        end = _after_type(signature, at + 3, depth + 1) if key and key in "bynqiuxtdsog" else -1
        return end + 1 if end > 0 and signature[end : end + 1] == "}" else -1
    end = at + 1
    while letter == "(" and end > 0 and signature[end : end + 1] != ")":
        end = _after_type(signature, end, depth + 1)
    return end + 1 if letter == "(" and end > at + 1 else -1


def _are_types(signature: str) -> bool:
    at = 0
    while 0 <= at < len(signature) < 256:
        at = _after_type(signature, at, 0)
    return at == len(signature)


def _is_path(text: str) -> bool:
    parts = text.split("/")[1:]
    letters = text.replace("/", "").replace("_", "")
    return text == "/" or (text[:1] == "/" and all(parts) and letters.isascii() and (letters.isalnum() or not letters))


# Types whose text has a form.
CHECKS = {"o": _is_path, "g": _are_types}


def _type(node: Node) -> str:
    if node.written:
        return node.written
    if node.kind == "number":
        return "d" if isinstance(node.value, float) else "i"
    if node.kind == "array":
        return "a" + _common(node.items, "array")
    if node.kind == "tuple":
        if not node.items:
            raise ValueError("D-Bus has no empty tuple")
        return f"({''.join(map(_type, node.items))})"
    if node.kind == "dictionary":
        return f"a{{{_common(node.items[::2], 'dictionary')}{_common(node.items[1::2], 'dictionary')}}}"
    return {"word": "b", "text": "s", "bytes": "ay", "variant": "v"}[node.kind]


def _common(nodes: "Sequence[Node]", what: str) -> str:
    """The type of all: the one that is written in front of one of them, else what the first looks like."""
    if not nodes:
        raise ValueError(f"the type of an empty {what} is missing, as in @as []")
    written = next((node.written for node in nodes if node.written), "")
    return written or max(map(_type, nodes), key=lambda signature: signature == "d")


def _converted(node: Node, signature: str) -> object:
    kind, value = node.kind, node.value
    if node.written and node.written != signature:
        raise ValueError(f"a value of the type {node.written} stands where {signature} is needed")
    if kind == "number" and isinstance(value, int) and signature in BITS:
        signed, bits = BITS[signature]
        if not -(1 << bits - 1) * signed <= value < 1 << bits - signed:
            raise ValueError(f"{value} does not fit the type {signature}")
        return value
    if kind == "number" and isinstance(value, int | float) and signature == "d":
        return float(value)
    if (signature, kind) in (("b", "word"), ("ay", "bytes"), ("s", "text")):
        return value
    if kind == "text" and isinstance(value, str) and signature in CHECKS and CHECKS[signature](value):
        return value
    if signature == "v" and kind == "variant":
        inner = _type(node.items[0])
        return inner, _converted(node.items[0], inner)
    if signature[:2] == "a{" and kind == "dictionary":
        return {
            _converted(key, signature[2]): _converted(item, signature[3:-1])
            for key, item in zip(node.items[::2], node.items[1::2], strict=True)
        }
    if signature[0] == "a" and kind == "array":
        items = [_converted(item, signature[1:]) for item in node.items]
        return bytes(item for item in items if isinstance(item, int)) if signature == "ay" else items
    if signature[0] == "(" and kind == "tuple":
        return _fields(node.items, signature)
    raise ValueError(f"a {kind} is not of the type {signature}")


def _fields(nodes: "Sequence[Node]", signature: str) -> tuple[object, ...]:
    at, fields = 1, []
    for node in nodes:
        end = _after_type(signature, at, 0)
        if end < 0:
            raise ValueError(f"the tuple has more than the values of {signature}")
        fields.append(_converted(node, signature[at:end]))
        at = end
    if signature[at:] != ")":
        raise ValueError(f"the tuple lacks values of {signature}")
    return tuple(fields)
