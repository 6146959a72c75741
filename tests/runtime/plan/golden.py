"""A plan as text for tests/golden: a line per operation, with everything that goes on the wire."""

from __future__ import annotations

import json
from typing import Any

from runtime.plan import ops

SIDES = ("host", "container")


def argument(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value.hex() if isinstance(value, bytes) else value


def number_word(name: str, number: int) -> str:
    if name in ("mode", "umask"):
        return f"{name}={number:04o}"
    return f"{name}={number:#x}" if number > 9 else f"{name}={number}"


def line(operation: ops.Operation) -> str:
    """Side, name, origin, and the arguments that are not 0, empty or absent."""
    code, side, origin, numbers, strings = operation
    name, number_names, string_names = ops.TABLE[code]
    words = [number_word(key, number) for key, number in zip(number_names, numbers, strict=True) if number]
    words += [f"{key}={json.dumps(argument(value))}" for key, value in zip(string_names, strings, strict=True) if value]
    return f"{SIDES[side]:9} {name:17} {origin or '-'} {' '.join(words)}".rstrip()


def text(operations: list[ops.Operation], warnings: list[tuple[str, str]]) -> str:
    lines = [line(operation) for operation in operations]
    lines += [f"warning {pointer}: {message}" for pointer, message in warnings]
    return "\n".join(lines) + "\n"
