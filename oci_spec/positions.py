"""The line and column of a document's values. Cold: loaded only to report a problem.

A plain scanner reads the text again. It records the offset of every key and value, and describes syntax errors. It
accepts exactly what `document.load` accepts.
"""

from _json import scanstring

from oci_spec.document import DEPTH_LIMIT, SIZE_LIMIT, STRINGS_LIMIT, BadDocument, load, too_many_strings
from oci_spec.rules import escape

_DIGITS = "0123456789"
_LITERALS = ("true", "false", "null")
_FOREIGN = ("NaN", "Infinity", "-Infinity")


class Broken(Exception):
    """The text stops being JSON at `offset` (in characters from 0); `message` says why, `hint` what to do, if known."""

    def __init__(self, message: str, offset: int, hint: "str | None" = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


class Node:
    """The offset of a value, and of its key (its own if it has none), and the values inside it."""

    __slots__ = ("children", "key", "start")

    def __init__(self, start: int, key: int) -> None:
        self.start = start
        self.key = key
        self.children: dict[str, Node] = {}


class Positions:
    """All offsets in a text. For a repeated key the last value is kept; `repeated` lists (pointer, key offset)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._ends = [at for at, character in enumerate(text) if character == "\n"]
        self.repeated: list[tuple[str, int]] = []
        start = self._skip(0)
        self.root, end = self._value(start, start, "", 0)
        end = self._skip(end)
        if end != len(text):
            raise Broken("text after the end of the document", end)

    def line_column(self, offset: int) -> "tuple[int, int]":
        """The line and column of an offset, in characters from 1."""
        low, high = 0, len(self._ends)
        while low < high:  # bisect; the module would be an import
            middle = (low + high) // 2
            if self._ends[middle] < offset:
                low = middle + 1
            else:
                high = middle
        return low + 1, offset - (self._ends[low - 1] if low else -1)

    def find(self, pointer: str, key: bool = False) -> "tuple[int, int]":
        """The line and column of the value at a pointer, or with ``key`` of its key; for a missing value, of its nearest parent."""
        node = self.root
        names = pointer.split("/")[1:]
        for name in names:
            inner = node.children.get(name.replace("~1", "/").replace("~0", "~"))
            if inner is None:
                return self.line_column(node.start)
            node = inner
        return self.line_column(node.key if key else node.start)

    def _skip(self, at: int) -> int:
        text = self.text
        while at < len(text) and text[at] in " \t\n\r":
            at += 1
        return at

    def _value(self, at: int, key: int, pointer: str, depth: int) -> "tuple[Node, int]":
        node = Node(at, key)
        head = self.text[at : at + 1]
        if depth > DEPTH_LIMIT or (depth == DEPTH_LIMIT and head in ("{", "[")):
            raise Broken(f"nested deeper than {DEPTH_LIMIT} levels", at)
        if head == "{":
            return node, self._object(node, at, pointer, depth)
        if head == "[":
            return node, self._array(node, at, pointer, depth)
        if head == '"':
            return node, self._string(at)[1]
        return node, self._scalar(at)

    def _object(self, node: Node, at: int, pointer: str, depth: int) -> int:
        at = self._skip(at + 1)
        if self.text[at : at + 1] == "}":
            return at + 1
        while True:
            if self.text[at : at + 1] != '"':
                raise Broken("expected a property name in double quotes", at)
            key = at
            name, at = self._string(at)
            at = self._skip(at)
            if self.text[at : at + 1] != ":":
                raise Broken("expected a colon", at)
            at = self._skip(at + 1)
            inner = f"{pointer}/{escape(name)}"
            if name in node.children:
                self.repeated.append((inner, key))
            node.children[name], at = self._value(at, key, inner, depth + 1)
            at = self._skip(at)
            if self.text[at : at + 1] == "}":
                return at + 1
            if self.text[at : at + 1] != ",":
                raise Broken("expected a comma or a closing brace", at)
            at = self._skip(at + 1)

    def _array(self, node: Node, at: int, pointer: str, depth: int) -> int:
        at = self._skip(at + 1)
        if self.text[at : at + 1] == "]":
            return at + 1
        while True:
            name = str(len(node.children))
            node.children[name], at = self._value(at, at, f"{pointer}/{name}", depth + 1)
            at = self._skip(at)
            if self.text[at : at + 1] == "]":
                return at + 1
            if self.text[at : at + 1] != ",":
                raise Broken("expected a comma or a closing bracket", at)
            at = self._skip(at + 1)

    def _string(self, at: int) -> "tuple[str, int]":
        try:
            value, end = _scan_string(self.text, at + 1)
        except ValueError as error:  # JSONDecodeError: pos is the offset of the error
            reason = str(getattr(error, "msg", "bad string"))
            offset = int(getattr(error, "pos", at))
            raise Broken(reason[:1].lower() + reason[1:].removesuffix(" at"), offset) from None
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Broken("half of a surrogate pair, which no UTF-8 text can hold", at) from None
        return value, end

    def _scalar(self, at: int) -> int:
        for literal in _LITERALS:
            if self.text.startswith(literal, at):
                return at + len(literal)
        for literal in _FOREIGN:
            if self.text.startswith(literal, at):
                raise Broken(f"{literal} is not a JSON value", at)
        return self._number(at)

    def _number(self, start: int) -> int:
        """The end of a number. Python refuses to parse integers of some thousand digits, and so do we."""
        text = self.text
        at = start + text.startswith("-", start)
        end = self._digits(at)
        if end == at:
            raise Broken("expected a value" if start < len(text) else "unexpected end of the text", start)
        if text[at] == "0":
            end = at + 1
        whole = end
        if text[end : end + 1] == "." and self._digits(end + 1) > end + 1:
            end = self._digits(end + 1)
        if text[end : end + 1] in ("e", "E"):
            exponent = end + 1 + (text[end + 1 : end + 2] in ("+", "-"))
            if self._digits(exponent) > exponent:
                end = self._digits(exponent)
        if end == whole:
            try:
                int(text[start:end])
            except ValueError:
                raise Broken(f"a number of {end - at} digits is too long", start) from None
        return end

    def _digits(self, at: int) -> int:
        text = self.text
        while at < len(text) and text[at] in _DIGITS:
            at += 1
        return at


def _scan_string(text: str, start: int) -> "tuple[str, int]":
    """The string whose first character is at ``start``, and the offset after its closing quote."""
    try:
        return scanstring(text, start, True)
    except SystemError:  # its exception is defined in json.decoder, which is not imported yet
        import json.decoder  # noqa: F401

        return scanstring(text, start, True)


def read(data: bytes) -> "tuple[str, Positions]":
    """A document's text and positions. Raises Broken for everything that `document.load` refuses."""
    if len(data) > SIZE_LIMIT:
        raise Broken(f"larger than {SIZE_LIMIT // (1024 * 1024)} MiB", 0, "no config needs so much")
    if data.startswith(b"\xef\xbb\xbf"):
        raise Broken("a byte order mark precedes the document", 0, "save it as UTF-8 without a byte order mark")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        # The offset counts the characters decoded so far.
        message, offset = f"byte {data[error.start]:#04x} is not UTF-8", len(data[: error.start].decode())
        raise Broken(message, offset, "save the file as UTF-8") from None
    if too_many_strings(text):
        raise Broken(f"more than {STRINGS_LIMIT} different strings, keys and values together", 0, "leave some out")
    return text, Positions(text)


def explain(data: bytes) -> "tuple[str, str | None, int, int]":
    """Why `document.load` refuses these bytes: message, hint, line, column."""
    from oci_spec import mistakes

    try:
        read(data)
    except Broken as broken:
        message, hint, offset = broken.message, broken.hint, broken.offset
    else:
        return _unexplained(data)
    known = mistakes.name_bytes(data)
    if known:
        return *known, 1, 1
    text = data.decode(errors="replace")
    if hint is None:
        message, hint, offset = mistakes.name(text, offset, message)
    return message, hint, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _unexplained(data: bytes) -> "tuple[str, None, int, int]":
    try:
        load(data)
    except BadDocument as error:
        return str(error), None, 1, 1
    raise AssertionError("the document is readable")
