"""What a text that is not JSON probably means: the mistakes that people and editors make. Cold, as `positions`.

`name` gets the place where reading stopped, and returns (message, hint, offset); the offset is where the mistake begins.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Named = tuple[str, str | None, int]

_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_NUMBER = _WORD | frozenset("+-.")
_CLOSING = {"{": "}", "[": "]"}
_LITERALS = {
    "true": "true yes on",
    "false": "false no off",
    "null": "null none nil undefined",
}
_QUOTES = dict(zip("'`\u201c\u201d\u201e\u2018\u2019\xab", "'`\u201d\u201d\u201c\u2019\u2019\xbb", strict=True))
_BLANKS = {"\xa0": "a no-break space", "\u202f": "a narrow no-break space", "\u3000": "a wide space"}
_INVISIBLE = {"\x00": "a NUL character", "\u200b": "a zero-width space", "\ufeff": "a byte order mark"}
_MARKERS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_COMMENTS = ("//", "/*", "#", "<!--", "--")
_UNITS = {"b": 0, **{prefix + end: 10 * n for n, prefix in enumerate("kmgt", 1) for end in ("", "b", "i", "ib")}}
_MAGIC = (
    (b"\x7fELF", "a program (ELF)"),
    (b"\x1f\x8b", "compressed (gzip)"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def name_bytes(data: bytes) -> "tuple[str, str] | None":
    """The same for a file that is no UTF-8 text: message and hint, or None if nothing is known about it."""
    for magic, what in _MAGIC:
        if data.startswith(magic):
            if what == "UTF-16":
                return "the file is UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8"
            return f"the file is {what}, not a JSON text", "give the path of a config.json"
    if data[257:262] == b"ustar":
        return "the file is a tar archive, not a JSON text", "unpack it, and give the directory"
    return None


class Stop:
    """Where reading stopped, and what was read before it.

    message   why, in the reader's words
    character the one at `at`; "" at the end of the text
    before    offset of the last character before it that is not blank, or -1; `previous`: that character, or ""
    opened    offsets of the brackets that are open
    string    offset of the string that is open, or None
    last      offset of the last string that is closed, or -1
    """

    def __init__(self, text: str, at: int, message: str) -> None:
        import re

        self.text = text
        self.at = at
        self.message = message
        self.character = text[at : at + 1]
        self.before = len(text[:at].rstrip(" \t\r\n")) - 1
        self.previous = text[self.before] if self.before >= 0 else ""
        self.opened: list[int] = []
        self.last = -1
        self.string: int | None = at if message.startswith("unterminated") else None
        for token in re.finditer(r'"[^"\\]*(?:\\.[^"\\]*)*("?)|[][{}]', text[:at], re.DOTALL):
            if token[0] in ("{", "["):
                self.opened.append(token.start())
            elif token[0] in ("}", "]"):
                self.opened.pop()
            elif token[1]:
                self.last = token.start()
            else:
                self.string = token.start()

    def name(self) -> "Named":
        """What it is, or the reader's own message."""
        for find in _FINDERS:
            found = find(self)
            if found:
                return found
        return self.message, None, self.at


def size_of(word: str) -> "int | None":
    """The bytes of a number with a unit, such as 64M or 1GiB; None for anything else."""
    amount = word.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ").rstrip(" ")
    unit = word[len(amount) :].strip().lower()
    known = amount.isascii() and amount.isdigit() and len(amount) < 20 and unit in _UNITS
    return int(amount) << _UNITS[unit] if known else None


def name(text: str, at: int, message: str) -> "Named":
    """What is at the offset where reading stopped with ``message``."""
    return Stop(text, at, message).name()


def _empty(stop: "Stop") -> "Named | None":
    if stop.text.strip():
        return None
    return "the file is empty", "ocirun spec writes a config.json to begin with", 0


def _conflict(stop: "Stop") -> "Named | None":
    text, at = stop.text, stop.at
    line = text.rfind("\n", 0, at) + 1
    if not text.startswith(_MARKERS, line):
        return None
    marker = text[line : line + 7]
    return f"a merge conflict: the line begins with {marker}", "keep one of the two sides, and remove the markers", line


def _comment(stop: "Stop") -> "Named | None":
    if not stop.text.startswith(_COMMENTS, stop.at):
        return None
    return "a comment, and JSON has none", "remove it; notes may be kept in annotations", stop.at


def _yaml(stop: "Stop") -> "Named | None":
    text, at = stop.text, stop.at
    first = text.lstrip()
    key = _word(first, 0)
    if first.startswith("---") or (key and at == len(text) - len(first) and first[len(key) :].startswith(": ")):
        return "the file looks like YAML, not JSON", "convert it to JSON", at
    return None


