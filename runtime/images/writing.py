"""What a file is written with, to the last byte: write(2) may take less."""

import posix


def write_all(descriptor: int, data: bytes) -> None:
    """Raises OSError."""
    while data:
        data = data[posix.write(descriptor, data) :]
