"""Operations → the bytes that init maps, described in ``csrc/plan.h``. Pure and hot."""

import _struct

from .ops import OP_WAIT_START, TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.shapes import Tail, TailRow

    from .ops import Operation, String

MAGIC, VERSION = 0x6E6C506F, 1
TRACE = 1
HEADER = _struct.Struct("<IHHII")
RECORD = _struct.Struct("<HHI6Q8I")
MAX_SIZE = 16 << 20
MAX_OPERATIONS = 1 << 14
NO_NUMBERS = (0, 0, 0, 0, 0, 0)
NO_STRINGS = (0, 0, 0, 0, 0, 0, 0, 0)
UNSIGNED = (1 << 64) - 1


def string_bytes(value: "String") -> bytes:
    """The bytes of one string argument, with its NUL; each string of a list has its own."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape") + b"\0"
    if isinstance(value, bytes):
        return value + b"\0"
    if not value:
        return b""
    return ("\0".join(value) + "\0").encode("utf-8", "surrogateescape")


def encode(operations: "Sequence[Operation]", flags: int = 0) -> bytes:
    """The plan as bytes. Raises ValueError if it exceeds MAX_SIZE or MAX_OPERATIONS."""
    if len(operations) > MAX_OPERATIONS:
        raise ValueError(
            f"the plan has {len(operations)} operations, {MAX_OPERATIONS} at most: ask for fewer mounts, devices or paths"
        )
    strings: list[bytes] = []
    records: list[bytes] = []
    offset = HEADER.size + RECORD.size * len(operations)
    for code, side, _, numbers, texts in operations:
        references: list[int] = []
        for value in texts:
            # Most are plain strings: the call would cost as much as the rest.
            data = value.encode("utf-8", "surrogateescape") + b"\0" if type(value) is str else string_bytes(value)
            if not data:
                references += (0, 0)
                continue
            size = len(data)
            references += (offset, size - 1)
            strings.append(data)
            offset += size
        values = numbers + NO_NUMBERS[len(numbers) :]
        if min(values) < 0:
            values = tuple(n & UNSIGNED for n in values)
        records.append(RECORD.pack(code, side, 0, *values, *references, *NO_STRINGS[len(references) :]))
    if offset > MAX_SIZE:
        raise ValueError(f"the plan takes {offset} bytes, {MAX_SIZE} at most")
    return HEADER.pack(MAGIC, VERSION, flags, len(operations), offset) + b"".join(records) + b"".join(strings)


def tail(operations: "Sequence[Operation]") -> "Tail":
    """The operations from wait_start on, for the record: `start` describes failures with them (`recall`)."""
    first = next((i for i, op in enumerate(operations) if op[0] == OP_WAIT_START), len(operations))
    return {"first": first, "operations": [_named(operation) for operation in operations[first:]]}


def _named(operation: "Operation") -> "TailRow":
    code, _, origin, numbers, strings = operation
    name, number_names, string_names = TABLE[code]
    row: TailRow = {"name": name}
    if origin is not None:
        row["origin"] = origin
    arguments: dict[str, int | str] = {key: value for key, value in zip(number_names, numbers, strict=True) if value}
    for key, text in zip(string_names, strings, strict=True):
        if text and isinstance(text, str):
            arguments[key] = text
    if arguments:
        row["arguments"] = arguments
    return row


def decode(data: bytes) -> "list[Operation]":
    """The operations in ``data``, without origins; every string argument is bytes.

    For tests and tools. Raises ValueError for anything that `encode` does not write.
    """
    magic, version, _, count, size = HEADER.unpack_from(data)
    if (magic, version, size) != (MAGIC, VERSION, len(data)):
        raise ValueError("not a plan of this version")
    operations: list[Operation] = []
    for index in range(count):
        code, side, _, *rest = RECORD.unpack_from(data, HEADER.size + index * RECORD.size)
        _, numbers, names = TABLE[code]
        texts: list[String] = []
        for i in range(len(names)):
            start, length = rest[6 + 2 * i : 8 + 2 * i]
            texts.append(data[start : start + length] if start else None)
        operations.append((code, side, None, tuple(rest[: len(numbers)]), tuple(texts)))
    return operations