def _template(stop: "Stop") -> "Named | None":
    text, at = stop.text, stop.at
    for start in (at - 1, at):
        for opening, closing in (("{{", "}}"), ("{%", "%}"), ("${", "}"), ("<%", "%>")):
            end = text.find(closing, start)
            if start >= 0 and text.startswith(opening, start) and 0 < end < _line_end(text, start):
                shown = text[start : end + len(closing)]
                return f"{shown} was left by a template", "fill in the template's value", start
    return None


def _bad_string(stop: "Stop") -> "Named | None":
    """A character that no string can have, or an escape that JSON does not know: `at` is inside a string."""
    text, at = stop.text, stop.at
    start = stop.string
    if start is None:
        return None
    if start == at or stop.character == "\n":
        return "the string is not closed on its line", 'write " at its end, or \\n for a line break in it', start
    if text[at] < " ":
        escape = {"\t": "\\t", "\r": "\\r"}.get(text[at], f"\\u{ord(text[at]):04x}")
        return f"a control character (U+{ord(text[at]):04X}) in a string", f"write {escape}", at
    slash = at if text[at] == "\\" else at - 1
    escaped = text[slash + 1 : slash + 2]
    if text[slash] != "\\" or not escaped:
        return None
    if escaped == "x":
        digits = text[slash + 2 : slash + 4]
        return f"JSON has no escape \\x{digits}", f"write \\u00{digits}", slash
    if escaped == "u":
        return "after \\u four hexadecimal digits follow", "write \\\\u for the two characters \\ and u", slash
    if escaped == "'":
        return "JSON has no escape \\'", "write ' alone", slash
    return f"JSON has no escape \\{escaped}", f"write \\\\{escaped} for a backslash and {escaped}", slash


def _blank(stop: "Stop") -> "Named | None":
    character = stop.character
    if not character or character in " \t\r\n" or (character.isprintable() and character not in _BLANKS):
        return None
    blank = character.isspace()
    known = _BLANKS.get(character) or _INVISIBLE.get(character) or ("a blank" if blank else "an invisible character")
    message = f"{known} (U+{ord(character):04X}) outside a string"
    return message, "type a space in its place" if blank else "remove it", stop.at


def _quotes(stop: "Stop") -> "Named | None":
    text, at = stop.text, stop.at
    opening = stop.character
    closing = _QUOTES.get(opening)
    if closing is None:
        return None
    kind = {"'": "single quotes", "`": "backticks"}.get(opening, "typographic quotes")
    end = next((n for n in range(at + 1, _line_end(text, at)) if text[n] in (closing, '"', opening)), -1)
    content = text[at + 1 : end] if end > 0 else ""
    hint = f'write "{content}"' if end > 0 and _short(content) else 'write " in their place'
    return f"a string in {kind}: JSON has double ones", hint, at


def _comma(stop: "Stop") -> "Named | None":
    """A comma where no value follows, or one too many."""
    character, previous = stop.character, stop.previous
    if character in ("}", "]") and previous == ",":
        return f"a comma before {character}", "remove the comma", stop.before
    if character in ("}", "]", ",") and previous == ":":
        return f"there is no value between : and {character}", "write one, or leave the property out", stop.at
    if character == "," and previous in (",", "{", "["):
        return "a comma without a value before it", "remove the comma", stop.at
    return None


def _separator(stop: "Stop") -> "Named | None":
    """Another character in the place of a colon or comma."""
    text, at = stop.text, stop.at
    character = stop.character
    if character == ";":
        return "a semicolon: JSON has commas here", "write a comma", at
    if character == "=":
        width = 2 if text.startswith("=>", at) else 1
        return f"{text[at : at + width]} in the place of a colon", "write :", at
    if text.startswith("...", at) or character == "…":
        return "an ellipsis: something was left out here", "write what belongs here", at
    return None


def _constant(stop: "Stop") -> "Named | None":
    for word in ("NaN", "Infinity", "-Infinity"):
        if stop.text.startswith(word, stop.at):
            return f"{word} is not a JSON value", "write a number", stop.at
    return None


