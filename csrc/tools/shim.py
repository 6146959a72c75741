"""Writes the C source of `runtime/_shim`, the only door from Python to C, by cffi in API mode.

The declarations are the project's own headers, read verbatim: C and Python see one text. What
cffi cannot parse and Python does not need (includes, guards, defines without a number) is left
out here. The Makefile compiles the result with its own flags.

Usage: shim.py OUTPUT.c
"""

import pathlib
import re
import sys

import cffi

CSRC = pathlib.Path(__file__).parents[1]
HEADERS = ("operations.h", "plan.h", "seccomp.h", "device_filter.h", "shim.h", "host_side.h", "trees.h")
NUMBER = re.compile(r"\s*#\s*define\s+\w+\s+(-?\d|0x)")


def declarations(header: str) -> str:
    """The header's text without preprocessor lines other than numeric constants."""
    kept = []
    continued = False
    for line in header.splitlines():
        directive = continued or (line.lstrip().startswith("#") and not NUMBER.match(line))
        continued = directive and line.endswith("\\")
        # An empty line instead keeps cffi's line numbers in step with the header.
        kept.append("" if directive else line)
    return "\n".join(kept)


def builder() -> cffi.FFI:
    """The FFI whose C source is the extension."""
    ffi = cffi.FFI()
    texts = {name: (CSRC / name).read_text(encoding="utf-8") for name in HEADERS if (CSRC / name).exists()}
    for text in texts.values():
        ffi.cdef(declarations(text))
    # The headers have no guards, so one that another includes is not included again.
    includes = [name for name in texts if not any(f'#include "{name}"' in text for text in texts.values())]
    lines = ["#include <stddef.h>", "#include <stdint.h>", "#include <sys/types.h>"]
    lines += [f'#include "{name}"' for name in includes]
    ffi.set_source("runtime._shim", "\n".join(lines), py_limited_api=True)
    return ffi


if __name__ == "__main__":
    builder().emit_c_code(sys.argv[1])
