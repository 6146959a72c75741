"""Protocol buffers as far as CRIU's RPC needs them: varints, byte strings, and messages made of both. Pure.

A message to send is a list of (field number, value). A value is an int (bool and enum too), a str, bytes, or another such
list. A received message is a dict: field number → the values in their order, each an int or bytes. Source: the encoding
guide of protocol buffers, proto2.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Value = int | str | bytes | Sequence[tuple[int, Any]]  # the last is a message
    Fields = Sequence[tuple[int, Value]]
    Received = dict[int, list[int | bytes]]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_UNSIGNED = (1 << 64) - 1
_LONGEST = 10  # bytes of a varint


def _varint(number: int) -> bytes:
    """A negative int32 takes ten bytes, as an int64 does."""
    number &= _UNSIGNED
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def encode(fields: "Fields") -> bytes:
    """The message as bytes. Text may have surrogate escapes, for paths that are not UTF-8."""
    pieces = []
    for number, value in fields:
        if isinstance(value, int):
            pieces += [_varint(number << 3 | VARINT), _varint(int(value))]
            continue
        data = (
            value.encode("utf-8", "surrogateescape")
            if isinstance(value, str)
            else value
            if isinstance(value, bytes)
            else encode(value)
        )
        pieces += [_varint(number << 3 | BYTES), _varint(len(data)), data]
    return b"".join(pieces)


def _read_varint(data: bytes, at: int) -> "tuple[int, int]":
    value = 0
    for count in range(_LONGEST):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value & _UNSIGNED, at
    raise ValueError("a number that does not end")


def decode(data: bytes) -> "Received":
    """The fields of a message. ValueError if it is cut off or malformed."""
    fields: Received = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        value: int | bytes
        if kind == VARINT:
            value, at = _read_varint(data, at)
        elif kind in (BYTES, FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
            if kind == BYTES:
                size, at = _read_varint(data, at)
            if size > len(data) - at:
                raise ValueError(f"field {number} is cut off")
            value = data[at : at + size]
            at += size
        else:
            raise ValueError(f"field {number} has the unknown type {kind}")
        fields.setdefault(number, []).append(value)
    return fields


def signed(number: int) -> int:
    """A received int32 or int64."""
    return number - (1 << 64) if number >> 63 else number