def _number(stop: "Stop") -> "Named | None":
    text, at = stop.text, stop.at
    start = at
    while start > 0 and text[start - 1] in _NUMBER:
        start -= 1
    end = at
    while end < len(text) and text[end] in _NUMBER:
        end += 1
    word = text[start:end]
    sign = "-" if word.startswith("-") else ""
    digits = word.lstrip("+-")
    if len(word) > 40 or not digits.lstrip(".")[:1].isdigit():
        return None
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2].lower())
    if base:
        value = _integer(digits, base)
        kind = {16: "hexadecimal", 8: "octal", 2: "binary"}[base]
        hint = None if value is None else f"write {sign}{value}"
        return f"{word} is {kind}: JSON has decimal numbers only", hint, start
    if digits[0] == "0" and digits.isdigit():
        plain, octal = digits.lstrip("0") or "0", _integer(digits, 8)
        either = f"{sign}{octal} for octal {digits}, or " if octal else ""
        hint = f"write {either}{sign}{plain}"
        return f"{word} begins with 0: JSON has no octal numbers", hint, start
    if word[0] == "+" and _plain(digits):
        return f"{word} begins with +", f"write {digits}", start
    if "_" in digits and _plain(digits.replace("_", "")):
        return f"{word} has underscores", f"write {sign}{digits.replace('_', '')}", start
    if digits[0] == "." and digits[1:].isdigit():
        return f"{word} has no digit before the point", f"write {sign}0{digits}", start
    if digits[-1] == "." and digits[:-1].isdigit():
        return f"{word} has no digit after the point", f"write {sign}{digits[:-1]}", start
    size = size_of(digits)
    if size is not None:
        return f"{word} has a unit", f"write {sign}{size}", start
    return (f"{word} is not a number", None, start) if start < at < end else None


def _bare_word(stop: "Stop") -> "Named | None":
    text, at = stop.text, stop.at
    word = _word(text, at)
    if not word or word[0].isdigit():
        return None
    after = text[_after(text, at + len(word)) :][:1]
    if after == ":" and stop.previous in ("{", ","):
        return f"the property name {word} is without quotes", f'write "{word}"', at
    if stop.previous not in (":", "[", ","):
        return None
    for literal, spellings in _LITERALS.items():
        if word.lower() in spellings.split():
            hint = "leave the property out" if literal == "null" else f"write {literal}"
            return f"{word} is not a JSON value", hint, at
    from oci_spec.nearest import nearest

    near = nearest(word, _LITERALS, 0.7)
    end = at + len(word)
    while end < len(text) and text[end] not in ",]}\n":
        end += 1
    content = text[at:end].rstrip()
    hint = f"write {near}" if near else f'write "{content}"' if _short(content) else "put it in double quotes"
    return f"{word} is not a JSON value", hint, at


def _brackets(stop: "Stop") -> "Named | None":
    """A bracket that closes nothing, or the wrong one, or none at the end."""
    text, at = stop.text, stop.at
    if stop.character not in ("", "}", "]"):
        return None
    if not stop.opened:
        return f"{stop.character} closes nothing", "remove it, or look for one too many before it", at
    opening = stop.opened[-1]
    closing, line = _CLOSING[text[opening]], text.count("\n", 0, opening) + 1
    if not stop.character:
        return f"the text ends, but the {text[opening]} of line {line} is not closed", f"write {closing}", at
    if stop.character != closing:
        return f"{stop.character} cannot close the {text[opening]} of line {line}", f"write {closing}", at
    return None


def _missing_separator(stop: "Stop") -> "Named | None":
    """A value that follows another one."""
    begins = stop.character in ('"', "{", "[", "-") or stop.character.isalnum()
    ended = stop.previous in ('"', "}", "]") or stop.previous.isalnum()
    if not begins or not ended or not stop.opened:
        return None
    if stop.previous == '"' and stop.before == stop.at - 1 and stop.character.isalnum():
        hint = 'write \\" for a quote inside a string, or close the string before it'
        return "the string ends here, and more text follows", hint, stop.before
    named = stop.text[: stop.last].rstrip(" \t\r\n")[-1:] in ("{", ",")
    if stop.previous == '"' and named and stop.text[stop.opened[-1]] == "{":
        return "a colon is missing after the property's name", "write :", stop.before + 1
    return "a comma is missing", "write one after the value", stop.before + 1


def _around(stop: "Stop") -> "Named | None":
    """Text before the document or after it."""
    if stop.opened or not stop.character:
        return None
    if not stop.previous:
        return "the text does not begin like JSON", "give the path of a config.json: a JSON object in braces", stop.at
    if stop.character in ("{", "["):
        return "a second document begins", "leave one in the file", stop.at
    return stop.message, "remove it", stop.at


_FINDERS: "tuple[Callable[[Stop], Named | None], ...]" = (
    _empty,
    _conflict,
    _bad_string,
    _yaml,
    _template,
    _comment,
    _blank,
    _quotes,
    _comma,
    _separator,
    _constant,
    _number,
    _bare_word,
    _brackets,
    _missing_separator,
    _around,
)


def _word(text: str, at: int) -> str:
    end = at
    while end < len(text) and text[end] in _WORD:
        end += 1
    return text[at:end]


def _short(content: str) -> bool:
    """Whether a text can be repeated in a hint, as the content of a string."""
    return 0 < len(content) <= 40 and content.isprintable() and '"' not in content and "\\" not in content


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _after(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _integer(digits: str, base: int) -> "int | None":
    try:
        return int(digits, base)
    except ValueError:
        return None


def _plain(digits: str) -> bool:
    return digits.isdigit() and (digits == "0" or digits[0] != "0")
