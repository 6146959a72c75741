"""GVariant text, in which annotations give properties of the unit ("uint64 5", "'text'", "['a.service']"). Pure.

https://docs.gtk.org/glib/gvariant-text-format.html, for the types that D-Bus has; no handles and no maybe types.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # (kind: number, word, text, bytes, array, tuple, dictionary or variant; what is in it; the type that was written, or "")
    Node = tuple[str, Any, str]

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


def parse(text: str) -> "tuple[str, Any]":
    """(signature, value) as jeepney takes them. ValueError says what is wrong."""
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

    def value(self, depth: int) -> "Node":
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} values in one another")
        one = self.peek()
        if one == "@":
            self.at += 1
            signature = self.run("(){}")
            if not _is_type(signature):
                raise ValueError(f"{'@' + signature!r} is no type that a property can have")
            return (*self.value(depth + 1)[:2], signature)
        if one in ("'", '"'):
            return "text", self.quoted(), ""
        if one in CLOSING:
            return self.several(one, depth)
        if self.text[self.at : self.at + 2] in ("b'", 'b"'):
            self.at += 1
            return "bytes", self.quoted().encode("latin-1") + b"\0", ""
        word = self.run("+-._")
        if word in KEYWORDS:
            return (*self.value(depth + 1)[:2], KEYWORDS[word])
        if word in ("true", "false"):
            return "word", word == "true", ""
        return "number", _number(word or self.text[self.at :][:16]), ""

    def quoted(self) -> str:
        quote, out = self.text[self.at], []
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != quote:
            one = self.text[self.at]
            self.at += 1
            out.append(self.escape() if one == "\\" else one)
        if self.at >= len(self.text):
            raise ValueError(f"the closing {quote} is missing")
        self.at += 1
        text = "".join(out)
        text.encode()  # half of a surrogate pair is no text
        if "\0" in text:
            raise ValueError("a text cannot have a NUL")
        return text

    def escape(self) -> str:
        one = self.text[self.at : self.at + 1]
        self.at += 1
        length = {"u": 4, "U": 8}.get(one, 0)
        if not length:
            return ESCAPES.get(one, one)
        digits = self.text[self.at : self.at + length]
        self.at += length
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise ValueError(f"\\{one}{digits} is no character") from None

    def several(self, opening: str, depth: int) -> "Node":
        self.at += 1
        items: list[Any] = []
        while self.peek() != CLOSING[opening]:
            if items:
                self.take(",")
                if self.peek() == CLOSING[opening] and opening == "(":
                    break  # (1,) is a tuple of one
            item = self.value(depth + 1)
            if opening == "{":
                self.take(":")
                items.append((item, self.value(depth + 1)))
            else:
                items.append(item)
        self.at += 1
        if opening == "<" and len(items) != 1:
            raise ValueError("one value stands between < and >")
        return {"[": "array", "(": "tuple", "{": "dictionary", "<": "variant"}[opening], items, ""


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
    """Where the type that begins at ``at`` ends; -1: none does."""
    one = signature[at : at + 1]
    if depth > DEEPEST or not one:
        return -1
    if one in "bynqiuxtdsogv":
        return at + 1
    if one == "a":
        if signature[at + 1 : at + 2] != "{":
            return _after_type(signature, at + 1, depth + 1)
        key = signature[at + 2 : at + 3]
        end = _after_type(signature, at + 3, depth + 1) if key and key in "bynqiuxtdsog" else -1
        return end + 1 if end > 0 and signature[end : end + 1] == "}" else -1
    end = at + 1
    while one == "(" and end > 0 and signature[end : end + 1] != ")":
        end = _after_type(signature, end, depth + 1)
    return end + 1 if one == "(" and end > at + 1 else -1


def _are_types(signature: str) -> bool:
    at = 0
    while 0 <= at < len(signature) < 256:
        at = _after_type(signature, at, 0)
    return at == len(signature)


def _is_path(text: str) -> bool:
    parts = text.split("/")[1:]
    letters = text.replace("/", "").replace("_", "")
    return text == "/" or (text[:1] == "/" and all(parts) and letters.isascii() and (letters.isalnum() or not letters))


def _type(node: "Node") -> str:
    kind, inside, written = node
    if written:
        return written
    if kind == "number":
        return "d" if isinstance(inside, float) else "i"
    if kind == "array":
        return "a" + _common(inside, "array")
    if kind == "tuple":
        if not inside:
            raise ValueError("D-Bus has no empty tuple")
        return f"({''.join(map(_type, inside))})"
    if kind == "dictionary":
        return f"a{{{_common([key for key, _ in inside], 'dictionary')}{_common([one for _, one in inside], 'dictionary')}}}"
    return {"word": "b", "text": "s", "bytes": "ay", "variant": "v"}[kind]


def _common(nodes: "list[Node]", what: str) -> str:
    """The type of all: that of one which says it, else what the first looks like."""
    if not nodes:
        raise ValueError(f"the type of an empty {what} is missing, as in @as []")
    return next((node[2] for node in nodes if node[2]), "") or max(map(_type, nodes), key=lambda one: one == "d")


def _converted(node: "Node", signature: str) -> "Any":
    kind, inside, written = node
    if written and written != signature:
        raise ValueError(f"a value of the type {written} stands where {signature} is needed")
    if signature in BITS and kind == "number" and isinstance(inside, int):
        signed, bits = BITS[signature]
        if not -(1 << bits - 1) * signed <= inside < 1 << bits - signed:
            raise ValueError(f"{inside} does not fit the type {signature}")
        return inside
    if signature == "d" and kind == "number":
        return float(inside)
    if (signature, kind) in (("b", "word"), ("ay", "bytes"), ("s", "text")):
        return inside
    if (signature, kind) in (("o", "text"), ("g", "text")) and (
        _is_path(inside) if signature == "o" else _are_types(inside)
    ):
        return inside
    if signature == "v" and kind == "variant":
        inner = _type(inside[0])
        return inner, _converted(inside[0], inner)
    if signature[:2] == "a{" and kind == "dictionary":
        return {_converted(key, signature[2]): _converted(one, signature[3:-1]) for key, one in inside}
    if signature[0] == "a" and kind == "array":
        items = [_converted(one, signature[1:]) for one in inside]
        return bytes(items) if signature == "ay" else items
    if signature[0] == "(" and kind == "tuple":
        return _fields(inside, signature)
    raise ValueError(f"a {kind} is not of the type {signature}")


def _fields(nodes: "list[Node]", signature: str) -> "tuple[Any, ...]":
    at, found = 1, []
    for node in nodes:
        end = _after_type(signature, at, 0)
        if end < 0:
            raise ValueError(f"the tuple has more than the values of {signature}")
        found.append(_converted(node, signature[at:end]))
        at = end
    if signature[at:] != ")":
        raise ValueError(f"the tuple lacks values of {signature}")
    return tuple(found)
